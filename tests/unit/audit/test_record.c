/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Records: canonical order, omitted members, redaction string by string, bounds. */
#include "audit/record.h"

#include <string.h>

#include "audit/chain.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/redact.h"
#include "support/test.h"

#define CHAIN "00112233445566778899aabbccddeeff"

static struct arena *arena;

/* The body as the first record of a chain. */
static struct span
body_of(const struct record *r)
{
	static struct buf b;
	const struct chain_head head = {0};
	struct record_text text;
	struct errinfo ei;

	buf_init_arena(&b, arena, BUF_CAP_RECORD * 2);
	if (record_render(r, redactor_default(), arena, &text, &ei) != OK) {
		FAIL("not rendered: %s", ei.msg);
		return SPAN_NONE;
	}
	chain_build_body(&text, CHAIN, &head, SPAN_LIT("2026-01-01T00:00:00Z"), &b);
	return buf_span(&b);
}

static struct record *
start(void)
{
	arena_free(&arena);
	arena = arena_new((size_t)4 * 1024 * 1024);
	return record_new(arena, "action.decision");
}

static bool
holds(struct span s, const char *what)
{
	size_t n = strlen(what);

	for (size_t i = 0; i + n <= s.n; i++) {
		if (memcmp(s.p + i, what, n) == 0)
			return true;
	}
	return false;
}

/* Canonical: what the canonicaliser makes of it is itself. */
static void
check_canonical(struct span body)
{
	const struct json *v = NULL;
	struct errinfo ei;
	struct buf b;

	if (json_parse(body, arena, &v, NULL, &ei) != OK) {
		FAIL("the record does not parse: %s", ei.msg);
		return;
	}
	buf_init_arena(&b, arena, BUF_CAP_RECORD * 2);
	json_canonical(v, &b);
	CHECK(span_eq(buf_span(&b), body));
}

TEST(table_is_in_canonical_order)
{
	for (size_t m = 1; m < RECORD__MAX; m++) {
		if (strcmp(record_member_name((enum record_member)(m - 1)),
			    record_member_name((enum record_member)m)) >= 0)
			FAIL("%s is out of order", record_member_name((enum record_member)m));
	}
}

TEST(members_appear_in_order_and_empty_ones_do_not)
{
	struct record *r = start();

	record_set_text(r, RECORD_TRACE_ID, SPAN_LIT("t1"));
	record_set_text(r, RECORD_ACTION_ID, SPAN_LIT("a1"));
	record_set_int(r, RECORD_DURATION_MS, 12);
	record_set_bool(r, RECORD_RETRYABLE, true);
	record_set_json(r, RECORD_OBLIGATIONS, SPAN_LIT("{\"sandbox_mode\":\"local\"}"));
	record_set_text(r, RECORD_AGENT, SPAN_NONE);
	record_set_int(r, RECORD_INTENT_SEQ, 0);
	record_set_json(r, RECORD_MATCHED_RULE_IDS, SPAN_LIT("[]"));
	record_set_json(r, RECORD_EXECUTOR_METADATA, SPAN_LIT("{}"));
	record_set_text(r, RECORD_REASON, SPAN_LIT("x"));
	record_set_text(r, RECORD_REASON, SPAN_NONE);
	struct span body = body_of(r);
	CHECK_SPAN(body,
		"{\"action_id\":\"a1\",\"chain_id\":\"" CHAIN "\",\"duration_ms\":12,"
		"\"event_type\":\"action.decision\",\"obligations\":{\"sandbox_mode\":\"local\"},"
		"\"retryable\":true,\"seq\":1,\"timestamp\":\"2026-01-01T00:00:00Z\",\"trace_id\":"
		"\"t1\"}");
	check_canonical(body);
}

TEST(false_is_left_out)
{
	struct record *r = start();

	record_set_bool(r, RECORD_RETRYABLE, false);
	CHECK(!holds(body_of(r), "retryable"));
}

/* A value that eats to the end of its line must not eat the record (the reference's records
 * became unparseable). */
TEST(a_secret_does_not_damage_the_record_around_it)
{
	static const char *const values[] = {
		"file://workspace/cookie:x",
		"authorization: Bearer abcdefghijklmnop",
		"set-cookie: a=b\nsecond line",
		"\"},{\"cookie: x",
		"AKIAABCDEFGHIJKLMNOP",
		"-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
		"\xff\xfe",
		"<&>\x01\x7f",
	};

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct record *r = start();
		record_set_text(r, RECORD_RESOURCE, span_cstr(values[i]));
		record_set_text(r, RECORD_TRACE_ID, SPAN_LIT("t1"));
		struct span body = body_of(r);
		check_canonical(body);
		CHECK(holds(body, "\"trace_id\":\"t1\"}"));
	}
}

TEST(text_members_are_redacted)
{
	struct record *r = start();

	record_set_text(r, RECORD_RESOURCE, SPAN_LIT("see AKIAABCDEFGHIJKLMNOP here"));
	struct span body = body_of(r);
	CHECK(!holds(body, "AKIA"));
	CHECK(holds(body, "\"resource\":\"see [REDACTED] here\""));
}

TEST(each_string_of_json_is_redacted_alone)
{
	struct record *r = start();

	record_set_json(r, RECORD_EXECUTOR_METADATA,
		SPAN_LIT("{\"a\":\"authorization: x\",\"b\":[\"keep\",\"say "
			 "bearer\\tabcdefghijklmnop\"],\"c\":12}"));
	struct span body = body_of(r);
	check_canonical(body);
	CHECK(holds(body, "\"a\":\"[REDACTED]\""));
	CHECK(holds(body, "\"keep\""));
	CHECK(holds(body, "\"c\":12"));
	CHECK(!holds(body, "abcdefghijklmnop"));
}

TEST(a_secret_as_member_name_takes_the_whole_value)
{
	struct record *r = start();

	record_set_json(
		r, RECORD_EXECUTOR_METADATA, SPAN_LIT("{\"AKIAABCDEFGHIJKLMNOP\":1,\"b\":2}"));
	struct span body = body_of(r);
	check_canonical(body);
	CHECK(holds(body, "\"executor_metadata\":\"[REDACTED]\""));
}

TEST(json_that_is_cut_does_not_get_out)
{
	struct record *r = start();

	record_set_json(r, RECORD_EXECUTOR_METADATA, SPAN_LIT("{\"a\":\"never ends"));
	struct span body = body_of(r);
	check_canonical(body);
	CHECK(holds(body, "\"executor_metadata\":\"[REDACTED]\""));
}

TEST(a_record_has_a_size_limit)
{
	static char big[BUF_CAP_RECORD + 1];
	struct record *r = start();
	struct record_text text;
	struct errinfo ei;

	memset(big, 'x', sizeof(big));
	record_set_text(r, RECORD_RESOURCE, span_of(big, sizeof(big)));
	CHECK_INT(record_render(r, redactor_default(), arena, &text, &ei), ERR_TOO_LARGE);
	CHECK_INT(text.parts[0].n, 0);
}

TEST(a_full_arena_is_an_error)
{
	struct record_text text;
	struct errinfo ei;

	arena_free(&arena);
	arena = arena_new(sizeof(void *) * 512);
	struct record *r = record_new(arena, "t");
	if (r == NULL)
		return; /* the cap was too small even for that, which is an answer too */
	record_set_text(r, RECORD_RESOURCE, SPAN_LIT("file://workspace/a"));
	enum err rc = OK;
	while (rc == OK)
		rc = record_render(r, redactor_default(), arena, &text, &ei);
	CHECK_INT(rc, ERR_TOO_LARGE);
	arena_free(&arena);
}

SUITE("record", TEST_ROW(table_is_in_canonical_order),
	TEST_ROW(members_appear_in_order_and_empty_ones_do_not), TEST_ROW(false_is_left_out),
	TEST_ROW(a_secret_does_not_damage_the_record_around_it),
	TEST_ROW(text_members_are_redacted), TEST_ROW(each_string_of_json_is_redacted_alone),
	TEST_ROW(a_secret_as_member_name_takes_the_whole_value),
	TEST_ROW(json_that_is_cut_does_not_get_out), TEST_ROW(a_record_has_a_size_limit),
	TEST_ROW(a_full_arena_is_an_error))
