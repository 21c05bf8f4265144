/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A condition that is timed by the monotonic clock (clock.h), so that setting the time neither ends a wait nor makes it longer. Any thread. */
#ifndef BASE_COND_H
#define BASE_COND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

void cond_init(pthread_cond_t *c);
/*
 * With the lock held, which is given away meanwhile. False when mono_ns has come (INT64_MAX: it never does); true otherwise, which may be for nothing: the
 * caller looks again at what it waits for.
 */
bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, int64_t mono_ns);

#endif
