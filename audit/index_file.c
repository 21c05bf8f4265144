/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The search index as a file: named, made, opened, thrown away. */
#include "index_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/store.h"
#include "store_sqlite.h"

#define BUSY_MS 5000

static const char schema[] =
	"CREATE TABLE entries(segment INTEGER NOT NULL, field INTEGER NOT NULL, value BLOB NOT "
	"NULL,"
	" seq INTEGER NOT NULL, more BLOB NOT NULL, PRIMARY KEY(segment, field, value, seq))"
	" WITHOUT ROWID;"
	"CREATE TABLE times(level INTEGER NOT NULL, block INTEGER NOT NULL, low INTEGER NOT NULL,"
	" high INTEGER NOT NULL, PRIMARY KEY(level, block)) WITHOUT ROWID;"
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;";

static bool
name_index(const char *path, const char *suffix, char out[INDEX_PATH_MAX])
{
	int n = snprintf(out, INDEX_PATH_MAX, "%s" INDEX_SUFFIX "%s", path, suffix);

	return n > 0 && n < INDEX_PATH_MAX;
}

enum err
index_file_remove(const char *path, struct errinfo *ei)
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

enum err
index_file_put_meta(struct index_file *f, const char *key, const char *value, struct errinfo *ei)
{
	db_bind_text(f->put_meta, 1, span_cstr(key));
	db_bind_text(f->put_meta, 2, span_cstr(value));
	return db_run(f->put_meta, ei);
}

enum err
index_file_put_number(struct index_file *f, const char *key, uint64_t value, struct errinfo *ei)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return index_file_put_meta(f, key, text, ei);
}

static enum err
prepare_all(struct index_file *f, struct errinfo *ei)
{
	const struct {
		struct db_stmt **st;
		const char *sql;
	} all[] = {
		{&f->insert, "INSERT OR REPLACE INTO entries(segment, field, value, seq, more)"
			     " VALUES(?1, ?2, ?3, ?4, ?5)"},
		{&f->put_time, "INSERT INTO times(level, block, low, high) VALUES(?1, ?2, ?3, ?3)"
			       " ON CONFLICT(level, block) DO UPDATE SET low = min(low, ?3),"
			       " high = max(high, ?3)"},
		{&f->put_meta, "INSERT INTO meta(key, value) VALUES(?1, ?2)"
			       " ON CONFLICT(key) DO UPDATE SET value = excluded.value"},
		{&f->first_segment, "SELECT segment, field FROM entries LIMIT 1"},
		{&f->forget_entries, "DELETE FROM entries WHERE segment = ?1 AND field = ?2"},
		{&f->forget_times, "DELETE FROM times WHERE level = ?1 AND block < ?2"},
	};
	enum err rc = OK;

	for (size_t i = 0; rc == OK && i < ARRAY_LEN(all); i++)
		rc = db_prepare(f->db, all[i].sql, all[i].st, ei);
	return rc;
}

void
index_file_close(struct index_file *f)
{
	db_stmt_free(&f->insert);
	db_stmt_free(&f->put_time);
	db_stmt_free(&f->put_meta);
	db_stmt_free(&f->first_segment);
	db_stmt_free(&f->forget_entries);
	db_stmt_free(&f->forget_times);
	db_free(&f->db);
}

static enum err
make_file(struct index_file *f, struct errinfo *ei)
{
	char stamp[96];
	enum err rc = db_exec(f->db, "BEGIN IMMEDIATE", ei);

	snprintf(stamp, sizeof(stamp), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		INDEX_APPLICATION_ID, INDEX_VERSION);
	if (rc == OK)
		rc = db_exec(f->db, schema, ei);
	if (rc == OK)
		rc = db_exec(f->db, stamp, ei);
	if (rc == OK)
		rc = prepare_all(f, ei);
	if (rc == OK)
		rc = index_file_put_meta(f, "chain_id", f->header.chain_id, ei);
	if (rc == OK)
		rc = index_file_put_number(f, "shift", f->header.shift, ei);
	if (rc == OK)
		rc = index_file_put_number(f, "seq", 0, ei);
	return rc == OK ? db_exec(f->db, "COMMIT", ei) : rc;
}

/* Whether what the file says fits the ledger. */
static enum err
check_header(struct index_file *f, struct store_reader *from, const struct index_header *want,
	struct errinfo *ei)
{
	enum err rc = index_read_header(f->db, &f->header, ei);

	if (rc == OK && f->header.shift != want->shift)
		return ERR(ei, ERR_INVALID, "it has other segments");
	return rc == OK ? index_check_ledger(&f->header, span_cstr(want->chain_id), from, ei) : rc;
}

static enum err
open_file(struct index_file *f, const char *path, struct store_reader *from, struct errinfo *ei)
{
	const struct index_header want = f->header;
	char name[INDEX_PATH_MAX];

	if (!name_index(path, "", name))
		return ERR(ei, ERR_TOO_LARGE, "the path is too long");
	enum err rc = db_open(name, DB_WRITE, BUSY_MS, &f->db, ei);
	if (rc == OK)
		rc = check_header(f, from, &want, ei);
	if (rc == OK)
		rc = db_exec(f->db, pragmas, ei);
	if (rc == OK)
		rc = prepare_all(f, ei);
	if (rc != OK) {
		index_file_close(f);
		f->header = want;
	}
	return rc;
}

static enum err
open_new_file(struct index_file *f, const char *path, struct errinfo *ei)
{
	char name[INDEX_PATH_MAX];
	enum err rc = index_file_remove(path, ei);

	if (rc == OK && !name_index(path, "", name))
		rc = ERR(ei, ERR_TOO_LARGE, "the path is too long");
	if (rc == OK)
		rc = db_open(name, DB_CREATE, BUSY_MS, &f->db, ei);
	if (rc == OK)
		rc = db_exec(f->db, pragmas, ei);
	return rc == OK ? make_file(f, ei) : rc;
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
index_file_open(struct index_file *f, const char *path, struct store_reader *from, bool *is_new,
	struct errinfo *ei)
{
	enum err rc = open_file(f, path, from, ei);

	*is_new = rc != OK && is_beyond_repair(path, rc);
	return *is_new ? open_new_file(f, path, ei) : rc;
}
