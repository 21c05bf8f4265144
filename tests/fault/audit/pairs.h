/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of the ledger whose every answer is remembered, and what must be found afterwards: what was
 * acknowledged is there, the chain is whole, each intent has one outcome, and what was given back
 * holds no claim. The functions are static because each test program is one file.
 */
#ifndef TESTS_FAULT_AUDIT_PAIRS_H
#define TESTS_FAULT_AUDIT_PAIRS_H

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../unit/audit/ledger_fixture.h"
#include "audit/store.h"
#include "ledger_priv.h"

#define N_PAIRS 36
#define CLAIM_KIND 7

struct pair {
	struct job intent;
	struct job outcome;
	bool has_outcome;     /* it was submitted */
	bool is_intent_acked; /* before the power went */
	bool is_outcome_acked;
};

static void
on_pending(struct ledger_entry *e)
{
	sem_post(&((struct job *)(void *)e)->done);
}

/* A record of a few pages, so that the log is long enough for a checkpoint of SQLite's. */
static void
make_long(struct job *j, const char *event, const char *action_id)
{
	static char text[6000];
	struct errinfo ei;

	memset(text, 'x', sizeof(text));
	arena_reset(j->arena);
	struct record *r = record_new(j->arena, event);
	MUST(r != NULL);
	record_set_text(r, RECORD_ACTION_ID, span_cstr(action_id));
	record_set_text(r, RECORD_RESULT_REDACTED_SUMMARY, span_of(text, sizeof(text)));
	MUST(record_render(r, redactor_default(), j->arena, &j->text, &ei) == OK);
}

static void
prepare_pairs(struct pair *pairs)
{
	char id[32];

	for (size_t i = 0; i < N_PAIRS; i++) {
		struct pair *p = &pairs[i];
		snprintf(id, sizeof(id), "act-%zu", i);
		job_init(&p->intent, id);
		make_long(&p->intent, "action.decision", id);
		p->intent.state = LEDGER_OPEN;
		p->intent.claim = (struct ledger_claim){.kind = CLAIM_KIND, .state = 1};
		p->intent.claim.key[0] = (uint8_t)i;
		p->intent.e.undo = job_undo;
		p->intent.e.pending = on_pending;
		p->intent.undo_claim = true;
		job_init(&p->outcome, id);
		make_long(&p->outcome, "action.completed", id);
		p->outcome.e.must_write = true;
		p->outcome.e.pending = on_pending;
	}
}

/* Waits until it is done, or told that it has to wait. */
static bool
submit_and_wait(struct ledger *l, struct job *j)
{
	struct errinfo ei;

	if (ledger_submit(l, &j->e, &ei) != OK)
		return false;
	job_wait(j);
	return atomic_load(&j->n_done) == 1 && j->e.result == OK;
}

static void
work(struct pair *pairs, struct ledger *l, bool waits_for_recovery)
{
	for (size_t i = 0; i < N_PAIRS; i++) {
		struct pair *p = &pairs[i];
		if (waits_for_recovery) {
			while (!ledger_is_ready(l, NULL, 0))
				sched_yield();
		}
		p->is_intent_acked = submit_and_wait(l, &p->intent);
		if (!p->is_intent_acked || i % 5 == 4) /* an effect that never ends */
			continue;
		p->outcome.closes = p->intent.e.seq;
		p->has_outcome = true;
		p->is_outcome_acked = submit_and_wait(l, &p->outcome);
	}
}

/* Opens, settles and starts; NULL when the power went. */
static struct ledger *
open_and_start(const char *dir, struct errinfo *ei)
{
	struct ledger_options o = durable_options_in(dir);
	struct ledger *l = NULL;

	o.checkpoint_every = 10;
	enum err rc = ledger_open(&o, &l, ei);
	if (rc == OK)
		rc = ledger_settle_unknown(l, NULL, ei);
	if (rc == OK)
		rc = ledger_start(l, ei);
	if (rc != OK)
		ledger_close(&l);
	return l;
}

/* One of a few folders that are used over and over, empty. */
static const char *
fresh_folder(void)
{
	static const char *folders[3];
	static const char *const tails[] = {
		"", "-wal", "-shm", "-journal", ".key", ".pub", ".head", ".lock"};
	static size_t next;
	size_t at = next++ % ARRAY_LEN(folders);
	char path[600];

	if (folders[at] == NULL)
		folders[at] = test_ramdir();
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		snprintf(path, sizeof(path), "%s/ledger.db%s", folders[at], tails[i]);
		(void)unlink(path);
	}
	return folders[at];
}

/* After the close: an outcome that had to wait may have been written by then. */
static void
note_late_answers(struct pair *pairs)
{
	for (size_t i = 0; i < N_PAIRS; i++) {
		struct pair *p = &pairs[i];
		p->is_outcome_acked = p->has_outcome && p->outcome.e.result == OK;
	}
}

static void
fini_pairs(struct pair *pairs)
{
	for (size_t i = 0; i < N_PAIRS; i++) {
		job_fini(&pairs[i].intent);
		job_fini(&pairs[i].outcome);
	}
}

/* ---- what is found ---- */

struct found {
	const struct pair *pairs;
	struct chain_head head;
	enum chain_fault fault;
	size_t n_open;
	size_t n_found[N_PAIRS]; /* acknowledged intents that are there as they were acknowledged */
	size_t n_outcome[N_PAIRS]; /* records that close the intent */
	uint64_t intent_seq[N_PAIRS];
	bool is_outcome_found[N_PAIRS];
};

static void
look_at_pair(struct found *f, size_t i, const struct store_row *row)
{
	const struct pair *p = &f->pairs[i];
	const struct ledger_entry *intent = &p->intent.e;
	const struct ledger_entry *outcome = &p->outcome.e;
	bool is_decision = span_eq_cstr(
		chain_find_member(row->body, SPAN_LIT("event_type")), "\"action.decision\"");

	if (is_decision && f->intent_seq[i] == 0)
		f->intent_seq[i] = row->seq;
	else
		f->n_outcome[i]++;
	if (p->is_intent_acked && row->seq == intent->seq &&
		strcmp(row->hash, intent->event_hash) == 0)
		f->n_found[i]++;
	if (p->is_outcome_acked && row->seq == outcome->seq &&
		strcmp(row->hash, outcome->event_hash) == 0)
		f->is_outcome_found[i] = true;
}

static bool
look_at_row(const struct store_row *row, void *arg)
{
	struct found *f = arg;
	struct span id = chain_find_member(row->body, SPAN_LIT("action_id"));
	char text[32];

	f->n_open += row->state == LEDGER_OPEN;
	if (f->fault == CHAIN_FAULT_NONE)
		f->fault = chain_check(
			NULL, &f->head, row->seq, row->body, span_of(row->hash, SHA256_HEX));
	for (size_t i = 0; i < N_PAIRS; i++) {
		snprintf(text, sizeof(text), "\"act-%zu\"", i);
		if (span_eq_cstr(id, text))
			look_at_pair(f, i, row);
	}
	return true;
}

static void
check_claims(const struct found *f, struct ledger *l)
{
	for (size_t i = 0; i < N_PAIRS; i++) {
		const struct pair *p = &f->pairs[i];
		struct ledger_claim c;
		struct errinfo ei;
		enum err rc = l->store->ops->find_claim(
			l->store, CLAIM_KIND, p->intent.claim.key, &c, &ei);
		bool is_taken = f->intent_seq[i] != 0 && atomic_load(&p->intent.n_undone) == 0;
		if (rc != (is_taken ? OK : ERR_NOT_FOUND))
			FAIL("act-%zu: record %d, claim %d", i, (int)f->intent_seq[i], (int)rc);
		if (rc == OK)
			CHECK_INT(c.seq, f->intent_seq[i]);
	}
}

static void
check_found(const struct pair *pairs, const char *dir, struct ledger *l)
{
	struct found f = {.pairs = pairs};
	struct errinfo ei;

	CHECK_INT(l->store->ops->page(l->store, 0, STORE_PAGE_MAX, look_at_row, &f, &ei), OK);
	CHECK_INT(f.fault, CHAIN_FAULT_NONE);
	CHECK_INT(f.n_open, 0);
	for (size_t i = 0; i < N_PAIRS; i++) {
		const struct pair *p = &pairs[i];
		if (p->is_intent_acked && f.n_found[i] != 1)
			FAIL("%s: act-%zu was acknowledged and is not there", dir, i);
		if (p->is_outcome_acked && !f.is_outcome_found[i])
			FAIL("%s: the outcome of act-%zu was acknowledged and is not there", dir,
				i);
		if (f.n_outcome[i] != (f.intent_seq[i] != 0 ? 1 : 0))
			FAIL("%s: act-%zu has %zu outcomes", dir, i, f.n_outcome[i]);
	}
	check_claims(&f, l);
}

static bool
is_long(void)
{
	const char *text = getenv("NOMOS_TEST_LONG");

	return text != NULL && strcmp(text, "yes") == 0;
}

#endif
