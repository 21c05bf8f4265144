/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers, booleans, checked arithmetic, edit distance. */
#include "base/parse.h"

#include "support/test.h"

TEST(uint_takes_plain_decimals_only)
{
	static const char *const bad[] = {"", "+1", "-0", " 1", "1 ", "01", "00", "0x1", "1e2",
		"1.0", "18446744073709551616", "99999999999999999999999", "\xd9\xa1"};
	uint64_t v = 9;

	CHECK(parse_uint(SPAN_LIT("0"), UINT64_MAX, &v) && v == 0);
	CHECK(parse_uint(SPAN_LIT("18446744073709551615"), UINT64_MAX, &v) && v == UINT64_MAX);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		v = 9;
		if (parse_uint(span_cstr(bad[i]), UINT64_MAX, &v) || v != 0)
			FAIL("\"%s\" was taken", bad[i]);
	}
	CHECK(!parse_uint(span_of("1\0", 2), UINT64_MAX, &v));
}

TEST(uint_keeps_to_max)
{
	uint64_t v;

	CHECK(parse_uint(SPAN_LIT("65535"), 65535, &v) && v == 65535);
	CHECK(!parse_uint(SPAN_LIT("65536"), 65535, &v));
	CHECK(!parse_uint(SPAN_LIT("100000"), 65535, &v));
	CHECK(!parse_uint(SPAN_LIT("7"), 5, &v));
	CHECK(parse_uint(SPAN_LIT("0"), 0, &v) && v == 0);
	CHECK(!parse_uint(SPAN_LIT("1"), 0, &v));
}

TEST(int_has_both_ends)
{
	int64_t v;

	CHECK(parse_int(SPAN_LIT("-9223372036854775808"), INT64_MIN, INT64_MAX, &v));
	CHECK(v == INT64_MIN);
	CHECK(parse_int(SPAN_LIT("9223372036854775807"), INT64_MIN, INT64_MAX, &v));
	CHECK(v == INT64_MAX);
	CHECK(!parse_int(SPAN_LIT("9223372036854775808"), INT64_MIN, INT64_MAX, &v));
	CHECK(!parse_int(SPAN_LIT("-9223372036854775809"), INT64_MIN, INT64_MAX, &v));
	CHECK(parse_int(SPAN_LIT("-0"), -5, 5, &v) && v == 0);
	CHECK(!parse_int(SPAN_LIT("-6"), -5, 5, &v));
	CHECK(!parse_int(SPAN_LIT("6"), -5, 5, &v));
	CHECK(!parse_int(SPAN_LIT("-"), -5, 5, &v));
	CHECK(!parse_int(SPAN_LIT("--1"), -5, 5, &v));
	CHECK(!parse_int(SPAN_LIT("-01"), -5, 5, &v));
}

TEST(bool_takes_the_twelve_words)
{
	static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
	static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
	static const char *const bad[] = {"", "yes", "no", "on", "tRUE", "10", " true", "y"};
	bool v;

	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		CHECK(parse_bool(span_cstr(yes[i]), &v) && v);
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		CHECK(parse_bool(span_cstr(no[i]), &v) && !v);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		v = true;
		if (parse_bool(span_cstr(bad[i]), &v) || v)
			FAIL("\"%s\" was taken", bad[i]);
	}
}

TEST(checked_arithmetic)
{
	size_t v;

	CHECK(size_add(SIZE_MAX - 1, 1, &v) && v == SIZE_MAX);
	CHECK(!size_add(SIZE_MAX, 1, &v));
	CHECK_INT(v, 0);
	CHECK(size_mul(SIZE_MAX / 2, 2, &v) && v == SIZE_MAX - 1);
	CHECK(!size_mul(SIZE_MAX / 2, 3, &v));
	CHECK(size_mul(SIZE_MAX, 0, &v) && v == 0);
	CHECK(size_mul(0, SIZE_MAX, &v) && v == 0);
}

TEST(edit_distance)
{
	static const struct {
		const char *a;
		const char *b;
		unsigned want;
	} rows[] = {{"", "", 0}, {"abc", "abc", 0}, {"abc", "", 3}, {"", "ab", 2},
		{"abc", "abd", 1}, {"abc", "bc", 1}, {"listen", "lisetn", 2},
		{"kitten", "sitting", 3}, {"serve", "verify", 4}, {"aaaaaaaa", "bbbbbbbb", 6}};
	char long_text[65];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span a = span_cstr(rows[i].a);
		struct span b = span_cstr(rows[i].b);
		CHECK_INT(parse_edit_distance(a, b, 5), rows[i].want);
		CHECK_INT(parse_edit_distance(b, a, 5), rows[i].want);
	}
	for (size_t i = 0; i < sizeof(long_text); i++)
		long_text[i] = 'x';
	struct span s = span_of(long_text, sizeof(long_text));
	CHECK_INT(parse_edit_distance(s, s, 2), 3);
	s.n = 64;
	CHECK_INT(parse_edit_distance(s, s, 2), 0);
}

SUITE("parse", TEST_ROW(uint_takes_plain_decimals_only), TEST_ROW(uint_keeps_to_max),
	TEST_ROW(int_has_both_ends), TEST_ROW(bool_takes_the_twelve_words),
	TEST_ROW(checked_arithmetic), TEST_ROW(edit_distance))
