/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The search for a report's decision in a ledger without an index: it takes its time and no more. */
#include "../../unit/audit/ledger_fixture.h"
#include "base/clock.h"
#include "base/fault.h"
#include "report.h"

#define N_RECORDS 500 /* many times what is read between two looks at the clock */

static void
pass_time(enum fault_point at, bool is_after)
{
	if (at == FAULT_AT_VFS_READ && !is_after)
		clock_fake_advance(NS_PER_SEC);
}

static struct report_search
search_unknown(const char *path)
{
	const struct report report = {.outcome = SPAN_LIT("SUCCEEDED")};
	struct report_search s = {
		.report = &report,
		.principal = SPAN_LIT("alice"),
		.agent = SPAN_LIT("bot"),
		.environment = SPAN_LIT("prod"),
		.action_id = SPAN_LIT("nobody-knows"),
		.trace_id = SPAN_LIT("nobody-knows"),
		.ledger_path = path,
	};

	report_search_run(&s);
	return s;
}

TEST(ids_that_nobody_knows_do_not_have_the_whole_ledger_read)
{
	struct ledger_options o = options_in(test_tmpdir());

	/* Whatever is asked for, SQLite's reads are fault points then. */
	CHECK(fault_arm("reload.swap.before:1:error=EIO"));
	struct ledger *l = start_ledger(&o);
	for (int i = 0; i < N_RECORDS; i++)
		CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	CHECK_INT(search_unknown(o.path).result, OK);
	CHECK_INT(search_unknown(o.path).match, REPORT_UNMATCHED);
	clock_fake_set(NS_PER_SEC, INT64_C(1790000000) * NS_PER_SEC);
	fault_set_hook(pass_time);
	CHECK_INT(search_unknown(o.path).result, ERR_BUSY);
	fault_set_hook(NULL);
	CHECK(fault_arm(NULL));
	clock_fake_off();
}

SUITE("report search", TEST_ROW(ids_that_nobody_knows_do_not_have_the_whole_ledger_read))
