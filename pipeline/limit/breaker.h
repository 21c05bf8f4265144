/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Circuit breakers, one per identity (decisions 5): so many faults of an executor in a row open it, after the cool-down one
 * action may try, and its end closes it or opens it again. What the caller did wrong, a denial, the ledger and overload
 * count for nothing. Only identities with a fault take memory. Any thread.
 */
#ifndef PIPELINE_BREAKER_H
#define PIPELINE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

struct breakers;

enum breaker_pass {
	BREAKER_REFUSED = 0,
	BREAKER_CLOSED, /* go on */
	BREAKER_PROBE,  /* go on; the only one that may until it has left */
};

enum breaker_outcome {
	BREAKER_NEUTRAL = 0, /* says nothing about the executor */
	BREAKER_FAULT,
	BREAKER_SUCCESS,
};

struct breaker_limits {
	int64_t failures; /* in a row */
	int64_t cooldown_ns;
};

/* NULL when memory is out. */
MUSTCHECK struct breakers *breakers_new(void);
void breakers_free(struct breakers **b);
/* May the identity act? Unless refused, breakers_leave must follow. *wait_ns: until the next try when refused. */
MUSTCHECK enum breaker_pass breakers_enter(
	struct breakers *b, struct span identity, int64_t *wait_ns);
void breakers_leave(struct breakers *b, struct span identity, enum breaker_pass pass,
	enum breaker_outcome outcome, const struct breaker_limits *limits);

/* For operators: a copy of one. */
struct breaker_view {
	const char *state; /* "closed", "open", "probing" */
	int64_t failures;
	int64_t open_for_ns; /* from now; 0: it may be tried */
};
/* Until visit returns false; under the lock, so visit copies and no more. */
void breakers_each(struct breakers *b,
	bool (*visit)(struct span identity, const struct breaker_view *view, void *arg), void *arg);

#endif
