/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One libevent loop, owned by one thread. loop_post is the only call that other threads may make;
 * the message is embedded in the caller's object, ownership moves, and the loop is woken only when
 * its queue was empty.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct event_base;
struct loop;
struct loop_timer;

struct loop_msg {
	struct loop_msg *next;             /* the loop's while posted */
	void (*run)(struct loop_msg *msg); /* called once, on the loop's thread */
};

/* ERR_NOMEM, ERR_IO. The calling thread need not be the one that runs it. */
MUSTCHECK enum err loop_new(struct loop **out, struct errinfo *ei);
/* After loop_run has returned; runs what is still posted first. */
void loop_free(struct loop **l);
/* Runs until loop_stop; on the thread that owns the loop from then on. */
void loop_run(struct loop *l);
/* One turn, without waiting when wait is false; for tests. */
void loop_turn(struct loop *l, bool wait);
/* Any thread: makes loop_run return after the current turn. */
void loop_stop(struct loop *l);
/* Any thread. msg->run is called later on the loop's thread; never fails, never blocks on it. */
void loop_post(struct loop *l, struct loop_msg *msg);
/* Own thread: run at the end of this turn (for what callbacks may still refer to). */
void loop_defer(struct loop *l, struct loop_msg *msg);
/* Own thread: run at the end of the next turn, which takes in what is ready and does not wait. */
void loop_defer_next(struct loop *l, struct loop_msg *msg);
/* Own thread: the libevent base, for net/. */
struct event_base *loop_get_event_base(struct loop *l);
/* Own thread: the monotonic time of this turn, taken when it is first asked for. */
int64_t loop_now_ns(const struct loop *l);

/* Timers; own thread only. loop_timer_new may return NULL (memory). Firing once; arm again from
 * the callback. A timer fires never early and some 10 ms late; with a delay of 0 (or less) in
 * the next turn. Memory that runs out while arming aborts. */
MUSTCHECK struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg);
void loop_timer_free(struct loop_timer **t);
void loop_timer_arm(struct loop_timer *t, int64_t delay_ns);
void loop_timer_disarm(struct loop_timer *t);

/* Process signals as loop events; own thread, one loop per process. ERR_IO, ERR_NOMEM. */
MUSTCHECK enum err loop_on_signal(
	struct loop *l, int signo, void (*fn)(int signo, void *arg), void *arg, struct errinfo *ei);

/* Tests: libevent takes its memory from mem.h. Before the first loop of the program. */
void loop_hook_memory(void);

#endif
