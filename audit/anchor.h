/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a ledger begins whose older records retention has taken away: the place of the last of them,
 * signed, kept in the table meta. The first record that stays is the checkpoint of that place, so
 * the archive ends where the ledger goes on. The signature is one of its own: whoever can write the
 * file but has no key could otherwise make an anchor of any checkpoint in it, and cut off the
 * records before.
 */
#ifndef AUDIT_ANCHOR_H
#define AUDIT_ANCHOR_H

#include "audit/checkpoint.h"
#include "base/attr.h"
#include "base/err.h"

struct store;
struct store_reader;

#define META_ANCHOR "anchor"
/* First line of the signed text. */
#define ANCHOR_DOMAIN "nomos.anchor.v1"

/* out: end, signed as an anchor. ERR_CRYPTO. */
MUSTCHECK enum err anchor_sign(const struct sign_key *key, const struct checkpoint *end,
	struct checkpoint *out, struct errinfo *ei);
bool anchor_is_signed_by(const struct checkpoint *anchor, const struct sign_key *public_key);

/* at.seq is 0 when the ledger begins with its first record. ERR_CORRUPT (what is there
 * names no place; its chain and its signature are not checked), and those of the store. */
MUSTCHECK enum err anchor_read(struct store_reader *r, struct checkpoint *out, struct errinfo *ei);
/* The same for who owns the store. */
MUSTCHECK enum err anchor_load(struct store *s, struct checkpoint *out, struct errinfo *ei);

#endif
