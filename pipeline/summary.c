/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The summary of params in records (weak spot 10.4.31): every name and string is redacted as a whole, values behind names
 * like "password" are masked, and only then the text is cut. It stops as soon as there is enough. Pure.
 */
#include "summary.h"

#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/redact.h"
#include "base/utf8.h"
#include "exec/output.h"

/* Enough to cut at a boundary; what comes behind is not looked at. */
enum { SUMMARY_ENOUGH = SUMMARY_BYTES_MAX + 8, NAME_BYTES_MAX = 64 };

struct summary {
	struct buf text;
	const struct redactor *redactor;
	struct arena *arena;
};

/* Parts of names, compared without case, '_' and '-'. */
static const char *const secret_parts[] = {"password", "passwd", "passphrase", "secret", "token",
	"apikey", "accesskey", "privatekey", "credential", "authorization", "cookie"};
/* Names that mean a secret only when they are the whole name. */
static const char *const secret_names[] = {"pwd", "pass", "pin", "auth"};

bool
is_secret_name(struct span name)
{
	char folded[NAME_BYTES_MAX + 1];
	uint32_t letters = 0; /* that occur, a bit for each */
	size_t n = 0;

	for (size_t i = 0; i < name.n && n < NAME_BYTES_MAX; i++) {
		char c = name.p[i];

		if (c == '_' || c == '-' || c == '\0')
			continue;
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c >= 'a' && c <= 'z')
			letters |= 1u << (c - 'a');
		folded[n++] = c;
	}
	folded[n] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(secret_parts); i++)
		if ((letters >> (secret_parts[i][0] - 'a') & 1) != 0 &&
			strstr(folded, secret_parts[i]) != NULL)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(secret_names); i++)
		if (strcmp(folded, secret_names[i]) == 0)
			return true;
	return false;
}

static bool
has_room(const struct summary *s)
{
	return s->text.n <= SUMMARY_ENOUGH && !buf_failed(&s->text);
}

static void
add_string(struct summary *s, struct span text)
{
	struct span clean = output_redact(s->redactor, text, s->arena);

	json_quote(&s->text, clean.p != NULL ? clean : SPAN_LIT("[REDACTED]"));
}

/* The parser has bounded the depth. */
static void
add_value(struct summary *s, const struct json *v)
{
	switch (v->type) {
	case JSON_NULL:
	case JSON_BOOL:
	case JSON_NUMBER:
		json_canonical(v, &s->text);
		return;
	case JSON_STRING:
		add_string(s, v->text);
		return;
	case JSON_ARRAY:
		buf_add_char(&s->text, '[');
		for (const struct json *e = v->first; e != NULL && has_room(s); e = e->next) {
			if (e != v->first)
				buf_add_char(&s->text, ',');
			add_value(s, e);
		}
		buf_add_char(&s->text, ']');
		return;
	case JSON_OBJECT:
		buf_add_char(&s->text, '{');
		for (uint32_t i = 0; i < v->n && has_room(s); i++) {
			if (i > 0)
				buf_add_char(&s->text, ',');
			add_string(s, v->sorted[i]->name);
			buf_add_char(&s->text, ':');
			if (is_secret_name(v->sorted[i]->name))
				BUF_ADD_LIT(&s->text, "\"[REDACTED]\"");
			else
				add_value(s, v->sorted[i]);
		}
		buf_add_char(&s->text, '}');
		return;
	}
}

/* Whether a member that a summary could show is named like a secret. *left counts bytes of what is shown. */
static bool
shows_secret_name(const struct json *v, size_t *left)
{
	size_t n = v->type == JSON_STRING || v->type == JSON_NUMBER ? v->text.n : 1;
	uint32_t n_members = v->type == JSON_OBJECT ? v->n : 0;

	*left -= n < *left ? n : *left;
	for (uint32_t i = 0; *left > 0 && i < n_members; i++) {
		struct span name = v->sorted[i]->name;

		if (is_secret_name(name))
			return true;
		*left -= name.n + 1 < *left ? name.n + 1 : *left;
		if (shows_secret_name(v->sorted[i], left))
			return true;
	}
	if (v->type != JSON_ARRAY)
		return false;
	for (const struct json *e = v->first; e != NULL && *left > 0; e = e->next) {
		if (shows_secret_name(e, left))
			return true;
	}
	return false;
}

/* Nothing to redact and nothing to mask: the summary is the canonical form. */
static bool
is_plain(const struct json *params, struct span canonical, const struct redactor *redactor)
{
	size_t left = SUMMARY_ENOUGH;

	/* Without escapes every string stands in it as it is. */
	return canonical.n > 0 && span_find(canonical, '\\') == canonical.n &&
	       !shows_secret_name(params, &left) && redact_is_inert(redactor, canonical);
}

struct span
summarize_params(const struct json *params, struct span canonical, const struct redactor *redactor,
	struct arena *a)
{
	struct summary s = {.redactor = redactor, .arena = a};
	struct span text;

	if (params == NULL)
		return span_of("", 0);
	if (is_plain(params, canonical, redactor))
		return span_of(canonical.p, utf8_cut(canonical, SUMMARY_BYTES_MAX));
	buf_init_arena(&s.text, a, BUF_CAP_REPLY);
	add_value(&s, params);
	if (buf_failed(&s.text))
		return SPAN_NONE;
	text = buf_span(&s.text);
	return span_of(text.p, utf8_cut(text, SUMMARY_BYTES_MAX));
}
