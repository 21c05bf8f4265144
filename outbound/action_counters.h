/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters that only telemetry has (nomos-http.md 8): nomos.decisions, nomos.approvals, nomos.failures, nomos.retries and
 * nomos.rate_limits, told apart by their labels. Counting takes no lock and no memory. Any thread.
 */
#ifndef OUTBOUND_ACTION_COUNTERS_H
#define OUTBOUND_ACTION_COUNTERS_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/metric_writer.h"

struct redactor;
struct series_table;
struct telemetry_limit;

struct action_counters {
	struct series_table *own;    /* of words of our own, which always have room */
	struct series_table *limits; /* with words of agents, who must not take that room */
};

/* False when memory is out; what was made then is for action_counters_fini, too. */
MUSTCHECK bool action_counters_init(struct action_counters *c);
/* Accepts one that is all zero. */
void action_counters_fini(struct action_counters *c);
/* As telemetry_count_action and telemetry_count_limit. */
void action_counters_add(struct action_counters *c, const char *decision, const char *result);
void action_counters_add_limit(struct action_counters *c, const struct redactor *redactor,
	const struct telemetry_limit *limit);
/* All families that have samples. */
void action_counters_write(struct action_counters *c, struct metric_writer *w);

#endif
