/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket against a model in 128-bit arithmetic that adds up everything that ever came back: for any rates, steps and
 * takes both have the same number of whole tokens.
 */
#include "base/clock.h"
#include "limit/token_bucket.h"
#include "support/test.h"

__extension__ typedef __int128 wide;

/* xorshift; the seed is fixed so that a failure can be repeated. */
static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int64_t
pick(uint64_t *state, int64_t max)
{
	/* As many small values as big ones. */
	unsigned bits = (unsigned)(next_random(state) % 31);
	int64_t v = (int64_t)(next_random(state) & ((UINT64_C(1) << bits) - 1)) + 1;

	return v > max ? max : v;
}

TEST(agrees_with_the_model)
{
	const wide unit = (wide)TOKEN_SCALE * 60000;
	uint64_t seed = 0x9e3779b97f4a7c15u;

	for (int round = 0; round < 2000; round++) {
		int64_t burst = pick(&seed, TOKEN_RATE_MAX);
		int64_t rate = pick(&seed, TOKEN_RATE_MAX);
		wide full = burst * unit;
		wide have = full;
		int64_t now = 0;
		struct token_bucket b;

		token_bucket_init(&b, burst, rate, now);
		for (int step = 0; step < 200; step++) {
			int64_t elapsed = pick(&seed, INT64_C(100) * NS_PER_SEC) - 1;

			now += elapsed;
			have += (wide)elapsed * rate;
			have = have > full ? full : have;
			token_bucket_refill(&b, now);
			if (token_bucket_has_token(&b) != (have >= unit)) {
				FAIL("round %d step %d: %lld tokens", round, step,
					(long long)(b.tokens / TOKEN_SCALE));
				return;
			}
			if (have >= unit && next_random(&seed) % 3 != 0) {
				token_bucket_take(&b);
				have -= unit;
			}
			if (have >= unit) {
				CHECK_INT(token_bucket_wait_ns(&b), 0);
			} else if (token_bucket_wait_ns(&b) !=
				   (int64_t)((unit - have + rate - 1) / rate)) {
				FAIL("round %d step %d: wait", round, step);
				return;
			}
		}
	}
}

SUITE("token_bucket", TEST_ROW(agrees_with_the_model))
