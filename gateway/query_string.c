/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A strict reader: a filter that is misspelt or cut must not show more than was asked for. Pure. */
#include "query_string.h"

#include "base/arena.h"
#include "base/utf8.h"

/* The byte of a %XX; -1 when it is none. */
static int
read_escape(struct span s)
{
	static const char digits[] = "0123456789abcdef";
	int value = 0;

	if (s.n < 3)
		return -1;
	for (size_t i = 1; i < 3; i++) {
		char c = s.p[i] >= 'A' && s.p[i] <= 'F' ? (char)(s.p[i] - 'A' + 'a') : s.p[i];
		size_t digit = span_find(span_of(digits, 16), c);
		if (digit == 16)
			return -1;
		value = value * 16 + (int)digit;
	}
	return value;
}

static enum err
decode(struct span raw, struct span *out, struct arena *a, struct errinfo *ei)
{
	size_t n = 0;

	if (raw.n > 3 * (size_t)QUERY_VALUE_BYTES_MAX)
		return ERR(ei, ERR_INVALID, "a parameter is too long");
	char *text = arena_alloc(a, raw.n + 1);
	if (text == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < raw.n; i++) {
		int c = raw.p[i] == '+' ? ' ' : (unsigned char)raw.p[i];
		if (raw.p[i] == '%') {
			c = read_escape(span_from(raw, i));
			i += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return ERR(ei, ERR_INVALID,
				"a parameter holds a malformed escape or a control byte");
		text[n++] = (char)c;
	}
	*out = span_of(text, n);
	if (n > QUERY_VALUE_BYTES_MAX || !utf8_is_valid(*out))
		return ERR(ei, ERR_INVALID, "a parameter is too long or no valid UTF-8");
	return OK;
}

static size_t
find_name(struct span name, const char *const *names, size_t n_names)
{
	size_t i = 0;

	while (i < n_names && !span_eq_cstr(name, names[i]))
		i++;
	return i;
}

enum err
query_string_read(struct span query, const char *const *names, size_t n_names, struct span *values,
	struct arena *a, struct errinfo *ei)
{
	enum err rc = OK;

	for (size_t i = 0; i < n_names; i++)
		values[i] = SPAN_NONE;
	while (query.n > 0 && rc == OK) {
		size_t end = span_find(query, '&');
		struct span pair = span_of(query.p, end);
		size_t equals = span_find(pair, '=');
		size_t i = find_name(span_of(pair.p, equals), names, n_names);
		query = end < query.n ? span_from(query, end + 1) : SPAN_NONE;
		if (pair.n == 0)
			continue;
		if (i == n_names)
			return ERR(ei, ERR_INVALID, "a parameter is not known here");
		if (values[i].p != NULL)
			return ERR(ei, ERR_INVALID, "the parameter %s comes twice", names[i]);
		rc = decode(equals < pair.n ? span_from(pair, equals + 1) : span_of("", 0),
			&values[i], a, ei);
	}
	return rc;
}
