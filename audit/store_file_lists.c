/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies beside claims in the SQLite file, their bodies, and what is asked of many claims at once: counts and
 * lists, each by an index and with a bound. Runs on the thread that owns the store.
 */
#include "base/buf.h"
#include "store_file.h"

enum err
store_file_set_claim_body(
	struct store *s, uint32_t kind, const uint8_t *key, struct span body, struct errinfo *ei)
{
	struct db_stmt *st = store_file_claim_stmt(s, STMT_SET_CLAIM_BODY, kind, key, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_blob(st, 3, body);
	return store_file_change_claim(s, st, ei);
}

enum err
store_read_claim_body(struct db_stmt *st, uint32_t kind, const uint8_t key[LEDGER_CLAIM_KEY],
	struct buf *out, struct errinfo *ei)
{
	bool has_row = false;

	store_bind_claim(st, kind, key);
	enum err rc = db_step(st, &has_row, ei);
	if (rc == OK && !has_row)
		return ERR(ei, ERR_NOT_FOUND, "the claim has no body");
	if (rc == OK) {
		buf_add_span(out, db_column_bytes(st, 0));
		db_reset(st);
	}
	return rc;
}

enum err
store_file_get_claim_body(
	struct store *s, uint32_t kind, const uint8_t *key, struct buf *out, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_GET_CLAIM_BODY, ei);

	return st != NULL ? store_read_claim_body(st, kind, key, out, ei) : ERR_IO;
}

static enum store_statement
count_statement(bool has_state, bool has_owner)
{
	if (has_owner)
		return has_state ? STMT_COUNT_OWNER_STATE : STMT_COUNT_OWNER;
	return has_state ? STMT_COUNT_STATE : STMT_COUNT_KIND;
}

enum err
store_file_count_claims(struct store *s, uint32_t kind, int32_t state, const uint8_t *owner,
	size_t max, size_t *n, struct errinfo *ei)
{
	bool has_state = state != LEDGER_ANY_STATE;
	struct db_stmt *st = store_file_stmt(s, count_statement(has_state, owner != NULL), ei);
	bool has_row = false;

	*n = 0;
	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, kind);
	db_bind_int(st, 2, (int64_t)max);
	if (has_state)
		db_bind_int(st, 3, state);
	if (owner != NULL)
		db_bind_blob(st, 4, span_of((const char *)owner, LEDGER_CLAIM_OWNER));
	enum err rc = db_step(st, &has_row, ei);
	if (rc == OK && has_row) {
		*n = (size_t)db_column_int(st, 0);
		db_reset(st);
	}
	return rc;
}

static enum err
visit_claims(struct db_stmt *st, uint32_t kind, ledger_claim_visit_fn visit, void *arg,
	struct errinfo *ei)
{
	struct ledger_claim c = {0};
	bool has_row = false;
	enum err rc = db_step(st, &has_row, ei);

	while (rc == OK && has_row) {
		rc = store_read_claim(st, kind, &c, ei);
		if (rc != OK || !visit(&c, arg))
			break;
		rc = db_step(st, &has_row, ei);
	}
	db_reset(st);
	return rc;
}

enum err
store_list_claims(struct db_stmt *st, const struct claim_list *list, ledger_claim_visit_fn visit,
	void *arg, struct errinfo *ei)
{
	bool has_bound = list->before_seq != 0 && list->before_seq <= INT64_MAX;

	db_bind_int(st, 1, list->kind);
	db_bind_int(st, 2, has_bound ? (int64_t)list->before_seq : INT64_MAX);
	db_bind_int(st, 3, (int64_t)list->max);
	if (list->state != LEDGER_ANY_STATE)
		db_bind_int(st, 4, list->state);
	return visit_claims(st, list->kind, visit, arg, ei);
}

enum err
store_file_each_claim(struct store *s, uint32_t kind, int32_t state, uint64_t before_seq,
	size_t max, ledger_claim_visit_fn visit, void *arg, struct errinfo *ei)
{
	const struct claim_list list = {kind, state, before_seq, max};
	struct db_stmt *st = store_file_stmt(
		s, state != LEDGER_ANY_STATE ? STMT_EACH_CLAIM_STATE : STMT_EACH_CLAIM, ei);

	return st != NULL ? store_list_claims(st, &list, visit, arg, ei) : ERR_IO;
}

enum err
store_file_each_expired(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max,
	ledger_claim_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_EACH_EXPIRED, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, kind);
	db_bind_int(st, 2, now_wall_ns);
	db_bind_int(st, 3, (int64_t)max);
	return visit_claims(st, kind, visit, arg, ei);
}
