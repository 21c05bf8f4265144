/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Action ids that come again: for the same action, for another one, later, after what was not recorded, in a full table. */
#include "action_ids.h"

#include <stdio.h>

#include "support/test.h"

#define A SPAN_LIT("aaaaaaaaaaaaaaaaaaaaaaaa")
#define B SPAN_LIT("bbbbbbbbbbbbbbbbbbbbbbbb")

TEST(an_id_belongs_to_one_action_for_a_time)
{
	struct action_ids *t = action_ids_new(100);
	struct action_id_key key = action_id_key(SPAN_LIT("alice\0bot\0dev"), SPAN_LIT("a1"));
	struct action_id_key others = action_id_key(SPAN_LIT("alice\0bot2\0dev"), SPAN_LIT("a1"));

	CHECK(!action_ids_is_reused(t, &key, A, 0));
	(void)action_ids_put(t, &key, A, 1000);
	CHECK(!action_ids_is_reused(t, &key, A, 0));
	CHECK(action_ids_is_reused(t, &key, B, 0));
	CHECK(action_ids_is_reused(t, &key, B, 1000));
	CHECK(!action_ids_is_reused(t, &key, B, 1001));
	CHECK(!action_ids_is_reused(t, &others, B, 0));
	/* An older use, as a start reads it, does not replace a newer one. */
	(void)action_ids_put(t, &key, B, 500);
	CHECK(action_ids_is_reused(t, &key, B, 0));
	(void)action_ids_put(t, &key, B, 2000);
	CHECK(action_ids_is_reused(t, &key, A, 0));
	action_ids_free(&t);
}

TEST(what_was_not_recorded_is_taken_back)
{
	struct action_ids *t = action_ids_new(8);
	struct action_id_key key = action_id_key(SPAN_LIT("alice"), SPAN_LIT("a1"));
	struct action_id_mark mark = action_ids_put(t, &key, A, 1000);

	action_ids_take_back(&mark);
	CHECK(!action_ids_is_reused(t, &key, B, 0));
	struct action_id_mark next = action_ids_put(t, &key, B, 2000);
	CHECK(next.use != NULL);
	/* The place is another one's now. */
	action_ids_take_back(&mark);
	CHECK(action_ids_is_reused(t, &key, A, 0));
	/* A retry has put nothing of its own. */
	mark = action_ids_put(t, &key, B, 3000);
	action_ids_take_back(&mark);
	CHECK(action_ids_is_reused(t, &key, A, 0));
	action_ids_free(&t);
}

TEST(the_table_is_bounded_and_the_oldest_go)
{
	struct action_ids *t = action_ids_new(64);
	char id[16];
	int n_known = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "a%d", i);
		struct action_id_key key = action_id_key(SPAN_LIT("alice"), span_cstr(id));
		(void)action_ids_put(t, &key, A, 1000 + i);
		CHECK(action_ids_is_reused(t, &key, B, 0));
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "a%d", i);
		struct action_id_key key = action_id_key(SPAN_LIT("alice"), span_cstr(id));
		n_known += action_ids_is_reused(t, &key, B, 0);
	}
	CHECK_INT(n_known, 64);
	action_ids_free(&t);
}

TEST(no_table_knows_nothing)
{
	struct action_ids *t = action_ids_new(0);
	struct action_id_key key = action_id_key(SPAN_LIT("alice"), SPAN_LIT("a1"));
	struct action_id_mark mark = action_ids_put(t, &key, A, 1);

	CHECK(t == NULL && mark.use == NULL);
	CHECK(!action_ids_is_reused(t, &key, B, 0));
	action_ids_take_back(&mark);
	action_ids_free(&t);
}

SUITE("action_ids", TEST_ROW(an_id_belongs_to_one_action_for_a_time),
	TEST_ROW(what_was_not_recorded_is_taken_back),
	TEST_ROW(the_table_is_bounded_and_the_oldest_go), TEST_ROW(no_table_knows_nothing))
