/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling the index. The place it has come to is written in the transaction of the entries that lead
 * there, so a crash repeats nothing and skips nothing. Rows of the ledger are taken over in one short
 * transaction of theirs and written in one of the index: neither waits for the other.
 */
#define _GNU_SOURCE /* qsort_r */

#include "index_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/store.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "index_layout.h"
#include "index_postings.h"
#include "store_sqlite.h"

#define WRITER_MAGIC 0x1d3c0001u
#define BUSY_MS 5000
#define BATCH_BYTES ((size_t)STORE_PAGE_MAX * INDEX_N_FIELDS * INDEX_VALUE_MAX)

struct entry {
	uint64_t seq;
	uint32_t at; /* of the value in the batch's bytes */
	uint8_t n;
	uint8_t field;
};

struct batch {
	struct entry entries[STORE_PAGE_MAX * INDEX_N_FIELDS];
	size_t n;
	struct buf values;
	struct {
		uint64_t seq;
		int64_t wall_ns;
	} times[STORE_PAGE_MAX];
	size_t n_times;
	size_t n_rows;
	struct chain_head last;
};

struct index_writer {
	unsigned magic;
	struct db *db;
	struct db_stmt *insert;
	struct db_stmt *put_time;
	struct db_stmt *put_meta;
	struct db_stmt *first_segment;
	struct db_stmt *forget_entries;
	struct db_stmt *forget_times;
	struct index_header header;
	struct batch *batch;
};

static const char schema[] =
	"CREATE TABLE entries(segment INTEGER NOT NULL, field INTEGER NOT NULL, value BLOB NOT "
	"NULL,"
	" seq INTEGER NOT NULL, more BLOB NOT NULL, PRIMARY KEY(segment, field, value, seq))"
	" WITHOUT ROWID;"
	"CREATE TABLE times(level INTEGER NOT NULL, block INTEGER NOT NULL, low INTEGER NOT NULL,"
	" high INTEGER NOT NULL, PRIMARY KEY(level, block)) WITHOUT ROWID;"
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;";

/* ---- the file ---- */

static bool
name_index(const char *path, const char *suffix, char out[INDEX_PATH_MAX])
{
	int n = snprintf(out, INDEX_PATH_MAX, "%s" INDEX_SUFFIX "%s", path, suffix);

	return n > 0 && n < INDEX_PATH_MAX;
}

enum err
index_writer_remove(const char *path, struct errinfo *ei)
{
	static const char *const suffixes[] = {"-wal", "-shm", "-journal", ""};
	char name[INDEX_PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		if (!name_index(path, suffixes[i], name))
			return ERR(ei, ERR_INVALID, "the path is too long");
		if (unlink(name) != 0 && errno != ENOENT)
			return ERR_ERRNO(ei, ERR_IO, errno, "%s", name);
	}
	return OK;
}

/* NORMAL: the log is synced when it is folded in, not for each batch; a power cut costs batches that
 * are indexed again, never the file. */
static const char pragmas[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
			      " PRAGMA wal_autocheckpoint = 2000; PRAGMA cache_size = -8000;"
			      " PRAGMA journal_size_limit = 16777216; PRAGMA temp_store = MEMORY";

static enum err
put_meta(struct index_writer *w, const char *key, const char *value, struct errinfo *ei)
{
	db_bind_text(w->put_meta, 1, span_cstr(key));
	db_bind_text(w->put_meta, 2, span_cstr(value));
	return db_run(w->put_meta, ei);
}

static enum err
put_number(struct index_writer *w, const char *key, uint64_t value, struct errinfo *ei)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return put_meta(w, key, text, ei);
}

static enum err
prepare_all(struct index_writer *w, struct errinfo *ei)
{
	const struct {
		struct db_stmt **st;
		const char *sql;
	} all[] = {
		{&w->insert, "INSERT OR REPLACE INTO entries(segment, field, value, seq, more)"
			     " VALUES(?1, ?2, ?3, ?4, ?5)"},
		{&w->put_time, "INSERT INTO times(level, block, low, high) VALUES(?1, ?2, ?3, ?3)"
			       " ON CONFLICT(level, block) DO UPDATE SET low = min(low, ?3),"
			       " high = max(high, ?3)"},
		{&w->put_meta, "INSERT INTO meta(key, value) VALUES(?1, ?2)"
			       " ON CONFLICT(key) DO UPDATE SET value = excluded.value"},
		{&w->first_segment, "SELECT segment, field FROM entries LIMIT 1"},
		{&w->forget_entries, "DELETE FROM entries WHERE segment = ?1 AND field = ?2"},
		{&w->forget_times, "DELETE FROM times WHERE level = ?1 AND block < ?2"},
	};
	enum err rc = OK;

	for (size_t i = 0; rc == OK && i < ARRAY_LEN(all); i++)
		rc = db_prepare(w->db, all[i].sql, all[i].st, ei);
	return rc;
}

static void
close_file(struct index_writer *w)
{
	db_stmt_free(&w->insert);
	db_stmt_free(&w->put_time);
	db_stmt_free(&w->put_meta);
	db_stmt_free(&w->first_segment);
	db_stmt_free(&w->forget_entries);
	db_stmt_free(&w->forget_times);
	db_free(&w->db);
}

static enum err
make_file(struct index_writer *w, struct errinfo *ei)
{
	char stamp[96];
	enum err rc = db_exec(w->db, "BEGIN IMMEDIATE", ei);

	snprintf(stamp, sizeof(stamp), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		INDEX_APPLICATION_ID, INDEX_VERSION);
	if (rc == OK)
		rc = db_exec(w->db, schema, ei);
	if (rc == OK)
		rc = db_exec(w->db, stamp, ei);
	if (rc == OK)
		rc = prepare_all(w, ei);
	if (rc == OK)
		rc = put_meta(w, "chain_id", w->header.chain_id, ei);
	if (rc == OK)
		rc = put_number(w, "shift", w->header.shift, ei);
	if (rc == OK)
		rc = put_number(w, "seq", 0, ei);
	return rc == OK ? db_exec(w->db, "COMMIT", ei) : rc;
}

/* Whether what the file says fits the ledger. */
static enum err
check_header(struct index_writer *w, struct store_reader *from, const struct index_header *want,
	struct errinfo *ei)
{
	enum err rc = index_read_header(w->db, &w->header, ei);

	if (rc == OK && w->header.shift != want->shift)
		return ERR(ei, ERR_INVALID, "it has other segments");
	return rc == OK ? index_check_ledger(&w->header, span_cstr(want->chain_id), from, ei) : rc;
}

static enum err
open_file(struct index_writer *w, const char *path, struct store_reader *from, struct errinfo *ei)
{
	const struct index_header want = w->header;
	char name[INDEX_PATH_MAX];

	if (!name_index(path, "", name))
		return ERR(ei, ERR_TOO_LARGE, "the path is too long");
	enum err rc = db_open(name, DB_WRITE, BUSY_MS, &w->db, ei);
	if (rc == OK)
		rc = check_header(w, from, &want, ei);
	if (rc == OK)
		rc = db_exec(w->db, pragmas, ei);
	if (rc == OK)
		rc = prepare_all(w, ei);
	if (rc != OK) {
		close_file(w);
		w->header = want;
	}
	return rc;
}

static enum err
open_new_file(struct index_writer *w, const char *path, struct errinfo *ei)
{
	char name[INDEX_PATH_MAX];
	enum err rc = index_writer_remove(path, ei);

	if (rc == OK && !name_index(path, "", name))
		rc = ERR(ei, ERR_TOO_LARGE, "the path is too long");
	if (rc == OK)
		rc = db_open(name, DB_CREATE, BUSY_MS, &w->db, ei);
	if (rc == OK)
		rc = db_exec(w->db, pragmas, ei);
	return rc == OK ? make_file(w, ei) : rc;
}

/* A disk that fails and a file in use are no reasons to throw anything away. */
static bool
is_beyond_repair(const char *path, enum err rc)
{
	char name[INDEX_PATH_MAX];

	if (rc == ERR_INVALID || rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED)
		return true;
	return name_index(path, "", name) && access(name, F_OK) != 0 && errno == ENOENT;
}

enum err
index_writer_open(const char *path, struct store_reader *from, unsigned shift,
	struct index_writer **out, bool *is_new, struct errinfo *ei)
{
	struct buf id;
	bool is_made = false;

	*out = NULL;
	struct index_writer *w = mem_zalloc(1, sizeof(*w));
	if (w == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	w->magic = WRITER_MAGIC;
	w->header.shift = shift;
	buf_init(&id, CHAIN_ID_HEX);
	enum err rc = store_reader_meta(from, "chain_id", &id, ei);
	if (rc == OK && (buf_failed(&id) || id.n != CHAIN_ID_HEX))
		rc = ERR(ei, ERR_CORRUPT, "the ledger has no sound chain id");
	if (rc == OK)
		memcpy(w->header.chain_id, id.p, CHAIN_ID_HEX);
	buf_fini(&id);
	w->batch = rc == OK ? mem_zalloc(1, sizeof(*w->batch)) : NULL;
	if (rc == OK && w->batch == NULL)
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == OK) {
		buf_init(&w->batch->values, BATCH_BYTES);
		rc = open_file(w, path, from, ei);
		is_made = rc != OK && is_beyond_repair(path, rc);
		if (is_made)
			rc = open_new_file(w, path, ei);
	}
	if (rc != OK)
		index_writer_free(&w);
	if (is_new != NULL)
		*is_new = is_made;
	*out = w;
	return rc;
}

void
index_writer_free(struct index_writer **w)
{
	if (*w == NULL)
		return;
	OBJ_CHECK(*w, WRITER_MAGIC);
	close_file(*w);
	if ((*w)->batch != NULL)
		buf_fini(&(*w)->batch->values);
	mem_free((*w)->batch);
	(*w)->magic = 0;
	mem_free(*w);
	*w = NULL;
}

struct chain_head
index_writer_position(const struct index_writer *w)
{
	OBJ_CHECK(w, WRITER_MAGIC);
	return w->header.at;
}

/* ---- a batch ---- */

static void
take_field(struct batch *b, uint64_t seq, int field, struct span raw)
{
	struct span value = index_field_value(raw);

	if (value.n == 0)
		return;
	b->entries[b->n++] = (struct entry){.seq = seq,
		.at = (uint32_t)b->values.n,
		.n = (uint8_t)value.n,
		.field = (uint8_t)field};
	buf_add_span(&b->values, value);
}

static bool
take_row(const struct store_row *row, void *arg)
{
	struct batch *b = arg;
	struct span names[INDEX_N_FIELDS + 1];
	struct span values[INDEX_N_FIELDS + 1];
	int64_t at = 0;

	/* The time, then the fields. */
	names[0] = SPAN_LIT("timestamp");
	for (int field = 1; field <= INDEX_N_FIELDS; field++)
		names[field] = span_cstr(index_field_member(field));
	chain_find_members(row->body, names, ARRAY_LEN(names), values);
	for (int field = 1; field <= INDEX_N_FIELDS; field++)
		take_field(b, row->seq, field, values[field]);
	if (clock_parse(index_field_value(values[0]), &at, NULL) == OK) {
		b->times[b->n_times].seq = row->seq;
		b->times[b->n_times++].wall_ns = at;
	}
	b->last.seq = row->seq;
	memcpy(b->last.hash, row->hash, sizeof(b->last.hash));
	b->n_rows++;
	return b->n_rows < STORE_PAGE_MAX;
}

/* In the order of the key, so that neighbours in the file are written together. The values of one
 * batch are compared through it. */
static int
compare_entries(const void *a, const void *b, void *values)
{
	const struct entry *x = a;
	const struct entry *y = b;
	const char *bytes = values;
	size_t n = x->n < y->n ? x->n : y->n;

	if (x->field != y->field)
		return x->field < y->field ? -1 : 1;
	int c = memcmp(bytes + x->at, bytes + y->at, n);
	if (c != 0)
		return c;
	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static bool
is_alike(const struct index_writer *w, const struct entry *x, const struct entry *y)
{
	const char *bytes = w->batch->values.p;

	return x->field == y->field && x->n == y->n &&
	       x->seq >> w->header.shift == y->seq >> w->header.shift &&
	       memcmp(bytes + x->at, bytes + y->at, x->n) == 0;
}

/* The rows are few where many records have a value: one for the batch. */
static enum err
put_entries(struct index_writer *w, struct errinfo *ei)
{
	struct batch *b = w->batch;
	enum err rc = OK;
	size_t i = 0;

	while (rc == OK && i < b->n) {
		const struct entry *e = &b->entries[i++];
		struct postings p;
		postings_begin(&p, e->seq);
		while (i < b->n && is_alike(w, e, &b->entries[i]) &&
			postings_add(&p, b->entries[i].seq))
			i++;
		db_bind_int(w->insert, 1, (int64_t)(e->seq >> w->header.shift));
		db_bind_int(w->insert, 2, e->field);
		db_bind_blob(w->insert, 3, span_of(b->values.p + e->at, e->n));
		db_bind_int(w->insert, 4, (int64_t)e->seq);
		db_bind_blob(w->insert, 5, postings_bits(&p));
		rc = db_run(w->insert, ei);
	}
	return rc;
}

static enum err
put_time(struct index_writer *w, enum index_level level, uint64_t block, int64_t wall_ns,
	struct errinfo *ei)
{
	db_bind_int(w->put_time, 1, level);
	db_bind_int(w->put_time, 2, (int64_t)block);
	db_bind_int(w->put_time, 3, wall_ns);
	return db_run(w->put_time, ei);
}

/* The lowest and the highest of each block. */
static enum err
put_times(struct index_writer *w, enum index_level level, unsigned shift, struct errinfo *ei)
{
	struct batch *b = w->batch;
	enum err rc = OK;
	size_t i = 0;

	while (rc == OK && i < b->n_times) {
		uint64_t block = b->times[i].seq >> shift;
		int64_t low = b->times[i].wall_ns;
		int64_t high = low;
		for (; i < b->n_times && b->times[i].seq >> shift == block; i++) {
			low = b->times[i].wall_ns < low ? b->times[i].wall_ns : low;
			high = b->times[i].wall_ns > high ? b->times[i].wall_ns : high;
		}
		rc = put_time(w, level, block, low, ei);
		if (rc == OK)
			rc = put_time(w, level, block, high, ei);
	}
	return rc;
}

static enum err
write_batch(struct index_writer *w, struct errinfo *ei)
{
	struct batch *b = w->batch;
	enum err rc = db_exec(w->db, "BEGIN IMMEDIATE", ei);

	if (rc == OK)
		rc = put_entries(w, ei);
	if (rc == OK)
		rc = put_times(w, INDEX_LEVEL_BLOCK, INDEX_BLOCK_SHIFT, ei);
	if (rc == OK)
		rc = put_times(w, INDEX_LEVEL_SEGMENT, w->header.shift, ei);
	if (rc == OK)
		rc = put_number(w, "seq", b->last.seq, ei);
	if (rc == OK)
		rc = put_meta(w, "hash", b->last.hash, ei);
	if (rc == OK)
		rc = db_exec(w->db, "COMMIT", ei);
	if (rc != OK && db_is_in_transaction(w->db))
		(void)!db_exec(w->db, "ROLLBACK", NULL);
	if (rc == OK)
		w->header.at = b->last;
	return rc;
}

enum err
index_writer_add(struct index_writer *w, struct store_reader *from, size_t max, size_t *n,
	struct errinfo *ei)
{
	OBJ_CHECK(w, WRITER_MAGIC);
	struct batch *b = w->batch;
	*n = 0;
	b->n = 0;
	b->n_times = 0;
	b->n_rows = 0;
	buf_reset(&b->values);
	enum err rc = store_reader_page(from, w->header.at.seq, max, take_row, b, NULL, ei);
	if (rc == OK && buf_failed(&b->values))
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	if (rc != OK || b->n_rows == 0)
		return rc == ERR_CORRUPT ? ERR_WRAP(ei, ERR_IO, "reading the ledger") : rc;
	qsort_r(b->entries, b->n, sizeof(b->entries[0]), compare_entries, b->values.p);
	rc = write_batch(w, ei);
	if (rc == OK)
		*n = b->n_rows;
	return rc;
}

/* ---- forgetting ---- */

static enum err
forget_times(struct index_writer *w, enum index_level level, uint64_t block, struct errinfo *ei)
{
	db_bind_int(w->forget_times, 1, level);
	db_bind_int(w->forget_times, 2, (int64_t)block);
	return db_run(w->forget_times, ei);
}

enum err
index_writer_prune(struct index_writer *w, uint64_t first, bool *is_done, struct errinfo *ei)
{
	bool has_row = false;
	int64_t segment = 0;
	int64_t field = 0;

	OBJ_CHECK(w, WRITER_MAGIC);
	*is_done = true;
	enum err rc = db_step(w->first_segment, &has_row, ei);
	if (rc != OK || !has_row)
		return rc;
	segment = db_column_int(w->first_segment, 0);
	field = db_column_int(w->first_segment, 1);
	db_reset(w->first_segment);
	if (segment >= (int64_t)(first >> w->header.shift))
		return OK;
	*is_done = false;
	db_bind_int(w->forget_entries, 1, segment);
	db_bind_int(w->forget_entries, 2, field);
	rc = db_run(w->forget_entries, ei);
	if (rc == OK)
		rc = forget_times(w, INDEX_LEVEL_SEGMENT, first >> w->header.shift, ei);
	if (rc == OK)
		rc = forget_times(w, INDEX_LEVEL_BLOCK,
			(first >> w->header.shift << w->header.shift) >> INDEX_BLOCK_SHIFT, ei);
	return rc;
}
