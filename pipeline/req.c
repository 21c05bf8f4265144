/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a request: the driver that takes it from step to step along the rows of step_tbl.h, and the answer. Where its
 * memory comes from and goes to: req_pool.c. The driver decides nothing; a transition that the table does not allow aborts, because the
 * order of the steps is what the safety rules rest on. Own loop's thread, but for the atomic counts.
 */
#include "pipeline/req.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "base/redact.h"
#include "exec/output.h"
#include "limit/bucket_table.h"
#include "req_state.h"

static enum req_step step_respond(struct req *r);

static enum req_step (*const step_functions[STEP__MAX])(struct req *r) = {
	[STEP_AUTHENTICATE] = step_authenticate,
	[STEP_ADMIT] = step_admit,
	[STEP_PARSE] = step_parse,
	[STEP_NORMALIZE] = step_normalize,
	[STEP_LIMIT] = step_limit,
	[STEP_DECIDE] = step_decide,
	[STEP_COMMIT] = step_commit,
	[STEP_EFFECT] = step_effect,
	[STEP_SETTLE] = step_settle,
	[STEP_REPORT] = step_report,
	[STEP_RESPOND] = step_respond,
};

struct step_row {
	const char *name;
	unsigned next;
};

static const struct step_row steps[STEP__MAX] = {
#define X(id, name, next) [id] = {name, next},
#include "pipeline/step_tbl.h"
#undef X
};

struct error_row {
	unsigned status;
	const char *code;
	uint32_t retry_after_s;
};

static const struct error_row errors[REQ_ERROR__MAX] = {
#define X(id, status, code, retry_after) [id] = {status, code, retry_after},
#include "pipeline/error_tbl.h"
#undef X
};

unsigned
req_error_status(enum req_error e)
{
	MUST(e < REQ_ERROR__MAX);
	return errors[e].status;
}

const char *
req_error_code(enum req_error e)
{
	MUST(e < REQ_ERROR__MAX);
	return errors[e].code;
}

const char *
req_step_name(enum req_step s)
{
	MUST(s < STEP__MAX);
	return steps[s].name;
}

enum err
req_authorize_operator(const struct snapshot *s, const struct req_credentials *credentials,
	enum role role, struct caller *caller)
{
	if (identity_find_caller(s->identities, credentials, caller) != OK)
		return ERR_AUTH;
	if (caller_has_role(caller, role))
		return OK;
	caller_drop(caller);
	return ERR_FORBIDDEN;
}

unsigned
req_get_roles(const struct snapshot *s, struct span principal)
{
	return identity_get_roles(s->identities, principal);
}

enum err
req_authorize_reader(const struct pipeline *p, const struct snapshot *s,
	const struct req_credentials *credentials, struct identity *out, struct caller *by)
{
	return identity_find_reader(s->identities, p->nonces, credentials, out, by);
}

/* The transition is checked in every build: nothing may skip the commit on its way to an effect. */
static void
move_to(struct req *r, enum req_step next)
{
	int64_t now = clock_mono_ns();

	MUST(next < STEP__MAX && (steps[r->step].next & (1u << next)) != 0);
	/* A step that waits takes until it goes on. */
	histogram_add(&r->pool->step_times[r->step], histogram_times, now - r->step_ns);
	if (r->input->trace != NULL)
		req_trace_step(r, next, now);
	r->step_ns = now;
	r->step = next;
}

/* After STEP_RESPOND the request may be gone. */
static void
run(struct req *r)
{
	for (;;) {
		enum req_step step = r->step;
		enum req_step next = step_functions[step](r);

		if (step == STEP_RESPOND || next == STEP_WAIT)
			return;
		move_to(r, next);
	}
}

void
req_start(struct req *r, const struct req_input *input)
{
	OBJ_CHECK(r, REQ_MAGIC);
	r->input = input;
	r->started_ns = clock_mono_ns();
	r->step_ns = r->started_ns;
	r->step = STEP_AUTHENTICATE;
	run(r);
}

void
req_resume(struct req *r, enum req_step next)
{
	OBJ_CHECK(r, REQ_MAGIC);
	move_to(r, next);
	run(r);
}

enum req_step
req_fail(struct req *r, enum req_error error, struct span message)
{
	MUST(error != REQ_DECIDED);
	r->result.error = error;
	r->result.message = message;
	r->result.retry_after_s = errors[error].retry_after_s;
	return STEP_RESPOND;
}

/* One line for what is not recorded (decisions 3), at most one per second. */
static void
log_refusal(const struct req *r)
{
	static struct log_limiter limiter;
	struct log_subject about = {
		.request_id = r->input->request_id,
		.principal = r->identity.principal,
		.step = "respond",
	};
	uint64_t dropped;

	if (!log_limit(&limiter, &dropped))
		return;
	log_warn(&about, "%s: %.*s%s%s", errors[r->result.error].code, SPAN_ARG(r->result.message),
		r->refused_why != NULL ? ": " : "", r->refused_why != NULL ? r->refused_why : "");
	if (dropped > 0)
		log_warn(NULL, "%llu more refusals were not logged", (unsigned long long)dropped);
}

static void
count_decision(const struct req *r)
{
	decision_stats_count(
		&r->pool->stats, loop_now_ns(r->loop), r->result.verdict, r->result.reason);
	for (size_t i = 0; i < r->decision.n_rule_ids; i++)
		snapshot_count_rule(r->snapshot, r->decision.rule_ids[i]);
}

static void
count_answer(const struct req *r)
{
	switch (r->result.error) {
	case REQ_DECIDED:
		if (r->input->operation == REQ_OP_ACTION)
			count_decision(r);
		return;
	case REQ_ERROR_AUTH:
		metric_add(METRIC_AUTH_FAILED, 1);
		break;
	case REQ_ERROR_RATE:
	case REQ_ERROR_CIRCUIT:
		metric_add(METRIC_RATE_LIMITED, 1);
		break;
	case REQ_ERROR_MEDIA_TYPE:
		metric_add(METRIC_MEDIA_TYPE, 1);
		break;
	case REQ_ERROR_VALIDATION:
	case REQ_ERROR_TOO_LARGE:
	case REQ_ERROR_NOT_ENABLED:
	case REQ_ERROR_NORMALIZATION:
	case REQ_ERROR_RESOURCE:
	case REQ_ERROR_EXECUTION:
	case REQ_ERROR_AUDIT:
	case REQ_ERROR_UNRECORDED:
	case REQ_ERROR_OVERLOADED:
	case REQ_ERROR_FORBIDDEN:
	case REQ_ERROR_KEY_IN_PROGRESS:
	case REQ_ERROR_OUTCOME_UNKNOWN:
	case REQ_ERROR_RECORD_UNKNOWN:
	case REQ_ERROR_KEY_MISMATCH:
	case REQ_ERROR_KEY_LIMIT:
	case REQ_ERROR_ACTION_ID:
	case REQ_ERROR_REPORT_UNMATCHED:
	case REQ_ERROR_REPORTED:
	case REQ_ERROR_REPORT_MISMATCH:
	case REQ_ERROR_INTERNAL:
	case REQ_ERROR__MAX:
		break;
	}
	metric_add(METRIC_REQUESTS_REFUSED, 1);
	log_refusal(r);
}

static void
leave_breaker(struct req *r)
{
	struct breaker_limits limits = {
		.failures = r->snapshot->gateway.circuit_breaker_failures,
		.cooldown_ns = r->snapshot->gateway.circuit_breaker_cooldown_seconds * NS_PER_SEC,
	};

	if (r->breaker_pass != BREAKER_REFUSED)
		breakers_leave(r->pipeline->breakers, r->identity_key, r->breaker_pass,
			r->breaker_outcome, &limits);
	r->breaker_pass = BREAKER_REFUSED;
}

/* A message may quote the request; what it quotes is redacted like all that goes out. */
static void
redact_message(struct req *r)
{
	struct span clean = output_redact(r->snapshot->redactor, r->result.message, r->arena);

	r->result.message = clean.p != NULL ? clean : SPAN_LIT("[REDACTED]");
}

static enum req_step
step_respond(struct req *r)
{
	MUST(!r->is_answered);
	r->is_answered = true;
	leave_breaker(r);
	if (r->has_place)
		workq_release(r->pipeline->pool);
	r->has_place = false;
	/* While the ledger still has the outcome the slot stays taken, which bounds how many wait. */
	if (r->has_slot && !r->has_entry) {
		slots_give(&r->pipeline->slots);
		r->has_slot = false;
	}
	if (r->result.error != REQ_DECIDED)
		redact_message(r);
	r->result.action = r->action;
	r->result.policy_hash = policy_get_hash(r->snapshot->policy);
	count_answer(r);
	if (r->pipeline->telemetry != NULL)
		req_count_action(r);
	if (r->input->trace != NULL)
		req_trace_answer(r);
	r->done(r, &r->result, r->arg);
	return STEP_WAIT;
}
