/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a ledger: their names, and what has to be true of them before the database is opened. It must never
 * make a new ledger where the head file says that there was one, nor go on where a log is missing. Runs on the thread
 * that opens.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "ledger_priv.h"
#include "lock.h"

/* ---- names ---- */

static char *
name_beside(const char *path, const char *suffix)
{
	struct buf b;

	buf_init(&b, BUF_CAP_LOG_LINE);
	buf_printf(&b, "%s%s", path, suffix);
	char *name = buf_failed(&b) ? NULL : mem_dup_span(buf_span(&b));
	buf_fini(&b);
	return name;
}

static enum err
make_names(struct ledger *l, struct errinfo *ei)
{
	const char *path = l->o.path;
	bool has_key = l->o.key_path != NULL && l->o.key_path[0] != '\0';

	l->path = name_beside(path, "");
	l->names.key = has_key ? name_beside(l->o.key_path, "") : name_beside(path, ".key");
	l->names.pub = name_beside(path, ".pub");
	l->names.lock = name_beside(path, ".lock");
	l->names.head = name_beside(path, ".head");
	l->names.seal = name_beside(path, ".seal");
	if (l->o.retention.folder != NULL) {
		l->names.archive = name_beside(l->o.retention.folder, "");
		l->o.retention.folder = l->names.archive;
		if (l->names.archive == NULL)
			return ERR(ei, ERR_NOMEM, "out of memory");
	}
	l->o.path = l->path;
	l->o.key_path = l->names.key;
	if (l->path == NULL || l->names.key == NULL || l->names.pub == NULL ||
		l->names.lock == NULL || l->names.head == NULL || l->names.seal == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	return OK;
}

/* ---- what is found there ---- */

/* A head file without its ledger means that evidence was lost; making a new file would hide it. */
static enum err
check_head_without_ledger(const struct ledger *l, bool is_new, struct errinfo *ei)
{
	struct stat st;

	if (!is_new || (stat(l->names.head, &st) != 0 && errno == ENOENT))
		return OK;
	return ERR(ei, ERR_CORRUPT, "%s is there but %s is not, or has no records", l->names.head,
		l->path);
}

static bool
has_no_bytes(const char *path)
{
	struct stat st;

	/* SQLite takes a file of one byte for an empty one. */
	return stat(path, &st) != 0 ? errno == ENOENT : st.st_size <= 1;
}

/* A second name would have a lock and a write-ahead log of its own: two gateways on one chain. */
static enum err
check_single_name(const char *path, struct errinfo *ei)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? OK : ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
	if (S_ISLNK(st.st_mode))
		return ERR(ei, ERR_INVALID, "%s is a symbolic link; name the ledger itself", path);
	if (st.st_nlink > 1)
		return ERR(ei, ERR_INVALID, "%s has a second name (a hard link); remove it", path);
	return OK;
}

/* Without an allocation: what cannot be asked for would pass for being there. */
static bool
is_missing(const char *path, const char *suffix)
{
	char name[PATH_MAX];
	struct stat st;
	int n = snprintf(name, sizeof(name), "%s%s", path, suffix);

	return n > 0 && (size_t)n < sizeof(name) && stat(name, &st) != 0 && errno == ENOENT;
}

bool
ledger_lacks_log(const struct ledger *l)
{
	return is_missing(l->path, "-wal");
}

/* SQLite removes the log of a database that has no bytes, and with it records that the head file need not know of yet. A
 * start that was killed never leaves the two like this: the database has its first page before there is a log. */
static enum err
check_log_without_ledger(const struct ledger *l, struct errinfo *ei)
{
	if (!has_no_bytes(l->path) || ledger_lacks_log(l))
		return OK;
	return ERR(ei, ERR_CORRUPT,
		"%s-wal, the log of a ledger, is there but %s is not, or is empty: put it back if "
		"it was moved",
		l->path, l->path);
}

/* SQLite opens a ledger whose log is gone as if what was in it had never been. A program that moves
 * the log into the database, as the sqlite3 shell does when it ends, removes both files. */
static enum err
check_log(struct ledger *l, struct errinfo *ei)
{
	if (!lock_has_log(l->lock_fd))
		return OK;
	if (ledger_lacks_log(l)) {
		if (!is_missing(l->path, "-shm"))
			return ERR(ei, ERR_CORRUPT,
				"the last run did not end cleanly, and %s-wal, which holds its "
				"last records, is missing",
				l->path);
		(void)lock_mark_log(l->lock_fd, false);
		log_warn(NULL,
			"ledger: the last run did not end cleanly, and its -wal and -shm files are "
			"gone: unless another program has opened the ledger since, the last "
			"records are lost");
		return OK;
	}
	/* It stays: a start that is killed leaves the log as it was. */
	l->has_log_mark = true;
	return OK;
}

enum err
ledger_open_file(struct ledger *l, struct errinfo *ei)
{
	struct chain_head head = {0};
	enum err rc = make_names(l, ei);

	if (rc == OK)
		rc = lock_take(l->names.lock, &l->lock_fd, ei);
	if (rc == OK)
		rc = check_single_name(l->path, ei);
	if (rc == OK)
		rc = check_head_without_ledger(l, has_no_bytes(l->path), ei);
	if (rc == OK)
		rc = check_log_without_ledger(l, ei);
	if (rc == OK)
		rc = check_log(l, ei);
	if (rc == OK)
		rc = lock_hold(l->path, &l->file_lock_fd, ei);
	if (rc == OK)
		rc = store_sqlite_new(&l->o, &l->store, ei);
	if (rc == OK)
		rc = l->store->ops->head(l->store, &head, ei);
	if (rc == OK)
		rc = check_head_without_ledger(l, head.seq == 0, ei);
	/* A key is only ever made together with a chain: another key cannot vouch for this one. */
	if (rc == OK)
		rc = checkpoint_load_key(l->names.key, l->names.pub, head.seq == 0, &l->key, ei);
	if (rc == ERR_NOT_FOUND)
		rc = ERR_WRAP(ei, ERR_INVALID,
			"the key that signs this ledger is missing; restore it, or begin a new"
			" chain with `nomos audit seal --reason TEXT`");
	if (rc == OK)
		rc = ledger_head_new(l->names.head, &l->head_file, ei);
	return rc;
}

enum err
ledger_open_memory(struct ledger *l, struct errinfo *ei)
{
	enum err rc = store_memory_new(l->o.store == LEDGER_STORE_MEMORY, &l->store, ei);
	bool has_key = l->o.key_path != NULL && l->o.key_path[0] != '\0';

	if (rc != OK)
		return rc;
	if (!has_key)
		return sign_key_new(&l->key, ei);
	l->names.key = name_beside(l->o.key_path, "");
	l->names.pub = name_beside(l->o.key_path, ".pub");
	if (l->names.key == NULL || l->names.pub == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	return checkpoint_load_key(l->names.key, l->names.pub, true, &l->key, ei);
}
