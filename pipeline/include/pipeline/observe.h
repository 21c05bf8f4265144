/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators may know of the running pipeline: decisions, limits, rules and how often they won, what the policy would say.
 * Nothing is changed by it, and nothing here holds up a decision for more than the copying of a few rows. Any thread, unless
 * said otherwise.
 */
#ifndef PIPELINE_OBSERVE_H
#define PIPELINE_OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/span.h"
#include "policy/decision.h"

struct arena;
struct buf;
struct pipeline;
struct snapshot;

#define OBSERVE_SECONDS 120

struct observed_decisions {
	uint64_t by_verdict[VERDICT__MAX]; /* since the process began */
	uint64_t by_reason[REASON__MAX];
	struct {
		int64_t at_wall_s;
		uint64_t n[VERDICT__MAX];
	} seconds[OBSERVE_SECONDS]; /* whole ones, oldest first */
};
void observe_decisions(const struct pipeline *p, struct observed_decisions *out);

struct observed_step {
	const char *name; /* "authenticate"; static */
	struct histogram_view
		times; /* nanoseconds; a step that waits for the ledger or the disk takes until it goes on */
};
#define OBSERVE_STEPS_MAX 16
/* In the order of the steps; returns how many. */
size_t observe_steps(const struct pipeline *p, struct observed_step out[OBSERVE_STEPS_MAX]);

#define OBSERVE_KEY_BYTES_MAX 300
struct observed_bucket {
	char key[OBSERVE_KEY_BYTES_MAX]; /* NUL-terminated; its parts with "|" between them */
	int64_t remaining;
	int64_t capacity;
	int64_t refill_per_minute;
};
/* At most max, the emptiest of a bounded sample first; returns how many. */
size_t observe_buckets(const struct pipeline *p, struct observed_bucket *out, size_t max);

struct observed_breaker {
	char identity[OBSERVE_KEY_BYTES_MAX];
	const char *state; /* "closed", "open", "probing"; static */
	int64_t failures;
	int64_t open_for_ns; /* from now; 0: it is not open */
};
size_t observe_breakers(const struct pipeline *p, struct observed_breaker *out, size_t max);

/* Of this snapshot, since it was loaded. i is a rule's number, below policy_count_rules. */
uint64_t observe_rule_hits(const struct snapshot *s, size_t i);

/*
 * Appends what /explain would answer to an identity that is named in the body itself (decisions 30): for operators, without
 * any effect. ERR_PARSE, ERR_INVALID, ERR_NORMALIZE with the text for the client; ERR_TOO_LARGE for the arena.
 */
MUSTCHECK enum err observe_explain(const struct snapshot *s, struct span body, struct arena *a,
	struct buf *out, struct errinfo *ei);

#endif
