/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The inside of a key ring, for its two files: the thread that fetches, and the sources. */
#ifndef PIPELINE_IDENTITY_KEY_RING_PRIV_H
#define PIPELINE_IDENTITY_KEY_RING_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/jose.h"
#include "net/http_client.h"
#include "pipeline/key_ring.h"

struct arena;

#define RING_MAGIC 0x6b72696eu
#define SOURCES_MAX 8

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

/* Under the lock: frees the sources that nobody has any more. */
void key_ring_sweep(struct key_ring *ring);
/* The thread; ring is the argument. */
void *key_ring_run(void *ring);

#endif
