/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Rows of the index: what goes in is found from everywhere, and what a file says is not believed further
 * than a row can reach. */
#include "index_postings.h"

#include <string.h>

#include "support/test.h"

#define FIRST 1000
#define SPAN_MAX (8 * POSTINGS_BYTES_MAX)

TEST(one_record_takes_no_bits)
{
	struct postings p;

	postings_begin(&p, FIRST);
	CHECK_INT(postings_bits(&p).n, 0);
	CHECK_INT(postings_up(&p, 1), FIRST);
	CHECK_INT(postings_up(&p, FIRST), FIRST);
	CHECK_INT(postings_up(&p, FIRST + 1), 0);
	CHECK_INT(postings_up(&p, UINT64_MAX), 0);
	CHECK_INT(postings_down(&p, FIRST - 1), 0);
	CHECK_INT(postings_down(&p, FIRST), FIRST);
	CHECK_INT(postings_down(&p, UINT64_MAX), FIRST);
}

TEST(what_is_too_far_begins_another_row)
{
	struct postings p;

	postings_begin(&p, FIRST);
	CHECK(!postings_add(&p, FIRST));
	CHECK(!postings_add(&p, FIRST + POSTINGS_GAP_MAX + 1));
	CHECK(postings_add(&p, FIRST + POSTINGS_GAP_MAX));
	CHECK(!postings_add(&p, FIRST + POSTINGS_GAP_MAX));
	CHECK(!postings_add(&p, FIRST + 1));
	for (uint64_t seq = FIRST + 2 * POSTINGS_GAP_MAX; seq <= FIRST + SPAN_MAX;
		seq += POSTINGS_GAP_MAX)
		CHECK(postings_add(&p, seq));
	CHECK(!postings_add(&p, FIRST + SPAN_MAX + 1));
	CHECK_INT(postings_bits(&p).n, POSTINGS_BYTES_MAX);
	CHECK_INT(postings_down(&p, UINT64_MAX), FIRST + SPAN_MAX);
}

TEST(every_row_answers_like_the_list_it_was_made_of)
{
	uint32_t dice = 1;

	for (int round = 0; round < 18; round++) {
		static bool is_in[SPAN_MAX + 2];
		struct postings made;
		struct postings read;
		memset(is_in, 0, sizeof(is_in));
		is_in[0] = true;
		postings_begin(&made, FIRST);
		for (uint32_t at = 0; at <= SPAN_MAX;) {
			dice = dice * 1664525 + 1013904223;
			at += 1 + (dice >> 16) % (1u << round % 9);
			if (at > SPAN_MAX || (dice >> 8) % 64 == 0)
				break;
			CHECK_INT(postings_add(&made, FIRST + at), at <= SPAN_MAX);
			is_in[at] = true;
		}
		CHECK(postings_read(&read, FIRST, postings_bits(&made)));
		uint64_t before = 0;
		for (uint32_t at = 0; at <= SPAN_MAX + 1; at++) {
			before = is_in[at] ? FIRST + at : before;
			if (postings_down(&read, FIRST + at) != before)
				FAIL("round %d: down from %u", round, at);
		}
		uint64_t behind = 0;
		for (uint32_t at = SPAN_MAX + 2; at-- > 0;) {
			behind = is_in[at] ? FIRST + at : behind;
			if (postings_up(&read, FIRST + at) != behind)
				FAIL("round %d: up from %u", round, at);
		}
	}
}

TEST(a_row_that_none_of_ours_can_be_is_refused)
{
	static const char bits[POSTINGS_BYTES_MAX + 1];
	struct postings p;

	CHECK(!postings_read(&p, 0, SPAN_NONE));
	CHECK(!postings_read(&p, INT64_MAX, SPAN_NONE));
	CHECK(!postings_read(&p, 1, span_of(bits, sizeof(bits))));
	CHECK(postings_read(&p, 1, span_of(bits, POSTINGS_BYTES_MAX)));
	CHECK_INT(postings_up(&p, 2), 0);
	CHECK_INT(postings_down(&p, UINT64_MAX), 1);
}

SUITE("index_postings", TEST_ROW(one_record_takes_no_bits),
	TEST_ROW(what_is_too_far_begins_another_row),
	TEST_ROW(every_row_answers_like_the_list_it_was_made_of),
	TEST_ROW(a_row_that_none_of_ours_can_be_is_refused))
