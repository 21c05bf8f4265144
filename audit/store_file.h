/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The SQLite engine behind store_ops: its object and the parts in store_file*.c. Private to
 * them. */
#ifndef AUDIT_STORE_FILE_H
#define AUDIT_STORE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "store_ops.h"
#include "store_sqlite.h"

/* Statements that are kept prepared; the texts are in store_file.c. */
enum store_statement {
	STMT_APPEND,
	STMT_TRUNCATE,
	STMT_FORGET,
	STMT_SET_STATE,
	STMT_GET_STATE,
	STMT_FIND_CLAIM,
	STMT_PUT_CLAIM,
	STMT_SET_CLAIM_STATE,
	STMT_UPDATE_CLAIM,
	STMT_DELETE_CLAIM,
	STMT_PURGE_CLAIMS,
	STMT_SET_CLAIM_BODY,
	STMT_GET_CLAIM_BODY,
	STMT_COUNT_KIND,
	STMT_COUNT_STATE,
	STMT_COUNT_OWNER,
	STMT_COUNT_OWNER_STATE,
	STMT_EACH_CLAIM,
	STMT_EACH_CLAIM_STATE,
	STMT_EACH_EXPIRED,
	STMT_GET_CURSOR,
	STMT_PUT_CURSOR,
	STMT_GET_META,
	STMT_PUT_META,
	STMT_HEAD,
	STMT_PAGE,
	STMT_PAGE_STATE,
	STMT_BEGIN,
	STMT_COMMIT,
	STMT_MARK,
	STMT_UNDO_MARK,
	STMT_RELEASE_MARK,
	STMT__MAX
};

/* Which file stands behind a path. */
struct file_id {
	uint32_t device_major;
	uint32_t device_minor;
	uint64_t inode;
	uint32_t n_links;
	bool is_known;
};

struct store_file {
	struct store base;
	unsigned magic;
	struct db *db; /* NULL after a reopen that failed */
	struct db_stmt *stmts[STMT__MAX];
	char *path;
	char *wal_path;
	uint32_t busy_timeout_ms;
	enum ledger_sync sync;
	struct file_id file;
	struct file_id wal;
};

/* Pages begin behind record 0: a row before it would be seen by nobody. */
#define STORE_FIRST_SQL "SELECT coalesce(min(seq), 1) FROM records"

#define STORE_FILE_MAGIC 0x5f11e001u

struct store_file *store_file_cast(struct store *s);
/* The statement, or NULL with *ei set while the database is closed. */
struct db_stmt *store_file_stmt(struct store *s, enum store_statement which, struct errinfo *ei);
/* Visits the rows of a statement whose columns are seq, state, hash, body; resets it. *n (may be
 * NULL) counts them. */
MUSTCHECK enum err store_visit_rows(
	struct db_stmt *st, store_visit_fn visit, void *arg, size_t *n, struct errinfo *ei);
/* The first row of a statement with those columns, or the empty head; resets it. */
MUSTCHECK enum err store_read_head(struct db_stmt *st, struct chain_head *out, struct errinfo *ei);
/* Fills a row from columns seq, state, hash, body. ERR_CORRUPT. */
MUSTCHECK enum err store_read_row(struct db_stmt *st, struct store_row *row, struct errinfo *ei);

/* store_file_rows.c */
enum err store_file_append(struct store *s, const struct store_row *row, struct errinfo *ei);
enum err store_file_truncate(struct store *s, const struct chain_head *to, struct errinfo *ei);
enum err store_file_forget(
	struct store *s, uint64_t upto, size_t max_rows, size_t *n, struct errinfo *ei);
enum err store_file_set_state(struct store *s, uint64_t seq, int from, int to, struct errinfo *ei);
enum err store_file_get_state(struct store *s, uint64_t seq, int *out, struct errinfo *ei);
enum err store_file_get_cursor(
	struct store *s, const char *sink, uint64_t *seq, struct errinfo *ei);
enum err store_file_put_cursor(struct store *s, const char *sink, uint64_t seq, struct errinfo *ei);
enum err store_file_get_meta(struct store *s, const char *key, struct buf *out, struct errinfo *ei);
enum err store_file_put_meta(
	struct store *s, const char *key, struct span value, struct errinfo *ei);
enum err store_file_head(struct store *s, struct chain_head *out, struct errinfo *ei);
enum err store_file_page(struct store *s, uint64_t after, size_t max, store_visit_fn visit,
	void *arg, struct errinfo *ei);
enum err store_file_page_state(struct store *s, int state, uint64_t after, store_visit_fn visit,
	void *arg, struct errinfo *ei);

/* store_file_claims.c */
enum err store_file_find_claim(struct store *s, uint32_t kind, const uint8_t *key,
	struct ledger_claim *out, struct errinfo *ei);
enum err store_file_put_claim(struct store *s, const struct ledger_claim *c, struct errinfo *ei);
enum err store_file_set_claim_state(
	struct store *s, uint32_t kind, const uint8_t *key, int32_t state, struct errinfo *ei);
enum err store_file_delete_claim(
	struct store *s, uint32_t kind, const uint8_t *key, struct errinfo *ei);
enum err store_file_update_claim(struct store *s, const struct ledger_claim *c, struct errinfo *ei);
enum err store_file_purge_claims(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max,
	size_t *n, struct errinfo *ei);

/* Binds a claim's kind and key, the first two parameters of each statement about one. */
void store_bind_claim(struct db_stmt *st, uint32_t kind, const uint8_t *key);
/* The statement with those bound; NULL as store_file_stmt. */
struct db_stmt *store_file_claim_stmt(struct store *s, enum store_statement which, uint32_t kind,
	const uint8_t *key, struct errinfo *ei);
/* Runs one that changes a claim. ERR_NOT_FOUND when there is none. */
MUSTCHECK enum err store_file_change_claim(struct store *s, struct db_stmt *st, struct errinfo *ei);

/* store_file_lists.c */
enum err store_file_set_claim_body(
	struct store *s, uint32_t kind, const uint8_t *key, struct span body, struct errinfo *ei);
enum err store_file_get_claim_body(
	struct store *s, uint32_t kind, const uint8_t *key, struct buf *out, struct errinfo *ei);
enum err store_file_count_claims(struct store *s, uint32_t kind, int32_t state,
	const uint8_t *owner, size_t max, size_t *n, struct errinfo *ei);
enum err store_file_each_claim(struct store *s, uint32_t kind, int32_t state, uint64_t before_seq,
	size_t max, ledger_claim_visit_fn visit, void *arg, struct errinfo *ei);
enum err store_file_each_expired(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max,
	ledger_claim_visit_fn visit, void *arg, struct errinfo *ei);

/* Columns of CLAIM_COLUMNS, the kind apart. ERR_CORRUPT. */
#define CLAIM_COLUMNS "key, seq, binding_hash, state, expires, owner"
MUSTCHECK enum err store_read_claim(
	struct db_stmt *st, uint32_t kind, struct ledger_claim *out, struct errinfo *ei);
/* Lists, newest first, for the writer and for readers: kind, a number that stays below, at most so many, and a state. */
#define STORE_EACH_CLAIM_SQL                                                                       \
	"SELECT " CLAIM_COLUMNS " FROM claims WHERE kind = ?1 AND seq < ?2"                        \
	" ORDER BY seq DESC LIMIT ?3"
#define STORE_EACH_CLAIM_STATE_SQL                                                                 \
	"SELECT " CLAIM_COLUMNS " FROM claims INDEXED BY claims_listed"                            \
	" WHERE kind = ?1 AND seq < ?2 AND state = ?4 ORDER BY seq DESC LIMIT ?3"
#define STORE_CLAIM_BODY_SQL "SELECT body FROM claim_bodies WHERE kind = ?1 AND key = ?2"
struct claim_list {
	uint32_t kind;
	int32_t state; /* or LEDGER_ANY_STATE: the statement is the one without it */
	uint64_t before_seq;
	size_t max;
};
MUSTCHECK enum err store_list_claims(struct db_stmt *st, const struct claim_list *list,
	ledger_claim_visit_fn visit, void *arg, struct errinfo *ei);
/* Appends it. ERR_NOT_FOUND. */
MUSTCHECK enum err store_read_claim_body(struct db_stmt *st, uint32_t kind,
	const uint8_t key[LEDGER_CLAIM_KEY], struct buf *out, struct errinfo *ei);

#endif
