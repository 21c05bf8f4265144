/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the search index share: ledgers with mixed records, indexes of small segments, and
 * searches whose answers are numbers. Static, because each test program is one file. */
#ifndef TESTS_UNIT_AUDIT_INDEX_FIXTURE_H
#define TESTS_UNIT_AUDIT_INDEX_FIXTURE_H

#include "audit/query.h"
#include "audit/search.h"
#include "audit/store.h"
#include "base/mem.h"
#include "index_writer.h"
#include "ledger_fixture.h"
#include "store_sqlite.h"

#define SMALL_SHIFT 4
#define FOUND_MAX 8192

struct found {
	uint64_t seqs[FOUND_MAX];
	size_t n;
	size_t limit; /* 0: none */
	struct search_result result;
};

static inline bool
add_found(const struct store_row *row, void *arg)
{
	struct found *f = arg;

	MUST(f->n < FOUND_MAX);
	f->seqs[f->n++] = row->seq;
	return f->n != f->limit;
}

static inline struct store_reader *
open_reader(const char *path)
{
	struct store_reader *r = NULL;
	struct errinfo ei;

	if (store_reader_open(path, STORE_READ_COPY, &r, &ei) != OK)
		FAIL("%s", ei.msg);
	return r;
}

static inline uint64_t
head_of(struct store_reader *r)
{
	struct chain_head head;

	CHECK_INT(store_reader_head(r, &head, NULL), OK);
	return head.seq;
}

/* Fills the index up to the head, or a little beyond `stop_at`; returns where it stands. */
static inline uint64_t
fill_index(const char *path, unsigned shift, size_t batch, uint64_t stop_at, bool *is_new)
{
	struct store_reader *r = open_reader(path);
	struct index_writer *w = NULL;
	struct errinfo ei;
	uint64_t at = 0;
	size_t n = 1;

	if (index_writer_open(path, r, shift, &w, is_new, &ei) != OK) {
		FAIL("index_writer_open: %s", ei.msg);
	} else {
		while (n > 0 && index_writer_position(w).seq < stop_at)
			CHECK_INT(index_writer_add(w, r, batch, &n, &ei), OK);
		at = index_writer_position(w).seq;
	}
	index_writer_free(&w);
	store_reader_free(&r);
	return at;
}

/* index_path: NULL searches without the index. */
static inline struct found *
search(const char *path, const char *index_path, const struct query_filter *filter,
	bool is_newest_first, uint64_t from, size_t limit)
{
	struct found *f = mem_need(sizeof(*f));
	struct store_reader *r = open_reader(path);
	struct query *q = NULL;
	struct errinfo ei;

	*f = (struct found){.limit = limit};
	CHECK_INT(query_new(filter, &q, &ei), OK);
	struct search_options o = {.query = q,
		.path = index_path,
		.is_newest_first = is_newest_first,
		.from = from,
		.head = head_of(r)};
	if (search_run(r, &o, add_found, f, &f->result, &ei) != OK)
		FAIL("search_run: %s", ei.msg);
	query_free(&q);
	store_reader_free(&r);
	return f;
}

static inline bool
is_same_answer(const struct found *a, const struct found *b)
{
	return a->n == b->n && memcmp(a->seqs, b->seqs, a->n * sizeof(a->seqs[0])) == 0;
}

#endif
