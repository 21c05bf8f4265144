/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A thread beside the ledger's writer that works now and then and can be ended at any time. */
#ifndef AUDIT_CHORE_H
#define AUDIT_CHORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct chore {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	bool is_stopping; /* mutex */
	bool is_running;  /* of who starts and stops */
};

/* run begins on a thread of its own with nice 10: it gives way to those who answer requests. ERR_IO.
 * c stays where it is until chore_stop. */
MUSTCHECK enum err chore_start(
	struct chore *c, void *(*run)(void *), void *arg, const char *what, struct errinfo *ei);
/* On the thread: waits for ns nanoseconds. False once it is to end. */
bool chore_pause(struct chore *c, int64_t ns);
bool chore_is_stopping(struct chore *c);
/* Ends pauses and the thread. Accepts one that was never started. */
void chore_stop(struct chore *c);

#endif
