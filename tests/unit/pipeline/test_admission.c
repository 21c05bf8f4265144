/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Admission under load: bursts and slow disks are let in, a standing queue is not, and all ends by itself. */
#include "base/clock.h"
#include "pipeline/admission.h"
#include "support/test.h"

#define LIMIT (50 * NS_PER_MS)
#define KEPT_MIN 8 /* as in admission.c */

struct load {
	struct admission a;
	int64_t now;
	int64_t ledger_wait;
	size_t n_flows;
	unsigned n_turned_away;
};

static bool
take(struct load *l, int64_t limit, int64_t begin, int64_t now, size_t n_behind)
{
	const struct admission_wait wait = {
		.since_ns = begin,
		.turn_ns = begin,
		.now_ns = now,
		.ledger_ns = l->ledger_wait,
		.n_behind = n_behind,
		.n_flows = l->n_flows,
	};

	return admission_take(&l->a, limit, &wait);
}

/* A turn in which n requests come up, the last of them after wait, each in front of the rest of them. */
static void
turn(struct load *l, int64_t wait, unsigned n)
{
	int64_t begin = l->now;

	for (unsigned i = 1; i <= n; i++) {
		l->now = begin + wait * (int64_t)i / (int64_t)n;
		l->n_turned_away += take(l, LIMIT, begin, l->now, n - i) ? 0 : 1;
	}
	l->now += NS_PER_MS;
}

/* Turns of that length for so long; the share that was turned away, in percent. */
static unsigned
run(struct load *l, int64_t wait, int64_t ns)
{
	const unsigned n = 100;
	unsigned n_all = 0;
	int64_t end = l->now + ns;

	l->n_turned_away = 0;
	while (l->now < end) {
		turn(l, wait, n);
		n_all += n;
	}
	return l->n_turned_away * 100 / n_all;
}

static struct load
new_load(void)
{
	return (struct load){.now = NS_PER_SEC, .n_flows = 1};
}

TEST(short_turns_are_let_in)
{
	struct load l = new_load();

	CHECK_INT(run(&l, 10 * NS_PER_MS, 10 * NS_PER_SEC), 0);
}

TEST(one_slow_turn_is_no_queue)
{
	struct load l = new_load();

	for (int i = 0; i < 20; i++) {
		CHECK_INT(run(&l, 2 * NS_PER_MS, 600 * NS_PER_MS), 0);
		turn(&l, 400 * NS_PER_MS, 10);
	}
	CHECK_INT(run(&l, 2 * NS_PER_MS, NS_PER_SEC), 0);
	/* Nor one that takes the whole interval. */
	turn(&l, 3 * NS_PER_SEC, 10);
	CHECK_INT(run(&l, 2 * NS_PER_MS, NS_PER_SEC), 0);
}

/* As an event loop does it: one turn takes in many requests, those behind it only a few. */
TEST(short_turns_between_do_not_hide_a_queue)
{
	struct load l = new_load();
	int64_t end = l.now + 10 * NS_PER_SEC;

	while (l.now < end) {
		turn(&l, 70 * NS_PER_MS, 500);
		turn(&l, NS_PER_MS, 3);
		turn(&l, 2 * NS_PER_MS, 3);
	}
	l.n_turned_away = 0;
	turn(&l, 70 * NS_PER_MS, 500);
	CHECK(l.n_turned_away > 300);
}

/* Many at once, and then nobody for a while. */
TEST(bursts_are_let_in)
{
	struct load l = new_load();

	for (int i = 0; i < 50; i++) {
		turn(&l, 150 * NS_PER_MS, 500);
		l.now += 400 * NS_PER_MS;
	}
	CHECK_INT(l.n_turned_away, 0);
}

TEST(of_a_standing_queue_those_before_many_are_turned_away)
{
	struct load l = new_load();

	CHECK_INT(run(&l, 100 * NS_PER_MS, 400 * NS_PER_MS), 0);
	(void)run(&l, 100 * NS_PER_MS, NS_PER_SEC);
	/* Of a hundred ten have not waited long, and some have few behind them. */
	unsigned percent = run(&l, 100 * NS_PER_MS, 5 * NS_PER_SEC);
	CHECK(percent >= 75 && percent <= 90 - KEPT_MIN);
}

/* As many as are served in a fifth of the limit, of a server that is fast. */
TEST(so_many_are_kept_as_can_be_served)
{
	struct load l = new_load();
	unsigned n_let_in;

	for (int i = 0; i < 50; i++)
		turn(&l, 80 * NS_PER_MS, 4000);
	CHECK(l.a.is_congested);
	l.n_turned_away = 0;
	turn(&l, 80 * NS_PER_MS, 4000);
	n_let_in = 4000 - l.n_turned_away;
	CHECK(n_let_in > KEPT_MIN && n_let_in < 1000);
}

/* Everybody has waited for long then. Those who are let in ask again at once, so that the server always has work. */
TEST(a_stop_of_the_machine_does_not_send_all_away)
{
	struct load l = new_load();

	(void)run(&l, 100 * NS_PER_MS, 2 * NS_PER_SEC);
	CHECK(l.a.is_congested);
	for (size_t n_behind = 0; n_behind <= KEPT_MIN; n_behind++)
		CHECK(take(&l, LIMIT, l.now, l.now + NS_PER_SEC, n_behind));
	CHECK(!take(&l, LIMIT, l.now, l.now + NS_PER_SEC, 10000));
}

TEST(a_flow_with_few_does_not_give_way_to_one_with_many)
{
	struct load l = new_load();

	(void)run(&l, 100 * NS_PER_MS, 2 * NS_PER_SEC);
	l.n_flows = 2;
	CHECK(take(&l, LIMIT, l.now, l.now + 100 * NS_PER_MS, KEPT_MIN / 2));
	CHECK(!take(&l, LIMIT, l.now, l.now + 100 * NS_PER_MS, KEPT_MIN / 2 + 1));
	/* With so many that there is less than one for each, the last one of each is let in. */
	l.n_flows = 64;
	CHECK(take(&l, LIMIT, l.now, l.now + 100 * NS_PER_MS, 0));
	CHECK(!take(&l, LIMIT, l.now, l.now + 100 * NS_PER_MS, 1));
}

/* Turning away shortens the turns; it goes on for as long as they would be long without it. */
TEST(it_goes_on_while_the_queue_would_stand)
{
	struct load l = new_load();

	(void)run(&l, 100 * NS_PER_MS, 2 * NS_PER_SEC);
	CHECK(run(&l, 30 * NS_PER_MS, 10 * NS_PER_SEC) > 0);
	CHECK(l.a.is_congested);
}

TEST(it_ends_when_the_queue_does)
{
	struct load l = new_load();

	CHECK(run(&l, 80 * NS_PER_MS, 10 * NS_PER_SEC) > 50);
	CHECK_INT(run(&l, 5 * NS_PER_MS, NS_PER_SEC), 0);
	CHECK(!l.a.is_congested);
	/* What would have been turned away before is let in again. */
	CHECK_INT(run(&l, 40 * NS_PER_MS, 5 * NS_PER_SEC), 0);
}

TEST(it_is_forgotten_when_nobody_comes)
{
	struct load l = new_load();

	CHECK(run(&l, 80 * NS_PER_MS, 10 * NS_PER_SEC) > 50);
	l.now += 10 * NS_PER_SEC;
	CHECK_INT(run(&l, 40 * NS_PER_MS, 400 * NS_PER_MS), 0);
}

/* All wait for the ledger alike: none is let in until its queue is short. */
TEST(the_ledgers_queue_counts_too)
{
	struct load l = new_load();

	l.ledger_wait = 200 * NS_PER_MS;
	(void)run(&l, NS_PER_MS, NS_PER_SEC);
	CHECK_INT(run(&l, NS_PER_MS, 10 * NS_PER_SEC), 100);
	l.ledger_wait = 8 * NS_PER_MS;
	CHECK_INT(run(&l, NS_PER_MS, 400 * NS_PER_MS), 0);
	l.ledger_wait = 0;
	(void)run(&l, NS_PER_MS, NS_PER_SEC);
	CHECK(!l.a.is_congested);
}

TEST(without_a_limit_all_are_let_in)
{
	struct load l = {.ledger_wait = NS_PER_SEC, .n_flows = 1};
	int64_t now = NS_PER_SEC;

	for (int i = 0; i < 10000; i++, now += NS_PER_SEC / 100)
		CHECK(take(&l, 0, now, now + NS_PER_SEC, 1000000));
}

SUITE("admission", TEST_ROW(short_turns_are_let_in), TEST_ROW(one_slow_turn_is_no_queue),
	TEST_ROW(short_turns_between_do_not_hide_a_queue), TEST_ROW(bursts_are_let_in),
	TEST_ROW(of_a_standing_queue_those_before_many_are_turned_away),
	TEST_ROW(so_many_are_kept_as_can_be_served),
	TEST_ROW(a_stop_of_the_machine_does_not_send_all_away),
	TEST_ROW(a_flow_with_few_does_not_give_way_to_one_with_many),
	TEST_ROW(it_goes_on_while_the_queue_would_stand), TEST_ROW(it_ends_when_the_queue_does),
	TEST_ROW(it_is_forgotten_when_nobody_comes), TEST_ROW(the_ledgers_queue_counts_too),
	TEST_ROW(without_a_limit_all_are_let_in))
