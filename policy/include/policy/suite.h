/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Permission tests (nomos-policy.md 7): a suite of actions with the verdict that each must get, run
 * against a policy. Pure; any thread, one arena per call.
 */
#ifndef POLICY_SUITE_H
#define POLICY_SUITE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "policy/decision.h"
#include "policy/policy.h"

struct arena;

struct suite_result {
	struct span name;
	enum verdict expected;
	enum verdict actual;
	const struct span *matched; /* rule ids of the decision, ascending */
	size_t n_matched;
	bool has_wanted;           /* the case names the rules it wants */
	const struct span *wanted; /* ascending, each once */
	size_t n_wanted;
	bool passed; /* verdict equal, and the set of rules where it is named */
};

struct suite_report {
	const struct suite_result *results; /* in the order of the cases */
	size_t n_results;
	size_t n_passed;
};

/*
 * Runs the suite in text: strict JSON {schema_version "v1", identity {principal, agent,
 * environment}, cases [{name, action {action_type, resource, params}, expect, rules?}]}. The report
 * borrows from text, policy and arena. A malformed suite, action or resource is an error of the
 * suite, not a failed case: ERR_PARSE or ERR_INVALID with the case's name; ERR_TOO_LARGE for the
 * arena.
 */
MUSTCHECK enum err suite_run(const struct policy *p, struct span text, struct arena *a,
	struct suite_report *out, struct errinfo *ei);

#endif
