/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reload should do, written down a second time and as plainly as possible: queues of
 * messages, and numbers in the place of snapshots. Generation 0 is the one at the start, generation k is what
 * reload k built. Pure.
 */
#ifndef TESTS_FAULT_SWAP_MODEL_H
#define TESTS_FAULT_SWAP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"

#define WORKERS 2
#define RELOADS_MAX 2
#define GENERATIONS (RELOADS_MAX + 1)
#define NONE (-1)

enum record_fate { RECORD_DURABLE = 0, RECORD_LOST, RECORD_REFUSED };

/* What a run consists of; the order is open. */
struct plan {
	int n_reloads;
	int n_requests[WORKERS]; /* one after the other on each worker */
	bool may_stop;
	bool is_first_by_worker; /* reload 1 is answered on worker A, else on the main loop */
	bool is_load_bad[GENERATIONS];
	enum record_fate record[GENERATIONS]; /* of the success */
};

enum message { MSG_ASK, MSG_BUILT, MSG_RECORDED, MSG_REFUSED, MSG_ACK, MSG_SWAP, MSG_ANSWER };

struct item {
	enum message what;
	int k; /* reload */
};

struct queue {
	struct item items[16];
	size_t n;
};

enum step { MAIN, TURN_A, TURN_B, START_A, START_B, END_A, END_B, ASK, POOL, STOP, STEPS };

struct model {
	const struct plan *plan;
	struct queue main;
	struct queue worker[WORKERS];
	int current; /* generation of the main loop */
	int built;   /* not handed on yet */
	int serving[WORKERS];
	int next[WORKERS]; /* on its way */
	int request[WORKERS];
	int n_started[WORKERS];
	int n_asked;
	int running; /* reload; 0: none */
	int waiting; /* reload; 0: none */
	int n_acks;
	bool is_pool_busy;
	bool is_stopped; /* the main loop has ended */
	bool is_closing; /* no further run */
	int n_done[GENERATIONS];
	enum err result[GENERATIONS];
	int in_use[GENERATIONS]; /* generation that the answer to reload k names */
};

static inline void
model_init(struct model *m, const struct plan *plan)
{
	memset(m, 0, sizeof(*m));
	m->plan = plan;
	m->built = NONE;
	for (int w = 0; w < WORKERS; w++) {
		m->next[w] = NONE;
		m->request[w] = NONE;
	}
}

static inline void
model_post(struct queue *q, enum message what, int k)
{
	MUST(q->n < sizeof(q->items) / sizeof(q->items[0]));
	q->items[q->n++] = (struct item){what, k};
}

static inline bool
model_is_by_worker(const struct model *m, int k)
{
	return k == 1 && m->plan->is_first_by_worker;
}

static inline void model_run(struct model *m, int k);

static inline void
model_answer(struct model *m, enum err result)
{
	int k = m->running;

	m->running = 0;
	m->result[k] = result;
	m->in_use[k] = m->current;
	model_post(model_is_by_worker(m, k) ? &m->worker[0] : &m->main, MSG_ANSWER, k);
	if (m->waiting != 0) {
		int next = m->waiting;
		m->waiting = 0;
		model_run(m, next);
	}
}

static inline void
model_run(struct model *m, int k)
{
	m->running = k;
	m->n_acks = 0;
	if (m->is_closing)
		model_answer(m, ERR_STOPPED);
	else
		m->is_pool_busy = true;
}

static inline void
model_refuse(struct model *m, enum err why)
{
	m->built = NONE;
	m->result[m->running] = why;
	model_post(&m->main, MSG_REFUSED, m->running);
}

static inline void
model_on_built(struct model *m, int k)
{
	if (m->plan->is_load_bad[k])
		model_refuse(m, ERR_INVALID);
	else if (m->plan->record[k] == RECORD_REFUSED)
		model_refuse(m, ERR_AUDIT);
	else
		model_post(&m->main, MSG_RECORDED, k);
}

static inline void
model_on_recorded(struct model *m, int k)
{
	if (m->plan->record[k] == RECORD_LOST) {
		model_refuse(m, ERR_AUDIT);
		return;
	}
	m->current = m->built;
	m->built = NONE;
	for (int w = 0; w < WORKERS; w++) {
		m->next[w] = m->current;
		model_post(&m->worker[w], MSG_SWAP, k);
	}
}

static inline void
model_take(struct model *m, int w, struct item i)
{
	switch (i.what) {
	case MSG_ASK:
		if (m->running != 0)
			m->waiting = i.k;
		else
			model_run(m, i.k);
		break;
	case MSG_BUILT:
		model_on_built(m, i.k);
		break;
	case MSG_RECORDED:
		model_on_recorded(m, i.k);
		break;
	case MSG_REFUSED:
		model_answer(m, m->result[i.k]);
		break;
	case MSG_ACK:
		if (++m->n_acks == WORKERS)
			model_answer(m, OK);
		break;
	case MSG_SWAP:
		m->serving[w] = m->next[w];
		m->next[w] = NONE;
		model_post(&m->main, MSG_ACK, i.k);
		break;
	case MSG_ANSWER:
		m->n_done[i.k]++;
		break;
	}
}

/* What is posted while it runs stays for the next turn. */
static inline void
model_turn(struct model *m, struct queue *q, int w)
{
	size_t n = q->n;

	for (size_t i = 0; i < n; i++)
		model_take(m, w, q->items[i]);
	memmove(q->items, q->items + n, (q->n - n) * sizeof(q->items[0]));
	q->n -= n;
}

/* The main loop has stopped and no reload is under way: what is left is the teardown. */
static inline bool
model_is_over(const struct model *m)
{
	return m->is_stopped && m->running == 0;
}

static inline bool
model_can(const struct model *m, enum step s)
{
	int w = s == TURN_B || s == START_B || s == END_B ? 1 : 0;

	switch (s) {
	case MAIN:
		return m->main.n > 0;
	case TURN_A:
	case TURN_B:
		return m->worker[w].n > 0;
	case START_A:
	case START_B:
		return !m->is_stopped && m->request[w] == NONE &&
		       m->n_started[w] < m->plan->n_requests[w];
	case END_A:
	case END_B:
		return m->request[w] != NONE;
	case ASK:
		return !m->is_stopped && m->n_asked < m->plan->n_reloads;
	case POOL:
		return m->is_pool_busy;
	case STOP: /* the drain waits for the requests */
		return m->plan->may_stop && !m->is_stopped && m->request[0] == NONE &&
		       m->request[1] == NONE;
	case STEPS:
		break;
	}
	return false;
}

static inline void
model_step(struct model *m, enum step s)
{
	int w = s == TURN_B || s == START_B || s == END_B ? 1 : 0;

	switch (s) {
	case MAIN:
		m->is_closing = m->is_stopped;
		model_turn(m, &m->main, NONE);
		break;
	case TURN_A:
	case TURN_B:
		model_turn(m, &m->worker[w], w);
		break;
	case START_A:
	case START_B:
		m->request[w] = m->serving[w];
		m->n_started[w]++;
		break;
	case END_A:
	case END_B:
		m->request[w] = NONE;
		break;
	case ASK:
		model_post(&m->main, MSG_ASK, ++m->n_asked);
		break;
	case POOL:
		m->is_pool_busy = false;
		m->built = m->plan->is_load_bad[m->running] ? NONE : m->running;
		model_post(&m->main, MSG_BUILT, m->running);
		break;
	case STOP: /* its last turn */
		m->is_stopped = true;
		model_turn(m, &m->main, NONE);
		break;
	case STEPS:
		break;
	}
}

/* How many hold it. */
static inline size_t
model_count_refs(const struct model *m, int generation)
{
	size_t n = (m->current == generation) + (size_t)(m->built == generation);

	for (int w = 0; w < WORKERS; w++) {
		n += m->serving[w] == generation;
		n += m->next[w] == generation;
		n += m->request[w] == generation;
	}
	return n;
}

#endif
