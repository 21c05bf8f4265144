/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of one token bucket (nomos-http.md 4.6): tokens are integers scaled by a million, refill is exact (what does
 * not make a whole unit yet is carried, never lost), nothing overflows for bursts and rates up to 10^9. Pure.
 */
#ifndef PIPELINE_TOKEN_BUCKET_H
#define PIPELINE_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#define TOKEN_SCALE INT64_C(1000000)
#define TOKEN_RATE_MAX INT64_C(1000000000)

struct token_bucket {
	int64_t tokens;            /* scaled */
	int64_t burst;             /* scaled */
	int64_t refill_per_minute; /* whole tokens */
	int64_t last_mono_ns;
	int64_t carry; /* what is owed, in 1/60000 of a scaled token; below 60000 */
};

/* Full. burst and refill_per_minute are 1..TOKEN_RATE_MAX. */
void token_bucket_init(
	struct token_bucket *b, int64_t burst, int64_t refill_per_minute, int64_t now_ns);
/* Adds what has come back by now. A clock that went backwards adds nothing and counts from there. */
void token_bucket_refill(struct token_bucket *b, int64_t now_ns);
bool token_bucket_has_token(const struct token_bucket *b);
bool token_bucket_is_full(const struct token_bucket *b);
/* token_bucket_has_token holds. */
void token_bucket_take(struct token_bucket *b);
/* Nanoseconds from the last refill until there is a whole token; 0 when there is one. */
int64_t token_bucket_wait_ns(const struct token_bucket *b);

#endif
