/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision (nomos-policy.md 2.7): a pure function of policy, action and identity. It must never
 * allow by accident: whatever cannot be tested does not match, and an arena that is full yields a
 * deny. Any thread.
 */
#include "eval.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/must.h"
#include "index.h"
#include "obligation.h"
#include "policy_priv.h"

#define MATCHES_AT_FIRST 32

struct collector {
	const struct policy *policy;
	const struct rule_query *query;
	struct arena *arena;
	uint32_t *v;
	size_t n;
	size_t size;
	uint32_t first[MATCHES_AT_FIRST];
};

static bool
collect(uint32_t rule, void *arg)
{
	struct collector *c = arg;

	if (!rule_head_matches(&c->policy->heads[rule], c->query))
		return true;
	if (c->n == c->size) {
		uint32_t *grown = ARENA_ARRAY(c->arena, uint32_t, c->size * 2);
		if (grown == NULL)
			return false;
		memcpy(grown, c->v, c->n * sizeof(*grown));
		c->v = grown;
		c->size *= 2;
	}
	c->v[c->n++] = rule;
	return true;
}

static int
compare_rule_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Ascending and unique: colliding keys of the index may propose a rule twice. */
static void
sort_matches(struct collector *c)
{
	size_t n = 0;

	if (c->n < 2)
		return;
	qsort(c->v, c->n, sizeof(*c->v), compare_rule_numbers);
	for (size_t i = 0; i < c->n; i++) {
		if (i == 0 || c->v[i] != c->v[i - 1])
			c->v[n++] = c->v[i];
	}
	c->n = n;
}

bool
eval_match(const struct policy *p, const struct action *action, struct arena *a,
	struct eval_classes *out)
{
	struct rule_query query = index_resolve(p->index, action);
	struct collector c;

	*out = (struct eval_classes){0};
	c.policy = p;
	c.query = &query;
	c.arena = a;
	c.v = c.first;
	c.n = 0;
	c.size = MATCHES_AT_FIRST;
	if (!index_each(p->index, &query, collect, &c))
		return false;
	if (c.n == 0)
		return true;
	sort_matches(&c);
	const struct rule_head **slots = ARENA_ARRAY(a, const struct rule_head *, c.n);
	if (slots == NULL)
		return false;
	for (int v = 0; v < VERDICT__MAX; v++) {
		out->heads[v] = slots;
		for (size_t i = 0; i < c.n; i++) {
			const struct rule_head *h = &p->heads[c.v[i]];
			if (h->verdict == v)
				slots[out->n[v]++] = h;
		}
		slots += out->n[v];
	}
	return true;
}

static bool
set_rule_ids(const struct rule_head *const *heads, size_t n, struct arena *a, struct decision *out)
{
	struct span *ids = ARENA_ARRAY(a, struct span, n);

	if (ids == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		ids[i] = heads[i]->id;
	out->rule_ids = ids;
	out->n_rule_ids = n;
	return true;
}

/*
 * Two models of exec authorisation at once: argv patterns and the legacy allowlist. A rule with argv
 * patterns matches process.exec only, so there is no need to look at the action.
 */
static bool
is_exec_conflict(const struct eval_classes *m)
{
	bool has_match = false;
	bool has_allowlist = false;

	for (int v = VERDICT_REQUIRE_APPROVAL; v < VERDICT__MAX; v++) {
		for (size_t i = 0; i < m->n[v]; i++) {
			has_match = has_match || m->heads[v][i]->has_exec_match;
			has_allowlist = has_allowlist || m->heads[v][i]->has_exec_allowlist;
		}
	}
	return has_match && has_allowlist;
}

/* Ids of both permitting classes, merged in order. */
static bool
decide_conflict(const struct eval_classes *m, struct arena *a, struct decision *out)
{
	size_t n_asking = m->n[VERDICT_REQUIRE_APPROVAL];
	size_t n_allowing = m->n[VERDICT_ALLOW];
	const struct rule_head **all =
		ARENA_ARRAY(a, const struct rule_head *, n_asking + n_allowing);
	size_t i = 0;
	size_t k = 0;

	out->reason = REASON_DENY_BY_EXEC_MODEL_CONFLICT;
	if (all == NULL)
		return false;
	while (i + k < n_asking + n_allowing) {
		const struct rule_head *x =
			i < n_asking ? m->heads[VERDICT_REQUIRE_APPROVAL][i] : NULL;
		const struct rule_head *y = k < n_allowing ? m->heads[VERDICT_ALLOW][k] : NULL;
		bool is_x = y == NULL || (x != NULL && span_cmp(x->id, y->id) < 0);
		all[i + k] = is_x ? x : y;
		if (is_x)
			i++;
		else
			k++;
	}
	return set_rule_ids(all, n_asking + n_allowing, a, out);
}

static bool
decide_class(const struct eval_classes *m, enum verdict v, enum reason reason, struct arena *a,
	struct decision *out)
{
	struct obligation_input in = {.winners = m->heads[v], .n_winners = m->n[v]};
	struct decision d = {.verdict = v, .reason = reason};

	if (v == VERDICT_REQUIRE_APPROVAL) {
		in.allowing = m->heads[VERDICT_ALLOW];
		in.n_allowing = m->n[VERDICT_ALLOW];
	}
	if (!set_rule_ids(m->heads[v], m->n[v], a, &d) || !obligation_join(&in, a, &d.obligations))
		return false;
	*out = d;
	return true;
}

bool
eval_decide(const struct eval_classes *m, struct arena *a, struct decision *out)
{
	*out = (struct decision){0};
	out->obligations.canonical = SPAN_LIT("{}");
	if (m->n[VERDICT_DENY] > 0)
		return decide_class(m, VERDICT_DENY, REASON_DENY_BY_RULE, a, out);
	if (is_exec_conflict(m))
		return decide_conflict(m, a, out);
	if (m->n[VERDICT_REQUIRE_APPROVAL] > 0)
		return decide_class(
			m, VERDICT_REQUIRE_APPROVAL, REASON_REQUIRE_APPROVAL_BY_RULE, a, out);
	if (m->n[VERDICT_ALLOW] > 0)
		return decide_class(m, VERDICT_ALLOW, REASON_ALLOW_BY_RULE, a, out);
	return true;
}

enum err
policy_eval(
	const struct policy *p, const struct action *action, struct arena *a, struct decision *out)
{
	struct eval_classes m;

	OBJ_CHECK(p, POLICY_MAGIC);
	bool ok = eval_match(p, action, a, &m);
	if (!ok || !eval_decide(&m, a, out)) {
		*out = (struct decision){.obligations = {.canonical = SPAN_LIT("{}")}};
		return ERR_TOO_LARGE;
	}
	return OK;
}
