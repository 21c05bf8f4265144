/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A thin cover over SQLite: connections and prepared statements in our error terms.
 * store_sqlite.c includes sqlite3.h, and no other file of the project but for SQLite's own files (fault_vfs.c,
 * read_ahead.c). A connection belongs to one thread at a time. Error texts name no path.
 */
#ifndef AUDIT_STORE_SQLITE_H
#define AUDIT_STORE_SQLITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct db;
struct db_stmt;
struct sqlite3_file;

enum db_mode {
	DB_READ = 0, /* of a database that another connection may be writing */
	DB_WRITE,    /* of one that exists */
	DB_CREATE,   /* made when missing, mode 0600 */
	DB_FROZEN,   /* of one that nobody writes: nothing is locked, made or recovered */
};

/*
 * Errors of all calls: ERR_BUSY (locked), ERR_IO (disk full, I/O, permission), ERR_CORRUPT
 * (damaged), ERR_INVALID (not a database), ERR_NOMEM, ERR_CONFLICT (a constraint), ERR_NOT_FOUND
 * (no such file).
 */
MUSTCHECK enum err db_open(const char *path, enum db_mode mode, uint32_t busy_timeout_ms,
	struct db **out, struct errinfo *ei);
/* Ends an open transaction by rollback. Statements must be freed before. */
void db_free(struct db **db);
/* One or more statements without results. */
MUSTCHECK enum err db_exec(struct db *db, const char *sql, struct errinfo *ei);
/* The first column of the first row as a number; ERR_NOT_FOUND when there is no row. */
MUSTCHECK enum err db_query_int(struct db *db, const char *sql, int64_t *out, struct errinfo *ei);
bool db_is_in_transaction(struct db *db);
/* The database's file as SQLite has it open; NULL when it says none. For read_ahead.h. */
struct sqlite3_file *db_get_file(struct db *db);

/* From now on a commit leaves the write-ahead log as it is, however long it has become. */
void db_keep_log(struct db *db);
/* Pages that the log held behind the last commit; 0 when it has been folded since. */
size_t db_get_log_pages(const struct db *db);
/* Moves as much of the log into the database as readers allow. Another connection that does the same is no error. */
MUSTCHECK enum err db_fold_log(struct db *db, struct errinfo *ei);

/* Replaces all that `to` holds by what `from` holds now, in one read transaction of `from`. */
MUSTCHECK enum err db_copy(struct db *from, struct db *to, struct errinfo *ei);

/* A statement that is kept; sql is one statement. */
MUSTCHECK enum err db_prepare(
	struct db *db, const char *sql, struct db_stmt **out, struct errinfo *ei);
void db_stmt_free(struct db_stmt **st);
/* Parameters count from 1. Bytes are borrowed until db_reset. A failure shows up at the next
 * db_step. */
void db_bind_int(struct db_stmt *st, int at, int64_t v);
void db_bind_blob(struct db_stmt *st, int at, struct span bytes);
void db_bind_text(struct db_stmt *st, int at, struct span text);
/* *has_row is false when the statement has ended (it is reset then), and on errors (reset as
 * well). */
MUSTCHECK enum err db_step(struct db_stmt *st, bool *has_row, struct errinfo *ei);
/* For statements without rows: step and reset. */
MUSTCHECK enum err db_run(struct db_stmt *st, struct errinfo *ei);
/* Ends a statement before its last row. */
void db_reset(struct db_stmt *st);
/* Columns count from 0. Bytes are valid until the next step or reset. */
int64_t db_column_int(struct db_stmt *st, int at);
struct span db_column_bytes(struct db_stmt *st, int at);
/* Rows that the last insert, update or delete changed. */
int64_t db_changes(struct db *db);

/* Tests only, before any connection: SQLite takes its memory from base/mem.h, so that mem_fail_at
 * reaches it. */
MUSTCHECK bool db_hook_memory(void);

#endif
