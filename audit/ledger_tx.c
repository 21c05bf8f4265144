/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One transaction of the ledger: records are numbered, stamped, hashed and appended; an entry
 * that fails takes only its own writes back; after a store error nothing of the transaction
 * counts and the head is the last committed one. It must never let a store error look like a
 * rule's answer. Writer thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "base/redact.h"
#include "ledger_priv.h"
#include "lock.h"

enum err
ledger_tx_store_failed(struct ledger_tx *tx, const struct errinfo *detail, struct errinfo *ei)
{
	struct ledger *l = tx->l;

	if (!tx->has_failed) {
		tx->has_failed = true;
		memcpy(&l->tx_failure, detail, sizeof(l->tx_failure));
	}
	return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
}

const char *
ledger_tx_reason(const struct ledger_tx *tx)
{
	return tx->has_failed ? tx->l->tx_failure.msg : "";
}

/* ---- begin, commit ---- */

enum err
ledger_tx_begin(struct ledger *l, struct ledger_tx *tx, struct errinfo *ei)
{
	struct errinfo detail;

	memset(tx, 0, sizeof(*tx));
	tx->l = l;
	tx->head = l->head;
	l->n_tx_records = 0;
	buf_reset(&l->tx_bytes);
	if (l->store->ops->check_file(l->store, &detail) != OK ||
		l->store->ops->begin(l->store, &detail) != OK)
		return ledger_tx_store_failed(tx, &detail, ei);
	return OK;
}

void
ledger_tx_abort(struct ledger_tx *tx)
{
	tx->l->store->ops->rollback(tx->l->store);
}

/* Large groups are rare; their memory is not kept. */
static void
trim_bytes(struct ledger *l)
{
	if (l->tx_bytes.size <= LEDGER_GROUP_BYTES / 4)
		return;
	buf_fini(&l->tx_bytes);
	buf_init(&l->tx_bytes, LEDGER_TX_BYTES_MAX);
}

static void
publish(struct ledger_tx *tx)
{
	struct ledger *l = tx->l;

	for (size_t i = 0; l->ring != NULL && i < l->n_tx_records; i++) {
		const struct tx_record *r = &l->tx_records[i];
		ledger_ring_push(l->ring, r->seq, r->hash, span_of(l->tx_bytes.p + r->at, r->n));
	}
	if (l->ring != NULL && l->n_tx_records > 0)
		ledger_ring_wake(l->ring);
	if (tx->checkpoint.at.seq == 0)
		return;
	l->checkpoint_seq = tx->checkpoint.at.seq + 1;
	if (l->head_file != NULL)
		ledger_head_put(l->head_file, &tx->checkpoint);
}

/* After the first commit the log is durable; without the mark only its loss goes unnoticed. */
static void
mark_log(struct ledger *l)
{
	if (l->has_log_mark || l->lock_fd < 0)
		return;
	l->has_log_mark = true;
	if (!lock_mark_log(l->lock_fd, true))
		log_warn(NULL, "ledger: the lock file could not be written");
}

enum err
ledger_tx_commit(struct ledger_tx *tx, struct errinfo *ei)
{
	struct ledger *l = tx->l;
	struct errinfo detail;

	MUST(!tx->has_failed);
	if (l->store->ops->commit(l->store, &detail) != OK)
		return ledger_tx_store_failed(tx, &detail, ei);
	l->head = tx->head;
	atomic_store_explicit(&l->head_seq, l->head.seq, memory_order_relaxed);
	mark_log(l);
	metric_add(METRIC_LEDGER_RECORDS, (int64_t)l->n_tx_records);
	metric_add(METRIC_LEDGER_COMMITS, 1);
	publish(tx);
	trim_bytes(l);
	return OK;
}

void
ledger_fold_log(struct ledger *l)
{
	static struct log_limiter limiter;
	struct errinfo ei;
	uint64_t dropped = 0;

	if (l->store->ops->fold_log == NULL || l->store->ops->fold_log(l->store, &ei) == OK)
		return;
	if (log_limit(&limiter, &dropped))
		log_warn(NULL, "ledger: its log grows, it cannot be moved into the database: %s",
			ei.msg);
}

/* ---- entries ---- */

enum err
ledger_tx_mark(struct ledger_tx *tx, struct errinfo *ei)
{
	struct errinfo detail;

	if (tx->has_failed)
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	if (tx->entry == NULL || tx->is_marked)
		return OK;
	if (tx->l->store->ops->mark(tx->l->store, &detail) != OK)
		return ledger_tx_store_failed(tx, &detail, ei);
	tx->is_marked = true;
	return OK;
}

static void
unmark_entry(struct ledger_tx *tx, bool keep)
{
	struct errinfo detail;

	if (tx->has_failed || !tx->is_marked)
		return;
	tx->is_marked = false;
	if (tx->l->store->ops->unmark(tx->l->store, keep, &detail) != OK)
		(void)ledger_tx_store_failed(tx, &detail, NULL);
}

/* Appended records are taken back without a savepoint: one per entry would cost more than it is
 * ever used for. */
static void
take_records_back(
	struct ledger_tx *tx, const struct chain_head *to, size_t n_records, size_t n_bytes)
{
	struct ledger *l = tx->l;
	struct errinfo detail;

	if (tx->has_failed || tx->head.seq == to->seq)
		return;
	if (l->store->ops->truncate(l->store, to, &detail) != OK)
		(void)ledger_tx_store_failed(tx, &detail, NULL);
	tx->head = *to;
	l->n_tx_records = n_records;
	buf_truncate(&l->tx_bytes, n_bytes);
}

enum err
ledger_tx_run_entry(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct ledger *l = tx->l;
	struct chain_head head = tx->head;
	size_t n_records = l->n_tx_records;
	size_t n_bytes = l->tx_bytes.n;
	bool is_undo = (e->flags & ENTRY_UNDO) != 0;

	tx->entry = e;
	tx->is_marked = false;
	enum err rc = is_undo ? e->undo(tx, e, ei) : e->apply(tx, e, ei);
	unmark_entry(tx, rc == OK);
	if (rc != OK)
		take_records_back(tx, &head, n_records, n_bytes);
	tx->entry = NULL;
	if (tx->has_failed)
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	if (rc != OK && !is_undo) {
		e->seq = 0;
		e->event_hash[0] = '\0';
	}
	return rc;
}

/* ---- records ---- */

static struct tx_record *
new_record(struct ledger *l)
{
	if (l->n_tx_records == l->n_tx_records_max) {
		size_t n = l->n_tx_records_max == 0 ? 256 : l->n_tx_records_max * 2;
		struct tx_record *grown = mem_realloc(l->tx_records, n * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		l->tx_records = grown;
		l->n_tx_records_max = n;
	}
	return &l->tx_records[l->n_tx_records];
}

/* Builds the next body behind tx_bytes and hashes it. */
static struct tx_record *
build_record(struct ledger_tx *tx, const struct record_text *text)
{
	struct ledger *l = tx->l;
	char stamp[CLOCK_TEXT_MAX];
	size_t n_stamp = clock_format(clock_wall_ns(), stamp);
	struct tx_record *r = new_record(l);

	if (r == NULL)
		return NULL;
	r->at = l->tx_bytes.n;
	r->seq = tx->head.seq + 1;
	chain_build_body(text, l->chain_id, &tx->head, span_of(stamp, n_stamp), &l->tx_bytes);
	if (buf_failed(&l->tx_bytes))
		return NULL;
	r->n = l->tx_bytes.n - r->at;
	chain_hash(span_of(l->tx_bytes.p + r->at, r->n),
		span_of(tx->head.hash, tx->head.seq > 0 ? SHA256_HEX : 0), r->hash);
	return r;
}

enum err
ledger_tx_append(struct ledger_tx *tx, const struct record_text *text, enum ledger_state state,
	uint64_t *seq, struct errinfo *ei)
{
	struct ledger *l = tx->l;
	struct errinfo detail;

	*seq = 0;
	if (tx->has_failed)
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	const struct tx_record *r = build_record(tx, text);
	if (r == NULL) {
		(void)ERR(&detail, ERR_NOMEM, "out of memory");
		return ledger_tx_store_failed(tx, &detail, ei);
	}
	struct store_row row = {
		.seq = r->seq, .state = (int)state, .body = span_of(l->tx_bytes.p + r->at, r->n)};
	memcpy(row.hash, r->hash, sizeof(row.hash));
	if (l->store->ops->append(l->store, &row, &detail) != OK)
		return ledger_tx_store_failed(tx, &detail, ei);
	l->n_tx_records++;
	tx->head.seq = row.seq;
	memcpy(tx->head.hash, row.hash, sizeof(tx->head.hash));
	if (tx->entry != NULL && (tx->entry->flags & ENTRY_UNDO) == 0) {
		tx->entry->seq = row.seq;
		memcpy(tx->entry->event_hash, row.hash, sizeof(row.hash));
	}
	*seq = row.seq;
	return OK;
}

enum err
ledger_tx_close(struct ledger_tx *tx, uint64_t intent_seq, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;
	enum err rc = ledger_tx_mark(tx, ei);

	if (rc != OK)
		return rc;
	rc = s->ops->set_state(s, intent_seq, LEDGER_OPEN, LEDGER_COMPLETE, &detail);
	if (rc == ERR_NOT_FOUND)
		rc = s->ops->set_state(s, intent_seq, LEDGER_AUTHORIZED, LEDGER_COMPLETE, &detail);
	if (rc == ERR_NOT_FOUND)
		return ERR(ei, rc, "%s", detail.msg);
	return rc == OK ? OK : ledger_tx_store_failed(tx, &detail, ei);
}

enum err
ledger_tx_get_state(struct ledger_tx *tx, uint64_t seq, enum ledger_state *out, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;
	int state = LEDGER_COMPLETE;

	*out = LEDGER_COMPLETE;
	if (tx->has_failed)
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	enum err rc = s->ops->get_state(s, seq, &state, &detail);
	if (rc == ERR_NOT_FOUND)
		return ERR(ei, rc, "%s", detail.msg);
	*out = (enum ledger_state)state;
	return rc == OK ? OK : ledger_tx_store_failed(tx, &detail, ei);
}

enum err
ledger_tx_each_of_state(struct ledger_tx *tx, enum ledger_state state, store_visit_fn visit,
	void *arg, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;

	if (tx->has_failed)
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	if (s->ops->page_state(s, (int)state, 0, visit, arg, &detail) != OK)
		return ledger_tx_store_failed(tx, &detail, ei);
	return OK;
}

/* An entry that was turned back has its undo at the head of what is applied next, before anybody could ask. */
bool
ledger_tx_is_released(const struct ledger_tx *tx, uint64_t seq)
{
	const struct ledger *l = tx->l;

	return seq <= l->head.seq && seq <= ledger_required_taken(l);
}

/* ---- the ledger's own rows ---- */

static enum err
put_meta_number(struct ledger *l, const char *key, uint64_t v, struct errinfo *ei)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64, v);

	return l->store->ops->put_meta(l->store, key, span_of(text, (size_t)n), ei);
}

enum err
ledger_tx_append_checkpoint(struct ledger_tx *tx, struct errinfo *ei)
{
	struct ledger *l = tx->l;
	struct checkpoint cp = {.at = tx->head};
	struct record_text text;
	struct errinfo detail;
	uint64_t seq = 0;
	struct buf b64;

	memcpy(cp.chain_id, l->chain_id, sizeof(cp.chain_id));
	arena_reset(l->arena);
	buf_init_arena(&b64, l->arena, (size_t)2 * SIGN_ED25519_BYTES);
	struct record *r = record_new(l->arena, CHECKPOINT_EVENT);
	enum err rc = r == NULL ? ERR(&detail, ERR_NOMEM, "out of memory")
				: checkpoint_sign(l->key, &cp, &detail);
	if (rc == OK) {
		sign_base64_encode(span_of((const char *)cp.signature, sizeof(cp.signature)), &b64);
		record_set_int(r, RECORD_CHECKPOINT_SEQ, (int64_t)cp.at.seq);
		record_set_text(r, RECORD_CHECKPOINT_HASH, span_cstr(cp.at.hash));
		record_set_text(r, RECORD_KEY_ID, span_cstr(cp.key_id));
		record_set_text(r, RECORD_SIGNATURE, buf_span(&b64));
		rc = record_render(r, redactor_default(), l->arena, &text, &detail);
	}
	if (rc != OK)
		return ledger_tx_store_failed(tx, &detail, ei);
	rc = ledger_tx_append(tx, &text, LEDGER_COMPLETE, &seq, ei);
	if (rc != OK)
		return rc;
	if (put_meta_number(l, META_CHECKPOINT, seq, &detail) != OK)
		return ledger_tx_store_failed(tx, &detail, ei);
	tx->checkpoint = cp;
	return OK;
}

enum err
ledger_tx_put_cursors(struct ledger_tx *tx, struct errinfo *ei)
{
	struct ledger *l = tx->l;
	struct errinfo detail;

	for (size_t i = 0; i < l->n_sinks; i++) {
		struct ledger_sink *s = &l->sinks[i];
		uint64_t taken = atomic_load_explicit(&s->taken, memory_order_acquire);
		if (taken == s->cursor)
			continue;
		if (l->store->ops->put_cursor(l->store, s->sink->name, taken, &detail) != OK)
			return ledger_tx_store_failed(tx, &detail, ei);
		/* If the commit fails the store only has an older cursor: the sink is fed twice,
		 * never less. */
		s->cursor = taken;
	}
	return ledger_tx_put_statuses(tx, ei);
}
