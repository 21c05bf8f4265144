/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Principals by what the connection says of itself: SPIFFE ID, other names of the client's certificate, the process on a unix
 * socket (identity.spiffe, identity.mtls, identity.unix). Built once; any thread.
 */
#ifndef PIPELINE_IDENTITY_PEER_NAMES_H
#define PIPELINE_IDENTITY_PEER_NAMES_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "pipeline/principal_options.h"

struct net_peer;
struct peer_names;

/* Copies the options. ERR_NOMEM. */
MUSTCHECK enum err peer_names_new(const struct spiffe_section *spiffe,
	const struct mtls_section *mtls, const struct unix_section *users, struct peer_names **out,
	struct errinfo *ei);
/* Accepts NULL. */
void peer_names_free(struct peer_names **n);

/* The principal lives as long as the names and the peer. peer may be NULL: nobody. */
bool peer_names_by_spiffe(
	const struct peer_names *n, const struct net_peer *peer, struct span *principal);
/* Not for a certificate with a SPIFFE ID while those count: it is judged by that alone. */
bool peer_names_by_certificate(
	const struct peer_names *n, const struct net_peer *peer, struct span *principal);
bool peer_names_by_process(
	const struct peer_names *n, const struct net_peer *peer, struct span *principal);

#endif
