/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The writers and the trees made by hand: hashes of the reference, quoting, pretty text, depth and
 * failure.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/json.h"
#include "support/test.h"

static struct arena *arena;

static struct span
canonical(const char *text)
{
	const struct json *v = NULL;
	struct errinfo ei = {.code = OK};
	struct buf b;

	if (json_parse(span_cstr(text), arena, &v, NULL, &ei) != OK) {
		FAIL("%s: %s", text, ei.msg);
		return SPAN_NONE;
	}
	buf_init_arena(&b, arena, BUF_CAP_REPLY);
	json_canonical(v, &b);
	CHECK(!buf_failed(&b));
	return buf_span(&b);
}

TEST(hashes_are_those_of_the_reference)
{
	static const struct {
		const char *text;
		const char *hash;
	} rows[] = {
		{"{\"b\":1,\"a\":\"x\",\"c\":[true,2]}",
			"04ceb95b6eab660e1db5b4cf9e1d8ad320a4772a2a22775bb679d53daabd84f2"},
		{"{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
		{"{\"a\":1.50,\"b\":-0,\"c\":12345678901234567890123,\"d\":1E5}",
			"7c3ab3656b87327c4c4f09f6e4e3183d94e1a0c0da4b82f0d9c897aba868b96c"},
		{"{\"version\":\"v1\",\"rules\":[{\"id\":\"r\",\"action_type\":\"fs.read\","
		 "\"resource\":\"file://workspace/**\",\"decision\":\"ALLOW\"}]}",
			"0ae35c43a802becad5656e5b383cb3eb4d3d2e3f519b8efd7853fde85b53e39a"},
		{"{\"version\":\"v1\",\"rules\":[{\"id\":\"a\",\"action_type\":\"fs.read\","
		 "\"resource\":\"file://workspace/**\",\"decision\":\"ALLOW\"}]}",
			"8c2e5f1b662f15cf3ff32daf969138bde1570056ded6578a8a8776f94caf01c0"},
	};
	char hex[SHA256_HEX + 1];

	CHECK_INT(hash_init(NULL), OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		hash_sha256_hex(canonical(rows[i].text), hex);
		CHECK_STR(hex, rows[i].hash);
	}
}

/*
 * Weak spot 9.8 of the reference: the number 1.50 and the string "1.50" must not bind to one
 * approval.
 */
TEST(typed_form_tells_numbers_from_strings)
{
	const struct json *number = NULL;
	const struct json *string = NULL;
	struct buf n;
	struct buf s;

	CHECK_INT(json_parse(SPAN_LIT("{\"a\":1.50}"), arena, &number, NULL, NULL), OK);
	CHECK_INT(json_parse(SPAN_LIT("{\"a\":\"1.50\"}"), arena, &string, NULL, NULL), OK);
	buf_init(&n, BUF_CAP_REPLY);
	buf_init(&s, BUF_CAP_REPLY);
	json_canonical(number, &n);
	json_canonical(string, &s);
	CHECK(span_eq(buf_span(&n), buf_span(&s)));
	buf_reset(&n);
	buf_reset(&s);
	json_canonical_typed(number, &n);
	json_canonical_typed(string, &s);
	CHECK_SPAN(buf_span(&n), "{\"a\":1.50}");
	CHECK_SPAN(buf_span(&s), "{\"a\":\"1.50\"}");
	buf_fini(&n);
	buf_fini(&s);
}

static void
check_quote(struct span s, const char *want)
{
	struct buf b;

	buf_init(&b, BUF_CAP_REPLY);
	json_quote(&b, s);
	CHECK_SPAN(buf_span(&b), want);
	buf_fini(&b);
}

TEST(quotes)
{
	char all[128];

	check_quote(SPAN_NONE, "\"\"");
	check_quote(SPAN_LIT("a\"\\/\b\f\n\r\t"), "\"a\\\"\\\\/\\b\\f\\n\\r\\t\"");
	check_quote(SPAN_LIT("\0\x1f\x7f"), "\"\\u0000\\u001f\x7f\"");
	check_quote(SPAN_LIT("<&>"), "\"\\u003c\\u0026\\u003e\"");
	check_quote(SPAN_LIT("\xe2\x80\xa8\xe2\x80\xa9x"), "\"\\u2028\\u2029x\"");
	check_quote(
		SPAN_LIT("\xc3\xa9\xe2\x80\xa8\xe2\x82\xac"), "\"\xc3\xa9\\u2028\xe2\x82\xac\"");
	check_quote(SPAN_LIT("\xe2\x80\xaa\xe2\x80\xa7"), "\"\xe2\x80\xaa\xe2\x80\xa7\"");
	check_quote(SPAN_LIT("a\xff\xfe z"), "\"a\xef\xbf\xbd\xef\xbf\xbd z\"");
	check_quote(SPAN_LIT("\xe2\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	check_quote(SPAN_LIT("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	const struct json *v = NULL;
	struct buf b;
	buf_init(&b, BUF_CAP_REPLY);
	json_quote(&b, span_of(all, sizeof(all)));
	CHECK_INT(json_parse(buf_span(&b), arena, &v, NULL, NULL), OK);
	CHECK(v != NULL && span_eq(v->text, span_of(all, sizeof(all))));
	buf_fini(&b);
}

/* Sixteen or eight bytes are looked at together, and the last ones alone: each byte must be seen at each place among them. */
TEST(quotes_each_byte_wherever_it_stands)
{
	char text[16 + 16 + 8 + 3];
	char fill[sizeof(text)];

	memset(fill, 'a', sizeof(fill));
	for (unsigned c = 0; c < 256; c++) {
		struct buf alone;

		buf_init(&alone, 64);
		text[0] = (char)c;
		json_quote(&alone, span_of(text, 1));
		for (size_t at = 0; at < sizeof(text); at++) {
			char want[128];
			struct buf b;

			memset(text, 'a', sizeof(text));
			text[at] = (char)c;
			snprintf(want, sizeof(want), "\"%.*s%.*s%.*s\"", (int)at, fill,
				(int)alone.n - 2, alone.p + 1, (int)(sizeof(text) - 1 - at), fill);
			buf_init(&b, 128);
			json_quote(&b, span_of(text, sizeof(text)));
			CHECK_SPAN(buf_span(&b), want);
			buf_fini(&b);
		}
		text[0] = 'a';
		buf_fini(&alone);
	}
}

TEST(pretty)
{
	const struct json *v = NULL;
	struct buf b;

	CHECK_INT(json_parse(SPAN_LIT("{\"b\":[1.5,{}],\"a\":{\"x\":[]},\"c\":\"<\"}"), arena, &v,
			  NULL, NULL),
		OK);
	buf_init(&b, BUF_CAP_REPLY);
	json_pretty(v, &b);
	CHECK_SPAN(buf_span(&b), "{\n"
				 "  \"a\": {\n"
				 "    \"x\": []\n"
				 "  },\n"
				 "  \"b\": [\n"
				 "    1.5,\n"
				 "    {}\n"
				 "  ],\n"
				 "  \"c\": \"\\u003c\"\n"
				 "}");
	buf_fini(&b);
}

TEST(full_buffer_stops_the_writer)
{
	const struct json *v = NULL;
	struct buf b;

	CHECK_INT(json_parse(SPAN_LIT("[1,2,3,[4,5,6]]"), arena, &v, NULL, NULL), OK);
	buf_init(&b, 5);
	json_canonical(v, &b);
	CHECK(buf_failed(&b));
	buf_fini(&b);
}

TEST(made_trees)
{
	struct json *o = json_new(arena, JSON_OBJECT);
	struct json *list = json_new(arena, JSON_ARRAY);
	struct buf b;
	char name[8];

	CHECK(json_add_member(arena, o, SPAN_LIT("s"), json_new_string(arena, SPAN_LIT("x\"y"))));
	CHECK(json_add_member(arena, o, SPAN_LIT("list"), list));
	CHECK(json_add_member(arena, o, SPAN_LIT("i"), json_new_int(arena, INT64_MIN)));
	CHECK(json_add_member(arena, o, SPAN_LIT("b"), json_new_bool(arena, true)));
	CHECK(json_add_member(arena, o, SPAN_NONE, json_new_string(arena, SPAN_NONE)));
	CHECK(json_add_member(arena, o, SPAN_LIT("n"), json_new(arena, JSON_NULL)));
	CHECK(json_add_element(arena, list, json_new_int(arena, 2)));
	CHECK(json_add_element(arena, list, json_new_int(arena, 1)));
	CHECK(!json_add_member(arena, o, SPAN_LIT("i"), json_new_int(arena, 0)));
	CHECK(!json_add_member(arena, o, SPAN_LIT("z"), NULL));
	CHECK_INT(o->n, 6);
	buf_init(&b, BUF_CAP_REPLY);
	json_canonical(o, &b);
	CHECK_SPAN(buf_span(&b), "{\"\":\"\",\"b\":true,\"i\":-9223372036854775808,\"list\":[2,1],"
				 "\"n\":null,\"s\":\"x\\\"y\"}");
	buf_fini(&b);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "k%u", (i * 37) % 100);
		CHECK(json_add_member(arena, o, span_cstr(name), json_new_int(arena, i)));
	}
	CHECK_INT(o->n, 106);
	for (size_t i = 1; i < o->n; i++)
		CHECK(span_cmp(o->sorted[i - 1]->name, o->sorted[i]->name) < 0);
	CHECK(json_find_cstr(o, "k37") != NULL &&
		span_eq_cstr(json_find_cstr(o, "k37")->text, "1"));
	CHECK_SPAN(o->first->name, "s");
}

TEST(made_trees_in_a_full_arena)
{
	struct arena *small = arena_new(2000);
	struct json *o = json_new(small, JSON_OBJECT);
	bool ok = o != NULL;

	CHECK(ok);
	for (int i = 0; i < 100 && ok; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%d", i);
		ok = json_add_member(small, o, span_cstr(name), json_new_int(small, i));
	}
	CHECK(!ok);
	CHECK(arena_failed(small));
	CHECK(json_new_string(small, SPAN_LIT("x")) == NULL);
	CHECK(json_new_bool(small, true) == NULL);
	arena_free(&small);
}

/* Trees of parsed values in made ones may be deeper than the parser allows, but not without end. */
TEST(depth_is_bounded)
{
	struct json *root = json_new(arena, JSON_ARRAY);
	struct json *v = root;
	struct buf b;

	buf_init(&b, BUF_CAP_REPLY);
	for (unsigned i = 1; i < 64; i++) {
		struct json *inner = json_new(arena, JSON_ARRAY);
		CHECK(json_add_element(arena, v, inner));
		v = inner;
	}
	json_canonical(root, &b);
	CHECK(!buf_failed(&b));
	CHECK_INT(buf_span(&b).n, 128);
	CHECK(json_add_element(arena, v, json_new(arena, JSON_ARRAY)));
	json_canonical(root, &b);
	CHECK(buf_failed(&b));
	buf_fini(&b);
}

static const struct test_case test_cases[] = {TEST_ROW(hashes_are_those_of_the_reference),
	TEST_ROW(typed_form_tells_numbers_from_strings), TEST_ROW(quotes),
	TEST_ROW(quotes_each_byte_wherever_it_stands), TEST_ROW(pretty),
	TEST_ROW(full_buffer_stops_the_writer), TEST_ROW(made_trees),
	TEST_ROW(made_trees_in_a_full_arena), TEST_ROW(depth_is_bounded)};

int
main(int argc, char **argv)
{
	arena = arena_new(8UL * 1024 * 1024);
	if (arena == NULL)
		return 2;
	int rc = test_run("json_canonical", test_cases, ARRAY_LEN(test_cases), argc, argv);
	arena_free(&arena);
	return rc;
}
