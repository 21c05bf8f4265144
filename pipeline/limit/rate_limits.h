/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of `rate_limits` (nomos-http.md 4.6), compiled with a snapshot, and the one bucket per identity of
 * gateway.rate_limit_per_minute. The buckets themselves live in tables that no reload replaces; a rule that stays the same
 * keeps its buckets. Any thread.
 */
#ifndef PIPELINE_RATE_LIMITS_H
#define PIPELINE_RATE_LIMITS_H

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "pipeline/options.h"
#include "policy/action.h"

struct arena;
struct bucket_table;
struct rate_limits;

/* Why an action was refused, for the record. Spans live in the rules and the request's arena. */
struct rate_refusal {
	struct span rule_id;
	const char *scope; /* "principal_action", "principal_resource", "global_tool" */
	struct span bucket_key;
	int64_t remaining_tokens;
	int64_t refill_per_minute;
};

/* Copies into the arena. NULL in *out when no rule is on. ERR_INVALID names the rule; ERR_NOMEM. */
MUSTCHECK enum err rate_limits_new(const struct rate_limits_section *options, struct arena *a,
	const struct rate_limits **out, struct errinfo *ei);
/*
 * Takes a token for the normalised action from every bucket whose rule matches, or none. rules may be NULL. OK; ERR_RATE with
 * *refusal; ERR_TOO_LARGE when the arena is full.
 */
MUSTCHECK enum err rate_limits_take(const struct rate_limits *rules, struct bucket_table *t,
	const struct action *action, struct arena *a, struct rate_refusal *refusal);

/* Takes one token of the identity's bucket; key names the identity. ERR_RATE with *wait_ns until the next. */
MUSTCHECK enum err rate_limits_take_coarse(struct bucket_table *t, struct span principal,
	struct span key, int64_t per_minute, int64_t *wait_ns);

#endif
