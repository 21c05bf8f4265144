/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Rules for people to read. Pure; any thread. */
#include "policy/rule_view.h"

#include "base/must.h"
#include "policy_priv.h"

static struct rule_view_list
view_list(const struct rule_list *l)
{
	return (struct rule_view_list){l->v, l->n};
}

void
policy_view_rule(const struct policy *p, size_t i, struct rule_view *out)
{
	OBJ_CHECK(p, POLICY_MAGIC);
	MUST(i < p->n_rules);
	const struct rule *r = p->rules[i];
	*out = (struct rule_view){
		.id = r->id,
		.verdict = r->verdict,
		.principals = view_list(&r->who[RULE_PRINCIPAL].text),
		.agents = view_list(&r->who[RULE_AGENT].text),
		.environments = view_list(&r->who[RULE_ENVIRONMENT].text),
		.risk_flags = view_list(&r->risk_flags),
		.action_type = r->action_type,
		.resource = r->resource,
		.obligations = r->written,
		.bundle = p->sources[r->place.source].path,
	};
}

size_t
policy_find_rule(const struct policy *p, struct span id)
{
	size_t low = 0;
	size_t high = p->n_rules;

	OBJ_CHECK(p, POLICY_MAGIC);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = span_cmp(p->rules[middle]->id, id);
		if (c == 0)
			return middle;
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return SIZE_MAX;
}
