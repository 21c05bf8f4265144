/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the ledger says of its queue: a slow commit is none, and what a group leaves behind is one. */
#include <sched.h>

#include "base/clock.h"
#include "ledger_fixture.h"

#define GROUP 2

static struct ledger *ledger;
static sem_t go; /* one stands still at a time */

/* Stands still in its group until let_go, as if the disk were slow. */
static enum err
hold_apply(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct job *j = (struct job *)(void *)e;

	sem_post(&j->pending);
	while (sem_wait(&go) != 0)
		;
	return job_apply(tx, e, ei);
}

static void
let_go(void)
{
	sem_post(&go);
}

static void
submit(struct job *j, bool holds)
{
	struct errinfo ei;

	job_init(j, "a");
	if (holds)
		j->e.apply = hold_apply;
	CHECK_INT(ledger_submit(ledger, &j->e, &ei), OK);
}

static void
wait_held(struct job *j)
{
	while (sem_wait(&j->pending) != 0)
		;
}

static void
start(void)
{
	struct ledger_options o = options_in(test_tmpdir());

	sem_init(&go, 0, 0);
	o.group_max = GROUP;
	ledger = start_ledger(&o);
}

static void
end(struct job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		job_wait(&jobs[i]);
		CHECK_INT(jobs[i].e.result, OK);
		job_fini(&jobs[i]);
	}
	ledger_close(&ledger);
	sem_destroy(&go);
}

/* The first is held in its group until all the others have queued for so long. */
static void
queue_behind(struct job *jobs, size_t n)
{
	submit(&jobs[0], true);
	wait_held(&jobs[0]);
	for (size_t i = 1; i < n; i++)
		submit(&jobs[i], i == n - 1);
	int64_t begin = clock_mono_ns();
	while (clock_mono_ns() - begin < 5 * NS_PER_MS)
		sched_yield();
	let_go();
}

TEST(a_slow_commit_is_no_queue)
{
	struct job jobs[1 + GROUP + 1];

	start();
	CHECK_INT(ledger_get_queue_wait(ledger), 0);
	queue_behind(jobs, 1 + GROUP);
	wait_held(&jobs[GROUP]);
	/* It has ended choosing when the next group runs. */
	submit(&jobs[GROUP + 1], true);
	let_go();
	wait_held(&jobs[GROUP + 1]);
	CHECK_INT(ledger_get_queue_wait(ledger), 0);
	let_go();
	end(jobs, ARRAY_LEN(jobs));
}

TEST(a_group_that_leaves_some_tells_how_long_they_wait)
{
	struct job jobs[1 + 2 * GROUP];

	start();
	queue_behind(jobs, ARRAY_LEN(jobs));
	wait_held(&jobs[2 * GROUP]);
	CHECK(ledger_get_queue_wait(ledger) >= 5 * NS_PER_MS);
	let_go();
	end(jobs, ARRAY_LEN(jobs));
}

TEST(it_is_forgotten_when_the_queue_is_empty)
{
	struct job jobs[1 + 2 * GROUP];

	start();
	queue_behind(jobs, ARRAY_LEN(jobs));
	wait_held(&jobs[2 * GROUP]);
	let_go();
	while (ledger_get_queue_wait(ledger) != 0)
		sched_yield();
	end(jobs, ARRAY_LEN(jobs));
}

SUITE("ledger/queue", TEST_ROW(a_slow_commit_is_no_queue),
	TEST_ROW(a_group_that_leaves_some_tells_how_long_they_wait),
	TEST_ROW(it_is_forgotten_when_the_queue_is_empty))
