/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 checks, single code points and simple lower-casing. The table of lower-case letters is
 * generated, so that the mapping depends on no locale. Never reads behind a span. Pure; any thread.
 */
#include "base/utf8.h"

#include <stdint.h>

#include "base/buf.h"
#include "base/must.h"

struct lower_range {
	uint32_t first;
	uint32_t last;
	uint32_t step;
	int32_t delta;
};

static const struct lower_range lower_ranges[] = {
#define X(first, last, step, delta) {first, last, step, delta},
#include "unicode_lower_tbl.h"
#undef X
};

static bool
is_continuation(char c)
{
	return ((unsigned char)c & 0xc0U) == 0x80;
}

/*
 * Length of the valid sequence at p, of which n > 0 bytes are there; 0 when it is not valid. The
 * second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF (RFC 3629,
 * section 4).
 */
static size_t
sequence_length(const char *p, size_t n)
{
	unsigned char lead = (unsigned char)p[0];
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t want;

	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	want = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	if (n < want)
		return 0;
	if (lead == 0xe0)
		low = 0xa0;
	if (lead == 0xed)
		high = 0x9f;
	if (lead == 0xf0)
		low = 0x90;
	if (lead == 0xf4)
		high = 0x8f;
	if ((unsigned char)p[1] < low || (unsigned char)p[1] > high)
		return 0;
	for (size_t i = 2; i < want; i++) {
		if (!is_continuation(p[i]))
			return 0;
	}
	return want;
}

/* Index of the first byte at or behind `at` that is not ASCII, or s.n. Eight bytes at a time. */
static size_t
skip_ascii(struct span s, size_t at)
{
	uint64_t word;

	while (s.n - at >= sizeof(word)) {
		memcpy(&word, s.p + at, sizeof(word));
		if ((word & 0x8080808080808080ULL) != 0)
			break;
		at += sizeof(word);
	}
	while (at < s.n && (unsigned char)s.p[at] < 0x80)
		at++;
	return at;
}

size_t
utf8_valid_prefix(struct span s)
{
	size_t at = skip_ascii(s, 0);

	while (at < s.n) {
		size_t n = sequence_length(s.p + at, s.n - at);
		if (n == 0)
			return at;
		at = skip_ascii(s, at + n);
	}
	return at;
}

bool
utf8_is_valid(struct span s)
{
	return utf8_valid_prefix(s) == s.n;
}

uint32_t
utf8_next(struct span s, size_t *at)
{
	MUST(*at < s.n);
	size_t n = sequence_length(s.p + *at, s.n - *at);
	uint32_t c = (unsigned char)s.p[*at];

	if (n == 0) {
		(*at)++;
		return 0xfffd;
	}
	if (n > 1)
		c &= 0x7fU >> n;
	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)s.p[*at + i] & 0x3fU);
	*at += n;
	return c;
}

size_t
utf8_encode(uint32_t code_point, char out[4])
{
	size_t n = 0;

	MUST(code_point <= 0x10ffff && (code_point < 0xd800 || code_point > 0xdfff));
	if (code_point < 0x80) {
		out[n++] = (char)code_point;
	} else if (code_point < 0x800) {
		out[n++] = (char)(0xc0U | code_point >> 6);
		out[n++] = (char)(0x80U | (code_point & 0x3fU));
	} else if (code_point < 0x10000) {
		out[n++] = (char)(0xe0U | code_point >> 12);
		out[n++] = (char)(0x80U | (code_point >> 6 & 0x3fU));
		out[n++] = (char)(0x80U | (code_point & 0x3fU));
	} else {
		out[n++] = (char)(0xf0U | code_point >> 18);
		out[n++] = (char)(0x80U | (code_point >> 12 & 0x3fU));
		out[n++] = (char)(0x80U | (code_point >> 6 & 0x3fU));
		out[n++] = (char)(0x80U | (code_point & 0x3fU));
	}
	return n;
}

void
utf8_put(struct buf *b, uint32_t code_point)
{
	char out[4];

	buf_add(b, out, utf8_encode(code_point, out));
}

static uint32_t
lower_of(uint32_t c)
{
	size_t low = 0;
	size_t high = ARRAY_LEN(lower_ranges);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct lower_range *r = &lower_ranges[middle];
		if (c > r->last)
			low = middle + 1;
		else if (c < r->first)
			high = middle;
		else if ((c - r->first) % r->step != 0)
			return c;
		else
			return (uint32_t)((int32_t)c + r->delta);
	}
	return c;
}

void
utf8_lower(struct buf *b, struct span s)
{
	for (size_t at = 0; at < s.n;) {
		unsigned char c = (unsigned char)s.p[at];
		if (c >= 'A' && c <= 'Z') {
			buf_add_char(b, (char)(c + ('a' - 'A')));
			at++;
		} else if (c < 0x80) {
			size_t end = at + 1;
			while (end < s.n && (unsigned char)s.p[end] < 0x80 &&
				(s.p[end] < 'A' || s.p[end] > 'Z'))
				end++;
			buf_add(b, s.p + at, end - at);
			at = end;
		} else if (sequence_length(s.p + at, s.n - at) == 0) {
			buf_add_char(b, s.p[at++]);
		} else {
			utf8_put(b, lower_of(utf8_next(s, &at)));
		}
	}
}

void
utf8_scrub(struct buf *b, struct span s)
{
	while (s.n > 0) {
		size_t valid = utf8_valid_prefix(s);
		buf_add(b, s.p, valid);
		s = span_from(s, valid);
		if (s.n > 0) {
			BUF_ADD_LIT(b, "\xef\xbf\xbd");
			s = span_from(s, 1);
		}
	}
}

size_t
utf8_cut(struct span s, size_t max)
{
	if (s.n <= max)
		return s.n;
	while (max > 0 && is_continuation(s.p[max]))
		max--;
	return max;
}
