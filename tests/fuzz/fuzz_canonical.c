/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical writer against one that goes byte by byte. The input is a program that builds a tree by hand: containers, names and
 * texts of any bytes, also such as no parser gives. Both writers must write the same, wherever the text lies; what they write
 * parses again, and is written the same once more.
 */
#define _GNU_SOURCE /* memmem */
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"

#define ARENA_BYTES (64UL * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH_MAX = 12, MEMBERS_MAX = 64 };

struct program {
	const uint8_t *p;
	size_t n;
	struct arena *arena;
};

static uint8_t
next_byte(struct program *g)
{
	if (g->n == 0)
		return 0;
	g->n--;
	return *g->p++;
}

/* The next bytes, at an address that the input chooses. */
static struct span
next_text(struct program *g)
{
	uint8_t head = next_byte(g);
	size_t n = head & 31U;
	size_t shift = head >> 5;
	char *copy;

	if (n > g->n)
		n = g->n;
	copy = arena_alloc(g->arena, n + shift + 1);
	MUST(copy != NULL);
	if (n > 0)
		memcpy(copy + shift, g->p, n);
	g->p += n;
	g->n -= n;
	return span_of(copy + shift, n);
}

static struct json *
build(struct program *g, unsigned depth)
{
	enum { MAKE_STRING = 0, MAKE_INT, MAKE_BOOL, MAKE_NULL, MAKE_ARRAY, MAKE_OBJECT, MAKE__N };
	unsigned kinds = depth < DEPTH_MAX ? MAKE__N : MAKE_ARRAY;
	unsigned what = next_byte(g) % kinds;
	struct json *v;

	if (what == MAKE_STRING)
		return json_new_string(g->arena, next_text(g));
	if (what == MAKE_INT) {
		uint64_t bits = 0;
		for (unsigned i = next_byte(g) % 9; i > 0; i--)
			bits = bits << 8 | next_byte(g);
		return json_new_int(g->arena, (int64_t)bits);
	}
	if (what == MAKE_BOOL)
		return json_new_bool(g->arena, (next_byte(g) & 1) != 0);
	if (what == MAKE_NULL)
		return json_new(g->arena, JSON_NULL);
	v = json_new(g->arena, what == MAKE_ARRAY ? JSON_ARRAY : JSON_OBJECT);
	for (unsigned n = next_byte(g) % MEMBERS_MAX; n > 0 && g->n > 0; n--) {
		if (what == MAKE_ARRAY)
			MUST(json_add_element(g->arena, v, build(g, depth + 1)));
		else if (!json_add_member(g->arena, v, next_text(g), build(g, depth + 1)))
			continue; /* the name is there already */
	}
	return v;
}

/* Bytes of the UTF-8 sequence at the beginning of s, by the table of RFC 3629; 0: none. */
static size_t
sequence(struct span s)
{
	const unsigned char *c = (const unsigned char *)s.p;
	size_t n = c[0] < 0x80                    ? 1
		   : c[0] >= 0xc2 && c[0] <= 0xdf ? 2
		   : (c[0] & 0xf0U) == 0xe0       ? 3
		   : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
						  : 0;

	if (n == 0 || n > s.n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((c[i] & 0xc0U) != 0x80)
			return 0;
	}
	if (n > 2 && ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
			     (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f)))
		return 0;
	return n;
}

static void
write_string(struct buf *b, struct span s)
{
	static const char *const shorts[128] = {['"'] = "\\\"",
		['\\'] = "\\\\",
		['\n'] = "\\n",
		['\r'] = "\\r",
		['\t'] = "\\t",
		['\b'] = "\\b",
		['\f'] = "\\f",
		['<'] = "\\u003c",
		['>'] = "\\u003e",
		['&'] = "\\u0026"};

	buf_add_char(b, '"');
	for (size_t i = 0; i < s.n;) {
		unsigned char c = (unsigned char)s.p[i];
		size_t n = sequence(span_of(s.p + i, s.n - i));

		if (c < 128 && shorts[c] != NULL)
			buf_add_cstr(b, shorts[c]);
		else if (c < 0x20)
			buf_printf(b, "\\u%04x", c);
		else if (n == 0)
			buf_add_cstr(b, "\xef\xbf\xbd");
		else if (n == 3 && memcmp(s.p + i, "\xe2\x80\xa8", 3) == 0)
			buf_add_cstr(b, "\\u2028");
		else if (n == 3 && memcmp(s.p + i, "\xe2\x80\xa9", 3) == 0)
			buf_add_cstr(b, "\\u2029");
		else
			buf_add(b, s.p + i, n);
		i += n > 0 ? n : 1;
	}
	buf_add_char(b, '"');
}

/* The member that comes behind `last` in the order of the bytes. */
static const struct json *
next_member(const struct json *object, const struct json *last)
{
	const struct json *best = NULL;

	for (const struct json *m = object->first; m != NULL; m = m->next) {
		if (last != NULL && span_cmp(m->name, last->name) <= 0)
			continue;
		if (best == NULL || span_cmp(m->name, best->name) < 0)
			best = m;
	}
	return best;
}

static void
write(struct buf *b, const struct json *v)
{
	const char *comma = "";

	switch (v->type) {
	case JSON_NULL:
		buf_add_cstr(b, "null");
		return;
	case JSON_BOOL:
		buf_add_cstr(b, v->boolean ? "true" : "false");
		return;
	case JSON_NUMBER:
		buf_add_span(b, v->text);
		return;
	case JSON_STRING:
		write_string(b, v->text);
		return;
	case JSON_ARRAY:
		buf_add_char(b, '[');
		for (const struct json *e = v->first; e != NULL; e = e->next, comma = ",") {
			buf_add_cstr(b, comma);
			write(b, e);
		}
		buf_add_char(b, ']');
		return;
	case JSON_OBJECT:
		break;
	}
	buf_add_char(b, '{');
	for (const struct json *m = next_member(v, NULL); m != NULL;
		m = next_member(v, m), comma = ",") {
		buf_add_cstr(b, comma);
		write_string(b, m->name);
		buf_add_char(b, ':');
		write(b, m);
	}
	buf_add_char(b, '}');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct program g = {.p = data, .n = size, .arena = arena_new(ARENA_BYTES)};
	const struct json *again = NULL;
	struct buf ours;
	struct buf theirs;
	struct buf typed;

	MUST(g.arena != NULL);
	const struct json *v = build(&g, 0);
	MUST(v != NULL);
	buf_init(&ours, BUF_CAP_FILE);
	buf_init(&theirs, BUF_CAP_FILE);
	buf_init(&typed, BUF_CAP_FILE);
	json_canonical(v, &ours);
	json_canonical_typed(v, &typed);
	write(&theirs, v);
	MUST(!buf_failed(&ours) && !buf_failed(&theirs));
	MUST(span_eq(buf_span(&ours), buf_span(&theirs)) &&
		span_eq(buf_span(&ours), buf_span(&typed)));
	/* What had to be replaced can change the order of names, or make two alike; all else is read as it was written. */
	if (memmem(ours.p, ours.n, "\xef\xbf\xbd", 3) == NULL) {
		MUST(json_parse(buf_span(&ours), g.arena, &again, NULL, NULL) == OK);
		buf_reset(&theirs);
		json_canonical(again, &theirs);
		MUST(!buf_failed(&theirs) && span_eq(buf_span(&ours), buf_span(&theirs)));
	}
	buf_fini(&ours);
	buf_fini(&theirs);
	buf_fini(&typed);
	arena_free(&g.arena);
	return 0;
}
