/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, starting and closing. It must never leave a lock, a thread or a half-made file behind
 * when it fails, and never make a new ledger where the head file says that there was one. Runs on
 * the thread that opens and closes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "ledger_priv.h"
#include "lock.h"

#define ARENA_BYTES ((size_t)2 * 1024 * 1024)
/* What can be done about a file that is damaged, cut, or not the one it was. */
#define REMEDY                                                                                     \
	"; see `nomos audit verify`, then restore a good copy, or keep this one as it is and "     \
	"begin a new chain with `nomos audit seal --reason TEXT`"
#define PATH_BYTES_MAX 4000 /* PATH_MAX with room for the suffixes */
#define TX_BYTES_MAX (LEDGER_GROUP_BYTES + (size_t)16 * 1024 * 1024)

void
ledger_options_init(struct ledger_options *o)
{
	*o = (struct ledger_options){
		.checkpoint_every = 1024,
		.queue_max = 8192,
		.group_max = 256,
		.busy_timeout_ms = 2000,
		.sink_deadline_ms = 2000,
		.ring_bytes = 4 * 1024 * 1024,
		.retention = {.segment_records = 100000,
			.look_ms = 60000,
			.report_window_s = 86400},
	};
}

static bool
is_within(uint32_t v, uint32_t min, uint32_t max)
{
	return v >= min && v <= max;
}

static enum err
check_required(const struct ledger_options *o, struct errinfo *ei)
{
	size_t n_counted = 0;

	for (size_t i = 0; i < o->n_sinks; i++) {
		const struct sink *s = o->sinks[i];
		if (s->batch_max > SINK_BATCH_MAX || s->name == NULL || s->name[0] == '\0')
			return ERR(ei, ERR_INVALID,
				"audit sink %zu has no name or too large a batch", i + 1);
		for (size_t k = 0; k < i; k++) {
			if (strcmp(o->sinks[k]->name, s->name) == 0)
				return ERR(
					ei, ERR_INVALID, "two audit sinks are named %s", s->name);
		}
		n_counted +=
			!s->is_advisory && (o->required != LEDGER_REQUIRED_NAMED || s->is_required);
	}
	if (o->required != LEDGER_REQUIRED_LEDGER && n_counted == 0)
		return ERR(ei, ERR_INVALID, "audit.required asks for a sink, but there is none");
	if (o->required == LEDGER_REQUIRED_LEDGER && o->store == LEDGER_STORE_NONE)
		return ERR(ei, ERR_INVALID, "without a ledger file a sink must be required");
	return OK;
}

static bool
is_too_long(const char *path)
{
	return path != NULL && strlen(path) >= PATH_BYTES_MAX;
}

static enum err
check_options(const struct ledger_options *o, struct errinfo *ei)
{
	if (o->store == LEDGER_STORE_SQLITE && (o->path == NULL || o->path[0] == '\0'))
		return ERR(ei, ERR_INVALID, "ledger.path is empty");
	if (is_too_long(o->path) || is_too_long(o->key_path))
		return ERR(ei, ERR_INVALID, "a path of the ledger is too long");
	if (!is_within(o->checkpoint_every, 1, 1000000) || !is_within(o->queue_max, 1, 1000000) ||
		!is_within(o->group_max, 1, 4096) || !is_within(o->sink_deadline_ms, 1, 600000) ||
		!is_within(o->busy_timeout_ms, 0, 600000) ||
		!is_within(o->ring_bytes, 1u << 20, 1u << 30))
		return ERR(ei, ERR_INVALID, "an option of the ledger is out of range");
	return check_required(o, ei);
}

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

/* ---- opening ---- */

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

static bool
is_missing(const char *path, const char *suffix)
{
	struct stat st;
	struct buf name;

	buf_init(&name, BUF_CAP_LOG_LINE);
	buf_printf(&name, "%s%s", path, suffix);
	bool answer = !buf_failed(&name) && stat(name.p, &st) != 0 && errno == ENOENT;
	buf_fini(&name);
	return answer;
}

/* SQLite opens a ledger whose log is gone as if what was in it had never been. A program that moves
 * the log into the database, as the sqlite3 shell does when it ends, removes both files. */
static enum err
check_log(struct ledger *l, struct errinfo *ei)
{
	if (!lock_has_log(l->lock_fd))
		return OK;
	if (is_missing(l->path, "-wal")) {
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

static enum err
open_file(struct ledger *l, struct errinfo *ei)
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

static enum err
open_memory(struct ledger *l, struct errinfo *ei)
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

static void
free_ledger(struct ledger *l)
{
	ledger_index_free(&l->index);
	ledger_head_free(&l->head_file);
	ledger_sinks_free(l);
	ledger_ring_free(&l->ring);
	/* Before SQLite moves the log into the database and removes it: if this process dies in
	 * between, the mark must not ask for a log that is rightly gone. A start that failed over the
	 * database may have left the log alone. */
	if (l->has_log_mark && (l->store != NULL || is_missing(l->path, "-wal")))
		(void)lock_mark_log(l->lock_fd, false);
	if (l->store != NULL)
		l->store->ops->free(l->store);
	sign_key_free(&l->key);
	/* Behind the store: closing any descriptor of the file drops SQLite's locks on it. */
	lock_drop(&l->file_lock_fd);
	lock_drop(&l->lock_fd);
	arena_free(&l->arena);
	buf_fini(&l->tx_bytes);
	mem_free(l->tx_records);
	mem_free(l->path);
	mem_free(l->names.key);
	mem_free(l->names.pub);
	mem_free(l->names.lock);
	mem_free(l->names.head);
	mem_free(l->names.seal);
	mem_free(l->names.archive);
	pthread_mutex_destroy(&l->mutex);
	pthread_cond_destroy(&l->wake);
	l->magic = 0;
	mem_free(l);
}

static void
free_sinks_of(const struct ledger_options *o)
{
	for (size_t i = 0; i < o->n_sinks; i++)
		o->sinks[i]->ops->free(o->sinks[i]);
}

/* Takes the sinks over, or frees them. */
static struct ledger *
new_ledger(const struct ledger_options *o)
{
	pthread_condattr_t attr;
	struct ledger *l = mem_zalloc(1, sizeof(*l));
	struct ledger_sink *sinks = mem_zalloc(o->n_sinks + 1, sizeof(*sinks));

	if (l == NULL || sinks == NULL) {
		mem_free(l);
		mem_free(sinks);
		free_sinks_of(o);
		return NULL;
	}
	l->magic = LEDGER_MAGIC;
	l->o = *o;
	l->o.sinks = NULL;
	l->lock_fd = -1;
	l->file_lock_fd = -1;
	l->sinks = sinks;
	l->n_sinks = o->n_sinks;
	for (size_t i = 0; i < o->n_sinks; i++) {
		sinks[i].l = l;
		sinks[i].sink = o->sinks[i];
	}
	buf_init(&l->tx_bytes, TX_BYTES_MAX);
	MUST(pthread_mutex_init(&l->mutex, NULL) == 0);
	MUST(pthread_condattr_init(&attr) == 0);
	MUST(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	MUST(pthread_cond_init(&l->wake, &attr) == 0);
	pthread_condattr_destroy(&attr);
	return l;
}

static enum err
explain_refusal(enum err rc, struct errinfo *ei)
{
	struct errinfo why;

	if (rc != ERR_CORRUPT || ei == NULL)
		return ERR_WRAP(ei, rc, "ledger");
	memcpy(&why, ei, sizeof(why));
	return ERR(ei, rc, "ledger: %s" REMEDY, why.msg);
}

enum err
ledger_open(const struct ledger_options *o, struct ledger **out, struct errinfo *ei)
{
	*out = NULL;
	enum err rc = check_options(o, ei);
	if (rc != OK) {
		free_sinks_of(o);
		return rc;
	}
	struct ledger *l = new_ledger(o);
	if (l == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	l->arena = arena_new(ARENA_BYTES);
	if (l->arena == NULL)
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == OK)
		rc = o->store == LEDGER_STORE_SQLITE ? open_file(l, ei) : open_memory(l, ei);
	if (rc == OK)
		rc = ledger_open_check(l, ei);
	if (rc == OK)
		rc = ledger_sinks_load(l, ei);
	if (rc != OK) {
		free_ledger(l);
		return explain_refusal(rc, ei);
	}
	*out = l;
	return OK;
}

size_t
ledger_get_open_intents(const struct ledger *l, uint64_t *seqs, size_t max)
{
	OBJ_CHECK(l, LEDGER_MAGIC);
	for (size_t i = 0; i < max && i < l->n_open && i < LEDGER_OPEN_SHOWN_MAX; i++)
		seqs[i] = l->open_seqs[i];
	return l->n_open;
}

const char *
ledger_get_path(const struct ledger *l)
{
	OBJ_CHECK(l, LEDGER_MAGIC);
	return l->o.store == LEDGER_STORE_SQLITE ? l->path : NULL;
}

const char *
ledger_get_chain_id(const struct ledger *l)
{
	OBJ_CHECK(l, LEDGER_MAGIC);
	return l->chain_id;
}

enum err
ledger_start(struct ledger *l, struct errinfo *ei)
{
	OBJ_CHECK(l, LEDGER_MAGIC);
	if (l->n_open > 0)
		return ERR(ei, ERR_INVALID, "ledger: %zu intents of an earlier run are open",
			l->n_open);
	enum err rc = ledger_writer_start(l, ei);
	if (rc == OK)
		rc = ledger_sinks_start(l, ei);
	if (rc == OK && l->o.has_index && l->o.store == LEDGER_STORE_SQLITE)
		rc = ledger_index_new(l->path, &l->index, ei);
	if (rc == OK)
		rc = ledger_retention_new(l, &l->retention, ei);
	MUST(pthread_mutex_lock(&l->mutex) == 0);
	l->is_started = rc == OK;
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
	return rc;
}

/* What the sinks took while they finished. */
static void
write_last_cursors(struct ledger *l)
{
	struct ledger_tx tx;
	struct errinfo ei;

	if (l->is_failing || !ledger_sinks_moved(l, 1))
		return;
	enum err rc = ledger_tx_begin(l, &tx, &ei);
	if (rc == OK)
		rc = ledger_tx_put_cursors(&tx, &ei);
	if (rc == OK)
		rc = ledger_tx_commit(&tx, &ei);
	if (rc != OK) {
		log_warn(NULL, "ledger: the sinks' cursors could not be written: %s",
			ledger_tx_reason(&tx));
		ledger_tx_abort(&tx);
	}
}

void
ledger_close(struct ledger **l)
{
	struct ledger *o = *l;

	if (o == NULL)
		return;
	OBJ_CHECK(o, LEDGER_MAGIC);
	ledger_retention_free(&o->retention);
	if (o->has_thread) {
		MUST(pthread_mutex_lock(&o->mutex) == 0);
		o->is_stopping = true;
		MUST(pthread_cond_signal(&o->wake) == 0);
		MUST(pthread_mutex_unlock(&o->mutex) == 0);
		MUST(pthread_join(o->thread, NULL) == 0);
		ledger_sinks_stop(o);
		write_last_cursors(o);
	}
	free_ledger(o);
	*l = NULL;
}
