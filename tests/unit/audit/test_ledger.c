/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The ledger at work: order, rollback of one entry, claims, reopening, another program's lock. */
#include <sched.h>

#include "ledger_file.h"
#include "ledger_fixture.h"
#include "ledger_priv.h"

TEST(a_new_ledger_begins_with_chain_start)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);

	CHECK_INT(append_one(l, "a1"), OK);
	ledger_close(&l);
	CHECK(l == NULL);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 3); /* chain.start, the record, the checkpoint at close */
	CHECK_STR(d.last_type, CHECKPOINT_EVENT);
}

TEST(done_tells_sequence_and_hash)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	struct job j;

	job_init(&j, "a1");
	CHECK_INT(job_run(l, &j), OK);
	CHECK_INT(j.e.seq, 2);
	CHECK_INT(strlen(j.e.event_hash), SHA256_HEX);
	CHECK_STR(l->head.hash, j.e.event_hash);
	job_fini(&j);
	ledger_close(&l);
}

#define MANY 500

TEST(entries_keep_their_order)
{
	struct ledger_options o = options_in(test_tmpdir());
	static struct job jobs[MANY];
	struct errinfo ei;

	o.group_max = 64;
	struct ledger *l = start_ledger(&o);
	for (size_t i = 0; i < MANY; i++) {
		job_init(&jobs[i], "a");
		CHECK_INT(ledger_submit(l, &jobs[i].e, &ei), OK);
	}
	for (size_t i = 0; i < MANY; i++) {
		job_wait(&jobs[i]);
		CHECK_INT(jobs[i].e.result, OK);
		CHECK_INT(jobs[i].e.seq, i + 2);
		CHECK_INT(jobs[i].n_done, 1);
		job_fini(&jobs[i]);
	}
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, MANY + 2);
}

static void
check_rollback(const struct ledger_options *o, bool has_claim)
{
	struct ledger *l = start_ledger(o);
	struct job jobs[3];
	struct errinfo ei;

	for (size_t i = 0; i < 3; i++)
		job_init(&jobs[i], "a");
	jobs[1].own_error = ERR_CONFLICT;
	jobs[1].state = LEDGER_OPEN;
	jobs[1].claim.kind = has_claim ? 7 : 0;
	for (size_t i = 0; i < 3; i++)
		CHECK_INT(ledger_submit(l, &jobs[i].e, &ei), OK);
	for (size_t i = 0; i < 3; i++)
		job_wait(&jobs[i]);
	CHECK_INT(jobs[0].e.result, OK);
	CHECK_INT(jobs[1].e.result, ERR_CONFLICT);
	CHECK_STR(jobs[1].e.ei.msg, "refused by the rule");
	CHECK_INT(jobs[1].e.seq, 0);
	CHECK_INT(jobs[2].e.result, OK);
	CHECK_INT(jobs[2].e.seq, 3);
	/* The claim went with the entry. */
	jobs[1].own_error = OK;
	CHECK_INT(job_run(l, &jobs[1]), OK);
	CHECK_INT(jobs[1].e.seq, 4);
	CHECK(ledger_is_ready(l, NULL, 0));
	/* So did the state of its record: only the second try is open. */
	jobs[2].closes = 3;
	CHECK_INT(job_run(l, &jobs[2]), ERR_NOT_FOUND);
	jobs[2].closes = 4;
	CHECK_INT(job_run(l, &jobs[2]), OK);
	for (size_t i = 0; i < 3; i++)
		job_fini(&jobs[i]);
	ledger_close(&l);
	if (o->store != LEDGER_STORE_SQLITE)
		return;
	struct dump d = dump_file(o->path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 6);
	CHECK_INT(d.n_open, 0);
}

TEST(an_entry_rolls_back_alone)
{
	struct ledger_options o = options_in(test_tmpdir());

	check_rollback(&o, true);
	o = options_in(test_tmpdir());
	check_rollback(&o, false);
	o.store = LEDGER_STORE_MEMORY;
	check_rollback(&o, true);
	check_rollback(&o, false);
}

TEST(an_entry_may_take_all_back_without_writing)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	struct job j;

	job_init(&j, "a");
	j.closes = 1; /* chain.start was never open */
	CHECK_INT(job_run(l, &j), ERR_NOT_FOUND);
	job_fini(&j);
	CHECK_INT(l->head.seq, 1);
	ledger_close(&l);
}

static void
check_claims(const struct ledger_options *o)
{
	struct ledger *l = start_ledger(o);
	struct job a;
	struct job b;

	job_init(&a, "a");
	job_init(&b, "b");
	a.claim.kind = 3;
	memset(a.claim.key, 1, sizeof(a.claim.key));
	b.claim = a.claim;
	CHECK_INT(job_run(l, &a), OK);
	CHECK_INT(job_run(l, &b), ERR_CONFLICT);
	b.claim.kind = 4;
	CHECK_INT(job_run(l, &b), OK);
	job_fini(&a);
	job_fini(&b);
	ledger_close(&l);
}

TEST(a_claim_is_taken_once)
{
	struct ledger_options o = options_in(test_tmpdir());

	check_claims(&o);
	o.store = LEDGER_STORE_MEMORY;
	check_claims(&o);
}

TEST(an_intent_is_closed_once)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	struct job intent;
	struct job outcome;

	job_init(&intent, "a");
	job_init(&outcome, "a");
	intent.state = LEDGER_OPEN;
	CHECK_INT(job_run(l, &intent), OK);
	outcome.closes = intent.e.seq;
	CHECK_INT(job_run(l, &outcome), OK);
	CHECK_INT(job_run(l, &outcome), ERR_NOT_FOUND);
	job_fini(&intent);
	job_fini(&outcome);
	ledger_close(&l);
	CHECK_INT(dump_file(o.path).n_open, 0);
}

TEST(the_chain_goes_on_after_reopening)
{
	struct ledger_options o = options_in(test_tmpdir());
	char chain_id[CHAIN_ID_HEX + 1];

	struct ledger *l = start_ledger(&o);
	snprintf(chain_id, sizeof(chain_id), "%s", ledger_get_chain_id(l));
	CHECK_INT(append_one(l, "a1"), OK);
	ledger_close(&l);
	l = start_ledger(&o);
	CHECK_STR(ledger_get_chain_id(l), chain_id);
	CHECK_INT(l->head.seq, 3);
	CHECK_INT(append_one(l, "a2"), OK);
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 5);
}

/* As many callers at once with large actions make it. */
static enum err
append_large(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	static char summary[200 * 1024];
	struct job *j = (struct job *)(void *)e;
	struct arena *a = arena_new(1024 * 1024);
	struct record *r = record_new(a, "action.decision");
	struct record_text text;
	enum err rc = OK;

	MUST(r != NULL);
	memset(summary, 'a', sizeof(summary));
	record_set_text(r, RECORD_ACTION_SUMMARY, span_of(summary, sizeof(summary)));
	MUST(record_render(r, redactor_default(), a, &text, ei) == OK);
	for (int i = 0; rc == OK && i < 20; i++)
		rc = ledger_tx_append(tx, &text, j->state, &e->seq, ei);
	arena_free(&a);
	return rc;
}

TEST(a_large_group_is_not_the_last)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	struct job j;

	for (int i = 0; i < 2; i++) {
		job_init(&j, "large");
		j.e.apply = append_large;
		CHECK_INT(job_run(l, &j), OK);
		job_fini(&j);
		CHECK_INT(append_one(l, "small"), OK);
	}
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 44); /* chain.start, the records, the checkpoint */
}

/* Another program holds the database: refused within the time-out, and taken again afterwards. */
TEST(a_locked_database_refuses_and_recovers)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct db *other = NULL;
	struct errinfo ei;
	char why[160];

	o.busy_timeout_ms = 1;
	struct ledger *l = start_ledger(&o);
	CHECK_INT(append_one(l, "a"), OK);
	CHECK_INT(db_open(o.path, DB_WRITE, 1000, &other, &ei), OK);
	CHECK_INT(db_exec(other, "BEGIN IMMEDIATE", &ei), OK);
	CHECK_INT(append_one(l, "a"), ERR_AUDIT);
	CHECK(!ledger_is_ready(l, why, sizeof(why)));
	CHECK_STR(why, "database is locked");
	CHECK_INT(db_exec(other, "ROLLBACK", &ei), OK);
	db_free(&other);
	while (!ledger_is_ready(l, NULL, 0))
		sched_yield();
	CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	CHECK_INT(dump_file(o.path).fault, CHAIN_FAULT_NONE);
}

SUITE("ledger", TEST_ROW(a_new_ledger_begins_with_chain_start),
	TEST_ROW(done_tells_sequence_and_hash), TEST_ROW(entries_keep_their_order),
	TEST_ROW(an_entry_rolls_back_alone), TEST_ROW(an_entry_may_take_all_back_without_writing),
	TEST_ROW(a_claim_is_taken_once), TEST_ROW(an_intent_is_closed_once),
	TEST_ROW(the_chain_goes_on_after_reopening), TEST_ROW(a_large_group_is_not_the_last),
	TEST_ROW(a_locked_database_refuses_and_recovers))
