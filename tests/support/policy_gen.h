/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes small bundles and actions that touch each other often: few names, few segments, many
 * wildcards. Entropy comes from a seed or, for fuzzing, from bytes. Bundles are JSON text that
 * always loads.
 */
#ifndef TESTS_SUPPORT_POLICY_GEN_H
#define TESTS_SUPPORT_POLICY_GEN_H

#include <stddef.h>
#include <stdint.h>

#include "support/reference_eval.h"

struct arena;
struct buf;

struct policy_gen {
	uint64_t state;
	const uint8_t *bytes; /* taken first; zeros behind them when state is 0 */
	size_t n_bytes;
};

/* A number below n (n > 0). */
uint32_t policy_gen_pick(struct policy_gen *g, uint32_t n);
/*
 * A bundle of 1 to max_rules rules, ids in random order. extra, when not NULL, is the text of one
 * more rule.
 */
void policy_gen_bundle(
	struct policy_gen *g, uint32_t max_rules, const char *extra, struct buf *out);
/* One rule object with that id; verdict NULL: any. */
void policy_gen_rule(struct policy_gen *g, const char *id, const char *verdict, struct buf *out);
/* An action whose texts lie in the arena. False when the arena is full. */
bool policy_gen_action(struct policy_gen *g, struct arena *a, struct reference_action *out);

#endif
