/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The parameters of operators' questions: what is read, and that nothing malformed is. */
#include "query_string.h"

#include "base/arena.h"
#include "support/test.h"

static const char *const names[] = {"a", "b"};

static enum err
read_query(const char *query, const char *a_value, const char *b_value)
{
	struct arena *a = arena_new((size_t)1024 * 1024);
	struct span v[2];
	struct errinfo ei;
	enum err rc = query_string_read(span_cstr(query), names, 2, v, a, &ei);

	if (rc == OK) {
		CHECK_SPAN(v[0], a_value);
		CHECK_SPAN(v[1], b_value);
	}
	arena_free(&a);
	return rc;
}

TEST(values_are_decoded_once)
{
	CHECK_INT(read_query("", "", ""), OK);
	CHECK_INT(read_query("a=1&b=2", "1", "2"), OK);
	CHECK_INT(read_query("b=x%20y+z&", "", "x y z"), OK);
	CHECK_INT(read_query("a=%2541", "%41", ""), OK);
	CHECK_INT(read_query("a=b=c&&b", "b=c", ""), OK);
	CHECK_INT(read_query("a=%c3%A4", "\xc3\xa4", ""), OK);
}

TEST(what_is_malformed_is_refused)
{
	static const char *const bad[] = {"c=1", "a=1&a=2", "a&a", "a=%", "a=%4", "a=%zz", "a=%00",
		"a=%0a", "a=%7f", "a=%ff", "a=%c0%80", "=1", "A=1", "%61=1"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (read_query(bad[i], "", "") != ERR_INVALID)
			FAIL("%s is read", bad[i]);
}

TEST(long_values_are_refused)
{
	char text[QUERY_VALUE_BYTES_MAX + 8] = "a=";

	memset(text + 2, 'x', QUERY_VALUE_BYTES_MAX);
	CHECK_INT(read_query(text, text + 2, ""), OK);
	text[2 + QUERY_VALUE_BYTES_MAX] = 'x';
	CHECK_INT(read_query(text, "", ""), ERR_INVALID);
}

SUITE("query_string", TEST_ROW(values_are_decoded_once), TEST_ROW(what_is_malformed_is_refused),
	TEST_ROW(long_values_are_refused))
