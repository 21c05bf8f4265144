/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Timers of a loop: never early, and never silently not armed. The loop's thread. */
#include <event2/event.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/must.h"

#define TIMER_MAGIC 0x74696d65u
/* libevent measures with the coarse clock, whose grain is one tick: at most this. */
#define TIMER_GRAIN_NS (10 * NS_PER_MS)
/* About 30 years; keeps the sums in range. */
#define TIMER_DELAY_MAX_NS (INT64_C(1000000000) * NS_PER_SEC)

struct loop_timer {
	unsigned magic;
	struct event_base *base;
	struct event *event;
	void (*fn)(void *arg);
	void *arg;
};

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *t;

	(void)fd;
	(void)what;
	OBJ_CAST(t, arg, TIMER_MAGIC);
	t->fn(t->arg);
}

struct loop_timer *
loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct loop_timer *t = mem_zalloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->magic = TIMER_MAGIC;
	t->base = loop_get_event_base(l);
	t->fn = fn;
	t->arg = arg;
	t->event = event_new(t->base, -1, 0, on_timer, t);
	if (t->event == NULL) {
		mem_free(t);
		return NULL;
	}
	return t;
}

void
loop_timer_free(struct loop_timer **t)
{
	if (*t == NULL)
		return;
	OBJ_CHECK(*t, TIMER_MAGIC);
	event_free((*t)->event);
	(*t)->magic = 0;
	mem_free(*t);
	*t = NULL;
}

void
loop_timer_arm(struct loop_timer *t, int64_t delay_ns)
{
	OBJ_CHECK(t, TIMER_MAGIC);
	/* Never early: a deadline has passed when its timer fires. So the delay counts from now
	 * instead of from the beginning of the turn, and one grain comes on top. */
	int64_t wanted = delay_ns < TIMER_DELAY_MAX_NS ? delay_ns : TIMER_DELAY_MAX_NS;
	int64_t delay = wanted > 0 ? wanted + TIMER_GRAIN_NS : 0;
	MUST(event_base_update_cache_time(t->base) == 0);
	int64_t us = delay / 1000;
	struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
	/* A deadline that is silently not armed would leave something unbounded. */
	MUST(event_add(t->event, &tv) == 0);
}

void
loop_timer_disarm(struct loop_timer *t)
{
	OBJ_CHECK(t, TIMER_MAGIC);
	MUST(event_del(t->event) == 0);
}
