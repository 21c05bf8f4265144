/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * When the store fails: saying so, trying again with a small real write and growing pauses, and
 * finding out what became of a transaction whose COMMIT failed (decisions 15 b). It must never go
 * on writing to a chain that is not the one it wrote. Writer thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "ledger_priv.h"

#define PROBE_FIRST_NS (20 * NS_PER_MS)
#define PROBE_BYTES ((size_t)64 * 1024)
#define PROBE_MAX_NS (1000 * NS_PER_MS)

void
ledger_set_failing(struct ledger *l, const char *why)
{
	MUST(pthread_mutex_lock(&l->mutex) == 0);
	l->is_failing = true;
	snprintf(l->why, sizeof(l->why), "%s", why);
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
	l->probe_delay_ns = l->is_unproven ? l->probe_delay_ns * 2 : PROBE_FIRST_NS;
	if (l->probe_delay_ns > PROBE_MAX_NS)
		l->probe_delay_ns = PROBE_MAX_NS;
	l->probe_at_mono_ns = clock_mono_ns() + l->probe_delay_ns;
	if (!l->is_unproven)
		log_error(NULL, "ledger: cannot write, refusing decisions until it works again: %s",
			why);
	l->is_unproven = true;
}

void
ledger_set_proven(struct ledger *l)
{
	if (l->is_unproven)
		log_info(NULL, "ledger: writing again");
	l->is_unproven = false;
}

static void
set_working(struct ledger *l)
{
	MUST(pthread_mutex_lock(&l->mutex) == 0);
	l->is_failing = false;
	l->why[0] = '\0';
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
	/* What the store has of the cursors is uncertain; written once more they are not. */
	for (size_t i = 0; i < l->n_sinks; i++)
		l->sinks[i].cursor = LEDGER_NO_CURSOR;
	if (l->held.first == NULL)
		ledger_set_proven(l);
}

static void
settle_doubtful_entry(struct ledger *l, struct ledger_entry *e, bool is_there)
{
	e->flags &= ~(unsigned)ENTRY_DOUBT;
	if ((e->flags & ENTRY_UNDO) != 0) {
		if (is_there)
			ledger_complete(l, e, ERR_AUDIT);
		else
			entry_list_add(&l->held, e);
	} else if (e->must_write) {
		if (is_there && e->result == OK && !e->needs_no_sink)
			ledger_wait_for_sinks(l, e);
		else if (is_there)
			ledger_complete(l, e, e->result);
		else
			entry_list_add(&l->held, e);
	} else if (is_there && e->undo == NULL) {
		/* It has nothing to give back, so it stands. */
		(void)ERR(&e->ei, ERR_AUDIT, LEDGER_REFUSAL);
		ledger_complete(l, e, ERR_AUDIT);
	} else if (is_there) {
		/* Nobody was told that it was written, and it may not survive a power cut: it was
		 * not executed. */
		(void)ERR(&e->ei, ERR_AUDIT, LEDGER_REFUSAL);
		e->flags |= ENTRY_UNDO;
		entry_list_add(&l->held, e);
	} else {
		ledger_refuse(l, e);
	}
}

/* The head of the reopened file says whether the group whose COMMIT failed is there. */
static bool
settle_doubts(struct ledger *l, const struct chain_head *found)
{
	struct entry_list held = l->held;
	bool is_old = found->seq == l->head.seq && strcmp(found->hash, l->head.hash) == 0;
	bool is_there = !is_old && l->doubt_head.seq != 0 && found->seq == l->doubt_head.seq &&
			strcmp(found->hash, l->doubt_head.hash) == 0;

	if (!is_old && !is_there)
		return false;
	if (is_there) {
		l->head = *found;
		if (l->ring != NULL)
			ledger_ring_reset(
				l->ring, found->seq); /* sinks read these from the store */
	}
	l->doubt_head = (struct chain_head){0};
	l->held = (struct entry_list){0};
	for (struct ledger_entry *e = entry_list_take(&held); e != NULL;
		e = entry_list_take(&held)) {
		if ((e->flags & ENTRY_DOUBT) != 0)
			settle_doubtful_entry(l, e, is_there);
		else
			entry_list_add(&l->held, e);
	}
	return true;
}

/* The time over and over: SQLite writes no page that would stay as it is. */
static void
fill_probe(char out[PROBE_BYTES])
{
	char now[24];
	int n = snprintf(now, sizeof(now), "%020" PRId64, clock_wall_ns());

	for (size_t i = 0; i < PROBE_BYTES; i++)
		out[i] = now[i % (size_t)n];
}

/* A real write, as large as a group of some actions: an open that works says nothing about a full
 * disk, nor does a page that still finds room in the log. */
static enum err
probe(struct ledger *l, struct errinfo *ei)
{
	struct store *s = l->store;
	char bytes[PROBE_BYTES];
	enum err rc = s->ops->begin(s, ei);

	fill_probe(bytes);
	if (rc == OK)
		rc = s->ops->put_meta(s, META_PROBE, span_of(bytes, sizeof(bytes)), ei);
	if (rc == OK) {
		rc = s->ops->commit(s, ei);
		l->needs_reopen = rc != OK;
	}
	if (rc != OK)
		s->ops->rollback(s);
	return rc;
}

bool
ledger_group_recover(struct ledger *l)
{
	struct store *s = l->store;
	struct chain_head found;
	struct errinfo ei;
	enum err rc = OK;

	if (l->is_dead)
		return false;
	if (l->needs_reopen || s->ops->check_file(s, &ei) != OK) {
		l->needs_reopen = true;
		rc = s->ops->reopen(s, &ei);
	}
	if (rc == OK) {
		rc = s->ops->head(s, &found, &ei);
		/* A rollback that failed has closed the database. */
		l->needs_reopen = l->needs_reopen || rc != OK;
	}
	if (rc == OK && !settle_doubts(l, &found)) {
		l->is_dead = true;
		ledger_set_failing(l, "the file's chain is not the one that was written; verify it "
				      "and start again");
		log_error(NULL,
			"ledger: the file ends at record %" PRIu64 ", it was written to %" PRIu64,
			found.seq, l->head.seq);
		return false;
	}
	if (rc == OK) {
		l->needs_reopen = false;
		rc = probe(l, &ei);
	}
	if (rc != OK) {
		ledger_set_failing(l, ei.msg);
		return false;
	}
	set_working(l);
	return true;
}
