/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* UTF-8: every code point, every wrong form, lower-casing. */
#include "base/utf8.h"

#include "base/buf.h"
#include "support/test.h"

static bool
is_scalar(uint32_t c)
{
	return c < 0xd800 || (c > 0xdfff && c <= 0x10ffff);
}

TEST(every_code_point_goes_round)
{
	unsigned n_wrong = 0;

	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		char text[4];
		size_t at = 0;
		if (!is_scalar(c))
			continue;
		struct span s = span_of(text, utf8_encode(c, text));
		if (!utf8_is_valid(s) || utf8_next(s, &at) != c || at != s.n)
			n_wrong++;
		for (size_t cut = 1; cut < s.n; cut++) {
			if (utf8_is_valid(span_of(text, cut)))
				n_wrong++;
		}
	}
	CHECK_INT(n_wrong, 0);
}

/* Of all texts of three bytes exactly those that are made of encoded scalar values are valid. */
TEST(no_other_form_is_valid)
{
	unsigned long n_valid = 0;
	unsigned char text[3];

	for (unsigned i = 0; i < 1U << 24; i++) {
		text[0] = (unsigned char)(i >> 16);
		text[1] = (unsigned char)(i >> 8);
		text[2] = (unsigned char)i;
		n_valid += utf8_is_valid(span_of((const char *)text, sizeof(text)));
	}
	/* 1+1+1, 1+2, 2+1 and 3 bytes. */
	CHECK_INT(n_valid, 128UL * 128 * 128 + 2UL * 128 * 1920 + (65536 - 2048 - 2048));
}

TEST(finds_the_first_wrong_byte)
{
	CHECK_INT(utf8_valid_prefix(SPAN_NONE), 0);
	CHECK_INT(utf8_valid_prefix(SPAN_LIT("abc")), 3);
	CHECK_INT(utf8_valid_prefix(SPAN_LIT("0123456789abcdef\xff")), 16);
	CHECK_INT(utf8_valid_prefix(SPAN_LIT("0123456789\xc3\xa9\xe2\x82")), 12);
	CHECK_INT(utf8_valid_prefix(SPAN_LIT("a\xf4\x90\x80\x80")), 1);
	CHECK_INT(utf8_valid_prefix(SPAN_LIT("\xf0\x8f\xbf\xbf")), 0);
	CHECK_INT(utf8_valid_prefix(SPAN_LIT("\xf0\x90\x80\x80")), 4);
	CHECK_INT(utf8_valid_prefix(SPAN_LIT("\xf0\x90\x80\x41")), 0);
	CHECK_INT(utf8_valid_prefix(SPAN_LIT("\xed\x9f\xbf\xed\xa0\x80")), 3);
}

TEST(wrong_byte_reads_as_replacement)
{
	size_t at = 1;

	CHECK_INT(utf8_next(SPAN_LIT("a\xff z"), &at), 0xfffd);
	CHECK_INT(at, 2);
}

static void
check_lower(struct span from, const char *want)
{
	struct buf b;

	buf_init(&b, 256);
	utf8_lower(&b, from);
	CHECK_SPAN(buf_span(&b), want);
	buf_fini(&b);
}

TEST(lower_case)
{
	check_lower(SPAN_NONE, "");
	check_lower(SPAN_LIT("Shop.Example.COM:8443-_[]@`{"), "shop.example.com:8443-_[]@`{");
	/*
	 * Kelvin sign, dotted capital I, sharp S, final sigma is not guessed, digraph with two
	 * cases.
	 */
	check_lower(SPAN_LIT("\xe2\x84\xaa.example"), "k.example");
	check_lower(SPAN_LIT("\xc4\xb0"), "i");
	check_lower(SPAN_LIT("\xe1\xba\x9e"), "\xc3\x9f");
	check_lower(SPAN_LIT("\xce\xa3"), "\xcf\x83");
	check_lower(SPAN_LIT("\xc7\x84\xc7\x85\xc7\x86"), "\xc7\x86\xc7\x86\xc7\x86");
	check_lower(SPAN_LIT("CAF\xc3\x89 B\xc3\x9c"), "caf\xc3\xa9 b\xc3\xbc");
	check_lower(SPAN_LIT("\xd0\x94\xd0\xb0"), "\xd0\xb4\xd0\xb0");
	check_lower(SPAN_LIT("\xf0\x90\x90\x80"), "\xf0\x90\x90\xa8");
	check_lower(SPAN_LIT("\xef\xbc\xa5\xe4\xb8\xad"), "\xef\xbd\x85\xe4\xb8\xad");
	check_lower(SPAN_LIT("A\xff"
			     "B\xc3"),
		"a\xff"
		"b\xc3");
}

/* Lower-casing is idempotent: otherwise a normal form would not be one. */
TEST(lower_case_is_a_fixed_point)
{
	unsigned n_changed = 0;
	unsigned n_moved = 0;
	struct buf once;
	struct buf twice;

	buf_init(&once, 64);
	buf_init(&twice, 64);
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		char text[4];
		if (!is_scalar(c))
			continue;
		struct span s = span_of(text, utf8_encode(c, text));
		buf_reset(&once);
		buf_reset(&twice);
		utf8_lower(&once, s);
		utf8_lower(&twice, buf_span(&once));
		n_changed += !span_eq(s, buf_span(&once));
		n_moved += !span_eq(buf_span(&once), buf_span(&twice));
	}
	CHECK_INT(n_moved, 0);
	/* The number of code points with a simple lower-case mapping in Unicode 14. */
	CHECK_INT(n_changed, 1433);
	buf_fini(&once);
	buf_fini(&twice);
}

TEST(scrubs)
{
	struct buf b;

	buf_init(&b, 256);
	utf8_scrub(&b, SPAN_LIT("ok\xff\xc3\xa9\xe2\x82 z"));
	CHECK_SPAN(buf_span(&b), "ok\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd z");
	buf_reset(&b);
	utf8_scrub(&b, SPAN_NONE);
	CHECK_SPAN(buf_span(&b), "");
	buf_fini(&b);
}

TEST(cuts_between_characters)
{
	struct span s = SPAN_LIT("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};

	for (size_t max = 0; max < ARRAY_LEN(want); max++)
		CHECK_INT(utf8_cut(s, max), want[max]);
}

SUITE("utf8", TEST_ROW(every_code_point_goes_round), TEST_ROW(no_other_form_is_valid),
	TEST_ROW(finds_the_first_wrong_byte), TEST_ROW(wrong_byte_reads_as_replacement),
	TEST_ROW(lower_case), TEST_ROW(lower_case_is_a_fixed_point), TEST_ROW(scrubs),
	TEST_ROW(cuts_between_characters))
