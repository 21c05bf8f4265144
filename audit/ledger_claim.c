/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims inside a transaction of the ledger. They keep a rule's answer (taken, absent, not
 * offered) apart from a store that fails, which ends the whole transaction. Writer thread.
 */
#include "ledger_priv.h"

static bool
is_answer(enum err rc)
{
	return rc == OK || rc == ERR_NOT_FOUND || rc == ERR_UNSUPPORTED || rc == ERR_INVALID;
}

static enum err
judge(struct ledger_tx *tx, enum err rc, const struct errinfo *detail, struct errinfo *ei)
{
	if (rc == OK)
		return OK;
	return is_answer(rc) ? ERR(ei, rc, "%s", detail->msg)
			     : ledger_tx_store_failed(tx, detail, ei);
}

enum err
ledger_tx_find_claim(struct ledger_tx *tx, uint32_t kind, const uint8_t key[LEDGER_CLAIM_KEY],
	struct ledger_claim *out, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;

	*out = (struct ledger_claim){0};
	if (tx->has_failed)
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	return judge(tx, s->ops->find_claim(s, kind, key, out, &detail), &detail, ei);
}

enum err
ledger_tx_put_claim(struct ledger_tx *tx, const struct ledger_claim *c, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;
	enum err rc = ledger_tx_mark(tx, ei);

	if (rc != OK)
		return rc;
	rc = s->ops->put_claim(s, c, &detail);
	if (rc == ERR_CONFLICT)
		return ERR(ei, rc, "%s", detail.msg);
	return judge(tx, rc, &detail, ei);
}

enum err
ledger_tx_set_claim_state(struct ledger_tx *tx, uint32_t kind, const uint8_t key[LEDGER_CLAIM_KEY],
	int32_t state, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;
	enum err rc = ledger_tx_mark(tx, ei);

	if (rc != OK)
		return rc;
	return judge(tx, s->ops->set_claim_state(s, kind, key, state, &detail), &detail, ei);
}

enum err
ledger_tx_delete_claim(struct ledger_tx *tx, uint32_t kind, const uint8_t key[LEDGER_CLAIM_KEY],
	struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;
	enum err rc = ledger_tx_mark(tx, ei);

	if (rc != OK)
		return rc;
	return judge(tx, s->ops->delete_claim(s, kind, key, &detail), &detail, ei);
}

enum err
ledger_tx_update_claim(struct ledger_tx *tx, const struct ledger_claim *c, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;
	enum err rc = ledger_tx_mark(tx, ei);

	if (rc != OK)
		return rc;
	return judge(tx, s->ops->update_claim(s, c, &detail), &detail, ei);
}

enum err
ledger_tx_purge_claims(struct ledger_tx *tx, uint32_t kind, int64_t now_wall_ns, size_t max,
	size_t *n, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;
	enum err rc = ledger_tx_mark(tx, ei);

	*n = 0;
	if (rc != OK)
		return rc;
	return judge(tx, s->ops->purge_claims(s, kind, now_wall_ns, max, n, &detail), &detail, ei);
}

enum err
ledger_tx_set_claim_body(struct ledger_tx *tx, uint32_t kind, const uint8_t key[LEDGER_CLAIM_KEY],
	struct span body, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;

	if (body.n > LEDGER_CLAIM_BODY_MAX)
		return ERR(ei, ERR_INVALID, "the text is too long to stand beside a claim");
	enum err rc = ledger_tx_mark(tx, ei);
	if (rc != OK)
		return rc;
	return judge(tx, s->ops->set_claim_body(s, kind, key, body, &detail), &detail, ei);
}

/* ---- reading ---- */

enum err
ledger_tx_get_claim_body(struct ledger_tx *tx, uint32_t kind, const uint8_t key[LEDGER_CLAIM_KEY],
	struct buf *out, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;

	if (tx->has_failed)
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	return judge(tx, s->ops->get_claim_body(s, kind, key, out, &detail), &detail, ei);
}

enum err
ledger_tx_count_claims(struct ledger_tx *tx, uint32_t kind, int32_t state, const uint8_t *owner,
	size_t max, size_t *n, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;

	*n = 0;
	if (tx->has_failed)
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	return judge(tx, s->ops->count_claims(s, kind, state, owner, max, n, &detail), &detail, ei);
}

enum err
ledger_tx_each_claim(struct ledger_tx *tx, uint32_t kind, int32_t state, uint64_t before_seq,
	size_t max, ledger_claim_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;

	if (tx->has_failed)
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	return judge(tx, s->ops->each_claim(s, kind, state, before_seq, max, visit, arg, &detail),
		&detail, ei);
}

enum err
ledger_tx_each_expired(struct ledger_tx *tx, uint32_t kind, int64_t now_wall_ns, size_t max,
	ledger_claim_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct store *s = tx->l->store;
	struct errinfo detail;

	if (tx->has_failed)
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	return judge(tx, s->ops->each_expired(s, kind, now_wall_ns, max, visit, arg, &detail),
		&detail, ei);
}
