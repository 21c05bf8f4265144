/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction string by string (decisions: redact per field, then hash, then store): each string of
 * a JSON value is decoded, redacted and quoted again, so that no pattern ever sees, or eats, the
 * text around it. The clean case, which is nearly every case, copies nothing.
 */
#include "record_redact.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/redact.h"

#define MARKER "\"[REDACTED]\""

void
record_redact_text(const struct redactor *r, struct span text, struct arena *a, struct buf *out)
{
	struct buf clean;

	if (redact_is_clean(r, text)) {
		json_quote(out, text);
		return;
	}
	/* A text of short matches grows: one byte can become the marker. */
	buf_init_arena(&clean, a, BUF_CAP_RECORD);
	(void)redact(r, text, &clean);
	if (buf_failed(&clean))
		BUF_ADD_LIT(out, MARKER);
	else
		json_quote(out, buf_span(&clean));
}

/* The length of the string token at the start of s, quotes included; 0 when it does not end. */
static size_t
string_token(struct span s, bool *has_escape)
{
	*has_escape = false;
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\') {
			*has_escape = true;
			i++;
		} else if (s.p[i] == '"') {
			return i + 1;
		}
	}
	return 0;
}

/* Appends one string token; false when it is a member name that may not stay. */
static bool
redact_token(const struct redactor *r, struct span token, bool has_escape, bool is_name,
	struct arena *a, struct buf *out)
{
	struct span text = span_of(token.p + 1, token.n - 2);
	const struct json *decoded = NULL;

	if (has_escape) {
		if (json_parse(token, a, &decoded, NULL, NULL) != OK)
			return false;
		text = decoded->text;
	}
	if (redact_is_clean(r, text)) {
		buf_add_span(out, token);
		return true;
	}
	if (is_name)
		return false;
	record_redact_text(r, text, a, out);
	return true;
}

void
record_redact_json(
	const struct redactor *r, struct span canonical, struct arena *a, struct buf *out)
{
	size_t before = out->n;
	size_t i = 0;

	while (i < canonical.n) {
		struct span rest = span_from(canonical, i);
		size_t plain = span_find(rest, '"');
		bool has_escape = false;

		buf_add(out, rest.p, plain);
		i += plain;
		if (plain == rest.n)
			return;
		rest = span_from(canonical, i);
		size_t n = string_token(rest, &has_escape);
		bool is_name = n > 0 && n < rest.n && rest.p[n] == ':';
		if (n == 0 || !redact_token(r, span_of(rest.p, n), has_escape, is_name, a, out)) {
			buf_truncate(out, before);
			BUF_ADD_LIT(out, MARKER);
			return;
		}
		i += n;
	}
}
