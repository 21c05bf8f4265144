/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The engine in memory behind store_ops: its object and the parts in store_memory*.c. Private to them. */
#ifndef AUDIT_STORE_MEMORY_H
#define AUDIT_STORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "store_ops.h"

struct map;

#define MEMORY_MAGIC 0x5f11e003u
/* Open records are kept in the same table as claims, under a kind that no rule may use. */
#define KIND_OPEN UINT32_MAX

struct memory_row {
	struct ledger_claim claim;
	bool has_body;
	size_t n_body;
	char body[];
};

/* What a row was before a change; old NULL: absent. */
struct change {
	uint32_t kind;
	uint8_t key[LEDGER_CLAIM_KEY];
	struct memory_row *old;
};

struct store_memory {
	struct store base;
	unsigned magic;
	bool has_claims;
	bool is_broken;
	bool is_in_transaction;
	struct map *rows; /* of struct memory_row */
	struct chain_head head;
	struct chain_head head_at_begin;
	struct chain_head head_at_mark;
	struct change *changes;
	size_t n_changes;
	size_t n_changes_max;
	size_t n_changes_at_mark;
};

struct store_memory *store_memory_cast(struct store *s);
struct memory_row *store_memory_find(struct store_memory *m, uint32_t kind, const uint8_t *key);
/* Puts a copy of *claim with the body (p NULL: none), or removes the row when claim is NULL, and remembers what was
 * there. */
MUSTCHECK enum err store_memory_change(struct store_memory *m, uint32_t kind, const uint8_t *key,
	const struct ledger_claim *claim, struct span body, struct errinfo *ei);

/* store_memory_claims.c: see store_ops.h */
enum err store_memory_find_claim(struct store *s, uint32_t kind, const uint8_t *key,
	struct ledger_claim *out, struct errinfo *ei);
enum err store_memory_put_claim(struct store *s, const struct ledger_claim *c, struct errinfo *ei);
enum err store_memory_set_claim_state(
	struct store *s, uint32_t kind, const uint8_t *key, int32_t state, struct errinfo *ei);
enum err store_memory_update_claim(
	struct store *s, const struct ledger_claim *c, struct errinfo *ei);
enum err store_memory_delete_claim(
	struct store *s, uint32_t kind, const uint8_t *key, struct errinfo *ei);
enum err store_memory_purge_claims(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max,
	size_t *n, struct errinfo *ei);
enum err store_memory_set_claim_body(
	struct store *s, uint32_t kind, const uint8_t *key, struct span body, struct errinfo *ei);
enum err store_memory_get_claim_body(
	struct store *s, uint32_t kind, const uint8_t *key, struct buf *out, struct errinfo *ei);
enum err store_memory_count_claims(struct store *s, uint32_t kind, int32_t state,
	const uint8_t *owner, size_t max, size_t *n, struct errinfo *ei);
enum err store_memory_each_claim(struct store *s, uint32_t kind, int32_t state, uint64_t before_seq,
	size_t max, ledger_claim_visit_fn visit, void *arg, struct errinfo *ei);
enum err store_memory_each_expired(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max,
	ledger_claim_visit_fn visit, void *arg, struct errinfo *ei);

#endif
