/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of a loop's turn, handed over at its end, in a long turn also in between: the disk should
 * not wait for the turn. A lock and a wake-up of the writer for each entry would cost more than the
 * writer needs for it, and would make groups of one. It must never keep an entry beyond the turn, nor
 * change the order. Own loop's thread.
 */
#include "audit/ledger.h"
#include "base/must.h"

static void
begin_anew(struct ledger_outbox *o)
{
	o->first = NULL;
	o->tail = &o->first;
	o->n = 0;
}

static void
hand_over(struct ledger_outbox *o)
{
	struct ledger_entry *refused = ledger_submit_all(o->ledger, o->first);

	begin_anew(o);
	*o->refused_tail = refused;
	for (; refused != NULL; refused = refused->next_waiting)
		o->refused_tail = &refused->next_waiting;
}

static void
end_turn(struct loop_msg *msg)
{
	struct ledger_outbox *o = (struct ledger_outbox *)(void *)msg;

	o->is_deferred = false;
	if (o->first != NULL)
		hand_over(o);
	/* done may put in more, for the next time. */
	struct ledger_entry *e = o->refused;
	o->refused = NULL;
	o->refused_tail = &o->refused;
	while (e != NULL) {
		struct ledger_entry *next = e->next_waiting;
		e->done(e);
		e = next;
	}
}

void
ledger_outbox_init(struct ledger_outbox *o, struct ledger *l, struct loop *loop)
{
	*o = (struct ledger_outbox){.msg.run = end_turn, .ledger = l, .loop = loop};
	begin_anew(o);
	o->refused_tail = &o->refused;
}

void
ledger_outbox_put(struct ledger_outbox *o, struct ledger_entry *e)
{
	MUST(o->loop != NULL && e->loop == o->loop);
	e->next_waiting = NULL;
	*o->tail = e;
	o->tail = &e->next_waiting;
	o->n++;
	if (!o->is_deferred) {
		o->is_deferred = true;
		loop_defer(o->loop, &o->msg);
	}
	if (o->n == LEDGER_OUTBOX_MAX)
		hand_over(o);
}
