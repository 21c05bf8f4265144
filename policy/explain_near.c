/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that nearly matched: the first condition of each that fails, ranked by how far it got. It
 * tells what a rule asks for, never whom else it names and never a parameter's value. Pure; any
 * thread.
 */
#include "explain.h"

#include "base/buf.h"
#include "base/glob.h"
#include "index.h"

/* Leading bytes that pattern and resource have in common. */
static uint64_t
common_bytes(struct span a, struct span b)
{
	size_t n = 0;

	while (n < a.n && n < b.n && a.p[n] == b.p[n])
		n++;
	return n;
}

/* Leading tokens of argv that a pattern accepts, up to its first "**". */
static uint32_t
common_tokens(const struct rule_list *pattern, const struct action_params *params)
{
	uint32_t n = 0;

	while (n < pattern->n && n < params->n_argv && !span_eq_cstr(pattern->v[n], "**") &&
		glob_token_match(pattern->v[n], params->argv[n]))
		n++;
	return n;
}

static const struct rule_list *
find_best_pattern(const struct rule *r, const struct action_params *params, uint32_t *n_out)
{
	const struct rule_list *best = &r->patterns[0].tokens;

	*n_out = common_tokens(best, params);
	for (uint32_t i = 1; i < r->n_patterns; i++) {
		uint32_t n = common_tokens(&r->patterns[i].tokens, params);
		if (n > *n_out) {
			best = &r->patterns[i].tokens;
			*n_out = n;
		}
	}
	return best;
}

static uint64_t
measure(const struct rule *r, enum rule_outcome outcome, const struct action *action)
{
	uint32_t n = 0;

	if (outcome == RULE_FAILS_RESOURCE)
		return common_bytes(r->resource, action->resource.text);
	if (outcome == RULE_FAILS_EXEC_MATCH && action->kind == ACTION_PROCESS_EXEC)
		(void)find_best_pattern(r, &action->params, &n);
	return n;
}

static bool
is_nearer(const struct near_miss *a, const struct near_miss *b)
{
	if (a->outcome != b->outcome)
		return a->outcome > b->outcome;
	if (a->progress != b->progress)
		return a->progress > b->progress;
	if (a->rule->verdict != b->rule->verdict)
		return a->rule->verdict >
		       b->rule->verdict; /* an ALLOW helps more than an approval */
	return span_cmp(a->rule->id, b->rule->id) < 0;
}

static void
insert(struct explanation *x, struct near_miss m)
{
	size_t at = x->n_near;

	while (at > 0 && is_nearer(&m, &x->near[at - 1]))
		at--;
	if (at == NEAR_MISSES_MAX)
		return;
	if (x->n_near < NEAR_MISSES_MAX)
		x->n_near++;
	memmove(&x->near[at + 1], &x->near[at], (x->n_near - at - 1) * sizeof(m));
	x->near[at] = m;
}

void
explain_find_near(struct explanation *x)
{
	struct rule_query q = index_resolve(x->policy->index, x->action);

	x->n_near = 0;
	for (size_t i = 0; i < x->policy->n_rules; i++) {
		const struct rule *r = x->policy->rules[i];
		if (x->decision.verdict == VERDICT_DENY && r->verdict == VERDICT_DENY)
			continue;
		enum rule_outcome outcome = rule_test(r, &q);
		if (outcome == RULE_FAILS_ACTION_TYPE || outcome == RULE_MATCHES)
			continue;
		insert(x, (struct near_miss){r, outcome, measure(r, outcome, x->action)});
	}
}

static void
put_exec_detail(const struct near_miss *m, const struct action *action, struct buf *b)
{
	uint32_t n = 0;

	if (action->kind != ACTION_PROCESS_EXEC) {
		buf_add_cstr(b, "exec_match holds for process.exec only");
		return;
	}
	if (action->params_err != OK || action->params.n_argv == 0) {
		buf_add_cstr(b, "the parameters hold no usable argv");
		return;
	}
	const struct rule_list *pattern = find_best_pattern(m->rule, &action->params, &n);
	if (n == pattern->n)
		buf_printf(b, "argv has more than the %u tokens of the nearest pattern", n);
	else if (span_eq_cstr(pattern->v[n], "**"))
		buf_printf(b, "argv differs from the nearest pattern behind token %u", n);
	else if (n == action->params.n_argv)
		buf_printf(b, "argv ends before token %u, which must match \"%.*s\"", n + 1,
			SPAN_ARG(pattern->v[n]));
	else
		buf_printf(b, "argv differs at token %u, which must match \"%.*s\"", n + 1,
			SPAN_ARG(pattern->v[n]));
}

static void
put_risk_detail(const struct rule *r, const struct action *action, struct buf *b)
{
	for (uint32_t i = 0; i < r->risk_flags.n; i++) {
		uint32_t bit = action_risk_parse(r->risk_flags.v[i]);
		if (bit != 0 && (action->risk & bit) != 0)
			continue;
		buf_printf(b, "the action does not have risk flag \"%.*s\"",
			SPAN_ARG(r->risk_flags.v[i]));
		return;
	}
}

void
explain_put_detail(const struct explanation *x, const struct near_miss *m, struct buf *b)
{
	const struct identity *who = &x->action->identity;

	switch (m->outcome) {
	case RULE_FAILS_RESOURCE:
		buf_printf(b, "resource \"%.*s\" does not match pattern \"%.*s\"",
			SPAN_ARG(x->action->resource.text), SPAN_ARG(m->rule->resource));
		break;
	case RULE_FAILS_PRINCIPAL:
		buf_printf(b, "principal \"%.*s\" is not listed", SPAN_ARG(who->principal));
		break;
	case RULE_FAILS_AGENT:
		buf_printf(b, "agent \"%.*s\" is not listed", SPAN_ARG(who->agent));
		break;
	case RULE_FAILS_ENVIRONMENT:
		buf_printf(b, "environment \"%.*s\" is not listed", SPAN_ARG(who->environment));
		break;
	case RULE_FAILS_RISK_FLAGS:
		put_risk_detail(m->rule, x->action, b);
		break;
	case RULE_FAILS_EXEC_MATCH:
		put_exec_detail(m, x->action, b);
		break;
	case RULE_FAILS_ACTION_TYPE:
	case RULE_MATCHES:
	case RULE_OUTCOME__MAX:
		break;
	}
}
