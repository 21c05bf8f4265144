/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The last line of an export (decisions 13): how many records there are and where the chain stood,
 * signed with the ledger's key where it can be read, so that a cut export is told from a whole one.
 * Canonical JSON:
 * {"chain_id","count","head","key_id"?,"seq","signature"?,"trailer":"nomos.export.v1"}. Pure; any
 * thread.
 */
#ifndef AUDIT_TRAILER_H
#define AUDIT_TRAILER_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/sign.h"
#include "base/span.h"

struct buf;

#define TRAILER_DOMAIN "nomos.export.v1"
#define TRAILER_BYTES_MAX 1024

struct trailer {
	char chain_id[CHAIN_ID_HEX + 1];
	uint64_t count;         /* records before it */
	struct chain_head head; /* the last of them */
	bool is_signed;
	char key_id[SIGN_KEY_ID_HEX + 1];
	uint8_t signature[SIGN_ED25519_BYTES];
};

/* Signs with key, or leaves it unsigned when key is NULL. ERR_CRYPTO. */
MUSTCHECK enum err trailer_sign(struct trailer *t, const struct sign_key *key, struct errinfo *ei);
bool trailer_is_signed_by(const struct trailer *t, const struct sign_key *public_key);
/* Appends the line without its newline. */
void trailer_build(const struct trailer *t, struct buf *out);
/* Whether a line claims to be a trailer. */
bool trailer_is_line(struct span line);
/* ERR_PARSE. */
MUSTCHECK enum err trailer_parse(struct span line, struct trailer *out, struct errinfo *ei);

#endif
