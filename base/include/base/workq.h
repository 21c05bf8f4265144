/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded pool of threads for work that blocks: files, DNS. Take, process, return: `process` runs
 * on a pool thread without any lock of ours and cannot fail (failure is a field of the item);
 * `done` then runs on the loop that was named. Any thread may submit.
 */
#ifndef BASE_WORKQ_H
#define BASE_WORKQ_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/loop.h"

struct workq;

struct workq_item {
	struct loop_msg msg; /* first: the completion that is posted; the queue's link until then */
	struct loop *loop;   /* where done runs; NULL: done runs on the pool thread */
	void (*process)(struct workq_item *item);
	void (*done)(struct workq_item *item);
	bool gives_way; /* while others wait too, they have every second turn */
};

/* n_threads threads (1 to 1,024), at most max_queued items waiting (not 0). ERR_NOMEM. */
MUSTCHECK enum err workq_new(
	size_t n_threads, size_t max_queued, struct workq **out, struct errinfo *ei);
/* Waits for what is queued and running; completions are posted to their loops, which must still
 * be there. */
void workq_free(struct workq **q);
/* ERR_OVERLOAD when the queue is full, ERR_STOPPED once workq_free has begun; the item stays the
 * caller's then. process and done must be set. */
MUSTCHECK enum err workq_submit(struct workq *q, struct workq_item *item);
/* A place for one item, so that submitting it later cannot be refused. At most half of the places are given so, since not all are
 * used. ERR_OVERLOAD, ERR_STOPPED. Each place is used by workq_submit_reserved or given back by workq_release. */
MUSTCHECK enum err workq_reserve(struct workq *q);
void workq_submit_reserved(struct workq *q, struct workq_item *item);
void workq_release(struct workq *q);
size_t workq_depth(struct workq *q);

#endif
