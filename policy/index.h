/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the rules that may match an action without looking at the others. Rules are grouped by
 * action type; inside a group each rule has a shape: how many leading segments of its resource are
 * literal, whether the last segment is, how many leading argv tokens, and which identities it
 * names. All rules of a shape sit in a hash table under the literals themselves, so a lookup costs
 * one probe per shape in use, not per rule (tuple space search). A hash only proposes: every
 * candidate is tested in full, so a collision costs time and nothing else. Immutable; any thread.
 */
#ifndef POLICY_INDEX_H
#define POLICY_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "rule.h"

struct arena;
struct index;

/* Visits a candidate; false stops the walk. */
typedef bool (*index_visit_fn)(uint32_t rule, void *arg);

/*
 * Over n rules; also gives their identity lists interned names. NULL when memory is out or the
 * arena full.
 */
MUSTCHECK struct index *index_new(struct rule *const *rules, size_t n, struct arena *a);
/* The query of an action: its type and identity as numbers. */
struct rule_query index_resolve(const struct index *ix, const struct action *action);
/* Each rule that may match, at most once, in no order. False when fn stopped it. */
bool index_each(const struct index *ix, const struct rule_query *q, index_visit_fn fn, void *arg);
/* The number of a name, and of an action type but "*"; RULE_NAME_UNKNOWN when no rule has it. */
uint32_t index_find_name(const struct index *ix, struct span name);
uint32_t index_find_type(const struct index *ix, struct span action_type);

#endif
