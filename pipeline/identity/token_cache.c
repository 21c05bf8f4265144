/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Two tables, so that those who guess do not push out those who are known. A short lock. */
#include "identity/token_cache.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "identity/token_holder.h"

#define CACHE_MAGIC 0x746b6361u
#define PLACES_ACCEPTED 2048
#define PLACES_REFUSED 256

struct place {
	bool is_used;
	uint8_t hash[SHA256_BYTES];
	uint64_t generation;
	int64_t until_ns;
	struct token_holder *holder; /* counted; NULL in the table of the refused */
};

struct token_cache {
	unsigned magic;
	pthread_mutex_t lock; /* guards everything below */
	struct place accepted[PLACES_ACCEPTED];
	struct place refused[PLACES_REFUSED];
};

struct token_cache *
token_cache_new(void)
{
	struct token_cache *c = mem_zalloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->magic = CACHE_MAGIC;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void
token_cache_free(struct token_cache **cp)
{
	struct token_cache *c = *cp;

	if (c == NULL)
		return;
	OBJ_CHECK(c, CACHE_MAGIC);
	*cp = NULL;
	for (size_t i = 0; i < PLACES_ACCEPTED; i++)
		token_holder_unref(&c->accepted[i].holder);
	pthread_mutex_destroy(&c->lock);
	c->magic = 0;
	mem_free(c);
}

/* The hash is as good as random, and finding tokens that share a place means making them with the issuer's key. */
static size_t
place_of(const uint8_t hash[SHA256_BYTES], size_t n)
{
	return ((size_t)hash[0] << 8 | hash[1]) % n;
}

static bool
is_of(const struct place *p, const uint8_t hash[SHA256_BYTES], uint64_t generation, int64_t now_ns)
{
	return p->is_used && p->generation == generation && now_ns < p->until_ns &&
	       memcmp(p->hash, hash, SHA256_BYTES) == 0;
}

enum token_memory
token_cache_find(struct token_cache *c, const uint8_t hash[SHA256_BYTES], uint64_t generation,
	struct token_holder **out)
{
	const struct place *yes;
	const struct place *no;
	enum token_memory memory = TOKEN_UNKNOWN;

	OBJ_CHECK(c, CACHE_MAGIC);
	*out = NULL;
	yes = &c->accepted[place_of(hash, PLACES_ACCEPTED)];
	no = &c->refused[place_of(hash, PLACES_REFUSED)];
	pthread_mutex_lock(&c->lock);
	if (is_of(yes, hash, generation, clock_wall_ns())) {
		*out = token_holder_ref(yes->holder);
		memory = TOKEN_ACCEPTED;
	} else if (is_of(no, hash, generation, clock_mono_ns())) {
		memory = TOKEN_REFUSED;
	}
	pthread_mutex_unlock(&c->lock);
	return memory;
}

void
token_cache_put(struct token_cache *c, const uint8_t hash[SHA256_BYTES], uint64_t generation,
	struct token_holder *holder, int64_t until_ns)
{
	struct place next = {.is_used = true, .generation = generation, .until_ns = until_ns};
	struct token_holder *old;
	struct place *p;

	OBJ_CHECK(c, CACHE_MAGIC);
	memcpy(next.hash, hash, SHA256_BYTES);
	next.holder = holder != NULL ? token_holder_ref(holder) : NULL;
	p = holder != NULL ? &c->accepted[place_of(hash, PLACES_ACCEPTED)]
			   : &c->refused[place_of(hash, PLACES_REFUSED)];
	pthread_mutex_lock(&c->lock);
	old = p->holder;
	*p = next;
	pthread_mutex_unlock(&c->lock);
	token_holder_unref(&old);
}
