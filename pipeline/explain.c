/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * /explain: what the policy says of an action and why (nomos-http.md 1.5), from the same evaluation as the decision, without a
 * record or an effect. Strings are redacted one by one, so that a pattern never eats the JSON around it. Own loop's thread.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/redact.h"
#include "pipeline/redact_json.h"
#include "policy/policy.h"
#include "req_state.h"

/* {NULL, 0} when the arena is full. */
static struct span
redact_text(struct req *r, struct span text)
{
	const struct redactor *redactor = r->snapshot->redactor;
	const struct json *tree;
	struct buf out;

	if (redact_is_clean(redactor, text))
		return text;
	if (json_parse(text, r->arena, &tree, NULL, NULL) != OK)
		return SPAN_NONE;
	buf_init_arena(&out, r->arena, BUF_CAP_REPLY);
	redact_json(redactor, tree, r->arena, &out);
	return buf_failed(&out) ? SPAN_NONE : buf_span(&out);
}

enum req_step
explain(struct req *r)
{
	struct policy_explain_options options = {
		.suggestions = r->snapshot->explain_suggestions,
		.engine_version = r->snapshot->engine_version,
		.assurance_level = span_cstr(r->snapshot->assurance),
	};
	struct buf out;

	buf_init_arena(&out, r->arena, BUF_CAP_REPLY);
	if (policy_explain(r->snapshot->policy, r->action, r->arena, &options, &out, NULL) == OK &&
		!buf_failed(&out))
		r->result.explain = redact_text(r, buf_span(&out));
	if (r->result.explain.n == 0)
		return req_fail(r, REQ_ERROR_OVERLOADED, SPAN_LIT("no room for the explanation"));
	return STEP_RESPOND;
}
