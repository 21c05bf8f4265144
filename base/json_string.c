/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Scanning and decoding of JSON strings. The scan refuses control bytes, invalid UTF-8, unknown
 * escapes and lone surrogates, so that the decoder need not check anything again. Pure; any thread.
 */
#include "json_string.h"

#include <stdint.h>

#include "base/hex.h"
#include "base/utf8.h"

/* Bytes that end a run of plain ones: controls, quote, backslash, anything that is not ASCII. */
static bool
is_special(unsigned char c)
{
	return c < 0x20 || c == '"' || c == '\\' || c >= 0x80;
}

/* Whether one of the eight bytes is special. A carry between bytes can only make a false yes. */
static bool
has_special(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101ULL;
	const uint64_t tops = 0x8080808080808080ULL;
	uint64_t quote = w ^ (ones * '"');
	uint64_t backslash = w ^ (ones * '\\');

	return (((w - ones * 0x20) | (quote - ones) | (backslash - ones) | w) & tops) != 0;
}

static const char *
skip_plain(const char *p, const char *end)
{
	uint64_t word;

	while (end - p >= (ptrdiff_t)sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		if (has_special(word))
			break;
		p += sizeof(word);
	}
	while (p < end && !is_special((unsigned char)*p))
		p++;
	return p;
}

/* The four digits at p, of which `end` is known to lie behind, or -1. */
static int32_t
read_hex4(const char *p, const char *end)
{
	int32_t v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);
		if (digit < 0)
			return -1;
		v = v << 4 | digit;
	}
	return v;
}

static bool
is_high_surrogate(int32_t c)
{
	return c >= 0xd800 && c <= 0xdbff;
}

static bool
is_low_surrogate(int32_t c)
{
	return c >= 0xdc00 && c <= 0xdfff;
}

static enum json_fault
fail(struct json_string *s, enum json_fault fault, const char *at, const char *what)
{
	s->at = at;
	s->what = what;
	return fault;
}

/* *p is behind "\u"; moves it behind the escape or the pair of escapes. */
static enum json_fault
scan_unicode(const char **p, const char *end, struct json_string *s)
{
	const char *begin = *p - 2;
	int32_t c = read_hex4(*p, end);

	if (c < 0)
		return fail(s, end - *p < 4 ? JSON_FAULT_CUT : JSON_FAULT_SYNTAX, begin,
			"invalid escape");
	*p += 4;
	if (is_low_surrogate(c))
		return fail(s, JSON_FAULT_UTF8, begin, "lone surrogate");
	if (!is_high_surrogate(c))
		return JSON_FAULT_NONE;
	if (end - *p < 6)
		return fail(s, JSON_FAULT_UTF8, begin, "lone surrogate");
	if ((*p)[0] != '\\' || (*p)[1] != 'u' || !is_low_surrogate(read_hex4(*p + 2, end)))
		return fail(s, JSON_FAULT_UTF8, begin, "lone surrogate");
	*p += 6;
	return JSON_FAULT_NONE;
}

/* *p is at the backslash. */
static enum json_fault
scan_escape(const char **p, const char *end, struct json_string *s)
{
	s->has_escapes = true;
	if (end - *p < 2)
		return fail(s, JSON_FAULT_CUT, end, "unexpected end");
	char c = (*p)[1];
	*p += 2;
	switch (c) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return JSON_FAULT_NONE;
	case 'u':
		return scan_unicode(p, end, s);
	default:
		return fail(s, JSON_FAULT_SYNTAX, *p - 2, "invalid escape");
	}
}

enum json_fault
json_string_scan(const char *p, const char *end, struct json_string *out)
{
	enum json_fault fault = JSON_FAULT_NONE;

	*out = (struct json_string){.at = NULL};
	while (fault == JSON_FAULT_NONE) {
		p = skip_plain(p, end);
		if (p == end)
			return fail(out, JSON_FAULT_CUT, p, "unexpected end");
		unsigned char c = (unsigned char)*p;
		if (c == '"') {
			out->at = p;
			return JSON_FAULT_NONE;
		}
		if (c < 0x20)
			return fail(out, JSON_FAULT_CONTROL, p, "control byte in a string");
		if (c == '\\') {
			fault = scan_escape(&p, end, out);
		} else {
			/* To the next ASCII byte, which a sequence cannot hold. */
			const char *run = p;
			while (run < end && (unsigned char)*run >= 0x80)
				run++;
			size_t valid = utf8_valid_prefix(span_of(p, (size_t)(run - p)));
			p += valid;
			if (p < run)
				return fail(out, JSON_FAULT_UTF8, p, "invalid UTF-8");
		}
	}
	return fault;
}

/* Decodes the escape at raw.p[*at], which is a backslash, and moves *at behind it. */
static size_t
decode_escape(struct span raw, size_t *at, char *out)
{
	static const char shorts[][2] = {
		{'b', '\b'}, {'f', '\f'}, {'n', '\n'}, {'r', '\r'}, {'t', '\t'}};
	char c = raw.p[*at + 1];

	*at += 2;
	if (c == 'u') {
		const char *end = raw.p + raw.n;
		int32_t first = read_hex4(raw.p + *at, end);
		*at += 4;
		if (!is_high_surrogate(first))
			return utf8_encode((uint32_t)first, out);
		int32_t second = read_hex4(raw.p + *at + 2, end);
		*at += 6;
		return utf8_encode(
			(uint32_t)(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)), out);
	}
	out[0] = c;
	for (size_t i = 0; i < ARRAY_LEN(shorts); i++) {
		if (shorts[i][0] == c)
			out[0] = shorts[i][1];
	}
	return 1;
}

size_t
json_string_decode(struct span raw, char *out)
{
	size_t n = 0;

	for (size_t at = 0; at < raw.n;) {
		if (raw.p[at] == '\\')
			n += decode_escape(raw, &at, out + n);
		else
			out[n++] = raw.p[at++];
	}
	return n;
}
