/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sinks and what waits for them: order, cursors over a restart, sinks that lag behind the ring,
 * required ones that miss their deadline and what is given back then, stateless mode.
 */
#include <sched.h>
#include <unistd.h>

#include "audit/store.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ledger_file.h"
#include "ledger_fixture.h"
#include "ledger_priv.h"

/* A sink that counts, and that a test can shut like a valve. */
struct test_sink {
	struct sink base;
	struct tally {
		_Atomic uint64_t last;
		_Atomic uint64_t n;
		_Atomic int n_refused;
		_Atomic bool is_shut;
		_Atomic bool is_out_of_order;
		_Atomic bool is_freed;
		_Atomic size_t take_max; /* at most that many of a batch; 0: all */
		_Atomic enum chain_fault fault;
		/* the sink's thread; checked when it saw the first record */
		struct chain_head head;
	} * tally;
};

static enum err
deliver(struct sink *s, const struct sink_record *r, size_t n, size_t *n_taken, struct errinfo *ei)
{
	struct tally *t = ((struct test_sink *)(void *)s)->tally;
	size_t max = t->take_max != 0 && t->take_max < n ? t->take_max : n;

	if (t->is_shut) {
		t->n_refused++;
		return ERR(ei, ERR_IO, "shut");
	}
	for (size_t i = 0; i < max; i++) {
		if (t->last != 0 && r[i].seq != t->last + 1)
			t->is_out_of_order = true;
		if (t->head.seq + 1 == r[i].seq && t->fault == CHAIN_FAULT_NONE)
			t->fault =
				chain_check(NULL, &t->head, r[i].seq, r[i].body, r[i].event_hash);
		t->last = r[i].seq;
		t->n++;
	}
	*n_taken = max;
	return max == n ? OK : ERR(ei, ERR_IO, "enough");
}

static void
free_sink(struct sink *s)
{
	struct test_sink *t = (struct test_sink *)(void *)s;

	t->tally->is_freed = true;
	mem_free(t);
}

static struct sink *
new_sink(const char *name, struct tally *t)
{
	static const struct sink_ops ops = {.deliver = deliver, .free = free_sink};
	struct test_sink *s = mem_zalloc(1, sizeof(*s));

	MUST(s != NULL);
	s->base.ops = &ops;
	s->base.name = name;
	s->tally = t;
	return &s->base;
}

static struct ledger_options
options_with(const char *dir, struct sink **sinks, size_t n)
{
	struct ledger_options o = options_in(dir);

	o.sinks = sinks;
	o.n_sinks = n;
	return o;
}

static void
wait_until(_Atomic uint64_t *v, uint64_t at_least)
{
	while (atomic_load(v) < at_least)
		sched_yield();
}

TEST(a_sink_gets_every_record_in_order)
{
	struct tally t = {0};
	struct sink *s = new_sink("a", &t);
	struct ledger_options o = options_with(test_tmpdir(), &s, 1);
	struct ledger *l = start_ledger(&o);

	for (int i = 0; i < 300; i++)
		CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	CHECK_INT(t.last, 302); /* chain.start first, the checkpoint last */
	CHECK_INT(t.n, 302);
	CHECK(!t.is_out_of_order);
	CHECK_INT(t.fault, CHAIN_FAULT_NONE);
	CHECK_INT(t.head.seq, 302);
	CHECK(t.is_freed);
}

TEST(a_sink_goes_on_at_its_cursor)
{
	const char *dir = test_tmpdir();
	struct tally t = {0};
	struct sink *s = new_sink("a", &t);
	struct ledger_options o = options_with(dir, &s, 1);
	struct ledger *l = start_ledger(&o);

	CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	CHECK_INT(t.last, 3);

	struct tally none = {0};
	none.is_shut = true;
	s = new_sink("a", &none);
	o.sinks = &s;
	o.sink_deadline_ms = 1;
	l = start_ledger(&o);
	CHECK_INT(append_one(l, "missed"), OK);
	ledger_close(&l);
	CHECK_INT(none.n, 0);

	struct tally more = {0};
	s = new_sink("a", &more);
	o.sinks = &s;
	o.sink_deadline_ms = 2000;
	l = start_ledger(&o);
	CHECK_INT(append_one(l, "b"), OK);
	ledger_close(&l);
	CHECK_INT(more.n, 4); /* 4 missed, 5 its checkpoint, 6, 7 */
	CHECK_INT(more.last, 7);
	CHECK(!more.is_out_of_order);
}

TEST(a_new_sink_starts_at_the_head_or_at_the_start)
{
	const char *dir = test_tmpdir();
	struct ledger_options o = options_with(dir, NULL, 0);
	struct ledger *l = start_ledger(&o);

	CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);

	struct tally head = {0};
	struct tally start = {0};
	struct sink *sinks[2] = {new_sink("head", &head), new_sink("start", &start)};
	sinks[1]->from_start = true;
	o = options_with(dir, sinks, 2);
	o.path = ledger_path_in(dir);
	l = start_ledger(&o);
	CHECK_INT(append_one(l, "b"), OK);
	ledger_close(&l);
	CHECK_INT(head.n, 2);
	CHECK_INT(start.n, 5);
	CHECK_INT(start.fault, CHAIN_FAULT_NONE);
	CHECK_INT(start.head.seq, 5);
}

/* A sink that was down from the first record on is not new at the next start. */
TEST(a_sink_that_took_nothing_yet_misses_nothing)
{
	const char *dir = test_tmpdir();
	struct tally none = {0};
	struct sink *s = new_sink("a", &none);
	struct ledger_options o = options_with(dir, &s, 1);

	none.is_shut = true;
	o.sink_deadline_ms = 1;
	struct ledger *l = start_ledger(&o);
	CHECK_INT(append_one(l, "missed"), OK);
	ledger_close(&l);
	CHECK_INT(none.n, 0);

	struct tally all = {0};
	s = new_sink("a", &all);
	o.sinks = &s;
	o.sink_deadline_ms = 2000;
	l = start_ledger(&o);
	CHECK_INT(append_one(l, "b"), OK);
	ledger_close(&l);
	CHECK_INT(all.n, 5); /* chain.start, missed, checkpoint, b, checkpoint */
	CHECK_INT(all.fault, CHAIN_FAULT_NONE);
	CHECK_INT(all.head.seq, 5);
}

/* More than the ring holds while the sink is shut: it catches up from the store. */
TEST(a_sink_that_lags_reads_the_store)
{
	struct tally slow = {0};
	struct tally fast = {0};
	struct sink *sinks[2] = {new_sink("slow", &slow), new_sink("fast", &fast)};
	struct ledger_options o = options_with(test_tmpdir(), sinks, 2);

	o.ring_bytes = 1 << 20;
	slow.is_shut = true;
	slow.take_max = 100;
	struct ledger *l = start_ledger(&o);
	while (slow.n_refused == 0)
		sched_yield();
	for (int i = 0; i < 6000; i++)
		CHECK_INT(append_one(l, "a"), OK);
	CHECK(ledger_ring_first(l->ring) > 1);
	wait_until(&fast.last, 6001);
	slow.is_shut = false;
	slow.take_max = 0;
	wait_until(&slow.last, 6001);
	ledger_close(&l);
	CHECK_INT(slow.fault, CHAIN_FAULT_NONE);
	CHECK_INT(slow.head.seq, slow.last);
	CHECK(!slow.is_out_of_order);
	CHECK(!fast.is_out_of_order);
}

static void
check_waits_at_5(const char *damage)
{
	const char *dir = test_tmpdir();
	struct ledger_options o = options_with(dir, NULL, 0);
	struct ledger *l = start_ledger(&o);
	struct tally t = {0};

	for (int i = 0; i < 8; i++)
		CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	run_sql(o.path, damage);
	struct sink *s = new_sink("late", &t);
	s->from_start = true;
	o.sinks = &s;
	o.n_sinks = 1;
	o.sink_deadline_ms = 1;
	int64_t failures = metric_get(METRIC_SINK_FAILURES);
	l = start_ledger(&o);
	if (l == NULL)
		return;
	/* It comes back to what it cannot read, and takes nothing behind it. */
	while (metric_get(METRIC_SINK_FAILURES) < failures + 3)
		sched_yield();
	CHECK_INT(t.last, 4);
	ledger_close(&l);
	CHECK_INT(t.last, 4);
	CHECK(!t.is_out_of_order);
	CHECK_INT(t.fault, CHAIN_FAULT_NONE);
}

TEST(a_row_that_cannot_be_read_is_waited_for)
{
	check_waits_at_5("UPDATE records SET hash = hash || x'00' WHERE seq = 5");
}

TEST(a_row_that_is_gone_is_not_passed_by)
{
	check_waits_at_5("DELETE FROM records WHERE seq = 5");
}

TEST(a_sink_that_takes_a_part_is_offered_the_rest)
{
	struct tally t = {0};
	struct sink *s = new_sink("a", &t);
	struct ledger_options o = options_with(test_tmpdir(), &s, 1);

	t.take_max = 1;
	s->batch_max = 4;
	struct ledger *l = start_ledger(&o);
	for (int i = 0; i < 5; i++)
		CHECK_INT(append_one(l, "a"), OK);
	wait_until(&t.last, 6);
	CHECK(!t.is_out_of_order);
	CHECK_INT(t.n, 6);
	t.take_max = 0;
	ledger_close(&l);
}

/* ---- required sinks ---- */

static struct ledger_options
required_options(struct sink **sinks, size_t n, enum ledger_required required)
{
	struct ledger_options o = options_with(test_tmpdir(), sinks, n);

	o.required = required;
	o.sink_deadline_ms = 30;
	return o;
}

TEST(done_waits_for_the_required_sink)
{
	struct tally t = {0};
	struct sink *s = new_sink("a", &t);
	struct ledger_options o = required_options(&s, 1, LEDGER_REQUIRED_ALL);

	o.sink_deadline_ms = 60000;
	struct ledger *l = start_ledger(&o);
	for (int i = 0; i < 50; i++) {
		struct job j;
		job_init(&j, "a");
		CHECK_INT(job_run(l, &j), OK);
		CHECK(t.last >= j.e.seq);
		job_fini(&j);
	}
	ledger_close(&l);
}

TEST(a_missed_deadline_gives_back_what_was_taken)
{
	struct tally t = {0};
	struct sink *s = new_sink("a", &t);
	struct ledger_options o = required_options(&s, 1, LEDGER_REQUIRED_NAMED);
	struct job j;
	struct job again;
	struct errinfo ei;
	char why[128];

	s->is_required = true;
	t.is_shut = true;
	struct ledger *l = start_ledger(&o);
	job_init(&j, "a");
	job_init(&again, "b");
	j.state = LEDGER_OPEN;
	j.claim.kind = 9;
	j.undo_claim = true;
	j.e.undo = job_undo;
	again.claim.kind = 9;
	CHECK_INT(job_run(l, &j), ERR_AUDIT);
	CHECK_INT(j.n_undone, 1);
	CHECK_STR(j.e.ei.msg, "a required sink has not taken the record in time");
	CHECK(!ledger_is_ready(l, why, sizeof(why)));
	CHECK_STR(why, "a required audit sink is behind");
	CHECK_INT(ledger_submit(l, &again.e, &ei), ERR_AUDIT);
	t.is_shut = false;
	while (!ledger_is_ready(l, NULL, 0))
		sched_yield();
	CHECK_INT(job_run(l, &again), OK);
	job_fini(&j);
	job_fini(&again);
	ledger_close(&l);
	CHECK_INT(t.fault, CHAIN_FAULT_NONE);
	CHECK_INT(t.last, 5); /* start, intent, its outcome, the new one, checkpoint */
}

TEST(an_outcome_is_owed_to_the_sink_not_turned_back)
{
	struct tally t = {0};
	struct sink *s = new_sink("a", &t);
	struct ledger_options o = required_options(&s, 1, LEDGER_REQUIRED_ALL);
	struct job outcome;
	struct errinfo ei;

	t.is_shut = true;
	struct ledger *l = start_ledger(&o);
	job_init(&outcome, "a");
	outcome.e.must_write = true;
	outcome.e.pending = job_pending;
	CHECK_INT(ledger_submit(l, &outcome.e, &ei), OK);
	while (sem_wait(&outcome.pending) != 0)
		;
	CHECK_INT(outcome.n_done_at_pending, 0);
	t.is_shut = false;
	job_wait(&outcome);
	CHECK_INT(outcome.e.result, OK);
	CHECK_INT(outcome.n_pending, 1);
	job_fini(&outcome);
	ledger_close(&l);
}

TEST(any_one_sink_is_enough)
{
	struct tally dead = {0};
	struct tally live = {0};
	struct sink *sinks[2] = {new_sink("dead", &dead), new_sink("live", &live)};
	struct ledger_options o = required_options(sinks, 2, LEDGER_REQUIRED_ANY);

	o.sink_deadline_ms = 5000;
	dead.is_shut = true;
	struct ledger *l = start_ledger(&o);
	for (int i = 0; i < 20; i++)
		CHECK_INT(append_one(l, "a"), OK);
	l->o.sink_deadline_ms = 1; /* closing need not wait for the dead one */
	ledger_close(&l);
	CHECK_INT(dead.n, 0);
}

TEST(all_sinks_means_all)
{
	struct tally dead = {0};
	struct tally live = {0};
	struct sink *sinks[2] = {new_sink("dead", &dead), new_sink("live", &live)};
	struct ledger_options o = required_options(sinks, 2, LEDGER_REQUIRED_ALL);

	dead.is_shut = true;
	struct ledger *l = start_ledger(&o);
	CHECK_INT(append_one(l, "a"), ERR_AUDIT);
	ledger_close(&l);
}

TEST(an_advisory_sink_is_never_waited_for)
{
	struct tally dead = {0};
	struct tally live = {0};
	struct sink *sinks[2] = {new_sink("dead", &dead), new_sink("live", &live)};
	struct ledger_options o = required_options(sinks, 2, LEDGER_REQUIRED_ALL);

	dead.is_shut = true;
	sinks[0]->is_advisory = true;
	struct ledger *l = start_ledger(&o);
	CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	CHECK_INT(live.n > 0, 1);
}

/* ---- stateless ---- */

TEST(stateless_mode_has_a_chain_but_no_claims)
{
	struct tally t = {0};
	struct sink *s = new_sink("a", &t);
	struct ledger_options o = required_options(&s, 1, LEDGER_REQUIRED_ANY);
	struct job j;

	o.store = LEDGER_STORE_NONE;
	o.path = NULL;
	o.sink_deadline_ms = 60000;
	struct ledger *l = start_ledger(&o);
	for (int i = 0; i < 100; i++)
		CHECK_INT(append_one(l, "a"), OK);
	job_init(&j, "a");
	j.claim.kind = 1;
	CHECK_INT(job_run(l, &j), ERR_UNSUPPORTED);
	job_fini(&j);
	job_init(&j, "a");
	j.state = LEDGER_OPEN;
	CHECK_INT(job_run(l, &j), OK);
	struct job outcome;
	job_init(&outcome, "a");
	outcome.closes = j.e.seq;
	CHECK_INT(job_run(l, &outcome), OK);
	CHECK_INT(job_run(l, &outcome), ERR_NOT_FOUND);
	job_fini(&j);
	job_fini(&outcome);
	ledger_close(&l);
	CHECK_INT(t.fault, CHAIN_FAULT_NONE);
	CHECK_INT(t.head.seq, t.last);
	CHECK_INT(t.n, 104);
}

/* What the required sink has not taken is never dropped to make room. */
TEST(stateless_mode_refuses_rather_than_forget)
{
	struct tally t = {0};
	struct sink *s = new_sink("a", &t);
	struct ledger_options o = required_options(&s, 1, LEDGER_REQUIRED_ALL);
	static struct job jobs[4000];
	struct errinfo ei;
	size_t n_refused = 0;

	o.store = LEDGER_STORE_NONE;
	o.path = NULL;
	o.ring_bytes = 1 << 20;
	o.sink_deadline_ms = 60000;
	t.is_shut = true;
	struct ledger *l = start_ledger(&o);
	size_t n = 0;
	for (; n < ARRAY_LEN(jobs); n++) {
		job_init(&jobs[n], "a");
		if (ledger_submit(l, &jobs[n].e, &ei) != OK)
			break;
	}
	t.is_shut = false;
	for (size_t i = 0; i < n; i++) {
		job_wait(&jobs[i]);
		n_refused += jobs[i].e.result == ERR_AUDIT;
	}
	for (size_t i = 0; i < n + (n < ARRAY_LEN(jobs)); i++)
		job_fini(&jobs[i]);
	ledger_close(&l);
	CHECK(n_refused + (n < ARRAY_LEN(jobs)) > 0);
	CHECK_INT(t.fault, CHAIN_FAULT_NONE);
	CHECK(!t.is_out_of_order);
	CHECK_INT(t.head.seq, t.last);
}

SUITE("ledger_sink", TEST_ROW(a_sink_gets_every_record_in_order),
	TEST_ROW(a_sink_goes_on_at_its_cursor),
	TEST_ROW(a_new_sink_starts_at_the_head_or_at_the_start),
	TEST_ROW(a_sink_that_took_nothing_yet_misses_nothing),
	TEST_ROW(a_sink_that_lags_reads_the_store),
	TEST_ROW(a_row_that_cannot_be_read_is_waited_for),
	TEST_ROW(a_row_that_is_gone_is_not_passed_by),
	TEST_ROW(a_sink_that_takes_a_part_is_offered_the_rest),
	TEST_ROW(done_waits_for_the_required_sink),
	TEST_ROW(a_missed_deadline_gives_back_what_was_taken),
	TEST_ROW(an_outcome_is_owed_to_the_sink_not_turned_back), TEST_ROW(any_one_sink_is_enough),
	TEST_ROW(all_sinks_means_all), TEST_ROW(an_advisory_sink_is_never_waited_for),
	TEST_ROW(stateless_mode_has_a_chain_but_no_claims),
	TEST_ROW(stateless_mode_refuses_rather_than_forget))
