/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What index files have in common. Reads only; any thread that owns the connection. */
#include "index_layout.h"

#include <string.h>

#include "audit/store.h"
#include "base/parse.h"
#include "index_postings.h"
#include "store_sqlite.h"

const char *
index_field_member(int field)
{
	switch (field) {
#define X(id, number, member)                                                                      \
	case id:                                                                                   \
		return member;
		INDEX_FIELDS(X)
#undef X
	default:
		return NULL;
	}
}

struct span
index_field_value(struct span raw)
{
	if (raw.n < 2 || raw.p[0] != '"')
		return SPAN_NONE;
	raw = span_of(raw.p + 1, raw.n - 2);
	return raw.n > INDEX_VALUE_MAX ? span_of(raw.p, INDEX_VALUE_MAX) : raw;
}

static enum err
read_text(struct db *db, const char *key, char *out, size_t size, struct errinfo *ei)
{
	struct db_stmt *st = NULL;
	bool has_row = false;
	enum err rc = db_prepare(db, "SELECT value FROM meta WHERE key = ?1", &st, ei);

	out[0] = '\0';
	if (rc != OK)
		return rc;
	db_bind_text(st, 1, span_cstr(key));
	rc = db_step(st, &has_row, ei);
	if (rc == OK) {
		struct span value = has_row ? db_column_bytes(st, 0) : SPAN_NONE;
		if (value.n == 0 || value.n >= size) {
			rc = ERR(ei, ERR_INVALID, "the index has no %s", key);
		} else {
			memcpy(out, value.p, value.n);
			out[value.n] = '\0';
		}
	}
	db_stmt_free(&st);
	return rc;
}

static enum err
read_number(struct db *db, const char *key, uint64_t max, uint64_t *out, struct errinfo *ei)
{
	char text[24];
	enum err rc = read_text(db, key, text, sizeof(text), ei);

	if (rc == OK && !parse_uint(span_cstr(text), max, out))
		rc = ERR(ei, ERR_INVALID, "the index has no sound %s", key);
	return rc;
}

enum err
index_read_header(struct db *db, struct index_header *out, struct errinfo *ei)
{
	int64_t application = 0;
	int64_t version = 0;
	int64_t n_tables = 0;
	uint64_t shift = 0;
	enum err rc = db_query_int(db, "PRAGMA application_id", &application, ei);

	*out = (struct index_header){0};
	if (rc == OK)
		rc = db_query_int(db, "PRAGMA user_version", &version, ei);
	if (rc == OK && application != INDEX_APPLICATION_ID)
		rc = ERR(ei, ERR_INVALID, "the file is no search index");
	if (rc == OK && version != INDEX_VERSION)
		rc = ERR(ei, ERR_UNSUPPORTED, "the search index is of another version");
	if (rc == OK)
		rc = db_query_int(db,
			"SELECT count(*) FROM sqlite_schema WHERE type = 'table'"
			" AND name IN ('entries', 'times', 'meta')",
			&n_tables, ei);
	if (rc == OK && n_tables != 3)
		rc = ERR(ei, ERR_INVALID, "the search index lacks a table");
	if (rc == OK)
		rc = read_text(db, "chain_id", out->chain_id, sizeof(out->chain_id), ei);
	if (rc == OK)
		rc = read_number(db, "shift", 32, &shift, ei);
	if (rc == OK)
		rc = read_number(db, "seq", INT64_MAX, &out->at.seq, ei);
	if (rc == OK && out->at.seq > 0)
		rc = read_text(db, "hash", out->at.hash, sizeof(out->at.hash), ei);
	out->shift = (unsigned)shift;
	return rc;
}

static bool
is_row_at(const struct store_row *row, void *arg)
{
	struct chain_head *at = arg;

	/* The place becomes empty when it is confirmed. */
	if (row->seq == at->seq && strcmp(row->hash, at->hash) == 0)
		at->seq = 0;
	return false;
}

enum err
index_check_ledger(const struct index_header *h, struct span chain_id, struct store_reader *ledger,
	struct errinfo *ei)
{
	struct chain_head at = h->at;
	enum err rc = OK;

	if (!span_eq_cstr(chain_id, h->chain_id))
		return ERR(ei, ERR_INVALID, "it is of another chain");
	if (at.seq > 0)
		rc = store_reader_page(ledger, at.seq - 1, 1, is_row_at, &at, NULL, ei);
	if (rc == OK && at.seq != 0)
		return ERR(ei, ERR_INVALID, "it ends at a record that the ledger does not have");
	return rc;
}

enum err
index_read_row(struct db_stmt *st, struct postings *p, struct errinfo *ei)
{
	int64_t first = db_column_int(st, 0);

	if (first <= 0 || !postings_read(p, (uint64_t)first, db_column_bytes(st, 1)))
		return ERR(ei, ERR_CORRUPT, "a row of the index is damaged");
	return OK;
}
