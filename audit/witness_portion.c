/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Judging a portion. It must never leave a record out of both comparisons: with the one before it, and with the ledger's. */
#include "witness_portion.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/source.h"

bool
witness_fail(struct judgement *j, uint64_t seq, const char *fmt, ...)
{
	va_list ap;

	if (!j->out->is_good)
		return false;
	va_start(ap, fmt);
	vsnprintf(j->out->reason, sizeof(j->out->reason), fmt, ap);
	va_end(ap);
	j->out->is_good = false;
	j->out->bad_seq = seq;
	return false;
}

static int
by_seq(const void *a, const void *b)
{
	const struct witness_entry *x = a;
	const struct witness_entry *y = b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Each number once; two records of one number are a fault. */
static bool
drop_repeats(struct judgement *j)
{
	size_t n = 0;

	for (size_t i = 0; i < j->n; i++) {
		const struct witness_entry *e = &j->entries[i];
		if (n > 0 && j->entries[n - 1].seq == e->seq) {
			if (memcmp(j->entries[n - 1].hash, e->hash, sizeof(e->hash)) != 0)
				return witness_fail(j, e->seq,
					"edited: the witness has two records of this number");
			continue;
		}
		j->entries[n++] = *e;
	}
	j->n = n;
	return true;
}

static bool
note_run(struct judgement *j, size_t from, size_t to)
{
	bool fits = witness_ranges_add(&j->seen, j->entries[from].seq, j->entries[to].seq);

	if (fits && to > from)
		fits = witness_ranges_add(&j->links, j->entries[from].seq + 1, j->entries[to].seq);
	return fits ||
	       witness_fail(j, 0, "missing: the witness has more than %d gaps", WITNESS_RANGES_MAX);
}

/* Neighbours must be linked; what lies side by side is noted. */
static bool
check_links(struct judgement *j)
{
	size_t from = 0;

	for (size_t i = 1; i <= j->n; i++) {
		const struct witness_entry *e = &j->entries[i];
		bool goes_on = i < j->n && e->seq == e[-1].seq + 1;
		if (goes_on && memcmp(e->prev, e[-1].hash, sizeof(e->prev)) != 0)
			return witness_fail(j, e->seq,
				"edited: what the witness has does not continue record %" PRIu64,
				e[-1].seq);
		if (goes_on)
			continue;
		if (!note_run(j, from, i - 1))
			return false;
		from = i;
	}
	return true;
}

static bool
see_ledger_record(const struct source_record *r, void *arg)
{
	struct judgement *j = arg;
	uint8_t hash[SHA256_BYTES];

	while (j->at < j->n && j->entries[j->at].seq < r->seq)
		j->at++;
	if (j->at == j->n)
		return false;
	if (j->entries[j->at].seq != r->seq)
		return true;
	if (r->is_malformed || !hash_unhex(r->hash, hash, sizeof(hash)) ||
		memcmp(hash, j->entries[j->at].hash, sizeof(hash)) != 0)
		return witness_fail(j, r->seq, "edited: the witness remembers another record");
	return true;
}

static enum err
compare_portion(struct judgement *j, struct errinfo *ei)
{
	const struct witness_compared *o = j->compared;
	uint64_t after = j->entries[0].seq - 1;
	enum err rc = OK;

	j->at = 0;
	for (size_t i = 0; rc == OK && j->out->is_good && i < o->n_archives; i++) {
		struct source *s = NULL;
		rc = source_open(o->archives[i], SOURCE_SHARED, &s, ei);
		if (rc == OK)
			rc = source_each(s, 0, see_ledger_record, j, ei);
		source_free(&s);
	}
	if (rc == OK && j->out->is_good)
		rc = source_each(o->source, after, see_ledger_record, j, ei);
	return rc;
}

bool
witness_end_portion(struct judgement *j)
{
	if (j->n == 0)
		return true;
	qsort(j->entries, j->n, sizeof(*j->entries), by_seq);
	if (!drop_repeats(j) || !check_links(j))
		return false;
	if (j->compared != NULL)
		j->rc = compare_portion(j, &j->ei);
	j->entries[0] = j->entries[j->n - 1];
	j->n = 1;
	return j->rc == OK && j->out->is_good;
}
