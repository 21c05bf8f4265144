/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The second evaluator: nomos-policy.md 2.2 to 2.9 written down as plainly as possible, over the
 * parsed bundle, without any of the policy module's code. It tests every rule, recurses where that
 * is shortest, and is only fit for small inputs. Pure.
 */
#ifndef TESTS_SUPPORT_REFERENCE_EVAL_H
#define TESTS_SUPPORT_REFERENCE_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/span.h"

#define REFERENCE_RULES_MAX 256
#define REFERENCE_HOSTS_MAX 32
#define REFERENCE_RISK_FLAGS 6

/* What a rule is tested against. */
struct reference_action {
	struct span action_type;
	struct span resource;
	struct span principal;
	struct span agent;
	struct span environment;
	const char *risk_flags[REFERENCE_RISK_FLAGS];
	size_t n_risk_flags;
	const struct span *argv; /* none: unusable or absent */
	size_t n_argv;
};

struct reference_decision {
	const char *verdict;
	const char *reason;
	struct span ids[REFERENCE_RULES_MAX]; /* ascending */
	size_t n_ids;
	/* Joined obligations; -1 and false: not stated. */
	int64_t output_max_bytes;
	int sandbox; /* 0 none, 1 local, 2 container */
	bool http_redirects;
	bool has_hosts;
	struct span hosts[REFERENCE_HOSTS_MAX]; /* ascending, each once */
	size_t n_hosts;
};

/* bundle is a checked bundle of at most REFERENCE_RULES_MAX rules. */
void reference_decide(const struct json *bundle, const struct reference_action *action,
	struct reference_decision *out);
/* The matchers alone. */
bool reference_glob(struct span pattern, struct span value);
bool reference_argv(const struct json *pattern, const struct span *argv, size_t n);

#endif
