/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission under load, by how long requests wait (design.md rule 8). A worker measures how long a whole request
 * waits for its turn, and asks the ledger how long an entry waited for its group. A queue that empties now
 * and then is none, however slow the disk: only when even the shortest wait of half a second was over the limit are
 * requests turned away, until the queue has gone: those that have waited for a fifth of it, and behind which more wait
 * than are served in that time.
 * A flow that has few waiting is not turned away for one that has many. One object for each loop; its own thread only.
 */
#ifndef PIPELINE_ADMISSION_H
#define PIPELINE_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Zeroed: admits everything until it has measured. */
struct admission {
	int64_t turn_ns;       /* begin of the last turn seen */
	int64_t spell_ns;      /* begin of the spell of turns that is being measured */
	int64_t spell_wait_ns; /* the longest wait seen in it */
	int64_t begin_ns;      /* of the interval; 0: none has begun */
	int64_t least_ns;      /* the least of its spells' longest waits */
	uint32_t n_spells;     /* in it */
	uint32_t n_let_in;     /* in it */
	uint32_t kept;         /* so many may wait while a queue stands */
	bool is_congested;     /* the interval before showed a standing queue */
};

/* What one request waited for. Times are monotonic. */
struct admission_wait {
	int64_t since_ns; /* when it was whole, or what it will wait behind was */
	int64_t turn_ns;  /* when the turn of the loop began */
	int64_t now_ns;
	int64_t ledger_ns; /* ledger_get_queue_wait */
	size_t n_behind;   /* wait behind it in its flow */
	size_t n_flows;    /* have some that wait */
};

/*
 * One request came up for work. limit_ns: what may be waited for long, 0: no limit. False: turn it away with 503 and
 * Retry-After.
 */
MUSTCHECK bool admission_take(
	struct admission *a, int64_t limit_ns, const struct admission_wait *wait);

#endif
