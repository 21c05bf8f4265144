/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the records of a request. Texts come from what was normalised and decided, never from the body again, and no path of
 * the host is among them. The decision is built on the request's loop, an outcome there or, to give back an intent that was
 * not released, on the ledger's thread.
 */
#include "records.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "classify.h"
#include "exec/output.h"
#include "policy/policy.h"
#include "req_state.h"
#include "summary.h"

enum {
	RISK_BITS = 6,
	/* Of rule ids; a policy in which thousands of rules match must not make a record that never fits. */
	RULE_IDS_MAX = 256,
	RULE_IDS_BYTES_MAX = 32768,
};

static const char *
network_mode(const struct action *action, const struct obligations *o)
{
	if (o->net_allowlist != NULL && o->net_allowlist->n > 0)
		return "allowlist";
	return action->kind == ACTION_NET_HTTP_REQUEST ? "open" : "deny";
}

static const char *
sandbox_mode_name(enum sandbox_mode mode)
{
	switch (mode) {
	case SANDBOX_LOCAL:
		return "local";
	case SANDBOX_CONTAINER:
		return "container";
	case SANDBOX_NONE:
		break;
	}
	return "none";
}

/* Sets a member from what was built in b; a failed buffer has failed the arena, which the renderer notices. */
static void
set_json(struct record *rec, enum record_member m, const struct buf *b)
{
	record_set_json(rec, m, buf_span(b));
}

static void
log_rule_ids_cut(const struct req *r, size_t n)
{
	static struct log_limiter limiter;
	struct log_subject about = {
		.request_id = r->input->request_id,
		.principal = r->identity.principal,
		.trace_id = r->action->trace_id,
		.step = "commit",
	};
	uint64_t dropped;

	if (log_limit(&limiter, &dropped))
		log_warn(&about, "the record names %zu of %zu matching rules", n,
			r->decision.n_rule_ids);
}

size_t
record_join_rule_ids(const struct decision *d, struct buf *out)
{
	size_t n = 0;

	buf_add_char(out, '[');
	for (; n < d->n_rule_ids && n < RULE_IDS_MAX; n++) {
		size_t before = out->n;

		if (n > 0)
			buf_add_char(out, ',');
		json_quote(out, d->rule_ids[n]);
		if (out->n > RULE_IDS_BYTES_MAX) {
			buf_truncate(out, before);
			break;
		}
	}
	buf_add_char(out, ']');
	return n;
}

/* The first ones by their bytes, as many as have room. */
static void
set_rule_ids(struct record *rec, const struct req *r, struct arena *a)
{
	struct buf b;
	size_t n;

	if (r->decision.n_rule_ids == 0)
		return;
	buf_init_arena(&b, a, BUF_CAP_RECORD);
	n = record_join_rule_ids(&r->decision, &b);
	set_json(rec, RECORD_MATCHED_RULE_IDS, &b);
	if (n < r->decision.n_rule_ids)
		log_rule_ids_cut(r, n);
}

static void
set_risk(struct record *rec, uint32_t risk, struct arena *a)
{
	struct buf b;

	record_set_text(rec, RECORD_RISK_LEVEL, span_cstr(action_risk_level(risk)));
	if (risk == 0)
		return;
	buf_init_arena(&b, a, BUF_CAP_RECORD);
	for (unsigned i = 0; i < RISK_BITS; i++) {
		if ((risk & (1u << i)) == 0)
			continue;
		buf_add_char(&b, b.n == 0 ? '[' : ',');
		json_quote(&b, span_cstr(action_risk_name((enum action_risk)(1u << i))));
	}
	buf_add_char(&b, ']');
	set_json(rec, RECORD_RISK_FLAGS, &b);
}

static void
set_obligations(struct record *rec, const struct obligations *o, struct arena *a)
{
	struct buf b;

	if (o->canonical.n > 0 && !span_eq_cstr(o->canonical, "{}"))
		record_set_json(rec, RECORD_OBLIGATIONS, o->canonical);
	if (o->credential_lease_ids == NULL || o->credential_lease_ids->n == 0)
		return;
	buf_init_arena(&b, a, BUF_CAP_RECORD);
	json_canonical(o->credential_lease_ids, &b);
	set_json(rec, RECORD_CREDENTIAL_LEASE_IDS, &b);
}

static void
set_policy(struct record *rec, const struct snapshot *s)
{
	const struct policy *p = s->policy;

	record_set_text(rec, RECORD_POLICY_BUNDLE_HASH, span_cstr(policy_get_hash(p)));
	record_set_json(rec, RECORD_POLICY_BUNDLE_SOURCES, policy_get_sources_json(p));
	record_set_json(rec, RECORD_POLICY_BUNDLE_INPUTS, policy_get_inputs_json(p));
	record_set_text(rec, RECORD_ENGINE_VERSION, s->engine_version);
	record_set_text(rec, RECORD_ASSURANCE_LEVEL, span_cstr(s->assurance));
}

/* Whole: the renderer redacts it, which has to come before any cut. */
static void
set_summary(struct record *rec, struct span action_type, struct span resource, struct arena *a)
{
	struct buf b;

	buf_init_arena(&b, a, BUF_CAP_RECORD);
	buf_add_span(&b, action_type);
	buf_add_char(&b, ' ');
	buf_add_span(&b, resource);
	record_set_text(rec, RECORD_ACTION_SUMMARY, buf_span(&b));
}

/* What both records of an action have in common. */
static void
set_action(struct record *rec, const struct req *r, struct arena *a)
{
	const struct action *action = r->action;
	struct span resource =
		action->resource.text.n > 0 ? action->resource.text : action->resource_raw;

	record_set_text(rec, RECORD_SCHEMA_VERSION, SPAN_LIT("v1"));
	record_set_text(rec, RECORD_REQUEST_ID, r->input->request_id);
	record_set_text(rec, RECORD_TRACE_ID, action->trace_id);
	record_set_text(rec, RECORD_ACTION_ID, action->action_id);
	record_set_text(rec, RECORD_PRINCIPAL, r->identity.principal);
	record_set_text(rec, RECORD_AGENT, r->identity.agent);
	record_set_text(rec, RECORD_ENVIRONMENT, r->identity.environment);
	record_set_text(rec, RECORD_ACTION_TYPE, action->action_type);
	record_set_text(rec, RECORD_RESOURCE, action->resource_raw);
	set_summary(rec, action->action_type, resource, a);
	record_set_text(rec, RECORD_PARAMS_REDACTED_SUMMARY,
		summarize_params(
			action->params_json, action->params_canonical, r->snapshot->redactor, a));
	set_policy(rec, r->snapshot);
	record_set_text(rec, RECORD_APPROVAL_ID, span_cstr(r->approval.id));
	if (r->normalize_problem.n > 0)
		return;
	record_set_text(rec, RECORD_RESOURCE_NORMALIZED, action->resource.text);
	record_set_text(rec, RECORD_PARAMS_HASH, span_cstr(action->params_hash));
	record_set_text(rec, RECORD_ACTION_FINGERPRINT, span_cstr(action->fingerprint));
	record_set_text(rec, RECORD_BINDING_HASH, span_cstr(action->binding_hash));
	set_risk(rec, action->risk, a);
	record_set_text(
		rec, RECORD_SANDBOX_MODE, span_cstr(sandbox_mode_name(req_sandbox_mode(r))));
	record_set_text(rec, RECORD_NETWORK_MODE,
		span_cstr(network_mode(action, &r->decision.obligations)));
}

static void
set_result(struct record *rec, const struct req *r, struct result_class class)
{
	int64_t elapsed_ns = clock_mono_ns() - r->started_ns;

	record_set_int(rec, RECORD_DURATION_MS, elapsed_ns / NS_PER_MS);
	record_set_text(rec, RECORD_RESULT_CLASSIFICATION, span_cstr(class.name));
	record_set_bool(rec, RECORD_RETRYABLE, class.is_retryable);
}

/* A member whose value is a word of ours. */
static void
add_word(struct buf *b, const char *name, const char *value)
{
	buf_add_cstr(b, name);
	json_quote(b, span_cstr(value));
}

/* The result summary, members sorted. Everything in it is short but the problem, which is redacted before it is cut. */
static void
set_result_summary(struct record *rec, const struct req *r, struct span problem, const char *reason,
	struct arena *a)
{
	struct span clean = output_redact(r->snapshot->redactor, problem, a);
	struct buf b;

	buf_init_arena(&b, a, BUF_CAP_RECORD);
	buf_add_char(&b, '{');
	if (r->job.has_bytes_written)
		buf_printf(&b, "\"bytes_written\":%lld,", (long long)r->job.bytes_written);
	add_word(&b, "\"decision\":", verdict_name(r->result.verdict));
	buf_add_char(&b, ',');
	if (clean.n > 0) {
		BUF_ADD_LIT(&b, "\"error\":");
		json_quote(&b, span_of(clean.p, utf8_cut(clean, SUMMARY_BYTES_MAX / 2)));
		buf_add_char(&b, ',');
	}
	add_word(&b, "\"reason\":", reason);
	if (r->job.truncated)
		BUF_ADD_LIT(&b, ",\"truncated\":true");
	buf_add_char(&b, '}');
	record_set_text(rec, RECORD_RESULT_REDACTED_SUMMARY, buf_span(&b));
}

static void
set_rate_refusal(struct record *rec, const struct rate_refusal *refusal, struct arena *a)
{
	struct buf b;

	buf_init_arena(&b, a, BUF_CAP_RECORD);
	BUF_ADD_LIT(&b, "{\"rate_limit_bucket_key\":");
	json_quote(&b, refusal->bucket_key);
	buf_printf(&b,
		",\"rate_limit_refill_per_minute\":%lld,\"rate_limit_remaining_tokens\":%lld",
		(long long)refusal->refill_per_minute, (long long)refusal->remaining_tokens);
	BUF_ADD_LIT(&b, ",\"rate_limit_rule_id\":");
	json_quote(&b, refusal->rule_id);
	buf_printf(&b, ",\"rate_limit_scope\":\"%s\"}", refusal->scope);
	set_json(rec, RECORD_EXECUTOR_METADATA, &b);
}

static void
set_decision_metadata(struct record *rec, const struct req *r, struct arena *a)
{
	if (r->result.reason == REASON_RATE_LIMIT_EXCEEDED)
		set_rate_refusal(rec, &r->rate_refusal, a);
	else if (r->result.is_external)
		record_set_json(rec, RECORD_EXECUTOR_METADATA,
			SPAN_LIT("{\"execution_mode\":\"external_authorized\","
				 "\"nomos_executed\":false,\"reporting_supported\":true}"));
}

enum err
record_build_decision(struct req *r, struct arena *a, struct record_text *out, struct errinfo *ei)
{
	struct record *rec = record_new(a, "action.decision");
	const char *reason = decision_reason(r);

	if (rec == NULL)
		return ERR(ei, ERR_TOO_LARGE, "no room for the record");
	set_action(rec, r, a);
	record_set_text(rec, RECORD_DECISION, span_cstr(verdict_name(r->result.verdict)));
	record_set_text(rec, RECORD_REASON, span_cstr(reason));
	set_rule_ids(rec, r, a);
	set_obligations(rec, &r->decision.obligations, a);
	/* Nothing will be carried out: the decision is all there is to tell. */
	if (r->record_state != LEDGER_OPEN) {
		set_result(rec, r, classify_decision(r));
		set_result_summary(rec, r, r->normalize_problem, reason, a);
		set_decision_metadata(rec, r, a);
	}
	return record_render(rec, r->snapshot->redactor, a, out, ei);
}

enum err
record_build_outcome(struct req *r, struct arena *a, struct record_text *out, struct errinfo *ei)
{
	struct record *rec = record_new(a, "action.completed");
	const char *reason = outcome_reason(r);
	struct buf metadata;

	if (rec == NULL)
		return ERR(ei, ERR_TOO_LARGE, "no room for the record");
	set_action(rec, r, a);
	record_set_int(rec, RECORD_INTENT_SEQ, (int64_t)r->intent_seq);
	record_set_text(rec, RECORD_DECISION, span_cstr(verdict_name(r->result.verdict)));
	record_set_text(rec, RECORD_REASON, span_cstr(reason));
	record_set_text(rec, RECORD_OUTCOME, span_cstr(outcome_name(r->job.status)));
	set_result(rec, r, classify_outcome(&r->job));
	set_result_summary(rec, r, r->job.message, reason, a);
	if (r->job.status == EXEC_DONE) {
		buf_init_arena(&metadata, a, BUF_CAP_RECORD);
		r->executor->describe(&r->job, &metadata);
		set_json(rec, RECORD_EXECUTOR_METADATA, &metadata);
	}
	return record_render(rec, r->snapshot->redactor, a, out, ei);
}
