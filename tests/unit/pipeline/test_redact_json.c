/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A redacted tree is JSON whatever made the tree: the parser, or a program, whose values have no text they came from. */
#include "pipeline/redact_json.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"
#include "base/redact.h"
#include "support/test.h"

static void
check_text(struct arena *a, const struct json *v, const char *expected)
{
	struct buf out;

	buf_init_arena(&out, a, BUF_CAP_REPLY);
	redact_json(redactor_default(), v, a, &out);
	CHECK_SPAN(buf_span(&out), expected);
}

TEST(what_was_parsed)
{
	struct arena *a = arena_new(1 << 16);
	const struct json *v = NULL;
	struct errinfo ei;

	MUST(a != NULL);
	CHECK(json_parse(SPAN_LIT("{\"n\":[1.50,-0,null,true],\"s\":\"a\"}"), a, &v, NULL, &ei) ==
		OK);
	check_text(a, v, "{\"n\":[1.50,-0,null,true],\"s\":\"a\"}");
	/* No two members become one. */
	CHECK(json_parse(SPAN_LIT("{\"sk-abcdefghijklmnopqrstuvwxyz012345\":1,\"a\":2,"
				  "\"sk-abcdefghijklmnopqrstuvwxyz012346\":3}"),
		      a, &v, NULL, &ei) == OK);
	check_text(a, v, "{\"[REDACTED] #0\":1,\"a\":2,\"[REDACTED] #2\":3}");
	arena_free(&a);
}

TEST(what_was_made)
{
	struct arena *a = arena_new(1 << 16);
	struct json *list = NULL;

	MUST(a != NULL);
	list = json_new(a, JSON_ARRAY);
	MUST(json_add_element(a, list, json_new_int(a, 2)));
	MUST(json_add_element(a, list, json_new_bool(a, true)));
	MUST(json_add_element(a, list, json_new(a, JSON_NULL)));
	check_text(a, list, "[2,true,null]");
	arena_free(&a);
}

SUITE("redact_json", TEST_ROW(what_was_parsed), TEST_ROW(what_was_made))
