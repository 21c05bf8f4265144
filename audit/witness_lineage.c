/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* It must never call a chain continued because of what the receiver alone says when the ledger says otherwise. */
#include "witness_lineage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "audit/source.h"
#include "base/parse.h"

#define CHAIN_START_EVENT "chain.start"

/* A text of hex digits, without its quotes; false leaves out as it was. */
static bool
copy_id(struct span raw, char *out, size_t n)
{
	if (raw.n != n + 2 || raw.p[0] != '"')
		return false;
	memcpy(out, raw.p + 1, n);
	out[n] = '\0';
	return true;
}

static void
read_start(struct witness_chain *c, struct span body)
{
	struct span previous = chain_find_member(body, SPAN_LIT("previous_chain"));

	c->has_start = true;
	c->goes_on = previous.n > 0;
	c->is_stateless = span_eq(chain_find_member(body, SPAN_LIT("stateless")), SPAN_LIT("true"));
	(void)copy_id(chain_find_member(body, SPAN_LIT("key_id")), c->key_id, SIGN_KEY_ID_HEX);
	if (!copy_id(chain_find_member(previous, SPAN_LIT("chain_id")), c->previous_id,
		    CHAIN_ID_HEX) ||
		!parse_uint(
			chain_find_member(previous, SPAN_LIT("seq")), INT64_MAX, &c->previous_seq))
		c->previous_seq = 0;
}

void
witness_note_lineage(struct witness_chain *c, const struct witness_record *r)
{
	struct checkpoint cp;

	if (r->f.seq == 1 && span_eq_cstr(r->f.event_type, CHAIN_START_EVENT))
		read_start(c, r->body);
	else if (c->key_id[0] == '\0' && span_eq_cstr(r->f.event_type, CHECKPOINT_EVENT) &&
		 checkpoint_parse_record(r->body, &cp))
		memcpy(c->key_id, cp.key_id, sizeof(c->key_id));
}

static bool
see_start(const struct source_record *r, void *arg)
{
	if (r->seq == 1 && !r->is_malformed) {
		struct witness_chain *c = arg;

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

/* Whether c goes on from the chain of that id. *is_sure: if it does not, it is known to begin elsewhere. */
static bool
descends(const struct witness_chain *chains, size_t n, const struct witness_chain *c,
	const char *id, bool *is_sure)
{
	const struct witness_chain *at = c;
	const struct witness_chain *root = c;

	*is_sure = false;
	for (size_t steps = 0; at != NULL && steps <= n; steps++) {
		if (strcmp(at->previous_id, id) == 0)
			return true;
		root = at;
		at = find_previous(chains, n, at);
	}
	*is_sure = at == NULL && root->has_start && !root->goes_on;
	return false;
}

static void
note_unlinked(struct witness_verdict *out, const struct witness_chain *other, bool is_replaced)
{
	out->n_unlinked++;
	memcpy(out->unlinked_id, other->id, sizeof(out->unlinked_id));
	if (!is_replaced || !out->is_good)
		return;
	out->is_good = false;
	snprintf(out->reason, sizeof(out->reason),
		"replaced: the witness has chain %s of the same key, up to record %" PRIu64
		", and this ledger does not go on from it",
		other->id, other->last.seq);
}

enum err
witness_check_lineage(const struct witness_chain *chains, size_t n, const struct witness_chain *own,
	const struct witness_compared *o, struct witness_verdict *out, struct errinfo *ei)
{
	struct witness_chain self = *own;
	enum err rc = o != NULL ? read_own_start(&self, o, ei) : OK;

	for (size_t i = 0; rc == OK && i < n && &chains[i] != own; i++) {
		const struct witness_chain *other = &chains[i];
		bool is_sure = false;

		/* A chain without a file ends with its process, and the next one cannot name it. */
		if (other->is_stateless)
			continue;
		if (!descends(chains, n, &self, other->id, &is_sure))
			note_unlinked(out, other,
				o != NULL && is_sure && self.key_id[0] != '\0' &&
					strcmp(self.key_id, other->key_id) == 0);
		else if (strcmp(self.previous_id, other->id) == 0 &&
			 other->last.seq > self.previous_seq)
			out->n_lost_behind_seal = other->last.seq - self.previous_seq;
	}
	return rc;
}
