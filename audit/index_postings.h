/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The records that a row of the index names: the first by its number, those behind it as bits, the lowest
 * of the first byte standing for the next number. Pure; private to index_*.c.
 */
#ifndef AUDIT_INDEX_POSTINGS_H
#define AUDIT_INDEX_POSTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

/* A record this far behind the one before it begins a row of its own, which takes no more room. */
#define POSTINGS_GAP_MAX 256
/* Of a row; more is not read. */
#define POSTINGS_BYTES_MAX 128

struct postings {
	uint64_t first; /* not 0 */
	uint8_t bits[POSTINGS_BYTES_MAX];
	size_t n; /* bytes */
	uint64_t last;
};

void postings_begin(struct postings *p, uint64_t first);
/* Adds a record behind the last one; false: it is too far and begins another row. */
MUSTCHECK bool postings_add(struct postings *p, uint64_t seq);
struct span postings_bits(const struct postings *p);
/* From what a row says; false when it says more than any row of ours. */
MUSTCHECK bool postings_read(struct postings *p, uint64_t first, struct span bits);
/* The nearest record at or behind `at`, at or before it; 0: none. */
uint64_t postings_up(const struct postings *p, uint64_t at);
uint64_t postings_down(const struct postings *p, uint64_t at);

#endif
