/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* One token bucket: integer arithmetic only, no clock, no lock. Any thread, one at a time per bucket. */
#include "limit/token_bucket.h"

#include "base/must.h"

/* A token per minute is one scaled token per this many nanoseconds. */
#define NS_PER_SCALED_TOKEN INT64_C(60000)

void
token_bucket_init(struct token_bucket *b, int64_t burst, int64_t refill_per_minute, int64_t now_ns)
{
	MUST(burst > 0 && burst <= TOKEN_RATE_MAX);
	MUST(refill_per_minute > 0 && refill_per_minute <= TOKEN_RATE_MAX);
	*b = (struct token_bucket){
		.tokens = burst * TOKEN_SCALE,
		.burst = burst * TOKEN_SCALE,
		.refill_per_minute = refill_per_minute,
		.last_mono_ns = now_ns,
	};
}

void
token_bucket_refill(struct token_bucket *b, int64_t now_ns)
{
	int64_t missing = b->burst - b->tokens;
	int64_t whole;
	int64_t rest;

	if (now_ns <= b->last_mono_ns) {
		b->last_mono_ns = now_ns;
		return;
	}
	whole = (now_ns - b->last_mono_ns) / NS_PER_SCALED_TOKEN;
	rest = (now_ns - b->last_mono_ns) % NS_PER_SCALED_TOKEN * b->refill_per_minute + b->carry;
	b->last_mono_ns = now_ns;
	/* Comparing before multiplying keeps every product below the burst. */
	if (whole > missing / b->refill_per_minute ||
		whole * b->refill_per_minute + rest / NS_PER_SCALED_TOKEN >= missing) {
		b->tokens = b->burst;
		b->carry = 0;
		return;
	}
	b->tokens += whole * b->refill_per_minute + rest / NS_PER_SCALED_TOKEN;
	b->carry = rest % NS_PER_SCALED_TOKEN;
}

bool
token_bucket_has_token(const struct token_bucket *b)
{
	return b->tokens >= TOKEN_SCALE;
}

bool
token_bucket_is_full(const struct token_bucket *b)
{
	return b->tokens == b->burst;
}

void
token_bucket_take(struct token_bucket *b)
{
	MUST(token_bucket_has_token(b));
	b->tokens -= TOKEN_SCALE;
}

int64_t
token_bucket_wait_ns(const struct token_bucket *b)
{
	int64_t owed;

	if (token_bucket_has_token(b))
		return 0;
	owed = (TOKEN_SCALE - b->tokens) * NS_PER_SCALED_TOKEN - b->carry;
	return (owed + b->refill_per_minute - 1) / b->refill_per_minute;
}
