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

struct segment {
	struct span text;
	enum segment_kind kind;
};

struct glob {
	struct span prefix; /* literal bytes before the first wildcard */
	struct span
		must; /* what every match starts with: prefix without the "/" of a following "**" */
	struct span text;
	bool is_dead;
	bool is_literal;
	size_t n_segments;
	struct segment segments[]; /* no two SEGMENT_MANY in a row */
};

/*
 * The segments of the value that are left: from byte `at` to byte `limit`, each with the '/' (or
 * the end of the value) behind it. None is left when at == limit.
 */
struct region {
	const char *p;
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

static void
set_prefix(struct glob *g)
{
	size_t n = 0;

	while (n < g->text.n && g->text.p[n] != '*' && g->text.p[n] != '?')
		n++;
	g->is_literal = n == g->text.n;
	g->prefix = span_of(g->text.p, n);
	g->must = g->prefix;
	/* Two stars behind a slash also match nothing, slash included. */
	if (!g->is_literal && n > 0 && g->text.p[n - 1] == '/')
		g->must.n--;
}

struct glob *
glob_new(struct arena *a, struct span pattern)
{
	struct span text = arena_dup(a, pattern);
	size_t n = 1;

	if (text.p == NULL)
		return NULL;
	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '/';
	struct glob *g = arena_zalloc(a, 1, sizeof(*g) + n * sizeof(struct segment));
	if (g == NULL)
		return NULL;
	g->text = text;
	g->is_dead = span_find(text, '\\') < text.n;
	set_prefix(g);
	for (struct span rest = text;; rest = span_from(rest, 1)) {
		size_t end = span_find(rest, '/');
		struct segment s = {.text = span_of(rest.p, end)};
		s.kind = kind_of(s.text);
		size_t last = g->n_segments;
		if (s.kind != SEGMENT_MANY || last == 0 ||
			g->segments[last - 1].kind != SEGMENT_MANY)
			g->segments[g->n_segments++] = s;
		rest = span_from(rest, end);
		if (rest.n == 0)
			return g;
	}
}

static bool
match_segment(const struct segment *s, struct span value)
{
	switch (s->kind) {
	case SEGMENT_LITERAL:
		return span_eq(s->text, value);
	case SEGMENT_ANY:
		return true;
	case SEGMENT_WILD:
		return glob_bytes_match(s->text, value);
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
		if (!match_segment(&s[i], value))
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
		if (!match_segment(&s[i - 1], span_of(r->p + begin, end - begin)))
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
	struct region r = {.p = value.p != NULL ? value.p : "", .limit = value.n + 1};
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
	if (g->is_dead || !span_starts(value, g->must))
		return false;
	if (g->is_literal)
		return value.n == g->text.n;
	return match_segments(g, value) && span_find(value, '\\') == value.n;
}

bool
glob_is_dead(const struct glob *g)
{
	return g->is_dead;
}

struct span
glob_get_literal_prefix(const struct glob *g)
{
	return g->prefix;
}

bool
glob_is_literal(const struct glob *g)
{
	return g->is_literal;
}
