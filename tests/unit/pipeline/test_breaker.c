/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Breakers: what opens one, the single probe after the cool-down, identities apart, bounds. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "limit/breaker.h"
#include "support/test.h"

static const struct breaker_limits limits = {.failures = 2, .cooldown_ns = 10 * NS_PER_SEC};

static enum breaker_pass
enter(struct breakers *b, const char *who)
{
	int64_t wait_ns;

	return breakers_enter(b, span_cstr(who), &wait_ns);
}

static void
act(struct breakers *b, const char *who, enum breaker_outcome outcome)
{
	breakers_leave(b, span_cstr(who), enter(b, who), outcome, &limits);
}

TEST(opens_after_faults_in_a_row_only)
{
	struct breakers *b = breakers_new();
	int64_t wait_ns;

	clock_fake_set(NS_PER_SEC, 0);
	act(b, "a", BREAKER_FAULT);
	act(b, "a", BREAKER_NEUTRAL);
	act(b, "a", BREAKER_SUCCESS);
	act(b, "a", BREAKER_FAULT);
	CHECK_INT(enter(b, "a"), BREAKER_CLOSED);
	act(b, "a", BREAKER_NEUTRAL);
	act(b, "a", BREAKER_FAULT);
	CHECK_INT(breakers_enter(b, SPAN_LIT("a"), &wait_ns), BREAKER_REFUSED);
	CHECK_INT(wait_ns, 10 * NS_PER_SEC);
	CHECK_INT(enter(b, "other"), BREAKER_CLOSED);
	clock_fake_off();
	breakers_free(&b);
}

TEST(lets_one_probe_through)
{
	struct breakers *b = breakers_new();

	clock_fake_set(NS_PER_SEC, 0);
	act(b, "a", BREAKER_FAULT);
	act(b, "a", BREAKER_FAULT);
	clock_fake_advance(10 * NS_PER_SEC);
	CHECK_INT(enter(b, "a"), BREAKER_PROBE);
	CHECK_INT(enter(b, "a"), BREAKER_REFUSED);
	breakers_leave(b, SPAN_LIT("a"), BREAKER_PROBE, BREAKER_FAULT, &limits);
	CHECK_INT(enter(b, "a"), BREAKER_REFUSED);
	clock_fake_advance(10 * NS_PER_SEC);
	CHECK_INT(enter(b, "a"), BREAKER_PROBE);
	breakers_leave(b, SPAN_LIT("a"), BREAKER_PROBE, BREAKER_NEUTRAL, &limits);
	CHECK_INT(enter(b, "a"), BREAKER_PROBE);
	breakers_leave(b, SPAN_LIT("a"), BREAKER_PROBE, BREAKER_SUCCESS, &limits);
	CHECK_INT(enter(b, "a"), BREAKER_CLOSED);
	CHECK_INT(enter(b, "a"), BREAKER_CLOSED);
	clock_fake_off();
	breakers_free(&b);
}

TEST(late_ends_of_earlier_actions_change_nothing)
{
	struct breakers *b = breakers_new();

	clock_fake_set(NS_PER_SEC, 0);
	CHECK_INT(enter(b, "a"), BREAKER_CLOSED);
	act(b, "a", BREAKER_FAULT);
	act(b, "a", BREAKER_FAULT);
	clock_fake_advance(9 * NS_PER_SEC);
	breakers_leave(b, SPAN_LIT("a"), BREAKER_CLOSED, BREAKER_FAULT, &limits);
	breakers_leave(b, SPAN_LIT("a"), BREAKER_CLOSED, BREAKER_SUCCESS, &limits);
	CHECK_INT(enter(b, "a"), BREAKER_REFUSED);
	clock_fake_advance(NS_PER_SEC);
	CHECK_INT(enter(b, "a"), BREAKER_PROBE);
	clock_fake_off();
	breakers_free(&b);
}

TEST(is_bounded)
{
	struct breakers *b = breakers_new();
	long live;
	char who[32];

	clock_fake_set(NS_PER_SEC, 0);
	for (int i = 0; i < 65536; i++) {
		snprintf(who, sizeof(who), "w%d", i);
		act(b, who, BREAKER_FAULT);
	}
	live = mem_live();
	for (int i = 0; i < 20; i++) {
		snprintf(who, sizeof(who), "x%d", i);
		act(b, who, BREAKER_FAULT);
		act(b, who, BREAKER_FAULT);
		CHECK_INT(enter(b, who), BREAKER_REFUSED);
	}
	CHECK_INT(mem_live(), live);
	clock_fake_off();
	breakers_free(&b);
}

SUITE("breaker", TEST_ROW(opens_after_faults_in_a_row_only), TEST_ROW(lets_one_probe_through),
	TEST_ROW(late_ends_of_earlier_actions_change_nothing), TEST_ROW(is_bounded))
