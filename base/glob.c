/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource patterns (nomos-policy.md 2.3). A pattern is cut at its "**" into blocks of segments:
 * the first block is bound to the start of the value, the last one to its end, and each one between
 * them goes to the leftmost place that fits, which is never worse than a later one. A place is
 * tried once per block, so each segment of the pattern meets each segment of the value at most
 * once; inside a segment the same holds for bytes. No recursion, no memory. Pure; any thread.
 */
#include "base/glob.h"

#include <stdint.h>

#include "base/arena.h"
#include "glob_bytes.h"

enum segment_kind { SEGMENT_LITERAL = 0, SEGMENT_ANY, SEGMENT_WILD, SEGMENT_MANY };

/* Of the pattern's text. */
struct segment {
	uint32_t from;
	uint32_t n;
	enum segment_kind kind;
};

/*
 * One block: this, the segments, the text. Segments that are literal and come first are not among
 * the segments, since every match is compared with the text up to the first wildcard at once.
 */
struct glob {
	uint32_t n_text;
	uint32_t n_prefix; /* literal bytes before the first wildcard */
	uint32_t
		n_must; /* what every match starts with: prefix without the "/" of a following "**" */
	uint32_t n_suffix;   /* literal bytes that every match ends with */
	uint32_t n_head;     /* bytes of the segments left out, each with its "/" */
	uint32_t n_segments; /* none of a literal */
	bool is_dead;
	bool is_literal;
	struct segment segments[]; /* no two SEGMENT_MANY in a row */
};

/*
 * The segments of the value that are left: from byte `at` to byte `limit`, each with the '/' (or
 * the end of the value) behind it. None is left when at == limit.
 */
struct region {
	const char *p;
	const char *pattern; /* text of the segments that it is matched with */
	size_t at;
	size_t limit;
};

static enum segment_kind
kind_of(struct span text)
{
	if (span_eq(text, SPAN_LIT("**")))
		return SEGMENT_MANY;
	if (span_eq(text, SPAN_LIT("*")))
		return SEGMENT_ANY;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '*' || text.p[i] == '?')
			return SEGMENT_WILD;
	}
	return SEGMENT_LITERAL;
}

static const char *
text_of(const struct glob *g)
{
	return (const char *)(g->segments + g->n_segments);
}

/* Everything but the segments. */
static void
measure_literals(struct glob *g, struct span text)
{
	uint32_t n = 0;
	uint32_t at = g->n_text;

	while (n < g->n_text && text.p[n] != '*' && text.p[n] != '?')
		n++;
	g->is_dead = span_find(text, '\\') < text.n;
	g->is_literal = n == g->n_text;
	g->n_prefix = n;
	g->n_must = n;
	/* Two stars behind a slash also match nothing, slash included. */
	if (!g->is_literal && n > 0 && text.p[n - 1] == '/')
		g->n_must--;
	g->n_head = n;
	while (g->n_head > 0 && text.p[g->n_head - 1] != '/')
		g->n_head--;
	while (at > n && text.p[at - 1] != '*' && text.p[at - 1] != '?')
		at--;
	/* The same for the slash behind two stars. */
	if (at > n && at < g->n_text && text.p[at] == '/')
		at++;
	g->n_suffix = g->n_text - at;
}

/* Cuts what is behind the head; v has room for all of it. */
static uint32_t
cut_segments(struct span text, uint32_t from, struct segment *v)
{
	uint32_t n = 0;

	for (;;) {
		size_t end = span_find(span_from(text, from), '/');
		struct segment s = {.from = from, .n = (uint32_t)end};
		s.kind = kind_of(span_of(text.p + from, end));
		if (s.kind != SEGMENT_MANY || n == 0 || v[n - 1].kind != SEGMENT_MANY)
			v[n++] = s;
		if (from + end == text.n)
			return n;
		from += (uint32_t)end + 1;
	}
}

struct glob *
glob_new(struct arena *a, struct span pattern)
{
	struct glob head = {.n_text = (uint32_t)pattern.n};
	size_t n = 1;

	if (pattern.n >= UINT32_MAX)
		return NULL;
	measure_literals(&head, pattern);
	for (size_t i = head.n_head; i < pattern.n; i++)
		n += pattern.p[i] == '/';
	if (head.is_literal)
		n = 0;
	struct glob *g = arena_alloc(a, sizeof(*g) + n * sizeof(struct segment) + pattern.n);
	if (g == NULL)
		return NULL;
	*g = head;
	if (n > 0)
		g->n_segments = cut_segments(pattern, g->n_head, g->segments);
	if (pattern.n > 0)
		memcpy(g->segments + g->n_segments, pattern.p, pattern.n);
	return g;
}

static bool
match_segment(const char *text, const struct segment *s, struct span value)
{
	struct span own = span_of(text + s->from, s->n);

	switch (s->kind) {
	case SEGMENT_LITERAL:
		return span_eq(own, value);
	case SEGMENT_ANY:
		return true;
	case SEGMENT_WILD:
		return glob_bytes_match(own, value);
	case SEGMENT_MANY:
		break;
	}
	return false;
}

/* The segment at r->at, which must be there. */
static struct span
first_segment(const struct region *r)
{
	size_t n = r->limit - 1 - r->at;
	const char *slash = n > 0 ? memchr(r->p + r->at, '/', n) : NULL;

	return span_of(r->p + r->at, slash != NULL ? (size_t)(slash - r->p) - r->at : n);
}

/*
 * Takes the n segments s from the front of the region; false, with the region unchanged, when they
 * do not fit.
 */
static bool
take_front(const struct segment *s, size_t n, struct region *r)
{
	struct region left = *r;

	for (size_t i = 0; i < n; i++) {
		if (left.at == left.limit)
			return false;
		struct span value = first_segment(&left);
		if (!match_segment(r->pattern, &s[i], value))
			return false;
		left.at += value.n + 1;
	}
	*r = left;
	return true;
}

static bool
take_back(const struct segment *s, size_t n, struct region *r)
{
	for (size_t i = n; i > 0; i--) {
		if (r->at == r->limit)
			return false;
		size_t end = r->limit - 1;
		size_t begin = end;
		while (begin > r->at && r->p[begin - 1] != '/')
			begin--;
		if (!match_segment(r->pattern, &s[i - 1], span_of(r->p + begin, end - begin)))
			return false;
		r->limit = begin;
	}
	return true;
}

/* The leftmost place where the block fits. */
static bool
take_anywhere(const struct segment *s, size_t n, struct region *r)
{
	while (!take_front(s, n, r)) {
		if (r->at == r->limit)
			return false;
		r->at += first_segment(r).n + 1;
	}
	return true;
}

static size_t
find_many(const struct glob *g, size_t from)
{
	while (from < g->n_segments && g->segments[from].kind != SEGMENT_MANY)
		from++;
	return from;
}

static bool
match_segments(const struct glob *g, struct span value)
{
	struct region r = {.p = value.p != NULL ? value.p : "",
		.pattern = text_of(g),
		.at = g->n_head,
		.limit = value.n + 1};
	size_t star = find_many(g, 0);

	if (!take_front(g->segments, star, &r))
		return false;
	if (star == g->n_segments)
		return r.at == r.limit;
	size_t last = g->n_segments;
	while (g->segments[last - 1].kind != SEGMENT_MANY)
		last--;
	if (!take_back(g->segments + last, g->n_segments - last, &r))
		return false;
	while (star + 1 < last) {
		size_t next = find_many(g, star + 1);
		if (!take_anywhere(g->segments + star + 1, next - star - 1, &r))
			return false;
		star = next;
	}
	return true;
}

bool
glob_match(const struct glob *g, struct span value)
{
	const char *text = text_of(g);

	if (g->is_dead || !span_starts(value, span_of(text, g->n_must)))
		return false;
	if (g->is_literal)
		return value.n == g->n_text;
	/* Where the prefix ends in a slash, so does the segment of the value. */
	if (g->n_must < g->n_prefix && value.n > g->n_must && value.p[g->n_must] != '/')
		return false;
	if (!span_ends(value, span_of(text + g->n_text - g->n_suffix, g->n_suffix)))
		return false;
	struct span rest = span_from(value, g->n_must);
	return match_segments(g, value) && span_find(rest, '\\') == rest.n;
}

bool
glob_is_dead(const struct glob *g)
{
	return g->is_dead;
}

struct span
glob_get_literal_prefix(const struct glob *g)
{
	return span_of(text_of(g), g->n_prefix);
}

bool
glob_is_literal(const struct glob *g)
{
	return g->is_literal;
}
