/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Filters, times, and rows that no record can turn against a terminal. */
#include <stdio.h>
#include <string.h>

#include "audit/query.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "support/test.h"

static const char body[] =
	"{\"action_id\":\"a\\\"1\",\"action_type\":\"fs.read\",\"chain_id\":"
	"\"00112233445566778899aabbccddeeff\","
	"\"decision\":\"DENY\",\"environment\":\"dev\",\"event_type\":\"action.decision\","
	"\"principal\":\"ali "
	"ce\",\"reason\":\"deny_by_rule\","
	"\"resource\":\"file://workspace/a\",\"result_classification\":\"DENIED_POLICY\",\"seq\":7,"
	"\"timestamp\":\"2026-11-21T10:00:00.5Z\",\"trace_id\":\"4bf9\\\\2f\"}";

#define AT INT64_C(1795255200500000000) /* 2026-11-21T10:00:00.5Z */

static const struct {
	struct query_filter filter;
	bool matches;
} filters[] = {
	{{.has_since = false}, true},
	{{.trace_prefix = {"4bf9", 4}}, true},
	{{.trace_prefix = {"4bf9\\", 5}}, true},
	{{.trace_prefix = {"4bf9\\2f", 7}}, true},
	{{.trace_prefix = {"4bf9\\2f0", 8}}, false},
	{{.trace_prefix = {"bf9", 3}}, false},
	{{.trace_prefix = {"\"", 1}}, false},
	{{.action_id = {"a\"1", 3}}, true},
	{{.action_id = {"a\"", 2}}, false},
	{{.action_id = {"a\\\"1", 4}}, false},
	{{.principal = {"ali ce", 6}}, true},
	{{.principal = {"Ali ce", 6}}, false},
	{{.decision = {"deny", 4}}, true},
	{{.decision = {"DENY", 4}}, true},
	{{.decision = {"allow", 5}}, false},
	{{.class_name = {"denied_policy", 13}}, true},
	{{.event_type = {"action.decision", 15}}, true},
	{{.event_type = {"action", 6}}, false},
	{{.environment = {"dev", 3}}, true},
	{{.environment = {"de", 2}}, false},
	{{.environment = {"dev", 3}, .principal = {"bob", 3}}, false},
	{{.decision = {"DENY", 4}, .principal = {"bob", 3}}, false},
	{{.has_since = true, .since_wall_ns = AT}, true},
	{{.has_since = true, .since_wall_ns = AT + 1}, false},
	{{.has_until = true, .until_wall_ns = AT + 1}, true},
	{{.has_until = true, .until_wall_ns = AT}, false},
};

TEST(filters_compare_what_was_meant)
{
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		struct query *q = NULL;
		CHECK_INT(query_new(&filters[i].filter, &q, NULL), OK);
		if (query_matches(q, span_cstr(body)) != filters[i].matches)
			FAIL("row %zu", i);
		query_free(&q);
	}
}

TEST(hostile_records_do_not_match_a_time)
{
	static const char *const bodies[] = {"", "{", "{}", "{\"timestamp\":5}",
		"{\"timestamp\":\"\"}", "{\"timestamp\":\"yesterday\"}",
		"{\"timestamp\":\"2026-11-21T10:00:00Z\""};
	struct query_filter f = {.has_until = true, .until_wall_ns = INT64_MAX};
	struct query *q = NULL;

	CHECK_INT(query_new(&f, &q, NULL), OK);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		CHECK(!query_matches(q, span_cstr(bodies[i])));
	query_free(&q);
}

static const struct {
	const char *text;
	enum err rc;
	int64_t want; /* 0: not checked */
} times[] = {
	{"2026-11-21T10:00:00.5Z", OK, AT},
	{"2026-11-21T11:00:00.5+01:00", OK, AT},
	{"10s", OK, AT - 10 * NS_PER_SEC},
	{"10m", OK, AT - 600 * NS_PER_SEC},
	{"2h", OK, AT - 7200 * NS_PER_SEC},
	{"1d", OK, AT - 86400 * NS_PER_SEC},
	{"0s", OK, AT},
	{"", ERR_PARSE, 0},
	{"m", ERR_PARSE, 0},
	{"-1m", ERR_PARSE, 0},
	{"1.5h", ERR_PARSE, 0},
	{"1w", ERR_PARSE, 0},
	{"99999999999999999999d", ERR_PARSE, 0},
	{"9999999d", ERR_PARSE, 0},
	{"2026-11-21", ERR_PARSE, 0},
};

TEST(absolute_and_relative_times)
{
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		int64_t got = 0;
		enum err rc = query_parse_time(span_cstr(times[i].text), AT, &got, NULL);
		if (rc != times[i].rc || (times[i].want != 0 && got != times[i].want))
			FAIL("%s: %s, %lld", times[i].text, err_name(rc), (long long)got);
	}
}

static bool
contains(struct span s, const char *what)
{
	size_t n = strlen(what);

	for (size_t i = 0; i + n <= s.n; i++) {
		if (memcmp(s.p + i, what, n) == 0)
			return true;
	}
	return false;
}

TEST(a_row_shows_what_is_there)
{
	struct buf b;

	buf_init(&b, BUF_CAP_FILE);
	query_build_row(7, span_cstr(body), false, &b);
	CHECK(contains(buf_span(&b), "       7  2026-11-21T10:00:00.5Z"));
	CHECK(contains(buf_span(&b), "DENY"));
	CHECK(contains(buf_span(&b), "DENIED_POLICY"));
	CHECK(contains(buf_span(&b), "\"ali ce\""));
	CHECK(contains(buf_span(&b), "file://workspace/a"));
	CHECK(contains(buf_span(&b), "\033") == false);
	buf_reset(&b);
	query_build_row(7, span_cstr(body), true, &b);
	CHECK(contains(buf_span(&b), "\033[31mDENY\033[0m"));
	buf_reset(&b);
	query_build_row(7, SPAN_LIT("{\"decision\":\"ALLOW\",\"reason\":\"why\"}"), false, &b);
	CHECK(contains(buf_span(&b), "  why"));
	CHECK(contains(buf_span(&b), "  -"));
	buf_fini(&b);
}

/* Each code point in turn as a resource: the row is printable, on one line, and hides nothing. */
TEST(no_code_point_acts_on_a_terminal)
{
	static const uint32_t dangerous[] = {0x00, 0x07, 0x08, 0x09, 0x0a, 0x0d, 0x1b, 0x7f, 0x80,
		0x85, 0x9b, 0xa0, 0xad, 0x61c, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a,
		0x202e, 0x2060, 0x2066, 0x2069, 0xfeff, 0xfe0f, 0xe000, 0xe0041, 0x10ffff};
	struct buf b;
	struct buf record;

	buf_init(&b, BUF_CAP_FILE);
	buf_init(&record, BUF_CAP_FILE);
	for (size_t i = 0; i < ARRAY_LEN(dangerous); i++) {
		char raw[4];
		size_t n = utf8_encode(dangerous[i], raw);
		buf_reset(&b);
		buf_reset(&record);
		BUF_ADD_LIT(&record, "{\"resource\":\"x");
		if (dangerous[i] < 0x20)
			buf_printf(&record, "\\u%04x", (unsigned)dangerous[i]);
		else
			buf_add(&record, raw, n);
		BUF_ADD_LIT(&record, "y\"}");
		query_build_row(1, buf_span(&record), false, &b);
		char want[32];
		snprintf(want, sizeof(want), "x\\u{%x}y", (unsigned)dangerous[i]);
		if (!contains(buf_span(&b), want))
			FAIL("U+%04X: %.*s", (unsigned)dangerous[i], SPAN_ARG(buf_span(&b)));
	}
	/* Raw bytes that are no UTF-8, and a value that would pass for an escape or another column.
	 */
	static const char *const bodies[] = {"{\"resource\":\"a\x9b\x31mb\"}",
		"{\"resource\":\"a\xff\xfe\"}", "{\"resource\":\"a\x1b[31m\"}", "\x1b[2J",
		"{\"decision\":\"\\u001b[2J\"}"};
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		buf_reset(&b);
		query_build_row(1, span_cstr(bodies[i]), false, &b);
		struct span row = buf_span(&b);
		for (size_t k = 0; k < row.n; k++)
			CHECK(row.p[k] >= 0x20 && row.p[k] < 0x7f);
	}
	buf_reset(&b);
	query_build_row(1, SPAN_LIT("{\"resource\":\"a\\\\u{7}  b\"}"), false, &b);
	CHECK(contains(buf_span(&b), "\"a\\\\u{7}  b\""));
	buf_fini(&b);
	buf_fini(&record);
}

TEST(a_long_value_is_cut)
{
	struct buf record;
	struct buf b;

	buf_init(&b, BUF_CAP_FILE);
	buf_init(&record, BUF_CAP_FILE);
	BUF_ADD_LIT(&record, "{\"resource\":\"");
	for (unsigned i = 0; i < 100000; i++)
		buf_add_char(&record, 'x');
	BUF_ADD_LIT(&record, "\"}");
	query_build_row(1, buf_span(&record), false, &b);
	CHECK(b.n < 1000);
	CHECK(contains(buf_span(&b), "x..."));
	buf_fini(&b);
	buf_fini(&record);
}

SUITE("query", TEST_ROW(filters_compare_what_was_meant),
	TEST_ROW(hostile_records_do_not_match_a_time), TEST_ROW(absolute_and_relative_times),
	TEST_ROW(a_row_shows_what_is_there), TEST_ROW(no_code_point_acts_on_a_terminal),
	TEST_ROW(a_long_value_is_cut))
