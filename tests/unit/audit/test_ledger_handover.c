/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Entries on their way into the queue and back: what is refused, the end of a loop's turn, the loop that done runs on,
 * what is queued when the ledger closes. */
#include "base/loop.h"
#include "ledger_file.h"
#include "ledger_fixture.h"

#define MANY 500

TEST(nothing_is_taken_before_start_or_after_close)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = open_ledger(&o);
	struct job j;
	struct errinfo ei;
	char why[64];

	job_init(&j, "a");
	CHECK_INT(ledger_submit(l, &j.e, &ei), ERR_STOPPED);
	CHECK(!ledger_is_ready(l, why, sizeof(why)));
	CHECK_STR(why, "the ledger is closed");
	job_fini(&j);
	ledger_close(&l);
}

TEST(what_is_queued_at_close_is_written)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	static struct job jobs[MANY];
	struct errinfo ei;

	for (size_t i = 0; i < MANY; i++) {
		job_init(&jobs[i], "a");
		CHECK_INT(ledger_submit(l, &jobs[i].e, &ei), OK);
	}
	ledger_close(&l);
	for (size_t i = 0; i < MANY; i++) {
		CHECK_INT(jobs[i].n_done, 1);
		CHECK_INT(jobs[i].e.result, OK);
		job_fini(&jobs[i]);
	}
	CHECK_INT(dump_file(o.path).n, MANY + 2);
}

static enum err
block_apply(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct job *j = (struct job *)(void *)e;

	sem_post(&j->pending);
	while (sem_wait(&j->done) != 0)
		;
	return job_apply(tx, e, ei);
}

/* A ledger with room for two, whose writer stands still in the first entry until its done is posted. */
static struct ledger *
start_blocked(struct job *first)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct errinfo ei;

	o.queue_max = 2;
	struct ledger *l = start_ledger(&o);
	job_init(first, "a");
	first->e.apply = block_apply;
	CHECK_INT(ledger_submit(l, &first->e, &ei), OK);
	while (sem_wait(&first->pending) != 0)
		;
	return l;
}

TEST(a_full_queue_refuses)
{
	struct job first;
	struct job jobs[4];
	struct errinfo ei;

	struct ledger *l = start_blocked(&first);
	for (size_t i = 0; i < 4; i++)
		job_init(&jobs[i], "b");
	CHECK_INT(ledger_submit(l, &jobs[0].e, &ei), OK);
	CHECK_INT(ledger_submit(l, &jobs[1].e, &ei), OK);
	CHECK_INT(ledger_submit(l, &jobs[2].e, &ei), ERR_OVERLOAD);
	jobs[3].e.must_write = true; /* an effect has already happened */
	CHECK_INT(ledger_submit(l, &jobs[3].e, &ei), OK);
	sem_post(&first.done);
	ledger_close(&l);
	CHECK_INT(first.e.result, OK);
	CHECK_INT(jobs[0].e.result, OK);
	CHECK_INT(jobs[1].e.result, OK);
	CHECK_INT(jobs[3].e.result, OK);
	CHECK_INT(jobs[2].n_done, 0);
	for (size_t i = 0; i < 4; i++)
		job_fini(&jobs[i]);
	job_fini(&first);
}

struct loop_job {
	struct job job;
	struct loop *loop;
	int *n_left;
};

static void
loop_done(struct ledger_entry *e)
{
	struct loop_job *j = (struct loop_job *)(void *)e;

	atomic_fetch_add(&j->job.n_done, 1);
	if (--*j->n_left == 0)
		loop_stop(j->loop);
}

TEST(done_runs_on_the_loop_that_was_named)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	static struct loop_job jobs[100];
	struct loop *loop = NULL;
	struct errinfo ei;
	int n_left = 100;

	CHECK_INT(loop_new(&loop, &ei), OK);
	for (size_t i = 0; i < 100; i++) {
		job_init(&jobs[i].job, "a");
		jobs[i].loop = loop;
		jobs[i].n_left = &n_left;
		jobs[i].job.e.loop = loop;
		jobs[i].job.e.done = loop_done;
		CHECK_INT(ledger_submit(l, &jobs[i].job.e, &ei), OK);
	}
	loop_run(loop);
	CHECK_INT(n_left, 0);
	ledger_close(&l);
	for (size_t i = 0; i < 100; i++) {
		CHECK_INT(jobs[i].job.n_done, 1);
		job_fini(&jobs[i].job);
	}
	loop_free(&loop);
}

/* What a loop's turn puts in an outbox. */
struct turn {
	struct ledger_outbox outbox;
	struct loop *loop;
	struct loop_job jobs[LEDGER_OUTBOX_MAX + 5];
	int n_left;
};

static void
turn_init(struct turn *t, struct ledger *l)
{
	struct errinfo ei;

	*t = (struct turn){.n_left = ARRAY_LEN(t->jobs)};
	CHECK_INT(loop_new(&t->loop, &ei), OK);
	ledger_outbox_init(&t->outbox, l, t->loop);
	for (size_t i = 0; i < ARRAY_LEN(t->jobs); i++) {
		job_init(&t->jobs[i].job, "a");
		t->jobs[i].loop = t->loop;
		t->jobs[i].n_left = &t->n_left;
		t->jobs[i].job.e.loop = t->loop;
		t->jobs[i].job.e.done = loop_done;
	}
}

static void
turn_put_all(struct turn *t)
{
	for (size_t i = 0; i < ARRAY_LEN(t->jobs); i++)
		ledger_outbox_put(&t->outbox, &t->jobs[i].job.e);
}

static void
turn_fini(struct turn *t)
{
	for (size_t i = 0; i < ARRAY_LEN(t->jobs); i++)
		job_fini(&t->jobs[i].job);
	loop_free(&t->loop);
}

TEST(a_turn_is_handed_over_at_its_end_in_order)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	struct turn t;

	turn_init(&t, l);
	turn_put_all(&t);
	CHECK_INT(t.jobs[LEDGER_OUTBOX_MAX].job.n_applied, 0); /* not before the turn ends */
	loop_run(t.loop);
	CHECK_INT(t.n_left, 0);
	for (size_t i = 0; i < ARRAY_LEN(t.jobs); i++) {
		CHECK_INT(t.jobs[i].job.e.result, OK);
		CHECK_INT(t.jobs[i].job.e.seq, i + 2);
		CHECK_INT(t.jobs[i].job.n_done, 1);
	}
	/* The outbox serves the next turn. */
	t.n_left = 1;
	ledger_outbox_put(&t.outbox, &t.jobs[0].job.e);
	loop_run(t.loop);
	CHECK_INT(t.jobs[0].job.e.seq, ARRAY_LEN(t.jobs) + 2);
	ledger_close(&l);
	turn_fini(&t);
}

TEST(a_turn_that_the_queue_has_no_room_for_is_refused_in_part)
{
	struct job first;
	struct turn t;

	struct ledger *l = start_blocked(&first);
	turn_init(&t, l);
	t.jobs[3].job.e.must_write = true; /* an effect has already happened */
	turn_put_all(&t);
	loop_turn(t.loop, false);
	/* Refused: at the end of the turn, and done is called once. */
	for (size_t i = 2; i < ARRAY_LEN(t.jobs); i++) {
		CHECK_INT(t.jobs[i].job.n_done, i == 3 ? 0 : 1);
		CHECK(i == 3 || t.jobs[i].job.e.result == ERR_OVERLOAD);
		CHECK(i == 3 || t.jobs[i].job.e.ei.msg[0] != '\0');
	}
	CHECK_INT(t.n_left, 3);
	sem_post(&first.done);
	loop_run(t.loop);
	CHECK_INT(t.jobs[0].job.e.seq, 3);
	CHECK_INT(t.jobs[1].job.e.seq, 4);
	CHECK_INT(t.jobs[3].job.e.seq, 5);
	for (size_t i = 0; i < ARRAY_LEN(t.jobs); i++)
		CHECK_INT(t.jobs[i].job.n_done, 1);
	ledger_close(&l);
	turn_fini(&t);
	job_fini(&first);
}

TEST(a_turn_that_ends_while_the_ledger_is_closed_is_refused)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = open_ledger(&o);
	struct turn t;

	turn_init(&t, l);
	turn_put_all(&t);
	loop_turn(t.loop, false);
	CHECK_INT(t.n_left, 0);
	for (size_t i = 0; i < ARRAY_LEN(t.jobs); i++) {
		CHECK_INT(t.jobs[i].job.e.result, ERR_STOPPED);
		CHECK_INT(t.jobs[i].job.n_applied, 0);
	}
	ledger_close(&l);
	turn_fini(&t);
}

SUITE("ledger/handover", TEST_ROW(nothing_is_taken_before_start_or_after_close),
	TEST_ROW(what_is_queued_at_close_is_written), TEST_ROW(a_full_queue_refuses),
	TEST_ROW(done_runs_on_the_loop_that_was_named),
	TEST_ROW(a_turn_is_handed_over_at_its_end_in_order),
	TEST_ROW(a_turn_that_the_queue_has_no_room_for_is_refused_in_part),
	TEST_ROW(a_turn_that_ends_while_the_ledger_is_closed_is_refused))
