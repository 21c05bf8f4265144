/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Building one record: members are kept by their place in the table, redacted one string at a
 * time and rendered in canonical order with four gaps for the ledger. It must never let a value
 * damage the record around it: redaction happens before the text is quoted. One thread, the one
 * that owns the arena.
 */
#include "audit/record.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"
#include "base/redact.h"
#include "record_redact.h"

enum kind { KIND_ABSENT = 0, KIND_TEXT, KIND_INT, KIND_TRUE, KIND_JSON };

struct record {
	struct {
		struct span text;
		int64_t number;
		enum kind kind;
	} members[RECORD__MAX];
};

struct member_row {
	struct span name;
	bool redacted;
};

static const struct member_row table[RECORD__MAX] = {
#define X(id, name, redacted) [id] = {{(name), sizeof(name) - 1}, (redacted)},
#include "audit/record_tbl.h"
#undef X
};

/* The members that the ledger's thread fills in, in order: one gap after each of the first four
 * parts. */
static const enum record_member gaps[RECORD_PARTS - 1] = {
	RECORD_CHAIN_ID, RECORD_PREV_EVENT_HASH, RECORD_SEQ, RECORD_TIMESTAMP};

const char *
record_member_name(enum record_member m)
{
	MUST(m < RECORD__MAX);
	return table[m].name.p;
}

struct record *
record_new(struct arena *a, const char *event_type)
{
	struct record *r = ARENA_NEW(a, struct record);

	if (r != NULL)
		record_set_text(r, RECORD_EVENT_TYPE, span_cstr(event_type));
	return r;
}

static void
set(struct record *r, enum record_member m, enum kind kind, struct span text, int64_t number)
{
	MUST(m < RECORD__MAX);
	for (size_t i = 0; i < ARRAY_LEN(gaps); i++)
		MUST(m != gaps[i]);
	r->members[m].kind = kind;
	r->members[m].text = text;
	r->members[m].number = number;
}

void
record_set_text(struct record *r, enum record_member m, struct span text)
{
	set(r, m, text.n > 0 ? KIND_TEXT : KIND_ABSENT, text, 0);
}

void
record_set_int(struct record *r, enum record_member m, int64_t v)
{
	set(r, m, v != 0 ? KIND_INT : KIND_ABSENT, SPAN_NONE, v);
}

void
record_set_bool(struct record *r, enum record_member m, bool v)
{
	set(r, m, v ? KIND_TRUE : KIND_ABSENT, SPAN_NONE, 0);
}

void
record_set_json(struct record *r, enum record_member m, struct span canonical)
{
	bool is_empty = canonical.n == 0 || span_eq_cstr(canonical, "{}") ||
			span_eq_cstr(canonical, "[]") || span_eq_cstr(canonical, "\"\"");

	set(r, m, is_empty ? KIND_ABSENT : KIND_JSON, canonical, 0);
}

static void
render_value(const struct record *r, enum record_member m, const struct redactor *redactor,
	struct arena *a, struct buf *out)
{
	switch (r->members[m].kind) {
	case KIND_ABSENT:
		UNREACHABLE("absent members are not rendered");
	case KIND_TEXT:
		if (table[m].redacted)
			record_redact_text(redactor, r->members[m].text, a, out);
		else
			json_quote(out, r->members[m].text);
		return;
	case KIND_INT:
		buf_add_int(out, r->members[m].number);
		return;
	case KIND_TRUE:
		BUF_ADD_LIT(out, "true");
		return;
	case KIND_JSON:
		if (table[m].redacted)
			record_redact_json(redactor, r->members[m].text, a, out);
		else
			buf_add_span(out, r->members[m].text);
		return;
	}
}

/* Up to the timestamp every member ends in a comma; behind it every member begins with one. */
static void
render_member(const struct record *r, enum record_member m, const struct redactor *redactor,
	struct arena *a, struct buf *out)
{
	bool is_behind = m > RECORD_TIMESTAMP;

	if (r->members[m].kind == KIND_ABSENT)
		return;
	if (is_behind)
		BUF_ADD_LIT(out, ",");
	BUF_ADD_LIT(out, "\"");
	buf_add_span(out, table[m].name);
	BUF_ADD_LIT(out, "\":");
	render_value(r, m, redactor, a, out);
	if (!is_behind)
		BUF_ADD_LIT(out, ",");
}

enum err
record_render(const struct record *r, const struct redactor *redactor, struct arena *a,
	struct record_text *out, struct errinfo *ei)
{
	size_t ends[RECORD_PARTS];
	size_t part = 0;
	size_t from = 0;
	struct buf b;

	*out = (struct record_text){0};
	buf_init_arena(&b, a, BUF_CAP_RECORD);
	BUF_ADD_LIT(&b, "{");
	for (size_t m = 0; m < RECORD__MAX; m++) {
		if (part < ARRAY_LEN(gaps) && m == gaps[part])
			ends[part++] = b.n;
		else
			render_member(r, (enum record_member)m, redactor, a, &b);
	}
	BUF_ADD_LIT(&b, "}");
	ends[RECORD_PARTS - 1] = b.n;
	if (buf_failed(&b))
		return ERR(ei, ERR_TOO_LARGE,
			"the audit record is over %d bytes or its arena is full",
			(int)BUF_CAP_RECORD);
	for (size_t i = 0; i < RECORD_PARTS; i++) {
		out->parts[i] = span_of(b.p + from, ends[i] - from);
		from = ends[i];
	}
	return OK;
}
