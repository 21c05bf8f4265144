/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims of the store in memory. Lists look at every row: this store serves tests and benches, where rows are few.
 * Runs on the thread that owns the store.
 */
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "store_memory.h"

static enum err
check_claims(const struct store_memory *m, uint32_t kind, struct errinfo *ei)
{
	if (!m->has_claims)
		return ERR(ei, ERR_UNSUPPORTED, "stateless mode keeps no claims");
	if (kind == KIND_OPEN)
		return ERR(ei, ERR_INVALID, "no such kind of claim");
	return OK;
}

static enum err
find_row(struct store *s, uint32_t kind, const uint8_t *key, struct memory_row **out,
	struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);
	enum err rc = check_claims(m, kind, ei);

	*out = NULL;
	if (rc != OK)
		return rc;
	*out = store_memory_find(m, kind, key);
	return *out != NULL ? OK : ERR(ei, ERR_NOT_FOUND, "no such claim");
}

static struct span
body_of(const struct memory_row *row)
{
	return row->has_body ? span_of(row->body, row->n_body) : SPAN_NONE;
}

/* The row keeps its body; a copy is put in its place. */
static enum err
put_changed(struct store *s, const struct memory_row *row, const struct ledger_claim *claim,
	struct errinfo *ei)
{
	return store_memory_change(
		store_memory_cast(s), claim->kind, claim->key, claim, body_of(row), ei);
}

enum err
store_memory_find_claim(struct store *s, uint32_t kind, const uint8_t *key,
	struct ledger_claim *out, struct errinfo *ei)
{
	struct memory_row *row;
	enum err rc = find_row(s, kind, key, &row, ei);

	*out = rc == OK ? row->claim : (struct ledger_claim){0};
	return rc;
}

enum err
store_memory_put_claim(struct store *s, const struct ledger_claim *c, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);
	enum err rc = check_claims(m, c->kind, ei);

	if (rc != OK)
		return rc;
	if (store_memory_find(m, c->kind, c->key) != NULL)
		return ERR(ei, ERR_CONFLICT, "already claimed");
	return store_memory_change(m, c->kind, c->key, c, SPAN_NONE, ei);
}

enum err
store_memory_set_claim_state(
	struct store *s, uint32_t kind, const uint8_t *key, int32_t state, struct errinfo *ei)
{
	struct memory_row *row;
	enum err rc = find_row(s, kind, key, &row, ei);

	if (rc != OK)
		return rc;
	struct ledger_claim changed = row->claim;
	changed.state = state;
	return put_changed(s, row, &changed, ei);
}

enum err
store_memory_update_claim(struct store *s, const struct ledger_claim *c, struct errinfo *ei)
{
	struct memory_row *row;
	enum err rc = find_row(s, c->kind, c->key, &row, ei);

	if (rc != OK)
		return rc;
	struct ledger_claim changed = row->claim;
	changed.seq = c->seq;
	changed.state = c->state;
	changed.expires_wall_ns = c->expires_wall_ns;
	return put_changed(s, row, &changed, ei);
}

enum err
store_memory_delete_claim(struct store *s, uint32_t kind, const uint8_t *key, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);
	enum err rc = check_claims(m, kind, ei);

	if (rc != OK || store_memory_find(m, kind, key) == NULL)
		return rc;
	return store_memory_change(m, kind, key, NULL, SPAN_NONE, ei);
}

enum err
store_memory_set_claim_body(
	struct store *s, uint32_t kind, const uint8_t *key, struct span body, struct errinfo *ei)
{
	struct memory_row *row;
	enum err rc = find_row(s, kind, key, &row, ei);

	if (rc != OK)
		return rc;
	struct ledger_claim claim = row->claim;
	if (body.p == NULL)
		body = SPAN_LIT("");
	return store_memory_change(store_memory_cast(s), kind, key, &claim, body, ei);
}

enum err
store_memory_get_claim_body(
	struct store *s, uint32_t kind, const uint8_t *key, struct buf *out, struct errinfo *ei)
{
	struct memory_row *row;
	enum err rc = find_row(s, kind, key, &row, ei);

	if (rc != OK)
		return rc;
	if (!row->has_body)
		return ERR(ei, ERR_NOT_FOUND, "the claim has no body");
	buf_add_span(out, body_of(row));
	return OK;
}

/* ---- many at once ---- */

/* What is asked for, and the best row that comes after the last one given. */
struct choice {
	uint32_t kind;
	int32_t state;
	const uint8_t *owner;
	uint64_t before_seq;
	int64_t now_wall_ns; /* 0: whether it has expired does not matter */
	const struct ledger_claim *last;
	const struct ledger_claim *best;
	size_t n;
};

static bool
is_meant(const struct choice *c, const struct ledger_claim *claim)
{
	if (claim->kind != c->kind || (c->state != LEDGER_ANY_STATE && claim->state != c->state) ||
		(c->owner != NULL && memcmp(claim->owner, c->owner, sizeof(claim->owner)) != 0))
		return false;
	if (c->now_wall_ns != 0)
		return claim->expires_wall_ns != 0 && claim->expires_wall_ns <= c->now_wall_ns;
	return c->before_seq == 0 || claim->seq < c->before_seq;
}

/* Below 0: a is given before b. */
static int
order(const struct choice *c, const struct ledger_claim *a, const struct ledger_claim *b)
{
	if (c->now_wall_ns != 0 && a->expires_wall_ns != b->expires_wall_ns)
		return a->expires_wall_ns < b->expires_wall_ns ? -1 : 1;
	if (c->now_wall_ns == 0 && a->seq != b->seq)
		return a->seq > b->seq ? -1 : 1;
	return memcmp(a->key, b->key, sizeof(a->key));
}

static bool
choose(struct span key, void *value, void *arg)
{
	const struct ledger_claim *claim = &((const struct memory_row *)value)->claim;
	struct choice *c = arg;

	(void)key;
	if (!is_meant(c, claim))
		return true;
	c->n++;
	if ((c->last == NULL || order(c, c->last, claim) < 0) &&
		(c->best == NULL || order(c, claim, c->best) < 0))
		c->best = claim;
	return true;
}

static enum err
visit_in_order(struct store *s, struct choice *c, size_t max, ledger_claim_visit_fn visit,
	void *arg, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);
	enum err rc = check_claims(m, c->kind, ei);

	for (size_t i = 0; rc == OK && i < max; i++) {
		c->best = NULL;
		map_each(m->rows, choose, c);
		if (c->best == NULL || !visit(c->best, arg))
			break;
		c->last = c->best;
	}
	return rc;
}

enum err
store_memory_count_claims(struct store *s, uint32_t kind, int32_t state, const uint8_t *owner,
	size_t max, size_t *n, struct errinfo *ei)
{
	struct choice c = {.kind = kind, .state = state, .owner = owner};
	struct store_memory *m = store_memory_cast(s);
	enum err rc = check_claims(m, kind, ei);

	*n = 0;
	if (rc != OK)
		return rc;
	map_each(m->rows, choose, &c);
	*n = c.n < max ? c.n : max;
	return OK;
}

enum err
store_memory_each_claim(struct store *s, uint32_t kind, int32_t state, uint64_t before_seq,
	size_t max, ledger_claim_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct choice c = {.kind = kind, .state = state, .before_seq = before_seq};

	return visit_in_order(s, &c, max, visit, arg, ei);
}

enum err
store_memory_each_expired(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max,
	ledger_claim_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct choice c = {.kind = kind, .state = LEDGER_ANY_STATE, .now_wall_ns = now_wall_ns};

	return visit_in_order(s, &c, max, visit, arg, ei);
}

static bool
keep_key(const struct ledger_claim *c, void *arg)
{
	memcpy(arg, c->key, sizeof(c->key));
	return false;
}

enum err
store_memory_purge_claims(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max,
	size_t *n, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);
	enum err rc = check_claims(m, kind, ei);

	*n = 0;
	while (rc == OK && *n < max) {
		struct choice c = {
			.kind = kind, .state = LEDGER_ANY_STATE, .now_wall_ns = now_wall_ns};
		uint8_t key[LEDGER_CLAIM_KEY];
		rc = visit_in_order(s, &c, 1, keep_key, key, ei);
		if (rc != OK || c.n == 0)
			break;
		rc = store_memory_change(m, kind, key, NULL, SPAN_NONE, ei);
		*n += rc == OK ? 1 : 0;
	}
	return rc;
}
