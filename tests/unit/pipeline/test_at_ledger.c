/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* How many requests wait for the ledger, and how many search it: none is forgotten, or no other one would ever begin. */
#include "fixture.h"
#include "req_state.h"

static struct fixture f;

static size_t *
n_at_ledger(void)
{
	return &f.pipeline->pools[0].n_at_ledger;
}

static void
act(void)
{
	fixture_act(&f, "payments.list", "pay://shop/a", "{}");
}

TEST(it_counts_until_the_record_is_there)
{
	struct req_input in;
	char hex[SHA256_HEX + 1];

	fixture_init(&f);
	CHECK(req_may_begin(f.pipeline, f.loop));
	CHECK(fixture_start(&f, &in, fixture_body("fs.read", "file://workspace/a.txt", "{}"), hex));
	CHECK_INT(*n_at_ledger(), 1);
	while (!f.answer.is_done)
		loop_turn(f.loop, true);
	/* With the outcome's record, too. */
	CHECK(f.ledger.n_submits >= 1);
	CHECK_INT(*n_at_ledger(), 0);
	fixture_fini(&f);
}

TEST(what_the_ledger_refuses_or_undoes_does_not_count)
{
	fixture_init(&f);
	f.ledger.faults[0] = FAKE_REFUSE;
	f.ledger.refusal = ERR_AUDIT;
	f.ledger.faults[1] = FAKE_UNDO;
	act();
	CHECK_INT(f.answer.error, REQ_ERROR_AUDIT);
	CHECK_INT(*n_at_ledger(), 0);
	act();
	CHECK_INT(*n_at_ledger(), 0);
	fixture_fini(&f);
}

/* A ledger that cannot write answers, and would else keep everybody out until it can. */
TEST(what_was_answered_meanwhile_does_not_count)
{
	fixture_init(&f);
	f.ledger.faults[0] = FAKE_PENDING;
	act();
	CHECK_INT(f.answer.error, REQ_ERROR_AUDIT);
	CHECK_INT(*n_at_ledger(), 0);
	fake_ledger_recover(&f.ledger);
	loop_turn(f.loop, false);
	CHECK_INT(*n_at_ledger(), 0);
	fixture_fini(&f);
}

static const char report[] = "{\"schema_version\":\"v1\",\"action_id\":\"a1\",\"trace_id\":\"t1\","
			     "\"action_type\":\"payments.list\",\"resource\":\"pay://shop/a\","
			     "\"outcome\":\"SUCCEEDED\"}";

/* A search may take seconds: what needs only the ledger is not held for it. */
TEST(a_report_that_is_looked_up_counts_as_a_search)
{
	struct req_input in;
	char hex[SHA256_HEX + 1];

	fixture_init(&f);
	f.operation = REQ_OP_REPORT;
	CHECK(fixture_start(&f, &in, report, hex));
	CHECK_INT(f.pipeline->n_searches, 1);
	CHECK_INT(*n_at_ledger(), 0);
	while (!f.answer.is_done)
		loop_turn(f.loop, true);
	CHECK_INT(f.pipeline->n_searches, 0);
	CHECK_INT(*n_at_ledger(), 0);
	fixture_fini(&f);
}

/* It has no slot, and many of them would fill the pool that others' effects need. */
TEST(so_many_searches_at_once_are_enough)
{
	fixture_init(&f);
	f.operation = REQ_OP_REPORT;
	f.pipeline->n_searches = REQ_SEARCHES_MAX;
	CHECK_INT(fixture_send(&f, report)->error, REQ_ERROR_OVERLOADED);
	CHECK_INT(f.pipeline->n_searches, REQ_SEARCHES_MAX);
	f.pipeline->n_searches = REQ_SEARCHES_MAX - 1;
	CHECK(fixture_send(&f, report)->error != REQ_ERROR_OVERLOADED);
	CHECK_INT(f.pipeline->n_searches, REQ_SEARCHES_MAX - 1);
	fixture_fini(&f);
}

TEST(so_many_at_once_are_enough)
{
	fixture_init(&f);
	act();
	*n_at_ledger() = REQ_AT_LEDGER_MAX - 1;
	CHECK(req_may_begin(f.pipeline, f.loop));
	*n_at_ledger() = REQ_AT_LEDGER_MAX;
	CHECK(!req_may_begin(f.pipeline, f.loop));
	*n_at_ledger() = 0;
	fixture_fini(&f);
}

SUITE("at_ledger", TEST_ROW(it_counts_until_the_record_is_there),
	TEST_ROW(what_the_ledger_refuses_or_undoes_does_not_count),
	TEST_ROW(what_was_answered_meanwhile_does_not_count),
	TEST_ROW(a_report_that_is_looked_up_counts_as_a_search),
	TEST_ROW(so_many_searches_at_once_are_enough), TEST_ROW(so_many_at_once_are_enough))
