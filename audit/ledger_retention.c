/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The retention thread. The order of its steps makes every crash harmless: the archive has its name
 * before the anchor moves, the anchor moves in the transaction that removes the first rows, and rows
 * below the anchor are removed by whoever finds them. It must never remove a row that no verified
 * archive holds, nor hold the writer up for longer than a few rows take.
 */
#include "ledger_retention.h"

#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "anchor.h"
#include "audit/archive.h"
#include "audit/store.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "chore.h"
#include "ledger_index.h"
#include "ledger_priv.h"
#include "retention_floor.h"

#define RETENTION_MAGIC 0x4e7e0001u
/* Rows per transaction, and the pause between two: the decisions in the same group wait for the rows. */
#define FORGET_ROWS 100
#define FORGET_PAUSE_NS (2 * NS_PER_MS)

struct ledger_retention {
	unsigned magic;
	struct chore chore;
	struct ledger *l;
	const char **sinks;
	char *folder;
	struct log_limiter limiter;
	struct store_reader *reader; /* during a pass */
};

/* ---- removing rows ---- */

/* One transaction of the writer: the anchor, and rows up to it. */
struct turn {
	struct ledger_entry e; /* first */
	struct buf anchor;     /* as it is stored */
	uint64_t upto;
	size_t n;
	sem_t done;
};

/* Writer thread. */
static enum err
apply_turn(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct turn *t = (struct turn *)(void *)e;
	struct store *s = tx->l->store;
	struct errinfo detail;
	enum err rc = ledger_tx_mark(tx, ei);

	if (rc != OK)
		return rc;
	rc = s->ops->put_meta(s, META_ANCHOR, buf_span(&t->anchor), &detail);
	if (rc == OK)
		rc = s->ops->forget(s, t->upto, FORGET_ROWS, &t->n, &detail);
	return rc == OK ? OK : ledger_tx_store_failed(tx, &detail, ei);
}

static void
end_turn(struct ledger_entry *e)
{
	sem_post(&((struct turn *)(void *)e)->done);
}

static enum err
take_turn(struct ledger_retention *r, struct turn *t, struct errinfo *ei)
{
	t->e = (struct ledger_entry){.apply = apply_turn, .done = end_turn};
	t->n = 0;
	enum err rc = ledger_submit(r->l, &t->e, ei);
	if (rc != OK)
		return rc;
	while (sem_wait(&t->done) != 0)
		;
	return t->e.result == OK ? OK : ERR(ei, t->e.result, "%s", t->e.ei.msg);
}

/* Removes all up to the end of a segment whose archive is there. ERR_STOPPED when the ledger closes. */
static enum err
forget(struct ledger_retention *r, const struct checkpoint *end, struct errinfo *ei)
{
	struct turn t = {.upto = end->at.seq};
	struct checkpoint anchor;
	enum err rc = anchor_sign(r->l->key, end, &anchor, ei);

	MUST(sem_init(&t.done, 0, 0) == 0);
	buf_init(&t.anchor, BUF_CAP_LOG_LINE);
	checkpoint_build_head(&anchor, &t.anchor);
	if (rc == OK && buf_failed(&t.anchor))
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	do {
		if (rc == OK)
			rc = take_turn(r, &t, ei);
		if (rc == OK && t.n > 0 && !chore_pause(&r->chore, FORGET_PAUSE_NS))
			rc = ERR(ei, ERR_STOPPED, "stopped");
	} while (rc == OK && t.n > 0);
	buf_fini(&t.anchor);
	sem_destroy(&t.done);
	return rc;
}

/* ---- one pass ---- */

static bool
is_stopped(void *arg)
{
	struct ledger_retention *r = arg;

	return chore_is_stopping(&r->chore);
}

static bool
keep_seq(const struct store_row *row, void *arg)
{
	*(uint64_t *)arg = row->seq;
	return false;
}

/* An earlier run ended between the archive and the last of its rows. */
static enum err
finish_earlier(struct ledger_retention *r, const struct checkpoint *anchor, struct errinfo *ei)
{
	uint64_t first = 0;

	/* Nobody else may have records removed. */
	if (strcmp(anchor->chain_id, r->l->chain_id) != 0 ||
		!anchor_is_signed_by(anchor, r->l->key))
		return ERR(ei, ERR_CORRUPT,
			"the mark of what was archived is not of this ledger's key");
	enum err rc = store_reader_page(r->reader, 0, 1, keep_seq, &first, NULL, ei);
	return rc == OK && first <= anchor->at.seq ? forget(r, anchor, ei) : rc;
}

static struct retention_needs
list_needs(const struct ledger_retention *r)
{
	const struct ledger *l = r->l;

	return (struct retention_needs){.reader = r->reader,
		.head_file = l->names.head,
		.sinks = r->sinks,
		.n_sinks = l->n_sinks,
		.indexed = l->index != NULL ? ledger_index_position(l->index) : UINT64_MAX,
		.now_wall_ns = clock_wall_ns(),
		.report_window_ns = l->o.retention.report_window_s * NS_PER_SEC};
}

/* *end is the new anchor; at.seq 0: nothing is old enough. */
static enum err
archive_segment(struct ledger_retention *r, const struct checkpoint *anchor, struct checkpoint *end,
	struct errinfo *ei)
{
	struct ledger *l = r->l;
	const struct retention_needs needs = list_needs(r);
	char path[ARCHIVE_PATH_MAX];
	uint64_t floor = 0;
	enum err rc = retention_find_floor(&needs, &floor, ei);

	*end = (struct checkpoint){.at = {0}};
	if (rc == OK)
		rc = retention_find_end(&needs, &l->o.retention, &anchor->at, floor, end, ei);
	if (rc != OK || end->at.seq == 0)
		return rc;
	if (strcmp(end->chain_id, l->chain_id) != 0 || !checkpoint_is_signed_by(end, l->key))
		return ERR(ei, ERR_CORRUPT,
			"the checkpoint of record %" PRIu64 " is not of this ledger's key",
			end->at.seq);
	const struct archive_order order = {.reader = r->reader,
		.folder = r->folder,
		.chain_id = l->chain_id,
		.from = anchor->at,
		.to = end->at,
		.key = l->key,
		.is_stopped = is_stopped,
		.arg = r};
	rc = archive_write(&order, path, ei);
	if (rc == OK) {
		metric_add(METRIC_ARCHIVED, (int64_t)(end->at.seq - anchor->at.seq));
		log_info(NULL, "ledger: records %" PRIu64 " to %" PRIu64 " are archived in %s",
			anchor->at.seq + 1, end->at.seq, path);
	}
	return rc;
}

/* Segment by segment until nothing is old enough. */
static enum err
run_pass(struct ledger_retention *r, struct errinfo *ei)
{
	struct checkpoint anchor;
	struct checkpoint end;
	enum err rc = anchor_read(r->reader, &anchor, ei);

	if (rc == OK && anchor.at.seq > 0)
		rc = finish_earlier(r, &anchor, ei);
	while (rc == OK) {
		rc = archive_segment(r, &anchor, &end, ei);
		if (rc != OK || end.at.seq == 0)
			break;
		rc = forget(r, &end, ei);
		anchor = end;
	}
	return rc;
}

static void *
run(void *arg)
{
	struct ledger_retention *r = NULL;

	OBJ_CAST(r, arg, RETENTION_MAGIC);
	while (chore_pause(&r->chore, r->l->o.retention.look_ms * NS_PER_MS)) {
		struct errinfo ei;
		uint64_t held = 0;
		enum err rc = store_reader_open(r->l->path, STORE_READ_LIVE, &r->reader, &ei);
		if (rc == OK)
			rc = run_pass(r, &ei);
		store_reader_free(&r->reader);
		if (rc != OK && rc != ERR_STOPPED && log_limit(&r->limiter, &held))
			log_error(NULL, "ledger: old records stay, they could not be archived: %s",
				ei.msg);
	}
	return NULL;
}

/* ---- called by the ledger ---- */

static enum err
copy_names(struct ledger_retention *r, struct errinfo *ei)
{
	const struct ledger *l = r->l;
	const char *folder = l->o.retention.folder;
	struct buf b;

	buf_init(&b, BUF_CAP_LOG_LINE);
	buf_printf(&b, "%s%s", folder != NULL ? folder : l->path, folder != NULL ? "" : ".archive");
	r->folder = buf_failed(&b) ? NULL : mem_dup_span(buf_span(&b));
	buf_fini(&b);
	r->sinks = mem_zalloc(l->n_sinks + 1, sizeof(*r->sinks));
	if (r->folder == NULL || r->sinks == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < l->n_sinks; i++)
		r->sinks[i] = l->sinks[i].sink->name;
	return OK;
}

enum err
ledger_retention_new(struct ledger *l, struct ledger_retention **out, struct errinfo *ei)
{
	*out = NULL;
	if (l->o.store != LEDGER_STORE_SQLITE ||
		(l->o.retention.days == 0 && l->o.retention.records == 0))
		return OK;
	struct ledger_retention *r = mem_zalloc(1, sizeof(*r));
	if (r == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	r->magic = RETENTION_MAGIC;
	r->l = l;
	enum err rc = copy_names(r, ei);
	if (rc == OK)
		rc = chore_start(&r->chore, run, r, "retention", ei);
	if (rc != OK)
		ledger_retention_free(&r);
	*out = r;
	return rc;
}

void
ledger_retention_free(struct ledger_retention **r)
{
	if (*r == NULL)
		return;
	OBJ_CHECK(*r, RETENTION_MAGIC);
	chore_stop(&(*r)->chore);
	mem_free((*r)->sinks);
	mem_free((*r)->folder);
	(*r)->magic = 0;
	mem_free(*r);
	*r = NULL;
}
