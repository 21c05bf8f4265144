/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The approval's member in the text of an action: put in at its place, all other bytes as they were. */
#include "approval_member.h"

#include "base/arena.h"
#include "base/buf.h"
#include "support/test.h"

#define MEMBER "\"approval\":{\"approval_id\":\"apr_1\"}"

static const struct {
	const char *text;
	const char *want; /* NULL: refused */
} rows[] = {
	{"{\"context\":{}}", "{\"context\":{\"extensions\":{" MEMBER "}}}"},
	{" { \"context\" : { } } ", " { \"context\" : {\"extensions\":{" MEMBER "} } } "},
	{"{\"a\":1,\"context\":{\"extensions\":{}}}",
		"{\"a\":1,\"context\":{\"extensions\":{" MEMBER "}}}"},
	{"{\"context\":{\"extensions\":{\"x\":{\"context\":{}}}},\"b\":2}",
		"{\"context\":{\"extensions\":{" MEMBER ",\"x\":{\"context\":{}}}},\"b\":2}"},
	{"{\"params\":{\"context\":{}},\"context\":{}}",
		"{\"params\":{\"context\":{}},\"context\":{\"extensions\":{" MEMBER "}}}"},
	{"{}", NULL},
	{"[]", NULL},
	{"{\"context\":null}", NULL},
	{"{\"context\":{\"extensions\":null}}", NULL},
	{"{\"context\":{\"extensions\":{\"approval\":{}}}}", NULL},
	{"{\"context\":{}", NULL},
	{"", NULL},
};

TEST(member)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new(1024 * 1024);
		struct errinfo ei;
		struct buf b;

		buf_init(&b, 4096);
		enum err rc =
			approval_member_add(span_cstr(rows[i].text), SPAN_LIT("apr_1"), a, &b, &ei);
		if ((rc == OK) != (rows[i].want != NULL))
			FAIL("%s: %s", rows[i].text, err_name(rc));
		else if (rc == OK && !span_eq_cstr(buf_span(&b), rows[i].want))
			FAIL("%s: %.*s", rows[i].text, SPAN_ARG(buf_span(&b)));
		buf_fini(&b);
		arena_free(&a);
	}
}

SUITE("approval_member", TEST_ROW(member))
