/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Time texts both ways and the replaced clock. */
#include "base/clock.h"

#include <string.h>

#include "support/test.h"

#define AT(s) (INT64_C(s) * NS_PER_SEC)

TEST(format_trims_the_fraction)
{
	static const struct {
		int64_t ns;
		const char *want;
	} rows[] = {
		{0, "1970-01-01T00:00:00Z"},
		{AT(1772107200), "2026-02-26T12:00:00Z"},
		{AT(1772107200) + 500000000, "2026-02-26T12:00:00.5Z"},
		{AT(1772107200) + 1, "2026-02-26T12:00:00.000000001Z"},
		{AT(1772107200) + 120000000, "2026-02-26T12:00:00.12Z"},
		{AT(1772107200) + 999999999, "2026-02-26T12:00:00.999999999Z"},
		{AT(1772107200) + 100000010, "2026-02-26T12:00:00.10000001Z"},
		{AT(951782399), "2000-02-28T23:59:59Z"},
		{AT(951782400), "2000-02-29T00:00:00Z"},
		{AT(951868800), "2000-03-01T00:00:00Z"},
		{AT(4107542399), "2100-02-28T23:59:59Z"},
		{AT(4107542400), "2100-03-01T00:00:00Z"},
		{AT(1735689599), "2024-12-31T23:59:59Z"},
		{-1, "1969-12-31T23:59:59.999999999Z"},
		{INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
		{INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[CLOCK_TEXT_MAX];
		size_t n = clock_format(rows[i].ns, text);
		CHECK_STR(text, rows[i].want);
		CHECK_INT(n, strlen(text));
	}
}

TEST(http_form)
{
	char text[CLOCK_TEXT_MAX];

	CHECK_INT(clock_format_http(AT(1795251600), text), 29);
	CHECK_STR(text, "Sat, 21 Nov 2026 09:00:00 GMT");
	clock_format_http(AT(784111777), text);
	CHECK_STR(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	clock_format_http(-1, text);
	CHECK_STR(text, "Wed, 31 Dec 1969 23:59:59 GMT");
}

TEST(parse_takes_any_offset)
{
	static const struct {
		const char *text;
		int64_t want;
	} rows[] = {
		{"2026-02-26T12:00:00Z", AT(1772107200)},
		{"2026-02-26T12:00:00.5Z", AT(1772107200) + 500000000},
		{"2026-02-26T13:30:00+01:30", AT(1772107200)},
		{"2026-02-26T02:00:00-10:00", AT(1772107200)},
		{"2026-02-26T12:00:00-00:00", AT(1772107200)},
		{"2026-02-26T12:00:00.123456789987Z", AT(1772107200) + 123456789},
		{"2024-02-29T00:00:00Z", AT(1709164800)},
		{"1969-12-31T23:59:59.999999999Z", -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t ns = 7;
		CHECK_INT(clock_parse(span_cstr(rows[i].text), &ns, NULL), OK);
		CHECK_INT(ns, rows[i].want);
	}
}

TEST(parse_refuses_everything_else)
{
	static const char *const bad[] = {"", "2026", "2026-02-26", "2026-02-26T12:00:00",
		"2026-02-26 12:00:00Z", "2026-02-26t12:00:00Z", "2026-02-26T12:00:00z",
		"2026-02-26T12:00:00.Z", "2026-02-26T12:00:00,5Z", "2026-02-26T24:00:00Z",
		"2026-02-26T12:60:00Z", "2026-02-26T12:00:60Z", "2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-2-26T12:00:00Z",
		"2026-02-26T12:00:00+1:00", "2026-02-26T12:00:00+24:00",
		"2026-02-26T12:00:00+01:60", "2026-02-26T12:00:00+0100", "2026-02-26T12:00:00ZZ",
		" 2026-02-26T12:00:00Z", "2026-02-26T12:00:00Z ", "-026-02-26T12:00:00Z",
		"+2026-02-26T12:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
		"2262-04-12T00:00:00Z"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int64_t ns = 7;
		struct errinfo ei = {0};
		if (clock_parse(span_cstr(bad[i]), &ns, &ei) != ERR_PARSE || ns != 0)
			FAIL("\"%s\" was taken", bad[i]);
		CHECK(ei.msg[0] != '\0');
	}
}

TEST(every_day_there_and_back)
{
	const int64_t day = 86400 * NS_PER_SEC;

	for (int64_t d = -106000; d < 106000; d++) {
		char text[CLOCK_TEXT_MAX];
		int64_t ns;
		size_t n = clock_format(d * day + 1, text);
		if (clock_parse(span_of(text, n), &ns, NULL) != OK || ns != d * day + 1) {
			FAIL("day %lld is %s", (long long)d, text);
			return;
		}
	}
}

TEST(fake_clock_stands_still)
{
	clock_fake_set(5, 1000);
	CHECK_INT(clock_mono_ns(), 5);
	CHECK_INT(clock_wall_ns(), 1000);
	CHECK_INT(clock_mono_ns(), 5);
	clock_fake_advance(NS_PER_SEC);
	CHECK_INT(clock_mono_ns(), NS_PER_SEC + 5);
	CHECK_INT(clock_wall_ns(), NS_PER_SEC + 1000);
	clock_fake_off();
	/* The real wall clock is past 2020. */
	CHECK(clock_wall_ns() > AT(1577836800));
}

TEST(monotonic_clock_never_goes_back)
{
	int64_t last = clock_mono_ns();

	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_mono_ns();
		CHECK(now >= last);
		last = now;
	}
}

SUITE("clock", TEST_ROW(format_trims_the_fraction), TEST_ROW(http_form),
	TEST_ROW(parse_takes_any_offset), TEST_ROW(parse_refuses_everything_else),
	TEST_ROW(every_day_there_and_back), TEST_ROW(fake_clock_stands_still),
	TEST_ROW(monotonic_clock_never_goes_back))
