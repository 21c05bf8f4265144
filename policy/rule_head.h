/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a decision reads of a rule, in one line of the processor's cache: each rule has a head, and the
 * heads lie one behind the other. A rule that is tested costs its head and its pattern, the rest is
 * read only where it names several identities, commands or obligations. Immutable once the policy is
 * published; any thread.
 */
#ifndef POLICY_RULE_HEAD_H
#define POLICY_RULE_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/glob.h"
#include "base/span.h"
#include "index.h"
#include "policy/decision.h"
#include "rule.h"

struct arena;

/* A line of the cache. */
#define RULE_HEAD_BYTES 64
/* In the place of a number: every one will do, or one of the rule's list. */
#define RULE_HEAD_ANY UINT32_MAX
#define RULE_HEAD_LIST (UINT32_MAX - 1)

struct rule_head {
	_Alignas(RULE_HEAD_BYTES) struct span id;
	const struct glob *glob;
	const struct rule *rule;
	uint32_t action_type; /* numbers of the index, as in rule_query */
	uint32_t who[RULE_WHO__MAX];
	uint8_t risk;
	uint8_t verdict; /* enum verdict */
	bool is_dead;
	bool has_exec_match;
	bool has_exec_allowlist;
	bool has_obligations;
};

/*
 * Compiles the patterns of all n rules and makes their heads, in the order of the rules, in memory that
 * begins at a line of the cache. NULL when the arena is full.
 */
MUSTCHECK const struct rule_head *rule_heads_new(
	struct rule *const *rules, size_t n, const struct index *ix, struct arena *a);
/* The same answer as rule_test(h->rule, q) == RULE_MATCHES; cheap conditions are tested first. */
bool rule_head_matches(const struct rule_head *h, const struct rule_query *q);

#endif
