/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite engine: opening, transactions, and the watch over the file itself. It must never go
 * on writing to a file that is no longer the one at the ledger's path. Runs on the writer thread,
 * and at open and close on the thread that calls those.
 */
#define _GNU_SOURCE /* statx */

#include "store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/must.h"
#include "schema.h"

#define MARK "entry"
/* Of the write-ahead log before it is folded: fewer mean more syncs, more that a group waits longer for it. */
#define LOG_PAGES 250

static const char *const statements[STMT__MAX] = {
	[STMT_APPEND] = "INSERT INTO records(seq, state, hash, body) VALUES(?1, ?2, ?3, ?4)",
	[STMT_TRUNCATE] = "DELETE FROM records WHERE seq > ?1",
	[STMT_FORGET] =
		"DELETE FROM records WHERE seq <= ?1 AND seq < (SELECT min(seq) FROM records) + ?2",
	[STMT_SET_STATE] = "UPDATE records SET state = ?3 WHERE seq = ?1 AND state = ?2",
	[STMT_GET_STATE] = "SELECT state FROM records WHERE seq = ?1",
	[STMT_FIND_CLAIM] = "SELECT " CLAIM_COLUMNS " FROM claims WHERE kind = ?1 AND key = ?2",
	[STMT_PUT_CLAIM] = "INSERT INTO claims(kind, key, seq, binding_hash, state, expires, owner)"
			   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
	[STMT_UPDATE_CLAIM] = "UPDATE claims SET seq = ?3, state = ?4, expires = ?5"
			      " WHERE kind = ?1 AND key = ?2",
	[STMT_SET_CLAIM_STATE] = "UPDATE claims SET state = ?3 WHERE kind = ?1 AND key = ?2",
	[STMT_DELETE_CLAIM] = "DELETE FROM claims WHERE kind = ?1 AND key = ?2",
	[STMT_PURGE_CLAIMS] =
		"DELETE FROM claims WHERE (kind, key) IN (SELECT kind, key FROM claims"
		" WHERE kind = ?1 AND expires <> 0 AND expires <= ?2 ORDER BY expires LIMIT ?3)",
	[STMT_SET_CLAIM_BODY] =
		"INSERT INTO claim_bodies(kind, key, body) SELECT kind, key, ?3 FROM claims"
		" WHERE kind = ?1 AND key = ?2 ON CONFLICT DO UPDATE SET body = excluded.body",
	[STMT_GET_CLAIM_BODY] = STORE_CLAIM_BODY_SQL,
	[STMT_COUNT_KIND] = "SELECT count(*) FROM (SELECT 1 FROM claims WHERE kind = ?1 LIMIT ?2)",
	[STMT_COUNT_STATE] = "SELECT count(*) FROM (SELECT 1 FROM claims INDEXED BY claims_listed"
			     " WHERE kind = ?1 AND state = ?3 LIMIT ?2)",
	[STMT_COUNT_OWNER] = "SELECT count(*) FROM (SELECT 1 FROM claims INDEXED BY claims_owned"
			     " WHERE kind = ?1 AND owner = ?4 LIMIT ?2)",
	[STMT_COUNT_OWNER_STATE] =
		"SELECT count(*) FROM (SELECT 1 FROM claims INDEXED BY claims_owned"
		" WHERE kind = ?1 AND owner = ?4 AND state = ?3 LIMIT ?2)",
	[STMT_EACH_CLAIM] = STORE_EACH_CLAIM_SQL,
	[STMT_EACH_CLAIM_STATE] = STORE_EACH_CLAIM_STATE_SQL,
	[STMT_EACH_EXPIRED] =
		"SELECT " CLAIM_COLUMNS " FROM claims INDEXED BY claims_due"
		" WHERE kind = ?1 AND expires <> 0 AND expires <= ?2 ORDER BY expires LIMIT ?3",
	[STMT_GET_CURSOR] = "SELECT seq FROM cursors WHERE sink = ?1",
	[STMT_PUT_CURSOR] = "INSERT INTO cursors(sink, seq) VALUES(?1, ?2)"
			    " ON CONFLICT(sink) DO UPDATE SET seq = excluded.seq",
	[STMT_GET_META] = "SELECT value FROM meta WHERE key = ?1",
	[STMT_PUT_META] = "INSERT INTO meta(key, value) VALUES(?1, ?2)"
			  " ON CONFLICT(key) DO UPDATE SET value = excluded.value",
	[STMT_HEAD] = "SELECT seq, state, hash, body FROM records ORDER BY seq DESC LIMIT 1",
	[STMT_PAGE] =
		"SELECT seq, state, hash, body FROM records WHERE seq > ?1 ORDER BY seq LIMIT ?2",
	[STMT_PAGE_STATE] =
		"SELECT seq, state, hash, body FROM records WHERE state = ?1 AND state <> 0"
		" AND seq > ?2 ORDER BY seq LIMIT ?3",
	[STMT_BEGIN] = "BEGIN IMMEDIATE",
	[STMT_COMMIT] = "COMMIT",
	[STMT_MARK] = "SAVEPOINT " MARK,
	[STMT_UNDO_MARK] = "ROLLBACK TO " MARK,
	[STMT_RELEASE_MARK] = "RELEASE " MARK,
};

struct store_file *
store_file_cast(struct store *s)
{
	struct store_file *f = (struct store_file *)(void *)s;

	OBJ_CHECK(f, STORE_FILE_MAGIC);
	return f;
}

struct db_stmt *
store_file_stmt(struct store *s, enum store_statement which, struct errinfo *ei)
{
	struct db_stmt *st = store_file_cast(s)->stmts[which];

	if (st == NULL)
		(void)ERR(ei, ERR_IO, "the database is closed");
	return st;
}

static enum err
run_statement(struct store *s, enum store_statement which, struct errinfo *ei)
{
	struct db_stmt *st = store_file_stmt(s, which, ei);

	return st != NULL ? db_run(st, ei) : ERR_IO;
}

/* ---- the file behind the path ---- */

/* It asks for what is compared and no more: a file whose times were asked for gets new ones with its next
 * write, to the nanosecond instead of the tick, and each commit would have them to write as well. */
static struct file_id
identify(const char *path)
{
	struct statx st;
	struct file_id id = {0};

	if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_NLINK, &st) != 0)
		return id;
	id.device_major = st.stx_dev_major;
	id.device_minor = st.stx_dev_minor;
	id.inode = st.stx_ino;
	id.n_links = st.stx_nlink;
	id.is_known = true;
	return id;
}

static bool
is_same_file(const struct file_id *a, const struct file_id *b)
{
	return a->is_known && b->is_known && a->device_major == b->device_major &&
	       a->device_minor == b->device_minor && a->inode == b->inode &&
	       a->n_links == b->n_links;
}

static enum err
check_file(struct store *s, struct errinfo *ei)
{
	struct store_file *f = store_file_cast(s);
	struct file_id now = identify(f->path);

	if (!now.is_known)
		return ERR(ei, ERR_IO, "the ledger's file was removed or cannot be reached");
	if (!is_same_file(&f->file, &now))
		return ERR(
			ei, ERR_IO, "the ledger's file was replaced or linked by another program");
	now = identify(f->wal_path);
	/* The log appears with the first transaction and stays while we have the database open. */
	if (f->wal.is_known && !is_same_file(&f->wal, &now))
		return ERR(ei, ERR_IO,
			"the ledger's -wal file was removed or replaced by another program");
	f->wal = now;
	return OK;
}

/* ---- opening ---- */

static void
close_database(struct store_file *f)
{
	for (size_t i = 0; i < STMT__MAX; i++)
		db_stmt_free(&f->stmts[i]);
	db_free(&f->db);
	f->wal.is_known = false;
}

/* The pragma answers with the mode it got to, without an error: a file system that cannot share
 * memory, or a reader of the file as it was, leaves it at another one. */
static enum err
use_write_ahead_log(struct store_file *f, struct errinfo *ei)
{
	struct db_stmt *st = NULL;
	bool has_row = false;
	enum err rc = db_prepare(f->db, "PRAGMA journal_mode = WAL", &st, ei);

	if (rc == OK)
		rc = db_step(st, &has_row, ei);
	if (rc == OK && !(has_row && span_eq_cstr(db_column_bytes(st, 0), "wal")))
		rc = ERR(ei, ERR_IO, "the file system cannot keep a write-ahead log");
	db_stmt_free(&st);
	return rc;
}

static enum err
set_pragmas(struct store_file *f, struct errinfo *ei)
{
	static const char *const sync_pragmas[] = {
		[LEDGER_SYNC_FULL] = "PRAGMA synchronous = FULL",
		[LEDGER_SYNC_NORMAL] = "PRAGMA synchronous = NORMAL",
		[LEDGER_SYNC_OFF] = "PRAGMA synchronous = OFF",
	};
	enum err rc = use_write_ahead_log(f, ei);

	/* It appends: pages are written once and not asked for again, so the few it keeps are those that are
	 * still in the processor's cache. A group's own may be more before it has to write them early. */
	if (rc == OK)
		rc = db_exec(f->db,
			"PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 8388608;"
			" PRAGMA temp_store = MEMORY; PRAGMA cache_size = -512; PRAGMA cache_spill "
			"= 250",
			ei);
	/* Whoever waits for a commit need not wait for the log to be folded as well. */
	if (rc == OK)
		db_keep_log(f->db);
	return rc == OK ? db_exec(f->db, sync_pragmas[f->sync], ei) : rc;
}

/* Each reader begins behind record 0. */
static enum err
check_first_row(struct db *db, struct errinfo *ei)
{
	int64_t first = 1;
	enum err rc = db_query_int(db, STORE_FIRST_SQL, &first, ei);

	if (rc == OK && first < 1)
		return ERR(ei, ERR_CORRUPT, "a row numbered %" PRId64 " stands before record 1",
			first);
	return rc;
}

static enum err
open_database(struct store_file *f, enum db_mode mode, struct errinfo *ei)
{
	enum err rc = db_open(f->path, mode, f->busy_timeout_ms, &f->db, ei);

	/* A new file's: a record is some 1.8 KiB, of which 4 KiB hold two and each is a write of its own.
	 * An old one keeps what it has. */
	if (rc == OK && mode == DB_CREATE)
		rc = db_exec(f->db, "PRAGMA page_size = 8192", ei);
	/* The version comes first: a file of another program, or of a newer nomos, is left as it
	 * is. */
	if (rc == OK)
		rc = mode == DB_CREATE ? schema_migrate(f->db, ei)
				       : schema_check(f->db, STORE_SCHEMA_VERSION, ei);
	if (rc == OK)
		rc = check_first_row(f->db, ei);
	if (rc == OK)
		rc = set_pragmas(f, ei);
	for (size_t i = 0; rc == OK && i < STMT__MAX; i++)
		rc = db_prepare(f->db, statements[i], &f->stmts[i], ei);
	if (rc != OK)
		close_database(f);
	return rc;
}

/* A sync that failed may have left the log's last pages unwritten and marked clean: a power cut
 * would then end the log there, whatever is committed behind it. All it shows goes into the
 * database, and the log begins anew. */
static enum err
settle_log(struct store_file *f, struct errinfo *ei)
{
	int64_t is_busy = 0;
	enum err rc = db_query_int(f->db, "PRAGMA wal_checkpoint(TRUNCATE)", &is_busy, ei);

	return rc == OK && is_busy != 0 ? ERR(ei, ERR_BUSY, "a reader holds the log") : rc;
}

static enum err
reopen(struct store *s, struct errinfo *ei)
{
	struct store_file *f = store_file_cast(s);
	struct file_id now;

	close_database(f);
	now = identify(f->path);
	if (!is_same_file(&f->file, &now))
		return ERR(ei, ERR_IO, "the ledger's file is missing or is another one");
	enum err rc = open_database(f, DB_WRITE, ei);
	if (rc == OK)
		rc = settle_log(f, ei);
	if (rc != OK)
		close_database(f);
	return rc;
}

static void
free_store(struct store *s)
{
	struct store_file *f = store_file_cast(s);

	close_database(f);
	mem_free(f->path);
	mem_free(f->wal_path);
	f->magic = 0;
	mem_free(f);
}

/* ---- transactions ---- */

static enum err
begin(struct store *s, struct errinfo *ei)
{
	return FAULT_AROUND(LEDGER_BEGIN, ei, run_statement(s, STMT_BEGIN, ei));
}

static enum err
commit(struct store *s, struct errinfo *ei)
{
	return FAULT_AROUND(LEDGER_COMMIT, ei, run_statement(s, STMT_COMMIT, ei));
}

static enum err
fold_log(struct store *s, struct errinfo *ei)
{
	struct store_file *f = store_file_cast(s);

	return f->db != NULL && db_get_log_pages(f->db) >= LOG_PAGES ? db_fold_log(f->db, ei) : OK;
}

static void
rollback(struct store *s)
{
	struct store_file *f = store_file_cast(s);

	/* SQLite may have rolled back by itself; if ROLLBACK fails the connection is of no more
	 * use. */
	if (f->db != NULL && db_is_in_transaction(f->db) && db_exec(f->db, "ROLLBACK", NULL) != OK)
		close_database(f);
}

static enum err
mark(struct store *s, struct errinfo *ei)
{
	return run_statement(s, STMT_MARK, ei);
}

static enum err
unmark(struct store *s, bool keep, struct errinfo *ei)
{
	enum err rc = keep ? OK : run_statement(s, STMT_UNDO_MARK, ei);

	return rc == OK ? run_statement(s, STMT_RELEASE_MARK, ei) : rc;
}

static const struct store_ops file_ops = {
	.begin = begin,
	.commit = commit,
	.fold_log = fold_log,
	.rollback = rollback,
	.mark = mark,
	.unmark = unmark,
	.append = store_file_append,
	.truncate = store_file_truncate,
	.forget = store_file_forget,
	.set_state = store_file_set_state,
	.get_state = store_file_get_state,
	.find_claim = store_file_find_claim,
	.put_claim = store_file_put_claim,
	.set_claim_state = store_file_set_claim_state,
	.delete_claim = store_file_delete_claim,
	.update_claim = store_file_update_claim,
	.purge_claims = store_file_purge_claims,
	.set_claim_body = store_file_set_claim_body,
	.get_claim_body = store_file_get_claim_body,
	.count_claims = store_file_count_claims,
	.each_claim = store_file_each_claim,
	.each_expired = store_file_each_expired,
	.get_cursor = store_file_get_cursor,
	.put_cursor = store_file_put_cursor,
	.get_meta = store_file_get_meta,
	.put_meta = store_file_put_meta,
	.head = store_file_head,
	.page = store_file_page,
	.page_state = store_file_page_state,
	.check_file = check_file,
	.reopen = reopen,
	.free = free_store,
};

enum err
store_sqlite_new(const struct ledger_options *o, struct store **out, struct errinfo *ei)
{
	struct buf wal;
	enum err rc = OK;

	*out = NULL;
	struct store_file *f = mem_zalloc(1, sizeof(*f));
	if (f == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	f->base.ops = &file_ops;
	f->magic = STORE_FILE_MAGIC;
	f->busy_timeout_ms = o->busy_timeout_ms;
	f->sync = o->sync;
	f->path = mem_dup_cstr(o->path);
	buf_init(&wal, BUF_CAP_LOG_LINE);
	buf_printf(&wal, "%s-wal", o->path);
	f->wal_path = mem_dup_span(buf_span(&wal));
	if (f->path == NULL || f->wal_path == NULL || buf_failed(&wal))
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	buf_fini(&wal);
	if (rc == OK)
		rc = open_database(f, DB_CREATE, ei);
	if (rc != OK) {
		free_store(&f->base);
		return rc;
	}
	f->file = identify(f->path);
	*out = &f->base;
	return OK;
}
