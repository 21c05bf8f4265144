/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Small strict parsers: what is not exactly the form is refused, never guessed. Pure; any thread.
 */
#include "base/parse.h"

#define EDIT_MAX 64

bool
parse_uint(struct span s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	*out = 0;
	if (s.n == 0 || (s.n > 1 && s.p[0] == '0'))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		uint64_t digit = (uint64_t)(s.p[i] - '0');
		if (digit > max || v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return true;
}

bool
parse_int(struct span s, int64_t min, int64_t max, int64_t *out)
{
	bool is_negative = s.n > 0 && s.p[0] == '-';
	/* The size of INT64_MIN is one more than that of INT64_MAX. */
	uint64_t limit = (uint64_t)INT64_MAX + (is_negative ? 1 : 0);
	uint64_t size;

	*out = 0;
	if (!parse_uint(is_negative ? span_from(s, 1) : s, limit, &size))
		return false;
	int64_t v;
	if (!is_negative)
		v = (int64_t)size;
	else
		v = size == 0 ? 0 : -(int64_t)(size - 1) - 1;
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}

bool
parse_bool(struct span s, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"1", true}, {"t", true}, {"T", true}, {"TRUE", true}, {"true", true},
		{"True", true}, {"0", false}, {"f", false}, {"F", false}, {"FALSE", false},
		{"false", false}, {"False", false}};

	*out = false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (span_eq_cstr(s, words[i].word)) {
			*out = words[i].value;
			return true;
		}
	}
	return false;
}

bool
size_add(size_t a, size_t b, size_t *out)
{
	*out = 0;
	if (a > SIZE_MAX - b)
		return false;
	*out = a + b;
	return true;
}

bool
size_mul(size_t a, size_t b, size_t *out)
{
	*out = 0;
	if (b > 0 && a > SIZE_MAX / b)
		return false;
	*out = a * b;
	return true;
}

static unsigned
min_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* One row of the classic table at a time: row[j] is the distance of a's first i bytes to b's
 * first j. */
unsigned
parse_edit_distance(struct span a, struct span b, unsigned cap)
{
	unsigned row[EDIT_MAX + 1];

	if (a.n > EDIT_MAX || b.n > EDIT_MAX)
		return cap + 1;
	for (unsigned j = 0; j <= b.n; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a.n; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b.n; j++) {
			unsigned above = row[j];
			unsigned replaced = diagonal + (a.p[i - 1] != b.p[j - 1] ? 1 : 0);
			row[j] = min_of(replaced, min_of(above, row[j - 1]) + 1);
			diagonal = above;
		}
	}
	return min_of(row[b.n], cap + 1);
}
