/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * How many decisions of which kind, in all and per second of the last two minutes. Each loop has its own, which only its thread
 * writes, without any locked instruction; readers add them up and may miss what happens meanwhile. Zeroed: none yet.
 */
#ifndef PIPELINE_DECISION_STATS_H
#define PIPELINE_DECISION_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "policy/decision.h"

#define DECISION_SECONDS 120
#define DECISION_SLOTS                                                                             \
	128 /* more than DECISION_SECONDS, so that the slot being emptied is none of them */

struct decision_second {
	_Atomic int64_t second; /* monotonic */
	_Atomic uint32_t n[VERDICT__MAX];
};

struct decision_stats {
	struct decision_second seconds[DECISION_SLOTS];
	_Atomic uint64_t by_reason[REASON__MAX];
	_Atomic uint64_t by_verdict[VERDICT__MAX];
};

/* Own loop's thread. now_ns: monotonic. */
void decision_stats_count(
	struct decision_stats *s, int64_t now_ns, enum verdict verdict, enum reason reason);
/* Any thread: adds what second held to n. */
void decision_stats_add_second(
	const struct decision_stats *s, int64_t second, uint64_t n[VERDICT__MAX]);

#endif
