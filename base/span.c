/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The searches over spans that are too long for the header. Pure: reads only the bytes of its
 * arguments and never past their length. Any thread.
 */
#include "base/span.h"

#include <stdint.h>

#define ONES 0x0101010101010101ULL

static unsigned char
fold_ascii(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 'A' && u <= 'Z' ? (unsigned char)(u + ('a' - 'A')) : u;
}

bool
span_eq_nocase(struct span a, struct span b)
{
	size_t i = 0;

	if (a.n != b.n)
		return false;
	/* Eight at a time: a difference in another bit than that of the case is one for letters, too. */
	for (; a.n - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t x, y;
		memcpy(&x, a.p + i, sizeof(x));
		memcpy(&y, b.p + i, sizeof(y));
		if (((x ^ y) & ~(ONES * ('a' - 'A'))) != 0)
			return false;
		if (x != y)
			break;
	}
	for (; i < a.n; i++) {
		if (fold_ascii(a.p[i]) != fold_ascii(b.p[i]))
			return false;
	}
	return true;
}

static bool
is_ascii_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The three-byte code points with Unicode's White_Space: U+1680, U+2000-200A, 2028, 2029, 202F,
 * 205F, 3000. */
static bool
is_wide_blank(const unsigned char *u)
{
	uint32_t v = (uint32_t)u[0] << 16 | (uint32_t)u[1] << 8 | u[2];

	return v == 0xe19a80 || (v >= 0xe28080 && v <= 0xe2808a) || v == 0xe280a8 ||
	       v == 0xe280a9 || v == 0xe280af || v == 0xe2819f || v == 0xe38080;
}

/* Length of the blank of two or three bytes at p, 0 when there is none within n bytes. */
static size_t
long_blank(const char *p, size_t n)
{
	unsigned char u[3] = {0, 0, 0};

	memcpy(u, p, n < sizeof(u) ? n : sizeof(u));
	if (n >= 2 && u[0] == 0xc2 && (u[1] == 0x85 || u[1] == 0xa0))
		return 2;
	return n >= 3 && is_wide_blank(u) ? 3 : 0;
}

static size_t
leading_blank(struct span s)
{
	if (s.n == 0)
		return 0;
	if ((unsigned char)s.p[0] < 0x80)
		return is_ascii_blank(s.p[0]) ? 1 : 0;
	return long_blank(s.p, s.n);
}

static size_t
trailing_blank(struct span s)
{
	if (s.n == 0)
		return 0;
	if (is_ascii_blank(s.p[s.n - 1]))
		return 1;
	if ((unsigned char)s.p[s.n - 1] < 0x80)
		return 0; /* nearly always */
	for (size_t n = 2; n <= 3 && n <= s.n; n++) {
		if (long_blank(s.p + s.n - n, n) == n)
			return n;
	}
	return 0;
}

struct span
span_trim(struct span s)
{
	size_t n;

	for (n = leading_blank(s); n > 0; n = leading_blank(s))
		s = span_from(s, n);
	for (n = trailing_blank(s); n > 0; n = trailing_blank(s))
		s.n -= n;
	return s;
}

size_t
span_find(struct span s, char c)
{
	const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

	return at != NULL ? (size_t)(at - s.p) : s.n;
}
