/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of one segment whose value begins with a text, all at once and in order: their rows stand in the order of
 * the values. One thread; private to index_scan.c.
 */
#ifndef AUDIT_INDEX_MATCHES_H
#define AUDIT_INDEX_MATCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct db_stmt;
struct query_term;

/* Begins empty, as zero. Of a segment there are at most 2^shift, one for each record. */
struct index_matches {
	uint64_t *seqs;
	size_t n;
	size_t n_max;
	uint64_t segment;
	bool is_loaded;
};

void index_matches_fini(struct index_matches *m);
/* Those of a segment, unless they are there already; m serves one term. st: segment, field, from this value, before that one.
 * ERR_CORRUPT, ERR_NOMEM and those of db_step. */
MUSTCHECK enum err index_matches_load(struct index_matches *m, struct db_stmt *st,
	const struct query_term *t, uint64_t segment, unsigned shift, struct errinfo *ei);
/* The nearest to `at`, itself included; 0: none. */
uint64_t index_matches_find(const struct index_matches *m, uint64_t at, bool is_down);

#endif
