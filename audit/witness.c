/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness. Its records are read in portions that fit into memory, each put in order and held against the ledger, or
 * against each other. Only what lies below what was there at the first reading counts: a receiver may go on meanwhile. It
 * must never report good on a record whose hash it did not compute. Blocking; the command line's thread.
 */
#include "audit/witness.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/must.h"
#include "witness_lineage.h"
#include "witness_portion.h"
#include "witness_reader.h"

#define FIRST_ENTRIES ((size_t)1024)

struct witness {
	char *path;
	struct witness_chain chains[WITNESS_CHAINS_MAX];
	size_t n_chains;
	size_t portion; /* records that are held at a time */
	bool is_cut;
	bool has_too_many;
};

/* ---- the first reading ---- */

static struct witness_chain *
find_chain(struct witness *w, struct span id)
{
	for (size_t i = w->n_chains; i > 0; i--) {
		if (span_eq_cstr(id, w->chains[i - 1].id))
			return &w->chains[i - 1];
	}
	return NULL;
}

static bool
note_record(const struct witness_record *r, void *arg)
{
	struct witness *w = arg;
	struct witness_chain *c = find_chain(w, r->f.chain_id);

	if (c == NULL) {
		w->has_too_many = w->n_chains == WITNESS_CHAINS_MAX;
		if (w->has_too_many)
			return false;
		c = &w->chains[w->n_chains++];
		memcpy(c->id, r->f.chain_id.p, CHAIN_ID_HEX);
		c->first = r->f.seq;
	}
	c->first = r->f.seq < c->first ? r->f.seq : c->first;
	witness_note_lineage(c, r);
	if (r->f.seq > c->last.seq) {
		c->last.seq = r->f.seq;
		memcpy(c->last.hash, r->hash.p, SHA256_HEX);
	}
	return true;
}

enum err
witness_open(const char *path, struct witness **out, struct errinfo *ei)
{
	struct witness *w = mem_zalloc(1, sizeof(*w));

	*out = NULL;
	if (w == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	w->portion = WITNESS_PORTION_MAX;
	w->path = mem_dup_cstr(path);
	enum err rc = w->path != NULL ? witness_read(path, note_record, w, &w->is_cut, ei)
				      : ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == OK && w->has_too_many)
		rc = ERR(ei, ERR_TOO_LARGE, "%s holds more than %d chains", path,
			WITNESS_CHAINS_MAX);
	if (rc == OK && w->n_chains == 0)
		rc = ERR(ei, ERR_INVALID, "%s holds no record", path);
	if (rc != OK)
		witness_free(&w);
	else
		witness_link_chains(w->chains, w->n_chains);
	*out = w;
	return rc;
}

void
witness_free(struct witness **w)
{
	if (*w == NULL)
		return;
	mem_free((*w)->path);
	mem_free(*w);
	*w = NULL;
}

void
witness_set_portion(struct witness *w, size_t n)
{
	MUST(n >= 4 && n <= WITNESS_PORTION_MAX);
	w->portion = n;
}

size_t
witness_get_chains(const struct witness *w, const struct witness_chain **out)
{
	*out = w->chains;
	return w->n_chains;
}

/* ---- the verdict ---- */

static uint64_t
count_dead(const struct judgement *j, uint64_t first, uint64_t last)
{
	uint64_t n = 0;

	for (size_t i = 0; i < j->dead.n; i++) {
		uint64_t a = j->dead.v[i].first > first ? j->dead.v[i].first : first;
		uint64_t b = j->dead.v[i].last < last ? j->dead.v[i].last : last;
		n += b >= a ? b - a + 1 : 0;
	}
	return n;
}

static void
check_gap(struct judgement *j, uint64_t first, uint64_t last)
{
	uint64_t n_dead = count_dead(j, first, last);
	uint64_t seq = first;

	j->out->n_dead += n_dead;
	j->out->n_missing += last - first + 1 - n_dead;
	if (last - first + 1 == n_dead)
		return;
	while (witness_ranges_has(&j->dead, seq))
		seq++;
	if (seq == last)
		(void)witness_fail(j, seq, "missing: the witness lacks this record");
	else
		(void)witness_fail(j, seq,
			"missing: the witness lacks records from here, up to record %" PRIu64,
			last);
}

/* One that another receiver refused may be here. */
static void
keep_absent_dead(struct judgement *j)
{
	struct witness_verdict *out = j->out;
	size_t n = 0;

	for (size_t i = 0; i < out->n_dead_shown; i++)
		if (!witness_ranges_has(&j->seen, out->dead[i].seq) &&
			out->dead[i].seq > out->first)
			out->dead[n++] = out->dead[i];
	out->n_dead_shown = n;
}

static void
check_whole(struct judgement *j)
{
	struct witness_verdict *out = j->out;
	uint64_t n_links = witness_ranges_count(&j->links);

	out->n_records = witness_ranges_count(&j->seen);
	out->n_repeated = j->n_taken - out->n_records;
	if (j->seen.n == 0) {
		(void)witness_fail(j, 0, "cut off: the witness has lost its records");
		return;
	}
	out->first = j->seen.v[0].first;
	out->last = j->seen.v[j->seen.n - 1].last;
	for (size_t i = 1; i < j->seen.n; i++)
		check_gap(j, j->seen.v[i - 1].last + 1, j->seen.v[i].first - 1);
	keep_absent_dead(j);
	/* Each record but the first of a range was held against the one before it, or against the ledger's. */
	if (j->compared == NULL && n_links + j->seen.n != out->n_records)
		(void)witness_fail(
			j, 0, "edited: the witness's records come in no order that links them");
}

static enum err
read_once(struct witness *w, struct judgement *j, struct errinfo *ei)
{
	bool is_cut = false;
	enum err rc = witness_read(w->path, witness_take_record, j, &is_cut, ei);

	if (rc == OK && j->out->is_good && j->rc == OK)
		(void)witness_end_portion(j);
	return rc == OK && j->rc != OK ? ERR(ei, j->rc, "%s", j->ei.msg) : rc;
}

static enum err
judge(struct witness *w, struct judgement *j, struct errinfo *ei)
{
	j->out->is_good = true;
	j->out->is_cut = w->is_cut;
	j->portion = w->portion;
	j->size = FIRST_ENTRIES < j->portion ? FIRST_ENTRIES : j->portion;
	j->entries = mem_alloc(j->size * sizeof(*j->entries));
	if (j->entries == NULL) {
		j->out->is_good = false;
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	enum err rc = read_once(w, j, ei);
	if (rc == OK && j->out->is_good)
		witness_begin_later(j);
	while (rc == OK && j->out->is_good && witness_next_later(j))
		rc = read_once(w, j, ei);
	if (rc == OK && j->out->is_good)
		check_whole(j);
	mem_free(j->entries);
	if (rc != OK)
		j->out->is_good = false;
	return rc;
}

/* What the witness remembers last has to be in the ledger. */
static void
check_reached(struct judgement *j, const struct witness_compared *o)
{
	uint64_t seq = j->chain->last.seq;

	if (seq <= o->anchor.seq)
		(void)witness_fail(j, 0,
			"not here: the witness remembers record %" PRIu64
			", which was archived; give the archives too (--archive)",
			seq);
	else if (seq > o->head.seq)
		(void)witness_fail(j, 0,
			"cut off: the witness remembers record %" PRIu64
			", the last one here is %" PRIu64,
			seq, o->head.seq);
}

enum err
witness_compare(struct witness *w, const struct witness_compared *o, struct witness_verdict *out,
	struct errinfo *ei)
{
	struct judgement *j = mem_zalloc(1, sizeof(*j));
	enum err rc = OK;

	*out = (struct witness_verdict){.is_good = true};
	if (j == NULL) {
		out->is_good = false;
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	j->chain = find_chain(w, span_cstr(o->chain_id));
	j->compared = o;
	j->out = out;
	if (j->chain == NULL)
		(void)witness_fail(j, 0, "not here: the witness knows chain %s, not this one",
			w->chains[w->n_chains - 1].id);
	else
		check_reached(j, o);
	if (out->is_good)
		rc = judge(w, j, ei);
	if (rc == OK && j->chain != NULL)
		rc = witness_check_lineage(w->chains, w->n_chains, j->chain, o, out, ei);
	mem_free(j);
	return rc;
}

enum err
witness_judge(struct witness *w, const struct witness_chain *chain, const struct sign_key *key,
	struct witness_verdict *out, struct errinfo *ei)
{
	struct judgement *j = mem_zalloc(1, sizeof(*j));

	*out = (struct witness_verdict){.is_good = false};
	if (j == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	j->chain = chain;
	j->key = key;
	j->out = out;
	enum err rc = judge(w, j, ei);
	if (rc == OK)
		rc = witness_check_lineage(w->chains, w->n_chains, chain, NULL, out, ei);
	mem_free(j);
	return rc;
}
