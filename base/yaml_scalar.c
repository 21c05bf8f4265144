/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Typing of plain YAML scalars: the words of null, true and false; integers with underscores, signs
 * and the prefixes 0x 0o 0b 0, which become decimal text; floats, whose text is only brought into
 * JSON's grammar. What has no JSON number (.inf, .nan) and dates stay strings. Pure; any thread.
 */
#include "yaml_scalar.h"

#include <inttypes.h>

#include "base/arena.h"

/* The sign and two zeros may be added; the text must stay within JSON_NUMBER_BYTES_MAX. */
enum { DIGITS_MAX = JSON_NUMBER_BYTES_MAX - 4 };

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
resolve_word(struct span s, struct json *v)
{
	static const struct {
		const char *word;
		enum json_type type;
		bool boolean;
	} words[] = {
		{"", JSON_NULL, false},
		{"~", JSON_NULL, false},
		{"null", JSON_NULL, false},
		{"Null", JSON_NULL, false},
		{"NULL", JSON_NULL, false},
		{"true", JSON_BOOL, true},
		{"True", JSON_BOOL, true},
		{"TRUE", JSON_BOOL, true},
		{"false", JSON_BOOL, false},
		{"False", JSON_BOOL, false},
		{"FALSE", JSON_BOOL, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (span_eq_cstr(s, words[i].word)) {
			v->type = words[i].type;
			v->boolean = words[i].boolean;
			return true;
		}
	}
	return false;
}

/*
 * Value of the digits in the base; false when one is no digit of it, there is none, or 64 bits do
 * not hold it.
 */
static bool
read_digits(struct span s, unsigned base, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		unsigned digit = 99;
		if (is_digit(c))
			digit = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else if (c >= 'A' && c <= 'F')
			digit = (unsigned)(c - 'A') + 10;
		if (digit >= base || *out > (UINT64_MAX - digit) / base)
			return false;
		*out = *out * base + digit;
	}
	return s.n > 0;
}

/*
 * Splits off a base prefix: 0x, 0o, 0b, or a plain 0 before other digits. Returns 10 and leaves s
 * when there is none.
 */
static unsigned
take_base(struct span *s)
{
	unsigned base = 10;
	size_t prefix = 2;

	/* The analyser loses sight of what the span borrows. NOLINTNEXTLINE */
	if (s->n < 2 || s->p[0] != '0')
		return base;
	switch (s->p[1]) {
	case 'x':
	case 'X':
		base = 16;
		break;
	case 'o':
	case 'O':
		base = 8;
		break;
	case 'b':
	case 'B':
		base = 2;
		break;
	default:
		base = 8;
		prefix = 1;
	}
	*s = span_from(*s, prefix);
	return base;
}

/* An integer in another base than ten. */
static bool
resolve_based(struct span digits, bool negative, struct arena *a, struct json *v)
{
	uint64_t value;
	unsigned base = take_base(&digits);

	if (base == 10 || !read_digits(digits, base, &value))
		return false;
	if (negative && value > (uint64_t)INT64_MAX + 1)
		return false;
	v->type = JSON_NUMBER;
	v->text = arena_printf(a, "%s%" PRIu64, negative && value > 0 ? "-" : "", value);
	return true;
}

static size_t
count_digits(struct span s)
{
	size_t n = 0;

	while (n < s.n && is_digit(s.p[n]))
		n++;
	return n;
}

/* [digits][.digits][e[sign]digits], with a digit before or behind the point. */
struct decimal {
	struct span whole; /* no leading zeros */
	struct span fraction;
	struct span exponent; /* with e and sign */
	bool has_point;
};

static bool
split_decimal(struct span s, struct decimal *d)
{
	size_t n = count_digits(s);
	bool has_digit = n > 0;

	*d = (struct decimal){.whole = span_of(s.p, n)};
	s = span_from(s, n);
	if (s.n > 0 && s.p[0] == '.') {
		d->has_point = true;
		s = span_from(s, 1);
		n = count_digits(s);
		has_digit = has_digit || n > 0;
		d->fraction = span_of(s.p, n);
		s = span_from(s, n);
	}
	if (!has_digit)
		return false;
	if (s.n > 0 && (s.p[0] == 'e' || s.p[0] == 'E')) {
		n = 1;
		if (s.n > 1 && (s.p[1] == '+' || s.p[1] == '-'))
			n++;
		size_t digits = count_digits(span_from(s, n));
		if (digits == 0)
			return false;
		d->exponent = span_of(s.p, n + digits);
		s = span_from(s, n + digits);
	}
	while (d->whole.n > 1 && d->whole.p[0] == '0')
		d->whole = span_from(d->whole, 1);
	return s.n == 0;
}

static bool
resolve_decimal(struct span s, bool negative, struct arena *a, struct json *v)
{
	struct decimal d;

	if (!split_decimal(s, &d))
		return false;
	bool is_zero = span_eq_cstr(d.whole, "0") && !d.has_point && d.exponent.n == 0;
	struct span whole = d.whole.n > 0 ? d.whole : SPAN_LIT("0");
	struct span fraction = d.has_point && d.fraction.n == 0 ? SPAN_LIT("0") : d.fraction;
	v->type = JSON_NUMBER;
	v->text = arena_printf(a, "%s%.*s%s%.*s%.*s", negative && !is_zero ? "-" : "",
		SPAN_ARG(whole), d.has_point ? "." : "", SPAN_ARG(fraction), SPAN_ARG(d.exponent));
	return true;
}

bool
yaml_scalar_resolve(struct span plain, struct arena *a, struct json *v)
{
	char digits[DIGITS_MAX];
	struct span s = {digits, 0};
	bool negative = false;

	v->type = JSON_STRING;
	v->text = plain;
	if (resolve_word(plain, v)) {
		v->text = SPAN_NONE;
		return true;
	}
	char first = plain.p[0];
	if (!is_digit(first) && first != '+' && first != '-' && first != '.')
		return true;
	for (size_t i = 0; i < plain.n; i++) {
		if (plain.p[i] == '_' && first != '.')
			continue;
		/* Nothing that long is taken for a number. */
		if (s.n == sizeof(digits))
			return true;
		digits[s.n++] = plain.p[i];
	}
	if (first == '+' || first == '-') {
		negative = first == '-';
		s = span_from(s, 1);
	}
	if (!resolve_based(s, negative, a, v) && !resolve_decimal(s, negative, a, v))
		return true;
	return !arena_failed(a) && v->text.p != NULL;
}
