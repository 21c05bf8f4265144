/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The loop: posting from many threads, order, end of turn, timers, signals, what is left at the
 * end. */
#include "base/loop.h"

#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "base/mem.h"
#include "support/test.h"

#define N_PRODUCERS 4
#define N_MESSAGES 5000

struct note {
	struct loop_msg msg; /* first */
	int producer;
	int number;
};

static struct loop *l;
static struct note notes[N_PRODUCERS][N_MESSAGES];
static int next_number[N_PRODUCERS];
static int n_run;
static bool is_in_order;
static pthread_t ran_on;

static void
start(void)
{
	struct errinfo ei = {0};

	n_run = 0;
	if (loop_new(&l, &ei) != OK)
		FAIL("%s", ei.msg);
}

static void
run_note(struct loop_msg *msg)
{
	struct note *n = (struct note *)(void *)msg;

	if (n->number != next_number[n->producer])
		is_in_order = false;
	next_number[n->producer]++;
	ran_on = pthread_self();
	n_run++;
	if (n_run == N_PRODUCERS * N_MESSAGES)
		loop_stop(l);
}

static void *
post_notes(void *arg)
{
	struct note *own = arg;

	for (int i = 0; i < N_MESSAGES; i++)
		loop_post(l, &own[i].msg);
	return NULL;
}

TEST(posts_of_four_threads_arrive_once_and_in_order)
{
	pthread_t threads[N_PRODUCERS];

	start();
	is_in_order = true;
	for (int p = 0; p < N_PRODUCERS; p++) {
		next_number[p] = 0;
		for (int i = 0; i < N_MESSAGES; i++)
			notes[p][i] = (struct note){{NULL, run_note}, p, i};
	}
	for (int p = 0; p < N_PRODUCERS; p++)
		CHECK_INT(pthread_create(&threads[p], NULL, post_notes, notes[p]), 0);
	loop_run(l);
	for (int p = 0; p < N_PRODUCERS; p++) {
		CHECK_INT(pthread_join(threads[p], NULL), 0);
		CHECK_INT(next_number[p], N_MESSAGES);
	}
	CHECK_INT(n_run, N_PRODUCERS * N_MESSAGES);
	CHECK(is_in_order);
	CHECK(pthread_equal(ran_on, pthread_self()));
	loop_free(&l);
	CHECK(l == NULL);
}

static char trace[16];
static size_t n_trace;

struct letter {
	struct loop_msg msg; /* first */
	char name;
};

static void
write_letter(struct loop_msg *msg)
{
	trace[n_trace] = ((struct letter *)(void *)msg)->name;
	n_trace++;
}

static struct letter deferred = {{NULL, write_letter}, 'd'};
static struct letter reposted = {{NULL, write_letter}, 'r'};

static void
defer_and_repost(struct loop_msg *msg)
{
	write_letter(msg);
	loop_defer(l, &deferred.msg);
	loop_post(l, &reposted.msg);
}

TEST(deferred_runs_at_the_end_of_the_turn)
{
	struct letter a = {{NULL, defer_and_repost}, 'a'};
	struct letter b = {{NULL, write_letter}, 'b'};

	start();
	n_trace = 0;
	loop_post(l, &a.msg);
	loop_post(l, &b.msg);
	loop_turn(l, true);
	CHECK(span_eq_cstr(span_of(trace, n_trace), "abd"));
	loop_turn(l, true);
	CHECK(span_eq_cstr(span_of(trace, n_trace), "abdr"));
	loop_free(&l);
}

static void
defer_for_both_turns(struct loop_msg *msg)
{
	write_letter(msg);
	loop_defer_next(l, &reposted.msg);
	loop_defer(l, &deferred.msg);
}

TEST(deferred_to_the_next_turn_does_not_wait_for_an_event)
{
	struct letter a = {{NULL, defer_for_both_turns}, 'a'};
	struct letter b = {{NULL, defer_for_both_turns}, 'b'};

	start();
	n_trace = 0;
	loop_post(l, &a.msg);
	loop_turn(l, true);
	CHECK(span_eq_cstr(span_of(trace, n_trace), "ad"));
	loop_turn(l, true);
	CHECK(span_eq_cstr(span_of(trace, n_trace), "adr"));
	/* What is left for it runs in the end, too. */
	loop_post(l, &b.msg);
	loop_turn(l, true);
	loop_free(&l);
	CHECK(span_eq_cstr(span_of(trace, n_trace), "adrbdr"));
}

TEST(turn_without_waiting_comes_back)
{
	struct letter a = {{NULL, write_letter}, 'a'};

	start();
	n_trace = 0;
	loop_turn(l, false);
	CHECK_INT(n_trace, 0);
	/* Deferred outside of a turn: the next turn must not wait for an event first. */
	loop_defer(l, &a.msg);
	loop_turn(l, true);
	CHECK_INT(n_trace, 1);
	loop_free(&l);
}

TEST(free_runs_what_is_left)
{
	long before = mem_live();
	struct letter a = {{NULL, defer_and_repost}, 'a'};

	start();
	n_trace = 0;
	loop_post(l, &a.msg);
	loop_free(&l);
	CHECK_INT(n_trace, 3);
	CHECK_INT(mem_live(), before);
	loop_free(&l);
}

static void *
stop_it(void *arg)
{
	(void)arg;
	loop_stop(l);
	return NULL;
}

TEST(stop_from_another_thread_and_before_run)
{
	pthread_t t;

	start();
	CHECK_INT(pthread_create(&t, NULL, stop_it, NULL), 0);
	loop_run(l);
	CHECK_INT(pthread_join(t, NULL), 0);
	loop_stop(l);
	loop_run(l);
	loop_free(&l);
}

struct shot {
	struct loop_timer *timer;
	int n_fired;
	int n_again;
};

static void
fire(void *arg)
{
	struct shot *s = arg;

	s->n_fired++;
	if (s->n_fired <= s->n_again)
		loop_timer_arm(s->timer, 0);
	else
		loop_stop(l);
}

static void
fire_and_free(void *arg)
{
	struct shot *s = arg;

	s->n_fired++;
	loop_timer_free(&s->timer);
	loop_stop(l);
}

TEST(timer_fires_once_per_arming_and_not_early)
{
	struct shot s = {.n_again = 3};
	struct shot never = {0};

	start();
	s.timer = loop_timer_new(l, fire, &s);
	never.timer = loop_timer_new(l, fire, &never);
	loop_timer_arm(never.timer, INT64_MAX);
	loop_timer_arm(never.timer, 0);
	loop_timer_disarm(never.timer);
	loop_timer_disarm(never.timer);
	int64_t begin = clock_mono_ns();
	loop_timer_arm(s.timer, 20 * NS_PER_MS);
	loop_run(l);
	CHECK_INT(s.n_fired, 4);
	CHECK_INT(never.n_fired, 0);
	CHECK(clock_mono_ns() - begin >= 20 * NS_PER_MS);
	loop_timer_free(&s.timer);
	loop_timer_free(&never.timer);
	CHECK(s.timer == NULL);
	loop_timer_free(&s.timer);
	loop_free(&l);
}

TEST(timer_may_free_itself)
{
	struct shot s = {0};

	start();
	s.timer = loop_timer_new(l, fire_and_free, &s);
	loop_timer_arm(s.timer, -5);
	loop_run(l);
	CHECK_INT(s.n_fired, 1);
	CHECK(s.timer == NULL);
	loop_free(&l);
}

TEST(now_stands_still_within_a_turn)
{
	start();
	clock_fake_set(100, 0);
	CHECK_INT(loop_now_ns(l), 100);
	clock_fake_advance(50);
	CHECK_INT(loop_now_ns(l), 100);
	loop_turn(l, false);
	CHECK_INT(loop_now_ns(l), 150);
	clock_fake_off();
	loop_free(&l);
}

static int n_signals;

static void
on_usr1(int signo, void *arg)
{
	CHECK_INT(signo, SIGUSR1);
	CHECK(arg == &n_signals);
	n_signals++;
	loop_stop(l);
}

TEST(signals_are_events)
{
	start();
	CHECK_INT(loop_on_signal(l, SIGUSR1, on_usr1, &n_signals, NULL), OK);
	n_signals = 0;
	CHECK_INT(raise(SIGUSR1), 0);
	loop_run(l);
	CHECK_INT(raise(SIGUSR1), 0);
	loop_run(l);
	CHECK_INT(n_signals, 2);
	loop_free(&l);
}

SUITE("loop", TEST_ROW(posts_of_four_threads_arrive_once_and_in_order),
	TEST_ROW(deferred_runs_at_the_end_of_the_turn),
	TEST_ROW(deferred_to_the_next_turn_does_not_wait_for_an_event),
	TEST_ROW(turn_without_waiting_comes_back), TEST_ROW(free_runs_what_is_left),
	TEST_ROW(stop_from_another_thread_and_before_run),
	TEST_ROW(timer_fires_once_per_arming_and_not_early), TEST_ROW(timer_may_free_itself),
	TEST_ROW(now_stands_still_within_a_turn), TEST_ROW(signals_are_events))
