/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's queue under every order of its steps: two submitters, the writer and the close, with
 * the real code and real threads, of which only one at a time is let go on from a fault point. A
 * run is a list of choices; the next run differs in the last one that still has another. An entry
 * that was taken is given back exactly once, in the order in which it was queued; no wake-up is
 * lost; the close always ends.
 */
#include <sched.h>
#include <stdlib.h>

#include "../../unit/audit/ledger_fixture.h"
#include "base/clock.h"
#include "base/fault.h"
#include "ledger_priv.h"

#define STEPS_MAX 64
#define PATIENCE_NS (20 * NS_PER_SEC)

enum actor { SUBMITTER_A, SUBMITTER_B, WRITER, CLOSER, ACTORS };

static _Thread_local enum actor self = WRITER; /* the writer's thread is the ledger's own */
static _Atomic int at_point[ACTORS];           /* 0: not at one; else 1 + moment */
static _Atomic bool may_go[ACTORS];
static _Atomic bool is_done[ACTORS];

struct run {
	struct ledger *l;
	struct job jobs[2][2];
	enum err submitted[2][2];
	size_t n_jobs[2];
	bool is_writer_asleep;
	enum actor last;           /* to go on */
	enum actor waker;          /* who has to wake the writer; ACTORS: nobody */
	size_t choices[STEPS_MAX]; /* which of the actors that could go on */
	size_t n_enabled[STEPS_MAX];
	size_t n_steps;
};

static struct run run;

static void
on_point(enum fault_point at, bool is_after)
{
	if (at != FAULT_AT_LEDGER_SUBMIT && at != FAULT_AT_LEDGER_TURN)
		return;
	atomic_store(&at_point[self], is_after ? 2 : 1);
	while (!atomic_load(&may_go[self]))
		sched_yield();
	/* In this order: once it has gone it is not seen at the point any more, or it would be let go on
	 * a second time. */
	atomic_store(&at_point[self], 0);
	atomic_store(&may_go[self], false);
}

static void *
submit_jobs(void *arg)
{
	struct errinfo ei;

	self = arg == &run.jobs[0] ? SUBMITTER_A : SUBMITTER_B;
	for (size_t i = 0; i < run.n_jobs[self]; i++)
		run.submitted[self][i] = ledger_submit(run.l, &run.jobs[self][i].e, &ei);
	atomic_store(&is_done[self], true);
	return NULL;
}

static void *
close_ledger(void *arg)
{
	(void)arg;
	self = CLOSER;
	while (!atomic_load(&may_go[CLOSER]))
		sched_yield();
	atomic_store(&may_go[CLOSER], false);
	ledger_close(&run.l);
	atomic_store(&is_done[CLOSER], true);
	return NULL;
}

static bool
is_at_rest(enum actor a)
{
	return atomic_load(&at_point[a]) != 0 || atomic_load(&is_done[a]);
}

/* A submitter has taken the writer out of its sleep and has not woken it yet. It is the one that
 * went on last. */
static bool
is_wake_up_due(bool is_idle)
{
	if (!is_idle && run.is_writer_asleep && run.waker == ACTORS)
		run.waker = run.last;
	return !is_idle && run.waker != ACTORS && atomic_load(&at_point[run.waker]) == 2;
}

/* At a point, or asleep with nobody about to wake it. Once the close has begun the ledger is not
 * touched any more. */
static bool
is_writer_at_rest(bool is_closing)
{
	if (atomic_load(&at_point[WRITER]) != 0) {
		run.is_writer_asleep = false;
		run.waker = ACTORS;
		return true;
	}
	if (is_closing)
		return atomic_load(&is_done[CLOSER]);
	MUST(pthread_mutex_lock(&run.l->mutex) == 0);
	bool is_idle = run.l->is_idle;
	MUST(pthread_mutex_unlock(&run.l->mutex) == 0);
	run.is_writer_asleep = is_idle || is_wake_up_due(is_idle);
	return run.is_writer_asleep;
}

static bool
wait_for_rest(bool is_closing)
{
	int64_t until = clock_mono_ns() + PATIENCE_NS;

	while (!is_at_rest(SUBMITTER_A) || !is_at_rest(SUBMITTER_B) ||
		!is_writer_at_rest(is_closing)) {
		if (clock_mono_ns() > until)
			return false;
		sched_yield();
	}
	return true;
}

/* Who could go on; the close comes once all is submitted, as the process does it. */
static size_t
list_enabled(bool is_closing, enum actor out[ACTORS])
{
	size_t n = 0;

	for (enum actor a = SUBMITTER_A; a <= WRITER; a++) {
		if (atomic_load(&at_point[a]) != 0)
			out[n++] = a;
	}
	if (!is_closing && atomic_load(&is_done[SUBMITTER_A]) && atomic_load(&is_done[SUBMITTER_B]))
		out[n++] = CLOSER;
	return n;
}

static void
go_on(enum actor a)
{
	atomic_store(&may_go[a], true);
	while (atomic_load(&may_go[a]))
		sched_yield();
}

/* One run along run.choices; what lies behind them is the first actor each time. */
static bool
follow_choices(void)
{
	enum actor enabled[ACTORS];
	bool is_closing = false;

	run.n_steps = 0;
	for (;;) {
		if (!wait_for_rest(is_closing))
			return false;
		size_t n = list_enabled(is_closing, enabled);
		if (n == 0)
			return atomic_load(&is_done[CLOSER]);
		MUST(run.n_steps < STEPS_MAX);
		run.n_enabled[run.n_steps] = n;
		enum actor a = enabled[run.choices[run.n_steps++]];
		is_closing = is_closing || a == CLOSER;
		run.last = a;
		go_on(a);
	}
}

/* The next list of choices; false when all were tried. */
static bool
next_choices(void)
{
	while (run.n_steps > 0) {
		size_t at = --run.n_steps;
		if (run.choices[at] + 1 < run.n_enabled[at]) {
			run.choices[at]++;
			for (size_t i = at + 1; i < STEPS_MAX; i++)
				run.choices[i] = 0;
			return true;
		}
	}
	return false;
}

static void
check_jobs(size_t n_total)
{
	size_t n_seqs = 0;

	for (size_t a = 0; a < 2; a++) {
		uint64_t before = 0;
		for (size_t i = 0; i < run.n_jobs[a]; i++) {
			struct job *j = &run.jobs[a][i];
			CHECK_INT(run.submitted[a][i], OK);
			CHECK_INT(j->n_done, 1);
			CHECK_INT(j->n_applied, 1);
			CHECK_INT(j->e.result, OK);
			CHECK(j->e.seq > before && j->e.seq <= n_total + 1);
			before = j->e.seq;
			n_seqs++;
			job_fini(j);
		}
	}
	CHECK_INT(n_seqs, n_total);
}

static bool
run_once(size_t n_a, size_t n_b)
{
	struct ledger_options o;
	pthread_t threads[3];

	ledger_options_init(&o);
	o.store = LEDGER_STORE_MEMORY;
	run.n_jobs[0] = n_a;
	run.n_jobs[1] = n_b;
	run.is_writer_asleep = false;
	run.last = ACTORS;
	run.waker = ACTORS;
	for (size_t a = 0; a < ACTORS; a++) {
		atomic_store(&at_point[a], 0);
		atomic_store(&may_go[a], false);
		atomic_store(&is_done[a], false);
	}
	for (size_t i = 0; i < n_a; i++)
		job_init(&run.jobs[0][i], "a");
	for (size_t i = 0; i < n_b; i++)
		job_init(&run.jobs[1][i], "b");
	run.l = start_ledger(&o);
	MUST(run.l != NULL);
	fault_set_hook(on_point);
	MUST(pthread_create(&threads[0], NULL, submit_jobs, &run.jobs[0]) == 0);
	MUST(pthread_create(&threads[1], NULL, submit_jobs, &run.jobs[1]) == 0);
	MUST(pthread_create(&threads[2], NULL, close_ledger, NULL) == 0);
	if (!follow_choices()) {
		return false;
	}
	for (size_t i = 0; i < 3; i++)
		MUST(pthread_join(threads[i], NULL) == 0);
	fault_set_hook(NULL);
	check_jobs(n_a + n_b);
	return true;
}

static void
try_orders(size_t n_a, size_t n_b, size_t n_least)
{
	size_t n = 0;
	bool goes_on = true;

	memset(&run, 0, sizeof(run));
	while (goes_on) {
		if (!run_once(n_a, n_b)) {
			fprintf(stderr, "interleavings: nobody can go on: a wake-up was lost\n");
			exit(1); /* the threads stay where they are */
		}
		n++;
		goes_on = next_choices();
	}
	printf("      %zu orders\n", n);
	CHECK(n >= n_least);
}

TEST(one_submission_each)
{
	try_orders(1, 1, 50);
}

TEST(two_submissions_against_one)
{
	try_orders(2, 1, 1000);
}

SUITE("interleavings", TEST_ROW(one_submission_each), TEST_ROW(two_submissions_against_one))
