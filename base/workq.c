/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool for work that blocks. Must never run an item's functions with its mutex held, and takes
 * no more items than its bound. Submitting is open to any thread; process runs on a pool thread,
 * done on the item's loop.
 */
#include "base/workq.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "base/mem.h"
#include "base/must.h"

#define WORKQ_MAGIC 0x776f726bu

struct line {
	struct workq_item *oldest; /* linked by msg.next */
	struct workq_item *newest;
};

struct workq {
	unsigned magic;
	size_t max_queued;
	pthread_mutex_t mutex; /* guards all below but the threads */
	pthread_cond_t has_work;
	struct line usual;
	struct line patient; /* of those that give way */
	bool is_patient_turn;
	size_t n_queued;
	size_t n_reserved; /* places for items that come later */
	bool is_stopping;
	size_t n_threads;
	pthread_t threads[];
};

static struct workq_item *
item_of(struct loop_msg *msg)
{
	/* msg is the first member. */
	return (struct workq_item *)(void *)msg;
}

static void
run_done(struct loop_msg *msg)
{
	struct workq_item *item = item_of(msg);

	item->done(item);
}

static void
process(struct workq_item *item)
{
	item->process(item);
	if (item->loop == NULL) {
		item->done(item);
		return;
	}
	item->msg.run = run_done;
	loop_post(item->loop, &item->msg);
}

/* With the mutex held. NULL when the queue is empty. */
static struct workq_item *
take_next(struct workq *q)
{
	bool is_patient = q->usual.oldest == NULL || q->is_patient_turn;
	struct line *line = is_patient && q->patient.oldest != NULL ? &q->patient : &q->usual;
	struct workq_item *item = line->oldest;

	if (item == NULL)
		return NULL;
	q->is_patient_turn = line == &q->usual;
	line->oldest = item->msg.next != NULL ? item_of(item->msg.next) : NULL;
	if (line->oldest == NULL)
		line->newest = NULL;
	q->n_queued--;
	return item;
}

static void *
work(void *arg)
{
	struct workq *q;
	struct workq_item *item;

	OBJ_CAST(q, arg, WORKQ_MAGIC);
	do {
		pthread_mutex_lock(&q->mutex);
		while (q->n_queued == 0 && !q->is_stopping)
			pthread_cond_wait(&q->has_work, &q->mutex);
		item = take_next(q);
		pthread_mutex_unlock(&q->mutex);
		if (item != NULL)
			process(item);
	} while (item != NULL);
	return NULL;
}

/* Signals are the loop's: pool threads start with all of them blocked. */
static bool
start_threads(struct workq *q, size_t n_threads)
{
	sigset_t all;
	sigset_t before;
	int rc = 0;

	sigfillset(&all);
	MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	for (size_t i = 0; i < n_threads && rc == 0; i++) {
		rc = pthread_create(&q->threads[i], NULL, work, q);
		if (rc == 0)
			q->n_threads++;
	}
	MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	return rc == 0;
}

enum err
workq_new(size_t n_threads, size_t max_queued, struct workq **out, struct errinfo *ei)
{
	MUST(n_threads > 0 && n_threads <= 1024 && max_queued > 0);
	*out = NULL;
	struct workq *q = mem_zalloc(1, sizeof(*q) + n_threads * sizeof(q->threads[0]));
	if (q == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	q->magic = WORKQ_MAGIC;
	q->max_queued = max_queued;
	MUST(pthread_mutex_init(&q->mutex, NULL) == 0);
	MUST(pthread_cond_init(&q->has_work, NULL) == 0);
	if (!start_threads(q, n_threads)) {
		workq_free(&q);
		return ERR(ei, ERR_NOMEM, "cannot start %zu threads", n_threads);
	}
	*out = q;
	return OK;
}

void
workq_free(struct workq **q)
{
	struct workq *own = *q;

	if (own == NULL)
		return;
	OBJ_CHECK(own, WORKQ_MAGIC);
	pthread_mutex_lock(&own->mutex);
	own->is_stopping = true;
	pthread_cond_broadcast(&own->has_work);
	pthread_mutex_unlock(&own->mutex);
	for (size_t i = 0; i < own->n_threads; i++)
		MUST(pthread_join(own->threads[i], NULL) == 0);
	pthread_cond_destroy(&own->has_work);
	pthread_mutex_destroy(&own->mutex);
	own->magic = 0;
	mem_free(own);
	*q = NULL;
}

/* With the mutex held. */
static enum err
check_room(const struct workq *q)
{
	if (q->is_stopping)
		return ERR_STOPPED;
	return q->n_queued + q->n_reserved >= q->max_queued ? ERR_OVERLOAD : OK;
}

/* With the mutex held. */
static void
put_newest(struct workq *q, struct workq_item *item)
{
	struct line *line = item->gives_way ? &q->patient : &q->usual;

	item->msg.next = NULL;
	if (line->newest != NULL)
		line->newest->msg.next = &item->msg;
	else
		line->oldest = item;
	line->newest = item;
	q->n_queued++;
	pthread_cond_signal(&q->has_work);
}

enum err
workq_submit(struct workq *q, struct workq_item *item)
{
	OBJ_CHECK(q, WORKQ_MAGIC);
	MUST(item->process != NULL && item->done != NULL);
	pthread_mutex_lock(&q->mutex);
	enum err rc = check_room(q);
	if (rc == OK)
		put_newest(q, item);
	pthread_mutex_unlock(&q->mutex);
	return rc;
}

enum err
workq_reserve(struct workq *q)
{
	OBJ_CHECK(q, WORKQ_MAGIC);
	pthread_mutex_lock(&q->mutex);
	enum err rc = check_room(q);
	if (rc == OK && q->n_reserved >= (q->max_queued + 1) / 2)
		rc = ERR_OVERLOAD;
	if (rc == OK)
		q->n_reserved++;
	pthread_mutex_unlock(&q->mutex);
	return rc;
}

void
workq_submit_reserved(struct workq *q, struct workq_item *item)
{
	OBJ_CHECK(q, WORKQ_MAGIC);
	MUST(item->process != NULL && item->done != NULL);
	pthread_mutex_lock(&q->mutex);
	MUST(q->n_reserved > 0 && !q->is_stopping);
	q->n_reserved--;
	put_newest(q, item);
	pthread_mutex_unlock(&q->mutex);
}

void
workq_release(struct workq *q)
{
	OBJ_CHECK(q, WORKQ_MAGIC);
	pthread_mutex_lock(&q->mutex);
	MUST(q->n_reserved > 0);
	q->n_reserved--;
	pthread_mutex_unlock(&q->mutex);
}

size_t
workq_depth(struct workq *q)
{
	OBJ_CHECK(q, WORKQ_MAGIC);
	pthread_mutex_lock(&q->mutex);
	size_t n = q->n_queued;
	pthread_mutex_unlock(&q->mutex);
	return n;
}
