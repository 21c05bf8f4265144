/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Which records an operator asks for: the filters that the record, trace and export routes share, and how they are looked for. */
#ifndef GATEWAY_UI_FILTER_H
#define GATEWAY_UI_FILTER_H

#include "audit/query.h"
#include "audit/store.h"
#include "base/clock.h"
#include "ui_job.h"

struct ui_filter {
	struct query_filter terms; /* spans of the job's arena */
	uint64_t cursor;           /* the record to begin with; 0: the newest */
	size_t limit;
};

/* From the request's query string into the job's arena. ERR_INVALID, ERR_NOMEM. */
MUSTCHECK enum err ui_filter_read(struct ui_job *job, size_t max_limit, size_t def_limit,
	struct ui_filter *out, struct errinfo *ei);

struct ui_search {
	const struct query_filter *terms;
	uint64_t from; /* 0: the newest, or the oldest */
	uint64_t head; /* the newest that counts; 0: the one of now, which is set */
	bool is_oldest_first;
	uint64_t max_read;
	int64_t max_ns; /* 0: any */
	store_visit_fn visit;
	void *arg;
	uint64_t next; /* set: where to go on when max_read or max_ns ended it; else 0 */
};
/* Reader thread. False when the job has failed by it. */
MUSTCHECK bool ui_search_run(struct ui_job *job, struct store_reader *r, struct ui_search *s);
/* Opens the ledger for one search. */
MUSTCHECK bool ui_search_ledger(struct ui_job *job, struct ui_search *s);

/* How many records one question may make us read. */
#define UI_READ_MAX 10000
/* And for how long, where the answer says where to go on: a text that no index leads to may be in none of them. */
#define UI_SEARCH_NS (50 * NS_PER_MS)

#endif
