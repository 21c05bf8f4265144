/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See cond.h. */
#include "base/cond.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/must.h"

void
cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	MUST(pthread_condattr_init(&attr) == 0);
	MUST(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	MUST(pthread_cond_init(c, &attr) == 0);
	pthread_condattr_destroy(&attr);
}

bool
cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, int64_t mono_ns)
{
	int64_t ns = mono_ns > 0 ? mono_ns : 0;
	const struct timespec at = {
		.tv_sec = (time_t)(ns / NS_PER_SEC), .tv_nsec = (long)(ns % NS_PER_SEC)};
	int rc = mono_ns == INT64_MAX ? pthread_cond_wait(c, lock)
				      : pthread_cond_timedwait(c, lock, &at);

	MUST(rc == 0 || rc == ETIMEDOUT);
	return rc == 0;
}
