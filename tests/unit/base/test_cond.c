/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Waiting with an end by the monotonic clock. */
#include "base/cond.h"

#include "base/clock.h"
#include "support/test.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t told;
	bool is_told;
} board = {.lock = PTHREAD_MUTEX_INITIALIZER};

TEST(a_time_that_has_come_ends_it)
{
	cond_init(&board.told);
	pthread_mutex_lock(&board.lock);
	CHECK(!cond_wait_until(&board.told, &board.lock, 0));
	CHECK(!cond_wait_until(&board.told, &board.lock, -1));
	int64_t end = clock_mono_ns() + 5 * NS_PER_MS;
	while (cond_wait_until(&board.told, &board.lock, end))
		;
	CHECK(clock_mono_ns() >= end);
	pthread_mutex_unlock(&board.lock);
	pthread_cond_destroy(&board.told);
}

static void *
tell(void *arg)
{
	pthread_mutex_lock(&board.lock);
	board.is_told = true;
	pthread_cond_signal(&board.told);
	pthread_mutex_unlock(&board.lock);
	return arg;
}

/* Of the wall clock both ends are far away: a wait that is timed by it ends at once, or never. */
TEST(another_thread_ends_it)
{
	const int64_t ends[] = {clock_mono_ns() + 60 * NS_PER_SEC, INT64_MAX};
	pthread_t thread;

	cond_init(&board.told);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		bool is_in_time = true;

		board.is_told = false;
		pthread_mutex_lock(&board.lock);
		CHECK(pthread_create(&thread, NULL, tell, NULL) == 0);
		while (!board.is_told && is_in_time)
			is_in_time = cond_wait_until(&board.told, &board.lock, ends[i]);
		CHECK(is_in_time && board.is_told);
		pthread_mutex_unlock(&board.lock);
		pthread_join(thread, NULL);
	}
	pthread_cond_destroy(&board.told);
}

SUITE("cond", TEST_ROW(a_time_that_has_come_ends_it), TEST_ROW(another_thread_ends_it))
