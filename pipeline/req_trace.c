/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What telemetry is told of a request: its steps, and what they came to. Names and results of what was normalised; never
 * parameters or output. Own loop's thread.
 */
#include "classify.h"
#include "outbound/telemetry.h"
#include "outbound/trace.h"
#include "policy/policy.h"
#include "req_state.h"

void
req_trace_step(struct req *r, enum req_step next, int64_t now_ns)
{
	bool has_failed = next == STEP_RESPOND && r->result.error != REQ_DECIDED;

	trace_add_span(r->input->trace, req_step_name(r->step), r->step_ns, now_ns, has_failed);
}

/* A line for each, as many as one text can hold. */
static void
set_rule_ids(struct trace *t, const struct decision *d)
{
	char lines[TRACE_TEXT_BYTES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < d->n_rule_ids; i++) {
		struct span id = d->rule_ids[i];

		if (id.n + 1 > sizeof(lines) - n)
			break;
		memcpy(lines + n, id.p, id.n);
		n += id.n;
		lines[n++] = '\n';
	}
	trace_set_text(t, TRACE_RULE_IDS, span_of(lines, n));
}

static void
set_action(struct trace *t, const struct req *r)
{
	const struct action *a = r->action;

	trace_set_text(t, TRACE_ACTION_TYPE, a->action_type);
	trace_set_text(t, TRACE_ACTION_ID, a->action_id);
	trace_set_text(t, TRACE_TRACE_ID, a->trace_id);
	/* What has no normal form may be anything. */
	trace_set_text(t, TRACE_RESOURCE, a->resource.text);
}

/* class: NULL when nothing was judged. A request that was held tells of its last try. */
static void
set_result(struct trace *t, const struct req *r, const char *class)
{
	bool has_decision = class != NULL && r->result.error != REQ_ERROR_NORMALIZATION;

	trace_set_text(t, TRACE_DECISION,
		has_decision ? span_cstr(verdict_name(r->result.verdict)) : SPAN_NONE);
	trace_set_text(t, TRACE_REASON,
		has_decision ? span_cstr(reason_name(r->result.reason)) : SPAN_NONE);
	if (has_decision)
		set_rule_ids(t, &r->decision);
	trace_set_text(t, TRACE_RESULT, span_cstr(class));
	trace_set_text(t, TRACE_APPROVAL_ID, r->result.approval_id);
	t->ledger_seq = r->result.seq;
	t->is_executed = r->job.settings != NULL;
	t->is_action = class != NULL;
}

static void
set_limit(struct trace *t, const struct req *r)
{
	bool is_exceeded = r->result.reason == REASON_RATE_LIMIT_EXCEEDED;

	t->rate_result = is_exceeded ? "exceeded" : "allowed";
	t->rate_scope = is_exceeded ? r->rate_refusal.scope : NULL;
	trace_set_text(t, TRACE_RATE_RULE, r->rate_refusal.rule_id);
}

/* Of a request that was held: what it was answered before stands until another try does something. */
static bool
is_told(const struct trace *t, enum req_error e)
{
	return t->is_action &&
	       (e == REQ_ERROR_RATE || e == REQ_ERROR_CIRCUIT || e == REQ_ERROR_OVERLOADED);
}

void
req_trace_answer(struct req *r)
{
	struct trace *t = r->input->trace;
	const char *class = r->input->operation == REQ_OP_ACTION ? classify_request(r) : NULL;

	if (is_told(t, r->result.error))
		return;
	trace_set_text(t, TRACE_PRINCIPAL, r->identity.principal);
	trace_set_text(t, TRACE_AGENT, r->identity.agent);
	trace_set_text(t, TRACE_ENVIRONMENT, r->identity.environment);
	trace_set_text(t, TRACE_POLICY_HASH, span_cstr(policy_get_hash(r->snapshot->policy)));
	trace_set_text(t, TRACE_ASSURANCE, span_cstr(r->snapshot->assurance));
	trace_set_text(t, TRACE_ERROR, span_cstr(req_error_code(r->result.error)));
	if (r->action != NULL)
		set_action(t, r);
	set_result(t, r, class);
	if (class != NULL && r->normalize_problem.n == 0 && r->snapshot->rate_limits != NULL)
		set_limit(t, r);
}

void
req_count_action(const struct req *r)
{
	const char *class = r->input->operation == REQ_OP_ACTION ? classify_request(r) : NULL;
	bool has_decision = r->result.error != REQ_ERROR_NORMALIZATION;

	if (class != NULL)
		telemetry_count_action(r->pipeline->telemetry,
			has_decision ? verdict_name(r->result.verdict) : NULL, class);
}

void
req_count_limit(const struct req *r, enum err rc)
{
	const struct telemetry_limit limit = {
		.result = rc == OK ? "allowed" : "exceeded",
		.scope = rc == OK ? NULL : r->rate_refusal.scope,
		.rule_id = rc == OK ? SPAN_NONE : r->rate_refusal.rule_id,
		.action_type = r->action->action_type,
		.principal = r->identity.principal,
	};

	if (rc == OK || rc == ERR_RATE)
		telemetry_count_limit(r->pipeline->telemetry, r->snapshot->redactor, &limit);
}
