/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of stateless mode, tests and benches: the head, which records are open, and claims,
 * in memory; bodies live in the ledger's ring until the sinks took them. Transactions are an undo
 * list. When a rollback cannot be carried out the store refuses everything from then on. Runs on
 * the thread that owns the store.
 */
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"
#include "store_memory.h"

#define ROWS_MAX (1u << 20)
#define ROW_KEY_BYTES (sizeof(uint32_t) + LEDGER_CLAIM_KEY)

struct store_memory *
store_memory_cast(struct store *s)
{
	struct store_memory *m = (struct store_memory *)(void *)s;

	OBJ_CHECK(m, MEMORY_MAGIC);
	return m;
}

static struct span
row_key(uint32_t kind, const uint8_t *key, char out[ROW_KEY_BYTES])
{
	memcpy(out, &kind, sizeof(kind));
	memcpy(out + sizeof(kind), key, LEDGER_CLAIM_KEY);
	return span_of(out, ROW_KEY_BYTES);
}

static void
open_key(uint64_t seq, uint8_t out[LEDGER_CLAIM_KEY])
{
	memset(out, 0, LEDGER_CLAIM_KEY);
	memcpy(out, &seq, sizeof(seq));
}

struct memory_row *
store_memory_find(struct store_memory *m, uint32_t kind, const uint8_t *key)
{
	char k[ROW_KEY_BYTES];

	return map_find(m->rows, row_key(kind, key, k));
}

/* Room for one more change, before anything is changed. */
static bool
reserve_change(struct store_memory *m)
{
	if (m->n_changes < m->n_changes_max)
		return true;
	size_t n = m->n_changes_max == 0 ? 64 : m->n_changes_max * 2;
	struct change *grown = mem_realloc(m->changes, n * sizeof(*grown));
	if (grown == NULL)
		return false;
	m->changes = grown;
	m->n_changes_max = n;
	return true;
}

static struct memory_row *
new_row(const struct ledger_claim *claim, struct span body)
{
	struct memory_row *row = mem_alloc(sizeof(*row) + body.n);

	if (row == NULL)
		return NULL;
	row->claim = *claim;
	row->has_body = body.p != NULL;
	row->n_body = body.n;
	if (body.n > 0)
		memcpy(row->body, body.p, body.n);
	return row;
}

enum err
store_memory_change(struct store_memory *m, uint32_t kind, const uint8_t *key,
	const struct ledger_claim *claim, struct span body, struct errinfo *ei)
{
	char k[ROW_KEY_BYTES];
	struct span name = row_key(kind, key, k);
	void *old = NULL;

	if (m->is_broken || !reserve_change(m))
		return ERR(ei, ERR_NOMEM, "out of memory");
	if (claim == NULL) {
		old = map_take(m->rows, name);
	} else {
		struct memory_row *row = new_row(claim, body);
		if (row == NULL)
			return ERR(ei, ERR_NOMEM, "out of memory");
		if (!map_put(m->rows, name, row, &old)) {
			mem_free(row);
			return ERR(ei, ERR_NOMEM, "the store is full");
		}
	}
	struct change *c = &m->changes[m->n_changes++];
	c->kind = kind;
	memcpy(c->key, key, sizeof(c->key));
	c->old = old;
	return OK;
}

static void
undo_changes(struct store_memory *m, size_t down_to)
{
	while (m->n_changes > down_to) {
		struct change *c = &m->changes[--m->n_changes];
		char k[ROW_KEY_BYTES];
		struct span name = row_key(c->kind, c->key, k);
		void *current = NULL;
		if (c->old == NULL) {
			current = map_take(m->rows, name);
		} else if (!map_put(m->rows, name, c->old, &current)) {
			mem_free(c->old);
			m->is_broken = true;
		}
		mem_free(current);
	}
}

static void
forget_changes(struct store_memory *m)
{
	while (m->n_changes > 0)
		mem_free(m->changes[--m->n_changes].old);
}

static enum err
begin(struct store *s, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);

	if (m->is_broken)
		return ERR(
			ei, ERR_NOMEM, "the store could not take back a change and is out of use");
	m->head_at_begin = m->head;
	m->is_in_transaction = true;
	return OK;
}

static enum err
commit(struct store *s, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);

	(void)ei;
	forget_changes(m);
	m->is_in_transaction = false;
	return OK;
}

static void
rollback(struct store *s)
{
	struct store_memory *m = store_memory_cast(s);

	if (!m->is_in_transaction)
		return;
	undo_changes(m, 0);
	m->head = m->head_at_begin;
	m->is_in_transaction = false;
}

static enum err
mark(struct store *s, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);

	(void)ei;
	m->n_changes_at_mark = m->n_changes;
	m->head_at_mark = m->head;
	return OK;
}

static enum err
unmark(struct store *s, bool keep, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);

	if (keep)
		return OK;
	undo_changes(m, m->n_changes_at_mark);
	m->head = m->head_at_mark;
	return m->is_broken ? ERR(ei, ERR_NOMEM, "out of memory") : OK;
}

static enum err
append(struct store *s, const struct store_row *row, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);

	/* Without claims nothing can be reported: rows that nobody ever closes would fill the table. */
	if (row->state == LEDGER_OPEN || (row->state != LEDGER_COMPLETE && m->has_claims)) {
		struct ledger_claim open = {
			.kind = KIND_OPEN, .seq = row->seq, .state = row->state};
		open_key(row->seq, open.key);
		enum err rc = store_memory_change(m, KIND_OPEN, open.key, &open, SPAN_NONE, ei);
		if (rc != OK)
			return rc;
	}
	m->head.seq = row->seq;
	memcpy(m->head.hash, row->hash, sizeof(m->head.hash));
	return OK;
}

static enum err
truncate_records(struct store *s, const struct chain_head *to, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);
	enum err rc = OK;

	for (uint64_t seq = to->seq + 1; rc == OK && seq <= m->head.seq; seq++) {
		uint8_t key[LEDGER_CLAIM_KEY];
		open_key(seq, key);
		if (store_memory_find(m, KIND_OPEN, key) != NULL)
			rc = store_memory_change(m, KIND_OPEN, key, NULL, SPAN_NONE, ei);
	}
	m->head = *to;
	return rc;
}

static enum err
set_state(struct store *s, uint64_t seq, int from, int to, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);
	uint8_t key[LEDGER_CLAIM_KEY];

	open_key(seq, key);
	const struct memory_row *row = store_memory_find(m, KIND_OPEN, key);
	if (row == NULL || row->claim.state != from)
		return ERR(ei, ERR_NOT_FOUND, "the record is not open");
	struct ledger_claim changed = row->claim;
	changed.state = to;
	return store_memory_change(
		m, KIND_OPEN, key, to != LEDGER_COMPLETE ? &changed : NULL, SPAN_NONE, ei);
}

static enum err
get_state(struct store *s, uint64_t seq, int *out, struct errinfo *ei)
{
	struct store_memory *m = store_memory_cast(s);
	uint8_t key[LEDGER_CLAIM_KEY];

	*out = LEDGER_COMPLETE;
	if (seq == 0 || seq > m->head.seq)
		return ERR(ei, ERR_NOT_FOUND, "there is no such record");
	open_key(seq, key);
	const struct memory_row *row = store_memory_find(m, KIND_OPEN, key);
	if (row != NULL)
		*out = row->claim.state;
	return OK;
}

/* Nothing of a sink outlives the process, so a cursor is always new. */
static enum err
get_cursor(struct store *s, const char *sink, uint64_t *seq, struct errinfo *ei)
{
	(void)s;
	(void)sink;
	*seq = 0;
	return ERR(ei, ERR_NOT_FOUND, "no cursor");
}

static enum err
put_cursor(struct store *s, const char *sink, uint64_t seq, struct errinfo *ei)
{
	(void)s;
	(void)sink;
	(void)seq;
	(void)ei;
	return OK;
}

static enum err
get_meta(struct store *s, const char *key, struct buf *out, struct errinfo *ei)
{
	(void)s;
	(void)out;
	return ERR(ei, ERR_NOT_FOUND, "no meta value %s", key);
}

static enum err
put_meta(struct store *s, const char *key, struct span value, struct errinfo *ei)
{
	(void)s;
	(void)key;
	(void)value;
	(void)ei;
	return OK;
}

static enum err
head(struct store *s, struct chain_head *out, struct errinfo *ei)
{
	(void)ei;
	*out = store_memory_cast(s)->head;
	return OK;
}

/* Bodies are not kept: there is nothing to visit. */
static enum err
page(struct store *s, uint64_t after, size_t max, store_visit_fn visit, void *arg,
	struct errinfo *ei)
{
	(void)s;
	(void)after;
	(void)max;
	(void)visit;
	(void)arg;
	(void)ei;
	return OK;
}

static enum err
page_state(struct store *s, int state, uint64_t after, store_visit_fn visit, void *arg,
	struct errinfo *ei)
{
	(void)state;
	return page(s, after, STORE_PAGE_MAX, visit, arg, ei);
}

static enum err
check_file(struct store *s, struct errinfo *ei)
{
	(void)s;
	(void)ei;
	return OK;
}

static enum err
reopen(struct store *s, struct errinfo *ei)
{
	return store_memory_cast(s)->is_broken ? ERR(ei, ERR_NOMEM, "the store is out of use") : OK;
}

static void
free_store(struct store *s)
{
	struct store_memory *m = store_memory_cast(s);

	forget_changes(m);
	mem_free(m->changes);
	map_free(&m->rows, mem_free);
	m->magic = 0;
	mem_free(m);
}

static const struct store_ops memory_ops = {
	.begin = begin,
	.commit = commit,
	.rollback = rollback,
	.mark = mark,
	.unmark = unmark,
	.append = append,
	.truncate = truncate_records,
	.set_state = set_state,
	.get_state = get_state,
	.find_claim = store_memory_find_claim,
	.put_claim = store_memory_put_claim,
	.set_claim_state = store_memory_set_claim_state,
	.delete_claim = store_memory_delete_claim,
	.update_claim = store_memory_update_claim,
	.purge_claims = store_memory_purge_claims,
	.set_claim_body = store_memory_set_claim_body,
	.get_claim_body = store_memory_get_claim_body,
	.count_claims = store_memory_count_claims,
	.each_claim = store_memory_each_claim,
	.each_expired = store_memory_each_expired,
	.get_cursor = get_cursor,
	.put_cursor = put_cursor,
	.get_meta = get_meta,
	.put_meta = put_meta,
	.head = head,
	.page = page,
	.page_state = page_state,
	.check_file = check_file,
	.reopen = reopen,
	.free = free_store,
};

enum err
store_memory_new(bool with_claims, struct store **out, struct errinfo *ei)
{
	*out = NULL;
	struct store_memory *m = mem_zalloc(1, sizeof(*m));
	if (m == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	m->base.ops = &memory_ops;
	m->magic = MEMORY_MAGIC;
	m->has_claims = with_claims;
	m->rows = map_new(ROWS_MAX);
	if (m->rows == NULL) {
		mem_free(m);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	*out = &m->base;
	return OK;
}
