/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Shards, each with sets of marks (nonce_marks.h) and with shares (nonce_shares.h). A nonce is in the shard of its hash, so one busy
 * signer uses them all; a signer's count is in the shard of its id. Two locks one after the other, never one inside the other.
 * Any thread.
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
#include "identity/nonce_marks.h"
#include "identity/nonce_shares.h"
#include "pipeline/signed_form.h"

enum { SHARDS = 16 };

#define NONCE_MAGIC 0x4041ce5eu

struct shard {
	pthread_mutex_t lock; /* guards all below */
	struct nonce_marks marks;
	struct nonce_shares shares;
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
		s->marks.oldest = nonce_epoch_of(t->start_s);
		if (!nonce_shares_init(&s->shares)) {
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

		nonce_marks_fini(&s->marks);
		nonce_shares_fini(&s->shares);
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

static enum nonce_verdict
take_share(struct shard *s, struct span signer, const struct nonce_limits *limits,
	const struct nonce_when *when)
{
	MUST(pthread_mutex_lock(&s->lock) == 0);
	enum nonce_verdict v = nonce_shares_take(
		&s->shares, signer, limits->max_per_signer, when, s->marks.oldest);
	MUST(pthread_mutex_unlock(&s->lock) == 0);
	return v;
}

static void
give_share(struct shard *s, struct span signer, int64_t epoch)
{
	MUST(pthread_mutex_lock(&s->lock) == 0);
	nonce_shares_give(&s->shares, signer, epoch);
	MUST(pthread_mutex_unlock(&s->lock) == 0);
}

static enum nonce_verdict
put(struct nonce_table *t, const struct nonce_limits *limits, const struct nonce_when *when,
	uint64_t mark)
{
	struct shard *s = &t->shards[mark % SHARDS];

	MUST(pthread_mutex_lock(&s->lock) == 0);
	size_t n_forgotten = nonce_marks_forget(&s->marks, when->first);
	enum nonce_verdict v =
		nonce_marks_put(&s->marks, when->epoch, mark, (limits->max + SHARDS - 1) / SHARDS);
	MUST(pthread_mutex_unlock(&s->lock) == 0);
	count(t, (int64_t)(v == NONCE_FRESH) - (int64_t)n_forgotten);
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
	const struct nonce_when when = {
		.epoch = nonce_epoch_of(nonce->time_s),
		.first = nonce_epoch_of(now_s - limits->window_s),
	};
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
	v = take_share(home, share, limits, &when);
	if (v != NONCE_FRESH)
		return v;
	v = put(t, limits, &when, mark_of(key, nonce->text));
	if (v != NONCE_FRESH)
		give_share(home, share, when.epoch);
	return v;
}
