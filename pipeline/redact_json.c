/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Copies a tree with its strings redacted. Any thread. */
#include "pipeline/redact_json.h"

#include "base/buf.h"
#include "base/json.h"
#include "exec/output.h"

static void
copy_string(const struct redactor *redactor, struct span text, struct arena *a, struct buf *out)
{
	struct span clean = output_redact(redactor, text, a);

	json_quote(out, clean.p != NULL ? clean : SPAN_LIT("[REDACTED]"));
}

void
redact_json(const struct redactor *redactor, const struct json *v, struct arena *a, struct buf *out)
{
	bool is_object = v->type == JSON_OBJECT;

	switch (v->type) {
	case JSON_NULL:
		BUF_ADD_LIT(out, "null");
		return;
	case JSON_BOOL:
		buf_add_cstr(out, v->boolean ? "true" : "false");
		return;
	case JSON_NUMBER:
		/* Not source: a tree that was made, or read from YAML, has none. */
		buf_add_span(out, v->text);
		return;
	case JSON_STRING:
		copy_string(redactor, v->text, a, out);
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	buf_add_char(out, is_object ? '{' : '[');
	for (const struct json *e = v->first; e != NULL; e = e->next) {
		if (e != v->first)
			buf_add_char(out, ',');
		if (is_object) {
			copy_string(redactor, e->name, a, out);
			buf_add_char(out, ':');
		}
		redact_json(redactor, e, a, out);
	}
	buf_add_char(out, is_object ? '}' : ']');
}
