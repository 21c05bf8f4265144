/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* It must never call a chain continued because of what the receiver alone says when the ledger says otherwise. */
#include "witness_lineage.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "audit/source.h"
#include "base/hash.h"
#include "base/parse.h"

#define CHAIN_START_EVENT "chain.start"

/* A text of n hex digits, without its quotes; false leaves out as it was. */
static bool
copy_id(struct span raw, char *out, size_t n)
{
	uint8_t bytes[SHA256_BYTES];

	if (raw.n != n + 2 || raw.p[0] != '"' || !hash_unhex(span_of(raw.p + 1, n), bytes, n / 2))
		return false;
	memcpy(out, raw.p + 1, n);
	out[n] = '\0';
	return true;
}

/*
 * A chain is signed with one key from its first record on. Whether the signature is good is not asked: the first record has none, and its
 * word has to count, or a chain that was replaced before its first checkpoint would be missed. Who may post can so raise an alarm
 * (--accept-chain names such a chain), and cannot take one back.
 */
static void
note_key(struct witness_chain *c, const char *key_id)
{
	if (c->key_id[0] == '\0')
		memcpy(c->key_id, key_id, sizeof(c->key_id));
	else if (strcmp(c->key_id, key_id) != 0)
		c->is_disputed = true;
}

static void
read_start(struct witness_chain *c, struct span body)
{
	struct span previous = chain_find_member(body, SPAN_LIT("previous_chain"));
	char key_id[SIGN_KEY_ID_HEX + 1];

	c->has_start = true;
	c->goes_on = previous.n > 0;
	c->is_stateless = span_eq(chain_find_member(body, SPAN_LIT("stateless")), SPAN_LIT("true"));
	if (copy_id(chain_find_member(body, SPAN_LIT("key_id")), key_id, SIGN_KEY_ID_HEX))
		note_key(c, key_id);
	if (!copy_id(chain_find_member(previous, SPAN_LIT("chain_id")), c->previous_id,
		    CHAIN_ID_HEX) ||
		!copy_id(chain_find_member(previous, SPAN_LIT("hash")), c->previous_hash,
			SHA256_HEX) ||
		!parse_uint(chain_find_member(previous, SPAN_LIT("seq")), INT64_MAX,
			&c->previous_seq)) {
		c->previous_seq = 0;
		c->previous_hash[0] = '\0';
	}
}

/* There is one first record. Whoever tells another one, late or early, is not believed. */
static void
note_first(struct witness_chain *c, const struct witness_record *r)
{
	if (c->first_hash[0] != '\0') {
		c->is_disputed = c->is_disputed || !span_eq_cstr(r->hash, c->first_hash);
		return;
	}
	memcpy(c->first_hash, r->hash.p, SHA256_HEX);
	if (span_eq_cstr(r->f.event_type, CHAIN_START_EVENT))
		read_start(c, r->body);
}

static bool
is_as_hashed(const struct witness_record *r)
{
	char own[SHA256_HEX + 1];

	chain_hash(r->body, r->f.prev_event_hash, own);
	return span_eq_cstr(r->hash, own);
}

void
witness_note_lineage(struct witness_chain *c, const struct witness_record *r)
{
	bool is_checkpoint = span_eq_cstr(r->f.event_type, CHECKPOINT_EVENT);
	struct checkpoint cp;

	if ((r->f.seq != 1 && !is_checkpoint) || !is_as_hashed(r))
		return;
	if (r->f.seq == 1)
		note_first(c, r);
	else if (checkpoint_parse_record(r->body, &cp))
		note_key(c, cp.key_id);
}

static bool
see_start(const struct source_record *r, void *arg)
{
	if (r->seq == 1 && !r->is_malformed) {
		struct witness_chain *c = arg;

		/* Its word alone counts. */
		c->previous_id[0] = c->key_id[0] = '\0';
		read_start(c, r->body);
	}
	return false;
}

/* The first record of the ledger, or of the first archive; it may be in none of them. */
static enum err
read_own_start(struct witness_chain *own, const struct witness_compared *o, struct errinfo *ei)
{
	struct source *first = NULL;

	if (o->n_archives == 0)
		return source_each(o->source, 0, see_start, own, ei);
	enum err rc = source_open(o->archives[0], SOURCE_SHARED, &first, ei);
	if (rc == OK)
		rc = source_each(first, 0, see_start, own, ei);
	source_free(&first);
	return rc;
}

static const struct witness_chain *
find_previous(const struct witness_chain *chains, size_t n, const struct witness_chain *c)
{
	for (size_t i = 0; i < n && c->previous_id[0] != '\0'; i++)
		if (strcmp(chains[i].id, c->previous_id) == 0)
			return &chains[i];
	return NULL;
}

void
witness_link_chains(struct witness_chain *chains, size_t n)
{
	for (size_t i = 0; i < n; i++)
		chains[i].previous = find_previous(chains, n, &chains[i]);
}

/* A receiver may have been told a ring of chains: no walk has more steps than there are chains. */
static bool
descends(const struct witness_chain *c, const char *id, size_t n)
{
	for (size_t steps = 0; c != NULL && steps <= n; steps++, c = c->previous)
		if (strcmp(c->previous_id, id) == 0)
			return true;
	return false;
}

/* Whether what it goes on from, if anything, is known to its begin. */
static bool
has_known_root(const struct witness_chain *c, size_t n)
{
	for (size_t steps = 0; c->previous != NULL && steps <= n; steps++)
		c = c->previous;
	return c->previous == NULL && c->has_start && !c->goes_on;
}

PRINTF_LIKE(2, 3)
static void
fail(struct witness_verdict *out, const char *fmt, ...)
{
	va_list ap;

	if (!out->is_good)
		return;
	va_start(ap, fmt);
	vsnprintf(out->reason, sizeof(out->reason), fmt, ap);
	va_end(ap);
	out->is_good = false;
}

/* What each seal says about the chain that it ended, against what the receiver has of that one. */
static void
check_seals(const struct witness_chain *c, size_t n, struct witness_verdict *out)
{
	for (size_t steps = 0; c->previous != NULL && steps <= n; steps++, c = c->previous) {
		const struct witness_chain *p = c->previous;

		if (p->last.seq > c->previous_seq)
			out->n_lost_behind_seal += p->last.seq - c->previous_seq;
		else if (p->last.seq == c->previous_seq &&
			 strcmp(p->last.hash, c->previous_hash) != 0)
			fail(out,
				"edited: the seal names another record %" PRIu64
				" of chain %s than the witness has",
				p->last.seq, p->id);
	}
}

static void
note_unlinked(struct witness_verdict *out, const struct witness_chain *other)
{
	out->n_unlinked++;
	if (out->is_good || out->unlinked_id[0] == '\0')
		memcpy(out->unlinked_id, other->id, sizeof(out->unlinked_id));
}

static void
check_other(const struct witness_chain *self, const struct witness_chain *other, size_t n,
	const struct witness_compared *o, struct witness_verdict *out)
{
	bool is_same_key = self->key_id[0] != '\0' && strcmp(self->key_id, other->key_id) == 0;
	bool is_later = descends(other, self->id, n);

	if (o != NULL && o->accepted != NULL && strstr(o->accepted, other->id) != NULL)
		return;
	if (o != NULL && other->is_disputed)
		fail(out, "edited: the witness has two first records or two keys of chain %s",
			other->id);
	out->has_newer_chain = out->has_newer_chain || (o != NULL && is_later);
	/* A chain without a file ends with its process, and the next one cannot name it. */
	if (is_later || other->is_stateless || descends(self, other->id, n))
		return;
	note_unlinked(out, other);
	if (o == NULL || !is_same_key)
		return;
	if (has_known_root(self, n))
		fail(out,
			"replaced: the witness has chain %s of the same key, up to record %" PRIu64
			", and this ledger does not go on from it",
			other->id, other->last.seq);
	else
		fail(out,
			"replaced: the witness has chain %s of the same key, up to record %" PRIu64
			", and this ledger is not linked to what the receiver has",
			other->id, other->last.seq);
}

enum err
witness_check_lineage(const struct witness_chain *chains, size_t n, const struct witness_chain *own,
	const struct witness_compared *o, struct witness_verdict *out, struct errinfo *ei)
{
	struct witness_chain self = *own;
	enum err rc = o != NULL ? read_own_start(&self, o, ei) : OK;

	if (rc != OK)
		return rc;
	self.previous = find_previous(chains, n, &self);
	memcpy(out->previous_id, self.previous_id, sizeof(out->previous_id));
	out->previous_seq = self.previous_seq;
	check_seals(&self, n, out);
	for (size_t i = 0; i < n; i++)
		if (&chains[i] != own)
			check_other(&self, &chains[i], n, o, out);
	return OK;
}
