/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * /explain: what the policy says of an action and why (nomos-http.md 1.5), from the same evaluation as the decision, without a
 * record or an effect. Strings are redacted one by one, so that a pattern never eats the JSON around it. Own loop's thread.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/redact.h"
#include "pipeline/observe.h"
#include "pipeline/redact_json.h"
#include "policy/policy.h"
#include "req_state.h"

/* {NULL, 0} when the arena is full. */
static struct span
redact_text(const struct redactor *redactor, struct arena *a, struct span text)
{
	const struct json *tree;
	struct buf out;

	if (redact_is_clean(redactor, text))
		return text;
	if (json_parse(text, a, &tree, NULL, NULL) != OK)
		return SPAN_NONE;
	buf_init_arena(&out, a, BUF_CAP_REPLY);
	redact_json(redactor, tree, a, &out);
	return buf_failed(&out) ? SPAN_NONE : buf_span(&out);
}

/* {NULL, 0} when there is no room. */
static struct span
build_explanation(const struct snapshot *s, const struct action *action, struct arena *a)
{
	struct policy_explain_options options = {
		.suggestions = s->explain_suggestions,
		.engine_version = s->engine_version,
		.assurance_level = span_cstr(s->assurance),
	};
	struct buf out;

	buf_init_arena(&out, a, BUF_CAP_REPLY);
	if (policy_explain(s->policy, action, a, &options, &out, NULL) != OK || buf_failed(&out))
		return SPAN_NONE;
	return redact_text(s->redactor, a, buf_span(&out));
}

enum req_step
explain(struct req *r)
{
	r->result.explain = build_explanation(r->snapshot, r->action, r->arena);
	if (r->result.explain.n == 0)
		return req_fail(r, REQ_ERROR_OVERLOADED, SPAN_LIT("no room for the explanation"));
	return STEP_RESPOND;
}

enum err
observe_explain(const struct snapshot *s, struct span body, struct arena *a, struct buf *out,
	struct errinfo *ei)
{
	struct identity identity;
	struct action *action = NULL;
	enum err rc = action_parse_file(body, a, &action, &identity, ei);

	if (rc == OK)
		rc = action_normalize(action, &identity, a, ei);
	if (rc != OK)
		return rc;
	struct span text = build_explanation(s, action, a);
	if (text.n == 0)
		return ERR(ei, ERR_TOO_LARGE, "no room for the explanation");
	buf_add_span(out, text);
	return OK;
}
