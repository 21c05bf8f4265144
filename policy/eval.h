/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Evaluation in two steps, so that explain sees the same matches as the decision. */
#ifndef POLICY_EVAL_H
#define POLICY_EVAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "policy/decision.h"
#include "policy/policy.h"
#include "rule_head.h"

/* The rules that match, by verdict, each class ascending by id. In the request's arena. */
struct eval_classes {
	const struct rule_head **heads[VERDICT__MAX];
	size_t n[VERDICT__MAX];
};

/* False when the arena is full; *out is empty then. */
MUSTCHECK bool eval_match(const struct policy *p, const struct action *action, struct arena *a,
	struct eval_classes *out);
/* Precedence and joins over the matches. False when the arena is full; *out is a default deny. */
MUSTCHECK bool eval_decide(const struct eval_classes *m, struct arena *a, struct decision *out);

#endif
