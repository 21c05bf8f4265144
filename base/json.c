/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict JSON parser: one pass over the bytes, a stack of at most 32 open containers, no
 * recursion. Strings without escapes and all numbers borrow from the text. Never accepts what RFC
 * 8259 does not, never guesses at an encoding, never looks behind the text. A tree takes at most
 * about 50 bytes of arena per byte of text (a node of 96 bytes and its place in the sorted array
 * per two bytes of "[1,1,...", less for anything real). Pure; any thread.
 */
#include "base/json.h"

#include <stdint.h>

#include "base/arena.h"
#include "base/must.h"
#include "base/parse.h"
#include "json_string.h"
#include "json_tree.h"

struct parser {
	const char *begin;
	const char *at;
	const char *end;
	const char *line_start;
	uint32_t line;
	struct arena *arena;
	struct json_stack open;
	/* What went wrong and where. */
	enum json_fault fault;
	const char *fault_at;
	const char *what;
	struct span twin;
};

static bool
fail(struct parser *p, enum json_fault fault, const char *at, const char *what)
{
	p->fault = fault;
	p->fault_at = at;
	p->what = what;
	return false;
}

/* For a byte that does not belong at p->at, or for the end of the text there. */
static bool
fail_unexpected(struct parser *p, const char *what)
{
	if (p->at == p->end)
		return fail(p, JSON_FAULT_CUT, p->at, "unexpected end");
	if (*p->at == '\0')
		return fail(p, JSON_FAULT_CONTROL, p->at, "NUL byte");
	return fail(p, JSON_FAULT_SYNTAX, p->at, what);
}

static void
skip_blanks(struct parser *p)
{
	while (p->at < p->end) {
		switch (*p->at) {
		case '\n':
			p->line++;
			p->line_start = p->at + 1;
			break;
		case ' ':
		case '\t':
		case '\r':
			break;
		default:
			return;
		}
		p->at++;
	}
}

static bool
is_digit(const struct parser *p, const char *at)
{
	return at < p->end && *at >= '0' && *at <= '9';
}

/* Moves p->at behind a run of digits; false when there is none. */
static bool
skip_digits(struct parser *p)
{
	if (!is_digit(p, p->at))
		return false;
	while (is_digit(p, p->at))
		p->at++;
	return true;
}

static bool
fail_number(struct parser *p)
{
	if (p->at == p->end)
		return fail(p, JSON_FAULT_CUT, p->at, "unexpected end");
	return fail(p, JSON_FAULT_NUMBER, p->at, "malformed number");
}

static bool
parse_number(struct parser *p, struct json *v)
{
	const char *begin = p->at;

	if (*p->at == '-')
		p->at++;
	if (p->at < p->end && *p->at == '0')
		p->at++;
	else if (!skip_digits(p))
		return fail_number(p);
	if (is_digit(p, p->at))
		return fail_number(p);
	if (p->at < p->end && *p->at == '.') {
		p->at++;
		if (!skip_digits(p))
			return fail_number(p);
	}
	if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
		p->at++;
		if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
			p->at++;
		if (!skip_digits(p))
			return fail_number(p);
	}
	if (p->at - begin > JSON_NUMBER_BYTES_MAX)
		return fail(p, JSON_FAULT_NUMBER, begin, "number of more than 128 bytes");
	v->type = JSON_NUMBER;
	v->text = span_of(begin, (size_t)(p->at - begin));
	return true;
}

static bool
parse_string(struct parser *p, struct span *out)
{
	struct json_string s;
	enum json_fault fault = json_string_scan(p->at + 1, p->end, &s);

	if (fault != JSON_FAULT_NONE)
		return fail(p, fault, s.at, s.what);
	*out = span_of(p->at + 1, (size_t)(s.at - p->at - 1));
	p->at = s.at + 1;
	if (!s.has_escapes)
		return true;
	char *decoded = arena_alloc(p->arena, out->n);
	if (decoded == NULL)
		return fail(p, JSON_FAULT_MEMORY, p->at, "text too large");
	*out = span_of(decoded, json_string_decode(*out, decoded));
	return true;
}

static bool
parse_word(struct parser *p, struct json *v)
{
	static const struct {
		struct span word;
		enum json_type type;
		bool boolean;
	} words[] = {
		{{"true", 4}, JSON_BOOL, true},
		{{"false", 5}, JSON_BOOL, false},
		{{"null", 4}, JSON_NULL, false},
	};
	struct span rest = span_of(p->at, (size_t)(p->end - p->at));

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (span_starts(rest, words[i].word)) {
			p->at += words[i].word.n;
			v->type = words[i].type;
			v->boolean = words[i].boolean;
			return true;
		}
		if (rest.n > 0 && span_starts(words[i].word, rest))
			return fail(p, JSON_FAULT_CUT, p->end, "unexpected end");
	}
	return fail_unexpected(p, "unexpected byte");
}

static bool
open_container(struct parser *p, struct json *v, enum json_type type)
{
	if (p->open.n == JSON_DEPTH_MAX)
		return fail(p, JSON_FAULT_DEPTH, p->at, "nesting deeper than 32");
	p->at++;
	v->type = type;
	p->open.frames[p->open.n++] = (struct json_frame){.node = v};
	return true;
}

/* Reads a scalar whole; of an array or object only the bracket, which opens a frame. */
static bool
begin_value(struct parser *p, struct json *v)
{
	const char *begin = p->at;
	bool ok;

	v->line = p->line;
	v->column = (uint32_t)(p->at - p->line_start) + 1;
	v->source = span_of(begin, 0);
	if (p->at == p->end)
		return fail_unexpected(p, "");
	switch (*p->at) {
	case '{':
		return open_container(p, v, JSON_OBJECT);
	case '[':
		return open_container(p, v, JSON_ARRAY);
	case '"':
		v->type = JSON_STRING;
		ok = parse_string(p, &v->text);
		break;
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9':
		ok = parse_number(p, v);
		break;
	default:
		ok = parse_word(p, v);
	}
	if (!ok)
		return false;
	v->source.n = (size_t)(p->at - begin);
	if (p->open.n > 0)
		p->open.frames[p->open.n - 1].child = NULL;
	return true;
}

/* The first byte of the name of member m, whose raw text ends somewhere before its value. */
static const char *
find_name(const struct json *m)
{
	const char *quote = m->source.p - 1;

	while (*quote != '"')
		quote--;
	/* An inner quote has an odd number of backslashes before it, the opening one has none. */
	for (;;) {
		size_t n = 0;
		quote--;
		if (*quote != '"')
			continue;
		while (quote[-1 - (ptrdiff_t)n] == '\\')
			n++;
		if (n % 2 == 0)
			return quote;
	}
}

static bool
close_container(struct parser *p)
{
	struct json *v = p->open.frames[p->open.n - 1].node;
	const struct json *twin = NULL;

	p->at++;
	v->source.n = (size_t)(p->at - v->source.p);
	if (v->type == JSON_OBJECT && !json_tree_sort(p->arena, v, &twin))
		return fail(p, JSON_FAULT_MEMORY, p->at, "text too large");
	if (twin != NULL) {
		p->twin = twin->name;
		return fail(p, JSON_FAULT_DUPLICATE, find_name(twin), "duplicate member");
	}
	p->open.n--;
	if (p->open.n > 0)
		p->open.frames[p->open.n - 1].child = NULL;
	return true;
}

static struct json *
new_node(struct parser *p)
{
	struct json *v = arena_alloc(p->arena, sizeof(*v));

	if (v == NULL)
		fail(p, JSON_FAULT_MEMORY, p->at, "text too large");
	else
		*v = (struct json){.type = JSON_NULL};
	return v;
}

static bool
parse_name(struct parser *p, struct span *out)
{
	if (p->at == p->end || *p->at != '"')
		return fail_unexpected(p, "expected a member name");
	if (!parse_string(p, out))
		return false;
	skip_blanks(p);
	if (p->at == p->end || *p->at != ':')
		return fail_unexpected(p, "expected a colon");
	p->at++;
	skip_blanks(p);
	return true;
}

/* One child of the innermost open container, or its end. */
static bool
parse_child(struct parser *p)
{
	struct json_frame *f = &p->open.frames[p->open.n - 1];
	bool is_object = f->node->type == JSON_OBJECT;
	struct span name = SPAN_NONE;

	skip_blanks(p);
	if (p->at < p->end && *p->at == (is_object ? '}' : ']'))
		return close_container(p);
	if (f->node->n > 0) {
		if (p->at == p->end || *p->at != ',')
			return fail_unexpected(p, "expected a comma or the end");
		p->at++;
		skip_blanks(p);
	}
	if (is_object && !parse_name(p, &name))
		return false;
	struct json *v = new_node(p);
	if (v == NULL)
		return false;
	v->name = name;
	json_tree_link(f, v);
	return begin_value(p, v);
}

static bool
parse_text(struct parser *p, struct json **out)
{
	static const struct span bom = {"\xef\xbb\xbf", 3};

	if (span_starts(span_of(p->at, (size_t)(p->end - p->at)), bom))
		return fail(p, JSON_FAULT_SYNTAX, p->at, "byte order mark");
	skip_blanks(p);
	if (p->at == p->end)
		return fail(p, JSON_FAULT_EMPTY, p->at, "no value");
	*out = new_node(p);
	if (*out == NULL || !begin_value(p, *out))
		return false;
	while (p->open.n > 0) {
		if (!parse_child(p))
			return false;
	}
	skip_blanks(p);
	if (p->at < p->end)
		return fail(p, *p->at == '\0' ? JSON_FAULT_CONTROL : JSON_FAULT_TRAILING, p->at,
			"trailing data");
	return true;
}

static enum err
report(const struct parser *p, struct json_error *je, struct errinfo *ei)
{
	enum err code = p->fault == JSON_FAULT_MEMORY ? ERR_TOO_LARGE : ERR_PARSE;
	struct json_error e = {.fault = p->fault, .line = 1, .column = 1};
	char name[80];

	e.offset = (size_t)(p->fault_at - p->begin);
	for (size_t i = 0; i < e.offset; i++) {
		e.line += p->begin[i] == '\n';
		e.column = p->begin[i] == '\n' ? 1 : e.column + 1;
	}
	json_tree_path(&p->open, e.path, sizeof(e.path));
	if (je != NULL)
		*je = e;
	if (p->fault != JSON_FAULT_DUPLICATE)
		return ERR(ei, code, "%s at %s (byte %zu)", p->what, e.path, e.offset);
	json_tree_show(p->twin, name, sizeof(name));
	return ERR(ei, code, "%s \"%s\" at %s (byte %zu)", p->what, name, e.path, e.offset);
}

enum err
json_parse(struct span text, struct arena *a, const struct json **out, struct json_error *je,
	struct errinfo *ei)
{
	struct parser p = {.begin = text.p != NULL ? text.p : "", .line = 1, .arena = a};
	struct json *root = NULL;

	*out = NULL;
	p.at = p.begin;
	p.end = p.begin + text.n;
	p.line_start = p.begin;
	if (text.n >= UINT32_MAX)
		fail(&p, JSON_FAULT_MEMORY, p.begin, "text too large");
	else if (parse_text(&p, &root))
		*out = root;
	return *out != NULL ? OK : report(&p, je, ei);
}
