/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Error values: messages, context, cutting. */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "support/test.h"

TEST(table_gives_names_and_texts)
{
	CHECK_STR(err_name(OK), "OK");
	CHECK_STR(err_name(ERR_PARSE), "ERR_PARSE");
	CHECK_STR(err_text(ERR_TIMEOUT), "deadline passed");
	CHECK_INT(OK, 0);
	for (int code = 0; code < ERR__MAX; code++) {
		CHECK(strlen(err_name((enum err)code)) > 0);
		CHECK(strlen(err_text((enum err)code)) > 0);
	}
}

TEST(only_some_errors_are_worth_a_retry)
{
	CHECK(err_is_retryable(ERR_OVERLOAD));
	CHECK(err_is_retryable(ERR_AUDIT));
	CHECK(!err_is_retryable(ERR_FORBIDDEN));
	CHECK(!err_is_retryable(OK));
}

TEST(set_formats_and_returns_the_code)
{
	struct errinfo ei = {0};

	CHECK_INT(ERR(&ei, ERR_PARSE, "line %d: %s", 7, "no colon"), ERR_PARSE);
	CHECK_INT(ei.code, ERR_PARSE);
	CHECK_STR(ei.msg, "line 7: no colon");
}

TEST(null_errinfo_is_accepted)
{
	CHECK_INT(ERR(NULL, ERR_IO, "x"), ERR_IO);
	CHECK_INT(ERR_WRAP(NULL, ERR_NOMEM, "x"), ERR_NOMEM);
	CHECK_INT(ERR_ERRNO(NULL, ERR_IO, EIO, "x"), ERR_IO);
}

TEST(wrap_puts_context_in_front)
{
	struct errinfo ei = {0};

	CHECK_INT(ERR(&ei, ERR_PARSE, "bad"), ERR_PARSE);
	CHECK_INT(ERR_WRAP(&ei, ERR_INVALID, "bundle %s", "a.yaml"), ERR_INVALID);
	CHECK_INT(ei.code, ERR_INVALID);
	CHECK_STR(ei.msg, "bundle a.yaml: bad");
}

TEST(wrap_of_nothing_is_the_context_alone)
{
	struct errinfo ei = {0};

	CHECK_INT(ERR_WRAP(&ei, ERR_IO, "context"), ERR_IO);
	CHECK_STR(ei.msg, "context");
}

TEST(own_message_may_be_an_argument)
{
	struct errinfo ei = {0};

	CHECK_INT(ERR(&ei, ERR_PARSE, "inner"), ERR_PARSE);
	CHECK_INT(ERR(&ei, ERR_PARSE, "outer (%s)", ei.msg), ERR_PARSE);
	CHECK_STR(ei.msg, "outer (inner)");
	CHECK_INT(ERR_WRAP(&ei, ERR_PARSE, "%s", ei.msg), ERR_PARSE);
	CHECK_STR(ei.msg, "outer (inner): outer (inner)");
}

TEST(errno_text_comes_behind)
{
	struct errinfo ei = {0};

	CHECK_INT(ERR_ERRNO(&ei, ERR_IO, ENOENT, "open %s", "x"), ERR_IO);
	CHECK_STR(ei.msg, "open x: No such file or directory");
}

static void
fill(char *text, size_t n)
{
	memset(text, 'a', n);
	text[n] = '\0';
}

TEST(message_that_just_fits_is_whole)
{
	struct errinfo ei = {0};
	char text[ERRINFO_MAX];

	fill(text, ERRINFO_MAX - 1);
	CHECK_INT(ERR(&ei, ERR_PARSE, "%s", text), ERR_PARSE);
	CHECK_STR(ei.msg, text);
}

TEST(long_message_ends_in_dots)
{
	struct errinfo ei = {0};
	char text[ERRINFO_MAX + 1];

	fill(text, ERRINFO_MAX);
	CHECK_INT(ERR(&ei, ERR_PARSE, "%s", text), ERR_PARSE);
	CHECK_INT(strlen(ei.msg), ERRINFO_MAX - 1);
	CHECK_STR(ei.msg + ERRINFO_MAX - 5, "a...");
}

TEST(long_wrap_keeps_the_context)
{
	struct errinfo ei = {0};
	char text[ERRINFO_MAX];

	fill(text, ERRINFO_MAX - 1);
	CHECK_INT(ERR(&ei, ERR_PARSE, "%s", text), ERR_PARSE);
	CHECK_INT(ERR_WRAP(&ei, ERR_PARSE, "file x"), ERR_PARSE);
	CHECK(strncmp(ei.msg, "file x: aaa", 11) == 0);
	CHECK_INT(strlen(ei.msg), ERRINFO_MAX - 1);
	CHECK_STR(ei.msg + ERRINFO_MAX - 4, "...");
}

/* At each place relative to the end a sequence of three bytes is kept whole or left out whole. */
TEST(cut_never_splits_utf8)
{
	for (size_t before = ERRINFO_MAX - 12; before < ERRINFO_MAX; before++) {
		struct errinfo ei = {0};
		char text[ERRINFO_MAX];
		fill(text, before);
		CHECK_INT(ERR(&ei, ERR_PARSE, "%s\xe2\x82\xac%s", text, "bbbbbbbbbbbb"), ERR_PARSE);
		size_t n = strlen(ei.msg);
		CHECK(n < ERRINFO_MAX);
		CHECK_STR(ei.msg + n - 3, "...");
		const char *euro = strchr(ei.msg, '\xe2');
		CHECK(euro == NULL || strncmp(euro, "\xe2\x82\xac", 3) == 0);
	}
}

SUITE("err", TEST_ROW(table_gives_names_and_texts), TEST_ROW(only_some_errors_are_worth_a_retry),
	TEST_ROW(set_formats_and_returns_the_code), TEST_ROW(null_errinfo_is_accepted),
	TEST_ROW(wrap_puts_context_in_front), TEST_ROW(wrap_of_nothing_is_the_context_alone),
	TEST_ROW(own_message_may_be_an_argument), TEST_ROW(errno_text_comes_behind),
	TEST_ROW(message_that_just_fits_is_whole), TEST_ROW(long_message_ends_in_dots),
	TEST_ROW(long_wrap_keeps_the_context), TEST_ROW(cut_never_splits_utf8))
