/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Failed authentications per address: so many at once, then one per refill; hosts of one /64 are one; what is no address is free. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "limit/failure_limit.h"
#include "support/test.h"

static struct failure_limit *limit;

static void
begin(void)
{
	clock_fake_set(NS_PER_SEC, NS_PER_SEC);
	limit = failure_limit_new();
	MUST(limit != NULL);
}

static void
end(void)
{
	failure_limit_free(&limit);
	clock_fake_off();
}

static uint32_t
fail(const char *address)
{
	return failure_limit_note(limit, 6, span_cstr(address));
}

TEST(so_many_at_once_and_then_as_they_come_back)
{
	begin();
	for (int i = 0; i < 6; i++)
		CHECK_INT(fail("10.0.0.1"), 0);
	CHECK_INT(fail("10.0.0.1"), 11);
	CHECK_INT(fail("::ffff:10.0.0.1"), 11);
	clock_fake_advance(10 * NS_PER_SEC);
	CHECK_INT(fail("10.0.0.1"), 0);
	CHECK(fail("10.0.0.1") > 0);
	end();
}

TEST(another_address_has_its_own)
{
	unsigned n_refused = 0;

	begin();
	for (int i = 0; i < 20; i++)
		(void)fail("10.0.0.1");
	/* Two share a bucket by chance now and then. */
	for (int i = 2; i < 100; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.0.0.%d", i);
		n_refused += fail(text) > 0;
	}
	CHECK(n_refused < 10);
	end();
}

TEST(hosts_of_one_network_are_one)
{
	begin();
	for (int i = 0; i < 6; i++)
		CHECK_INT(fail("2001:db8::1"), 0);
	CHECK(fail("2001:db8::ffff:2") > 0);
	CHECK_INT(fail("2001:db8:0:1::1"), 0);
	end();
}

/* Else whoever makes itself unknown could guess on. */
TEST(those_whom_nobody_knows_share_one)
{
	begin();
	for (int i = 0; i < 6; i++)
		CHECK_INT(fail(i % 2 == 0 ? "" : "unix"), 0);
	CHECK(fail("") > 0);
	CHECK(fail("unknown") > 0);
	CHECK_INT(fail("10.0.0.1"), 0);
	end();
}

TEST(a_rate_that_changed_counts_at_once)
{
	begin();
	for (int i = 0; i < 7; i++)
		(void)fail("10.0.0.1");
	CHECK_INT(failure_limit_note(limit, 1, SPAN_LIT("10.0.0.1")), 0);
	CHECK(failure_limit_note(limit, 1, SPAN_LIT("10.0.0.1")) > 50);
	end();
	mem_fail_at(1);
	limit = failure_limit_new();
	mem_fail_at(0);
	CHECK(limit == NULL);
}

SUITE("failure limit", TEST_ROW(so_many_at_once_and_then_as_they_come_back),
	TEST_ROW(another_address_has_its_own), TEST_ROW(hosts_of_one_network_are_one),
	TEST_ROW(those_whom_nobody_knows_share_one), TEST_ROW(a_rate_that_changed_counts_at_once))
