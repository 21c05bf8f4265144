/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Approvals as rows of the ledger. An approval is a claim of its own, whose body is its stored form and whose expiry is the
 * time at which something has to be done about it; its parameters are another, so that lists do not read them. A pending one
 * can be found by what it was asked for, a denial is remembered for a time. For apply and undo: the ledger's thread.
 */
#ifndef PIPELINE_APPROVAL_STORE_H
#define PIPELINE_APPROVAL_STORE_H

#include "approval/approval.h"
#include "audit/ledger.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;

/* How long an approval that is over can still be looked at. */
#define APPROVAL_KEPT_NS (INT64_C(86400) * 1000000000)

struct approval_key {
	uint8_t bytes[LEDGER_CLAIM_KEY];
};
struct approval_key approval_key_of(struct span id);

/* ERR_NOT_FOUND; ERR_CORRUPT for a row that is not ours; ERR_UNSUPPORTED without a ledger; ERR_NOMEM, ERR_AUDIT. */
MUSTCHECK enum err approval_store_find(struct ledger_tx *tx, struct approval_key key,
	struct arena *arena, struct approval *out, struct errinfo *ei);
/* A new one and its canonical parameters; seq: the record it begins with. */
MUSTCHECK enum err approval_store_add(struct ledger_tx *tx, const struct approval *a,
	struct span params, uint64_t seq, struct arena *arena, struct errinfo *ei);
/* As it is now. One that is over is kept for a while from now. */
MUSTCHECK enum err approval_store_change(struct ledger_tx *tx, const struct approval *a,
	int64_t now_wall_ns, struct arena *arena, struct errinfo *ei);
/* All of its rows. */
MUSTCHECK enum err approval_store_remove(
	struct ledger_tx *tx, struct approval_key key, struct errinfo *ei);
MUSTCHECK enum err approval_store_get_params(struct ledger_tx *tx, struct approval_key key,
	struct arena *arena, struct span *out, struct errinfo *ei);

/* The pending approval that was asked for with the same identity, scope, policy and obligations as a. ERR_NOT_FOUND. */
MUSTCHECK enum err approval_store_find_like(struct ledger_tx *tx, const struct approval *a,
	struct arena *arena, struct approval *out, struct errinfo *ei);

/* Pending ones of this identity (NULL: of all), counted up to max. */
MUSTCHECK enum err approval_store_count(struct ledger_tx *tx, const struct identity *identity,
	size_t max, size_t *n, struct errinfo *ei);

/* Remembers that a was denied, until then; seq: the record that says so. */
MUSTCHECK enum err approval_store_deny(struct ledger_tx *tx, const struct approval *a, uint64_t seq,
	int64_t until_wall_ns, struct errinfo *ei);
/* Whether what a asks for was denied lately: the very action, or the class that a is for. */
MUSTCHECK enum err approval_store_is_denied(struct ledger_tx *tx, const struct approval *a,
	int64_t now_wall_ns, bool *out, struct errinfo *ei);

#endif
