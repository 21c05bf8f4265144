/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps before anything is recorded or done: authenticate, admit, parse, normalise, limit, decide (decisions 1 to 5). Each
 * does one thing and names the next one. None blocks, none has an effect outside of memory. Own loop's thread.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "limit/bucket_table.h"
#include "policy/policy.h"
#include "req_state.h"

enum { UTF8_BYTES_MAX = 4 };

static enum req_step
fail_overloaded(struct req *r)
{
	return req_fail(r, REQ_ERROR_OVERLOADED, SPAN_LIT("out of memory for this request"));
}

/*
 * The text of ei in the arena: ei is on a stack. One that was cut may end in half a secret of the request, which nobody would
 * recognise any more.
 */
static struct span
dup_message(struct req *r, const struct errinfo *ei)
{
	struct span text = span_cstr(ei->msg);

	if (text.n >= ERRINFO_MAX - UTF8_BYTES_MAX - 4 && span_ends(text, SPAN_LIT("...")))
		text = span_cstr(err_text(ei->code));
	return arena_dup(r->arena, text);
}

static enum req_step
fail_with(struct req *r, enum req_error error, const struct errinfo *ei)
{
	struct span text = dup_message(r, ei);

	return text.p != NULL ? req_fail(r, error, text) : fail_overloaded(r);
}

/* Principal, agent and environment, apart from each other by NUL, which no name holds. */
static struct span
join_identity(const struct identity *i, struct arena *a)
{
	size_t n = i->principal.n + i->agent.n + i->environment.n + 2;
	char *p = arena_alloc(a, n);

	if (p == NULL)
		return SPAN_NONE;
	memcpy(p, i->principal.p, i->principal.n);
	p[i->principal.n] = '\0';
	memcpy(p + i->principal.n + 1, i->agent.p, i->agent.n);
	p[i->principal.n + 1 + i->agent.n] = '\0';
	memcpy(p + n - i->environment.n, i->environment.p, i->environment.n);
	return span_of(p, n);
}

enum req_step
step_authenticate(struct req *r)
{
	struct errinfo ei;
	const char *why;
	enum err rc = identity_authenticate(r->snapshot->identities, r->pipeline->nonces,
		&r->input->credentials, r->input->body, &r->identity, &r->caller, &why, &ei);

	if (rc != OK) {
		r->refused_why = why[0] != '\0' ? why : NULL;
		return fail_with(r, REQ_ERROR_AUTH, &ei);
	}
	/* A name of the connection ends with it, and what is owed to the ledger may take longer. */
	r->identity.principal = arena_dup(r->arena, r->identity.principal);
	r->identity_key = join_identity(&r->identity, r->arena);
	if (r->identity_key.p == NULL || arena_failed(r->arena))
		return fail_overloaded(r);
	return STEP_ADMIT;
}

static uint32_t
seconds_up(int64_t ns)
{
	int64_t s = (ns + NS_PER_SEC - 1) / NS_PER_SEC;

	return s < 1 ? 1 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

static enum req_step
fail_until(struct req *r, enum req_error error, struct span message, int64_t wait_ns)
{
	enum req_step next = req_fail(r, error, message);

	r->result.retry_after_s = seconds_up(wait_ns);
	return next;
}

static const char *const operation_names[] = {
	[REQ_OP_ACTION] = "action", [REQ_OP_EXPLAIN] = "explain", [REQ_OP_REPORT] = "report"};

/* Each has buckets of its own, so that no kind of request starves another. */
static struct span
coarse_key(struct req *r)
{
	struct span kind = span_cstr(operation_names[r->input->operation]);
	struct span rate = arena_printf(
		r->arena, "|%lld", (long long)r->snapshot->gateway.rate_limit_per_minute);
	size_t n = kind.n + 1 + r->identity_key.n + rate.n;
	char *p = arena_alloc(r->arena, n);

	if (p == NULL || rate.p == NULL)
		return SPAN_NONE;
	memcpy(p, kind.p, kind.n);
	p[kind.n] = '\0';
	memcpy(p + kind.n + 1, r->identity_key.p, r->identity_key.n);
	memcpy(p + n - rate.n, rate.p, rate.n);
	return span_of(p, n);
}

static enum req_step
pass_breaker(struct req *r)
{
	int64_t wait_ns;

	r->breaker_pass = breakers_enter(r->pipeline->breakers, r->identity_key, &wait_ns);
	if (r->breaker_pass == BREAKER_REFUSED)
		return fail_until(
			r, REQ_ERROR_CIRCUIT, SPAN_LIT("circuit breaker is open"), wait_ns);
	return STEP_PARSE;
}

enum req_step
step_admit(struct req *r)
{
	const struct gateway_limits *limits = &r->snapshot->gateway;
	struct span key = coarse_key(r);
	int64_t wait_ns;

	if (key.p == NULL)
		return fail_overloaded(r);
	if (r->input->operation == REQ_OP_ACTION) {
		r->has_slot = slots_take(&r->pipeline->slots, (size_t)limits->concurrency_limit);
		if (!r->has_slot)
			return req_fail(r, REQ_ERROR_RATE,
				SPAN_LIT("concurrency limit reached (gateway.concurrency_limit)"));
	}
	if (rate_limits_take_coarse(r->pipeline->coarse_buckets, r->identity.principal, key,
		    limits->rate_limit_per_minute, &wait_ns) != OK)
		return fail_until(r, REQ_ERROR_RATE, SPAN_LIT("rate limit exceeded"), wait_ns);
	if (r->input->operation == REQ_OP_REPORT)
		return STEP_REPORT;
	return r->input->operation == REQ_OP_ACTION ? pass_breaker(r) : STEP_PARSE;
}

enum req_step
step_parse(struct req *r)
{
	struct errinfo ei;
	enum err rc;

	if (r->input->operation == REQ_OP_ACTION && r->input->idempotency_key.p != NULL) {
		enum req_step next = idempotency_prepare(r);

		if (next != STEP__MAX)
			return next;
	}
	if (!req_is_json(r->input->media_type))
		return req_fail(r, REQ_ERROR_MEDIA_TYPE, REQ_TEXT_MEDIA_TYPE);
	rc = action_parse(r->input->body, r->arena, &r->action, &ei);
	if (rc == OK)
		return STEP_NORMALIZE;
	if (rc == ERR_TOO_LARGE && r->input->body.n > ACTION_BODY_BYTES_MAX)
		return fail_with(r, REQ_ERROR_TOO_LARGE, &ei);
	if (rc == ERR_TOO_LARGE)
		return fail_overloaded(r);
	return fail_with(r, REQ_ERROR_VALIDATION, &ei);
}

enum req_step
step_normalize(struct req *r)
{
	struct errinfo ei;
	enum err rc = action_normalize(r->action, &r->identity, r->arena, &ei);

	if (rc == OK)
		return STEP_LIMIT;
	if (rc == ERR_TOO_LARGE)
		return fail_overloaded(r);
	if (rc != ERR_NORMALIZE)
		return fail_with(r, REQ_ERROR_VALIDATION, &ei);
	r->normalize_problem = dup_message(r, &ei);
	if (r->normalize_problem.p == NULL)
		return fail_overloaded(r);
	if (r->input->operation == REQ_OP_EXPLAIN)
		return req_fail(r, REQ_ERROR_NORMALIZATION, r->normalize_problem);
	return STEP_COMMIT;
}

enum req_step
step_limit(struct req *r)
{
	enum err rc;

	if (r->input->operation == REQ_OP_EXPLAIN)
		return STEP_DECIDE;
	rc = rate_limits_take(r->snapshot->rate_limits, r->pipeline->rule_buckets, r->action,
		r->arena, &r->rate_refusal);
	if (r->pipeline->telemetry != NULL && r->snapshot->rate_limits != NULL)
		req_count_limit(r, rc);
	if (rc == OK)
		return STEP_DECIDE;
	if (rc != ERR_RATE)
		return fail_overloaded(r);
	r->result.verdict = VERDICT_DENY;
	r->result.reason = REASON_RATE_LIMIT_EXCEEDED;
	return STEP_COMMIT;
}

enum sandbox_mode
req_sandbox_mode(const struct req *r)
{
	enum sandbox_mode asked = r->decision.obligations.sandbox_mode;
	enum sandbox_mode configured = r->snapshot->sandbox_profile;

	return asked > configured ? asked : configured;
}

/* What the policy allows and this program cannot do, or not so, is denied (decisions 2, 34). */
static enum reason
find_obstacle(const struct req *r)
{
	const struct action *action = r->action;

	if (action->params_err != OK)
		return REASON_INVALID_PARAMS;
	if (action->kind == ACTION_CUSTOM)
		return REASON_ALLOW_BY_RULE;
	if (executor_find(action->kind) == NULL)
		return REASON_UNSUPPORTED_ACTION;
	if (action->resource.scheme != RESOURCE_FILE)
		return REASON_INVALID_RESOURCE;
	/* The kernel's rules on names below the workspace are a sandbox of the local kind. */
	if (req_sandbox_mode(r) == SANDBOX_CONTAINER)
		return REASON_SANDBOX_REQUIRED;
	return REASON_ALLOW_BY_RULE;
}

static void
settle_verdict(struct req *r)
{
	const struct decision *d = &r->decision;

	r->result.verdict = VERDICT_DENY;
	r->result.reason = d->reason;
	switch (d->verdict) {
	case VERDICT_ALLOW:
		r->result.reason = find_obstacle(r);
		if (r->result.reason != REASON_ALLOW_BY_RULE)
			return;
		r->result.verdict = VERDICT_ALLOW;
		r->result.reason = d->reason;
		r->executor = executor_find(r->action->kind);
		r->result.is_external = r->executor == NULL;
		return;
	case VERDICT_REQUIRE_APPROVAL:
		r->result.reason = REASON_APPROVALS_UNAVAILABLE;
		if (!r->snapshot->approvals.is_enabled)
			return;
		r->result.verdict = VERDICT_REQUIRE_APPROVAL;
		r->result.reason = d->reason;
		r->approval.is_asked = true;
		r->approval.obstacle = find_obstacle(r);
		return;
	case VERDICT_DENY:
	case VERDICT__MAX:
		return;
	}
}

static enum req_step
prepare_approval(struct req *r)
{
	struct errinfo ei;
	enum err rc = approval_prepare(r, &ei);

	if (rc == ERR_INVALID)
		return fail_with(r, REQ_ERROR_VALIDATION, &ei);
	return rc == OK ? STEP_COMMIT : fail_overloaded(r);
}

enum req_step
step_decide(struct req *r)
{
	if (r->input->operation == REQ_OP_EXPLAIN)
		return explain(r);
	if (policy_eval(r->snapshot->policy, r->action, r->arena, &r->decision) != OK)
		return fail_overloaded(r);
	settle_verdict(r);
	r->result.has_fingerprint = true;
	r->result.obligations = &r->decision.obligations;
	return r->approval.is_asked ? prepare_approval(r) : STEP_COMMIT;
}
