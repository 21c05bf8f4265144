/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a witness in portions that fit into memory, each put in order and held against the ledger or against each
 * other. Blocking; the command line's thread.
 */
#ifndef AUDIT_WITNESS_PORTION_H
#define AUDIT_WITNESS_PORTION_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/witness.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "witness_ranges.h"

#define WITNESS_PORTION_MAX ((size_t)500000)

struct witness_entry {
	uint64_t seq;
	uint8_t hash[SHA256_BYTES];
	uint8_t prev[SHA256_BYTES]; /* zero: none */
};

struct judgement {
	const struct witness_chain *chain;
	const struct witness_compared *compared; /* NULL: by itself */
	const struct sign_key *key;
	struct witness_verdict *out;
	struct witness_entry *entries;
	size_t n;
	size_t size;      /* entries there is memory for, at most WITNESS_PORTION_MAX */
	size_t at;        /* of the one that the ledger's next record may be */
	uint64_t n_taken; /* with repeats */
	struct witness_ranges seen;
	struct witness_ranges links; /* numbers whose record follows the one before */
	struct witness_ranges dead;
	enum err rc;
	struct errinfo ei;
};

/* The verdict is not good, unless it was before. Returns false. */
PRINTF_LIKE(3, 4) bool witness_fail(struct judgement *j, uint64_t seq, const char *fmt, ...);
/* All of entries is judged; the last of them stays, so that the next portion is linked to it. False: enough. */
bool witness_end_portion(struct judgement *j);

#endif
