/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Prefer (RFC 7240): where `wait` is found, and what is no preference. */
#include "prefer.h"

#include "support/test.h"

static const struct {
	const char *value;
	uint32_t seconds;
} rows[] = {
	{"wait=30", 30},
	{"wait=1", 1},
	{"wait=1000000", 1000000},
	{"WAIT=7", 7},
	{" wait = 8 ", 8},
	{"wait=\"9\"", 9},
	{"wait=10;foo=bar", 10},
	{"respond-async, wait=11", 11},
	{"handling=lenient,wait=12,return=minimal", 12},
	{"foo=\"a,wait=5;\\\" ,\", wait=13", 13},
	{",, wait=14", 14},
	{"wait=15, wait=16", 15},
	{"", 0},
	{"wait", 0},
	{"wait=", 0},
	{"wait=\"\"", 0},
	{"wait=0", 0},
	{"wait=-1", 0},
	{"wait=+1", 0},
	{"wait=1.5", 0},
	{"wait=0x10", 0},
	{"wait=1000001", 0},
	{"wait=99999999999999999999999999", 0},
	{"wait=x, wait=17", 0},
	{"waiting=30", 0},
	{"await=30", 0},
	{"foo=\"wait=30", 0},
	{"foo=\"\\", 0},
	{"foo;wait=30", 0},
};

TEST(each_row)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_header h = {SPAN_LIT("prefer"), span_cstr(rows[i].value)};
		if (prefer_read_wait(&h, 1) != rows[i].seconds)
			FAIL("%s: %u", rows[i].value, prefer_read_wait(&h, 1));
	}
}

TEST(the_first_of_several_lines_counts)
{
	struct http_header h[] = {{SPAN_LIT("Accept"), SPAN_LIT("wait=1")},
		{SPAN_LIT("Prefer"), SPAN_LIT("return=minimal")},
		{SPAN_LIT("Prefer"), SPAN_LIT("wait=20")},
		{SPAN_LIT("Prefer"), SPAN_LIT("wait=21")}};

	CHECK_INT(prefer_read_wait(h, 4), 20);
	CHECK_INT(prefer_read_wait(h, 2), 0);
	CHECK_INT(prefer_read_wait(h, 0), 0);
}

SUITE("prefer", TEST_ROW(each_row), TEST_ROW(the_first_of_several_lines_counts))
