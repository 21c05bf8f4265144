/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * How many nonces of each signer are in the table, so that a signer can use up nobody's share but its own. A share is never freed
 * before all are: there are only as many as signers were configured. The caller's lock.
 */
#ifndef PIPELINE_NONCE_SHARES_H
#define PIPELINE_NONCE_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"
#include "identity/nonce_epoch.h"
#include "identity/nonce_table.h"

struct map;

struct nonce_shares {
	struct map *by_signer;
};

/* False when memory is out. */
MUSTCHECK bool nonce_shares_init(struct nonce_shares *s);
void nonce_shares_fini(struct nonce_shares *s);

/* The share of a signer that is new begins at the epoch oldest. FRESH, SHARE_FULL: it has max, FORGOTTEN, or TABLE_FULL: memory is
 * out. */
MUSTCHECK enum nonce_verdict nonce_shares_take(struct nonce_shares *s, struct span signer,
	size_t max, const struct nonce_when *when, int64_t oldest);

/* What was taken for that epoch, and not used. */
void nonce_shares_give(struct nonce_shares *s, struct span signer, int64_t epoch);

#endif
