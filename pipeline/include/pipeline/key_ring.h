/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of token issuers, fetched by a thread of the ring's own and kept for those who verify, who never wait for a fetch.
 * A ring outlives the snapshots that use it, so that a reload does not begin without keys. Any thread.
 */
#ifndef PIPELINE_KEY_RING_H
#define PIPELINE_KEY_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct jose_keys;
struct key_ring;
struct key_source;

/* ERR_NOMEM. */
MUSTCHECK enum err key_ring_new(struct key_ring **out, struct errinfo *ei);
/* Waits for a running fetch to be given up, a second at most. Every source has been released. Accepts NULL. */
void key_ring_free(struct key_ring **ring);

/* Where keys come from and how old they may get. */
struct key_source_options {
	struct span issuer;
	struct span jwks_uri; /* empty: from the issuer's discovery document */
	struct span ca_file;  /* PEM; empty: the system's */
	int64_t refresh_ns;   /* fetched again so often */
	int64_t floor_ns;     /* from the end of one fetch to the next, whoever asks */
	int64_t max_stale_ns; /* a set that could not be fetched again is used for so long */
};

struct oidc_section;
/* As the section says; spans are the section's. */
struct key_source_options key_source_options_of(const struct oidc_section *section);

/* The source with those options: one that is there, with its keys, or a new one, whose first fetch begins at once.
 * ERR_NOMEM, ERR_OVERLOAD (too many different ones are in use). */
MUSTCHECK enum err key_ring_open(struct key_ring *ring, const struct key_source_options *options,
	struct key_source **out, struct errinfo *ei);
/* Accepts NULL; does not wait. */
void key_source_release(struct key_source **s);

/* The keys of now, to be given back with jose_keys_unref; NULL: none were fetched, or too long ago. */
struct jose_keys *key_source_get(struct key_source *s);
/* Changes with every set of keys that differs from the one before; 0: there are none that may be used. */
uint64_t key_source_get_generation(const struct key_source *s);
/* A token named a key that is not there: they are fetched again, as soon as the floor allows. */
void key_source_ask(struct key_source *s);

#define KEY_SOURCE_ERROR_MAX 160
struct key_source_state {
	size_t n_keys;
	int64_t age_ns; /* since they were fetched; -1: never */
	bool is_usable; /* there are keys, and not too old */
	uint64_t n_fetches;
	uint64_t n_failures;
	char error[KEY_SOURCE_ERROR_MAX]; /* of the last fetch; "": it worked, or there was none */
};
void key_source_get_state(struct key_source *s, struct key_source_state *out);

/* Blocking; one fetch without a ring, for doctor. *out as jose_keys_parse. ERR_* with the reason. */
MUSTCHECK enum err key_source_try(
	const struct key_source_options *options, struct jose_keys **out, struct errinfo *ei);

/* https, or http to this host alone: nobody between may change what is fetched. */
bool key_source_is_safe_url(struct span url);

#endif
