/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One rule as the loader made it: checked text, compiled patterns, typed obligations. It lives in
 * the policy's arena and is immutable once the policy is published; any thread may match it.
 */
#ifndef POLICY_RULE_H
#define POLICY_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/glob.h"
#include "base/json.h"
#include "base/span.h"
#include "policy/action.h"
#include "policy/decision.h"

struct arena;

enum rule_who { RULE_PRINCIPAL = 0, RULE_AGENT, RULE_ENVIRONMENT, RULE_WHO__MAX };

struct rule_list {
	const struct span *v;
	uint32_t n;
};

/* An identity list. Interned names make the test an integer search; zero is no name at all. */
struct rule_names {
	struct rule_list text; /* as written, in order */
	const uint32_t *ids;   /* interned, ascending, unique; empty when any */
	uint32_t n_ids;
	bool any; /* no list, or "*" is in it */
};

struct rule_argv {
	struct rule_list tokens;
	const struct glob_argv *glob;
};

struct rule_place {
	uint32_t source; /* index of the bundle */
	uint32_t line;
	uint32_t column;
};

struct rule {
	const struct glob *glob;
	struct rule_names who[RULE_WHO__MAX];
	uint32_t risk;
	bool is_dead; /* the pattern or a risk flag can never match anything */
	bool has_exec_match;
	bool has_exec_allowlist;
	enum verdict verdict;
	const struct rule_argv *patterns;
	uint32_t n_patterns;
	const struct json
		*map; /* obligations that count, exec_constraints derived; NULL when empty */
	struct obligations obligations; /* of this rule alone */

	struct span id;
	struct span action_type;
	struct span resource;
	struct rule_list risk_flags;
	const struct json *written; /* obligations as the bundle has them; NULL when empty */
	struct rule_place place;
};

/*
 * What a rule is tested against. The type and the names are numbers of the index, RULE_NAME_UNKNOWN
 * when no rule mentions them.
 */
#define RULE_NAME_UNKNOWN 0

struct rule_query {
	const struct action *action;
	uint32_t action_type;
	uint32_t who[RULE_WHO__MAX];
};

/* The tests in the order of nomos-policy.md 2.2; a higher value got further. */
enum rule_outcome {
	RULE_FAILS_ACTION_TYPE = 0,
	RULE_FAILS_RESOURCE,
	RULE_FAILS_PRINCIPAL,
	RULE_FAILS_AGENT,
	RULE_FAILS_ENVIRONMENT,
	RULE_FAILS_RISK_FLAGS,
	RULE_FAILS_EXEC_MATCH,
	RULE_MATCHES,
	RULE_OUTCOME__MAX
};

/* Sets what follows from the decoded members: risk flags, dead or not, lists that are anybody. */
void rule_settle(struct rule *r);
/* Compiles the patterns of a settled rule into a. False when the arena is full. */
MUSTCHECK bool rule_compile_patterns(struct rule *r, struct arena *a);
/* Two of the conditions. */
bool rule_has_name(const struct rule_names *names, uint32_t id);
bool rule_has_argv(const struct rule *r, const struct rule_query *q);
/* The first condition that fails, in the reference's order. */
enum rule_outcome rule_test(const struct rule *r, const struct rule_query *q);
/* "resource" for RULE_FAILS_RESOURCE; "" for RULE_MATCHES. Static. */
const char *rule_outcome_name(enum rule_outcome o);

#endif
