/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of tokens a moment ago, by their hash: a client sends one token many times, and a request looks at it more than
 * once. A fixed number of places, of which a newer token takes an older one's. Nothing of a token is kept. Any thread.
 */
#ifndef PIPELINE_IDENTITY_TOKEN_CACHE_H
#define PIPELINE_IDENTITY_TOKEN_CACHE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/hash.h"

struct token_cache;
struct token_holder;

/* NULL when memory is out. */
MUSTCHECK struct token_cache *token_cache_new(void);
void token_cache_free(struct token_cache **c);

enum token_memory {
	TOKEN_UNKNOWN = 0, /* not remembered, or too long ago */
	TOKEN_REFUSED,
	TOKEN_ACCEPTED, /* *out is counted, the caller's */
};
/* generation is that of the keys: what was judged with others is not remembered. */
MUSTCHECK enum token_memory token_cache_find(struct token_cache *c,
	const uint8_t hash[SHA256_BYTES], uint64_t generation, struct token_holder **out);
/* holder NULL: refused. Remembered until then by the wall clock if it was accepted, by the monotonic one if not. */
void token_cache_put(struct token_cache *c, const uint8_t hash[SHA256_BYTES], uint64_t generation,
	struct token_holder *holder, int64_t until_ns);

#endif
