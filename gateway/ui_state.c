/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/ui/overview, /api/ui/limits, /api/ui/upstreams: how the gateway is doing now. What is in memory is put together on the
 * worker's thread; the ledger's head and the actions whose outcome is unknown are read by a reader.
 */
#include "ui_state.h"

#include <inttypes.h>

#include "audit/chain.h"
#include "audit/ledger.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "pipeline/approvals.h"
#include "pipeline/observe.h"
#include "pipeline/pipeline.h"
#include "pipeline/snapshot.h"
#include "policy/policy.h"
#include "ui_filter.h"

#define SINKS_MAX 64
#define UNKNOWN_MAX 20
#define SETTLED_MAX 1024 /* the newest settlements that are looked at */
#define BUCKETS_MAX 200
#define BREAKERS_MAX 200

static void
add_time(struct buf *b, const char *name, int64_t wall_ns)
{
	char time[CLOCK_TEXT_MAX];

	clock_format(wall_ns, time);
	buf_printf(b, "\"%s\":\"%s\"", name, time);
}

/* ---- overview ---- */

static void
add_counts(struct buf *b, const uint64_t n[VERDICT__MAX])
{
	buf_printf(b, "\"allow\":%" PRIu64 ",\"deny\":%" PRIu64 ",\"require_approval\":%" PRIu64,
		n[VERDICT_ALLOW], n[VERDICT_DENY], n[VERDICT_REQUIRE_APPROVAL]);
}

static void
add_decisions(const struct pipeline *p, struct buf *b)
{
	struct observed_decisions *d = mem_zalloc(1, sizeof(*d));
	bool is_first = true;

	if (d == NULL) {
		BUF_ADD_LIT(b, ",\"totals\":null,\"per_second\":[],\"reasons\":[]");
		return;
	}
	observe_decisions(p, d);
	BUF_ADD_LIT(b, ",\"totals\":{");
	add_counts(b, d->by_verdict);
	BUF_ADD_LIT(b, "},\"per_second\":[");
	for (size_t i = 0; i < OBSERVE_SECONDS; i++) {
		buf_printf(b, "%s{\"at\":%" PRId64 ",", i > 0 ? "," : "", d->seconds[i].at_wall_s);
		add_counts(b, d->seconds[i].n);
		buf_add_char(b, '}');
	}
	BUF_ADD_LIT(b, "],\"reasons\":[");
	for (int r = 0; r < REASON__MAX; r++) {
		struct span reason = span_cstr(reason_name((enum reason)r));
		/* Why actions were not allowed. */
		if (d->by_reason[r] == 0 || span_starts(reason, SPAN_LIT("allow_")))
			continue;
		buf_printf(b, "%s{\"reason\":\"%s\",\"count\":%" PRIu64 "}", is_first ? "" : ",",
			reason.p, d->by_reason[r]);
		is_first = false;
	}
	BUF_ADD_LIT(b, "]");
	mem_free(d);
}

static void
add_ready(const struct worker *w, struct buf *b)
{
	struct readiness_check checks[READINESS_CHECKS];
	bool is_ready = runtime_check_ready(w, checks);

	buf_printf(b, ",\"ready\":%s,\"ready_why\":", is_ready ? "true" : "false");
	for (size_t i = 0; i < READINESS_CHECKS; i++) {
		if (checks[i].is_ok)
			continue;
		json_quote(b, span_cstr(checks[i].message));
		return;
	}
	BUF_ADD_LIT(b, "null");
}

static void
add_sinks(struct ledger *l, uint64_t head, struct buf *b)
{
	struct ledger_sink_view sinks[SINKS_MAX];
	size_t n = ledger_view_sinks(l, sinks, SINKS_MAX);

	BUF_ADD_LIT(b, ",\"sinks\":[");
	for (size_t i = 0; i < n; i++) {
		uint64_t taken = sinks[i].taken_seq;
		buf_add_cstr(b, i > 0 ? ",{\"name\":" : "{\"name\":");
		json_quote(b, span_cstr(sinks[i].name));
		buf_printf(b, ",\"required\":%s,\"taken_seq\":%" PRIu64 ",\"lag\":%" PRIu64,
			sinks[i].is_required ? "true" : "false", taken,
			head > taken ? head - taken : 0);
		buf_printf(b, ",\"failing\":%s,\"dead_letters\":%" PRIu64 "}",
			sinks[i].is_failing ? "true" : "false", sinks[i].n_dead);
	}
	BUF_ADD_LIT(b, "]");
}

void
ui_state_add_live(struct worker *w, struct buf *b)
{
	const struct runtime *r = worker_get_runtime(w);
	const struct snapshot *s = worker_get_snapshot(w);
	const struct pipeline *p = worker_get_pipeline(w);
	struct ledger *l = runtime_get_ledger(r);
	uint64_t head = ledger_get_head_seq(l);

	add_time(b, "generated_at", clock_wall_ns());
	buf_add_char(b, ',');
	add_time(b, "started_at", runtime_get_started_ns(r));
	add_ready(w, b);
	buf_printf(b, ",\"policy_bundle_hash\":\"%s\",", policy_get_hash(snapshot_get_policy(s)));
	add_time(b, "policy_loaded_at", snapshot_get_loaded_ns(s));
	buf_printf(b, ",\"assurance_level\":\"%s\"", snapshot_get_assurance(s));
	add_decisions(p, b);
	add_sinks(l, head, b);
	buf_printf(b, ",\"ledger\":{\"head_seq\":%" PRIu64 ",\"queue_wait_ms\":%" PRId64 "}", head,
		pipeline_get_queue_wait(p) / NS_PER_MS);
	buf_printf(b, ",\"in_flight\":%zu,\"concurrency_limit\":%zu", pipeline_count_in_flight(p),
		snapshot_get_concurrency_limit(s));
}

struct unknown_listing {
	struct ui_job *job;
	struct query_filter terms;
	size_t n;
	struct query_filter settled_terms;
	uint64_t settled[SETTLED_MAX]; /* intents */
	size_t n_settled;
};

static uint64_t
intent_of(const struct store_row *row)
{
	uint64_t seq = 0;

	return parse_uint(chain_find_member(row->body, SPAN_LIT("intent_seq")), INT64_MAX, &seq)
		       ? seq
		       : 0;
}

static bool
visit_settled(const struct store_row *row, void *arg)
{
	struct unknown_listing *u = arg;

	u->settled[u->n_settled++] = intent_of(row);
	return u->n_settled < SETTLED_MAX;
}

static bool
is_settled(const struct unknown_listing *u, uint64_t intent_seq)
{
	for (size_t i = 0; i < u->n_settled; i++)
		if (u->settled[i] == intent_seq)
			return true;
	return false;
}

static bool
visit_unknown(const struct store_row *row, void *arg)
{
	static const char *const members[] = {"intent_seq", "timestamp", "action_id", "trace_id",
		"action_type", "resource", "principal", "agent"};
	struct unknown_listing *u = arg;
	struct buf *b = &u->job->body;
	if (is_settled(u, intent_of(row)))
		return true;
	struct ui_row shown = ui_row_parse(u->job, row->body);

	buf_printf(b, "%s{\"seq\":%" PRIu64, u->n > 0 ? "," : "", row->seq);
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		ui_row_add_member(&shown, members[i], b);
	buf_add_char(b, '}');
	return ++u->n < UNKNOWN_MAX;
}

static void
read_unknown(struct ui_job *job)
{
	struct unknown_listing *u = job->input;
	struct ui_search s = {
		.terms = &u->terms, .max_read = UI_READ_MAX, .visit = visit_unknown, .arg = u};
	struct ui_search settled = {.terms = &u->settled_terms,
		.max_read = UI_READ_MAX,
		.visit = visit_settled,
		.arg = u};

	if (job->ledger_path != NULL && !ui_search_ledger(job, &settled))
		return;
	BUF_ADD_LIT(&job->body, ",\"unknown\":[");
	if (job->ledger_path != NULL && !ui_search_ledger(job, &s))
		return;
	BUF_ADD_LIT(&job->body, "]}\n");
}

/* Own loop again. Without an answer nobody knows. */
static void
on_counted(const struct approvals_answer *answer, void *arg)
{
	struct ui_job *job = arg;

	BUF_ADD_LIT(&job->body, ",\"pending_approvals\":");
	buf_add_span(&job->body, answer->status == 200 ? answer->text : SPAN_LIT("null"));
	ui_job_start(job);
}

void
api_ui_overview(const struct exchange *x)
{
	struct ui_job *job = ui_job_new_without_ledger(x, read_unknown);

	if (job == NULL)
		return;
	struct unknown_listing *u = ARENA_NEW(job->arena, struct unknown_listing);
	if (u != NULL) {
		u->job = job;
		u->terms.class_name = SPAN_LIT("UNKNOWN");
		u->settled_terms.event_type = SPAN_LIT("action.settled");
	}
	job->input = u;
	BUF_ADD_LIT(&job->body, "{");
	ui_state_add_live(x->worker, &job->body);
	struct approvals_call call = {.pipeline = worker_get_pipeline(x->worker),
		.snapshot = worker_get_snapshot(x->worker),
		.loop = worker_get_loop(x->worker),
		.done = on_counted,
		.arg = job};
	http_request_defer(x->http);
	approvals_count(&call);
}

/* ---- limits, upstreams ---- */

static void
add_buckets(const struct pipeline *p, const struct redactor *redactor, struct observed_bucket *rows,
	struct buf *b)
{
	size_t n = observe_buckets(p, rows, BUCKETS_MAX);

	BUF_ADD_LIT(b, ",\"buckets\":[");
	for (size_t i = 0; i < n; i++) {
		buf_add_cstr(b, i > 0 ? ",{\"key\":" : "{\"key\":");
		ui_add_clean(redactor, span_cstr(rows[i].key), b);
		buf_printf(b,
			",\"remaining\":%" PRId64 ",\"capacity\":%" PRId64
			",\"refill_per_minute\":%" PRId64 "}",
			rows[i].remaining, rows[i].capacity, rows[i].refill_per_minute);
	}
	BUF_ADD_LIT(b, "]");
}

static void
add_breakers(const struct pipeline *p, const struct redactor *redactor,
	struct observed_breaker *rows, struct buf *b)
{
	size_t n = observe_breakers(p, rows, BREAKERS_MAX);

	BUF_ADD_LIT(b, ",\"breakers\":[");
	for (size_t i = 0; i < n; i++) {
		buf_add_cstr(b, i > 0 ? ",{\"identity\":" : "{\"identity\":");
		ui_add_clean(redactor, span_cstr(rows[i].identity), b);
		buf_printf(b, ",\"state\":\"%s\",\"failures\":%" PRId64 ",", rows[i].state,
			rows[i].failures);
		if (rows[i].open_for_ns > 0)
			add_time(b, "open_until", clock_wall_ns() + rows[i].open_for_ns);
		else
			BUF_ADD_LIT(b, "\"open_until\":null");
		buf_add_char(b, '}');
	}
	BUF_ADD_LIT(b, "]");
}

void
api_ui_limits(const struct exchange *x)
{
	const struct redactor *redactor = snapshot_get_redactor(worker_get_snapshot(x->worker));
	const struct pipeline *p = worker_get_pipeline(x->worker);
	struct observed_bucket *buckets = mem_zalloc(BUCKETS_MAX, sizeof(*buckets));
	struct observed_breaker *breakers = mem_zalloc(BREAKERS_MAX, sizeof(*breakers));
	struct buf b;

	buf_init(&b, UI_REPLY_BYTES_MAX);
	buf_printf(&b, "{\"in_flight\":%zu,\"concurrency_limit\":%zu", pipeline_count_in_flight(p),
		snapshot_get_concurrency_limit(worker_get_snapshot(x->worker)));
	if (buckets != NULL && breakers != NULL) {
		add_buckets(p, redactor, buckets, &b);
		add_breakers(p, redactor, breakers, &b);
		BUF_ADD_LIT(&b, "}\n");
		reply_private(x->http, 200, NULL, 0, &b);
	} else {
		reply_error(x->http, 503, "overloaded", SPAN_LIT("out of memory"), 1);
	}
	buf_fini(&b);
	mem_free(buckets);
	mem_free(breakers);
}

/* There are none yet; the page asks all the same. */
void
api_ui_upstreams(const struct exchange *x)
{
	struct buf b;

	buf_init(&b, BUF_CAP_LOG_LINE);
	BUF_ADD_LIT(&b, "{");
	add_time(&b, "generated_at", clock_wall_ns());
	BUF_ADD_LIT(&b, ",\"data_source\":\"config_only\",\"upstreams\":[]}\n");
	reply_private(x->http, 200, NULL, 0, &b);
	buf_fini(&b);
}
