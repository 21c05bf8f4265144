/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries that are committed and wait for the required sinks. One that waits too long is turned
 * back: what it took is given back in a transaction of its own, and nothing new is accepted until
 * the sink has caught up (decisions 15 a). It must never release an entry that a required sink
 * has not taken. Writer thread.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "ledger_priv.h"

bool
ledger_sink_is_counted(const struct ledger_sink *s)
{
	const struct ledger_options *o = &s->l->o;

	return !s->sink->is_advisory && o->required != LEDGER_REQUIRED_LEDGER &&
	       (o->required != LEDGER_REQUIRED_NAMED || s->sink->is_required);
}

static void
tell_sinks(struct ledger *l)
{
	const struct ledger_entry *first = l->waiting.first;

	atomic_store_explicit(
		&l->waiting_seq, first == NULL ? 0 : first->seq, memory_order_release);
}

uint64_t
ledger_required_taken(const struct ledger *l)
{
	uint64_t least = UINT64_MAX;
	uint64_t most = 0;

	if (l->o.required == LEDGER_REQUIRED_LEDGER)
		return UINT64_MAX;
	for (size_t i = 0; i < l->n_sinks; i++) {
		uint64_t taken = atomic_load_explicit(&l->sinks[i].taken, memory_order_acquire);
		if (!ledger_sink_is_counted(&l->sinks[i]))
			continue;
		least = taken < least ? taken : least;
		most = taken > most ? taken : most;
	}
	return l->o.required == LEDGER_REQUIRED_ANY ? most : least;
}

static void
release(struct ledger *l, struct entry_list *list, uint64_t taken)
{
	while (list->first != NULL && list->first->seq <= taken)
		ledger_complete(l, entry_list_take(list), OK);
}

void
ledger_wait_for_sinks(struct ledger *l, struct ledger_entry *e)
{
	uint64_t taken = ledger_required_taken(l);

	if (e->seq <= taken) {
		release(l, &l->waiting, taken); /* those before it come back first */
		ledger_complete(l, e, OK);
		return;
	}
	e->deadline_mono_ns = clock_mono_ns() + l->o.sink_deadline_ms * NS_PER_MS;
	entry_list_add(&l->waiting, e);
	tell_sinks(l);
}

static void
set_behind(struct ledger *l, bool is_behind)
{
	MUST(pthread_mutex_lock(&l->mutex) == 0);
	bool was_behind = l->is_behind;
	l->is_behind = is_behind;
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
	if (is_behind && !was_behind)
		log_error(NULL, "ledger: a required sink is behind its deadline, refusing "
				"decisions until it catches up");
	if (!is_behind && was_behind)
		log_info(NULL, "ledger: the required sinks have caught up");
}

static void
turn_back(struct ledger *l, struct ledger_entry *e)
{
	(void)ERR(&e->ei, ERR_AUDIT, "a required sink has not taken the record in time");
	if (e->must_write) {
		/* It is in the ledger and the sink will get it; the owner is told that it takes
		 * longer. */
		ledger_tell_pending(e);
		entry_list_add(&l->owed, e);
	} else if (e->undo != NULL) {
		e->flags |= ENTRY_UNDO;
		entry_list_add(&l->held, e);
	} else {
		ledger_complete(l, e, ERR_AUDIT);
	}
}

void
ledger_wait_check(struct ledger *l)
{
	uint64_t taken = ledger_required_taken(l);
	int64_t now = clock_mono_ns();

	release(l, &l->waiting, taken);
	release(l, &l->owed, taken);
	if (l->is_behind && taken >= l->head.seq)
		set_behind(l, false);
	while (l->waiting.first != NULL && l->waiting.first->deadline_mono_ns <= now) {
		set_behind(l, true);
		turn_back(l, entry_list_take(&l->waiting));
	}
	tell_sinks(l);
	while (l->owed.first != NULL && l->close_by_mono_ns != 0 && l->close_by_mono_ns <= now)
		ledger_complete(l, entry_list_take(&l->owed), ERR_AUDIT);
}
