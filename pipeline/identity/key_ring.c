/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring's thread and its sources. A source is fetched when it is new, when its keys are old, and when a token named a key
 * that it has not; never sooner than the floor after the fetch before, so that no flood of tokens becomes a flood of fetches.
 * What was fetched stays in use while fetching fails, until it is too old. Must never hold the lock while it fetches.
 */
#include "pipeline/key_ring.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/jose.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "identity/key_fetch.h"
#include "net/http_client.h"

#define RING_MAGIC 0x6b72696eu
#define SOURCE_MAGIC 0x6b737263u
#define SOURCES_MAX 8
#define SOURCE_ARENA_BYTES ((size_t)32 * 1024)
#define BACKOFF_SHIFT_MAX 10

struct key_source {
	unsigned magic;
	struct key_ring *ring;
	struct arena *arena; /* the options' texts */
	struct key_source_options options;
	struct http_client *client;
	_Atomic uint64_t generation;
	_Atomic int64_t fetched_mono_ns;
	/* Guarded by the ring's lock, as all below. */
	size_t n_users;
	bool is_busy; /* the thread fetches for it */
	bool is_asked;
	bool has_tried;
	int64_t tried_mono_ns;
	unsigned n_failed; /* in a row */
	struct jose_keys *keys;
	struct key_source_state state;
};

struct key_ring {
	unsigned magic;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool has_thread;
	bool is_stopping;
	uint64_t generation; /* of the newest set of any source */
	struct key_source *sources[SOURCES_MAX];
};

enum err
key_ring_new(struct key_ring **out, struct errinfo *ei)
{
	struct key_ring *ring = mem_zalloc(1, sizeof(*ring));
	pthread_condattr_t monotonic;

	*out = NULL;
	if (ring == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for keys");
	ring->magic = RING_MAGIC;
	pthread_mutex_init(&ring->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&ring->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
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

/* Under the lock. */
static void
sweep(struct key_ring *ring)
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

/* ---- the thread ---- */

/* When the source is to be fetched, by what it was asked and what came of it before. */
static int64_t
due_ns(const struct key_source *s)
{
	int64_t wait = s->options.refresh_ns;
	unsigned shift = s->n_failed < BACKOFF_SHIFT_MAX ? s->n_failed : BACKOFF_SHIFT_MAX;

	if (!s->has_tried)
		return 0;
	if (s->is_asked)
		wait = s->options.floor_ns;
	else if (s->n_failed > 0 && s->options.floor_ns << shift < wait)
		wait = s->options.floor_ns << shift;
	return s->tried_mono_ns + wait;
}

static bool
is_same_set(const struct jose_keys *a, const struct jose_keys *b)
{
	return a != NULL && jose_keys_equal(a, b);
}

/* Of the newest issuer: there is one but for the moments of a reload. */
static void
set_gauge(enum metric m, int64_t value)
{
	metric_add(m, value - metric_get(m));
}

/* Under the lock. Takes own_keys. */
static void
take_keys(struct key_source *s, struct jose_keys *own_keys)
{
	s->n_failed = 0;
	s->state.error[0] = '\0';
	set_gauge(METRIC_TOKEN_KEYS_FETCHED, clock_wall_ns() / NS_PER_SEC);
	atomic_store(&s->fetched_mono_ns, s->tried_mono_ns);
	if (is_same_set(s->keys, own_keys)) {
		jose_keys_unref(&own_keys);
		return;
	}
	jose_keys_unref(&s->keys);
	s->keys = own_keys;
	s->state.n_keys = jose_keys_count(own_keys);
	set_gauge(METRIC_TOKEN_KEYS, (int64_t)s->state.n_keys);
	/* Behind the keys: who sees the number finds them, or newer ones. */
	atomic_store(&s->generation, ++s->ring->generation);
	log_info(NULL, "token keys: %zu from %.*s", s->state.n_keys, SPAN_ARG(s->options.issuer));
}

static void
note_failure(struct key_source *s, const struct errinfo *why)
{
	s->n_failed++;
	s->state.n_failures++;
	(void)snprintf(
		s->state.error, sizeof(s->state.error), "%.*s", KEY_SOURCE_ERROR_MAX - 1, why->msg);
	metric_add(METRIC_KEY_FETCHES_FAILED, 1);
	log_warn(NULL, "token keys of %.*s: %s; %s", SPAN_ARG(s->options.issuer), why->msg,
		s->keys != NULL ? "those of before are used" : "there are none");
}

/* Gives the lock away meanwhile. */
static void
fetch(struct key_ring *ring, struct key_source *s)
{
	struct jose_keys *keys = NULL;
	struct errinfo ei;
	enum err rc;

	s->is_busy = true;
	s->is_asked = false;
	pthread_mutex_unlock(&ring->lock);
	rc = key_fetch(s->client, &s->options, &keys, &ei);
	pthread_mutex_lock(&ring->lock);
	s->is_busy = false;
	s->has_tried = true;
	s->tried_mono_ns = clock_mono_ns();
	s->state.n_fetches++;
	metric_add(METRIC_KEY_FETCHES, 1);
	if (rc == OK)
		take_keys(s, keys);
	else if (!ring->is_stopping)
		note_failure(s, &ei);
}

/* The one whose turn is first, and when; NULL: there is none. */
static struct key_source *
find_next(const struct key_ring *ring, int64_t *when_ns)
{
	struct key_source *next = NULL;

	for (size_t i = 0; i < SOURCES_MAX; i++) {
		struct key_source *s = ring->sources[i];

		if (s == NULL || s->n_users == 0)
			continue;
		if (next == NULL || due_ns(s) < *when_ns) {
			next = s;
			*when_ns = due_ns(s);
		}
	}
	return next;
}

static void
wait_until(struct key_ring *ring, int64_t mono_ns)
{
	const struct timespec t = {
		.tv_sec = (time_t)(mono_ns / NS_PER_SEC), .tv_nsec = (long)(mono_ns % NS_PER_SEC)};

	(void)pthread_cond_timedwait(&ring->wake, &ring->lock, &t);
}

static void *
run(void *arg)
{
	struct key_ring *ring;

	OBJ_CAST(ring, arg, RING_MAGIC);
	pthread_mutex_lock(&ring->lock);
	while (!ring->is_stopping) {
		int64_t when_ns = 0;
		struct key_source *next = find_next(ring, &when_ns);

		if (next == NULL)
			pthread_cond_wait(&ring->wake, &ring->lock);
		else if (when_ns <= clock_mono_ns())
			fetch(ring, next);
		else
			wait_until(ring, when_ns);
		sweep(ring);
	}
	pthread_mutex_unlock(&ring->lock);
	return NULL;
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
	if (!ring->has_thread && pthread_create(&ring->thread, NULL, run, ring) != 0)
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
	sweep(ring);
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
