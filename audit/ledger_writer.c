/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer thread and its queue. It takes all that has queued, commits it as groups, and sleeps
 * only when there is nothing to do; it never lingers to fill a group. Submitters only ever hold
 * the mutex for a few instructions.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/cpu.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "ledger_priv.h"

/* ---- other threads ---- */

static enum err
check_open(const struct ledger *l, const struct ledger_entry *e, struct errinfo *ei)
{
	if (!l->is_started || l->is_stopping)
		return ERR(ei, ERR_STOPPED, "the ledger is closed");
	if (e->must_write)
		return OK;
	if (l->is_failing || (l->is_behind && !e->needs_no_sink))
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	if (l->queue.n >= l->o.queue_max)
		return ERR(ei, ERR_OVERLOAD, "too many entries wait for the ledger");
	return OK;
}

static void
make_new(struct ledger_entry *e, int64_t now_mono_ns)
{
	e->queued_mono_ns = now_mono_ns;
	e->result = ERR_AUDIT;
	e->seq = 0;
	e->is_doubtful = false;
	e->event_hash[0] = '\0';
	e->flags = 0;
}

/* Whether the writer has to be woken for what was queued. One wake-up is enough. */
static bool
take_idle(struct ledger *l)
{
	bool was_idle = l->is_idle;

	l->is_idle = false;
	return was_idle;
}

enum err
ledger_submit(struct ledger *l, struct ledger_entry *e, struct errinfo *ei)
{
	bool wakes = false;

	OBJ_CHECK(l, LEDGER_MAGIC);
	make_new(e, clock_mono_ns());
	(void)FAULT_BEFORE(LEDGER_SUBMIT);
	MUST(pthread_mutex_lock(&l->mutex) == 0);
	enum err rc = check_open(l, e, ei);
	if (rc == OK) {
		entry_list_add(&l->queue, e);
		wakes = take_idle(l);
	}
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
	(void)FAULT_AFTER(LEDGER_SUBMIT);
	if (rc == OK)
		metric_add(METRIC_LEDGER_QUEUE, 1);
	if (wakes)
		MUST(pthread_cond_signal(&l->wake) == 0);
	return rc;
}

struct ledger_entry *
ledger_submit_all(struct ledger *l, struct ledger_entry *first)
{
	struct entry_list refused = {0};
	size_t n_taken = 0;
	int64_t now = clock_mono_ns();

	OBJ_CHECK(l, LEDGER_MAGIC);
	for (struct ledger_entry *e = first; e != NULL; e = e->next_waiting)
		make_new(e, now);
	(void)FAULT_BEFORE(LEDGER_SUBMIT);
	MUST(pthread_mutex_lock(&l->mutex) == 0);
	for (struct ledger_entry *e = first; e != NULL;) {
		struct ledger_entry *next = e->next_waiting;
		enum err rc = check_open(l, e, &e->ei);
		if (rc != OK)
			e->result = rc;
		entry_list_add(rc == OK ? &l->queue : &refused, e);
		n_taken += rc == OK ? 1 : 0;
		e = next;
	}
	bool wakes = n_taken > 0 && take_idle(l);
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
	(void)FAULT_AFTER(LEDGER_SUBMIT);
	metric_add(METRIC_LEDGER_QUEUE, (int64_t)n_taken);
	if (wakes)
		MUST(pthread_cond_signal(&l->wake) == 0);
	return refused.first;
}

void
ledger_wake_for_acks(struct ledger *l)
{
	MUST(pthread_mutex_lock(&l->mutex) == 0);
	bool wakes = l->is_idle && l->wants_acks;
	l->has_acks = l->has_acks || !l->is_idle || wakes;
	if (wakes)
		l->is_idle = false;
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
	if (wakes)
		MUST(pthread_cond_signal(&l->wake) == 0);
}

bool
ledger_is_ready(struct ledger *l, char *why, size_t why_size)
{
	const char *text = "";

	OBJ_CHECK(l, LEDGER_MAGIC);
	MUST(pthread_mutex_lock(&l->mutex) == 0);
	if (!l->is_started || l->is_stopping)
		text = "the ledger is closed";
	else if (l->is_failing)
		text = l->why;
	else if (l->is_behind)
		text = "a required audit sink is behind";
	bool is_ready = l->is_started && !l->is_stopping && !l->is_failing && !l->is_behind;
	if (why != NULL && why_size > 0)
		snprintf(why, why_size, "%s", text);
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
	return is_ready;
}

int64_t
ledger_get_queue_wait(const struct ledger *l)
{
	OBJ_CHECK(l, LEDGER_MAGIC);
	return atomic_load_explicit(&l->queue_wait_ns, memory_order_relaxed);
}

/* ---- the writer ---- */

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When to look again though nothing comes in; INT64_MAX: never. */
static int64_t
next_look(const struct ledger *l)
{
	int64_t at = INT64_MAX;

	if (l->is_failing && !l->is_dead)
		at = earlier(at, l->probe_at_mono_ns);
	if (!l->is_failing && ledger_sinks_moved(l, 1))
		at = earlier(at, l->cursors_at_mono_ns + LEDGER_CURSOR_NS);
	if (l->waiting.first != NULL)
		at = earlier(at, l->waiting.first->deadline_mono_ns);
	if (l->owed.first != NULL && l->close_by_mono_ns != 0)
		at = earlier(at, l->close_by_mono_ns);
	return at;
}

static bool
has_work(const struct ledger *l)
{
	if (l->queue.first != NULL || l->batch.first != NULL || l->has_acks)
		return true;
	if (l->held.first != NULL && (!l->is_failing || l->is_stopping))
		return true;
	return l->is_stopping &&
	       (l->close_by_mono_ns == 0 || (l->waiting.first == NULL && l->owed.first == NULL));
}

/* Takes what is queued; sleeps while there is nothing to do. False when the ledger is closing and
 * all is given back. */
static bool
wait_for_work(struct ledger *l)
{
	MUST(pthread_mutex_lock(&l->mutex) == 0);
	while (!has_work(l)) {
		int64_t at = next_look(l);
		if (at <= clock_mono_ns())
			break;
		l->is_idle = true;
		atomic_store_explicit(&l->queue_wait_ns, 0, memory_order_relaxed);
		/* Without anyone waiting it only has to learn that a cursor moved, once per
		 * pause. */
		l->wants_acks = l->waiting.first != NULL || l->owed.first != NULL || l->is_behind ||
				!ledger_sinks_moved(l, 1);
		bool is_in_time = cond_wait_until(&l->wake, &l->mutex, at);
		l->is_idle = false;
		if (!is_in_time)
			break;
	}
	l->has_acks = false;
	size_t n = l->queue.n;
	entry_list_move(&l->batch, &l->queue);
	if (l->is_stopping && l->close_by_mono_ns == 0)
		l->close_by_mono_ns = clock_mono_ns() + l->o.sink_deadline_ms * NS_PER_MS;
	bool goes_on = !l->is_stopping || l->batch.first != NULL || l->held.first != NULL ||
		       l->waiting.first != NULL || l->owed.first != NULL;
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
	metric_add(METRIC_LEDGER_QUEUE, -(int64_t)n);
	return goes_on;
}

/* is_failing and is_behind are only ever changed by this thread, so it may read them without the
 * mutex. */
static void
take_turn(struct ledger *l)
{
	bool is_closing = l->close_by_mono_ns != 0;

	ledger_wait_check(l);
	if (l->is_failing && !l->has_given_up &&
		(is_closing || clock_mono_ns() >= l->probe_at_mono_ns))
		(void)ledger_group_recover(l);
	if (l->is_failing || l->is_behind)
		ledger_group_refuse(l);
	if (l->is_failing) {
		ledger_group_hold(l);
		/* Closing does not wait for a broken disk; open intents become `unknown` at the
		 * next start. */
		while (is_closing && l->held.first != NULL)
			ledger_refuse(l, entry_list_take(&l->held));
		return;
	}
	/* What had to wait goes first. */
	entry_list_move(&l->held, &l->batch);
	entry_list_move(&l->batch, &l->held);
	/* An empty group writes the cursors alone. */
	if (l->batch.first != NULL || ledger_cursors_are_due(l))
		ledger_group_run(l);
}

static void
write_last_checkpoint(struct ledger *l)
{
	struct ledger_tx tx;
	struct errinfo ei;

	if (l->is_failing && !ledger_group_recover(l))
		return;
	if (l->head.seq <= l->checkpoint_seq)
		return;
	enum err rc = ledger_tx_begin(l, &tx, &ei);
	if (rc == OK)
		rc = ledger_tx_append_checkpoint(&tx, &ei);
	if (rc == OK)
		rc = ledger_tx_commit(&tx, &ei);
	if (rc != OK) {
		log_error(NULL, "ledger: no checkpoint at close: %s", ledger_tx_reason(&tx));
		ledger_tx_abort(&tx);
	}
}

static void *
run_writer(void *arg)
{
	struct ledger *l = NULL;

	OBJ_CAST(l, arg, LEDGER_MAGIC);
	/* Whole groups wait while it waits for a processor. */
	cpu_ask_for_short_turns();
	while (wait_for_work(l)) {
		(void)FAULT_BEFORE(LEDGER_TURN);
		take_turn(l);
		ledger_give_back(l);
		if (!l->needs_reopen)
			ledger_fold_log(l);
		(void)FAULT_AFTER(LEDGER_TURN);
	}
	write_last_checkpoint(l);
	return NULL;
}

enum err
ledger_writer_start(struct ledger *l, struct errinfo *ei)
{
	int rc = pthread_create(&l->thread, NULL, run_writer, l);

	if (rc != 0)
		return ERR(ei, ERR_IO, "ledger: no thread: %s", strerror(rc));
	l->has_thread = true;
	return OK;
}
