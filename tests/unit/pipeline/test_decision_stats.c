/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Decisions per second: what is counted where, and that an old second is not taken for a new one. */
#include "decision_stats.h"

#include "base/clock.h"
#include "support/test.h"

static uint64_t
allowed_in(const struct decision_stats *s, int64_t second)
{
	uint64_t n[VERDICT__MAX] = {0};

	decision_stats_add_second(s, second, n);
	return n[VERDICT_ALLOW];
}

TEST(each_second_has_its_own_count)
{
	static struct decision_stats s;
	uint64_t n[VERDICT__MAX] = {0};

	for (int i = 0; i < 3; i++)
		decision_stats_count(
			&s, 1000 * NS_PER_SEC + i, VERDICT_ALLOW, REASON_ALLOW_BY_RULE);
	decision_stats_count(&s, 1001 * NS_PER_SEC, VERDICT_DENY, REASON_DENY_BY_DEFAULT);
	CHECK_INT(allowed_in(&s, 1000), 3);
	CHECK_INT(allowed_in(&s, 1001), 0);
	CHECK_INT(allowed_in(&s, 999), 0);
	decision_stats_add_second(&s, 1001, n);
	CHECK_INT(n[VERDICT_DENY], 1);
	CHECK_INT(s.by_reason[REASON_DENY_BY_DEFAULT], 1);
	CHECK_INT(s.by_verdict[VERDICT_ALLOW], 3);
}

TEST(a_slot_that_comes_round_begins_anew)
{
	static struct decision_stats s;
	int64_t later = 1000 + DECISION_SLOTS;

	decision_stats_count(&s, 1000 * NS_PER_SEC, VERDICT_ALLOW, REASON_ALLOW_BY_RULE);
	CHECK_INT(allowed_in(&s, later), 0);
	decision_stats_count(&s, later * NS_PER_SEC, VERDICT_ALLOW, REASON_ALLOW_BY_RULE);
	CHECK_INT(allowed_in(&s, later), 1);
	CHECK_INT(allowed_in(&s, 1000), 0);
	CHECK_INT(s.by_verdict[VERDICT_ALLOW], 2);
}

SUITE("decision_stats", TEST_ROW(each_second_has_its_own_count),
	TEST_ROW(a_slot_that_comes_round_begins_anew))
