/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of hashes for each stretch of EPOCH_S seconds of timestamps, so that what is too old goes at once and whole. A nonce is in
 * the shard of its hash, so one busy signer uses them all; a signer's count is in the shard of its id. Two locks one after the
 * other, never one inside the other. Must never forget a nonce whose timestamp would still be taken. Any thread.
 */
#include "identity/nonce_table.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "pipeline/options_tbl.h"
#include "pipeline/signed_form.h"

enum {
	SHARDS = 16,
	EPOCH_S = 64,
	/* More than the widest window and what clocks are apart can need at a time. */
	EPOCHS = 128,
	SET_SLOTS_MIN = 64,
	SPARES = 2,
	SIGNERS_PER_SHARD_MAX = 65536,
};
_Static_assert((2 * NONCE_WINDOW_MAX_S) / EPOCH_S + 3 <= EPOCHS, "a ring holds the widest window");

#define NONCE_MAGIC 0x4041ce5eu

/* Open addressing; 0 is an empty slot. */
struct slots {
	uint64_t *v;
	size_t size; /* a power of two; 0: none */
};

struct set {
	int64_t epoch;
	struct slots slots;
	size_t n;
};

/* How many nonces of a signer are in the table. Never freed before it: there are only as many as were configured. */
struct share {
	int64_t oldest; /* epoch */
	size_t n;
	uint32_t n_of[EPOCHS];
};

struct shard {
	pthread_mutex_t lock; /* guards all below */
	int64_t oldest;       /* epoch; what was before it is forgotten */
	size_t n;
	struct set sets[EPOCHS];
	struct slots spares[SPARES];
	struct map *shares;
};

struct nonce_table {
	unsigned magic;
	int64_t start_s;
	atomic_size_t n;
	struct shard shards[SHARDS];
};

const char *
nonce_verdict_text(enum nonce_verdict v)
{
	static const char *const texts[NONCE__MAX] = {
		[NONCE_OUT_OF_WINDOW] = "the timestamp is too far from now",
		[NONCE_BEFORE_START] = "the timestamp is from before this process",
		[NONCE_FORGOTTEN] = "the clock went back behind nonces that were forgotten",
		[NONCE_USED] = "the nonce was used before",
		[NONCE_SHARE_FULL] = "the signer's share of nonces is used up",
		[NONCE_TABLE_FULL] = "there is no room for nonces",
		[NONCE_FRESH] = "",
	};

	return texts[v];
}

static int64_t
epoch_of(int64_t seconds)
{
	return seconds / EPOCH_S;
}

struct nonce_table *
nonce_table_new(void)
{
	struct nonce_table *t = mem_zalloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->magic = NONCE_MAGIC;
	t->start_s = clock_wall_ns() / NS_PER_SEC;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];

		MUST(pthread_mutex_init(&s->lock, NULL) == 0);
		s->oldest = epoch_of(t->start_s);
		s->shares = map_new(SIGNERS_PER_SHARD_MAX);
		if (s->shares == NULL) {
			nonce_table_free(&t);
			return NULL;
		}
	}
	return t;
}

void
nonce_table_free(struct nonce_table **t)
{
	struct nonce_table *old = *t;

	if (old == NULL)
		return;
	OBJ_CHECK(old, NONCE_MAGIC);
	*t = NULL;
	metric_add(METRIC_NONCES, -(int64_t)atomic_load(&old->n));
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &old->shards[i];

		for (size_t k = 0; k < EPOCHS; k++)
			mem_free(s->sets[k].slots.v);
		for (size_t k = 0; k < SPARES; k++)
			mem_free(s->spares[k].v);
		map_free(&s->shares, mem_free);
		pthread_mutex_destroy(&s->lock);
	}
	old->magic = 0;
	mem_free(old);
}

size_t
nonce_table_count(const struct nonce_table *t)
{
	return atomic_load(&t->n);
}

static void
count(struct nonce_table *t, int64_t n)
{
	atomic_fetch_add(&t->n, (size_t)n);
	metric_add(METRIC_NONCES, n);
}

/* The first epoch in which a timestamp could still be taken. */
static int64_t
first_epoch(const struct nonce_limits *limits, int64_t now_s)
{
	return epoch_of(now_s - limits->window_s);
}

/* ---- the shares ---- */

static void
forget_counts(struct share *share, int64_t first)
{
	/* A clock that went far ahead takes one turn of the ring, not one step for each epoch. */
	int64_t steps = first - share->oldest;

	for (int64_t i = 0; i < steps && i < EPOCHS; i++) {
		uint32_t *n = &share->n_of[(share->oldest + i) % EPOCHS];

		share->n -= *n;
		*n = 0;
	}
	if (steps > 0)
		share->oldest = first;
}

/* NULL when memory is out; its shard is locked. */
static struct share *
need_share(struct shard *s, struct span key)
{
	struct share *share = map_find(s->shares, key);

	if (share != NULL)
		return share;
	share = mem_zalloc(1, sizeof(*share));
	if (share == NULL)
		return NULL;
	share->oldest = s->oldest;
	if (!map_put(s->shares, key, share, NULL)) {
		mem_free(share);
		return NULL;
	}
	return share;
}

static enum nonce_verdict
take_share(struct shard *s, struct span key, const struct nonce_limits *limits, int64_t epoch,
	int64_t first)
{
	enum nonce_verdict v = NONCE_TABLE_FULL;
	struct share *share;

	MUST(pthread_mutex_lock(&s->lock) == 0);
	share = need_share(s, key);
	if (share != NULL) {
		forget_counts(share, first);
		v = share->n < limits->max_per_signer ? NONCE_FRESH : NONCE_SHARE_FULL;
		if (epoch < share->oldest)
			v = NONCE_FORGOTTEN;
	}
	if (v == NONCE_FRESH) {
		share->n++;
		share->n_of[epoch % EPOCHS]++;
	}
	MUST(pthread_mutex_unlock(&s->lock) == 0);
	return v;
}

static void
give_share(struct shard *s, struct span key, int64_t epoch)
{
	MUST(pthread_mutex_lock(&s->lock) == 0);
	struct share *share = map_find(s->shares, key);
	if (epoch >= share->oldest) {
		share->n--;
		share->n_of[epoch % EPOCHS]--;
	}
	MUST(pthread_mutex_unlock(&s->lock) == 0);
}

/* ---- the sets ---- */

static void
forget_set(struct nonce_table *t, struct shard *s, struct set *set)
{
	struct slots *least = &s->spares[0];

	s->n -= set->n;
	count(t, -(int64_t)set->n);
	/* The larger ones are kept for the next epochs. */
	for (size_t i = 1; i < SPARES; i++)
		if (s->spares[i].size < least->size)
			least = &s->spares[i];
	if (least->size < set->slots.size) {
		mem_free(least->v);
		*least = set->slots;
	} else {
		mem_free(set->slots.v);
	}
	*set = (struct set){.epoch = 0};
}

static void
forget_old(struct nonce_table *t, struct shard *s, int64_t first)
{
	int64_t steps = first - s->oldest;

	for (int64_t i = 0; i < steps && i < EPOCHS; i++)
		forget_set(t, s, &s->sets[(s->oldest + i) % EPOCHS]);
	if (steps > 0)
		s->oldest = first;
}

/* False when it is there. There is an empty slot. */
static bool
put_mark(struct slots *slots, uint64_t mark)
{
	size_t mask = slots->size - 1;
	size_t i = (size_t)(mark >> 8) & mask;

	while (slots->v[i] != 0) {
		if (slots->v[i] == mark)
			return false;
		i = (i + 1) & mask;
	}
	slots->v[i] = mark;
	return true;
}

/* The largest spare, emptied, when it is large enough; else new memory; NULL when that is out. */
static struct slots
new_slots(struct shard *s, size_t size)
{
	struct slots *most = &s->spares[0];
	struct slots slots;

	for (size_t i = 1; i < SPARES; i++)
		if (s->spares[i].size > most->size)
			most = &s->spares[i];
	if (most->size >= size) {
		slots = *most;
		*most = (struct slots){NULL, 0};
		memset(slots.v, 0, slots.size * sizeof(slots.v[0]));
		return slots;
	}
	slots.v = mem_zalloc(size, sizeof(slots.v[0]));
	slots.size = slots.v != NULL ? size : 0;
	return slots;
}

/* What the epoch before needed: so a table that is warm does not begin small each time. */
static size_t
first_size(const struct shard *s, int64_t epoch)
{
	const struct set *before = &s->sets[(epoch - 1) % EPOCHS];
	size_t size = SET_SLOTS_MIN;

	while (before->epoch == epoch - 1 && before->n * 4 > size * 3)
		size *= 2;
	return size;
}

/* Room for one more, three slots of four taken at most; with less only when memory is out. */
static bool
need_slot(struct shard *s, struct set *set)
{
	struct slots old = set->slots;
	struct slots wider;

	if ((set->n + 1) * 4 <= old.size * 3)
		return true;
	wider = new_slots(s, old.size > 0 ? old.size * 2 : first_size(s, set->epoch));
	if (wider.v == NULL)
		return set->n + 1 < old.size;
	for (size_t i = 0; i < old.size; i++)
		if (old.v[i] != 0)
			(void)put_mark(&wider, old.v[i]);
	mem_free(old.v);
	set->slots = wider;
	return true;
}

static enum nonce_verdict
put_in_set(struct shard *s, const struct nonce_limits *limits, int64_t epoch, uint64_t mark)
{
	struct set *set = &s->sets[epoch % EPOCHS];

	if (set->n == 0)
		set->epoch = epoch;
	if (set->epoch != epoch || s->n >= (limits->max + SHARDS - 1) / SHARDS ||
		!need_slot(s, set))
		return NONCE_TABLE_FULL;
	if (!put_mark(&set->slots, mark))
		return NONCE_USED;
	set->n++;
	s->n++;
	return NONCE_FRESH;
}

static enum nonce_verdict
put(struct nonce_table *t, const struct nonce_limits *limits, int64_t epoch, int64_t first,
	uint64_t mark)
{
	struct shard *s = &t->shards[mark % SHARDS];
	enum nonce_verdict v = NONCE_FORGOTTEN;

	MUST(pthread_mutex_lock(&s->lock) == 0);
	forget_old(t, s, first);
	if (epoch >= s->oldest)
		v = put_in_set(s, limits, epoch, mark);
	MUST(pthread_mutex_unlock(&s->lock) == 0);
	if (v == NONCE_FRESH)
		count(t, 1);
	return v;
}

/* Never 0, which is an empty slot. */
static uint64_t
mark_of(const char signer[sizeof(uint64_t) + 1], struct span nonce)
{
	char key[sizeof(uint64_t) + 1 + SIGNED_FORM_NONCE_MAX];
	const size_t n = sizeof(uint64_t) + 1;

	MUST(nonce.n > 0 && nonce.n <= SIGNED_FORM_NONCE_MAX);
	memcpy(key, signer, n);
	memcpy(key + n, nonce.p, nonce.n);
	uint64_t hash = map_hash(span_of(key, n + nonce.n));
	return hash != 0 ? hash : 1;
}

enum nonce_verdict
nonce_table_use(struct nonce_table *t, const struct nonce_limits *limits, const struct nonce *nonce)
{
	int64_t now_s = clock_wall_ns() / NS_PER_SEC;
	int64_t first = first_epoch(limits, now_s);
	int64_t epoch = epoch_of(nonce->time_s);
	uint64_t signer = map_hash(nonce->signer);
	char key[sizeof(signer) + 1];
	enum nonce_verdict v;

	OBJ_CHECK(t, NONCE_MAGIC);
	if (nonce->time_s < now_s - limits->window_s || nonce->time_s > now_s + limits->window_s)
		return NONCE_OUT_OF_WINDOW;
	if (nonce->time_s < t->start_s)
		return NONCE_BEFORE_START;
	memcpy(key, &signer, sizeof(signer));
	key[sizeof(signer)] = (char)nonce->kind;
	struct shard *home = &t->shards[signer % SHARDS];
	struct span share = span_of(key, sizeof(key));
	v = take_share(home, share, limits, epoch, first);
	if (v != NONCE_FRESH)
		return v;
	v = put(t, limits, epoch, first, mark_of(key, nonce->text));
	if (v != NONCE_FRESH)
		give_share(home, share, epoch);
	return v;
}
