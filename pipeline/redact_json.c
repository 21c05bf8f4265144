/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Copies a tree with its strings redacted. Any thread. */
#include "pipeline/redact_json.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "exec/output.h"

#define MARK "[REDACTED]"

static void
copy_string(const struct redactor *redactor, struct span text, struct arena *a, struct buf *out)
{
	struct span clean = output_redact(redactor, text, a);

	json_quote(out, clean.p != NULL ? clean : SPAN_LIT(MARK));
}

static bool
has_mark(struct span s)
{
	for (size_t i = 0; i + sizeof(MARK) - 1 <= s.n; i++)
		if (span_starts(span_from(s, i), SPAN_LIT(MARK)))
			return true;
	return false;
}

struct redact_json_number
redact_json_number_of(struct span name, struct span clean, size_t index)
{
	struct redact_json_number n = {""};

	if (!span_eq(name, clean) || has_mark(name))
		snprintf(n.text, sizeof(n.text), " #%zu", index);
	return n;
}

void
redact_json_add_name(struct buf *out, struct span name, struct span clean, size_t index)
{
	struct redact_json_number number = redact_json_number_of(name, clean, index);

	json_quote(out, clean);
	if (number.text[0] == '\0' || buf_failed(out))
		return;
	buf_truncate(out, out->n - 1);
	buf_add_cstr(out, number.text);
	buf_add_char(out, '"');
}

static void
copy_name(const struct redactor *redactor, struct span name, size_t index, struct arena *a,
	struct buf *out)
{
	struct span clean = output_redact(redactor, name, a);

	redact_json_add_name(
		out, name, clean.p != NULL || name.n == 0 ? clean : SPAN_LIT(MARK), index);
	buf_add_char(out, ':');
}

void
redact_json(const struct redactor *redactor, const struct json *v, struct arena *a, struct buf *out)
{
	bool is_object = v->type == JSON_OBJECT;
	size_t i = 0;

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
	for (const struct json *e = v->first; e != NULL; e = e->next, i++) {
		if (e != v->first)
			buf_add_char(out, ',');
		if (is_object)
			copy_name(redactor, e->name, i, a, out);
		redact_json(redactor, e, a, out);
	}
	buf_add_char(out, is_object ? '}' : ']');
}
