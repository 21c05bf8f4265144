/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a ledger that a query matches, in order, oldest or newest first, page by page: the
 * next page begins behind the last record of this one. The search index leads where it is there,
 * is of this ledger and can be read; what it does not cover, or everything, is read through. The
 * answer is the same either way. Blocking; one thread.
 */
#ifndef AUDIT_SEARCH_H
#define AUDIT_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/store.h"
#include "base/attr.h"
#include "base/err.h"

struct query;

struct search_options {
	const struct query *query;
	const char *path; /* of the ledger, beside which its index lies; NULL: read everything */
	bool is_live;     /* a gateway may be writing the ledger */
	bool is_newest_first;
	uint64_t from;     /* the first record to look at; 0: the oldest, or the newest */
	uint64_t head;     /* the newest record that may be shown */
	uint64_t max_read; /* ends after about so many records were read; 0: when all were */
	int64_t max_ns; /* ends after about that time, but not before some records were read; 0: it may take any */
	/* Called every few thousand records; may be NULL. */
	void (*progress)(void *arg, uint64_t n_records);
	void *progress_arg;
};

struct search_result {
	uint64_t n_read;      /* records that were read */
	uint64_t n_malformed; /* too long to be records */
	uint64_t index_head;  /* the last record that the index knew; 0: it was not used */
	uint64_t next; /* search_options.from to go on when max_read or max_ns ended it; else 0 */
};

/*
 * Calls visit for each match until it returns false; no transaction is open meanwhile. ERR_IO,
 * ERR_CORRUPT, ERR_NOMEM of the ledger; ERR_BUSY: a gateway began to write the index of a ledger
 * that was not live, and what was found may not be all. A fault of the index is none of the search.
 */
MUSTCHECK enum err search_run(struct store_reader *r, const struct search_options *o,
	store_visit_fn visit, void *arg, struct search_result *out, struct errinfo *ei);

#endif
