/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Spans: comparison, trimming, searching. */
#include "base/span.h"

#include "support/test.h"

TEST(equality)
{
	CHECK(span_eq(SPAN_NONE, SPAN_LIT("")));
	CHECK(span_eq(SPAN_LIT("a"), SPAN_LIT("a")));
	CHECK(!span_eq(SPAN_LIT("a"), SPAN_LIT("ab")));
	CHECK(!span_eq(span_of("a\0b", 3), span_of("a\0c", 3)));
	CHECK(span_eq_cstr(SPAN_LIT("x"), "x"));
	CHECK(span_eq_cstr(SPAN_NONE, NULL));
}

TEST(order_is_by_bytes)
{
	CHECK(span_cmp(SPAN_LIT("a"), SPAN_LIT("b")) < 0);
	CHECK(span_cmp(SPAN_LIT("ab"), SPAN_LIT("a")) > 0);
	CHECK(span_cmp(SPAN_LIT("a"), SPAN_LIT("ab")) < 0);
	CHECK(span_cmp(SPAN_NONE, SPAN_LIT("")) == 0);
	CHECK(span_cmp(SPAN_LIT("\x7f"), SPAN_LIT("\x80")) < 0);
}

TEST(starts_and_ends)
{
	CHECK(span_starts(SPAN_LIT("abc"), SPAN_LIT("ab")));
	CHECK(!span_starts(SPAN_LIT("a"), SPAN_LIT("ab")));
	CHECK(span_starts(SPAN_NONE, SPAN_NONE));
	CHECK(span_ends(SPAN_LIT("abc"), SPAN_LIT("bc")));
	CHECK(!span_ends(SPAN_LIT("c"), SPAN_LIT("bc")));
	CHECK_SPAN(span_from(SPAN_LIT("abc"), 2), "c");
}

TEST(nocase_folds_ascii_only)
{
	CHECK(span_eq_nocase(SPAN_LIT("AbZ"), SPAN_LIT("aBz")));
	CHECK(!span_eq_nocase(SPAN_LIT("a"), SPAN_LIT("ab")));
	CHECK(!span_eq_nocase(SPAN_LIT("@"), SPAN_LIT("`")));
	CHECK(!span_eq_nocase(SPAN_LIT("["), SPAN_LIT("{")));
	CHECK(!span_eq_nocase(SPAN_LIT("\xc3\x84"), SPAN_LIT("\xc3\xa4")));
}

/* Eight bytes are compared together: each pair of bytes must be told apart at each place among them. */
TEST(nocase_at_each_place)
{
	char a[8 + 8 + 3];
	char b[sizeof(a)];

	for (unsigned pair = 0; pair < 65536; pair++) {
		char x = (char)(pair & 255U);
		char y = (char)(pair >> 8);
		bool is_equal = span_eq_nocase(span_of(&x, 1), span_of(&y, 1));
		for (size_t at = 0; at < sizeof(a); at += 5) {
			memset(a, 'q', sizeof(a));
			memset(b, 'Q', sizeof(b));
			a[at] = x;
			b[at] = y;
			CHECK_INT(span_eq_nocase(span_of(a, sizeof(a)), span_of(b, sizeof(b))),
				is_equal);
		}
	}
}

TEST(trim_takes_what_go_takes)
{
	static const struct {
		const char *in;
		const char *want;
	} rows[] = {
		{"", ""},
		{" \t\n\v\f\r", ""},
		{"  a b \n", "a b"},
		{"\xc2\xa0x\xc2\x85", "x"},
		{"\xe3\x80\x80x\xe2\x80\xa8\xe2\x80\x80", "x"},
		{"\xe1\x9a\x80x\xe2\x81\x9f \xe2\x80\xaf", "x"},
		/* Not white space: zero-width space, byte order mark, a cut sequence, a lone
		 * byte. */
		{"\xe2\x80\x8bx", "\xe2\x80\x8bx"},
		{"x\xef\xbb\xbf", "x\xef\xbb\xbf"},
		{"x\xe3\x80", "x\xe3\x80"},
		{"\xa0x\x85", "\xa0x\x85"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_SPAN(span_trim(span_cstr(rows[i].in)), rows[i].want);
	CHECK_INT(span_trim(SPAN_NONE).n, 0);
	CHECK_INT(span_trim(span_of("\0 ", 2)).n, 1);
}

TEST(find_gives_the_length_when_absent)
{
	CHECK_INT(span_find(SPAN_LIT("abc"), 'c'), 2);
	CHECK_INT(span_find(SPAN_LIT("abc"), 'x'), 3);
	CHECK_INT(span_find(SPAN_NONE, 'x'), 0);
	CHECK_INT(span_find(span_of("a\0b", 3), '\0'), 1);
}

SUITE("span", TEST_ROW(equality), TEST_ROW(order_is_by_bytes), TEST_ROW(starts_and_ends),
	TEST_ROW(nocase_folds_ascii_only), TEST_ROW(nocase_at_each_place),
	TEST_ROW(trim_takes_what_go_takes), TEST_ROW(find_gives_the_length_when_absent))
