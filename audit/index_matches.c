/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Must never hold more records than a segment has. */
#include "index_matches.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "index_layout.h"
#include "index_postings.h"
#include "query_terms.h"
#include "store_sqlite.h"

void
index_matches_fini(struct index_matches *m)
{
	mem_free(m->seqs);
	*m = (struct index_matches){0};
}

static int
compare_seqs(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return *x < *y ? -1 : *x > *y;
}

static enum err
add_match(struct index_matches *m, uint64_t seq, unsigned shift, struct errinfo *ei)
{
	if (m->n == m->n_max) {
		size_t n = m->n_max == 0 ? 256 : m->n_max * 2;
		/* A sound index has one entry of a field for each record. */
		if (m->n >= (size_t)1 << shift)
			return ERR(ei, ERR_CORRUPT, "the index has too many entries");
		uint64_t *grown = mem_realloc(m->seqs, n * sizeof(*grown));
		if (grown == NULL)
			return ERR(ei, ERR_NOMEM, "out of memory");
		m->seqs = grown;
		m->n_max = n;
	}
	m->seqs[m->n++] = seq;
	return OK;
}

static enum err
add_matches(struct index_matches *m, struct db_stmt *st, unsigned shift, struct errinfo *ei)
{
	struct postings p;
	enum err rc = index_read_row(st, &p, ei);
	uint64_t seq = rc == OK ? p.first : 0;

	for (; rc == OK && seq != 0; seq = postings_up(&p, seq + 1))
		rc = add_match(m, seq, shift, ei);
	return rc;
}

enum err
index_matches_load(struct index_matches *m, struct db_stmt *st, const struct query_term *t,
	uint64_t segment, unsigned shift, struct errinfo *ei)
{
	char beyond[INDEX_VALUE_MAX];
	bool has_row = false;

	if (m->is_loaded && m->segment == segment)
		return OK;
	m->n = 0;
	m->is_loaded = false;
	/* A text of a record is UTF-8, so its last byte can grow. */
	memcpy(beyond, t->value.p, t->value.n);
	beyond[t->value.n - 1]++;
	db_bind_int(st, 1, (int64_t)segment);
	db_bind_int(st, 2, t->field);
	db_bind_blob(st, 3, t->value);
	db_bind_blob(st, 4, span_of(beyond, t->value.n));
	enum err rc = db_step(st, &has_row, ei);
	while (rc == OK && has_row) {
		rc = add_matches(m, st, shift, ei);
		if (rc == OK)
			rc = db_step(st, &has_row, ei);
	}
	db_reset(st);
	if (rc != OK)
		return rc;
	if (m->n > 0)
		qsort(m->seqs, m->n, sizeof(m->seqs[0]), compare_seqs);
	m->segment = segment;
	m->is_loaded = true;
	return OK;
}

uint64_t
index_matches_find(const struct index_matches *m, uint64_t at, bool is_down)
{
	size_t low = 0;
	size_t high = m->n;

	/* The first one at or behind `at`. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (m->seqs[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < m->n && (!is_down || m->seqs[low] == at))
		return m->seqs[low];
	return is_down && low > 0 ? m->seqs[low - 1] : 0;
}
