/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Principals by signed tokens of one issuer (identity.oidc): the rules of a snapshot, its keys, what it remembers of tokens. Built
 * once; any thread. It never waits for anything.
 */
#ifndef PIPELINE_IDENTITY_OIDC_H
#define PIPELINE_IDENTITY_OIDC_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "pipeline/principal_options.h"

struct key_ring;
struct key_source_state;
struct oidc;
struct token_holder;

/*
 * Reads the key file, or opens the issuer's keys in the ring (NULL: no token is accepted, and nothing is fetched; for those who
 * only look). options are copied. ERR_IO, ERR_PARSE (the key file), ERR_NOMEM, ERR_OVERLOAD.
 */
MUSTCHECK enum err oidc_new(const struct oidc_section *options, struct key_ring *ring,
	struct oidc **out, struct errinfo *ei);
/* Accepts NULL. */
void oidc_free(struct oidc **o);

/* Whom the token names; counted, the caller's. ERR_AUTH: it is no token, or refused; why is logged. */
MUSTCHECK enum err oidc_find(const struct oidc *o, struct span token, struct token_holder **out);
/* Whether somebody would still be accepted by these rules and keys, but for the token's end. */
bool oidc_still_accepts(const struct oidc *o, const struct token_holder *h);

/* False: the keys are in a file. */
bool oidc_get_key_state(const struct oidc *o, struct key_source_state *out);

#endif
