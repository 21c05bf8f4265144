/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The policy itself and the parts of its loading and evaluation that several files share. */
#ifndef POLICY_POLICY_PRIV_H
#define POLICY_POLICY_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/hash.h"
#include "bundle.h"
#include "index.h"
#include "policy/policy.h"
#include "rule.h"
#include "rule_head.h"

#define POLICY_MAGIC 0x9071c101u

/* What is known of a bundle after its load. */
struct source {
	struct span path;
	struct span role;
	struct span label; /* path#hash */
	char hash[SHA256_HEX + 1];
	bool is_verified;
};

struct policy {
	unsigned magic;
	atomic_uint n_refs;
	struct arena *arena;
	struct rule **rules;           /* ascending by id, so that rule numbers sort as ids do */
	const struct rule_head *heads; /* of rules */
	size_t n_rules;
	struct source *sources;
	size_t n_sources;
	struct index *index;
	struct warnings warnings;
	enum policy_exec_mode exec_mode;
	char hash[SHA256_HEX + 1];
	struct span sources_json;
	struct span inputs_json;
};

/*
 * Orders all rules by id and refuses ids that occur twice. Errors name the id, and both paths when
 * they differ.
 */
MUSTCHECK enum err merge_rules(struct policy *p, const struct bundle *bundles, struct errinfo *ei);
/*
 * SHA-256 over the canonical {"bundle_hashes": [...], "merge_algorithm_version": ...}
 * (nomos-policy.md 1.10).
 */
MUSTCHECK enum err merge_hash(
	const char *const *hashes, size_t n, char out[SHA256_HEX + 1], struct errinfo *ei);
/* Sets label of each source, sources_json and inputs_json. False when the arena is full. */
MUSTCHECK bool merge_describe(struct policy *p);

#endif
