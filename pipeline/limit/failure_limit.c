/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Token buckets of addresses, in a table that never grows. A rate that a reload changed fills the bucket anew. Any thread. */
#include "limit/failure_limit.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"
#include "limit/token_bucket.h"
#include "net/address.h"

#define FAILURE_MAGIC 0xfa117e55u

enum { BUCKETS = 4096 };

struct failure_limit {
	unsigned magic;
	pthread_mutex_t lock; /* guards the buckets */
	struct token_bucket buckets[BUCKETS];
};

struct failure_limit *
failure_limit_new(void)
{
	struct failure_limit *l = mem_zalloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->magic = FAILURE_MAGIC;
	MUST(pthread_mutex_init(&l->lock, NULL) == 0);
	return l;
}

void
failure_limit_free(struct failure_limit **l)
{
	struct failure_limit *old = *l;

	if (old == NULL)
		return;
	OBJ_CHECK(old, FAILURE_MAGIC);
	*l = NULL;
	pthread_mutex_destroy(&old->lock);
	old->magic = 0;
	mem_free(old);
}

static struct token_bucket *
find_bucket(struct failure_limit *l, const struct address *client)
{
	struct address key = *client;

	address_cut_host(&key);
	return &l->buckets[map_hash(span_of((const char *)key.bytes, sizeof(key.bytes))) % BUCKETS];
}

uint32_t
failure_limit_note(struct failure_limit *l, int64_t per_minute, struct span client_address)
{
	struct address client;
	uint32_t wait_s = 0;

	OBJ_CHECK(l, FAILURE_MAGIC);
	/* Those whom nobody knows share one. */
	if (!address_parse(client_address, &client))
		client = (struct address){0};
	struct token_bucket *b = find_bucket(l, &client);
	MUST(pthread_mutex_lock(&l->lock) == 0);
	if (b->refill_per_minute != per_minute)
		token_bucket_init(b, per_minute, per_minute, clock_mono_ns());
	token_bucket_refill(b, clock_mono_ns());
	if (token_bucket_has_token(b))
		token_bucket_take(b);
	else
		wait_s = (uint32_t)(token_bucket_wait_ns(b) / NS_PER_SEC) + 1;
	MUST(pthread_mutex_unlock(&l->lock) == 0);
	return wait_s;
}
