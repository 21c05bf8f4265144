/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Any one bit changed anywhere in a chain, body or stored hash, is found by walking it from the
 * start. */
#include <string.h>

#include "audit/chain.h"
#include "audit/record.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/must.h"
#include "base/redact.h"
#include "support/test.h"

#define N 6
#define CHAIN "00112233445566778899aabbccddeeff"

struct link {
	struct buf body;
	char hash[SHA256_HEX + 1];
};

static void
build_chain(struct link *links, struct arena *a)
{
	struct chain_head head = {0};
	struct errinfo ei;

	for (size_t i = 0; i < N; i++) {
		struct record_text text;
		struct record *r = record_new(a, "action.decision");
		MUST(r != NULL);
		record_set_text(r, RECORD_ACTION_ID, SPAN_LIT("a \"quoted\" \xc3\xa9 id"));
		record_set_json(r, RECORD_OBLIGATIONS, SPAN_LIT("{\"a\":[1,{\"b\":\"}\"}]}"));
		record_set_int(r, RECORD_DURATION_MS, (int64_t)i + 1);
		MUST(record_render(r, redactor_default(), a, &text, &ei) == OK);
		buf_init(&links[i].body, BUF_CAP_RECORD);
		chain_build_body(
			&text, CHAIN, &head, SPAN_LIT("2026-01-01T00:00:00Z"), &links[i].body);
		chain_hash(buf_span(&links[i].body), span_of(head.hash, i > 0 ? SHA256_HEX : 0),
			links[i].hash);
		head.seq = i + 1;
		memcpy(head.hash, links[i].hash, sizeof(head.hash));
	}
}

/* The record at which the walk stops, 0 when it does not. */
static size_t
walk(const struct link *links)
{
	struct chain_head head = {0};

	for (size_t i = 0; i < N; i++) {
		if (chain_check(CHAIN, &head, i + 1, buf_span(&links[i].body),
			    span_cstr(links[i].hash)) != CHAIN_FAULT_NONE)
			return i + 1;
	}
	return 0;
}

TEST(one_changed_bit_is_found_where_it_is)
{
	struct arena *a = arena_new((size_t)4 * 1024 * 1024);
	struct link links[N];
	size_t n_tried = 0;

	MUST(a != NULL);
	build_chain(links, a);
	CHECK_INT(walk(links), 0);
	for (size_t i = 0; i < N; i++) {
		for (size_t bit = 0; bit < links[i].body.n * 8; bit++, n_tried++) {
			links[i].body.p[bit / 8] ^= (char)(1u << (bit % 8));
			if (walk(links) != i + 1)
				FAIL("bit %zu of record %zu: found at %zu", bit, i + 1,
					walk(links));
			links[i].body.p[bit / 8] ^= (char)(1u << (bit % 8));
		}
		for (size_t bit = 0; bit < SHA256_HEX * 8; bit++, n_tried++) {
			links[i].hash[bit / 8] ^= (char)(1u << (bit % 8));
			if (walk(links) != i + 1)
				FAIL("bit %zu of hash %zu: found at %zu", bit, i + 1, walk(links));
			links[i].hash[bit / 8] ^= (char)(1u << (bit % 8));
		}
	}
	CHECK(n_tried > 10000);
	CHECK_INT(walk(links), 0);
	for (size_t i = 0; i < N; i++)
		buf_fini(&links[i].body);
	arena_free(&a);
}

/* Leaving one out, doubling one, exchanging two neighbours: all are seen. */
TEST(order_matters)
{
	struct arena *a = arena_new((size_t)4 * 1024 * 1024);
	struct link links[N];

	MUST(a != NULL);
	build_chain(links, a);
	for (size_t i = 0; i + 1 < N; i++) {
		struct link kept = links[i];
		links[i] = links[i + 1];
		CHECK_INT(walk(links), i + 1);
		links[i + 1] = kept;
		CHECK_INT(walk(links), i + 1);
		links[i + 1] = links[i];
		links[i] = kept;
	}
	CHECK_INT(walk(links), 0);
	for (size_t i = 0; i < N; i++)
		buf_fini(&links[i].body);
	arena_free(&a);
}

SUITE("chain_bits", TEST_ROW(one_changed_bit_is_found_where_it_is), TEST_ROW(order_matters))
