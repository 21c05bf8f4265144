/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Looking up candidates (index.h). Allocates nothing; linear in the resource. Any thread. */
#include "index.h"

#include "index_priv.h"

void
index_split(struct span resource, uint32_t depth_max, struct index_parts *out)
{
	uint64_t h = INDEX_HASH_START;
	size_t at = 0;
	uint32_t depth = 0;

	while (depth < depth_max) {
		while (at < resource.n && resource.p[at] != '/')
			h = index_hash_byte(h, (unsigned char)resource.p[at++]);
		out->prefix[++depth] = h;
		if (at == resource.n)
			break;
		h = index_hash_byte(h, '/');
		at++;
	}
	out->depth = depth;
	at = resource.n;
	while (at > 0 && resource.p[at - 1] != '/')
		at--;
	out->tail = index_hash(INDEX_HASH_START, span_from(resource, at));
}

uint64_t
index_hash_token(uint64_t h, struct span token)
{
	return index_hash_byte(index_hash(h, token), 0);
}

uint64_t
index_key(const struct index_shape *shape, const struct index_parts *parts)
{
	uint64_t h = index_mix(INDEX_HASH_START, shape->depth);

	if (shape->depth > 0)
		h = index_mix(h, parts->prefix[shape->depth]);
	if (shape->has_tail)
		h = index_mix(h, parts->tail);
	if (shape->n_argv > 0)
		h = index_mix(h, parts->argv[shape->n_argv] + shape->n_argv);
	for (uint32_t w = 0; w < RULE_WHO__MAX; w++) {
		if (shape->has_name[w])
			h = index_mix(h, ((uint64_t)parts->who[w] << 2) + w);
	}
	return h;
}

uint32_t
index_find_type(const struct index *ix, struct span action_type)
{
	uint32_t at =
		(uint32_t)index_mix(0, index_hash(INDEX_HASH_START, action_type)) & ix->groups_mask;

	while (ix->groups[at] != NULL) {
		if (span_eq(ix->groups[at]->action_type, action_type))
			return at + 1;
		at = (at + 1) & ix->groups_mask;
	}
	return RULE_NAME_UNKNOWN;
}

struct rule_query
index_resolve(const struct index *ix, const struct action *action)
{
	struct rule_query q = {.action = action};

	q.action_type = index_find_type(ix, action->action_type);
	q.who[RULE_PRINCIPAL] = index_find_name(ix, action->identity.principal);
	q.who[RULE_AGENT] = index_find_name(ix, action->identity.agent);
	q.who[RULE_ENVIRONMENT] = index_find_name(ix, action->identity.environment);
	return q;
}

/* Whether the action has every literal that the shape asks for. */
static bool
has_parts(const struct index_shape *shape, const struct index_parts *parts)
{
	for (int w = 0; w < RULE_WHO__MAX; w++) {
		if (shape->has_name[w] && parts->who[w] == RULE_NAME_UNKNOWN)
			return false;
	}
	return shape->depth <= parts->depth && shape->n_argv <= parts->n_argv;
}

static const struct index_slot *
find_slot(const struct index_group *g, uint64_t key)
{
	uint32_t at = (uint32_t)(key ^ (key >> 32)) & g->mask;

	if (!index_may_have(g, key))
		return NULL;
	while (g->slots[at].n > 0) {
		if (g->slots[at].key == key)
			return &g->slots[at];
		at = (at + 1) & g->mask;
	}
	return NULL;
}

static bool
visit_slot(const struct index_group *g, const struct index_slot *slot, index_visit_fn fn, void *arg)
{
	if (slot->n == 1)
		return fn(slot->first, arg);
	for (uint32_t k = 0; k < slot->n; k++) {
		if (!fn(g->rules[slot->first + k], arg))
			return false;
	}
	return true;
}

static bool
visit_group(
	const struct index_group *g, const struct index_parts *parts, index_visit_fn fn, void *arg)
{
	for (uint32_t i = 0; i < g->n_shapes; i++) {
		const struct index_shape *shape = &g->shapes[i];
		if (!has_parts(shape, parts))
			continue;
		const struct index_slot *slot = find_slot(g, index_key(shape, parts));
		if (slot != NULL && !visit_slot(g, slot, fn, arg))
			return false;
	}
	return true;
}

bool
index_each(const struct index *ix, const struct rule_query *q, index_visit_fn fn, void *arg)
{
	const struct action *action = q->action;
	const struct index_group *g =
		q->action_type != RULE_NAME_UNKNOWN ? ix->groups[q->action_type - 1] : NULL;
	struct index_parts parts;

	if (g == NULL && ix->any == NULL)
		return true;
	index_split(action->resource.text, ix->depth_max, &parts);
	parts.n_argv = 0;
	parts.argv[0] = INDEX_HASH_START;
	if (action->kind == ACTION_PROCESS_EXEC && action->params_err == OK) {
		for (; parts.n_argv < INDEX_ARGV_MAX && parts.n_argv < action->params.n_argv;
			parts.n_argv++)
			parts.argv[parts.n_argv + 1] = index_hash_token(
				parts.argv[parts.n_argv], action->params.argv[parts.n_argv]);
	}
	for (int w = 0; w < RULE_WHO__MAX; w++)
		parts.who[w] = q->who[w];
	if (g != NULL && !visit_group(g, &parts, fn, arg))
		return false;
	return ix->any == NULL || visit_group(ix->any, &parts, fn, arg);
}
