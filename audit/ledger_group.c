/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: one transaction over what has queued up; and giving entries back to their loops. It
 * must never call an entry written that may not be, nor lose one that must be written. Writer
 * thread.
 */
#include <inttypes.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "ledger_priv.h"

#define CURSOR_RECORDS 256
#define LINE_BYTES 64 /* of the cache of most processors */
#define READS_MAX 4096
/* At least so many times 20 ms, then a second each: one that never fits must not stop the ledger for good. */
#define UNDO_TRIES_MAX 60

void
entry_list_add(struct entry_list *list, struct ledger_entry *e)
{
	e->next_waiting = NULL;
	if (list->first == NULL)
		list->tail = &list->first;
	*list->tail = e;
	list->tail = &e->next_waiting;
	list->n++;
}

struct ledger_entry *
entry_list_take(struct entry_list *list)
{
	struct ledger_entry *e = list->first;

	if (e == NULL)
		return NULL;
	list->first = e->next_waiting;
	list->n--;
	e->next_waiting = NULL;
	return e;
}

void
entry_list_move(struct entry_list *dst, struct entry_list *src)
{
	if (src->first == NULL)
		return;
	if (dst->first == NULL)
		dst->tail = &dst->first;
	*dst->tail = src->first;
	dst->tail = src->tail;
	dst->n += src->n;
	*src = (struct entry_list){0};
}

/* ---- giving entries back ---- */

void
ledger_complete(struct ledger *l, struct ledger_entry *e, enum err result)
{
	e->result = result;
	entry_list_add(&l->done, e);
}

static void
run_done(struct loop_msg *msg)
{
	/* msg is the first member of the first entry of a chain for this loop. */
	struct ledger_entry *e = (struct ledger_entry *)(void *)msg;

	while (e != NULL) {
		struct ledger_entry *next = e->next_waiting;
		e->done(e);
		e = next;
	}
}

void
ledger_give_back(struct ledger *l)
{
	while (l->done.first != NULL) {
		struct entry_list same = {0};
		struct entry_list others = {0};
		struct loop *loop = l->done.first->loop;
		for (struct ledger_entry *e = entry_list_take(&l->done); e != NULL;
			e = entry_list_take(&l->done))
			entry_list_add(e->loop == loop ? &same : &others, e);
		entry_list_move(&l->done, &others);
		same.first->msg.run = run_done;
		if (loop != NULL)
			loop_post(loop, &same.first->msg);
		else
			run_done(&same.first->msg);
	}
}

static void
run_pending(struct loop_msg *msg)
{
	struct ledger_entry *e =
		(struct ledger_entry *)(void *)((char *)msg -
						offsetof(struct ledger_entry, pending_msg));

	e->pending(e);
}

void
ledger_tell_pending(struct ledger_entry *e)
{
	if (e->pending == NULL || (e->flags & ENTRY_TOLD) != 0)
		return;
	e->flags |= ENTRY_TOLD;
	e->pending_msg.run = run_pending;
	if (e->loop != NULL)
		loop_post(e->loop, &e->pending_msg);
	else
		run_pending(&e->pending_msg);
}

void
ledger_hold(struct ledger *l, struct ledger_entry *e)
{
	ledger_tell_pending(e);
	entry_list_add(&l->held, e);
}

void
ledger_refuse(struct ledger *l, struct ledger_entry *e)
{
	(void)ERR(&e->ei, ERR_AUDIT, LEDGER_REFUSAL);
	e->seq = 0;
	e->event_hash[0] = '\0';
	ledger_complete(l, e, ERR_AUDIT);
}

static bool
must_be_written(const struct ledger_entry *e)
{
	return e->must_write || (e->flags & ENTRY_UNDO) != 0;
}

void
ledger_group_refuse(struct ledger *l)
{
	struct entry_list kept = {0};

	for (struct ledger_entry *e = entry_list_take(&l->batch); e != NULL;
		e = entry_list_take(&l->batch)) {
		if (must_be_written(e) || (e->needs_no_sink && !l->is_failing))
			entry_list_add(&kept, e);
		else
			ledger_refuse(l, e);
	}
	entry_list_move(&l->batch, &kept);
}

void
ledger_group_hold(struct ledger *l)
{
	for (struct ledger_entry *e = entry_list_take(&l->batch); e != NULL;
		e = entry_list_take(&l->batch))
		ledger_hold(l, e);
}

/* ---- one group ---- */

/* A group that was rolled back, or whose COMMIT failed (is_doubtful). */
static void
fail_group(struct ledger *l, struct entry_list *group, bool is_doubtful)
{
	for (struct ledger_entry *e = entry_list_take(group); e != NULL;
		e = entry_list_take(group)) {
		bool may_be_there = is_doubtful && e->result == OK && e->seq != 0;
		if (!must_be_written(e) && !may_be_there) {
			ledger_refuse(l, e);
			continue;
		}
		if (is_doubtful)
			e->flags |= ENTRY_DOUBT;
		if (must_be_written(e) || e->undo != NULL)
			ledger_hold(l, e);
		else
			entry_list_add(&l->held, e);
	}
}

/* What has nothing to give back is not kept waiting until the store can be asked. */
static void
tell_doubts(struct ledger *l)
{
	struct entry_list held = l->held;

	l->held = (struct entry_list){0};
	for (struct ledger_entry *e = entry_list_take(&held); e != NULL;
		e = entry_list_take(&held)) {
		if ((e->flags & ENTRY_DOUBT) == 0 || must_be_written(e) || e->undo != NULL) {
			entry_list_add(&l->held, e);
			continue;
		}
		e->flags &= ~(unsigned)ENTRY_DOUBT;
		e->is_doubtful = true;
		ledger_refuse(l, e);
	}
}

bool
ledger_cursors_are_due(const struct ledger *l)
{
	return ledger_sinks_moved(l, CURSOR_RECORDS) ||
	       (ledger_sinks_moved(l, 1) &&
		       clock_mono_ns() - l->cursors_at_mono_ns >= LEDGER_CURSOR_NS);
}

/* In stateless mode the ring is the only copy: what the required sinks have not taken must stay. */
static bool
has_room(const struct ledger *l)
{
	return l->o.store != LEDGER_STORE_NONE || l->ring == NULL ||
	       ledger_ring_has_room(
		       l->ring, l->n_tx_records, l->tx_bytes.n, ledger_required_taken(l));
}

static enum err
finish_group(struct ledger *l, struct ledger_tx *tx, struct errinfo *ei)
{
	enum err rc = OK;

	if (tx->head.seq - l->checkpoint_seq >= l->o.checkpoint_every)
		rc = ledger_tx_append_checkpoint(tx, ei);
	if (rc == OK && ledger_cursors_are_due(l)) {
		l->cursors_at_mono_ns = clock_mono_ns();
		rc = ledger_tx_put_cursors(tx, ei);
	}
	if (rc == OK && !has_room(l))
		rc = ERR(ei, ERR_AUDIT, "the sinks are too far behind");
	return rc;
}

static void
release_group(struct ledger *l, struct entry_list *group)
{
	for (struct ledger_entry *e = entry_list_take(group); e != NULL;
		e = entry_list_take(group)) {
		if ((e->flags & ENTRY_UNDO) != 0)
			ledger_complete(l, e, ERR_AUDIT);
		else if (e->result == OK && e->seq != 0 && !e->needs_no_sink)
			ledger_wait_for_sinks(l, e);
		else
			ledger_complete(l, e, e->result);
	}
}

static void
run_entry(struct ledger_tx *tx, struct ledger_entry *e)
{
	struct errinfo undo_ei;
	enum err rc;

	if ((e->flags & ENTRY_UNDO) == 0) {
		e->result = ledger_tx_run_entry(tx, e, &e->ei);
		return;
	}
	/* The entry keeps the error that it is given back with. */
	rc = ledger_tx_run_entry(tx, e, &undo_ei);
	if (rc == OK || tx->has_failed)
		return;
	/* Memory comes back: until then nothing is decided, as when the disk is full. */
	if (rc == ERR_NOMEM && ++e->n_undo_tries < UNDO_TRIES_MAX)
		(void)ledger_tx_store_failed(tx, &undo_ei, NULL);
	else
		log_error(NULL, "ledger: record %" PRIu64 " could not be taken back: %s", e->seq,
			undo_ei.msg);
}

static void
ask_for(struct span s)
{
	for (size_t at = 0; at < s.n && at < READS_MAX; at += LINE_BYTES)
		__builtin_prefetch(s.p + at);
}

/* The bytes of the next entry lie with the processor of the thread that made it: they are on their way while another entry is applied. */
static void
ask_for_next(const struct entry_list *batch)
{
	const struct ledger_entry *e = batch->first;

	if (e == NULL)
		return;
	for (size_t i = 0; i < LEDGER_READS; i++)
		ask_for(e->reads[i]);
	if (e->next_waiting == NULL)
		return;
	/* For its own turn: where its texts are, and what comes behind it. */
	ask_for(span_of((const char *)e->next_waiting, offsetof(struct ledger_entry, result)));
	__builtin_prefetch(&e->next_waiting->next_waiting);
}

void
ledger_group_run(struct ledger *l)
{
	struct entry_list group = {0};
	struct ledger_tx tx;
	struct errinfo ei;
	bool is_doubtful = false;
	int64_t begin_mono_ns = clock_mono_ns();
	int64_t wait_ns = 0;
	enum err rc = ledger_tx_begin(l, &tx, &ei);

	while (rc == OK && !tx.has_failed && l->batch.first != NULL && group.n < l->o.group_max &&
		l->tx_bytes.n < LEDGER_GROUP_BYTES) {
		struct ledger_entry *e = entry_list_take(&l->batch);
		entry_list_add(&group, e);
		wait_ns = begin_mono_ns - e->queued_mono_ns;
		ask_for_next(&l->batch);
		run_entry(&tx, e);
	}
	/* A group that takes all leaves no queue, however long a commit makes each of them wait. */
	if (l->batch.first == NULL)
		wait_ns = 0;
	atomic_store_explicit(&l->queue_wait_ns, wait_ns, memory_order_relaxed);
	if (rc == OK)
		rc = tx.has_failed ? ERR_AUDIT : finish_group(l, &tx, &ei);
	if (rc == OK) {
		int64_t commit_ns = clock_mono_ns();

		rc = ledger_tx_commit(&tx, &ei);
		is_doubtful = rc != OK;
		histogram_add(&l->commit_times, histogram_times, clock_mono_ns() - commit_ns);
		histogram_add(&l->group_sizes, histogram_sizes, (int64_t)group.n);
	}
	if (rc == OK) {
		ledger_set_proven(l);
		release_group(l, &group);
		return;
	}
	ledger_tx_abort(&tx);
	l->has_given_up = l->close_by_mono_ns != 0;
	metric_add(METRIC_LEDGER_FAILURES, 1);
	if (is_doubtful) {
		l->doubt_head = tx.head;
		l->needs_reopen = true;
	}
	ledger_set_failing(l, tx.has_failed ? ledger_tx_reason(&tx) : ei.msg);
	fail_group(l, &group, is_doubtful);
	/* A failed COMMIT is settled at once if it can be. */
	if (is_doubtful && !l->has_given_up)
		(void)ledger_group_recover(l);
	if (is_doubtful)
		tell_doubts(l);
}
