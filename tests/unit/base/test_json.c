/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON parser: what it takes, what it refuses and where, its tree, and the bounds on hostile
 * texts.
 */
#include "base/json.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "support/cases.h"
#include "support/test.h"

#define ARENA_BYTES (64UL * 1024 * 1024)

static const char *const fault_names[] = {"NONE", "EMPTY", "CUT", "TRAILING", "SYNTAX", "UTF8",
	"CONTROL", "DUPLICATE", "DEPTH", "NUMBER", "MEMORY"};

static struct arena *arena;

static const struct json *
parse(const char *text)
{
	const struct json *v = NULL;
	struct errinfo ei = {.code = OK};

	if (json_parse(span_cstr(text), arena, &v, NULL, &ei) != OK)
		FAIL("%s: %s", text, ei.msg);
	return v;
}

/* A copy of exactly the text's size, so that a sanitizer sees a read behind it. */
static struct span
exact(struct span text)
{
	char *copy = text.n > 0 ? arena_alloc(arena, text.n) : NULL;

	for (size_t i = 0; copy != NULL && i < text.n; i++)
		copy[i] = text.p[i];
	return span_of(copy, text.n);
}

static void
check_refusal(const struct cases_row *row, void *arg)
{
	const struct json *v = NULL;
	struct json_error je = {.fault = JSON_FAULT_NONE};
	struct errinfo ei = {.code = OK};
	char want[256];

	(void)arg;
	enum err rc = json_parse(exact(row->field[0]), arena, &v, &je, &ei);
	if (rc != ERR_PARSE || v != NULL) {
		FAIL("%s:%d: accepted", row->file, row->line);
		return;
	}
	if (!span_eq_cstr(row->field[1], fault_names[je.fault]))
		FAIL("%s:%d: fault %s", row->file, row->line, fault_names[je.fault]);
	snprintf(want, sizeof(want), "%zu", je.offset);
	if (!span_eq_cstr(row->field[2], want))
		FAIL("%s:%d: offset %zu", row->file, row->line, je.offset);
	if (!span_eq_cstr(row->field[3], je.path))
		FAIL("%s:%d: path %s", row->file, row->line, je.path);
	snprintf(want, sizeof(want), "%.*s at %s (byte %zu)", SPAN_ARG(row->field[4]), je.path,
		je.offset);
	if (!span_eq_cstr(span_cstr(want), ei.msg))
		FAIL("%s:%d: message %s", row->file, row->line, ei.msg);
}

TEST(refuses)
{
	CHECK(cases_each("json/refuse.cases", check_refusal, NULL) > 100);
}

static void
check_acceptance(const struct cases_row *row, void *arg)
{
	const struct json *v = NULL;
	struct errinfo ei = {.code = OK};
	struct buf b;

	(void)arg;
	if (json_parse(exact(row->field[0]), arena, &v, NULL, &ei) != OK) {
		FAIL("%s:%d: %s", row->file, row->line, ei.msg);
		return;
	}
	buf_init(&b, BUF_CAP_REPLY);
	json_canonical(v, &b);
	if (!span_eq(buf_span(&b), row->field[1]))
		FAIL("%s:%d: canonical %.*s", row->file, row->line, SPAN_ARG(buf_span(&b)));
	buf_reset(&b);
	json_canonical_typed(v, &b);
	if (!span_eq(buf_span(&b), row->n > 2 ? row->field[2] : row->field[1]))
		FAIL("%s:%d: typed %.*s", row->file, row->line, SPAN_ARG(buf_span(&b)));
	buf_fini(&b);
}

TEST(accepts)
{
	CHECK(cases_each("json/accept.cases", check_acceptance, NULL) > 40);
}

TEST(every_prefix_is_refused_as_cut)
{
	const char text[] = "{\"a\":[1,{\"b\":\"x\\u00e9\\n\"},true,null,-1.5e3],\"c\":false}";

	for (size_t n = 1; n < sizeof(text) - 1; n++) {
		const struct json *v;
		struct json_error je;
		CHECK_INT(json_parse(exact(span_of(text, n)), arena, &v, &je, NULL), ERR_PARSE);
		CHECK_INT(je.fault, JSON_FAULT_CUT);
		CHECK(v == NULL);
	}
	CHECK(parse(text) != NULL);
}

/* Strings are scanned by words: a byte that may not stand there is seen at each place of a word. */
TEST(wrong_bytes_are_seen_at_each_place)
{
	for (size_t length = 1; length < 28; length++) {
		for (size_t at = 0; at < length; at++) {
			for (unsigned c = 0; c < 256; c++) {
				bool wrong = c < 0x20 || c == '"' || c == '\\' || c >= 0x80;
				const struct json *v;
				char text[32];
				memset(text, 'x', sizeof(text));
				text[0] = '"';
				text[1 + at] = (char)c;
				text[1 + length] = '"';
				enum err rc = json_parse(
					span_of(text, length + 2), arena, &v, NULL, NULL);
				if ((rc == OK) == wrong)
					FAIL("byte %u at %zu of %zu", c, at, length);
			}
		}
		arena_reset(arena);
	}
}

TEST(tree_keeps_source_order_and_place)
{
	const struct json *v = parse("{\n  \"z\": [1, \"two\"],\n  \"a\": {}\n}");

	CHECK_INT(v->n, 2);
	CHECK_SPAN(v->first->name, "z");
	CHECK_SPAN(v->sorted[0]->name, "a");
	CHECK_INT(v->first->line, 2);
	CHECK_INT(v->first->column, 8);
	CHECK_INT(v->first->type, JSON_ARRAY);
	CHECK_SPAN(v->first->source, "[1, \"two\"]");
	CHECK_SPAN(v->first->first->next->text, "two");
	CHECK_SPAN(v->first->first->next->source, "\"two\"");
	CHECK_INT(v->first->next->line, 3);
	CHECK_SPAN(v->first->next->source, "{}");
	CHECK(v->first->next->sorted == NULL && v->first->next->first == NULL);
	CHECK_INT(v->source.n, 32);
}

TEST(plain_strings_borrow_from_the_text)
{
	const char text[] = "{\"name\":\"plain\",\"n\":\"es\\u0063aped\"}";
	const struct json *v = NULL;

	CHECK_INT(json_parse(SPAN_LIT(text), arena, &v, NULL, NULL), OK);
	const struct json *plain = json_find_cstr(v, "name");
	CHECK(plain != NULL && plain->text.p == strstr(text, "plain"));
	CHECK(plain != NULL && plain->name.p == text + 2);
	const struct json *escaped = json_find_cstr(v, "n");
	CHECK(escaped != NULL && span_eq_cstr(escaped->text, "escaped"));
}

TEST(finds_members)
{
	const struct json *v = parse("{\"b\":1,\"a\":2,\"ab\":3,\"\":4,\"A\":5}");

	CHECK_SPAN(json_find_cstr(v, "a")->text, "2");
	CHECK_SPAN(json_find_cstr(v, "ab")->text, "3");
	CHECK_SPAN(json_find_cstr(v, "A")->text, "5");
	CHECK_SPAN(json_find(v, SPAN_NONE)->text, "4");
	CHECK(json_find_cstr(v, "c") == NULL);
	CHECK(json_find_cstr(v, "aba") == NULL);
	CHECK(json_find_cstr(NULL, "a") == NULL);
	CHECK(json_find_cstr(parse("[1]"), "a") == NULL);
	CHECK(json_find_cstr(parse("{}"), "a") == NULL);
}

TEST(finds_unknown_and_twins)
{
	static const char *const known[] = {"action_id", "params"};
	const char *twin = "untouched";
	const struct json *v = parse("{\"params\":1,\"x\":2,\"Action_ID\":3,\"action_id\":4}");
	const struct json *m = json_find_unknown(v, known, 2, false, &twin);

	CHECK(m != NULL && span_eq_cstr(m->text, "3"));
	CHECK_STR(twin, "action_id");
	m = json_find_unknown(v, known, 2, true, &twin);
	CHECK(m != NULL && span_eq_cstr(m->text, "2"));
	CHECK(twin == NULL);
	v = parse("{\"params\":1,\"action_id\":4}");
	CHECK(json_find_unknown(v, known, 2, true, &twin) == NULL);
	CHECK(json_find_unknown(parse("{\"free\":1}"), known, 2, false, NULL) == NULL);
	CHECK(json_find_unknown(NULL, known, 2, true, NULL) == NULL);
	CHECK(json_find_unknown(parse("3"), known, 2, true, NULL) == NULL);
}

TEST(gets_integers)
{
	int64_t n = 7;

	CHECK(json_get_int(parse("12"), 0, 12, &n));
	CHECK_INT(n, 12);
	CHECK(json_get_int(parse("-0"), 0, 0, &n));
	CHECK_INT(n, 0);
	CHECK(json_get_int(parse("-9223372036854775808"), INT64_MIN, INT64_MAX, &n));
	CHECK(n == INT64_MIN);
	CHECK(!json_get_int(parse("9223372036854775808"), INT64_MIN, INT64_MAX, &n));
	CHECK(!json_get_int(parse("13"), 0, 12, &n));
	CHECK(!json_get_int(parse("-1"), 0, 12, &n));
	CHECK(!json_get_int(parse("1.0"), 0, 12, &n));
	CHECK(!json_get_int(parse("1e0"), 0, 12, &n));
	CHECK(!json_get_int(parse("\"1\""), 0, 12, &n));
	CHECK(!json_get_int(NULL, 0, 12, &n));
}

TEST(path_is_cut_when_long)
{
	char text[600] = "{\"";
	struct json_error je;
	const struct json *v;

	memset(text + 2, 'n', 300);
	snprintf(text + 302, 32, "\":{\"\xc3\xa9\xc3\xa9\":?");
	CHECK_INT(json_parse(span_cstr(text), arena, &v, &je, NULL), ERR_PARSE);
	CHECK(strlen(je.path) < sizeof(je.path));
	CHECK(strncmp(je.path, "$.nnnn", 6) == 0);
}

TEST(error_place_counts_lines)
{
	struct json_error je;
	const struct json *v;

	CHECK_INT(json_parse(SPAN_LIT("{\n\"a\": 1,\n \"b\": x\n}"), arena, &v, &je, NULL),
		ERR_PARSE);
	CHECK_INT(je.line, 3);
	CHECK_INT(je.column, 7);
	CHECK_STR(je.path, "$.b");
}

TEST(full_arena_is_too_large)
{
	struct arena *small = arena_new(1000);
	struct json_error je;
	struct errinfo ei = {.code = OK};
	const struct json *v;

	CHECK_INT(json_parse(SPAN_LIT("[1,2,3,4,5,6,7,8,9,10,11,12]"), small, &v, &je, &ei),
		ERR_TOO_LARGE);
	CHECK(v == NULL);
	CHECK_INT(je.fault, JSON_FAULT_MEMORY);
	CHECK(strncmp(ei.msg, "text too large at $[", 19) == 0);
	arena_free(&small);
}

/* Puts s to text[n], each '#' as the number i in hex; returns the new length. */
static size_t
put(char *text, size_t n, const char *s, unsigned i)
{
	for (; *s != '\0'; s++) {
		if (*s == '#')
			n += (size_t)snprintf(text + n, 16, "%x", i);
		else
			text[n++] = *s;
	}
	return n;
}

/* 64 KiB of a hostile shape, parsed within the promised share of arena. */
static void
check_bounded(const char *unit, const char *head, const char *tail)
{
	enum { SIZE = 64 * 1024 };
	static char text[SIZE + 64];
	size_t n = put(text, 0, head, 0);
	struct arena *a = arena_new(ARENA_BYTES);
	const struct json *v;

	for (unsigned i = 0; n + 32 < SIZE; i++)
		n = put(text, n, unit, i);
	n = put(text, n, tail, 0);
	CHECK_INT(json_parse(span_of(text, n), a, &v, NULL, NULL), OK);
	if (!NOMOS_ARENA_EMULATE)
		CHECK(arena_used(a) <= 56 * n);
	arena_free(&a);
}

TEST(hostile_texts_stay_in_proportion)
{
	check_bounded("1,", "[", "1]");
	check_bounded("[],", "[", "1]");
	check_bounded("{},", "[", "1]");
	check_bounded("\"#\":1,", "{", "\"\":1}");
	check_bounded("\"0000#\":1,", "{", "\"\":1}");
	check_bounded("\"\\n\",", "[", "1]");
	check_bounded("{\"a\":[{}]},", "[", "1]");
}

TEST(many_members_in_any_order)
{
	enum { N = 30000 };
	static char text[N * 16];
	const struct json *v;
	unsigned seed = 1;
	size_t n = 1;

	text[0] = '{';
	for (unsigned i = 0; i < N; i++) {
		seed = seed * 1664525U + 1013904223U;
		n += (size_t)snprintf(text + n, 16, "\"%04x%05u\":1,", seed >> 20, i);
	}
	text[n - 1] = '}';
	CHECK_INT(json_parse(span_of(text, n), arena, &v, NULL, NULL), OK);
	for (size_t i = 1; v != NULL && i < v->n; i++) {
		if (span_cmp(v->sorted[i - 1]->name, v->sorted[i]->name) >= 0) {
			FAIL("member %zu is out of order", i);
			break;
		}
	}
	CHECK(json_find_cstr(v, "00000") == NULL);
	for (const struct json *m = v != NULL ? v->first : NULL; m != NULL; m = m->next) {
		if (json_find(v, m->name) != m) {
			FAIL("%.*s is not found", SPAN_ARG(m->name));
			break;
		}
	}
}

TEST(node_is_small)
{
	CHECK(sizeof(struct json) <= 96);
}

TEST(names_types)
{
	CHECK_STR(json_type_name(JSON_NULL), "null");
	CHECK_STR(json_type_name(JSON_BOOL), "boolean");
	CHECK_STR(json_type_name(JSON_NUMBER), "number");
	CHECK_STR(json_type_name(JSON_STRING), "string");
	CHECK_STR(json_type_name(JSON_ARRAY), "array");
	CHECK_STR(json_type_name(JSON_OBJECT), "object");
}

static const struct test_case test_cases[] = {TEST_ROW(refuses), TEST_ROW(accepts),
	TEST_ROW(every_prefix_is_refused_as_cut), TEST_ROW(wrong_bytes_are_seen_at_each_place),
	TEST_ROW(tree_keeps_source_order_and_place), TEST_ROW(plain_strings_borrow_from_the_text),
	TEST_ROW(finds_members), TEST_ROW(finds_unknown_and_twins), TEST_ROW(gets_integers),
	TEST_ROW(path_is_cut_when_long), TEST_ROW(error_place_counts_lines),
	TEST_ROW(full_arena_is_too_large), TEST_ROW(hostile_texts_stay_in_proportion),
	TEST_ROW(many_members_in_any_order), TEST_ROW(node_is_small), TEST_ROW(names_types)};

int
main(int argc, char **argv)
{
	arena = arena_new(ARENA_BYTES);
	if (arena == NULL)
		return 2;
	int rc = test_run("json", test_cases, ARRAY_LEN(test_cases), argc, argv);
	arena_free(&arena);
	return rc;
}
