/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The chain: the published vector, splicing, the member scanner, faults by name, the export line
 * and its inverse. */
#include "audit/chain.h"

#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "support/test.h"

#define CHAIN "00112233445566778899aabbccddeeff"

TEST(published_vector_holds)
{
	char hash[SHA256_HEX + 1];

	chain_hash(SPAN_LIT("{\"action_id\":\"act-golden\",\"decision\":\"ALLOW\",\"event_type\":"
			    "\"action.completed\","
			    "\"schema_version\":\"v1\",\"timestamp\":\"2026-02-26T12:00:00Z\","
			    "\"trace_id\":\"trace-golden\"}"),
		SPAN_NONE, hash);
	CHECK_STR(hash, "04ae64afdfb5b314211c7e14ef9fbd243fe5d43e9464755b183a54b8a043ba6c");
}

TEST(previous_hash_follows_the_body)
{
	char whole[SHA256_HEX + 1];
	char parts[SHA256_HEX + 1];

	hash_sha256_hex(SPAN_LIT("{\"a\":1}00ff"), whole);
	chain_hash(SPAN_LIT("{\"a\":1}"), SPAN_LIT("00ff"), parts);
	CHECK_STR(parts, whole);
}

static void
build(struct buf *b, const struct chain_head *head)
{
	const struct record_text text = {{
		SPAN_LIT("{\"agent\":\"n\","),
		SPAN_LIT("\"event_type\":\"t\","),
		SPAN_NONE,
		SPAN_LIT("\"signature\":\"s\","),
		SPAN_LIT(",\"trace_id\":\"x\"}"),
	}};

	buf_init(b, BUF_CAP_RECORD);
	chain_build_body(&text, CHAIN, head, SPAN_LIT("2026-01-01T00:00:00Z"), b);
}

TEST(first_record_has_no_previous_hash)
{
	struct chain_head head = {0};
	struct buf b;

	build(&b, &head);
	CHECK_SPAN(buf_span(&b),
		"{\"agent\":\"n\",\"chain_id\":\"" CHAIN "\",\"event_type\":\"t\",\"seq\":1,"
		"\"signature\":\"s\",\"timestamp\":\"2026-01-01T00:00:00Z\",\"trace_id\":\"x\"}");
	buf_fini(&b);
}

TEST(later_records_name_the_one_before)
{
	struct chain_head head = {.seq = 41};
	struct chain_fields f;
	struct buf b;

	memset(head.hash, 'a', SHA256_HEX);
	build(&b, &head);
	CHECK(chain_read_fields(buf_span(&b), &f));
	CHECK_SPAN(f.chain_id, CHAIN);
	CHECK_SPAN(f.prev_event_hash, head.hash);
	CHECK_SPAN(f.event_type, "t");
	CHECK_SPAN(f.timestamp, "2026-01-01T00:00:00Z");
	CHECK_INT(f.seq, 42);
	buf_fini(&b);
}

TEST(each_fault_has_its_name)
{
	struct chain_head head = {0};
	struct chain_head second;
	char hash[SHA256_HEX + 1];
	char other[SHA256_HEX + 1];
	struct buf one;
	struct buf two;

	build(&one, &head);
	chain_hash(buf_span(&one), SPAN_NONE, hash);
	CHECK_INT(chain_check(CHAIN, &head, 1, buf_span(&one), span_cstr(hash)), CHAIN_FAULT_NONE);
	CHECK_INT(head.seq, 1);
	CHECK_STR(head.hash, hash);
	build(&two, &head);
	chain_hash(buf_span(&two), span_cstr(hash), other);

	second = head;
	CHECK_INT(chain_check("ffffffffffffffffffffffffffffffff", &second, 2, buf_span(&two),
			  span_cstr(other)),
		CHAIN_FAULT_CHAIN_ID);
	CHECK_INT(
		chain_check(CHAIN, &second, 3, buf_span(&two), span_cstr(other)), CHAIN_FAULT_SEQ);
	CHECK_INT(chain_check(CHAIN, &second, 2, buf_span(&one), span_cstr(hash)),
		CHAIN_FAULT_PREVIOUS);
	CHECK_INT(
		chain_check(CHAIN, &second, 2, buf_span(&two), span_cstr(hash)), CHAIN_FAULT_HASH);
	CHECK_INT(chain_check(CHAIN, &second, 2, SPAN_LIT("{\"seq\":2"), span_cstr(hash)),
		CHAIN_FAULT_MALFORMED);
	CHECK_INT(second.seq, 1);
	CHECK_STR(second.hash, hash);
	CHECK_INT(
		chain_check(NULL, &second, 2, buf_span(&two), span_cstr(other)), CHAIN_FAULT_NONE);
	buf_fini(&one);
	buf_fini(&two);
}

TEST(scanner_is_not_led_astray)
{
	static const struct {
		const char *body;
		bool is_whole;
		uint64_t seq;
	} rows[] = {
		{"{\"seq\":7}", true, 7},
		{"{}", true, 0},
		{"{\"a\":\",\\\"seq\\\":9\",\"seq\":7}", true, 7},
		{"{\"a\":\"x\\\\\",\"seq\":7}", true, 7},
		{"{\"a\":{\"seq\":9},\"b\":[{\"seq\":8},\"]}\"],\"seq\":7}", true, 7},
		{"{\"a\":1,\"seq\":7", false, 7},
		{"{\"a\":1]\"seq\":7}", false, 0},
		{"{\"a\":1,}", false, 0},
		{"{\"a\"}", false, 0},
		{"{\"a\":}", false, 0},
		{"{\"a\":1}x", false, 0},
		{"{\"seq\":\"7\"}", false, 0},
		{"{\"seq\":-7}", false, 0},
		{"{\"seq\":07}", false, 0},
		{"{\"chain_id\":7}", false, 0},
		{"[1]", false, 0},
		{"", false, 0},
		{"{", false, 0},
	};
	struct chain_fields f;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (chain_read_fields(span_cstr(rows[i].body), &f) != rows[i].is_whole)
			FAIL("row %zu: %s", i, rows[i].body);
		if (rows[i].is_whole)
			CHECK_INT(f.seq, rows[i].seq);
	}
}

TEST(what_tells_intents_from_outcomes_is_read_with_the_rest)
{
	struct chain_fields f;

	CHECK(chain_read_fields(
		SPAN_LIT("{\"decision\":\"ALLOW\",\"decision\":\"DENY\",\"intent_seq\":7,"
			 "\"result_classification\":null,\"seq\":9}"),
		&f));
	CHECK_SPAN(f.decision, "\"ALLOW\""); /* as chain_find_member finds it */
	CHECK_SPAN(f.intent_seq, "7");
	CHECK_SPAN(f.result_classification, "null");
	CHECK_INT(f.seq, 9);
	CHECK(chain_read_fields(SPAN_LIT("{\"a\":{\"decision\":1},\"seq\":9}"), &f));
	CHECK_INT(f.decision.n, 0);
}

TEST(members_are_found_raw)
{
	struct span body = SPAN_LIT("{\"a\":\"x\",\"b\":{\"a\":2},\"c\":3}");

	CHECK_SPAN(chain_find_member(body, SPAN_LIT("a")), "\"x\"");
	CHECK_SPAN(chain_find_member(body, SPAN_LIT("b")), "{\"a\":2}");
	CHECK_SPAN(chain_find_member(body, SPAN_LIT("c")), "3");
	CHECK_INT(chain_find_member(body, SPAN_LIT("d")).n, 0);
}

TEST(line_and_body_are_inverse)
{
	struct chain_head head = {0};
	struct span hash = SPAN_NONE;
	struct buf body;
	struct buf line;
	struct buf back;

	build(&body, &head);
	buf_init(&line, BUF_CAP_RECORD);
	buf_init(&back, BUF_CAP_RECORD);
	CHECK(chain_build_line(buf_span(&body), SPAN_LIT("00ff"), &line));
	CHECK_SPAN(buf_span(&line),
		"{\"agent\":\"n\",\"chain_id\":\"" CHAIN "\",\"event_hash\":\"00ff\","
		"\"event_type\":\"t\",\"seq\":1,\"signature\":\"s\","
		"\"timestamp\":\"2026-01-01T00:00:00Z\",\"trace_id\":\"x\"}");
	CHECK(chain_parse_line(buf_span(&line), &back, &hash));
	CHECK(span_eq(buf_span(&back), buf_span(&body)));
	CHECK_SPAN(hash, "00ff");
	buf_fini(&body);
	buf_fini(&line);
	buf_fini(&back);
}

TEST(lines_with_the_hash_at_any_place)
{
	static const struct {
		const char *line;
		const char *body; /* NULL: refused */
		const char *hash;
	} rows[] = {
		{"{\"a\":1,\"event_hash\":\"h\"}", "{\"a\":1}", "h"},
		{"{\"event_hash\":\"h\",\"z\":1}", "{\"z\":1}", "h"},
		{"{\"event_hash\":\"h\"}", "{}", "h"},
		{"{\"a\":1}", "{\"a\":1}", ""},
		{"{\"event_hash\":\"h\",\"event_hash\":\"i\"}", NULL, ""},
		{"{\"event_hash\":1}", NULL, ""},
		{"{\"a\":1", NULL, ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span hash = SPAN_NONE;
		struct buf b;
		buf_init(&b, BUF_CAP_RECORD);
		bool ok = chain_parse_line(span_cstr(rows[i].line), &b, &hash);
		CHECK(ok == (rows[i].body != NULL));
		if (ok && rows[i].body != NULL) {
			CHECK_SPAN(buf_span(&b), rows[i].body);
			CHECK_SPAN(hash, rows[i].hash);
		}
		buf_fini(&b);
	}
}

TEST(line_needs_a_place_for_the_hash)
{
	struct buf b;

	buf_init(&b, BUF_CAP_RECORD);
	CHECK(!chain_build_line(SPAN_LIT("{\"a\":1}"), SPAN_LIT("h"), &b));
	CHECK(!chain_build_line(SPAN_LIT("{\"event_type\":\"t\""), SPAN_LIT("h"), &b));
	buf_fini(&b);
}

SUITE("chain", TEST_ROW(published_vector_holds), TEST_ROW(previous_hash_follows_the_body),
	TEST_ROW(first_record_has_no_previous_hash), TEST_ROW(later_records_name_the_one_before),
	TEST_ROW(each_fault_has_its_name), TEST_ROW(scanner_is_not_led_astray),
	TEST_ROW(what_tells_intents_from_outcomes_is_read_with_the_rest),
	TEST_ROW(members_are_found_raw), TEST_ROW(line_and_body_are_inverse),
	TEST_ROW(lines_with_the_hash_at_any_place), TEST_ROW(line_needs_a_place_for_the_hash))
