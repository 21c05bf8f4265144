/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a ledger beside its writer, or a private copy. Pages by key with one short transaction
 * each, so that a slow reader never pins the write-ahead log. It must never write to the ledger.
 * One thread at a time, which may block.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/must.h"
#include "read_ahead.h"
#include "schema.h"
#include "store_file.h"

#define READER_MAGIC 0x5f11e002u
#define READER_BUSY_MS 2000

struct store_reader {
	unsigned magic;
	struct db *db;
	struct read_ahead *ahead; /* of a private copy; may be NULL */
	struct db_stmt *page;
	struct db_stmt *page_state;
	struct db_stmt *head;
	struct db_stmt *meta;
};

static enum err
prepare_all(struct store_reader *r, struct errinfo *ei)
{
	enum err rc = db_prepare(r->db,
		"SELECT seq, state, hash, body FROM records WHERE seq > ?1 ORDER BY seq LIMIT ?2",
		&r->page, ei);

	if (rc == OK)
		rc = db_prepare(r->db,
			"SELECT seq, state, hash, body FROM records"
			" WHERE state = ?1 AND state <> 0 AND seq > ?2 ORDER BY seq LIMIT ?3",
			&r->page_state, ei);
	if (rc == OK)
		rc = db_prepare(r->db,
			"SELECT seq, state, hash, body FROM records ORDER BY seq DESC LIMIT 1",
			&r->head, ei);
	if (rc == OK)
		rc = db_prepare(r->db, "SELECT value FROM meta WHERE key = ?1", &r->meta, ei);
	return rc;
}

enum err
store_reader_open(const char *path, enum store_reader_mode mode, struct store_reader **out,
	struct errinfo *ei)
{
	*out = NULL;
	struct store_reader *r = mem_zalloc(1, sizeof(*r));
	if (r == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	r->magic = READER_MAGIC;
	enum err rc = db_open(
		path, mode == STORE_READ_COPY ? DB_WRITE : DB_READ, READER_BUSY_MS, &r->db, ei);
	/* Nobody cuts a private copy short, so its pages can be mapped instead of read one by one. */
	if (rc == OK && mode == STORE_READ_COPY)
		rc = db_exec(r->db, "PRAGMA mmap_size = 4294967296", ei);
	if (rc == OK)
		rc = schema_check(r->db, SCHEMA_READABLE_VERSION, ei);
	if (rc == OK)
		rc = prepare_all(r, ei);
	if (rc == OK && mode == STORE_READ_COPY)
		r->ahead = read_ahead_new(db_get_file(r->db));
	if (rc != OK)
		store_reader_free(&r);
	*out = r;
	return rc;
}

void
store_reader_free(struct store_reader **r)
{
	if (*r == NULL)
		return;
	OBJ_CHECK(*r, READER_MAGIC);
	db_stmt_free(&(*r)->page);
	db_stmt_free(&(*r)->page_state);
	db_stmt_free(&(*r)->head);
	db_stmt_free(&(*r)->meta);
	read_ahead_free(&(*r)->ahead);
	db_free(&(*r)->db);
	(*r)->magic = 0;
	mem_free(*r);
	*r = NULL;
}

struct visit {
	store_visit_fn fn;
	void *arg;
	struct read_ahead *ahead;
};

static bool
visit_and_step(const struct store_row *row, void *arg)
{
	const struct visit *v = arg;

	read_ahead_step(v->ahead, row->body.n);
	return v->fn(row, v->arg);
}

enum err
store_reader_page(struct store_reader *r, uint64_t after, size_t max, store_visit_fn visit,
	void *arg, size_t *n, struct errinfo *ei)
{
	struct visit v = {.fn = visit, .arg = arg, .ahead = r->ahead};

	OBJ_CHECK(r, READER_MAGIC);
	MUST(max <= STORE_PAGE_MAX);
	db_bind_int(r->page, 1, (int64_t)after);
	db_bind_int(r->page, 2, (int64_t)max);
	return store_visit_rows(r->page, visit_and_step, &v, n, ei);
}

enum err
store_reader_page_state(struct store_reader *r, int state, uint64_t after, size_t max,
	store_visit_fn visit, void *arg, struct errinfo *ei)
{
	OBJ_CHECK(r, READER_MAGIC);
	MUST(max <= STORE_PAGE_MAX);
	db_bind_int(r->page_state, 1, state);
	db_bind_int(r->page_state, 2, (int64_t)after);
	db_bind_int(r->page_state, 3, (int64_t)max);
	return store_visit_rows(r->page_state, visit, arg, NULL, ei);
}

enum err
store_reader_head(struct store_reader *r, struct chain_head *out, struct errinfo *ei)
{
	OBJ_CHECK(r, READER_MAGIC);
	return store_read_head(r->head, out, ei);
}

enum err
store_reader_meta(struct store_reader *r, const char *key, struct buf *out, struct errinfo *ei)
{
	bool has_row = false;

	OBJ_CHECK(r, READER_MAGIC);
	db_bind_text(r->meta, 1, span_cstr(key));
	enum err rc = db_step(r->meta, &has_row, ei);
	if (rc == OK && !has_row)
		return ERR(ei, ERR_NOT_FOUND, "no meta value %s", key);
	if (rc == OK) {
		buf_add_span(out, db_column_bytes(r->meta, 0));
		db_reset(r->meta);
	}
	return rc;
}

/* Asked once in a while, so not kept prepared. */
static enum err
read_seq(struct db_stmt *st, bool *has_seq, uint64_t *seq, struct errinfo *ei)
{
	enum err rc = db_step(st, has_seq, ei);

	if (rc == OK && *has_seq) {
		int64_t v = db_column_int(st, 0);
		*seq = v > 0 ? (uint64_t)v : 0;
	}
	return rc;
}

enum err
store_reader_cursor(struct store_reader *r, const char *sink, uint64_t *seq, struct errinfo *ei)
{
	struct db_stmt *st = NULL;
	bool has_seq = false;

	OBJ_CHECK(r, READER_MAGIC);
	*seq = 0;
	enum err rc = db_prepare(r->db, "SELECT seq FROM cursors WHERE sink = ?1", &st, ei);
	if (rc == OK) {
		db_bind_text(st, 1, span_cstr(sink));
		rc = read_seq(st, &has_seq, seq, ei);
	}
	db_stmt_free(&st);
	return rc == OK && !has_seq ? ERR(ei, ERR_NOT_FOUND, "no cursor") : rc;
}

enum err
store_reader_each_cursor(
	struct store_reader *r, store_cursor_fn visit, void *arg, struct errinfo *ei)
{
	struct db_stmt *st = NULL;
	bool has_row = true;

	OBJ_CHECK(r, READER_MAGIC);
	enum err rc = db_prepare(r->db, "SELECT seq, sink FROM cursors ORDER BY sink", &st, ei);
	while (rc == OK && has_row) {
		rc = db_step(st, &has_row, ei);
		if (rc != OK || !has_row)
			break;
		int64_t seq = db_column_int(st, 0);
		if (!visit(db_column_bytes(st, 1), seq > 0 ? (uint64_t)seq : 0, arg))
			break;
	}
	db_stmt_free(&st);
	return rc;
}

enum err
store_reader_min_claim(
	struct store_reader *r, int64_t now_wall_ns, uint64_t *seq, struct errinfo *ei)
{
	struct db_stmt *st = NULL;
	bool has_seq = false;

	OBJ_CHECK(r, READER_MAGIC);
	*seq = UINT64_MAX;
	enum err rc = db_prepare(r->db,
		"SELECT seq FROM claims WHERE expires = 0 OR expires > ?1 ORDER BY seq LIMIT 1",
		&st, ei);
	if (rc == OK) {
		db_bind_int(st, 1, now_wall_ns);
		rc = read_seq(st, &has_seq, seq, ei);
	}
	db_stmt_free(&st);
	return rc;
}

/* ---- claims: asked once in a while too ---- */

enum err
store_reader_each_claim(struct store_reader *r, uint32_t kind, int32_t state, uint64_t before_seq,
	size_t max, ledger_claim_visit_fn visit, void *arg, struct errinfo *ei)
{
	const struct claim_list list = {kind, state, before_seq, max};
	struct db_stmt *st = NULL;

	OBJ_CHECK(r, READER_MAGIC);
	MUST(max <= STORE_PAGE_MAX);
	enum err rc = db_prepare(r->db,
		state != LEDGER_ANY_STATE ? STORE_EACH_CLAIM_STATE_SQL : STORE_EACH_CLAIM_SQL, &st,
		ei);
	if (rc == OK)
		rc = store_list_claims(st, &list, visit, arg, ei);
	db_stmt_free(&st);
	return rc;
}

enum err
store_reader_claim_body(struct store_reader *r, uint32_t kind, const uint8_t key[LEDGER_CLAIM_KEY],
	struct buf *out, struct errinfo *ei)
{
	struct db_stmt *st = NULL;

	OBJ_CHECK(r, READER_MAGIC);
	enum err rc = db_prepare(r->db, STORE_CLAIM_BODY_SQL, &st, ei);
	if (rc == OK)
		rc = store_read_claim_body(st, kind, key, out, ei);
	db_stmt_free(&st);
	return rc;
}

enum err
store_reader_first(struct store_reader *r, int64_t *out, struct errinfo *ei)
{
	OBJ_CHECK(r, READER_MAGIC);
	return db_query_int(r->db, STORE_FIRST_SQL, out, ei);
}

enum err
store_reader_count_state(
	struct store_reader *r, int state, uint64_t after, uint64_t *out, struct errinfo *ei)
{
	char sql[160];
	int64_t n = 0;

	OBJ_CHECK(r, READER_MAGIC);
	snprintf(sql, sizeof(sql),
		"SELECT count(*) FROM records INDEXED BY records_open"
		" WHERE state = %d AND state <> 0 AND seq > %" PRIu64,
		state, after);
	enum err rc = db_query_int(r->db, sql, &n, ei);
	*out = (uint64_t)n;
	return rc;
}

enum err
store_reader_backup(struct store_reader *r, const char *path, struct errinfo *ei)
{
	struct db *to = NULL;

	OBJ_CHECK(r, READER_MAGIC);
	enum err rc = db_open(path, DB_WRITE, READER_BUSY_MS, &to, ei);
	if (rc == OK)
		rc = db_copy(r->db, to, ei);
	db_free(&to);
	return rc;
}
