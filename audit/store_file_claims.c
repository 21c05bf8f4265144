/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims in the SQLite file: find, put once, change, delete, purge. What a claim means is the
 * business of pipeline/. Runs on the thread that owns the store, inside its transaction.
 */
#include <string.h>

#include "store_file.h"

void
store_bind_claim(struct db_stmt *st, uint32_t kind, const uint8_t *key)
{
	db_bind_int(st, 1, kind);
	db_bind_blob(st, 2, span_of((const char *)key, LEDGER_CLAIM_KEY));
}

struct db_stmt *
store_file_claim_stmt(struct store *s, enum store_statement which, uint32_t kind,
	const uint8_t *key, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, which, ei);

	if (st != NULL)
		store_bind_claim(st, kind, key);
	return st;
}

enum err
store_file_change_claim(struct store *s, struct db_stmt *st, struct errinfo *ei)
{
	enum err rc = db_run(st, ei);

	if (rc == OK && db_changes(store_file_cast(s)->db) == 0)
		return ERR(ei, ERR_NOT_FOUND, "no such claim");
	return rc;
}

enum err
store_read_claim(struct db_stmt *st, uint32_t kind, struct ledger_claim *out, struct errinfo *ei)
{
	struct span key = db_column_bytes(st, 0);
	struct span binding = db_column_bytes(st, 2);
	struct span owner = db_column_bytes(st, 5);

	if (key.n != sizeof(out->key) || binding.n != sizeof(out->binding_hash) ||
		owner.n != sizeof(out->owner))
		return ERR(ei, ERR_CORRUPT, "a claim is damaged");
	out->kind = kind;
	memcpy(out->key, key.p, sizeof(out->key));
	out->seq = (uint64_t)db_column_int(st, 1);
	memcpy(out->binding_hash, binding.p, sizeof(out->binding_hash));
	out->state = (int32_t)db_column_int(st, 3);
	out->expires_wall_ns = db_column_int(st, 4);
	memcpy(out->owner, owner.p, sizeof(out->owner));
	return OK;
}

enum err
store_file_find_claim(struct store *s, uint32_t kind, const uint8_t *key, struct ledger_claim *out,
	struct errinfo *ei)
{
	struct db_stmt *st = store_file_claim_stmt(s, STMT_FIND_CLAIM, kind, key, ei);
	bool has_row = false;

	*out = (struct ledger_claim){0};
	if (st == NULL)
		return ERR_IO;
	enum err rc = db_step(st, &has_row, ei);
	if (rc == OK && !has_row)
		return ERR(ei, ERR_NOT_FOUND, "no such claim");
	if (rc != OK)
		return rc;
	rc = store_read_claim(st, kind, out, ei);
	db_reset(st);
	return rc;
}

enum err
store_file_put_claim(struct store *s, const struct ledger_claim *c, struct errinfo *ei)
{
	struct db_stmt *st = store_file_claim_stmt(s, STMT_PUT_CLAIM, c->kind, c->key, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 3, (int64_t)c->seq);
	db_bind_blob(st, 4, span_of((const char *)c->binding_hash, sizeof(c->binding_hash)));
	db_bind_int(st, 5, c->state);
	db_bind_int(st, 6, c->expires_wall_ns);
	db_bind_blob(st, 7, span_of((const char *)c->owner, sizeof(c->owner)));
	enum err rc = db_run(st, ei);
	if (rc == OK && db_changes(store_file_cast(s)->db) == 0)
		return ERR(ei, ERR_CONFLICT, "already claimed");
	return rc;
}

enum err
store_file_set_claim_state(
	struct store *s, uint32_t kind, const uint8_t *key, int32_t state, struct errinfo *ei)
{
	struct db_stmt *st = store_file_claim_stmt(s, STMT_SET_CLAIM_STATE, kind, key, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 3, state);
	return store_file_change_claim(s, st, ei);
}

enum err
store_file_delete_claim(struct store *s, uint32_t kind, const uint8_t *key, struct errinfo *ei)
{
	struct db_stmt *st = store_file_claim_stmt(s, STMT_DELETE_CLAIM, kind, key, ei);

	if (st == NULL)
		return ERR_IO;
	return db_run(st, ei);
}

enum err
store_file_update_claim(struct store *s, const struct ledger_claim *c, struct errinfo *ei)
{
	struct db_stmt *st = store_file_claim_stmt(s, STMT_UPDATE_CLAIM, c->kind, c->key, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 3, (int64_t)c->seq);
	db_bind_int(st, 4, c->state);
	db_bind_int(st, 5, c->expires_wall_ns);
	return store_file_change_claim(s, st, ei);
}

enum err
store_file_purge_claims(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max, size_t *n,
	struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_PURGE_CLAIMS, ei);

	*n = 0;
	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, kind);
	db_bind_int(st, 2, now_wall_ns);
	db_bind_int(st, 3, (int64_t)max);
	enum err rc = db_run(st, ei);
	if (rc == OK)
		*n = (size_t)db_changes(store_file_cast(s)->db);
	return rc;
}
