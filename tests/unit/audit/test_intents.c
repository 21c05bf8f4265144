/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The state column is judged by what the records say. */
#include <stdio.h>
#include <string.h>

#include "audit/ledger.h"
#include "base/span.h"
#include "intents.h"
#include "support/test.h"

static void
see(struct intents *in, uint64_t seq, int state, const char *members)
{
	char body[256];
	struct chain_fields f;

	snprintf(body, sizeof(body), "{%s,\"seq\":%d}", members, (int)seq);
	CHECK(chain_read_fields(span_cstr(body), &f));
	intents_see(in, seq, state, &f);
}

#define INTENT "\"decision\":\"ALLOW\",\"event_type\":\"action.decision\""
#define EXTERNAL INTENT ",\"result_classification\":\"SUCCESS\""
#define DENIED "\"decision\":\"DENY\",\"event_type\":\"action.decision\""
#define OUTCOME_OF_2 "\"event_type\":\"action.completed\",\"intent_seq\":2"

static uint64_t
judge(struct intents **in, const char *word)
{
	const char *why = "";
	uint64_t seq = 0;
	bool agree = intents_agree(*in, &seq, &why);

	CHECK_INT(agree, seq == 0);
	CHECK(agree || strstr(why, word) != NULL);
	intents_free(in);
	return seq;
}

TEST(states_that_agree)
{
	struct intents *in = intents_new();

	see(in, 1, LEDGER_COMPLETE, DENIED);
	see(in, 2, LEDGER_COMPLETE, INTENT);
	see(in, 3, LEDGER_COMPLETE, OUTCOME_OF_2);
	see(in, 4, LEDGER_AUTHORIZED, EXTERNAL);
	see(in, 5, LEDGER_OPEN, INTENT);
	CHECK_INT(intents_count(in, LEDGER_OPEN), 1);
	CHECK_INT(intents_count(in, LEDGER_COMPLETE), 3);
	CHECK_INT(judge(&in, ""), 0);
}

TEST(open_intent_that_was_hidden)
{
	struct intents *in = intents_new();

	see(in, 2, LEDGER_COMPLETE, INTENT);
	see(in, 7, LEDGER_AUTHORIZED, INTENT);
	CHECK_INT(judge(&in, "no record tells how"), 2);
}

TEST(ended_intent_that_was_opened)
{
	struct intents *in = intents_new();

	see(in, 2, LEDGER_OPEN, INTENT);
	see(in, 3, LEDGER_COMPLETE, OUTCOME_OF_2);
	CHECK_INT(judge(&in, "outcome is recorded"), 2);
}

TEST(states_that_do_not_exist)
{
	struct intents *in = intents_new();

	see(in, 4, -1, DENIED);
	see(in, 3, 3, DENIED);
	CHECK_INT(judge(&in, "none that a gateway writes"), 3);
}

TEST(rows_read_beside_a_writer)
{
	struct intents *in = intents_new();

	/* Read as complete: its outcome lies behind what was read first. */
	see(in, 2, LEDGER_COMPLETE, INTENT);
	intents_see_later(in, SPAN_LIT("{" OUTCOME_OF_2 ",\"seq\":9}"));
	CHECK_INT(judge(&in, ""), 0);
	/* Read as open, and ended a moment later. */
	in = intents_new();
	see(in, 2, LEDGER_OPEN, INTENT);
	see(in, 3, LEDGER_COMPLETE, OUTCOME_OF_2);
	intents_forgive_open(in);
	CHECK_INT(judge(&in, ""), 0);
}

SUITE("intents", TEST_ROW(states_that_agree), TEST_ROW(open_intent_that_was_hidden),
	TEST_ROW(ended_intent_that_was_opened), TEST_ROW(states_that_do_not_exist),
	TEST_ROW(rows_read_beside_a_writer))
