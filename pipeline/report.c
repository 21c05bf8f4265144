/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /actions/report as steps of a request: read, find the decision (pool), close it and record the report in one transaction
 * (ledger's thread), answer when that is durable. It must never close a decision twice, nor one of another identity.
 */
#include "report.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/utf8.h"
#include "exec/output.h"
#include "req_state.h"
#include "summary.h"

enum {
	/* Another report may close the decision between the search and the transaction; then it is looked for again. */
	ROUNDS_MAX = 3,
	RUNS_MAX = 20, /* of one search, with half a second of reading each */
};

struct report_work {
	struct report *report;
	struct report_search search;
	unsigned n_rounds;
	unsigned n_runs; /* of the search */
	bool is_taken;   /* the ledger's thread closed the decision */
};

static enum req_step start_search(struct req *r);

static enum req_step
fail_memory(struct req *r)
{
	return req_fail(r, REQ_ERROR_OVERLOADED, SPAN_LIT("no room for the report"));
}

static enum req_step
fail_text(struct req *r, enum req_error error, const struct errinfo *ei)
{
	struct span text = arena_dup(r->arena, span_cstr(ei->msg));

	return text.p != NULL ? req_fail(r, error, text) : fail_memory(r);
}

/* ---- the record ---- */

static struct span
build_metadata(const struct req *r, struct arena *a)
{
	const struct report *p = r->report->report;
	struct buf b;

	buf_init_arena(&b, a, BUF_CAP_RECORD);
	BUF_ADD_LIT(&b, "{\"execution_mode\":\"caller_reported\"");
	if (p->external_reference.n > 0) {
		BUF_ADD_LIT(&b, ",\"external_reference\":");
		json_quote(&b, p->external_reference);
	}
	if (r->snapshot->is_stateless)
		BUF_ADD_LIT(&b, ",\"matched\":false");
	BUF_ADD_LIT(&b, ",\"nomos_executed\":false,\"reported_outcome\":");
	json_quote(&b, p->outcome);
	if (p->has_status_code) {
		BUF_ADD_LIT(&b, ",\"status_code\":");
		buf_add_int(&b, p->status_code);
	}
	buf_add_char(&b, '}');
	return buf_failed(&b) ? SPAN_NONE : buf_span(&b);
}

static enum err
build_record(struct req *r, struct errinfo *ei)
{
	const struct report *p = r->report->report;
	const struct redactor *redactor = r->snapshot->redactor;
	struct record *rec = record_new(r->arena, "action.external_reported");
	bool is_success = span_eq_cstr(p->outcome, "SUCCEEDED");
	struct span message = output_redact(redactor, p->message, r->arena);

	if (rec == NULL)
		return ERR(ei, ERR_TOO_LARGE, "no room for the record");
	record_set_text(rec, RECORD_SCHEMA_VERSION, SPAN_LIT("v1"));
	record_set_text(rec, RECORD_REQUEST_ID, r->input->request_id);
	record_set_text(rec, RECORD_TRACE_ID, p->trace_id);
	record_set_text(rec, RECORD_ACTION_ID, p->action_id);
	record_set_text(rec, RECORD_PRINCIPAL, r->identity.principal);
	record_set_text(rec, RECORD_AGENT, r->identity.agent);
	record_set_text(rec, RECORD_ENVIRONMENT, r->identity.environment);
	record_set_text(rec, RECORD_ACTION_TYPE, p->action_type);
	record_set_text(rec, RECORD_RESOURCE, p->resource_raw);
	record_set_text(rec, RECORD_RESOURCE_NORMALIZED, p->resource.text);
	record_set_text(rec, RECORD_APPROVAL_ID, span_cstr(r->report->search.approval_id));
	record_set_text(rec, RECORD_PARAMS_HASH, span_cstr(p->hash));
	record_set_int(rec, RECORD_INTENT_SEQ, (int64_t)r->report->search.seq);
	record_set_text(
		rec, RECORD_OUTCOME, is_success ? SPAN_LIT("succeeded") : SPAN_LIT("failed"));
	record_set_text(rec, RECORD_REASON, p->outcome);
	record_set_text(rec, RECORD_RESULT_CLASSIFICATION,
		is_success ? SPAN_LIT("SUCCESS") : SPAN_LIT("UPSTREAM_ERROR"));
	record_set_bool(rec, RECORD_RETRYABLE, !is_success);
	record_set_text(rec, RECORD_RESULT_REDACTED_SUMMARY,
		span_of(message.p, utf8_cut(message, SUMMARY_BYTES_MAX)));
	record_set_text(rec, RECORD_ENGINE_VERSION, r->snapshot->engine_version);
	record_set_text(rec, RECORD_ASSURANCE_LEVEL, span_cstr(r->snapshot->assurance));
	record_set_json(rec, RECORD_EXECUTOR_METADATA, build_metadata(r, r->arena));
	return record_render(rec, redactor, r->arena, &r->record, ei);
}

/* ---- the answer ---- */

static enum req_step
answer_recorded(struct req *r)
{
	const struct report *p = r->report->report;
	struct buf b;

	buf_init_arena(&b, r->arena, BUF_CAP_REPLY);
	BUF_ADD_LIT(&b, "{\"recorded\":true,\"trace_id\":");
	json_quote(&b, p->trace_id);
	BUF_ADD_LIT(&b, ",\"action_id\":");
	json_quote(&b, p->action_id);
	BUF_ADD_LIT(&b, ",\"outcome\":");
	json_quote(&b, p->outcome);
	if (r->snapshot->is_stateless)
		BUF_ADD_LIT(&b, ",\"matched\":false");
	buf_add_char(&b, '}');
	if (buf_failed(&b))
		return fail_memory(r);
	r->result.report = buf_span(&b);
	return STEP_RESPOND;
}

static enum req_step
answer_match(struct req *r)
{
	switch (r->report->search.match) {
	case REPORT_REPEATED:
		return answer_recorded(r);
	case REPORT_REPORTED:
		return req_fail(r, REQ_ERROR_REPORTED,
			SPAN_LIT("another outcome of this action was reported before"));
	case REPORT_OF_OTHERS:
		return req_fail(r, REQ_ERROR_REPORT_MISMATCH,
			SPAN_LIT("the action that was authorised under these ids has another type, "
				 "resource or approval"));
	case REPORT_UNMATCHED:
	case REPORT_OPEN:
		break;
	}
	return req_fail(r, REQ_ERROR_REPORT_UNMATCHED,
		SPAN_LIT("no action with these ids is authorised for this identity and waits for "
			 "its "
			 "outcome"));
}

/* ---- the transaction ---- */

static enum err
apply_report(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct req *r = CONTAINER_OF(e, struct req, entry);
	uint64_t decision = r->report->search.seq;
	enum ledger_state state = LEDGER_COMPLETE;
	enum err rc = OK;

	r->report->is_taken = false;
	if (decision != 0) {
		rc = ledger_tx_get_state(tx, decision, &state, ei);
		if (rc == ERR_NOT_FOUND)
			return OK;
		/* Somebody else was first, or the caller cannot know of it yet. */
		if (rc == OK &&
			(state != LEDGER_AUTHORIZED || !ledger_tx_is_released(tx, decision)))
			return OK;
	}
	if (rc == OK)
		rc = ledger_tx_append(tx, &r->record, LEDGER_COMPLETE, &r->intent_seq, ei);
	if (rc == OK && decision != 0)
		rc = ledger_tx_close(tx, decision, ei);
	r->report->is_taken = rc == OK;
	return rc;
}

static enum req_step
after_report(struct req *r)
{
	/* With a number it is in the ledger; to report it again is answered by what was recorded. */
	if (r->entry.result != OK && r->entry.seq != 0)
		return req_fail(r, REQ_ERROR_AUDIT,
			SPAN_LIT("it is recorded and stands, but the ledger or a required sink has "
				 "not confirmed it; the same report again is answered 200 once "
				 "both work"));
	if (r->entry.is_doubtful)
		return req_fail(r, REQ_ERROR_RECORD_UNKNOWN,
			SPAN_LIT("the ledger failed while this was written, so it may stand or "
				 "not; report it again once the ledger works: the same report "
				 "counts once"));
	if (r->entry.result != OK)
		return req_fail(r,
			r->entry.result == ERR_OVERLOAD ? REQ_ERROR_OVERLOADED : REQ_ERROR_AUDIT,
			SPAN_LIT("the outcome could not be recorded; report it again"));
	if (!r->report->is_taken)
		return start_search(r);
	metric_add(METRIC_REPORTS, 1);
	return answer_recorded(r);
}

static void
report_done(struct ledger_entry *e)
{
	struct req *r = CONTAINER_OF(e, struct req, entry);
	enum req_step next;

	r->has_entry = false;
	req_leave_ledger(r);
	next = after_report(r);
	if (next != STEP_WAIT)
		req_resume(r, next);
}

static enum req_step
submit(struct req *r)
{
	struct errinfo ei;

	if (build_record(r, &ei) != OK)
		return fail_memory(r);
	r->entry =
		(struct ledger_entry){.loop = r->loop, .apply = apply_report, .done = report_done};
	r->has_entry = true;
	req_enter_ledger(r);
	ledger_outbox_put(&r->pool->outbox, &r->entry);
	return STEP_WAIT;
}

/* ---- the search ---- */

static bool
fill_search(struct req *r, struct report_search *s)
{
	const struct redactor *redactor = r->snapshot->redactor;

	*s = (struct report_search){.report = r->report->report};
	s->principal = output_redact(redactor, r->identity.principal, r->arena);
	s->agent = output_redact(redactor, r->identity.agent, r->arena);
	s->environment = output_redact(redactor, r->identity.environment, r->arena);
	s->action_id = output_redact(redactor, s->report->action_id, r->arena);
	s->trace_id = output_redact(redactor, s->report->trace_id, r->arena);
	s->ledger_path = ledger_get_path(r->pipeline->ledger);
	s->since_wall_ns = clock_wall_ns() - r->snapshot->reports.window_seconds * NS_PER_SEC;
	return !arena_failed(r->arena);
}

static void
search_decision(struct workq_item *item)
{
	report_search_run(&CONTAINER_OF(item, struct req, item)->report->search);
}

/* Nothing was found to be so, and nothing to be not so. */
static enum req_step
fail_unfinished(struct req *r)
{
	static _Thread_local struct log_limiter limiter;
	const struct log_subject about = {.request_id = r->input->request_id};
	uint64_t dropped;

	if (log_limit(&limiter, &dropped))
		log_warn(&about,
			"report: the decision was not found in %u runs through the ledger; the "
			"search index "
			"(audit.index) finds it at once (%llu more not logged)",
			r->report->n_runs, (unsigned long long)dropped);
	return req_fail(r, REQ_ERROR_OVERLOADED,
		SPAN_LIT(
			"the ledger is too long to be searched for the decision without its search "
			"index; nothing was recorded now; report it again once the index is "
			"there"));
}

static enum req_step
after_search(struct req *r)
{
	const struct report_search *s = &r->report->search;

	if (s->result == ERR_NOMEM || s->result == ERR_BUSY)
		return fail_memory(r);
	if (s->result != OK) {
		log_error(NULL, "report: the ledger could not be searched: %s", s->ei.msg);
		return req_fail(r, REQ_ERROR_AUDIT,
			SPAN_LIT("the ledger could not be searched; report the outcome again"));
	}
	if (s->is_cut)
		return fail_unfinished(r);
	return s->match == REPORT_OPEN ? submit(r) : answer_match(r);
}

static void search_done(struct workq_item *item);

/* One that is counted in n_searches; false: not any more. */
static bool
submit_search(struct req *r)
{
	r->item = (struct workq_item){.loop = r->loop,
		.process = search_decision,
		.done = search_done,
		.gives_way = true};
	if (workq_submit(r->pipeline->pool, &r->item) == OK)
		return true;
	atomic_fetch_sub_explicit(&r->pipeline->n_searches, 1, memory_order_relaxed);
	return false;
}

static void
search_done(struct workq_item *item)
{
	struct req *r = CONTAINER_OF(item, struct req, item);
	const struct report_search *s = &r->report->search;
	enum req_step next;

	r->report->n_runs++;
	if (s->result == OK && s->is_cut && r->report->n_runs < RUNS_MAX) {
		if (!submit_search(r))
			req_resume(r, fail_memory(r));
		return;
	}
	atomic_fetch_sub_explicit(&r->pipeline->n_searches, 1, memory_order_relaxed);
	next = after_search(r);
	if (next != STEP_WAIT)
		req_resume(r, next);
}

static enum req_step
start_search(struct req *r)
{
	struct report_search *s = &r->report->search;

	if (++r->report->n_rounds > ROUNDS_MAX)
		return req_fail(r, REQ_ERROR_OVERLOADED,
			SPAN_LIT("the action is being reported by others; try again"));
	if (!fill_search(r, s))
		return fail_memory(r);
	/* Reports have no slots, and a search may be long: those of one caller must not take the pool from all. */
	if (atomic_fetch_add_explicit(&r->pipeline->n_searches, 1, memory_order_relaxed) >=
		REQ_SEARCHES_MAX) {
		atomic_fetch_sub_explicit(&r->pipeline->n_searches, 1, memory_order_relaxed);
		return req_fail(r, REQ_ERROR_OVERLOADED,
			SPAN_LIT("too many outcomes are being reported; try again"));
	}
	r->report->n_runs = 0;
	return submit_search(r) ? STEP_WAIT : fail_memory(r);
}

/* ---- the step ---- */

static enum req_step
read_report(struct req *r)
{
	struct report_work *w = r->report;
	struct errinfo ei;
	enum err rc;

	if (!req_is_json(r->input->media_type))
		return req_fail(r, REQ_ERROR_MEDIA_TYPE, REQ_TEXT_MEDIA_TYPE);
	rc = report_parse(r->input->body, r->arena, &w->report, &ei);
	if (rc == ERR_TOO_LARGE && !arena_failed(r->arena))
		return fail_text(r, REQ_ERROR_TOO_LARGE, &ei);
	if (rc == ERR_TOO_LARGE)
		return fail_memory(r);
	if (rc != OK)
		return fail_text(r, REQ_ERROR_VALIDATION, &ei);
	rc = resource_normalize(w->report->resource_raw, true, r->arena, &w->report->resource, &ei);
	if (rc == ERR_TOO_LARGE)
		return fail_memory(r);
	return rc == OK ? STEP__MAX : fail_text(r, REQ_ERROR_NORMALIZATION, &ei);
}

enum req_step
step_report(struct req *r)
{
	enum req_step next;

	r->report = ARENA_NEW(r->arena, struct report_work);
	if (r->report == NULL)
		return fail_memory(r);
	next = read_report(r);
	if (next != STEP__MAX)
		return next;
	/* Nothing is kept that could be matched (decisions 21). */
	if (r->snapshot->is_stateless)
		return submit(r);
	return start_search(r);
}
