/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Turns on stdout: one at a time, and none is lost. */
#include "base/line_turn.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "support/test.h"

#define THREADS 4
#define ROUNDS 500

static atomic_int n_inside;

static void *
take_and_give(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (!line_turn_take(INT64_MAX) || atomic_fetch_add(&n_inside, 1) != 0)
			FAIL("two at once");
		atomic_fetch_sub(&n_inside, 1);
		line_turn_give();
	}
	return arg;
}

TEST(one_thread_at_a_time_has_it)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, take_and_give, NULL) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

TEST(who_does_not_get_it_in_time_has_it_not)
{
	CHECK(line_turn_take(0));
	CHECK(!line_turn_take(0));
	CHECK(!line_turn_take(30 * NS_PER_MS));
	line_turn_give();
	CHECK(line_turn_take(0));
	line_turn_give();
}

SUITE("line_turn", TEST_ROW(one_thread_at_a_time_has_it),
	TEST_ROW(who_does_not_get_it_in_time_has_it_not))
