/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a ledger begins whose older records retention has taken away: the signed checkpoint of the
 * last of them, kept in the table meta. The first record that stays is the one which carries that
 * checkpoint, so the place is signed twice, and the archive ends where the ledger goes on.
 */
#ifndef AUDIT_ANCHOR_H
#define AUDIT_ANCHOR_H

#include "audit/checkpoint.h"
#include "base/attr.h"
#include "base/err.h"

struct store;
struct store_reader;

#define META_ANCHOR "anchor"

/* at.seq is 0 when the ledger begins with its first record. ERR_CORRUPT (what is there is no
 * checkpoint of this chain; its signature is not checked), and those of the store. */
MUSTCHECK enum err anchor_read(struct store_reader *r, struct checkpoint *out, struct errinfo *ei);
/* The same for who owns the store. */
MUSTCHECK enum err anchor_load(struct store *s, struct checkpoint *out, struct errinfo *ei);

#endif
