/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The conditions of one rule (nomos-policy.md 2.2 to 2.5). A condition that cannot be tested does
 * not hold; it is never an error and never widens. Pure; any thread.
 */
#include "rule.h"

#include "base/arena.h"
#include "base/must.h"

static bool
compile_argv(struct rule *r, struct arena *a)
{
	if (!r->has_exec_match)
		return true;
	struct rule_argv *patterns = ARENA_ARRAY(a, struct rule_argv, r->n_patterns);
	if (patterns == NULL)
		return false;
	for (uint32_t i = 0; i < r->n_patterns; i++) {
		patterns[i].tokens = r->patterns[i].tokens;
		patterns[i].glob = glob_argv_new(a, patterns[i].tokens.v, patterns[i].tokens.n);
		if (patterns[i].glob == NULL)
			return false;
	}
	r->patterns = patterns;
	return true;
}

bool
rule_compile_patterns(struct rule *r, struct arena *a)
{
	r->glob = glob_new(a, r->resource);
	if (r->glob == NULL)
		return false;
	r->is_dead = r->is_dead || glob_is_dead(r->glob);
	return compile_argv(r, a);
}

void
rule_settle(struct rule *r)
{
	for (uint32_t i = 0; i < r->risk_flags.n; i++) {
		uint32_t bit = action_risk_parse(r->risk_flags.v[i]);
		if (bit == 0)
			r->is_dead = true;
		r->risk |= bit;
	}
	for (int w = 0; w < RULE_WHO__MAX; w++) {
		struct rule_names *names = &r->who[w];
		names->any = names->text.n == 0;
		for (uint32_t i = 0; i < names->text.n; i++) {
			if (span_eq_cstr(names->text.v[i], "*"))
				names->any = true;
		}
	}
}

static bool
has_action_type(const struct rule *r, const struct rule_query *q)
{
	return span_eq_cstr(r->action_type, "*") || span_eq(r->action_type, q->action->action_type);
}

static bool
has_resource(const struct rule *r, const struct rule_query *q)
{
	return glob_match(r->glob, q->action->resource.text);
}

bool
rule_has_name(const struct rule_names *names, uint32_t id)
{
	uint32_t low = 0;
	uint32_t high = names->n_ids;

	if (names->any)
		return true;
	/* Interned names start at 1, so RULE_NAME_UNKNOWN is in no list. */
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (names->ids[mid] < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < names->n_ids && names->ids[low] == id;
}

static bool
has_risk(const struct rule *r, const struct rule_query *q)
{
	return !r->is_dead && (q->action->risk & r->risk) == r->risk;
}

/*
 * Unusable parameters have no argv, so the condition does not hold: an ALLOW is turned down later
 * all the same.
 */
bool
rule_has_argv(const struct rule *r, const struct rule_query *q)
{
	const struct action *action = q->action;

	if (!r->has_exec_match)
		return true;
	if (action->kind != ACTION_PROCESS_EXEC || action->params_err != OK ||
		action->params.n_argv == 0)
		return false;
	for (uint32_t i = 0; i < r->n_patterns; i++) {
		if (glob_argv_match(
			    r->patterns[i].glob, action->params.argv, action->params.n_argv))
			return true;
	}
	return false;
}

enum rule_outcome
rule_test(const struct rule *r, const struct rule_query *q)
{
	if (!has_action_type(r, q))
		return RULE_FAILS_ACTION_TYPE;
	if (!has_resource(r, q))
		return RULE_FAILS_RESOURCE;
	for (int w = 0; w < RULE_WHO__MAX; w++) {
		if (!rule_has_name(&r->who[w], q->who[w]))
			return (enum rule_outcome)(RULE_FAILS_PRINCIPAL + w);
	}
	if (!has_risk(r, q))
		return RULE_FAILS_RISK_FLAGS;
	return rule_has_argv(r, q) ? RULE_MATCHES : RULE_FAILS_EXEC_MATCH;
}

const char *
rule_outcome_name(enum rule_outcome o)
{
	static const char *const names[RULE_OUTCOME__MAX] = {
		[RULE_FAILS_ACTION_TYPE] = "action_type",
		[RULE_FAILS_RESOURCE] = "resource",
		[RULE_FAILS_PRINCIPAL] = "principal",
		[RULE_FAILS_AGENT] = "agent",
		[RULE_FAILS_ENVIRONMENT] = "environment",
		[RULE_FAILS_RISK_FLAGS] = "risk_flags",
		[RULE_FAILS_EXEC_MATCH] = "exec_match",
		[RULE_MATCHES] = "",
	};
	MUST((unsigned)o < RULE_OUTCOME__MAX);
	return names[o];
}
