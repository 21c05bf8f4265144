/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The heads of a policy's rules (rule_head.h). They are made once per load; a condition that a head
 * cannot answer alone is left to the rule. Matching is pure; any thread.
 */
#include "rule_head.h"

#include <assert.h>

#include "base/arena.h"

static_assert(sizeof(struct rule_head) == RULE_HEAD_BYTES, "a head is one line of the cache");
static_assert(RISK_HIGH_FANOUT <= UINT8_MAX, "risk flags fit into a byte");

static uint32_t
number_of(const struct rule_names *names)
{
	if (names->any)
		return RULE_HEAD_ANY;
	return names->n_ids == 1 ? names->ids[0] : RULE_HEAD_LIST;
}

static struct rule_head
make_head(const struct rule *r, const struct index *ix)
{
	struct rule_head h = {.id = r->id,
		.glob = r->glob,
		.rule = r,
		.action_type = span_eq_cstr(r->action_type, "*")
				       ? RULE_HEAD_ANY
				       : index_find_type(ix, r->action_type),
		.risk = (uint8_t)r->risk,
		.verdict = (uint8_t)r->verdict,
		.is_dead = r->is_dead,
		.has_exec_match = r->has_exec_match,
		.has_exec_allowlist = r->has_exec_allowlist,
		.has_obligations = r->map != NULL};

	for (int w = 0; w < RULE_WHO__MAX; w++)
		h.who[w] = number_of(&r->who[w]);
	return h;
}

const struct rule_head *
rule_heads_new(struct rule *const *rules, size_t n, const struct index *ix, struct arena *a)
{
	char *raw = arena_alloc(a, n * RULE_HEAD_BYTES + RULE_HEAD_BYTES - 1);

	if (raw == NULL)
		return NULL;
	raw += -(uintptr_t)raw & (RULE_HEAD_BYTES - 1);
	struct rule_head *heads = (void *)raw;
	for (size_t i = 0; i < n; i++) {
		/* Here and not where the rule is read, so that patterns lie close together. */
		if (!rule_compile_patterns(rules[i], a))
			return NULL;
		heads[i] = make_head(rules[i], ix);
	}
	return heads;
}

static bool
has_name(const struct rule_head *h, const struct rule_query *q, enum rule_who w)
{
	if (h->who[w] == RULE_HEAD_ANY)
		return true;
	if (h->who[w] == RULE_HEAD_LIST)
		return rule_has_name(&h->rule->who[w], q->who[w]);
	return h->who[w] == q->who[w];
}

bool
rule_head_matches(const struct rule_head *h, const struct rule_query *q)
{
	return !h->is_dead && (q->action->risk & h->risk) == h->risk &&
	       (h->action_type == RULE_HEAD_ANY || h->action_type == q->action_type) &&
	       has_name(h, q, RULE_PRINCIPAL) && has_name(h, q, RULE_AGENT) &&
	       has_name(h, q, RULE_ENVIRONMENT) && glob_match(h->glob, q->action->resource.text) &&
	       (!h->has_exec_match || rule_has_argv(h->rule, q));
}
