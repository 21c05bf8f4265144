/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring and its sources. A source is fetched when it is new, when its keys are old, and when a token named a key
 * that it has not; never sooner than the floor after the fetch before, so that no flood of tokens becomes a flood of fetches.
 * What was fetched stays in use while fetching fails, until it is too old.
 */
#include "pipeline/key_ring.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/jose.h"
#include "base/mem.h"
#include "base/must.h"
#include "identity/key_fetch.h"
#include "identity/key_ring_priv.h"

#define SOURCE_MAGIC 0x6b737263u
#define SOURCE_ARENA_BYTES ((size_t)32 * 1024)

enum err
key_ring_new(struct key_ring **out, struct errinfo *ei)
{
	struct key_ring *ring = mem_zalloc(1, sizeof(*ring));

	*out = NULL;
	if (ring == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for keys");
	ring->magic = RING_MAGIC;
	pthread_mutex_init(&ring->lock, NULL);
	cond_init(&ring->wake);
	*out = ring;
	return OK;
}

static void
free_source(struct key_source **s)
{
	struct key_source *old = *s;

	if (old == NULL)
		return;
	*s = NULL;
	jose_keys_unref(&old->keys);
	http_client_free(&old->client);
	arena_free(&old->arena);
	old->magic = 0;
	mem_free(old);
}

void
key_ring_sweep(struct key_ring *ring)
{
	for (size_t i = 0; i < SOURCES_MAX; i++) {
		struct key_source *s = ring->sources[i];

		if (s != NULL && s->n_users == 0 && !s->is_busy)
			free_source(&ring->sources[i]);
	}
}

void
key_ring_free(struct key_ring **rp)
{
	struct key_ring *ring = *rp;

	if (ring == NULL)
		return;
	OBJ_CHECK(ring, RING_MAGIC);
	*rp = NULL;
	pthread_mutex_lock(&ring->lock);
	ring->is_stopping = true;
	for (size_t i = 0; i < SOURCES_MAX; i++)
		if (ring->sources[i] != NULL)
			http_client_stop(ring->sources[i]->client);
	pthread_cond_signal(&ring->wake);
	pthread_mutex_unlock(&ring->lock);
	if (ring->has_thread)
		pthread_join(ring->thread, NULL);
	for (size_t i = 0; i < SOURCES_MAX; i++)
		free_source(&ring->sources[i]);
	pthread_cond_destroy(&ring->wake);
	pthread_mutex_destroy(&ring->lock);
	ring->magic = 0;
	mem_free(ring);
}

/* ---- sources ---- */

/* Whether both would fetch the same keys. */
static bool
is_same_issuer(const struct key_source_options *a, const struct key_source_options *b)
{
	return span_eq(a->issuer, b->issuer) && span_eq(a->jwks_uri, b->jwks_uri) &&
	       span_eq(a->ca_file, b->ca_file);
}

static bool
is_same_source(const struct key_source_options *a, const struct key_source_options *b)
{
	return is_same_issuer(a, b) && a->refresh_ns == b->refresh_ns &&
	       a->floor_ns == b->floor_ns && a->max_stale_ns == b->max_stale_ns;
}

/* Other times are no reason to forget the keys; the first fetch comes at once all the same. */
static void
inherit_keys(struct key_ring *ring, struct key_source *s)
{
	for (size_t i = 0; i < SOURCES_MAX; i++) {
		struct key_source *old = ring->sources[i];

		if (old == NULL || old->keys == NULL || !is_same_issuer(&old->options, &s->options))
			continue;
		s->keys = jose_keys_ref(old->keys);
		s->state.n_keys = old->state.n_keys;
		atomic_store(&s->fetched_mono_ns, atomic_load(&old->fetched_mono_ns));
		atomic_store(&s->generation, ++ring->generation);
		return;
	}
}

static enum err
new_source(struct key_ring *ring, const struct key_source_options *options, struct key_source **out,
	struct errinfo *ei)
{
	struct key_source *s = mem_zalloc(1, sizeof(*s));
	enum err rc;

	*out = s;
	if (s == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for keys");
	s->magic = SOURCE_MAGIC;
	s->ring = ring;
	s->arena = arena_new(SOURCE_ARENA_BYTES);
	if (s->arena == NULL) {
		free_source(out);
		return ERR(ei, ERR_NOMEM, "out of memory for keys");
	}
	s->options = *options;
	s->options.issuer = arena_dup(s->arena, options->issuer);
	s->options.jwks_uri = arena_dup(s->arena, options->jwks_uri);
	s->options.ca_file = arena_dup(s->arena, options->ca_file);
	if (arena_failed(s->arena))
		rc = ERR(ei, ERR_NOMEM, "out of memory for keys");
	else
		rc = key_fetch_new_client(&s->options, &s->client, ei);
	if (rc != OK)
		free_source(out);
	return rc;
}

static enum err
start(struct key_ring *ring, struct errinfo *ei)
{
	if (!ring->has_thread && pthread_create(&ring->thread, NULL, key_ring_run, ring) != 0)
		return ERR(ei, ERR_NOMEM, "no thread for fetching keys");
	ring->has_thread = true;
	pthread_cond_signal(&ring->wake);
	return OK;
}

/* Under the lock. */
static enum err
open_source(struct key_ring *ring, const struct key_source_options *options,
	struct key_source **out, struct errinfo *ei)
{
	size_t place = SOURCES_MAX;

	for (size_t i = 0; i < SOURCES_MAX; i++) {
		if (ring->sources[i] == NULL)
			place = i;
		else if (is_same_source(&ring->sources[i]->options, options)) {
			*out = ring->sources[i];
			(*out)->n_users++;
			return OK;
		}
	}
	if (place == SOURCES_MAX)
		return ERR(ei, ERR_OVERLOAD, "too many issuers of tokens one after the other");
	enum err rc = start(ring, ei);
	if (rc == OK)
		rc = new_source(ring, options, out, ei);
	if (rc != OK)
		return rc;
	inherit_keys(ring, *out);
	(*out)->n_users = 1;
	ring->sources[place] = *out;
	return OK;
}

enum err
key_ring_open(struct key_ring *ring, const struct key_source_options *options,
	struct key_source **out, struct errinfo *ei)
{
	enum err rc;

	OBJ_CHECK(ring, RING_MAGIC);
	*out = NULL;
	pthread_mutex_lock(&ring->lock);
	rc = open_source(ring, options, out, ei);
	key_ring_sweep(ring);
	pthread_mutex_unlock(&ring->lock);
	return rc;
}

void
key_source_release(struct key_source **sp)
{
	struct key_source *s = *sp;

	if (s == NULL)
		return;
	OBJ_CHECK(s, SOURCE_MAGIC);
	*sp = NULL;
	pthread_mutex_lock(&s->ring->lock);
	s->n_users--;
	pthread_cond_signal(&s->ring->wake);
	pthread_mutex_unlock(&s->ring->lock);
}

static bool
is_usable(const struct key_source *s)
{
	return atomic_load(&s->generation) > 0 &&
	       clock_mono_ns() - atomic_load(&s->fetched_mono_ns) <= s->options.max_stale_ns;
}

uint64_t
key_source_get_generation(const struct key_source *s)
{
	OBJ_CHECK(s, SOURCE_MAGIC);
	return is_usable(s) ? atomic_load(&s->generation) : 0;
}

struct jose_keys *
key_source_get(struct key_source *s)
{
	struct jose_keys *keys = NULL;

	OBJ_CHECK(s, SOURCE_MAGIC);
	pthread_mutex_lock(&s->ring->lock);
	if (is_usable(s))
		keys = jose_keys_ref(s->keys);
	pthread_mutex_unlock(&s->ring->lock);
	return keys;
}

void
key_source_ask(struct key_source *s)
{
	OBJ_CHECK(s, SOURCE_MAGIC);
	pthread_mutex_lock(&s->ring->lock);
	if (!s->is_asked) {
		s->is_asked = true;
		pthread_cond_signal(&s->ring->wake);
	}
	pthread_mutex_unlock(&s->ring->lock);
}

void
key_source_get_state(struct key_source *s, struct key_source_state *out)
{
	OBJ_CHECK(s, SOURCE_MAGIC);
	pthread_mutex_lock(&s->ring->lock);
	*out = s->state;
	out->age_ns = s->keys == NULL ? -1 : clock_mono_ns() - atomic_load(&s->fetched_mono_ns);
	out->is_usable = is_usable(s);
	pthread_mutex_unlock(&s->ring->lock);
}
