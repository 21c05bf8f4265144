/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop over libevent. Other threads reach it through one lock-free list and an eventfd
 * that is written only when the list was empty; libevent's own locks stay off. Must never run a
 * message on another thread than the loop's, nor lose one. Everything but loop_post and loop_stop
 * runs on the loop's thread.
 */
#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"

#define LOOP_MAGIC 0x6c6f6f70u

static pthread_once_t callbacks_once = PTHREAD_ONCE_INIT;
static bool is_memory_hooked; /* by a test, before the first loop */

struct signal_watch {
	struct signal_watch *next;
	struct event *event;
	void (*fn)(int signo, void *arg);
	void *arg;
};

struct loop {
	unsigned magic;
	struct event_base *base;
	struct event *wake_event;
	int wake_fd;
	_Atomic(struct loop_msg *) posted; /* newest first */
	atomic_bool is_stopping;
	struct loop_msg *deferred; /* oldest first */
	struct loop_msg **deferred_end;
	struct loop_msg *next_turn; /* newest first */
	struct signal_watch *signals;
	int64_t now_ns; /* of this turn; 0: not asked for yet */
	int64_t *now;   /* &now_ns: what a const loop may still fill in */
};

/* Runs what has been posted up to now, oldest first. True when there was something. */
static bool
run_posted(struct loop *l)
{
	struct loop_msg *newest = atomic_exchange_explicit(&l->posted, NULL, memory_order_acquire);
	struct loop_msg *oldest = NULL;
	bool had_any = newest != NULL;

	while (newest != NULL) {
		struct loop_msg *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (oldest != NULL) {
		/* The message may be freed or posted again by its own run. */
		struct loop_msg *msg = oldest;
		oldest = msg->next;
		msg->run(msg);
	}
	return had_any;
}

/* Runs what was deferred, and what that defers in turn; what is for the next turn is deferred then. True when there was something. */
static bool
run_deferred(struct loop *l)
{
	bool had_any = l->deferred != NULL || l->next_turn != NULL;

	while (l->deferred != NULL) {
		struct loop_msg *msg = l->deferred;
		l->deferred = msg->next;
		if (l->deferred == NULL)
			l->deferred_end = &l->deferred;
		msg->run(msg);
	}
	while (l->next_turn != NULL) {
		struct loop_msg *msg = l->next_turn;
		l->next_turn = msg->next;
		msg->next = l->deferred;
		if (l->deferred == NULL)
			l->deferred_end = &msg->next;
		l->deferred = msg;
	}
	return had_any;
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l;
	uint64_t n_writes;

	(void)what;
	OBJ_CAST(l, arg, LOOP_MAGIC);
	/* Before the list is taken: a message that comes later finds it empty and writes again. */
	ssize_t n = read(fd, &n_writes, sizeof(n_writes));
	MUST(n == (ssize_t)sizeof(n_writes) || errno == EAGAIN || errno == EINTR);
	run_posted(l);
}

static void
wake(struct loop *l)
{
	const uint64_t one = 1;
	ssize_t n;

	do
		n = write(l->wake_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	/* EAGAIN: the counter is at its end, so the loop is about to wake up anyway. */
	MUST(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

/* libevent's own remarks would otherwise go to stderr as they are. */
static void
log_remark(int severity, const char *text)
{
	if (severity == EVENT_LOG_DEBUG)
		log_debug(NULL, "libevent: %s", text);
	else if (severity == EVENT_LOG_MSG)
		log_info(NULL, "libevent: %s", text);
	else if (severity == EVENT_LOG_WARN)
		log_warn(NULL, "libevent: %s", text);
	else
		/* It ends the process behind this; the log might not get there any more. */
		must_failed("libevent", 0, text);
}

/* Without this libevent would call exit. */
static void
die(int status)
{
	must_failed("libevent", status, "it cannot go on");
}

static void
set_callbacks(void)
{
	event_set_log_callback(log_remark);
	event_set_fatal_callback(die);
	/*
	 * Without memory libevent 2.1 loses header lines, accepts connections past the gate and reads null pointers, so it is
	 * never told that there is none.
	 */
	if (!is_memory_hooked)
		event_set_mem_functions(mem_alloc_held, mem_realloc_held, mem_free_held);
}

static struct event_base *
new_base(void)
{
	struct event_config *config = NULL;
	struct event_base *base = NULL;
	int flags = EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST | EVENT_BASE_FLAG_NOLOCK;

	MUST(pthread_once(&callbacks_once, set_callbacks) == 0);
	config = event_config_new();
	if (config == NULL)
		return NULL;
	if (event_config_set_flag(config, flags) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static enum err
set_up(struct loop *l, struct errinfo *ei)
{
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->wake_fd < 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "eventfd");
	l->base = new_base();
	if (l->base == NULL)
		return ERR(ei, ERR_IO, "no event base");
	l->wake_event = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
	if (l->wake_event == NULL || event_add(l->wake_event, NULL) != 0)
		return ERR(ei, ERR_NOMEM, "out of memory");
	return OK;
}

static void
tear_down(struct loop *l)
{
	while (l->signals != NULL) {
		struct signal_watch *next = l->signals->next;
		event_free(l->signals->event);
		mem_free(l->signals);
		l->signals = next;
	}
	if (l->wake_event != NULL)
		event_free(l->wake_event);
	if (l->base != NULL)
		event_base_free(l->base);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	l->magic = 0;
	mem_free(l);
}

enum err
loop_new(struct loop **out, struct errinfo *ei)
{
	*out = NULL;
	struct loop *l = mem_zalloc(1, sizeof(*l));
	if (l == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	l->magic = LOOP_MAGIC;
	l->wake_fd = -1;
	l->deferred_end = &l->deferred;
	l->now = &l->now_ns;
	enum err rc = set_up(l, ei);
	if (rc != OK) {
		tear_down(l);
		return rc;
	}
	*out = l;
	return OK;
}

void
loop_free(struct loop **l)
{
	if (*l == NULL)
		return;
	OBJ_CHECK(*l, LOOP_MAGIC);
	/* What runs here may post and defer more. */
	while (run_posted(*l) || run_deferred(*l))
		continue;
	tear_down(*l);
	*l = NULL;
}

void
loop_turn(struct loop *l, bool wait)
{
	OBJ_CHECK(l, LOOP_MAGIC);
	/* What was deferred between two turns must not wait for an event. */
	bool may_wait = wait && l->deferred == NULL;
	l->now_ns = 0;
	MUST(event_base_loop(l->base, EVLOOP_ONCE | (may_wait ? 0 : EVLOOP_NONBLOCK)) >= 0);
	run_deferred(l);
}

void
loop_run(struct loop *l)
{
	OBJ_CHECK(l, LOOP_MAGIC);
	while (!atomic_exchange_explicit(&l->is_stopping, false, memory_order_acquire))
		loop_turn(l, true);
}

void
loop_stop(struct loop *l)
{
	OBJ_CHECK(l, LOOP_MAGIC);
	atomic_store_explicit(&l->is_stopping, true, memory_order_release);
	wake(l);
}

void
loop_post(struct loop *l, struct loop_msg *msg)
{
	OBJ_CHECK(l, LOOP_MAGIC);
	struct loop_msg *head = atomic_load_explicit(&l->posted, memory_order_relaxed);
	do
		msg->next = head;
	while (!atomic_compare_exchange_weak_explicit(
		&l->posted, &head, msg, memory_order_release, memory_order_relaxed));
	if (head == NULL)
		wake(l);
}

void
loop_defer(struct loop *l, struct loop_msg *msg)
{
	OBJ_CHECK(l, LOOP_MAGIC);
	msg->next = NULL;
	*l->deferred_end = msg;
	l->deferred_end = &msg->next;
}

void
loop_defer_next(struct loop *l, struct loop_msg *msg)
{
	OBJ_CHECK(l, LOOP_MAGIC);
	msg->next = l->next_turn;
	l->next_turn = msg;
}

struct event_base *
loop_get_event_base(struct loop *l)
{
	OBJ_CHECK(l, LOOP_MAGIC);
	return l->base;
}

/* Asked for once in a turn: libevent gives no sign between its wait and the first callback. */
int64_t
loop_now_ns(const struct loop *l)
{
	OBJ_CHECK(l, LOOP_MAGIC);
	if (*l->now == 0)
		*l->now = clock_mono_ns();
	return *l->now;
}

static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
	const struct signal_watch *w = arg;

	(void)what;
	w->fn(signo, w->arg);
}

enum err
loop_on_signal(
	struct loop *l, int signo, void (*fn)(int signo, void *arg), void *arg, struct errinfo *ei)
{
	OBJ_CHECK(l, LOOP_MAGIC);
	struct signal_watch *w = mem_zalloc(1, sizeof(*w));
	if (w == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	w->fn = fn;
	w->arg = arg;
	w->event = event_new(l->base, signo, EV_SIGNAL | EV_PERSIST, on_signal, w);
	if (w->event == NULL || event_add(w->event, NULL) != 0) {
		if (w->event != NULL)
			event_free(w->event);
		mem_free(w);
		return ERR(ei, ERR_IO, "cannot watch signal %d", signo);
	}
	w->next = l->signals;
	l->signals = w;
	return OK;
}

void
loop_hook_memory(void)
{
	is_memory_hooked = true;
	event_set_mem_functions(mem_alloc, mem_realloc, mem_free);
}
