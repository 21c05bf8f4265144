/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The member is put behind the brace that opens its object, so that nothing of the text is written anew. One thread. */
#include "approval_member.h"

#include "base/buf.h"
#include "base/json.h"

static void
add_member(struct buf *out, struct span approval_id)
{
	BUF_ADD_LIT(out, "\"approval\":{\"approval_id\":");
	json_quote(out, approval_id);
	buf_add_char(out, '}');
}

enum err
approval_member_add(struct span action, struct span approval_id, struct arena *a, struct buf *out,
	struct errinfo *ei)
{
	const struct json *root = NULL;
	enum err rc = json_parse(action, a, &root, NULL, ei);

	if (rc != OK)
		return rc;
	const struct json *context = json_find_cstr(root, "context");
	const struct json *extensions = json_find_cstr(context, "extensions");
	if (context == NULL || context->type != JSON_OBJECT)
		return ERR(ei, ERR_INVALID, "the action has no object \"context\"");
	if (extensions != NULL && extensions->type != JSON_OBJECT)
		return ERR(ei, ERR_INVALID, "context.extensions is no object");
	if (json_find_cstr(extensions, "approval") != NULL)
		return ERR(ei, ERR_INVALID, "the action names an approval already");
	const struct json *into = extensions != NULL ? extensions : context;
	size_t at = (size_t)(into->source.p - action.p) + 1;
	buf_add_span(out, span_of(action.p, at));
	if (extensions == NULL)
		BUF_ADD_LIT(out, "\"extensions\":{");
	add_member(out, approval_id);
	if (extensions == NULL)
		buf_add_char(out, '}');
	if (into->n > 0)
		buf_add_char(out, ',');
	buf_add_span(out, span_from(action, at));
	return buf_failed(out) ? ERR(ei, ERR_NOMEM, "out of memory") : OK;
}
