/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The sharded table of token buckets. An action locks the shards of all its buckets in ascending order, looks first and takes
 * then, so that a refusal takes nothing and no token is lost to a race. Each access also looks at a few buckets behind a
 * hand that goes round the shard, which is how idle ones leave without a sweep. Any thread; it never waits for anything but a
 * shard's mutex, and nothing blocks under one.
 */
#include "limit/bucket_table.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "limit/token_bucket.h"

enum {
	SHARDS = 16,
	OWNERS_PER_SHARD_MAX = 65536,
	HAND_STEPS = 2,       /* buckets looked at per access */
	HAND_STEPS_FULL = 64, /* the same when there is no room */
	BUCKETS_MAX = 10000000,
};

/* Never freed before the table: there are only as many as principals were configured. */
struct owner {
	atomic_size_t n_buckets; /* grows under the owner's shard lock only */
};

struct bucket {
	struct token_bucket tokens;
	int64_t last_used_ns;
	struct owner *owner;
	struct bucket *next; /* ring of the shard */
	struct bucket *prev;
	size_t n_key;
	char key[];
};

struct shard {
	pthread_mutex_t
		lock; /* guards all below; several are only held together in ascending order */
	struct map *buckets;
	struct map *owners;
	struct bucket *hand; /* any bucket of the ring; NULL when there is none */
};

struct bucket_table {
	struct shard shards[SHARDS];
	atomic_size_t n_buckets;
};

struct span
bucket_key_join(const struct span *parts, size_t n_parts, char room[BUCKET_KEY_BYTES_MAX])
{
	const size_t prefix = BUCKET_KEY_BYTES_MAX - SHA256_HEX;
	size_t n = 0;
	size_t n_all = 0;
	uint8_t hash[SHA256_BYTES];
	char hex[SHA256_HEX + 1];

	for (size_t i = 0; i < n_parts; i++) {
		size_t room_left = BUCKET_KEY_PLAIN_MAX - n;
		size_t take = parts[i].n < room_left ? parts[i].n : room_left;

		if (take > 0)
			memcpy(room + n, parts[i].p, take);
		n += take;
		n_all += parts[i].n;
	}
	if (n_all <= BUCKET_KEY_PLAIN_MAX)
		return span_of(room, n);
	hash_sha256_parts(parts, n_parts, hash);
	hash_hex(hash, sizeof(hash), hex);
	memcpy(room + prefix, hex, SHA256_HEX);
	return span_of(room, BUCKET_KEY_BYTES_MAX);
}

struct bucket_table *
bucket_table_new(void)
{
	struct bucket_table *t = mem_zalloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	for (size_t i = 0; i < SHARDS; i++) {
		MUST(pthread_mutex_init(&t->shards[i].lock, NULL) == 0);
		t->shards[i].buckets = map_new(BUCKETS_MAX);
		t->shards[i].owners = map_new(OWNERS_PER_SHARD_MAX);
		if (t->shards[i].buckets == NULL || t->shards[i].owners == NULL) {
			bucket_table_free(&t);
			return NULL;
		}
	}
	return t;
}

void
bucket_table_free(struct bucket_table **t)
{
	struct bucket_table *old = *t;

	if (old == NULL)
		return;
	*t = NULL;
	metric_add(METRIC_RATE_BUCKETS, -(int64_t)atomic_load(&old->n_buckets));
	for (size_t i = 0; i < SHARDS; i++) {
		map_free(&old->shards[i].buckets, mem_free);
		map_free(&old->shards[i].owners, mem_free);
		pthread_mutex_destroy(&old->shards[i].lock);
	}
	mem_free(old);
}

size_t
bucket_table_count(const struct bucket_table *t)
{
	return atomic_load(&t->n_buckets);
}

static void
join_ring(struct shard *s, struct bucket *b)
{
	if (s->hand == NULL) {
		b->next = b;
		b->prev = b;
		s->hand = b;
		return;
	}
	b->next = s->hand;
	b->prev = s->hand->prev;
	b->prev->next = b;
	b->next->prev = b;
}

static void
evict(struct bucket_table *t, struct shard *s, struct bucket *b)
{
	MUST(map_take(s->buckets, span_of(b->key, b->n_key)) == b);
	s->hand = b->next != b ? b->next : NULL;
	b->prev->next = b->next;
	b->next->prev = b->prev;
	atomic_fetch_sub(&b->owner->n_buckets, 1);
	atomic_fetch_sub(&t->n_buckets, 1);
	metric_add(METRIC_RATE_BUCKETS, -1);
	mem_free(b);
}

static void
turn_hand(struct bucket_table *t, struct shard *s, const struct bucket_request *q, unsigned steps)
{
	for (unsigned i = 0; i < steps && s->hand != NULL; i++) {
		struct bucket *b = s->hand;

		s->hand = b->next;
		if (q->now_ns - b->last_used_ns < q->evict_after_ns)
			continue;
		token_bucket_refill(&b->tokens, q->now_ns);
		if (token_bucket_is_full(&b->tokens))
			evict(t, s, b);
	}
}

/* NULL when there is no room; the owner's shard is locked. */
static struct owner *
need_owner(struct shard *s, struct span name)
{
	struct owner *owner = map_find(s->owners, name);

	if (owner != NULL)
		return owner;
	owner = mem_zalloc(1, sizeof(*owner));
	if (owner == NULL)
		return NULL;
	if (!map_put(s->owners, name, owner, NULL)) {
		mem_free(owner);
		return NULL;
	}
	return owner;
}

static bool
has_room(const struct bucket_table *t, const struct owner *owner, const struct bucket_request *q)
{
	return atomic_load(&owner->n_buckets) < q->max_buckets_per_owner &&
	       atomic_load(&t->n_buckets) < q->max_buckets;
}

static struct bucket *
add_bucket(struct bucket_table *t, struct owner *owner, const struct bucket_request *q,
	const struct bucket_demand *d)
{
	struct shard *s = &t->shards[d->shard];
	struct bucket *b;

	if (!has_room(t, owner, q))
		turn_hand(t, s, q, HAND_STEPS_FULL);
	if (!has_room(t, owner, q))
		return NULL;
	b = mem_alloc(sizeof(*b) + d->key.n);
	if (b == NULL)
		return NULL;
	memcpy(b->key, d->key.p, d->key.n);
	b->n_key = d->key.n;
	b->owner = owner;
	if (!map_put(s->buckets, d->key, b, NULL)) {
		mem_free(b);
		return NULL;
	}
	token_bucket_init(&b->tokens, d->burst, d->refill_per_minute, q->now_ns);
	join_ring(s, b);
	atomic_fetch_add(&owner->n_buckets, 1);
	atomic_fetch_add(&t->n_buckets, 1);
	metric_add(METRIC_RATE_BUCKETS, 1);
	return b;
}

/* Finds or makes every bucket and refills it; false at the first that has no token or no room. */
static bool
look_at_all(struct bucket_table *t, struct owner *owner, const struct bucket_request *q,
	struct bucket_refusal *refusal)
{
	for (size_t i = 0; i < q->n_demands; i++) {
		struct bucket_demand *d = &q->demands[i];

		*refusal = (struct bucket_refusal){.i = i, .is_full = true};
		d->bucket = map_find(t->shards[d->shard].buckets, d->key);
		if (d->bucket == NULL && owner != NULL)
			d->bucket = add_bucket(t, owner, q, d);
		if (d->bucket == NULL)
			return false;
		d->bucket->last_used_ns = q->now_ns;
		token_bucket_refill(&d->bucket->tokens, q->now_ns);
		if (!token_bucket_has_token(&d->bucket->tokens)) {
			refusal->is_full = false;
			refusal->remaining = d->bucket->tokens.tokens / TOKEN_SCALE;
			refusal->wait_ns = token_bucket_wait_ns(&d->bucket->tokens);
			return false;
		}
	}
	return true;
}

static void
lock_shards(struct bucket_table *t, uint32_t wanted)
{
	for (unsigned i = 0; i < SHARDS; i++)
		if ((wanted & (1u << i)) != 0)
			MUST(pthread_mutex_lock(&t->shards[i].lock) == 0);
}

static void
unlock_shards(struct bucket_table *t, uint32_t wanted)
{
	for (unsigned i = 0; i < SHARDS; i++)
		if ((wanted & (1u << i)) != 0)
			MUST(pthread_mutex_unlock(&t->shards[i].lock) == 0);
}

static unsigned
shard_of(struct span key)
{
	return (unsigned)(map_hash(key) % SHARDS);
}

bool
bucket_table_take(
	struct bucket_table *t, struct bucket_request *request, struct bucket_refusal *refusal)
{
	unsigned home = shard_of(request->owner);
	uint32_t wanted = 1u << home;
	bool is_granted;

	for (size_t i = 0; i < request->n_demands; i++) {
		struct bucket_demand *d = &request->demands[i];

		MUST(d->key.n <= BUCKET_KEY_BYTES_MAX);
		d->shard = d->is_shared ? shard_of(d->key) : home;
		wanted |= 1u << d->shard;
	}
	lock_shards(t, wanted);
	request->now_ns = clock_mono_ns();
	for (unsigned i = 0; i < SHARDS; i++)
		if ((wanted & (1u << i)) != 0)
			turn_hand(t, &t->shards[i], request, HAND_STEPS);
	is_granted = look_at_all(t, need_owner(&t->shards[home], request->owner), request, refusal);
	for (size_t i = 0; is_granted && i < request->n_demands; i++)
		token_bucket_take(&request->demands[i].bucket->tokens);
	unlock_shards(t, wanted);
	return is_granted;
}

void
bucket_table_sample(struct bucket_table *t, size_t max,
	bool (*visit)(struct span key, const struct token_bucket *b, void *arg), void *arg)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];
		MUST(pthread_mutex_lock(&s->lock) == 0);
		/* Behind the hand stands what joined last. */
		struct bucket *b = s->hand != NULL ? s->hand->prev : NULL;
		for (size_t n = 0; b != NULL && n < max / SHARDS; n++) {
			struct token_bucket now = b->tokens;
			token_bucket_refill(&now, clock_mono_ns());
			if (!visit(span_of(b->key, b->n_key), &now, arg) || b == s->hand)
				break;
			b = b->prev;
		}
		MUST(pthread_mutex_unlock(&s->lock) == 0);
	}
}
