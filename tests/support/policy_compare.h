/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares a decision of the policy module with the one of the second evaluator. For test programs
 * and fuzz targets that link nomos::policy.
 */
#ifndef TESTS_SUPPORT_POLICY_COMPARE_H
#define TESTS_SUPPORT_POLICY_COMPARE_H

#include "base/arena.h"
#include "policy/policy.h"
#include "support/reference_eval.h"

static inline struct action
compare_action(const struct reference_action *r)
{
	struct action a = {
		.action_type = r->action_type,
		.kind = action_kind_of(r->action_type),
		.identity = {r->principal, r->agent, r->environment},
		.resource = {.text = r->resource},
		.params = {.argv = r->argv, .n_argv = r->n_argv},
	};

	for (size_t i = 0; i < r->n_risk_flags; i++)
		a.risk |= action_risk_parse(span_cstr(r->risk_flags[i]));
	return a;
}

static inline bool
compare_hosts(const struct json *list, const struct reference_decision *want)
{
	size_t n = 0;

	if (list == NULL)
		return !want->has_hosts;
	if (!want->has_hosts)
		return false;
	/* One rule alone keeps its list as written; a join sorts it. Compare as sets. */
	for (size_t i = 0; i < want->n_hosts; i++) {
		bool is_in = false;
		for (const struct json *e = list->first; e != NULL; e = e->next)
			is_in = is_in || span_eq(e->text, want->hosts[i]);
		if (!is_in)
			return false;
	}
	for (const struct json *e = list->first; e != NULL; e = e->next) {
		bool is_in = false;
		for (size_t i = 0; i < want->n_hosts; i++)
			is_in = is_in || span_eq(e->text, want->hosts[i]);
		n += is_in ? 0 : 1;
	}
	return n == 0;
}

/* NULL when both agree, else what differs. */
static inline const char *
compare_decisions(const struct decision *got, const struct reference_decision *want)
{
	const struct obligations *o = &got->obligations;

	if (!span_eq_cstr(span_cstr(verdict_name(got->verdict)), want->verdict))
		return "verdict";
	if (!span_eq_cstr(span_cstr(reason_name(got->reason)), want->reason))
		return "reason";
	if (got->n_rule_ids != want->n_ids)
		return "number of rules";
	for (size_t i = 0; i < want->n_ids; i++) {
		if (!span_eq(got->rule_ids[i], want->ids[i]))
			return "rules";
	}
	if (o->has_output_max_bytes != (want->output_max_bytes >= 0) ||
		(o->has_output_max_bytes && o->output_max_bytes != want->output_max_bytes))
		return "output_max_bytes";
	if ((int)o->sandbox_mode != want->sandbox)
		return "sandbox_mode";
	if (o->http_redirects != want->http_redirects)
		return "http_redirects";
	return compare_hosts(o->net_allowlist, want) ? NULL : "net_allowlist";
}

#endif
