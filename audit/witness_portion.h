/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a witness in portions that fit into memory, each put in order and held against the ledger or against each
 * other. What a portion leaves open (a number that comes again far from where it came first, neighbours that lie far from each
 * other) is noted, and a later reading looks at those numbers alone. Blocking; the command line's thread.
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
#include "witness_reader.h"

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
	size_t size;      /* entries there is memory for, at most portion */
	size_t portion;   /* at least 4 */
	size_t at;        /* of the one that the ledger's next record may be */
	uint64_t n_taken; /* with repeats */
	uint64_t carried; /* number of the entry that was judged with the portion before; 0: none */
	/* A later reading takes the lowest numbers of `again` from `from` on, as many as are half a portion. */
	bool is_later;
	uint64_t from;
	uint64_t to;
	/* They come in no order: the first reading judges each by itself, later ones do the rest. */
	bool is_scattered;
	struct witness_ranges seen;
	struct witness_ranges links; /* numbers whose record follows the one before */
	struct witness_ranges dead;
	struct witness_ranges again; /* what a later reading has to look at, and maybe more */
	enum err rc;
	struct errinfo ei;
};

/* The verdict is not good, unless it was before. Returns false. */
PRINTF_LIKE(3, 4) bool witness_fail(struct judgement *j, uint64_t seq, const char *fmt, ...);
/* One record of a reading; j is the judgement. */
bool witness_take_record(const struct witness_record *r, void *j);
/* All of entries is judged; the last of them stays, so that the next portion is linked to it. False: enough. */
bool witness_end_portion(struct judgement *j);
/* Behind the first reading: what later ones have to look at. */
void witness_begin_later(struct judgement *j);
/* True while there is another later reading to be made; each ends with witness_end_portion. */
bool witness_next_later(struct judgement *j);

#endif
