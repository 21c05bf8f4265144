/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See line_turn.h. The lock is held for moments; the turn is a flag behind it, because a reader who does not read holds it for long. */
#include "base/line_turn.h"

#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/must.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t given;
	bool is_taken;
	bool is_torn;
} turn = {.lock = PTHREAD_MUTEX_INITIALIZER, .given = PTHREAD_COND_INITIALIZER};

/* The condition is timed by the wall clock, which may be set: in slices, so that a wrong one does no harm. */
#define SLICE_NS (20 * NS_PER_MS)

static void
wait_slice(void)
{
	int64_t until_ns = clock_wall_ns() + SLICE_NS;
	const struct timespec t = {.tv_sec = (time_t)(until_ns / NS_PER_SEC),
		.tv_nsec = (long)(until_ns % NS_PER_SEC)};

	(void)pthread_cond_timedwait(&turn.given, &turn.lock, &t);
}

bool
line_turn_take(int64_t wait_ns)
{
	int64_t begun_ns = clock_mono_ns();

	pthread_mutex_lock(&turn.lock);
	while (turn.is_taken && clock_mono_ns() - begun_ns < wait_ns)
		wait_slice();
	bool has_turn = !turn.is_taken;
	turn.is_taken = true;
	pthread_mutex_unlock(&turn.lock);
	return has_turn;
}

void
line_turn_give(void)
{
	pthread_mutex_lock(&turn.lock);
	MUST(turn.is_taken);
	turn.is_taken = false;
	pthread_cond_signal(&turn.given);
	pthread_mutex_unlock(&turn.lock);
}

bool
line_turn_is_torn(void)
{
	pthread_mutex_lock(&turn.lock);
	bool is_torn = turn.is_torn;
	pthread_mutex_unlock(&turn.lock);
	return is_torn;
}

void
line_turn_set_torn(bool is_torn)
{
	pthread_mutex_lock(&turn.lock);
	MUST(turn.is_taken);
	turn.is_torn = is_torn;
	pthread_mutex_unlock(&turn.lock);
}
