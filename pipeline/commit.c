/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The two places where a request meets the ledger: the decision before anything is done, the outcome before anything is said
 * (design.md rules 2 and 3). An intent that the ledger could not release is given back as failed/not_executed; an outcome is
 * handed over until it is written. apply and undo run on the ledger's thread, all else on the request's loop.
 */
#include "action_ids_fill.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "records.h"
#include "req_state.h"

#define ACTION_ID_SECONDS INT64_C(86400) /* decisions 25 */
#define SPARE_ARENA_BYTES ((size_t)2 * 1024 * 1024)

static struct req *
req_of(struct ledger_entry *e)
{
	return CONTAINER_OF(e, struct req, entry);
}

struct arena *
req_need_spare(struct req *r)
{
	if (r->spare == NULL)
		r->spare = arena_new(SPARE_ARENA_BYTES);
	return r->spare;
}

struct action_ids *
pipeline_need_action_ids(struct pipeline *p, size_t n_max)
{
	if (!p->has_action_ids)
		p->action_ids = action_ids_new(n_max);
	p->has_action_ids = true;
	return p->action_ids;
}

/* What is denied uses no id: it can be corrected and sent again. */
static bool
is_id_reused(struct req *r)
{
	struct pipeline *p = r->pipeline;
	int64_t max = r->snapshot->idempotency.max_action_ids;

	if (max == 0 || r->result.verdict == VERDICT_DENY)
		return false;
	return action_ids_is_reused(pipeline_need_action_ids(p, (size_t)max), &r->id_key,
		span_cstr(r->action->binding_hash),
		clock_wall_ns() - ACTION_ID_SECONDS * NS_PER_SEC);
}

static void
keep_id(struct req *r)
{
	if (r->snapshot->idempotency.max_action_ids != 0 && r->result.verdict != VERDICT_DENY)
		r->id_mark = action_ids_put(r->pipeline->action_ids, &r->id_key,
			span_cstr(r->action->binding_hash), clock_wall_ns());
}

static enum err
apply_decision(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct req *r = req_of(e);
	bool is_answered = false;
	enum err rc = r->key != NULL ? idempotency_look(tx, r, &is_answered, ei) : OK;

	if (rc != OK || is_answered)
		return rc;
	if (is_id_reused(r))
		return ERR(ei, ERR_CONFLICT, "the action id was used for another action");
	rc = r->approval.is_asked
		     ? approval_apply(tx, r, ei)
		     : ledger_tx_append(tx, &r->record, r->record_state, &r->intent_seq, ei);
	if (rc == OK)
		keep_id(r);
	return rc == OK && r->key != NULL ? idempotency_claim(tx, r, ei) : rc;
}

/* The store may have closed the intent already; the outcome stands all the same. */
static enum err
close_intent(struct ledger_tx *tx, uint64_t seq, struct errinfo *ei)
{
	enum err rc = ledger_tx_close(tx, seq, ei);

	return rc == ERR_NOT_FOUND ? OK : rc;
}

/* The answer says 503, so what was authorised must not stay so. */
static enum err
undo_decision(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct req *r = req_of(e);
	struct arena *a = req_need_spare(r);
	struct record_text outcome;
	uint64_t seq;
	enum err rc;

	/* Asked for or denied: nothing was authorised. */
	if (r->record_state == LEDGER_COMPLETE)
		return OK;
	if (a == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	arena_reset(a);
	rc = record_build_outcome(r, a, &outcome, ei);
	if (rc == OK)
		rc = ledger_tx_append(tx, &outcome, LEDGER_COMPLETE, &seq, ei);
	if (rc == OK)
		rc = close_intent(tx, r->intent_seq, ei);
	if (rc == OK)
		rc = approval_undo(tx, r, ei);
	return rc == OK && r->key != NULL ? idempotency_give_back(tx, r, ei) : rc;
}

static enum req_step
fail_unrecorded_decision(struct req *r, enum err rc)
{
	if (rc == ERR_CONFLICT)
		return req_fail(r, REQ_ERROR_ACTION_ID,
			SPAN_LIT("this action_id was used for another action; nothing was done"));
	/* The same request would meet the same end, so nobody is invited to try again. */
	if (rc == ERR_TOO_LARGE && !arena_failed(r->arena))
		return req_fail(r, REQ_ERROR_INTERNAL,
			SPAN_LIT("the record of this action would be too large; nothing was done"));
	if (rc == ERR_OVERLOAD || rc == ERR_TOO_LARGE || rc == ERR_NOMEM)
		return req_fail(r, REQ_ERROR_OVERLOADED,
			SPAN_LIT("no room for the record; nothing was done"));
	return req_fail(r, REQ_ERROR_AUDIT,
		SPAN_LIT("the decision could not be recorded; nothing was done"));
}

static enum req_step
after_commit(struct req *r)
{
	if (r->key != NULL && r->key->answer > KEY_NEW)
		return idempotency_respond(r);
	r->result.seq = r->intent_seq;
	if (r->approval.is_asked)
		approval_tell(r);
	if (r->normalize_problem.n > 0)
		return req_fail(r, REQ_ERROR_NORMALIZATION, r->normalize_problem);
	return r->record_state == LEDGER_OPEN ? STEP_EFFECT : STEP_RESPOND;
}

static void
decision_done(struct ledger_entry *e)
{
	struct req *r = req_of(e);

	req_leave_ledger(r);
	if (e->result != OK)
		action_ids_take_back(&r->id_mark);
	if (r->is_answered) {
		req_entry_returned(r);
		return;
	}
	r->has_entry = false;
	if (e->result != OK)
		req_resume(r, fail_unrecorded_decision(r, e->result));
	else
		req_resume(r, after_commit(r));
}

/* The ledger still has to give the intent back; the caller need not wait for that. */
static void
decision_pending(struct ledger_entry *e)
{
	struct req *r = req_of(e);

	req_leave_ledger(r);
	if (!r->is_answered)
		req_resume(r, fail_unrecorded_decision(r, ERR_AUDIT));
}

/* It comes back through done, also when the ledger does not take it. */
static enum req_step
hand_over(struct req *r)
{
	r->has_entry = true;
	req_enter_ledger(r);
	ledger_outbox_put(&r->pool->outbox, &r->entry);
	return STEP_WAIT;
}

/* Whether an approval may be used for an effect of ours: what then does not run has used it up for nothing. */
static bool
needs_place(const struct req *r)
{
	return r->approval.is_asked && approval_id_is_valid(r->approval.presented) &&
	       executor_find(r->action->kind) != NULL;
}

/* What apply_decision reads that this thread has just made. */
static void
name_reads(struct req *r)
{
	const struct span *parts = r->record.parts;
	const char *end = parts[RECORD_PARTS - 1].p + parts[RECORD_PARTS - 1].n;

	if (!r->approval.is_asked)
		r->entry.reads[0] = span_of(parts[0].p, (size_t)(end - parts[0].p));
	r->entry.reads[1] = span_of((const char *)&r->record,
		offsetof(struct req, item) - offsetof(struct req, record));
	r->entry.reads[2] = span_cstr(r->action->binding_hash);
	r->entry.reads[3] = span_of((const char *)&r->approval, sizeof(r->approval));
}

enum req_step
step_commit(struct req *r)
{
	struct errinfo ei;
	enum err rc;

	if (needs_place(r)) {
		r->has_place = workq_reserve(r->pipeline->pool) == OK;
		if (!r->has_place)
			return req_fail(r, REQ_ERROR_OVERLOADED,
				SPAN_LIT("no room to carry the action out; nothing was done, and "
					 "the approval was not used"));
	}
	r->record_state = r->executor != NULL     ? LEDGER_OPEN
			  : r->result.is_external ? LEDGER_AUTHORIZED
						  : LEDGER_COMPLETE;
	if (r->snapshot->idempotency.max_action_ids > 0)
		r->id_key = action_id_key(r->identity_key, r->action->action_id);
	/* What comes of an approval is only known, and recorded, on the ledger's thread. */
	rc = r->approval.is_asked ? OK : record_build_decision(r, r->arena, &r->record, &ei);
	if (rc != OK)
		return fail_unrecorded_decision(r, rc);
	r->entry = (struct ledger_entry){
		.loop = r->loop,
		.apply = apply_decision,
		.undo = r->record_state != LEDGER_COMPLETE || r->approval.is_asked ? undo_decision
										   : NULL,
		.done = decision_done,
		.pending = decision_pending,
	};
	name_reads(r);
	return hand_over(r);
}

static enum err
apply_outcome(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct req *r = req_of(e);
	uint64_t seq;
	enum err rc = ledger_tx_append(tx, &r->record, LEDGER_COMPLETE, &seq, ei);

	if (rc == OK)
		rc = close_intent(tx, r->intent_seq, ei);
	return rc == OK && r->key != NULL ? idempotency_settle(tx, r, seq, ei) : rc;
}

/* Breakers count what is ours or an upstream's, once the outcome is on record (decisions 5). */
static enum req_step
answer_outcome(struct req *r)
{
	const struct exec_job *job = &r->job;

	switch (job->status) {
	case EXEC_DONE:
		r->breaker_outcome = BREAKER_SUCCESS;
		r->result.has_output = job->has_output;
		r->result.output = job->output;
		r->result.truncated = job->truncated;
		r->result.has_bytes_written = job->has_bytes_written;
		r->result.bytes_written = job->bytes_written;
		return STEP_RESPOND;
	case EXEC_BAD_RESOURCE:
	case EXEC_ESCAPE:
		return req_fail(r, REQ_ERROR_RESOURCE, job->message);
	case EXEC_FAULT:
	case EXEC_UNCERTAIN:
		r->breaker_outcome = BREAKER_FAULT;
		return req_fail(r, REQ_ERROR_EXECUTION, job->message);
	case EXEC_NOT_RUN:
	case EXEC_NO_MEMORY:
		break;
	}
	return req_fail(r, REQ_ERROR_OVERLOADED, SPAN_LIT("no room to carry the action out"));
}

static enum req_step
fail_unrecorded_outcome(struct req *r)
{
	struct span text = arena_printf(r->arena,
		"the outcome of action %.*s could not be recorded; do not repeat it",
		SPAN_ARG(r->action->action_id));

	if (text.p == NULL)
		text = SPAN_LIT("the outcome could not be recorded; do not repeat the action");
	return req_fail(r, REQ_ERROR_UNRECORDED, text);
}

static void
log_unrecorded(const struct req *r, const char *why)
{
	struct log_subject about = {
		.request_id = r->input->request_id,
		.principal = r->identity.principal,
		.trace_id = r->action->trace_id,
		.step = "settle",
	};

	log_error(&about, "the outcome of record %llu is not recorded: %s",
		(unsigned long long)r->intent_seq, why);
}

static void
outcome_done(struct ledger_entry *e)
{
	struct req *r = req_of(e);

	req_leave_ledger(r);
	if (e->result != OK)
		log_unrecorded(r, e->ei.msg);

	if (r->is_answered) {
		req_entry_returned(r);
		return;
	}
	r->has_entry = false;
	req_resume(r, e->result == OK ? answer_outcome(r) : fail_unrecorded_outcome(r));
}

static void
outcome_pending(struct ledger_entry *e)
{
	struct req *r = req_of(e);

	req_leave_ledger(r);
	if (!r->is_answered)
		req_resume(r, fail_unrecorded_outcome(r));
}

/* The record of the outcome; an effect may have filled the request's arena. */
static enum err
build_outcome(struct req *r, struct errinfo *ei)
{
	struct arena *a = arena_failed(r->arena) ? req_need_spare(r) : r->arena;
	enum err rc = a != NULL ? record_build_outcome(r, a, &r->record, ei) : ERR_NOMEM;

	if (rc != ERR_TOO_LARGE || a != r->arena || req_need_spare(r) == NULL)
		return rc;
	return record_build_outcome(r, r->spare, &r->record, ei);
}

enum req_step
step_settle(struct req *r)
{
	struct errinfo ei = {OK, ""};
	enum err rc = build_outcome(r, &ei);

	if (rc == OK && r->key != NULL)
		idempotency_build_outcome(r);
	if (rc != OK) {
		log_unrecorded(r, ei.msg);
		return fail_unrecorded_outcome(r);
	}
	r->entry = (struct ledger_entry){
		.loop = r->loop,
		.apply = apply_outcome,
		.done = outcome_done,
		.pending = outcome_pending,
		.must_write = true,
	};
	return hand_over(r);
}
