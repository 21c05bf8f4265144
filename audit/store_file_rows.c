/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Records, cursors and meta values in the SQLite file. Rows only: it knows neither chain nor
 * rules. Runs on the thread that owns the store; store_visit_rows and store_read_row also serve
 * the readers.
 */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/fault.h"
#include "store_file.h"

enum err
store_read_row(struct db_stmt *st, struct store_row *row, struct errinfo *ei)
{
	int64_t seq = db_column_int(st, 0);
	struct span hash = db_column_bytes(st, 2);

	if (seq <= 0 || hash.n != SHA256_BYTES)
		return ERR(ei, ERR_CORRUPT, "row %" PRId64 " is damaged", seq);
	row->seq = (uint64_t)seq;
	row->state = (int)db_column_int(st, 1);
	hash_hex(hash.p, SHA256_BYTES, row->hash);
	row->body = db_column_bytes(st, 3);
	return OK;
}

enum err
store_visit_rows(struct db_stmt *st, store_visit_fn visit, void *arg, size_t *n, struct errinfo *ei)
{
	bool has_row = false;
	size_t count = 0;
	enum err rc = db_step(st, &has_row, ei);

	while (rc == OK && has_row) {
		struct store_row row;
		rc = store_read_row(st, &row, ei);
		if (rc != OK)
			break;
		count++;
		if (!visit(&row, arg))
			break;
		rc = db_step(st, &has_row, ei);
	}
	db_reset(st);
	if (n != NULL)
		*n = count;
	return rc;
}

enum err
store_file_append(struct store *s, const struct store_row *row, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_APPEND, ei);
	uint8_t hash[SHA256_BYTES];

	if (st == NULL)
		return ERR_IO;
	if (!hash_unhex(span_of(row->hash, SHA256_HEX), hash, sizeof(hash)))
		return ERR(ei, ERR_INVALID, "not a hash");
	db_bind_int(st, 1, (int64_t)row->seq);
	db_bind_int(st, 2, row->state);
	db_bind_blob(st, 3, span_of((const char *)hash, sizeof(hash)));
	db_bind_blob(st, 4, row->body);
	return FAULT_AROUND(LEDGER_APPEND, ei, db_run(st, ei));
}

enum err
store_file_truncate(struct store *s, const struct chain_head *to, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_TRUNCATE, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, (int64_t)to->seq);
	return db_run(st, ei);
}

enum err
store_file_forget(struct store *s, uint64_t upto, size_t max_rows, size_t *n, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_FORGET, ei);

	*n = 0;
	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, (int64_t)upto);
	db_bind_int(st, 2, (int64_t)max_rows);
	enum err rc = db_run(st, ei);
	if (rc == OK)
		*n = (size_t)db_changes(store_file_cast(s)->db);
	return rc;
}

enum err
store_file_set_state(struct store *s, uint64_t seq, int from, int to, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_SET_STATE, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, (int64_t)seq);
	db_bind_int(st, 2, from);
	db_bind_int(st, 3, to);
	enum err rc = FAULT_AROUND(LEDGER_CLOSE, ei, db_run(st, ei));
	if (rc == OK && db_changes(store_file_cast(s)->db) == 0)
		return ERR(ei, ERR_NOT_FOUND, "record %" PRIu64 " is not open", seq);
	return rc;
}

enum err
store_file_get_state(struct store *s, uint64_t seq, int *out, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_GET_STATE, ei);
	bool has_row = false;

	*out = 0;
	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, (int64_t)seq);
	enum err rc = db_step(st, &has_row, ei);
	if (rc == OK && !has_row)
		return ERR(ei, ERR_NOT_FOUND, "there is no record %" PRIu64, seq);
	if (rc == OK) {
		*out = (int)db_column_int(st, 0);
		db_reset(st);
	}
	return rc;
}

enum err
store_file_get_cursor(struct store *s, const char *sink, uint64_t *seq, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_GET_CURSOR, ei);
	bool has_row = false;

	*seq = 0;
	if (st == NULL)
		return ERR_IO;
	db_bind_text(st, 1, span_cstr(sink));
	enum err rc = db_step(st, &has_row, ei);
	if (rc == OK && !has_row)
		return ERR(ei, ERR_NOT_FOUND, "no cursor");
	if (rc == OK) {
		int64_t v = db_column_int(st, 0);
		*seq = v > 0 ? (uint64_t)v : 0;
		db_reset(st);
	}
	return rc;
}

enum err
store_file_put_cursor(struct store *s, const char *sink, uint64_t seq, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_PUT_CURSOR, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_text(st, 1, span_cstr(sink));
	db_bind_int(st, 2, (int64_t)seq);
	return FAULT_AROUND(LEDGER_CURSOR, ei, db_run(st, ei));
}

enum err
store_file_get_meta(struct store *s, const char *key, struct buf *out, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_GET_META, ei);
	bool has_row = false;

	if (st == NULL)
		return ERR_IO;
	db_bind_text(st, 1, span_cstr(key));
	enum err rc = db_step(st, &has_row, ei);
	if (rc == OK && !has_row)
		return ERR(ei, ERR_NOT_FOUND, "no meta value %s", key);
	if (rc == OK) {
		buf_add_span(out, db_column_bytes(st, 0));
		db_reset(st);
	}
	return rc;
}

enum err
store_file_put_meta(struct store *s, const char *key, struct span value, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_PUT_META, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_text(st, 1, span_cstr(key));
	db_bind_text(st, 2, value);
	return FAULT_AROUND(LEDGER_META, ei, db_run(st, ei));
}

static bool
keep_head(const struct store_row *row, void *arg)
{
	struct chain_head *head = arg;

	head->seq = row->seq;
	memcpy(head->hash, row->hash, sizeof(head->hash));
	return false;
}

enum err
store_read_head(struct db_stmt *st, struct chain_head *out, struct errinfo *ei)
{
	*out = (struct chain_head){0};
	return store_visit_rows(st, keep_head, out, NULL, ei);
}

enum err
store_file_head(struct store *s, struct chain_head *out, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_HEAD, ei);

	*out = (struct chain_head){0};
	return st != NULL ? store_read_head(st, out, ei) : ERR_IO;
}

enum err
store_file_page(struct store *s, uint64_t after, size_t max, store_visit_fn visit, void *arg,
	struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_PAGE, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, (int64_t)after);
	db_bind_int(st, 2, (int64_t)max);
	return store_visit_rows(st, visit, arg, NULL, ei);
}

enum err
store_file_page_state(struct store *s, int state, uint64_t after, store_visit_fn visit, void *arg,
	struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, STMT_PAGE_STATE, ei);

	if (st == NULL)
		return ERR_IO;
	db_bind_int(st, 1, state);
	db_bind_int(st, 2, (int64_t)after);
	db_bind_int(st, 3, STORE_PAGE_MAX);
	return store_visit_rows(st, visit, arg, NULL, ei);
}
