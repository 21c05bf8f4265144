/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the policy says of one action: verdict, reason, the rules that won, the joined obligations.
 * Plain values.
 */
#ifndef POLICY_DECISION_H
#define POLICY_DECISION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/span.h"

enum verdict { VERDICT_DENY = 0, VERDICT_REQUIRE_APPROVAL, VERDICT_ALLOW, VERDICT__MAX };

/* Reason codes of nomos-policy.md 2.7 and 5.1 and our own; zero is the default deny. */
enum reason {
#define X(id, text) id,
#include "policy/reason_tbl.h"
#undef X
	REASON__MAX
};

enum sandbox_mode { SANDBOX_NONE = 0, SANDBOX_LOCAL, SANDBOX_CONTAINER };

/*
 * Joined by the most restrictive value (decisions 31, 32). A zeroed struct has no limits set but
 * also permits nothing optional. Spans and trees borrow from the policy or the request arena.
 */
struct obligations {
	struct span canonical; /* the merged map as canonical JSON, "{}" when empty */
	bool has_output_max_bytes;
	bool has_output_max_lines;
	int64_t output_max_bytes;
	int64_t output_max_lines;
	enum sandbox_mode sandbox_mode;
	const struct json *net_allowlist;    /* array of strings, or NULL */
	const struct json *exec_constraints; /* {"argv_patterns": [...]}, or NULL */
	const struct json *exec_allowlist;   /* array of arrays, or NULL */
	bool http_redirects;
	int64_t http_redirect_hop_limit; /* 0: not set */
	struct span approval_scope_class;
	int64_t approval_ttl_seconds; /* 0: not set */
	int64_t approval_max_uses;    /* 0: not set */
	/* Object or NULL; its members principals, roles, groups and min are conditions that all hold. */
	const struct json *approvers;
	const struct json *credential_lease_ids; /* array of strings, sorted, or NULL */
};

struct decision {
	enum verdict verdict;
	enum reason reason;
	const struct span *rule_ids; /* of the winning class, sorted by bytes */
	size_t n_rule_ids;
	struct obligations obligations;
};

/* "ALLOW", "DENY", "REQUIRE_APPROVAL". */
const char *verdict_name(enum verdict v);
/* "deny_by_default" for REASON_DENY_BY_DEFAULT. */
const char *reason_name(enum reason r);
/*
 * Turns any decision into a DENY with reason r, for the answers that are not the policy's own
 * (invalid_params, approvals_unavailable, ...): the matched rules stay, the obligations go.
 */
void decision_deny(struct decision *d, enum reason r);

#endif
