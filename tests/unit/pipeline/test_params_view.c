/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What an approver sees of parameters: secrets hidden, each place named with its length, the rest as it is. */
#include "approval/params_view.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/redact.h"
#include "support/test.h"

struct row {
	const char *params;
	const char *resource;
	const char *json;
	const char *hidden;
	size_t n_hidden;
};

static const struct row rows[] = {
	{"{\"b\":[1,2.50,true,null],\"a\":\"x\"}", "a://b/c",
		"{\"a\":\"x\",\"b\":[1,2.50,true,null]}", "[]", 0},
	{"{\"password\":\"hunter2\",\"n\":1}", "a://b/c", "{\"n\":1,\"password\":\"[REDACTED]\"}",
		"[{\"path\":\"$.password\",\"length\":7}]", 1},
	{"{\"deep\":{\"list\":[{\"api_key\":{\"a\":1}}]}}", "a://b/c",
		"{\"deep\":{\"list\":[{\"api_key\":\"[REDACTED]\"}]}}",
		"[{\"path\":\"$.deep.list[0].api_key\",\"length\":7}]", 1},
	{"[\"authorization: Bearer abcdefghijklmnop\"]", "a://b/c", NULL, NULL, 1},
	{"{\"n\":1}", "a://b/cookie: abcdefghijklmnopqrst", "{\"n\":1}", NULL, 1},
	/* Bytes that a page must not obey stay text. */
	{"{\"x\":\"<script>\\u202e\\u0000\"}", "a://b/c",
		"{\"x\":\"\\u003cscript\\u003e\xE2\x80\xAE\\u0000\"}", "[]", 0},
	/* Names that are hidden, or look so, stay apart. */
	{"{\"sk-abcdefghijklmnopqrstuvwxyz012345\":1,\"sk-abcdefghijklmnopqrstuvwxyz012346\":2,"
	 "\"[REDACTED]\":3,\"[REDACTED] #1\":4}",
		"a://b/c",
		"{\"[REDACTED] #0\":3,\"[REDACTED] #1 #1\":4,\"[REDACTED] #2\":1,\"[REDACTED] "
		"#3\":2}",
		"[{\"path\":\"$.[REDACTED] #2\",\"length\":35},{\"path\":\"$.[REDACTED] "
		"#3\",\"length\":35}]",
		2},
};

TEST(shows_all_but_secrets)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct arena *a = arena_new((size_t)1024 * 1024);
		const struct json *params = NULL;
		struct params_view view;

		CHECK_INT(json_parse(span_cstr(r->params), a, &params, NULL, NULL), OK);
		CHECK(params_view_build(
			params, span_cstr(r->resource), redactor_default(), a, &view));
		CHECK_INT(view.n_hidden, r->n_hidden);
		if (r->json != NULL)
			CHECK_SPAN(view.json, r->json);
		if (r->hidden != NULL)
			CHECK_SPAN(view.hidden, r->hidden);
		arena_free(&a);
	}
}

TEST(a_secret_in_the_resource_is_hidden_too)
{
	struct arena *a = arena_new((size_t)1024 * 1024);
	struct params_view view;

	CHECK(params_view_build(NULL, SPAN_LIT("a://b/cookie: abcdefghijklmnopqrst"),
		redactor_default(), a, &view));
	CHECK_SPAN(view.json, "null");
	CHECK_INT(view.n_hidden, 1);
	CHECK(span_starts(view.hidden, SPAN_LIT("[{\"path\":\"resource\",\"length\":")));
	CHECK(!span_ends(view.resource, SPAN_LIT("qrst")));
	arena_free(&a);
}

/* However many there are, the list is bounded and the count is not. */
TEST(the_list_of_hidden_places_is_bounded)
{
	struct arena *a = arena_new((size_t)16 * 1024 * 1024);
	struct json *list = json_new(a, JSON_ARRAY);
	struct params_view view;
	size_t n = 0;

	for (size_t i = 0; i < PARAMS_HIDDEN_MAX + 5; i++) {
		struct json *o = json_new(a, JSON_OBJECT);

		CHECK(json_add_member(
			a, o, SPAN_LIT("password"), json_new_string(a, SPAN_LIT("x"))));
		CHECK(json_add_element(a, list, o));
	}
	CHECK(params_view_build(list, SPAN_NONE, redactor_default(), a, &view));
	CHECK_INT(view.n_hidden, PARAMS_HIDDEN_MAX + 5);
	for (size_t i = 0; i < view.hidden.n; i++)
		n += view.hidden.p[i] == '{';
	CHECK_INT(n, PARAMS_HIDDEN_MAX);
	arena_free(&a);
}

TEST(without_memory_nothing_is_shown)
{
	struct arena *a = arena_new(64);
	struct params_view view;

	CHECK(!params_view_build(NULL, SPAN_LIT("a://b/cookie: abcdefghijklmnopqrst"),
		redactor_default(), a, &view));
	arena_free(&a);
}

SUITE("params view", TEST_ROW(shows_all_but_secrets),
	TEST_ROW(a_secret_in_the_resource_is_hidden_too),
	TEST_ROW(the_list_of_hidden_places_is_bounded), TEST_ROW(without_memory_nothing_is_shown))
