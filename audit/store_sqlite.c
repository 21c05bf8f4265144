/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The cover over SQLite of store_sqlite.h. It must never hide a failed step: after any error the
 * caller looks at db_is_in_transaction, because SQLite may have rolled back by itself. Runs on
 * the thread that owns the connection.
 */
#include "store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/must.h"
#include "fault_vfs.h"

#define FROZEN_NAME_MAX 16384

struct db {
	sqlite3 *handle;
	size_t n_log_pages;
};

struct db_stmt {
	struct db *db;
	sqlite3_stmt *handle;
	int bind_rc; /* the first failed bind since the last reset */
};

static enum err
map_code(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return OK;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_ERROR: /* the statements are right: it is the schema that is not */
		return ERR_CORRUPT;
	case SQLITE_NOTADB:
		return ERR_INVALID;
	case SQLITE_NOMEM:
		return ERR_NOMEM;
	case SQLITE_CONSTRAINT:
		return ERR_CONFLICT;
	default:
		return ERR_IO;
	}
}

/* sqlite3_errstr's texts are static and name no path, unlike some of sqlite3_errmsg's. What the
 * system said is told for the two that SQLite keeps it for. */
static enum err
fail(sqlite3 *handle, int rc, struct errinfo *ei)
{
	int code = rc & 0xff;
	bool has_errno = handle != NULL && (code == SQLITE_IOERR || code == SQLITE_CANTOPEN);
	int errnum = has_errno ? sqlite3_system_errno(handle) : 0;

	if (errnum != 0)
		return ERR(ei, map_code(rc), "%s: %s", sqlite3_errstr(code), strerror(errnum));
	return ERR(ei, map_code(rc), "%s", sqlite3_errstr(code));
}

static int
open_flags(enum db_mode mode)
{
	switch (mode) {
	case DB_READ:
		return SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
	case DB_WRITE:
		return SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
	case DB_CREATE:
		return SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	case DB_FROZEN:
		return SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
	}
	UNREACHABLE("db_mode");
}

/* SQLite would make the file with 0644; the files beside it (-wal, -shm) take the mode of the
 * database. */
static enum err
make_private(const char *path, struct errinfo *ei)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return ERR(ei, ERR_IO, "cannot make the file: %s", strerror(errno));
	close(fd);
	return OK;
}

/* SQLite takes "immutable" only in a name that is a URI. */
static int
open_frozen(const char *path, sqlite3 **handle)
{
	struct buf name;

	buf_init(&name, FROZEN_NAME_MAX);
	BUF_ADD_LIT(&name, "file:");
	for (const char *p = path; *p != '\0'; p++) {
		if (strchr("%?#", *p) != NULL)
			buf_printf(&name, "%%%02x", (unsigned)*p);
		else
			buf_add_char(&name, *p);
	}
	BUF_ADD_LIT(&name, "?immutable=1");
	buf_add_char(&name, '\0');
	int rc = buf_failed(&name) ? SQLITE_NOMEM
				   : sqlite3_open_v2(name.p, handle, open_flags(DB_FROZEN), NULL);
	buf_fini(&name);
	return rc;
}

/* Without its count of memory SQLite has no lock around each allocation, which all its threads share. */
static void
configure(void)
{
	/* Refused when something of the process has used SQLite before; it only costs. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum err
db_open(const char *path, enum db_mode mode, uint32_t busy_timeout_ms, struct db **out,
	struct errinfo *ei)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	*out = NULL;
	MUST(pthread_once(&once, configure) == 0);
#if NOMOS_FAULT_POINTS
	if (fault_is_asked_for())
		fault_vfs_install();
#endif
	struct db *db = mem_zalloc(1, sizeof(*db));
	if (db == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err made = mode == DB_CREATE ? make_private(path, ei) : OK;
	if (made != OK) {
		mem_free(db);
		return made;
	}
	int rc = mode == DB_FROZEN ? open_frozen(path, &db->handle)
				   : sqlite3_open_v2(path, &db->handle, open_flags(mode), NULL);
	if (rc != SQLITE_OK) {
		enum err e = fail(db->handle, rc, ei);
		db_free(&db);
		return e;
	}
	(void)sqlite3_extended_result_codes(db->handle, 1);
	(void)sqlite3_busy_timeout(
		db->handle, busy_timeout_ms > INT_MAX ? INT_MAX : (int)busy_timeout_ms);
	/* The schema of a hostile file must not run anything, and an attached file must not widen
	 * what we read. */
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	(void)sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
	*out = db;
	return OK;
}

void
db_free(struct db **db)
{
	if (*db == NULL)
		return;
	/* Fails only over statements that are still prepared, which is a fault of ours. */
	int rc = sqlite3_close((*db)->handle);
	MUST(rc == SQLITE_OK);
	mem_free(*db);
	*db = NULL;
}

enum err
db_exec(struct db *db, const char *sql, struct errinfo *ei)
{
	int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? OK : fail(db->handle, rc, ei);
}

enum err
db_query_int(struct db *db, const char *sql, int64_t *out, struct errinfo *ei)
{
	struct db_stmt *st = NULL;
	bool has_row = false;

	*out = 0;
	enum err rc = db_prepare(db, sql, &st, ei);
	if (rc == OK)
		rc = db_step(st, &has_row, ei);
	if (rc == OK && !has_row)
		rc = ERR(ei, ERR_NOT_FOUND, "no row");
	if (rc == OK)
		*out = db_column_int(st, 0);
	db_stmt_free(&st);
	return rc;
}

bool
db_is_in_transaction(struct db *db)
{
	return sqlite3_get_autocommit(db->handle) == 0;
}

struct sqlite3_file *
db_get_file(struct db *db)
{
	struct sqlite3_file *f = NULL;
	int rc = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &f);

	return rc == SQLITE_OK ? f : NULL;
}

static int
note_log(void *arg, sqlite3 *handle, const char *name, int n_pages)
{
	struct db *db = arg;

	(void)handle;
	(void)name;
	db->n_log_pages = n_pages > 0 ? (size_t)n_pages : 0;
	return SQLITE_OK;
}

/* SQLite's own checkpoint after a commit is such a hook, too. */
void
db_keep_log(struct db *db)
{
	(void)sqlite3_wal_hook(db->handle, note_log, db);
}

size_t
db_get_log_pages(const struct db *db)
{
	return db->n_log_pages;
}

enum err
db_fold_log(struct db *db, struct errinfo *ei)
{
	int rc = sqlite3_wal_checkpoint_v2(
		db->handle, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

	db->n_log_pages = 0;
	return rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY ? OK : fail(db->handle, rc, ei);
}

enum err
db_copy(struct db *from, struct db *to, struct errinfo *ei)
{
	sqlite3_backup *b = sqlite3_backup_init(to->handle, "main", from->handle, "main");

	if (b == NULL)
		return fail(to->handle, sqlite3_errcode(to->handle), ei);
	/* All at once: a copy in steps begins anew with each commit of the writer and would never
	 * end beside a busy one. */
	int step = sqlite3_backup_step(b, -1);
	int rc = sqlite3_backup_finish(b);
	if (step == SQLITE_DONE && rc == SQLITE_OK)
		return OK;
	return fail(to->handle, rc != SQLITE_OK ? rc : step, ei);
}

enum err
db_prepare(struct db *db, const char *sql, struct db_stmt **out, struct errinfo *ei)
{
	*out = NULL;
	struct db_stmt *st = mem_zalloc(1, sizeof(*st));
	if (st == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	st->db = db;
	int rc = sqlite3_prepare_v3(
		db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &st->handle, NULL);
	if (rc != SQLITE_OK) {
		mem_free(st);
		return fail(db->handle, rc, ei);
	}
	*out = st;
	return OK;
}

void
db_stmt_free(struct db_stmt **st)
{
	if (*st == NULL)
		return;
	(void)sqlite3_finalize(
		(*st)->handle); /* repeats the error of the last step, which was reported */
	mem_free(*st);
	*st = NULL;
}

static void
keep_bind_error(struct db_stmt *st, int rc)
{
	if (rc != SQLITE_OK && st->bind_rc == SQLITE_OK)
		st->bind_rc = rc;
}

void
db_bind_int(struct db_stmt *st, int at, int64_t v)
{
	keep_bind_error(st, sqlite3_bind_int64(st->handle, at, v));
}

void
db_bind_blob(struct db_stmt *st, int at, struct span bytes)
{
	const char *p = bytes.p != NULL ? bytes.p : ""; /* a NULL pointer would bind NULL */

	keep_bind_error(st, sqlite3_bind_blob64(st->handle, at, p, bytes.n, SQLITE_STATIC));
}

void
db_bind_text(struct db_stmt *st, int at, struct span text)
{
	const char *p = text.p != NULL ? text.p : "";

	keep_bind_error(
		st, sqlite3_bind_text64(st->handle, at, p, text.n, SQLITE_STATIC, SQLITE_UTF8));
}

void
db_reset(struct db_stmt *st)
{
	(void)sqlite3_reset(
		st->handle); /* repeats the error of the last step, which was reported */
	st->bind_rc = SQLITE_OK;
}

enum err
db_step(struct db_stmt *st, bool *has_row, struct errinfo *ei)
{
	MUST(st != NULL);
	*has_row = false;
	int rc = st->bind_rc != SQLITE_OK ? st->bind_rc : sqlite3_step(st->handle);
	if (rc == SQLITE_ROW) {
		*has_row = true;
		return OK;
	}
	db_reset(st);
	return rc == SQLITE_DONE ? OK : fail(st->db->handle, rc, ei);
}

enum err
db_run(struct db_stmt *st, struct errinfo *ei)
{
	bool has_row = false;
	enum err rc = db_step(st, &has_row, ei);

	if (has_row)
		db_reset(st);
	return rc;
}

int64_t
db_column_int(struct db_stmt *st, int at)
{
	return sqlite3_column_int64(st->handle, at);
}

struct span
db_column_bytes(struct db_stmt *st, int at)
{
	const char *p = sqlite3_column_blob(st->handle, at);
	int n = sqlite3_column_bytes(st->handle, at);

	return p != NULL && n > 0 ? span_of(p, (size_t)n) : SPAN_NONE;
}

int64_t
db_changes(struct db *db)
{
	return sqlite3_changes64(db->handle);
}
