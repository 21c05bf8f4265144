/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission under load, by how long requests wait (design.md rule 8). A worker measures how long the turns of its
 * loop make a request wait, and asks the ledger how long an entry waited for its group. A queue that empties now
 * and then is none, however slow the disk: only when even the shortest wait of half a second was over the limit are
 * requests turned away, those that have waited for a fifth of it, until the queue has gone. One object for each loop; its
 * own thread only.
 */
#ifndef PIPELINE_ADMISSION_H
#define PIPELINE_ADMISSION_H

#include <stdbool.h>
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
	bool is_congested;     /* the interval before showed a standing queue */
};

/*
 * One request came up for work. limit_ns: what may be waited for long, 0: no limit; turn_ns: when the turn of the loop
 * began; now_ns: monotonic; ledger_wait_ns: ledger_get_queue_wait. False: turn it away with 503 and Retry-After.
 */
MUSTCHECK bool admission_take(struct admission *a, int64_t limit_ns, int64_t turn_ns,
	int64_t now_ns, int64_t ledger_wait_ns);

#endif
