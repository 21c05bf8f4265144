/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The pool: bound, completions on the right thread, nothing lost at the end. */
#include "base/workq.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "support/test.h"

struct job {
	struct workq_item item;
	pthread_t worked_on;
	pthread_t done_on;
	int n_processed;
	int n_done;
	sem_t *may_end; /* NULL: at once */
};

static atomic_int n_all_done;

static void
process_job(struct workq_item *item)
{
	struct job *j = (struct job *)(void *)item;

	if (j->may_end != NULL)
		CHECK_INT(sem_wait(j->may_end), 0);
	j->worked_on = pthread_self();
	j->n_processed++;
}

static void
finish_job(struct workq_item *item)
{
	struct job *j = (struct job *)(void *)item;

	j->done_on = pthread_self();
	j->n_done++;
	atomic_fetch_add(&n_all_done, 1);
}

static void
init_job(struct job *j, struct loop *l, sem_t *may_end)
{
	*j = (struct job){.item = {.loop = l, .process = process_job, .done = finish_job},
		.may_end = may_end};
}

TEST(done_runs_on_the_loop_that_was_named)
{
	enum { N = 300 };
	static struct job jobs[N];
	struct loop *l;
	struct workq *q;

	atomic_store(&n_all_done, 0);
	CHECK_INT(loop_new(&l, NULL), OK);
	CHECK_INT(workq_new(3, N, &q, NULL), OK);
	for (int i = 0; i < N; i++) {
		init_job(&jobs[i], l, NULL);
		CHECK_INT(workq_submit(q, &jobs[i].item), OK);
	}
	while (atomic_load(&n_all_done) < N)
		loop_turn(l, true);
	for (int i = 0; i < N; i++) {
		CHECK_INT(jobs[i].n_processed, 1);
		CHECK_INT(jobs[i].n_done, 1);
		CHECK(pthread_equal(jobs[i].done_on, pthread_self()));
		CHECK(!pthread_equal(jobs[i].worked_on, pthread_self()));
	}
	CHECK_INT(workq_depth(q), 0);
	workq_free(&q);
	CHECK(q == NULL);
	loop_free(&l);
}

TEST(full_queue_refuses)
{
	struct job jobs[4];
	struct workq *q;
	sem_t may_end;

	CHECK_INT(sem_init(&may_end, 0, 0), 0);
	CHECK_INT(workq_new(1, 2, &q, NULL), OK);
	for (int i = 0; i < 4; i++)
		init_job(&jobs[i], NULL, &may_end);
	/* The first may still be queued or already in work; the bound is met at the fourth in
	 * any case. */
	int n_taken = 0;
	for (int i = 0; i < 4; i++)
		n_taken += workq_submit(q, &jobs[i].item) == OK ? 1 : 0;
	CHECK(n_taken == 2 || n_taken == 3);
	CHECK_INT(workq_submit(q, &jobs[3].item), ERR_OVERLOAD);
	CHECK(workq_depth(q) <= 2);
	for (int i = 0; i < 4; i++)
		CHECK_INT(sem_post(&may_end), 0);
	workq_free(&q);
	int n_processed = 0;
	for (int i = 0; i < 4; i++)
		n_processed += jobs[i].n_processed;
	CHECK_INT(n_processed, n_taken);
	sem_destroy(&may_end);
}

/* A place that was had before cannot be taken away by what comes in between. */
TEST(a_reserved_place_is_kept)
{
	struct job jobs[3];
	struct workq *q;
	sem_t may_end;

	CHECK_INT(sem_init(&may_end, 0, 0), 0);
	CHECK_INT(workq_new(1, 1, &q, NULL), OK);
	for (int i = 0; i < 3; i++)
		init_job(&jobs[i], NULL, &may_end);
	CHECK_INT(workq_reserve(q), OK);
	CHECK_INT(workq_reserve(q), ERR_OVERLOAD);
	CHECK_INT(workq_submit(q, &jobs[0].item), ERR_OVERLOAD);
	workq_release(q);
	CHECK_INT(workq_reserve(q), OK);
	workq_submit_reserved(q, &jobs[0].item);
	for (int i = 0; i < 2; i++)
		CHECK_INT(sem_post(&may_end), 0);
	while (workq_submit(q, &jobs[1].item) != OK)
		CHECK_INT(sched_yield(), 0);
	workq_free(&q);
	CHECK_INT(jobs[0].n_processed, 1);
	CHECK_INT(jobs[1].n_processed, 1);
	sem_destroy(&may_end);
}

/* Whoever reserves may never use it: the others go on. */
TEST(reserved_places_are_half_at_most)
{
	struct job jobs[3];
	struct workq *q;
	sem_t may_end;

	CHECK_INT(sem_init(&may_end, 0, 0), 0);
	CHECK_INT(workq_new(1, 4, &q, NULL), OK);
	CHECK_INT(workq_reserve(q), OK);
	CHECK_INT(workq_reserve(q), OK);
	CHECK_INT(workq_reserve(q), ERR_OVERLOAD);
	for (int i = 0; i < 2; i++) {
		init_job(&jobs[i], NULL, &may_end);
		CHECK_INT(workq_submit(q, &jobs[i].item), OK);
	}
	for (int i = 0; i < 2; i++) {
		workq_release(q);
		CHECK_INT(sem_post(&may_end), 0);
	}
	workq_free(&q);
	sem_destroy(&may_end);
}

static void *order[8];
static int n_order;

static void
note_order(struct workq_item *item)
{
	order[n_order++] = item;
}

static void
ignore(struct workq_item *item)
{
	(void)item;
}

/* However many of them wait, they take every second turn from the others, and have it. */
TEST(some_give_way)
{
	struct workq_item patient[4];
	struct workq_item usual[3];
	struct job first;
	struct workq *q;
	sem_t may_end;

	n_order = 0;
	CHECK_INT(sem_init(&may_end, 0, 0), 0);
	CHECK_INT(workq_new(1, 16, &q, NULL), OK);
	init_job(&first, NULL, &may_end);
	CHECK_INT(workq_submit(q, &first.item), OK);
	while (workq_depth(q) > 0)
		CHECK_INT(sched_yield(), 0);
	for (size_t i = 0; i < ARRAY_LEN(patient); i++) {
		patient[i] = (struct workq_item){
			.process = note_order, .done = ignore, .gives_way = true};
		CHECK_INT(workq_submit(q, &patient[i]), OK);
	}
	for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
		usual[i] = (struct workq_item){.process = note_order, .done = ignore};
		CHECK_INT(workq_submit(q, &usual[i]), OK);
	}
	CHECK_INT(sem_post(&may_end), 0);
	workq_free(&q);
	void *const want[] = {&patient[0], &usual[0], &patient[1], &usual[1], &patient[2],
		&usual[2], &patient[3]};
	CHECK_INT(n_order, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		CHECK(order[i] == want[i]);
	sem_destroy(&may_end);
}

TEST(free_waits_for_everything)
{
	enum { N = 200 };
	static struct job jobs[N];
	struct workq *q;

	atomic_store(&n_all_done, 0);
	CHECK_INT(workq_new(2, N, &q, NULL), OK);
	for (int i = 0; i < N; i++) {
		init_job(&jobs[i], NULL, NULL);
		CHECK_INT(workq_submit(q, &jobs[i].item), OK);
	}
	workq_free(&q);
	CHECK_INT(atomic_load(&n_all_done), N);
	workq_free(&q);
}

TEST(completions_after_free_reach_the_loop)
{
	struct job j;
	struct loop *l;
	struct workq *q;

	CHECK_INT(loop_new(&l, NULL), OK);
	CHECK_INT(workq_new(1, 1, &q, NULL), OK);
	init_job(&j, l, NULL);
	CHECK_INT(workq_submit(q, &j.item), OK);
	workq_free(&q);
	CHECK_INT(j.n_processed, 1);
	CHECK_INT(j.n_done, 0);
	loop_free(&l);
	CHECK_INT(j.n_done, 1);
}

SUITE("workq", TEST_ROW(done_runs_on_the_loop_that_was_named), TEST_ROW(full_queue_refuses),
	TEST_ROW(a_reserved_place_is_kept), TEST_ROW(reserved_places_are_half_at_most),
	TEST_ROW(some_give_way), TEST_ROW(free_waits_for_everything),
	TEST_ROW(completions_after_free_reach_the_loop))
