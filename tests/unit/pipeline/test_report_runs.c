/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A search for a report's decision that its time has cut goes on, and not for ever. The search itself is played here. */
#include "fixture.h"
#include "report.h"
#include "req_state.h"

static struct fixture f;
static unsigned n_runs;
static unsigned n_cut; /* so many runs are cut */

/* In the place of pipeline/report_search.c's. */
void
report_search_run(struct report_search *s)
{
	/* What the run before has noted is still there. */
	CHECK_INT(s->from, n_runs);
	n_runs++;
	s->from = n_runs;
	s->result = OK;
	s->is_cut = n_runs <= n_cut;
	/* While it is cut it says nothing. */
	s->match = s->is_cut ? REPORT_REPEATED : REPORT_UNMATCHED;
}

static const struct answer *
tell(unsigned cut)
{
	n_runs = 0;
	n_cut = cut;
	f.operation = REQ_OP_REPORT;
	return fixture_send(&f,
		"{\"schema_version\":\"v1\",\"action_id\":\"a1\",\"trace_id\":\"t1\","
		"\"action_type\":\"payments.list\",\"resource\":\"pay://shop/a\","
		"\"outcome\":\"SUCCEEDED\"}");
}

TEST(what_was_cut_goes_on_until_it_ends)
{
	fixture_init(&f);
	CHECK_INT(tell(0)->error, REQ_ERROR_REPORT_UNMATCHED);
	CHECK_INT(n_runs, 1);
	CHECK_INT(tell(3)->error, REQ_ERROR_REPORT_UNMATCHED);
	CHECK_INT(n_runs, 4);
	CHECK_INT(f.pipeline->n_searches, 0);
	fixture_fini(&f);
}

TEST(what_does_not_end_is_refused_and_the_remedy_named)
{
	fixture_init(&f);
	CHECK_INT(tell(1000)->error, REQ_ERROR_OVERLOADED);
	CHECK(strstr(f.answer.message, "search index") != NULL);
	CHECK_INT(n_runs, 20);
	CHECK_INT(f.pipeline->n_searches, 0);
	CHECK_INT(f.ledger.n_submits, 0);
	fixture_fini(&f);
}

SUITE("report runs", TEST_ROW(what_was_cut_goes_on_until_it_ends),
	TEST_ROW(what_does_not_end_is_refused_and_the_remedy_named))
