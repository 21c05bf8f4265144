/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of an explanation share: the decision, its matches, and the rules that nearly
 * matched.
 */
#ifndef POLICY_EXPLAIN_H
#define POLICY_EXPLAIN_H

#include <stddef.h>
#include <stdint.h>

#include "eval.h"
#include "policy/policy.h"
#include "policy_priv.h"
#include "rule.h"

struct buf;

#define NEAR_MISSES_MAX 10

struct near_miss {
	const struct rule *rule;
	enum rule_outcome outcome; /* the condition that fails first */
	uint64_t progress;         /* how far that condition got; comparable for equal outcomes */
};

struct explanation {
	const struct policy *policy;
	const struct action *action;
	const struct policy_explain_options *options;
	struct arena *arena;
	struct eval_classes matches;
	struct decision decision;
	struct obligations preview;
	struct near_miss near[NEAR_MISSES_MAX]; /* best first */
	size_t n_near;
};

/*
 * Fills near: of a DENY the rules that would have permitted it, else all. Allocates nothing; linear
 * in the rules.
 */
void explain_find_near(struct explanation *x);
/* Why that rule does not match, as a sentence without parameter values. */
void explain_put_detail(const struct explanation *x, const struct near_miss *m, struct buf *b);
/* One sentence each: what to do, and the smallest change that would turn the decision. */
void explain_put_hint(const struct explanation *x, struct buf *b);
void explain_put_change(const struct explanation *x, struct buf *b);

#endif
