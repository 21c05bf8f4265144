/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Text on its way out: the corpus of cuts, obligations on top, and summaries of params. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"
#include "base/parse.h"
#include "base/redact.h"
#include "exec/output.h"
#include "policy/decision.h"
#include "summary.h"
#include "support/cases.h"
#include "support/test.h"

static void
check_row(const struct cases_row *row, void *arg)
{
	struct arena *a = arena_new(1 << 20);
	struct output out;
	uint64_t bytes;
	uint64_t lines;

	(void)arg;
	MUST(a != NULL);
	MUST(parse_uint(row->field[2], 1000, &bytes) && parse_uint(row->field[3], 1000, &lines));
	if (!output_limit(redactor_default(), row->field[1], span_eq_cstr(row->field[4], "cut"),
		    (int64_t)bytes, (int64_t)lines, a, &out)) {
		FAIL("%s:%d: no memory", row->file, row->line);
	} else {
		if (!span_eq(out.text, row->field[5]))
			FAIL("%s:%d: %.*s: \"%.*s\"", row->file, row->line, SPAN_ARG(row->field[0]),
				SPAN_ARG(out.text));
		if (out.truncated != span_eq_cstr(row->field[6], "truncated"))
			FAIL("%s:%d: %.*s: truncated %d", row->file, row->line,
				SPAN_ARG(row->field[0]), out.truncated);
	}
	arena_free(&a);
}

TEST(corpus)
{
	CHECK(cases_each("exec/output.cases", check_row, NULL) > 25);
}

static struct output
limited(const char *text, const struct obligations *o)
{
	struct output out = {.text = span_cstr(text)};

	output_apply_obligations(o, &out);
	return out;
}

TEST(obligations_cut_bytes_then_lines)
{
	struct obligations both = {.has_output_max_bytes = true,
		.output_max_bytes = 5,
		.has_output_max_lines = true,
		.output_max_lines = 1};
	struct obligations two_lines = {.has_output_max_lines = true, .output_max_lines = 2};
	struct obligations nothing = {.has_output_max_bytes = true, .output_max_bytes = 0};
	struct obligations no_lines = {.has_output_max_lines = true, .output_max_lines = 0};

	CHECK_SPAN(limited("line1\nline2\n", &both).text, "line1");
	CHECK(limited("line1\nline2\n", &both).truncated);
	/* 10.6.35 of the reference: exactly N lines came back empty. */
	CHECK_SPAN(limited("a\nb\n", &two_lines).text, "a\nb\n");
	CHECK(!limited("a\nb\n", &two_lines).truncated);
	CHECK_SPAN(limited("a\nb\nc", &two_lines).text, "a\nb\n");
	CHECK(limited("a\nb\nc", &two_lines).truncated);
	CHECK_INT(limited("abc", &nothing).text.n, 0);
	CHECK(limited("abc", &nothing).truncated);
	CHECK(!limited("", &nothing).truncated);
	CHECK_INT(limited("abc", &no_lines).text.n, 0);
	CHECK(limited("abc", &no_lines).truncated);
	CHECK_SPAN(limited("abc", &(struct obligations){0}).text, "abc");
}

static void
check_summary(const char *params, const char *want)
{
	struct arena *a = arena_new(1 << 20);
	const struct json *tree;
	struct errinfo ei;

	MUST(a != NULL);
	if (json_parse(span_cstr(params), a, &tree, NULL, &ei) != OK)
		FAIL("%s", ei.msg);
	else {
		struct buf canonical;

		buf_init_arena(&canonical, a, 1 << 16);
		json_canonical(tree, &canonical);
		CHECK_SPAN(summarize_params(tree, SPAN_NONE, redactor_default(), a), want);
		/* The short way comes to the same. */
		CHECK_SPAN(
			summarize_params(tree, buf_span(&canonical), redactor_default(), a), want);
	}
	arena_free(&a);
}

/* 10.4.31 of the reference: a "password" member went into the record as it was. */
TEST(summaries_mask_members_named_like_secrets)
{
	check_summary("{}", "{}");
	check_summary("{\"b\":1,\"a\":[true,null,\"x\"]}", "{\"a\":[true,null,\"x\"],\"b\":1}");
	check_summary(
		"{\"password\":\"hunter2\",\"x\":1}", "{\"password\":\"[REDACTED]\",\"x\":1}");
	check_summary("{\"API-Key\":{\"v\":\"s\"}}", "{\"API-Key\":\"[REDACTED]\"}");
	check_summary("{\"dbPassword\":7,\"pin\":1234,\"spin\":1}",
		"{\"dbPassword\":\"[REDACTED]\",\"pin\":\"[REDACTED]\",\"spin\":1}");
	check_summary("{\"h\":\"authorization: Basic QWxhZGRpbjpvcGVuc2VzYW1l\"}",
		"{\"h\":\"[REDACTED]\"}");
	check_summary("{\"AKIAABCDEFGHIJKLMNOP\":1}", "{\"[REDACTED]\":1}");
	check_summary("{\"t\":\"bearer\\tabcdefghijklmnop\"}", "{\"t\":\"[REDACTED]\"}");
	CHECK(!is_secret_name(SPAN_LIT("path")));
	CHECK(is_secret_name(SPAN_LIT("X-Auth-Token")));
}

/* The reference cut first: a block that began before byte 256 and ended behind it was not recognised. */
TEST(summaries_redact_before_they_cut)
{
	char params[1200];
	char want[300];

	snprintf(
		params, sizeof(params), "{\"k\":\"%0200d AKIAABCDEFGHIJKLMNOP and %0100d\"}", 0, 0);
	snprintf(want, sizeof(want), "{\"k\":\"%0200d [REDACTED] and %034d", 0, 0);
	CHECK_INT(strlen(want), 256);
	check_summary(params, want);
	snprintf(params, sizeof(params), "{\"k\":\"%0245d AKIAABCDEFGHIJKLMNOP\"}", 0);
	snprintf(want, sizeof(want), "{\"k\":\"%0245d [RED", 0);
	CHECK_INT(strlen(want), 256);
	check_summary(params, want);
	/* Never in the middle of a character. */
	snprintf(params, sizeof(params), "{\"k\":\"%0249d\xc3\xa9\"}", 0);
	snprintf(want, sizeof(want), "{\"k\":\"%0249d", 0);
	CHECK_INT(strlen(want), 255);
	check_summary(params, want);
}

SUITE("output", TEST_ROW(corpus), TEST_ROW(obligations_cut_bytes_then_lines),
	TEST_ROW(summaries_mask_members_named_like_secrets),
	TEST_ROW(summaries_redact_before_they_cut))
