/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Judging a portion. It must never leave a record out of both comparisons: with the one before it, and with the ledger's. */
#include "witness_portion.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "audit/sink.h"
#include "audit/source.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/sign.h"

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

/* What comes again, but not in the same portion, was not compared with what came first. */
static void
note_repeats(struct judgement *j, uint64_t first, uint64_t last)
{
	const struct witness_ranges *seen = &j->seen;

	for (size_t i = witness_ranges_find(seen, first); i < seen->n && seen->v[i].first <= last;
		i++)
		witness_ranges_cover(&j->again, seen->v[i].first > first ? seen->v[i].first : first,
			seen->v[i].last < last ? seen->v[i].last : last);
}

static bool
note_run(struct judgement *j, size_t from, size_t to)
{
	uint64_t first = j->entries[from].seq;
	uint64_t last = j->entries[to].seq;
	uint64_t fresh = first == j->carried ? first + 1 : first;

	if (!j->is_later && fresh <= last)
		note_repeats(j, fresh, last);
	bool fits = witness_ranges_add(&j->seen, first, last);
	if (fits && to > from)
		fits = witness_ranges_add(&j->links, first + 1, last);
	if (fits)
		return true;
	if (j->is_later)
		return witness_fail(
			j, 0, "missing: the witness has more than %d gaps", WITNESS_RANGES_MAX);
	j->is_scattered = true;
	return true;
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
		if (j->is_scattered && !j->is_later)
			return true;
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

static void
keep_lowest(struct judgement *j)
{
	if (j->n <= j->portion / 2)
		return;
	j->n = j->portion / 2;
	j->to = j->entries[j->n - 1].seq;
}

bool
witness_end_portion(struct judgement *j)
{
	if (j->n == 0)
		return true;
	qsort(j->entries, j->n, sizeof(*j->entries), by_seq);
	if (!drop_repeats(j))
		return false;
	if (j->is_later)
		keep_lowest(j);
	if (!check_links(j))
		return false;
	if (j->is_scattered && !j->is_later) {
		j->n = 0;
		return true;
	}
	if (j->compared != NULL)
		j->rc = compare_portion(j, &j->ei);
	j->entries[0] = j->entries[j->n - 1];
	j->n = 1;
	j->carried = j->entries[0].seq;
	return j->rc == OK && j->out->is_good;
}

/* ---- one record ---- */

static bool
have_room(struct judgement *j)
{
	size_t size = j->size * 2 < j->portion ? j->size * 2 : j->portion;
	struct witness_entry *grown = NULL;

	if (j->n < j->size)
		return true;
	grown = mem_realloc(j->entries, size * sizeof(*grown));
	if (grown == NULL) {
		j->rc = ERR(&j->ei, ERR_NOMEM, "out of memory");
		return false;
	}
	j->entries = grown;
	j->size = size;
	return true;
}

static bool
check_checkpoint(struct judgement *j, const struct witness_record *r)
{
	struct checkpoint cp;

	if (!span_eq_cstr(r->f.event_type, CHECKPOINT_EVENT))
		return true;
	if (!checkpoint_parse_record(r->body, &cp) || cp.at.seq + 1 != r->f.seq ||
		!span_eq_cstr(r->f.prev_event_hash, cp.at.hash))
		return witness_fail(j, r->f.seq, "edited: the checkpoint is about another place");
	if (j->key != NULL && !checkpoint_is_signed_by(&cp, j->key))
		return witness_fail(j, r->f.seq, "%s",
			strcmp(cp.key_id, sign_key_id(j->key)) != 0
				? "wrong key: the checkpoint is signed with another one"
				: "edited: the checkpoint's signature does not verify");
	if (r->f.seq > j->out->last_checkpoint) {
		j->out->n_checkpoints++;
		j->out->last_checkpoint = r->f.seq;
	}
	return true;
}

static void
copy_word(struct span raw, char *out, size_t size)
{
	size_t n = raw.n >= 2 && raw.n - 2 < size ? raw.n - 2 : 0;

	for (size_t i = 0; i < n; i++)
		out[i] = (raw.p[i + 1] >= 'a' && raw.p[i + 1] <= 'z') || raw.p[i + 1] == '.' ||
					 raw.p[i + 1] == '_'
				 ? raw.p[i + 1]
				 : '?';
	out[n] = '\0';
}

static void
show_dead(struct judgement *j, uint64_t seq, struct span body)
{
	struct witness_dead *d = NULL;

	if (j->out->n_dead_shown == WITNESS_DEAD_SHOWN)
		return;
	d = &j->out->dead[j->out->n_dead_shown++];
	d->seq = seq;
	if (!parse_uint(chain_find_member(body, SPAN_LIT("refused_intent_seq")), INT64_MAX,
		    &d->intent_seq))
		d->intent_seq = 0;
	copy_word(chain_find_member(body, SPAN_LIT("refused_event")), d->event, sizeof(d->event));
	copy_word(chain_find_member(body, SPAN_LIT("refused_outcome")), d->outcome,
		sizeof(d->outcome));
}

static bool
note_dead_letter(struct judgement *j, const struct witness_record *r)
{
	uint64_t seq = 0;

	if (!span_eq_cstr(r->f.event_type, SINK_DEAD_LETTER_EVENT) ||
		!parse_uint(chain_find_member(r->body, SPAN_LIT("refused_seq")), INT64_MAX, &seq) ||
		seq == 0)
		return true;
	if (!witness_ranges_has(&j->dead, seq))
		show_dead(j, seq, r->body);
	return witness_ranges_add(&j->dead, seq, seq) ||
	       witness_fail(j, seq, "missing: more than %d dead letters", WITNESS_RANGES_MAX);
}

/* What it is, as it was hashed. */
static bool
read_entry(struct judgement *j, const struct witness_record *r, struct witness_entry *e)
{
	char own[SHA256_HEX + 1];

	chain_hash(r->body, r->f.prev_event_hash, own);
	*e = (struct witness_entry){.seq = r->f.seq};
	if (!span_eq_cstr(r->hash, own) || !hash_unhex(r->hash, e->hash, sizeof(e->hash)) ||
		(r->f.prev_event_hash.n > 0 &&
			!hash_unhex(r->f.prev_event_hash, e->prev, sizeof(e->prev))) ||
		(r->f.prev_event_hash.n == 0) != (r->f.seq == 1))
		return witness_fail(
			j, r->f.seq, "edited: what the witness has is not what was hashed");
	return true;
}

/* A later reading keeps its few numbers until its end. */
static bool
make_room(struct judgement *j)
{
	if (!j->is_later)
		return witness_end_portion(j);
	qsort(j->entries, j->n, sizeof(*j->entries), by_seq);
	if (!drop_repeats(j))
		return false;
	keep_lowest(j);
	return true;
}

static bool
is_wanted(const struct judgement *j, uint64_t seq)
{
	return !j->is_later ||
	       (seq >= j->from && seq <= j->to && witness_ranges_has(&j->again, seq));
}

bool
witness_take_record(const struct witness_record *r, void *arg)
{
	struct judgement *j = arg;
	struct witness_entry e;

	if (!span_eq_cstr(r->f.chain_id, j->chain->id) || r->f.seq > j->chain->last.seq ||
		!is_wanted(j, r->f.seq))
		return true;
	if (!read_entry(j, r, &e))
		return false;
	if (!j->is_later) {
		if (!check_checkpoint(j, r) || !note_dead_letter(j, r))
			return false;
		j->n_taken++;
		if (j->is_scattered)
			return true;
	}
	if (!have_room(j))
		return false;
	j->entries[j->n++] = e;
	return j->n < j->portion || make_room(j);
}

/* ---- later readings ---- */

/* Neighbours that were not in one portion. */
static void
note_unlinked(struct judgement *j)
{
	const struct witness_ranges *links = &j->links;

	for (size_t i = 0; i < j->seen.n; i++) {
		uint64_t end = j->seen.v[i].last;
		uint64_t seq = j->seen.v[i].first + 1;

		while (seq <= end) {
			size_t k = witness_ranges_find(links, seq);
			bool is_linked = k < links->n && links->v[k].first <= end;
			uint64_t next = is_linked ? links->v[k].first : end + 1;

			if (next > seq)
				witness_ranges_cover(&j->again, seq - 1, next - 1);
			seq = is_linked ? links->v[k].last + 1 : end + 1;
		}
	}
}

void
witness_begin_later(struct judgement *j)
{
	if (j->is_scattered) {
		j->seen.n = j->links.n = j->again.n = 0;
		witness_ranges_cover(&j->again, j->chain->first, j->chain->last.seq);
	} else if (j->compared != NULL) {
		/* The ledger has one record of each number, and its links were judged. */
		j->again.n = 0;
	} else {
		note_unlinked(j);
	}
	j->is_later = true;
	j->n = 0;
	j->carried = 0;
	j->to = 0;
}

bool
witness_next_later(struct judgement *j)
{
	if (j->again.n == 0 || j->to >= j->again.v[j->again.n - 1].last)
		return false;
	j->from = j->to + 1;
	j->to = UINT64_MAX;
	return true;
}
