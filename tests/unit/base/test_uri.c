/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The URI split against its corpora, and decoding. */
#include "base/uri.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "support/cases.h"
#include "support/test.h"

/* A heap copy of exactly the text's size, so that a sanitizer sees a read behind it. */
static enum err
parse_exact(struct span text, struct uri *u, char **copy, struct errinfo *ei)
{
	*copy = malloc(text.n > 0 ? text.n : 1);
	if (*copy == NULL)
		exit(2);
	if (text.n > 0)
		memcpy(*copy, text.p, text.n);
	return uri_parse(span_of(*copy, text.n), u, ei);
}

static void
check_split(const struct cases_row *row, void *arg)
{
	struct errinfo ei = {.code = OK};
	struct uri u;
	char flags[8];
	char *copy;

	(void)arg;
	if (parse_exact(row->field[0], &u, &copy, &ei) != OK) {
		FAIL("%s:%d: %s", row->file, row->line, ei.msg);
		free(copy);
		return;
	}
	const struct span got[] = {u.scheme, u.userinfo, u.host, u.path, u.query, u.fragment};
	for (size_t i = 0; i < ARRAY_LEN(got); i++) {
		if (!span_eq(got[i], row->field[i + 1]))
			FAIL("%s:%d: part %zu is %.*s", row->file, row->line, i, SPAN_ARG(got[i]));
	}
	snprintf(flags, sizeof(flags), "%s%s%s%s", u.has_authority ? "a" : "",
		u.has_userinfo ? "u" : "", u.has_query ? "q" : "", u.has_fragment ? "f" : "");
	if (!span_eq_cstr(row->field[7], flags[0] != '\0' ? flags : "-"))
		FAIL("%s:%d: flags %s", row->file, row->line, flags);
	free(copy);
}

TEST(splits)
{
	CHECK(cases_each("uri/split.cases", check_split, NULL) > 50);
}

static void
check_refusal(const struct cases_row *row, void *arg)
{
	struct errinfo ei = {.code = OK};
	struct uri u = {.has_query = true, .path = {"old", 3}};
	char *copy;

	(void)arg;
	if (parse_exact(row->field[0], &u, &copy, &ei) != ERR_PARSE)
		FAIL("%s:%d: accepted", row->file, row->line);
	else if (!span_eq_cstr(row->field[1], ei.msg))
		FAIL("%s:%d: %s", row->file, row->line, ei.msg);
	if (u.has_query || u.path.n > 0)
		FAIL("%s:%d: the result is not empty", row->file, row->line);
	free(copy);
}

TEST(refuses)
{
	CHECK(cases_each("uri/refuse.cases", check_refusal, NULL) > 50);
}

static void
check_decode(struct span from, struct span want)
{
	struct buf b;

	buf_init(&b, 256);
	uri_decode(&b, from);
	CHECK(span_eq(buf_span(&b), want));
	buf_fini(&b);
}

TEST(decodes_once)
{
	check_decode(SPAN_NONE, SPAN_NONE);
	check_decode(SPAN_LIT("/a%20b"), SPAN_LIT("/a b"));
	check_decode(SPAN_LIT("%252e"), SPAN_LIT("%2e"));
	check_decode(SPAN_LIT("%00%0a%fF"), SPAN_LIT("\0\n\xff"));
	check_decode(SPAN_LIT("a+b"), SPAN_LIT("a+b"));
	check_decode(SPAN_LIT("%"), SPAN_LIT("%"));
	check_decode(SPAN_LIT("%4"), SPAN_LIT("%4"));
	check_decode(SPAN_LIT("%4g%41"), SPAN_LIT("%4gA"));
}

TEST(long_message_stays_whole)
{
	char text[4096] = "url://h:";
	struct errinfo ei = {.code = OK};
	struct uri u;

	memset(text + 8, 'x', sizeof(text) - 8);
	CHECK_INT(uri_parse(span_of(text, sizeof(text)), &u, &ei), ERR_PARSE);
	CHECK(strlen(ei.msg) < 200);
	CHECK(strstr(ei.msg, "\" after host") != NULL);
}

SUITE("uri", TEST_ROW(splits), TEST_ROW(refuses), TEST_ROW(decodes_once),
	TEST_ROW(long_message_stays_whole))
