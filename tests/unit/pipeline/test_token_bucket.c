/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* One token bucket: exact refill, no overflow at the ends of the ranges, a clock that goes backwards. */
#include "base/clock.h"
#include "limit/token_bucket.h"
#include "support/test.h"

static int
take_all(struct token_bucket *b, int64_t now)
{
	int n = 0;

	token_bucket_refill(b, now);
	while (n < 1000 && token_bucket_has_token(b)) {
		token_bucket_take(b);
		n++;
	}
	return n;
}

TEST(starts_full_and_refills_by_the_second)
{
	struct token_bucket b;

	token_bucket_init(&b, 2, 60, 0);
	CHECK(token_bucket_is_full(&b));
	CHECK_INT(take_all(&b, 0), 2);
	CHECK_INT(token_bucket_wait_ns(&b), NS_PER_SEC);
	CHECK_INT(take_all(&b, NS_PER_SEC - 1), 0);
	CHECK_INT(token_bucket_wait_ns(&b), 1);
	CHECK_INT(take_all(&b, NS_PER_SEC), 1);
	CHECK_INT(take_all(&b, 100 * NS_PER_SEC), 2);
}

/* Polling often must not lose what has not become a unit yet. */
TEST(polling_loses_nothing)
{
	struct token_bucket b;
	int n = 0;

	token_bucket_init(&b, 5, 1, 0);
	CHECK_INT(take_all(&b, 0), 5);
	for (int64_t now = 0; now <= 180 * NS_PER_SEC; now += NS_PER_MS + 7)
		n += take_all(&b, now);
	CHECK_INT(n, 2);
	CHECK_INT(take_all(&b, 180 * NS_PER_SEC), 1);
}

TEST(extremes_do_not_overflow)
{
	struct token_bucket b;

	token_bucket_init(&b, TOKEN_RATE_MAX, TOKEN_RATE_MAX, 0);
	token_bucket_take(&b);
	token_bucket_refill(&b, INT64_MAX);
	CHECK(token_bucket_is_full(&b));
	token_bucket_init(&b, TOKEN_RATE_MAX, 1, 0);
	token_bucket_take(&b);
	token_bucket_refill(&b, 60 * NS_PER_SEC - 1);
	CHECK(!token_bucket_is_full(&b));
	token_bucket_refill(&b, 60 * NS_PER_SEC);
	CHECK(token_bucket_is_full(&b));
	token_bucket_init(&b, 1, 1, 0);
	token_bucket_take(&b);
	CHECK_INT(token_bucket_wait_ns(&b), 60 * NS_PER_SEC);
	token_bucket_refill(&b, INT64_MAX);
	CHECK(token_bucket_is_full(&b));
}

TEST(a_clock_that_goes_back_gives_nothing)
{
	struct token_bucket b;

	token_bucket_init(&b, 1, 60, 100 * NS_PER_SEC);
	CHECK_INT(take_all(&b, 100 * NS_PER_SEC), 1);
	CHECK_INT(take_all(&b, 50 * NS_PER_SEC), 0);
	CHECK_INT(take_all(&b, 51 * NS_PER_SEC - 1), 0);
	CHECK_INT(take_all(&b, 51 * NS_PER_SEC), 1);
}

SUITE("token_bucket", TEST_ROW(starts_full_and_refills_by_the_second),
	TEST_ROW(polling_loses_nothing), TEST_ROW(extremes_do_not_overflow),
	TEST_ROW(a_clock_that_goes_back_gives_nothing))
