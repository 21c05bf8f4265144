/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers of the JSON tree: the canonical form that hashes cover (nomos-policy.md 1.7), the same
 * with typed numbers, and the pretty form for people. A failed buffer stops a writer, and so does
 * nesting over twice the parser's limit (trees wrapped into others), which fails the buffer. Pure;
 * any thread.
 */
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"

enum { WRITE_DEPTH_MAX = 2 * JSON_DEPTH_MAX };

enum style { STYLE_CANONICAL = 0, STYLE_TYPED, STYLE_PRETTY };

struct writer {
	struct buf *b;
	enum style style;
};

/* Bytes that json_quote copies as they are, all of a run at once. */
static bool
is_verbatim(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* Whether a byte of the eight is not verbatim. A carry between bytes can only make a false yes. */
static bool
has_special(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101ULL;
	const uint64_t tops = 0x8080808080808080ULL;
	/* The quote and '&' differ in one bit, '<' and '>' in another. */
	uint64_t quote_amp = (w | (ones * 0x04)) ^ (ones * ('"' | 0x04));
	uint64_t angles = (w | (ones * 0x02)) ^ (ones * ('<' | 0x02));
	uint64_t backslash = w ^ (ones * '\\');

	return (((w - ones * 0x20) | (quote_amp - ones) | (angles - ones) | (backslash - ones) |
			w) &
		       tops) != 0;
}

/* Of a text that is shorter than eight bytes from `at` on, or has something special there. */
static size_t
skip_verbatim_bytes(struct span s, size_t at)
{
	while (at < s.n && is_verbatim((unsigned char)s.p[at]))
		at++;
	return at;
}

static size_t
skip_verbatim_words(struct span s, size_t at)
{
	uint64_t word;

	while (s.n - at >= sizeof(word)) {
		memcpy(&word, s.p + at, sizeof(word));
		if (has_special(word))
			break;
		at += sizeof(word);
	}
	/* The last bytes once more with those before them, which are verbatim. */
	if (s.n >= sizeof(word) && s.n - at < sizeof(word)) {
		memcpy(&word, s.p + s.n - sizeof(word), sizeof(word));
		if (!has_special(word))
			return s.n;
	}
	return skip_verbatim_bytes(s, at);
}

#if defined(__SSE2__)
#define BLOCK_BYTES ((size_t)16)

/* A bit for each of sixteen bytes that is not verbatim. */
static unsigned
find_special(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
	/* Bytes from 0x80 on are negative. */
	__m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
	__m128i quote_amp =
		_mm_cmpeq_epi8(_mm_or_si128(v, _mm_set1_epi8(0x04)), _mm_set1_epi8('"' | 0x04));
	__m128i angles =
		_mm_cmpeq_epi8(_mm_or_si128(v, _mm_set1_epi8(0x02)), _mm_set1_epi8('<' | 0x02));
	__m128i backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));

	return (unsigned)_mm_movemask_epi8(
		_mm_or_si128(_mm_or_si128(low, quote_amp), _mm_or_si128(angles, backslash)));
}

/* The index behind the verbatim bytes from `at` on. */
static size_t
skip_verbatim(struct span s, size_t at)
{
	if (s.n - at < BLOCK_BYTES)
		return skip_verbatim_words(s, at);
	for (; s.n - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
		unsigned found = find_special(s.p + at);
		if (found != 0)
			return at + (size_t)__builtin_ctz(found);
	}
	/* The last bytes once more with those before them, which are verbatim. */
	unsigned found = find_special(s.p + s.n - BLOCK_BYTES);
	return found != 0 ? s.n - BLOCK_BYTES + (size_t)__builtin_ctz(found) : s.n;
}
#else
static size_t
skip_verbatim(struct span s, size_t at)
{
	return skip_verbatim_words(s, at);
}
#endif

static void
quote_ascii(struct buf *b, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	static const char shorts[][2] = {{'"', '"'}, {'\\', '\\'}, {'\n', 'n'}, {'\r', 'r'},
		{'\t', 't'}, {'\b', 'b'}, {'\f', 'f'}};

	for (size_t i = 0; i < ARRAY_LEN(shorts); i++) {
		if ((unsigned char)shorts[i][0] == c) {
			const char text[2] = {'\\', shorts[i][1]};
			buf_add(b, text, sizeof(text));
			return;
		}
	}
	const char text[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15U]};
	buf_add(b, text, sizeof(text));
}

/* Writes the run of bytes from `at` on that are not ASCII; returns the index behind it. */
static size_t
quote_high(struct buf *b, struct span s, size_t at)
{
	size_t end = at;

	while (end < s.n && (unsigned char)s.p[end] >= 0x80)
		end++;
	while (at < end) {
		struct span run = span_of(s.p + at, end - at);
		size_t valid = utf8_valid_prefix(run);
		size_t from = 0;
		for (size_t i = 0; i + 2 < valid; i++) {
			if (memcmp(run.p + i, "\xe2\x80", 2) != 0 ||
				((unsigned char)run.p[i + 2] & 0xfeU) != 0xa8)
				continue;
			buf_add(b, run.p + from, i - from);
			buf_add_cstr(b, run.p[i + 2] == '\xa8' ? "\\u2028" : "\\u2029");
			from = i + 3;
			i += 2;
		}
		buf_add(b, run.p + from, valid - from);
		at += valid;
		if (at < end) {
			BUF_ADD_LIT(b, "\xef\xbf\xbd");
			at++;
		}
	}
	return at;
}

/* What json_quote writes between the quotes, from `at` on, where something is not verbatim. */
static void
quote_rest(struct buf *b, struct span s, size_t at)
{
	while (at < s.n && !buf_failed(b)) {
		size_t run = skip_verbatim(s, at);

		if (run > at)
			buf_add(b, s.p + at, run - at);
		at = run;
		if (at == s.n)
			break;
		if ((unsigned char)s.p[at] >= 0x80)
			at = quote_high(b, s, at);
		else
			quote_ascii(b, (unsigned char)s.p[at++]);
	}
}

void
json_quote(struct buf *b, struct span s)
{
	size_t n = skip_verbatim(s, 0);
	char *to = s.n < SIZE_MAX - 2 ? buf_reserve(b, s.n + 2) : NULL;

	if (to == NULL) {
		b->failed = true;
		return;
	}
	to[0] = '"';
	if (n > 0)
		memcpy(to + 1, s.p, n);
	if (n == s.n) {
		to[1 + n] = '"';
		buf_commit(b, n + 2);
		return;
	}
	buf_commit(b, n + 1);
	quote_rest(b, s, n);
	buf_add_char(b, '"');
}

static bool
is_integer_text(struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '.' || text.p[i] == 'e' || text.p[i] == 'E')
			return false;
	}
	return true;
}

static void
write_number(const struct writer *w, struct span text)
{
	if (!is_integer_text(text)) {
		if (w->style == STYLE_CANONICAL)
			json_quote(w->b, text);
		else
			buf_add_span(w->b, text);
	} else if (span_eq_cstr(text, "-0")) {
		buf_add_char(w->b, '0');
	} else {
		buf_add_span(w->b, text);
	}
}

static void
new_line(const struct writer *w, unsigned depth)
{
	if (w->style != STYLE_PRETTY)
		return;
	buf_add_char(w->b, '\n');
	for (unsigned i = 0; i < depth; i++)
		BUF_ADD_LIT(w->b, "  ");
}

static void write_value(const struct writer *w, const struct json *v, unsigned depth);

static void
write_array(const struct writer *w, const struct json *v, unsigned depth)
{
	buf_add_char(w->b, '[');
	for (const struct json *e = v->first; e != NULL && !buf_failed(w->b); e = e->next) {
		if (e != v->first)
			buf_add_char(w->b, ',');
		new_line(w, depth);
		write_value(w, e, depth);
	}
	if (v->n > 0)
		new_line(w, depth - 1);
	buf_add_char(w->b, ']');
}

static void
write_object(const struct writer *w, const struct json *v, unsigned depth)
{
	buf_add_char(w->b, '{');
	for (uint32_t i = 0; i < v->n && !buf_failed(w->b); i++) {
		if (i > 0)
			buf_add_char(w->b, ',');
		new_line(w, depth);
		json_quote(w->b, v->sorted[i]->name);
		buf_add_char(w->b, ':');
		if (w->style == STYLE_PRETTY)
			buf_add_char(w->b, ' ');
		write_value(w, v->sorted[i], depth);
	}
	if (v->n > 0)
		new_line(w, depth - 1);
	buf_add_char(w->b, '}');
}

/* depth counts the containers around v. */
static void
write_value(const struct writer *w, const struct json *v, unsigned depth)
{
	if (depth == WRITE_DEPTH_MAX) {
		w->b->failed = true;
		return;
	}
	switch (v->type) {
	case JSON_NULL:
		BUF_ADD_LIT(w->b, "null");
		break;
	case JSON_BOOL:
		buf_add_cstr(w->b, v->boolean ? "true" : "false");
		break;
	case JSON_NUMBER:
		write_number(w, v->text);
		break;
	case JSON_STRING:
		json_quote(w->b, v->text);
		break;
	case JSON_ARRAY:
		write_array(w, v, depth + 1);
		break;
	case JSON_OBJECT:
		write_object(w, v, depth + 1);
		break;
	}
}

static void
write_root(const struct json *v, struct buf *b, enum style style)
{
	const struct writer w = {.b = b, .style = style};

	write_value(&w, v, 0);
}

void
json_canonical(const struct json *v, struct buf *b)
{
	write_root(v, b, STYLE_CANONICAL);
}

void
json_canonical_typed(const struct json *v, struct buf *b)
{
	write_root(v, b, STYLE_TYPED);
}

void
json_pretty(const struct json *v, struct buf *b)
{
	write_root(v, b, STYLE_PRETTY);
}
