/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, starting and closing. It must never leave a lock, a thread or a half-made file behind
 * when it fails. Runs on the thread that opens and closes.
 */
#include <string.h>

#include "base/arena.h"
#include "base/cond.h"
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
	if (l->has_log_mark && (l->store != NULL || ledger_lacks_log(l)))
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
	buf_init(&l->tx_bytes, LEDGER_TX_BYTES_MAX);
	MUST(pthread_mutex_init(&l->mutex, NULL) == 0);
	cond_init(&l->wake);
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
	enum err rc = ledger_check_options(o, ei);
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
		rc = o->store == LEDGER_STORE_SQLITE ? ledger_open_file(l, ei)
						     : ledger_open_memory(l, ei);
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
