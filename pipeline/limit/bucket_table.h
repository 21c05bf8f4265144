/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * All token buckets of one kind, found by key: sharded, bounded in all and per owner, all-or-nothing when one action needs
 * several. Buckets of one owner share a shard, so that the owner's count is exact; shared ones are spread by key. A bucket goes
 * only when it is full again and nobody used it for its time, so that waiting never gives more than the bucket would have.
 * Any thread.
 */
#ifndef PIPELINE_BUCKET_TABLE_H
#define PIPELINE_BUCKET_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

struct bucket;
struct token_bucket;
struct bucket_table;

/* A longer key is stored as its beginning and the hex of its SHA-256; the lengths keep the two kinds apart. */
#define BUCKET_KEY_PLAIN_MAX 256
#define BUCKET_KEY_BYTES_MAX 264

/* One bucket that an action takes a token from. Limits are part of the key: another rate is another bucket. */
struct bucket_demand {
	struct span key; /* of bucket_key_join */
	int64_t burst;
	int64_t refill_per_minute;
	bool is_shared;        /* by all owners */
	unsigned shard;        /* the table's while it works */
	struct bucket *bucket; /* the table's while it works */
};

struct bucket_request {
	struct span owner;             /* the principal that new buckets count against */
	struct bucket_demand *demands; /* ordered by key, no key twice */
	size_t n_demands;
	size_t max_buckets;
	size_t max_buckets_per_owner;
	int64_t evict_after_ns;
	int64_t now_ns; /* the table's: read under the locks, so that it never goes back */
};

struct bucket_refusal {
	size_t i;          /* the first demand that could not be met */
	bool is_full;      /* its key is new and there is no room for it */
	int64_t remaining; /* whole tokens */
	int64_t wait_ns;   /* until there is a token */
};

/* The key that these parts make one behind the other, at most BUCKET_KEY_BYTES_MAX bytes, in room. No two keys share one. */
struct span bucket_key_join(
	const struct span *parts, size_t n_parts, char room[BUCKET_KEY_BYTES_MAX]);

/* NULL when memory is out. */
MUSTCHECK struct bucket_table *bucket_table_new(void);
void bucket_table_free(struct bucket_table **t);
/* Takes one token from each demanded bucket, or none and false with *refusal. A key over the limit aborts. */
MUSTCHECK bool bucket_table_take(
	struct bucket_table *t, struct bucket_request *request, struct bucket_refusal *refusal);
size_t bucket_table_count(const struct bucket_table *t);
/* Shows about max buckets, those of each shard that were used last or come next to leave; under the shard's lock, so visit copies
 * and no more. False ends the shard. */
void bucket_table_sample(struct bucket_table *t, size_t max,
	bool (*visit)(struct span key, const struct token_bucket *b, void *arg), void *arg);

#endif
