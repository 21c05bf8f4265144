/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Building one record: members are kept by their place in the table, redacted one string at a
 * time, unless one look at all of them finds nothing, and rendered in canonical order with four
 * gaps for the ledger. It must never let a value damage the record around it: redaction happens
 * before the text is quoted. One thread, the one that owns the arena.
 */
#include "audit/record.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"
#include "base/redact.h"
#include "record_redact.h"

enum {
	LOOK_BYTES = 4096, /* texts that are looked at together */
	FIXED_BYTES = 320, /* braces, and values that are not text */
};

enum kind { KIND_ABSENT = 0, KIND_TEXT, KIND_INT, KIND_TRUE, KIND_JSON };

struct record {
	struct {
		struct span text;
		int64_t number;
		enum kind kind;
	} members[RECORD__MAX];
};

struct member_row {
	const char *name;
	struct span quoted; /* with the colon */
	bool redacted;
};

static const struct member_row table[RECORD__MAX] = {
#define X(id, name, redacted)                                                                      \
	[id] = {(name), {"\"" name "\":", sizeof("\"" name "\":") - 1}, (redacted)},
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
	return table[m].name;
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

/* How one rendering goes. */
struct rendering {
	const struct record *record;
	const struct redactor *redactor;
	struct arena *arena;
	bool is_inert; /* no text has anything to redact */
	struct buf out;
};

static bool
is_looked_through(const struct record *r, size_t m)
{
	enum kind kind = r->members[m].kind;

	return table[m].redacted && (kind == KIND_TEXT || kind == KIND_JSON);
}

/* Whether its strings stand in the text as they are, each between two quotes. */
static bool
has_plain_strings(struct span json)
{
	size_t n_quotes = 0;

	if (span_find(json, '\\') < json.n)
		return false;
	for (size_t i = span_find(json, '"'); i < json.n;
		i += 1 + span_find(span_from(json, i + 1), '"'))
		n_quotes++;
	return n_quotes % 2 == 0;
}

/* One look at all texts together instead of one at each. */
static bool
is_inert(const struct record *r, const struct redactor *redactor)
{
	char all[LOOK_BYTES];
	size_t n = 0;

	for (size_t m = 0; m < RECORD__MAX; m++) {
		struct span text = r->members[m].text;

		if (!is_looked_through(r, m))
			continue;
		if (text.n >= sizeof(all) - n ||
			(r->members[m].kind == KIND_JSON && !has_plain_strings(text)))
			return false;
		memcpy(all + n, text.p, text.n);
		n += text.n;
		all[n++] = '\n';
	}
	return redact_is_inert(redactor, span_of(all, n));
}

static void
render_value(struct rendering *to, enum record_member m)
{
	const struct record *r = to->record;
	struct span text = r->members[m].text;
	bool is_clean = to->is_inert || !table[m].redacted;

	switch (r->members[m].kind) {
	case KIND_ABSENT:
		UNREACHABLE("absent members are not rendered");
	case KIND_TEXT:
		if (is_clean)
			json_quote(&to->out, text);
		else
			record_redact_text(to->redactor, text, to->arena, &to->out);
		return;
	case KIND_INT:
		buf_add_int(&to->out, r->members[m].number);
		return;
	case KIND_TRUE:
		BUF_ADD_LIT(&to->out, "true");
		return;
	case KIND_JSON:
		if (is_clean)
			buf_add_span(&to->out, text);
		else
			record_redact_json(to->redactor, text, to->arena, &to->out);
		return;
	}
}

/* Up to the timestamp every member ends in a comma; behind it every member begins with one. */
static void
render_member(struct rendering *to, enum record_member m)
{
	bool is_behind = m > RECORD_TIMESTAMP;

	if (to->record->members[m].kind == KIND_ABSENT)
		return;
	if (is_behind)
		buf_add_char(&to->out, ',');
	buf_add_span(&to->out, table[m].quoted);
	render_value(to, m);
	if (!is_behind)
		buf_add_char(&to->out, ',');
}

/* Nearly always enough for the whole, so that it is not copied as it grows. */
static size_t
guess_bytes(const struct record *r)
{
	size_t n = FIXED_BYTES;

	for (size_t m = 0; m < RECORD__MAX; m++) {
		if (r->members[m].kind != KIND_ABSENT)
			n += r->members[m].text.n + table[m].quoted.n + 4;
	}
	return n;
}

enum err
record_render(const struct record *r, const struct redactor *redactor, struct arena *a,
	struct record_text *out, struct errinfo *ei)
{
	size_t ends[RECORD_PARTS];
	size_t part = 0;
	size_t from = 0;
	struct rendering to = {
		.record = r,
		.redactor = redactor,
		.arena = a,
		.is_inert = is_inert(r, redactor),
	};
	struct buf *b = &to.out;

	*out = (struct record_text){0};
	buf_init_arena(b, a, BUF_CAP_RECORD);
	size_t guess = guess_bytes(r);
	if (guess < BUF_CAP_RECORD && buf_reserve(b, guess) == NULL)
		return ERR(ei, ERR_TOO_LARGE, "the arena of the audit record is full");
	BUF_ADD_LIT(b, "{");
	for (size_t m = 0; m < RECORD__MAX; m++) {
		if (part < ARRAY_LEN(gaps) && m == gaps[part])
			ends[part++] = b->n;
		else
			render_member(&to, (enum record_member)m);
	}
	BUF_ADD_LIT(b, "}");
	ends[RECORD_PARTS - 1] = b->n;
	if (buf_failed(b))
		return ERR(ei, ERR_TOO_LARGE,
			"the audit record is over %d bytes or its arena is full",
			(int)BUF_CAP_RECORD);
	for (size_t i = 0; i < RECORD_PARTS; i++) {
		out->parts[i] = span_of(b->p + from, ends[i] - from);
		from = ends[i];
	}
	return OK;
}
