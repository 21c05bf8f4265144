/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The thread that fetches keys when they are due. It must never hold the lock while it fetches. */
#include <stdio.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "identity/key_fetch.h"
#include "identity/key_ring_priv.h"

#define BACKOFF_SHIFT_MAX 10

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

void *
key_ring_run(void *arg)
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
			(void)cond_wait_until(&ring->wake, &ring->lock, when_ns);
		key_ring_sweep(ring);
	}
	pthread_mutex_unlock(&ring->lock);
	return NULL;
}
