/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A borrowed run of bytes: pointer and length, not NUL-terminated, never owned. {NULL, 0} is the
 * empty span. Everything inside nomos that came from outside travels as spans; NUL-terminated
 * strings stay at the edges.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
	const char *p;
	size_t n;
};

#define SPAN_LIT(s) ((struct span){(s), sizeof(s) - 1})
#define SPAN_NONE ((struct span){NULL, 0})
/* For printf: printf("%.*s", SPAN_ARG(s)). */
#define SPAN_ARG(s) ((int)((s).n > 4096 ? 4096 : (s).n)), ((s).p != NULL ? (s).p : "")

static inline struct span
span_of(const char *p, size_t n)
{
	return (struct span){p, n};
}

/* NULL gives the empty span. */
static inline struct span
span_cstr(const char *s)
{
	return s != NULL ? (struct span){s, strlen(s)} : SPAN_NONE;
}

static inline bool
span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool
span_eq_cstr(struct span a, const char *s)
{
	return span_eq(a, span_cstr(s));
}

/* Order by bytes, a prefix first; the order of canonical JSON members and of rule ids. */
static inline int
span_cmp(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n > 0 ? memcmp(a.p, b.p, n) : 0;

	if (c != 0)
		return c;
	return a.n < b.n ? -1 : a.n > b.n;
}

static inline bool
span_starts(struct span s, struct span prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool
span_ends(struct span s, struct span suffix)
{
	return s.n >= suffix.n &&
	       (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* s without its first n bytes; n must be at most s.n. */
static inline struct span
span_from(struct span s, size_t n)
{
	return (struct span){n > 0 ? s.p + n : s.p, s.n - n};
}

/* Equal when ASCII letters are folded. */
bool span_eq_nocase(struct span a, struct span b);
/* Without leading and trailing white space: space, \t \n \v \f \r, U+0085, U+00A0, U+1680,
 * U+2000-200A, U+2028, U+2029, U+202F, U+205F, U+3000, as Go's TrimSpace. */
struct span span_trim(struct span s);
/* Index of the first byte c, or s.n. */
size_t span_find(struct span s, char c);

#endif
