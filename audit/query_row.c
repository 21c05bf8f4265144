/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as a line for people. It must never let a byte of a record reach a terminal as anything
 * but a visible character of its own column. Pure.
 */
#include <string.h>

#include "audit/chain.h"
#include "audit/query.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include "base/visible.h"

/* Values are shown up to this many characters. */
#define VALUE_CHARS_MAX 200
#define ROW_ARENA_BYTES ((size_t)2 * 1024 * 1024)

/* Appends text so that it is one visible word, or in quotes; returns how many characters that are.
 */
static size_t
add_value(struct span text, struct buf *out)
{
	bool is_quoted = memchr(text.p, ' ', text.n) != NULL || memchr(text.p, '"', text.n) != NULL;
	size_t n = is_quoted ? 2 : 0;
	size_t at = 0;

	if (is_quoted)
		buf_add_char(out, '"');
	while (at < text.n && n < VALUE_CHARS_MAX) {
		size_t from = at;
		uint32_t c = utf8_next(text, &at);
		size_t before = out->n;
		if (visible_is_hidden(c)) {
			buf_printf(out, "\\u{%x}", (unsigned)c);
			n += out->n - before;
		} else if (c == '\\' || (c == '"' && is_quoted)) {
			buf_add_char(out, '\\');
			buf_add_char(out, (char)c);
			n += 2;
		} else {
			buf_add(out, text.p + from, at - from);
			n++;
		}
	}
	if (is_quoted)
		buf_add_char(out, '"');
	if (at < text.n) {
		BUF_ADD_LIT(out, "...");
		n += 3;
	}
	return n;
}

/* The decoded text of a member, or the empty span. */
static struct span
decode_member(struct span body, const char *name, struct arena *a)
{
	struct span raw = chain_find_member(body, span_cstr(name));
	const struct json *v = NULL;

	if (raw.n == 0 || json_parse(raw, a, &v, NULL, NULL) != OK)
		return SPAN_NONE;
	return v->type == JSON_STRING || v->type == JSON_NUMBER ? v->text : SPAN_NONE;
}

static const char *
colour_of(struct span decision)
{
	if (span_eq_cstr(decision, "ALLOW"))
		return "\033[32m";
	return span_eq_cstr(decision, "DENY") ? "\033[31m" : "\033[33m";
}

struct column {
	const char *member;
	const char *otherwise; /* shown when the first is not there; NULL: "-" */
	size_t width;
};

static const struct column columns[] = {
	{"timestamp", NULL, 30},
	{"event_type", NULL, 16},
	{"decision", NULL, 16},
	{"result_classification", "reason", 20},
	{"principal", NULL, 16},
	{"action_type", NULL, 14},
	{"resource", NULL, 32},
	{"action_id", NULL, 0},
};

void
query_build_row(uint64_t seq, struct span body, bool has_colour, struct buf *out)
{
	struct arena *a = arena_new(ROW_ARENA_BYTES);

	buf_printf(out, "%8llu", (unsigned long long)seq);
	for (size_t i = 0; i < ARRAY_LEN(columns) && a != NULL; i++) {
		const struct column *c = &columns[i];
		struct span text = decode_member(body, c->member, a);
		if (text.n == 0 && c->otherwise != NULL)
			text = decode_member(body, c->otherwise, a);
		bool is_coloured = has_colour && text.n > 0 && strcmp(c->member, "decision") == 0;
		BUF_ADD_LIT(out, "  ");
		if (is_coloured)
			buf_add_cstr(out, colour_of(text));
		size_t n = add_value(text.n > 0 ? text : SPAN_LIT("-"), out);
		if (is_coloured)
			BUF_ADD_LIT(out, "\033[0m");
		for (; n < c->width; n++)
			buf_add_char(out, ' ');
		arena_reset(a);
	}
	if (a == NULL)
		BUF_ADD_LIT(out, "  out of memory");
	arena_free(&a);
}
