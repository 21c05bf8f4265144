/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /metrics: the process in the text format of Prometheus (version 0.0.4), from memory alone. Values of labels are names of this program,
 * or of sinks that the configuration names: never of what a client sends, so their number is bounded. Worker's thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#include "audit/ledger.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/version.h"
#include "gateway/gateway.h"
#include "pipeline/observe.h"
#include "pipeline/pipeline.h"
#include "pipeline/snapshot.h"
#include "policy/policy.h"
#include "routes.h"

#define METRICS_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define SINKS_MAX 64
#define BREAKERS_MAX 200

static void
add_head(struct buf *b, const char *name, const char *kind, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

/* The inside of a label's quotes. */
static void
add_escaped(struct buf *b, struct span value)
{
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '\n') {
			BUF_ADD_LIT(b, "\\n");
			continue;
		}
		if (value.p[i] == '"' || value.p[i] == '\\')
			buf_add_char(b, '\\');
		buf_add_char(b, value.p[i]);
	}
}

/* name_suffix{label="value" without the closing brace. */
static void
begin_line(
	struct buf *b, const char *name, const char *suffix, const char *label, const char *value)
{
	buf_printf(b, "%s%s", name, suffix);
	if (label == NULL)
		return;
	buf_printf(b, "{%s=\"", label);
	add_escaped(b, span_cstr(value));
	buf_add_char(b, '"');
}

static void
end_line(struct buf *b, const char *label, uint64_t value)
{
	buf_printf(b, "%s %" PRIu64 "\n", label != NULL ? "}" : "", value);
}

/* unit: how many of the view's values are one of the metric's. */
static void
add_histogram(struct buf *b, const char *name, const char *label, const char *value,
	const struct histogram_view *v, const int64_t bounds[HISTOGRAM_BOUNDS], double unit)
{
	uint64_t n = 0;

	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		n += v->counts[i];
		begin_line(b, name, "_bucket", label, value);
		buf_add_cstr(b, label != NULL ? ",le=\"" : "{le=\"");
		if (i < HISTOGRAM_BOUNDS)
			buf_printf(b, "%g", (double)bounds[i] / unit);
		else
			BUF_ADD_LIT(b, "+Inf");
		buf_printf(b, "\"} %" PRIu64 "\n", n);
	}
	begin_line(b, name, "_sum", label, value);
	buf_printf(b, "%s %.9g\n", label != NULL ? "}" : "", (double)v->sum / unit);
	begin_line(b, name, "_count", label, value);
	end_line(b, label, n);
}

static void
add_process(const struct runtime *r, struct buf *b)
{
	const struct version *v = version_get();
	struct rusage usage;

	add_head(b, "nomos_build_info", "gauge", "what this build is; always 1");
	buf_printf(b, "nomos_build_info{version=\"%s\",commit=\"%s\",compiler=\"%s\"} 1\n",
		v->version, v->commit, v->compiler);
	add_head(b, "process_start_time_seconds", "gauge", "when the process began, unix time");
	buf_printf(b, "process_start_time_seconds %" PRId64 "\n",
		runtime_get_started_ns(r) / NS_PER_SEC);
	if (getrusage(RUSAGE_SELF, &usage) != 0)
		return;
	add_head(b, "process_cpu_seconds_total", "counter", "processor time, user and system");
	buf_printf(b, "process_cpu_seconds_total %.2f\n",
		(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	add_head(b, "process_max_resident_memory_bytes", "gauge", "most memory that was resident");
	buf_printf(b, "process_max_resident_memory_bytes %ld\n", usage.ru_maxrss * 1024);
}

static void
add_table(struct buf *b)
{
	for (int m = 0; m < METRIC__MAX; m++) {
		const char *name = metric_name((enum metric)m);

		add_head(b, name, metric_is_gauge((enum metric)m) ? "gauge" : "counter",
			metric_help((enum metric)m));
		buf_printf(b, "%s %" PRId64 "\n", name, metric_get((enum metric)m));
	}
}

static void
add_answers(const struct runtime *r, struct buf *b)
{
	static const char *const classes[STATUS_CLASSES] = {"", "", "2xx", "3xx", "4xx", "5xx"};
	size_t n_routes;
	const struct gateway_route_info *routes = gateway_get_routes(&n_routes);
	struct answer_view *views = mem_zalloc(n_routes + 1, sizeof(*views));

	if (views == NULL)
		return;
	for (size_t i = 0; i <= n_routes; i++)
		runtime_view_answers(r, (unsigned)i, &views[i]);
	add_head(b, "nomos_http_answers_total", "counter", "answers by route and class of status");
	for (size_t i = 0; i <= n_routes; i++) {
		for (size_t c = 2; c < STATUS_CLASSES; c++) {
			if (views[i].n[c] == 0)
				continue;
			buf_printf(b,
				"nomos_http_answers_total{method=\"%s\",route=\"%s\",code=\"%s\"} "
				"%" PRIu64 "\n",
				i == 0 ? "" : http_method_text(routes[i - 1].method),
				i == 0 ? "none" : routes[i - 1].path, classes[c], views[i].n[c]);
		}
	}
	add_head(b, "nomos_http_answer_seconds", "histogram",
		"from a request's first byte to its answer, by route");
	for (size_t i = 1; i <= n_routes; i++) {
		if (views[i].n[2] + views[i].n[3] + views[i].n[4] + views[i].n[5] == 0)
			continue;
		char route[96];
		snprintf(route, sizeof(route), "%s %s", http_method_text(routes[i - 1].method),
			routes[i - 1].path);
		add_histogram(b, "nomos_http_answer_seconds", "route", route, &views[i].times,
			histogram_times, NS_PER_SEC);
	}
	mem_free(views);
}

static void
add_decisions(const struct pipeline *p, struct buf *b)
{
	struct observed_decisions *d = mem_zalloc(1, sizeof(*d));

	if (d == NULL)
		return;
	observe_decisions(p, d);
	add_head(b, "nomos_decisions_total", "counter", "decisions by type");
	for (int v = 0; v < VERDICT__MAX; v++)
		buf_printf(b, "nomos_decisions_total{decision=\"%s\"} %" PRIu64 "\n",
			verdict_name((enum verdict)v), d->by_verdict[v]);
	add_head(b, "nomos_decision_reasons_total", "counter", "decisions by reason");
	for (int r = 0; r < REASON__MAX; r++)
		if (d->by_reason[r] > 0)
			buf_printf(b, "nomos_decision_reasons_total{reason=\"%s\"} %" PRIu64 "\n",
				reason_name((enum reason)r), d->by_reason[r]);
	mem_free(d);
}

static void
add_steps(const struct pipeline *p, struct buf *b)
{
	struct observed_step steps[OBSERVE_STEPS_MAX];
	size_t n = observe_steps(p, steps);

	add_head(b, "nomos_step_seconds", "histogram",
		"time in each step of an action, with what it waited for");
	for (size_t i = 0; i < n; i++)
		add_histogram(b, "nomos_step_seconds", "step", steps[i].name, &steps[i].times,
			histogram_times, NS_PER_SEC);
}

static void
add_limits(const struct worker *w, const struct pipeline *p, struct buf *b)
{
	struct observed_breaker *breakers = mem_zalloc(BREAKERS_MAX, sizeof(*breakers));
	size_t n = breakers != NULL ? observe_breakers(p, breakers, BREAKERS_MAX) : 0;
	size_t n_open = 0;

	for (size_t i = 0; i < n; i++)
		n_open += breakers[i].open_for_ns > 0;
	mem_free(breakers);
	add_head(b, "nomos_breakers_open", "gauge", "identities whose circuit is open");
	buf_printf(b, "nomos_breakers_open %zu\n", n_open);
	add_head(b, "nomos_concurrency_limit", "gauge", "actions that may be in flight");
	buf_printf(b, "nomos_concurrency_limit %zu\n",
		snapshot_get_concurrency_limit(worker_get_snapshot(w)));
}

static void
add_policy(const struct worker *w, struct buf *b)
{
	const struct snapshot *s = worker_get_snapshot(w);

	add_head(b, "nomos_policy_info", "gauge", "the policy in force; always 1");
	buf_printf(b, "nomos_policy_info{hash=\"%s\",assurance=\"%s\"} 1\n",
		policy_get_hash(snapshot_get_policy(s)), snapshot_get_assurance(s));
	add_head(b, "nomos_policy_loaded_seconds", "gauge", "when it was loaded, unix time");
	buf_printf(b, "nomos_policy_loaded_seconds %" PRId64 "\n",
		snapshot_get_loaded_ns(s) / NS_PER_SEC);
}

static void
add_ready(const struct worker *w, struct buf *b)
{
	struct readiness_check checks[READINESS_CHECKS];

	(void)runtime_check_ready(w, checks);
	add_head(b, "nomos_ready", "gauge", "checks of /readyz: 1 when passed");
	for (size_t i = 0; i < READINESS_CHECKS; i++)
		buf_printf(b, "nomos_ready{check=\"%s\"} %d\n", checks[i].name, checks[i].is_ok);
}

static void
add_ledger(struct ledger *l, const struct pipeline *p, struct buf *b)
{
	struct ledger_sink_view sinks[SINKS_MAX];
	size_t n = ledger_view_sinks(l, sinks, SINKS_MAX);
	uint64_t head = ledger_get_head_seq(l);
	struct histogram_view times;
	struct histogram_view sizes;

	ledger_view_commits(l, &times, &sizes);
	add_head(b, "nomos_ledger_commit_seconds", "histogram",
		"time of group commits, durable at their end");
	add_histogram(
		b, "nomos_ledger_commit_seconds", NULL, NULL, &times, histogram_times, NS_PER_SEC);
	add_head(b, "nomos_ledger_group_entries", "histogram", "entries of a group commit");
	add_histogram(b, "nomos_ledger_group_entries", NULL, NULL, &sizes, histogram_sizes, 1);
	add_head(b, "nomos_ledger_head", "gauge", "number of the last committed record");
	buf_printf(b, "nomos_ledger_head %" PRIu64 "\n", head);
	add_head(b, "nomos_ledger_queue_wait_seconds", "gauge",
		"how long the ledger's queue makes an entry wait; 0 while each group takes all");
	buf_printf(b, "nomos_ledger_queue_wait_seconds %.6f\n",
		(double)pipeline_get_queue_wait(p) / NS_PER_SEC);
	add_head(b, "nomos_sink_lag_records", "gauge", "records that a sink has not taken yet");
	for (size_t i = 0; i < n; i++) {
		begin_line(b, "nomos_sink_lag_records", "", "sink", sinks[i].name);
		buf_printf(b, ",required=\"%s\"", sinks[i].is_required ? "true" : "false");
		end_line(b, "sink", head > sinks[i].taken_seq ? head - sinks[i].taken_seq : 0);
	}
}

void
api_metrics(const struct exchange *x)
{
	const struct http_header type = {
		SPAN_LIT("Content-Type"), SPAN_LIT("text/plain; version=0.0.4; charset=utf-8")};
	const struct runtime *r = worker_get_runtime(x->worker);
	const struct pipeline *p = worker_get_pipeline(x->worker);
	struct buf b;

	buf_init(&b, METRICS_BYTES_MAX);
	add_process(r, &b);
	add_ready(x->worker, &b);
	add_policy(x->worker, &b);
	add_answers(r, &b);
	add_decisions(p, &b);
	add_steps(p, &b);
	add_limits(x->worker, p, &b);
	add_ledger(runtime_get_ledger(r), p, &b);
	add_table(&b);
	reply_private(x->http, 200, &type, 1, &b);
	buf_fini(&b);
}
