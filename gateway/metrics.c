/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The families of metrics, in whatever form the writer has: GET /metrics and what telemetry sends. From memory alone. Values of labels are
 * names of this program, or of sinks that the configuration names: never of what a client sends, so their number is
 * bounded. Any thread.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "audit/ledger.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/metric_writer.h"
#include "base/version.h"
#include "gateway/gateway.h"
#include "net/gate.h"
#include "pipeline/observe.h"
#include "pipeline/pipeline.h"
#include "pipeline/snapshot.h"
#include "policy/policy.h"
#include "runtime/runtime.h"

#define SINKS_MAX 64
#define BREAKERS_MAX 200

static void
add_family(struct metric_writer *w, const char *name, enum metric_kind kind, const char *help)
{
	w->ops->family(w, name, kind, help);
}

static void
add_number(struct metric_writer *w, int64_t value)
{
	w->ops->integer(w, NULL, 0, value);
}

/* With one label. */
static void
add_labelled(struct metric_writer *w, const char *label, const char *value, int64_t n)
{
	const struct metric_label l = {label, span_cstr(value)};

	w->ops->integer(w, &l, 1, n);
}

static void
add_gauge(struct metric_writer *w, const char *name, const char *help, int64_t value)
{
	add_family(w, name, METRIC_KIND_GAUGE, help);
	add_number(w, value);
}

static void
add_process(const struct runtime *r, struct metric_writer *w)
{
	const struct version *v = version_get();
	const struct metric_label build[] = {{"version", span_cstr(v->version)},
		{"commit", span_cstr(v->commit)}, {"compiler", span_cstr(v->compiler)}};
	struct rusage usage;

	add_family(w, "nomos_build_info", METRIC_KIND_GAUGE, "what this build is; always 1");
	w->ops->integer(w, build, ARRAY_LEN(build), 1);
	add_gauge(w, "process_start_time_seconds", "when the process began, unix time",
		runtime_get_started_ns(r) / NS_PER_SEC);
	if (getrusage(RUSAGE_SELF, &usage) != 0)
		return;
	add_family(w, "process_cpu_seconds_total", METRIC_KIND_COUNTER,
		"processor time, user and system");
	w->ops->real(w, NULL, 0,
		(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	add_gauge(w, "process_max_resident_memory_bytes", "most memory that was resident",
		usage.ru_maxrss * 1024);
}

static void
add_table(struct metric_writer *w)
{
	for (int m = 0; m < METRIC__MAX; m++) {
		add_family(w, metric_name((enum metric)m),
			metric_is_gauge((enum metric)m) ? METRIC_KIND_GAUGE : METRIC_KIND_COUNTER,
			metric_help((enum metric)m));
		add_number(w, metric_get((enum metric)m));
	}
}

static void
add_route_answers(struct metric_writer *w, const struct gateway_route_info *route,
	const struct answer_view *view)
{
	static const char *const classes[STATUS_CLASSES] = {"", "", "2xx", "3xx", "4xx", "5xx"};

	for (size_t c = 2; c < STATUS_CLASSES; c++) {
		const struct metric_label labels[] = {
			{"method", span_cstr(route != NULL ? http_method_text(route->method) : "")},
			{"route", span_cstr(route != NULL ? route->path : "none")},
			{"code", span_cstr(classes[c])},
		};
		if (view->n[c] > 0)
			w->ops->integer(w, labels, ARRAY_LEN(labels), (int64_t)view->n[c]);
	}
}

static void
add_route_times(struct metric_writer *w, const struct gateway_route_info *route,
	const struct answer_view *view)
{
	char text[96];

	if (view->n[2] + view->n[3] + view->n[4] + view->n[5] == 0)
		return;
	snprintf(text, sizeof(text), "%s %s", http_method_text(route->method), route->path);
	const struct metric_label label = {"route", span_cstr(text)};
	w->ops->histogram(w, &label, 1, &view->times, histogram_times, NS_PER_SEC);
}

static void
add_answers(const struct runtime *r, struct metric_writer *w)
{
	size_t n_routes;
	const struct gateway_route_info *routes = gateway_get_routes(&n_routes);
	struct answer_view *views = mem_zalloc(n_routes + 1, sizeof(*views));

	if (views == NULL)
		return;
	for (size_t i = 0; i <= n_routes; i++)
		runtime_view_answers(r, (unsigned)i, &views[i]);
	add_family(w, "nomos_http_answers_total", METRIC_KIND_COUNTER,
		"answers by route and class of status");
	for (size_t i = 0; i <= n_routes; i++)
		add_route_answers(w, i > 0 ? &routes[i - 1] : NULL, &views[i]);
	add_family(w, "nomos_http_answer_seconds", METRIC_KIND_HISTOGRAM,
		"from a request's first byte to its answer, by route");
	for (size_t i = 1; i <= n_routes; i++)
		add_route_times(w, &routes[i - 1], &views[i]);
	mem_free(views);
}

/* What the wire gate turned away before it was a request. */
static void
add_refusals(struct metric_writer *w)
{
	add_family(w, "nomos_wire_refusals_total", METRIC_KIND_COUNTER,
		"bytes that were refused before they were a request, by reason");
	for (int why = GATE_OK + 1; why < GATE__MAX; why++) {
		uint64_t n = gate_count((enum gate_refusal)why);
		if (n > 0)
			add_labelled(w, "reason", gate_text((enum gate_refusal)why), (int64_t)n);
	}
}

static void
add_decisions(const struct pipeline *p, struct metric_writer *w)
{
	struct observed_decisions *d = mem_zalloc(1, sizeof(*d));

	if (d == NULL)
		return;
	observe_decisions(p, d);
	add_family(w, "nomos_decisions_total", METRIC_KIND_COUNTER, "decisions by type");
	for (int v = 0; v < VERDICT__MAX; v++)
		add_labelled(
			w, "decision", verdict_name((enum verdict)v), (int64_t)d->by_verdict[v]);
	add_family(w, "nomos_decision_reasons_total", METRIC_KIND_COUNTER, "decisions by reason");
	for (int r = 0; r < REASON__MAX; r++)
		if (d->by_reason[r] > 0)
			add_labelled(
				w, "reason", reason_name((enum reason)r), (int64_t)d->by_reason[r]);
	mem_free(d);
}

static void
add_steps(const struct pipeline *p, struct metric_writer *w)
{
	struct observed_step steps[OBSERVE_STEPS_MAX];
	size_t n = observe_steps(p, steps);

	add_family(w, "nomos_step_seconds", METRIC_KIND_HISTOGRAM,
		"time in each step of an action, with what it waited for");
	for (size_t i = 0; i < n; i++) {
		const struct metric_label label = {"step", span_cstr(steps[i].name)};

		w->ops->histogram(w, &label, 1, &steps[i].times, histogram_times, NS_PER_SEC);
	}
}

static void
add_limits(const struct snapshot *s, const struct pipeline *p, struct metric_writer *w)
{
	struct observed_breaker *breakers = mem_zalloc(BREAKERS_MAX, sizeof(*breakers));
	size_t n = breakers != NULL ? observe_breakers(p, breakers, BREAKERS_MAX) : 0;
	size_t n_open = 0;

	for (size_t i = 0; i < n; i++)
		n_open += breakers[i].open_for_ns > 0;
	mem_free(breakers);
	add_gauge(w, "nomos_breakers_open", "identities whose circuit is open", (int64_t)n_open);
	add_gauge(w, "nomos_concurrency_limit", "actions that may be in flight",
		(int64_t)snapshot_get_concurrency_limit(s));
}

static void
add_policy(const struct snapshot *s, struct metric_writer *w)
{
	const struct metric_label labels[] = {
		{"hash", span_cstr(policy_get_hash(snapshot_get_policy(s)))},
		{"assurance", span_cstr(snapshot_get_assurance(s))},
	};

	add_family(w, "nomos_policy_info", METRIC_KIND_GAUGE, "the policy in force; always 1");
	w->ops->integer(w, labels, ARRAY_LEN(labels), 1);
	add_gauge(w, "nomos_policy_loaded_seconds", "when it was loaded, unix time",
		snapshot_get_loaded_ns(s) / NS_PER_SEC);
}

static void
add_ready(const struct runtime *r, const struct snapshot *s, struct metric_writer *w)
{
	struct readiness_check checks[READINESS_CHECKS];

	(void)runtime_view_readiness(r, s, checks);
	add_family(w, "nomos_ready", METRIC_KIND_GAUGE, "checks of /readyz: 1 when passed");
	for (size_t i = 0; i < READINESS_CHECKS; i++)
		add_labelled(w, "check", checks[i].name, checks[i].is_ok);
}

static void
add_commits(struct ledger *l, struct metric_writer *w)
{
	struct histogram_view times;
	struct histogram_view sizes;

	ledger_view_commits(l, &times, &sizes);
	add_family(w, "nomos_ledger_commit_seconds", METRIC_KIND_HISTOGRAM,
		"time of group commits, durable at their end");
	w->ops->histogram(w, NULL, 0, &times, histogram_times, NS_PER_SEC);
	add_family(w, "nomos_ledger_group_entries", METRIC_KIND_HISTOGRAM,
		"entries of a group commit");
	w->ops->histogram(w, NULL, 0, &sizes, histogram_sizes, 1);
}

static void
add_ledger(struct ledger *l, const struct pipeline *p, struct metric_writer *w)
{
	struct ledger_sink_view sinks[SINKS_MAX];
	size_t n = ledger_view_sinks(l, sinks, SINKS_MAX);
	uint64_t head = ledger_get_head_seq(l);

	add_commits(l, w);
	add_gauge(w, "nomos_ledger_head", "number of the last committed record", (int64_t)head);
	add_family(w, "nomos_ledger_queue_wait_seconds", METRIC_KIND_GAUGE,
		"how long the ledger's queue makes an entry wait; 0 while each group takes all");
	w->ops->real(w, NULL, 0, (double)pipeline_get_queue_wait(p) / NS_PER_SEC);
	add_family(w, "nomos_sink_lag_records", METRIC_KIND_GAUGE,
		"records that a sink has not taken yet");
	for (size_t i = 0; i < n; i++) {
		const struct metric_label labels[] = {{"sink", span_cstr(sinks[i].name)},
			{"required", span_cstr(sinks[i].is_required ? "true" : "false")}};
		uint64_t lag = head > sinks[i].taken_seq ? head - sinks[i].taken_seq : 0;

		w->ops->integer(w, labels, ARRAY_LEN(labels), (int64_t)lag);
	}
}

void
gateway_write_metrics(const struct runtime *r, const struct snapshot *s, struct metric_writer *w)
{
	const struct pipeline *p = runtime_get_pipeline(r);

	add_process(r, w);
	add_ready(r, s, w);
	add_policy(s, w);
	add_answers(r, w);
	add_refusals(w);
	add_decisions(p, w);
	add_steps(p, w);
	add_limits(s, p, w);
	add_ledger(runtime_get_ledger(r), p, w);
	add_table(w);
}
