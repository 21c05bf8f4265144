/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash chain: splicing a record's last members in, hashing, and checking one link. The
 * scanner reads top-level members of canonical JSON without a tree, in one pass, so that a
 * verifier is bound by SHA-256 and not by it. Pure.
 */
#include "audit/chain.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/parse.h"

void
chain_hash(struct span body, struct span prev_hash, char out[SHA256_HEX + 1])
{
	const struct span parts[2] = {body, prev_hash};
	uint8_t digest[SHA256_BYTES];

	hash_sha256_parts(parts, prev_hash.n > 0 ? 2 : 1, digest);
	hash_hex(digest, sizeof(digest), out);
}

void
chain_build_body(const struct record_text *text, const char *chain_id,
	const struct chain_head *head, struct span timestamp, struct buf *out)
{
	buf_add_span(out, text->parts[0]);
	BUF_ADD_LIT(out, "\"chain_id\":\"");
	buf_add(out, chain_id, CHAIN_ID_HEX);
	BUF_ADD_LIT(out, "\",");
	buf_add_span(out, text->parts[1]);
	if (head->seq > 0) {
		BUF_ADD_LIT(out, "\"prev_event_hash\":\"");
		buf_add(out, head->hash, SHA256_HEX);
		BUF_ADD_LIT(out, "\",");
	}
	buf_add_span(out, text->parts[2]);
	BUF_ADD_LIT(out, "\"seq\":");
	buf_add_uint(out, head->seq + 1);
	BUF_ADD_LIT(out, ",");
	buf_add_span(out, text->parts[3]);
	BUF_ADD_LIT(out, "\"timestamp\":\"");
	buf_add_span(out, timestamp);
	BUF_ADD_LIT(out, "\"");
	buf_add_span(out, text->parts[4]);
}

/* One top-level member, in the raw text. */
struct member {
	struct span name;  /* without quotes; raw, so names with escapes never equal ours */
	struct span value; /* with quotes when it is a string */
	size_t at;         /* offset of the name's opening quote */
};

/* Whether the backslashes before the byte at `at` make it part of its string, which begins behind `from`. */
static bool
is_escaped(struct span s, size_t from, size_t at)
{
	size_t n = 0;

	while (at - n > from && s.p[at - n - 1] == '\\')
		n++;
	return n % 2 != 0;
}

/* The offset behind the string that starts at `at`; 0 when it does not end. */
static inline size_t
skip_string(struct span s, size_t at)
{
	size_t i = at + 1;

	while (i < s.n) {
		const char *quote = memchr(s.p + i, '"', s.n - i);
		if (quote == NULL)
			return 0;
		i = (size_t)(quote - s.p) + 1;
		if (quote[-1] != '\\' || !is_escaped(s, at + 1, i - 1))
			return i;
	}
	return 0;
}

/* The same for any value, the slow way. */
static size_t
skip_nested(struct span s, size_t at)
{
	size_t depth = 0;
	size_t i = at;

	while (i < s.n) {
		switch (s.p[i]) {
		case '"':
			i = skip_string(s, i);
			if (i == 0)
				return 0;
			break;
		case '{':
		case '[':
			depth++;
			i++;
			break;
		case '}':
		case ']':
			if (depth == 0)
				return i > at ? i : 0;
			depth--;
			i++;
			break;
		case ',':
			if (depth == 0)
				return i > at ? i : 0;
			i++;
			break;
		default:
			i++;
		}
	}
	return 0;
}

static bool
is_end_of_value(struct span s, size_t at)
{
	return at < s.n && (s.p[at] == ',' || s.p[at] == '}');
}

/* The offset behind the value that starts at `at`; 0 when it does not end. Most values are texts, the next most numbers. */
static inline size_t
skip_value(struct span s, size_t at)
{
	size_t i = at;

	if (i < s.n && s.p[i] == '"') {
		i = skip_string(s, i);
		return i == 0 || is_end_of_value(s, i) ? i : skip_nested(s, at);
	}
	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	return i > at && is_end_of_value(s, i) ? i : skip_nested(s, at);
}

/* Steps to the next member; *at starts at 0. Returns false at the end; *whole then says whether
 * the text ended well. */
static bool
next_member(struct span s, size_t *at, struct member *m, bool *whole)
{
	size_t i = *at;

	*whole = false;
	if (i == 0 ? s.n < 2 || s.p[0] != '{' : i >= s.n)
		return false;
	if (s.p[i] == '}' || (i == 0 && s.p[1] == '}')) {
		*whole = i + (i == 0 ? 2 : 1) == s.n;
		return false;
	}
	if (i > 0 && s.p[i] != ',')
		return false;
	i++; /* the brace, or the comma */
	if (i >= s.n || s.p[i] != '"')
		return false;
	size_t name_end = skip_string(s, i);
	if (name_end == 0 || name_end >= s.n || s.p[name_end] != ':')
		return false;
	size_t value_end = skip_value(s, name_end + 1);
	if (value_end == 0)
		return false;
	m->at = i;
	m->name = span_of(s.p + i + 1, name_end - i - 2);
	m->value = span_of(s.p + name_end + 1, value_end - name_end - 1);
	*at = value_end;
	return true;
}

static bool
unquote(struct span value, struct span *out)
{
	if (value.n < 2 || value.p[0] != '"' || value.p[value.n - 1] != '"')
		return false;
	*out = span_of(value.p + 1, value.n - 2);
	return true;
}

static void
keep_first(struct span *out, struct span value)
{
	if (out->p == NULL)
		*out = value;
}

bool
chain_read_fields(struct span body, struct chain_fields *out)
{
	struct member m;
	size_t at = 0;
	bool whole = false;
	bool is_good = true;

	*out = (struct chain_fields){0};
	while (is_good && next_member(body, &at, &m, &whole)) {
		if (span_eq(m.name, SPAN_LIT("chain_id")))
			is_good = unquote(m.value, &out->chain_id);
		else if (span_eq(m.name, SPAN_LIT("event_type")))
			is_good = unquote(m.value, &out->event_type);
		else if (span_eq(m.name, SPAN_LIT("prev_event_hash")))
			is_good = unquote(m.value, &out->prev_event_hash);
		else if (span_eq(m.name, SPAN_LIT("seq")))
			is_good = parse_uint(m.value, INT64_MAX, &out->seq);
		else if (span_eq(m.name, SPAN_LIT("timestamp")))
			is_good = unquote(m.value, &out->timestamp);
		else if (span_eq(m.name, SPAN_LIT("decision")))
			keep_first(&out->decision, m.value);
		else if (span_eq(m.name, SPAN_LIT("intent_seq")))
			keep_first(&out->intent_seq, m.value);
		else if (span_eq(m.name, SPAN_LIT("result_classification")))
			keep_first(&out->result_classification, m.value);
	}
	return is_good && whole;
}

struct span
chain_find_member(struct span body, struct span name)
{
	struct member m;
	size_t at = 0;
	bool whole = false;

	while (next_member(body, &at, &m, &whole)) {
		if (span_eq(m.name, name))
			return m.value;
	}
	return SPAN_NONE;
}

void
chain_find_members(struct span body, const struct span *names, size_t n, struct span *values)
{
	struct member m;
	size_t at = 0;
	bool whole = false;

	for (size_t i = 0; i < n; i++)
		values[i] = SPAN_NONE;
	while (next_member(body, &at, &m, &whole)) {
		for (size_t i = 0; i < n; i++) {
			if (values[i].p == NULL && span_eq(m.name, names[i]))
				values[i] = m.value;
		}
	}
}

enum chain_fault
chain_check(const char *chain_id, struct chain_head *head, uint64_t seq, struct span body,
	struct span hash)
{
	struct chain_fields f;

	if (!chain_read_fields(body, &f))
		return CHAIN_FAULT_MALFORMED;
	return chain_check_fields(chain_id, head, seq, body, &f, hash);
}

enum chain_fault
chain_check_fields(const char *chain_id, struct chain_head *head, uint64_t seq, struct span body,
	const struct chain_fields *f, struct span hash)
{
	struct span previous = span_of(head->hash, head->seq > 0 ? SHA256_HEX : 0);
	char computed[SHA256_HEX + 1];

	chain_hash(body, previous, computed);
	/* The order gives the most useful name: a record out of place is also one whose hash does
	 * not fit. */
	if (chain_id != NULL && !span_eq(f->chain_id, span_of(chain_id, CHAIN_ID_HEX)))
		return CHAIN_FAULT_CHAIN_ID;
	if (seq != head->seq + 1)
		return CHAIN_FAULT_SEQ;
	if (!span_eq(f->prev_event_hash, previous))
		return CHAIN_FAULT_PREVIOUS;
	if (f->seq != seq || !span_eq(hash, span_of(computed, SHA256_HEX)))
		return CHAIN_FAULT_HASH;
	head->seq = seq;
	memcpy(head->hash, computed, sizeof(head->hash));
	return CHAIN_FAULT_NONE;
}

const char *
chain_fault_text(enum chain_fault fault)
{
	switch (fault) {
	case CHAIN_FAULT_NONE:
		return "whole";
	case CHAIN_FAULT_MALFORMED:
		return "the record is not canonical JSON";
	case CHAIN_FAULT_CHAIN_ID:
		return "the record belongs to another chain";
	case CHAIN_FAULT_SEQ:
		return "a record is missing, doubled or out of order";
	case CHAIN_FAULT_PREVIOUS:
		return "the record does not continue the one before it";
	case CHAIN_FAULT_HASH:
		return "the record was changed";
	}
	return "unknown fault";
}

bool
chain_build_line(struct span body, struct span hash, struct buf *out)
{
	const struct span name = SPAN_LIT("event_hash");
	struct member m;
	size_t at = 0;
	/* offset of the first member that sorts behind; every record has event_type, which does */
	size_t insert = 0;
	bool whole = false;

	while (next_member(body, &at, &m, &whole)) {
		if (insert == 0 && span_cmp(m.name, name) > 0)
			insert = m.at;
	}
	if (!whole || insert == 0)
		return false;
	buf_add(out, body.p, insert);
	BUF_ADD_LIT(out, "\"event_hash\":");
	json_quote(out, hash);
	BUF_ADD_LIT(out, ",");
	buf_add_span(out, span_from(body, insert));
	return true;
}

bool
chain_parse_line(struct span line, struct buf *out, struct span *hash)
{
	struct member m;
	struct span found = SPAN_NONE;
	size_t at = 0;
	size_t cut_from = 0; /* event_hash and its comma */
	size_t cut_to = 0;
	bool whole = false;

	*hash = SPAN_NONE;
	while (next_member(line, &at, &m, &whole)) {
		if (!span_eq_cstr(m.name, "event_hash"))
			continue;
		if (cut_to != 0 || !unquote(m.value, &found))
			return false;
		cut_from = m.at;
		cut_to = at;
		if (at < line.n && line.p[at] == ',')
			cut_to = at + 1;
		else if (line.p[cut_from - 1] == ',')
			cut_from--;
	}
	if (!whole)
		return false;
	buf_add(out, line.p, cut_from);
	buf_add_span(out, span_from(line, cut_to));
	*hash = found;
	return true;
}
