/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the state column of the rows says what the records say. It lies outside of the hash: who
 * sets an open intent to complete hides an outcome that nobody knows. A chain is fed row by row, in
 * order; one thread.
 */
#ifndef AUDIT_INTENTS_H
#define AUDIT_INTENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"
#include "base/attr.h"

struct intents;

/* More are open at once in no chain that a gateway wrote. */
#define INTENTS_MAX 1048576

/* NULL when memory is out. */
MUSTCHECK struct intents *intents_new(void);
void intents_free(struct intents **in);
/* Every row of the chain, or of the part that is judged; f: what chain_read_fields read of it. */
void intents_see(struct intents *in, uint64_t seq, int state, const struct chain_fields *f);
/* A record behind that part, which may be the outcome of an intent in it. */
void intents_see_later(struct intents *in, struct span body);
/* The rows were read while a gateway wrote: one seen as open may have had its outcome a moment
 * later. */
void intents_forgive_open(struct intents *in);
/* Rows seen in this state. */
uint64_t intents_count(const struct intents *in, int state);
/* True when all agree; otherwise the first row that does not, and a clause. False with seq 0 when
 * memory ran out or there were too many. */
MUSTCHECK bool intents_agree(const struct intents *in, uint64_t *seq, const char **why);

#endif
