/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The rules of a policy as its authors wrote them, for people to read. Borrowed from the policy; any thread. */
#ifndef POLICY_RULE_VIEW_H
#define POLICY_RULE_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/json.h"
#include "base/span.h"
#include "policy/decision.h"

struct policy;

struct rule_view_list {
	const struct span *v;
	size_t n;
};

struct rule_view {
	struct span id;
	enum verdict verdict;
	struct rule_view_list principals; /* empty lists: any */
	struct rule_view_list agents;
	struct rule_view_list environments;
	struct rule_view_list risk_flags;
	struct span action_type;
	struct span resource;
	const struct json *obligations; /* NULL: none */
	struct span bundle;             /* as policy_get_inputs_json names it */
};

/* Rule i, below policy_count_rules; they are ordered by id. */
void policy_view_rule(const struct policy *p, size_t i, struct rule_view *out);
/* The number of the rule with that id, or SIZE_MAX. */
size_t policy_find_rule(const struct policy *p, struct span id);

#endif
