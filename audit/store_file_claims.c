/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims in the SQLite file: find, put once, change, delete, purge. What a claim means is the
 * business of pipeline/. Runs on the thread that owns the store, inside its transaction.
 */
#include <string.h>

#include "store_file.h"

static struct span
key_span(const uint8_t *key)
{
	return span_of((const char *)key, LEDGER_CLAIM_KEY);
}

static enum err
read_claim(struct db_stmt *st, struct ledger_claim *out, struct errinfo *ei)
{
	struct span binding = db_column_bytes(st, 1);

	if (binding.n != sizeof(out->binding_hash))
		return ERR(ei, ERR_CORRUPT, "a claim is damaged");
	out->seq = (uint64_t)db_column_int(st, 0);
	memcpy(out->binding_hash, binding.p, sizeof(out->binding_hash));
	out->state = (int32_t)db_column_int(st, 2);
	out->expires_wall_ns = db_column_int(st, 3);
	return OK;
}

enum err
store_file_find_claim(struct store *s, uint32_t kind, const uint8_t *key, struct ledger_claim *out,
	struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_FIND_CLAIM, ei);
	bool has_row = false;

	*out = (struct ledger_claim){0};
	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, kind);
	db_bind_blob(st, 2, key_span(key));
	enum err rc = db_step(st, &has_row, ei);
	if (rc == OK && !has_row)
		return ERR(ei, ERR_NOT_FOUND, "no such claim");
	if (rc != OK)
		return rc;
	rc = read_claim(st, out, ei);
	db_reset(st);
	out->kind = kind;
	memcpy(out->key, key, sizeof(out->key));
	return rc;
}

enum err
store_file_put_claim(struct store *s, const struct ledger_claim *c, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_PUT_CLAIM, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, c->kind);
	db_bind_blob(st, 2, key_span(c->key));
	db_bind_int(st, 3, (int64_t)c->seq);
	db_bind_blob(st, 4, span_of((const char *)c->binding_hash, sizeof(c->binding_hash)));
	db_bind_int(st, 5, c->state);
	db_bind_int(st, 6, c->expires_wall_ns);
	enum err rc = db_run(st, ei);
	if (rc == OK && db_changes(store_file_cast(s)->db) == 0)
		return ERR(ei, ERR_CONFLICT, "already claimed");
	return rc;
}

enum err
store_file_set_claim_state(
	struct store *s, uint32_t kind, const uint8_t *key, int32_t state, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_SET_CLAIM_STATE, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, kind);
	db_bind_blob(st, 2, key_span(key));
	db_bind_int(st, 3, state);
	enum err rc = db_run(st, ei);
	if (rc == OK && db_changes(store_file_cast(s)->db) == 0)
		return ERR(ei, ERR_NOT_FOUND, "no such claim");
	return rc;
}

enum err
store_file_delete_claim(struct store *s, uint32_t kind, const uint8_t *key, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_DELETE_CLAIM, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, kind);
	db_bind_blob(st, 2, key_span(key));
	return db_run(st, ei);
}

enum err
store_file_purge_claims(struct store *s, int64_t now_wall_ns, size_t max, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_PURGE_CLAIMS, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, now_wall_ns);
	db_bind_int(st, 2, (int64_t)max);
	return db_run(st, ei);
}
