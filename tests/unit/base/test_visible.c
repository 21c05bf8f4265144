/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What somebody wrote cannot act on a terminal or look like something else. */
#include "base/visible.h"

#include "base/buf.h"
#include "support/test.h"

TEST(letters_stand_for_themselves)
{
	static const uint32_t shown[] = {' ', '~', 0xe9, 0x5d0, 0x20ac, 0x4e2d, 0x1f600};
	static const uint32_t hidden[] = {
		0, 0x1b, 0x7f, 0x9b, 0xa0, 0x200b, 0x202e, 0x2066, 0xfeff, 0xe0041, 0x110000};

	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		CHECK(!visible_is_hidden(shown[i]));
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
		CHECK(visible_is_hidden(hidden[i]));
}

/* JSON keeps its value and loses what a terminal would obey. */
TEST(json_is_the_same_value)
{
	struct buf b;

	buf_init(&b, BUF_CAP_FILE);
	visible_add_json(&b, SPAN_LIT("{\"a\":\"\x1b[2J \xc2\x9b\x31m \xff \xe2\x80\xae\xc3\xa9"
				      "\xf3\xa0\x81\x81 \\u001b \\\\ \xef\xbf\xbd\"}"));
	CHECK_SPAN(buf_span(&b), "{\"a\":\"\\u001b[2J \\u009b1m \\ufffd \\u202e\xc3\xa9"
				 "\\udb40\\udc41 \\u001b \\\\ \xef\xbf\xbd\"}");
	buf_fini(&b);
}

/* An escape between tokens would be no JSON; in a string they have no place, and do not act on a terminal. */
TEST(blanks_between_tokens_stay_blanks)
{
	struct buf b;

	buf_init(&b, BUF_CAP_FILE);
	visible_add_json(&b, SPAN_LIT("{\r\n\t\"a\\\\\": [1,\n\t\"\\\"\n\"]\n}\n"));
	CHECK_SPAN(buf_span(&b), "{ \n\t\"a\\\\\": [1,\n\t\"\\\"\\u000a\"]\n}\n");
	buf_fini(&b);
}

SUITE("visible", TEST_ROW(letters_stand_for_themselves), TEST_ROW(json_is_the_same_value),
	TEST_ROW(blanks_between_tokens_stay_blanks))
