/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * How a number of an obligation enters the bundle hash (nomos-policy.md 1.8). The reference decodes
 * JSON numbers to float64 and prints them again with Go's encoding/json: shortest digits that read
 * back the same, plain notation for 1e-6 <= |x| < 1e21, else exponent notation with a sign, and
 * without the zero of "e-09"; 1e21 becomes "1e+21". YAML integers that fit int64 or uint64 stay
 * integers, other YAML numbers take the same way as JSON's. Matched: all finite float64. Refused:
 * what is out of float64's range, infinities, not-a-number. Pure; any thread.
 */
#include "bundle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/parse.h"

/* -d.ddddddddddddddddde-308 and its NUL. */
#define SCIENTIFIC_MAX 40
#define DIGITS_MAX 17

struct decimal {
	char digits[DIGITS_MAX + 1];
	int n;
	int point; /* x = 0.digits * 10^point */
	bool is_negative;
};

static void
shortest_decimal(double x, struct decimal *out)
{
	char text[SCIENTIFIC_MAX];

	for (int precision = 0; precision < DIGITS_MAX; precision++) {
		snprintf(text, sizeof(text), "%.*e", precision, x);
		if (strtod(text, NULL) == x)
			break;
	}
	const char *p = text;
	out->is_negative = *p == '-';
	if (out->is_negative)
		p++;
	out->n = 0;
	for (; *p != 'e' && *p != '\0'; p++) {
		if (*p != '.' && out->n < DIGITS_MAX)
			out->digits[out->n++] = *p;
	}
	long exponent = *p == 'e' ? strtol(p + 1, NULL, 10) : 0;
	out->point = (int)exponent + 1;
	while (out->n > 1 && out->digits[out->n - 1] == '0')
		out->n--;
}

static struct span
print_exponent(struct arena *a, const struct decimal *d)
{
	int exponent = d->point - 1;
	const char *sign = d->is_negative ? "-" : "";

	if (exponent < 0)
		return arena_printf(a, "%s%c%s%.*se-%d", sign, d->digits[0], d->n > 1 ? "." : "",
			d->n - 1, d->digits + 1, -exponent);
	return arena_printf(a, "%s%c%s%.*se+%02d", sign, d->digits[0], d->n > 1 ? "." : "",
		d->n - 1, d->digits + 1, exponent);
}

static struct span
print_plain(struct arena *a, const struct decimal *d)
{
	static const char zeros[] = "000000000000000000000"; /* plain notation ends at 1e21 */
	const char *sign = d->is_negative ? "-" : "";

	if (d->point <= 0)
		return arena_printf(a, "%s0.%.*s%.*s", sign, -d->point, zeros, d->n, d->digits);
	if (d->point >= d->n)
		return arena_printf(a, "%s%.*s%.*s", sign, d->n, d->digits, d->point - d->n, zeros);
	return arena_printf(
		a, "%s%.*s.%.*s", sign, d->point, d->digits, d->n - d->point, d->digits + d->point);
}

static struct span
print_float(struct arena *a, double x)
{
	struct decimal d = {.n = 0};
	double size = fabs(x);

	if (size == 0.0)
		return arena_dup(a, SPAN_LIT("0"));
	shortest_decimal(x, &d);
	if (size < 1e-6 || size >= 1e21)
		return print_exponent(a, &d);
	return print_plain(a, &d);
}

static bool
is_typed_integer(struct span text)
{
	int64_t i;
	uint64_t u;

	return parse_int(text, INT64_MIN, INT64_MAX, &i) || parse_uint(text, UINT64_MAX, &u);
}

struct span
bundle_number_text(struct arena *a, struct span text, bool is_yaml)
{
	char copy[JSON_NUMBER_BYTES_MAX + 2];
	char *end = NULL;

	if (text.n == 0 || text.n >= sizeof(copy))
		return SPAN_NONE;
	if (is_yaml && is_typed_integer(text))
		return arena_dup(a, span_eq_cstr(text, "-0") ? SPAN_LIT("0") : text);
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	double x = strtod(copy, &end);
	if (end != copy + text.n || !isfinite(x))
		return SPAN_NONE;
	return print_float(a, x);
}
