/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Obligations: what an answer carries besides its verdict. Typed when the bundle is loaded, joined
 * by the most restrictive value when several rules match.
 *
 * Joins, for the policy guide. A key that one rule states and another leaves out counts as stated.
 *   output_max_*, http_redirect_hop_limit, approval_max_uses, approval_ttl_seconds
 *                         the least
 *   sandbox_mode          the strongest of none < local < container
 *   net_allowlist, credential_lease_ids
 *                         what is in every stated list; it may end up empty: nothing is permitted
 *   exec_allowlist        the argv prefixes that satisfy every stated list
 *   http_redirects        true only when each rule that states it says true (AND)
 *   approval_scope_class  kept only when every matched approval rule asks for the same class
 *   approvers             members are conditions that hold together: lists are intersected, min is
 *                         the greatest
 *   exec_constraints      derived: the union of the argv patterns of the matched exec_match rules of
 *                         the winning class (of the ALLOW rules when an approval class has none),
 *                         sorted; written by hand: the patterns that every stated list has
 *   others                equal values stay; different values become a sorted list
 */
#ifndef POLICY_OBLIGATION_H
#define POLICY_OBLIGATION_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/json.h"
#include "bundle.h"
#include "policy/decision.h"
#include "rule.h"
#include "rule_head.h"

enum obligation_id {
#define X(id, key, kind, min, max) id,
#include "obligation_tbl.h"
#undef X
	OBLIGATION__MAX /* also: not a known one */
};

enum obligation_kind {
	KIND_CARRIED = 0, /* any value, nothing enforces it */
	KIND_INT,
	KIND_BOOL,
	KIND_SANDBOX,     /* a mode or a list of modes */
	KIND_SET,         /* list of strings without order */
	KIND_PREFIXES,    /* list of argv prefixes */
	KIND_CONSTRAINTS, /* {"argv_patterns": [[...]]} */
	KIND_SCOPE,
	KIND_APPROVERS,
};

struct obligation_row {
	const char *key;
	enum obligation_kind kind;
	int64_t min;
	int64_t max;
};

extern const struct obligation_row obligation_rows[OBLIGATION__MAX];

/* OBLIGATION__MAX when unknown. */
enum obligation_id obligation_find(struct span key);
/* The known key that `key` is most likely a slip of, or NULL. */
const char *obligation_find_nearest(struct span key);
/* A mode's strength; false for a text that is none of the modes. */
MUSTCHECK bool obligation_parse_sandbox(struct span text, enum sandbox_mode *out);
const char *obligation_sandbox_name(enum sandbox_mode mode);
/* The strongest mode of a checked sandbox_mode value. */
enum sandbox_mode obligation_read_sandbox(const struct json *v);

/*
 * Checks the member "obligations" (NULL: absent) and sets written, map, obligations and
 * has_exec_allowlist of the rule. Called before rule_settle: the argv patterns have been read.
 * ERR_INVALID with the place, ERR_TOO_LARGE.
 */
MUSTCHECK enum err obligation_parse(
	const struct bundle_reader *r, const struct json *v, struct rule *rule);

/* Fills *out from a checked map (NULL: empty). False when the arena is full. */
MUSTCHECK bool obligation_read(const struct json *map, struct arena *a, struct obligations *out);

/*
 * The object {"argv_patterns": [...]} of one rule with exec_match: its patterns, sorted, each once.
 */
MUSTCHECK struct json *obligation_derive(const struct rule *rule, struct arena *a);

/* The winning rules and, for an approval, the ALLOW rules that match as well. Ascending by id. */
struct obligation_input {
	const struct rule_head *const *winners;
	size_t n_winners;
	const struct rule_head *const *allowing;
	size_t n_allowing;
};

/* Joins. *out is the empty set of obligations when the arena is full, and false is returned. */
MUSTCHECK bool obligation_join(
	const struct obligation_input *in, struct arena *a, struct obligations *out);

#endif
