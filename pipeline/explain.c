/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * /explain: what the policy says of an action and why (nomos-http.md 1.5), from the same evaluation as the decision, without a
 * record or an effect. Strings are redacted one by one, so that a pattern never eats the JSON around it. Own loop's thread.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/redact.h"
#include "exec/output.h"
#include "policy/policy.h"
#include "req_state.h"

struct redaction {
	const struct redactor *redactor;
	struct arena *arena;
	struct buf *out;
};

static void
copy_string(const struct redaction *x, struct span text)
{
	struct span clean = output_redact(x->redactor, text, x->arena);

	json_quote(x->out, clean.p != NULL ? clean : SPAN_LIT("[REDACTED]"));
}

/* The same value with its strings redacted, members in the order they had. The depth is the parser's. */
static void
copy_redacted(const struct redaction *x, const struct json *v)
{
	bool is_object = v->type == JSON_OBJECT;

	switch (v->type) {
	case JSON_NULL:
	case JSON_BOOL:
	case JSON_NUMBER:
		buf_add_span(x->out, v->source);
		return;
	case JSON_STRING:
		copy_string(x, v->text);
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	buf_add_char(x->out, is_object ? '{' : '[');
	for (const struct json *e = v->first; e != NULL; e = e->next) {
		if (e != v->first)
			buf_add_char(x->out, ',');
		if (is_object) {
			copy_string(x, e->name);
			buf_add_char(x->out, ':');
		}
		copy_redacted(x, e);
	}
	buf_add_char(x->out, is_object ? '}' : ']');
}

/* {NULL, 0} when the arena is full. */
static struct span
redact_json(struct req *r, struct span text)
{
	const struct redactor *redactor = r->snapshot->redactor;
	const struct json *tree;
	struct buf out;

	if (redact_is_clean(redactor, text))
		return text;
	if (json_parse(text, r->arena, &tree, NULL, NULL) != OK)
		return SPAN_NONE;
	buf_init_arena(&out, r->arena, BUF_CAP_REPLY);
	copy_redacted(&(struct redaction){redactor, r->arena, &out}, tree);
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
		r->result.explain = redact_json(r, buf_span(&out));
	if (r->result.explain.n == 0)
		return req_fail(r, REQ_ERROR_OVERLOADED, SPAN_LIT("no room for the explanation"));
	return STEP_RESPOND;
}
