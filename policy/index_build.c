/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Building the index of a policy (index.h). Runs once per load, on the loading thread; what stays
 * is in the policy's arena, the lists it works on are on the heap and go before it returns.
 */
#include "index.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/must.h"
#include "index_priv.h"

/* A rule whose lists multiply to more keys than this drops its longest list from its shape. */
#define KEYS_PER_RULE_MAX 128

struct entry {
	uint64_t key;
	uint32_t rule;
};

/* The rule's literals. */
struct profile {
	struct index_shape shape;
	struct index_parts parts;
	uint64_t argv_keys[KEYS_PER_RULE_MAX];
	uint32_t n_argv_keys;
};

struct builder {
	struct rule *const *rules;
	struct arena *arena;
	struct index *ix;
	struct profile *profile; /* scratch for one rule */
	struct entry *entries;   /* of one group */
	size_t n_entries;
	size_t size_entries;
	struct index_shape *shapes; /* of one group */
	uint32_t n_shapes;
};

/* Every combination of depth, tail, argv and names. */
#define SHAPES_MAX ((INDEX_DEPTH_MAX + 1) * (INDEX_ARGV_MAX + 1) * 2 * 8)

static bool
is_wild(struct span s)
{
	return span_find(s, '*') < s.n || span_find(s, '?') < s.n;
}

static bool
is_wild_token(struct span s)
{
	return is_wild(s) || span_find(s, '\\') < s.n;
}

static void
profile_resource(struct span pattern, struct profile *p)
{
	struct span rest = pattern;
	uint32_t depth = 0;
	bool is_whole = false;

	while (depth < INDEX_DEPTH_MAX) {
		size_t n = span_find(rest, '/');
		if (is_wild(span_of(rest.p, n)))
			break;
		depth++;
		if (n == rest.n) {
			is_whole = true;
			break;
		}
		rest = span_from(rest, n + 1);
	}
	size_t tail = pattern.n;
	while (tail > 0 && pattern.p[tail - 1] != '/')
		tail--;
	p->shape.depth = (uint8_t)depth;
	p->shape.has_tail = !is_whole && !is_wild(span_from(pattern, tail));
	index_split(pattern, depth, &p->parts);
}

static int
compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The tokens that every pattern of the rule begins with literally, as one key per pattern. */
static void
profile_argv(const struct rule *r, struct profile *p)
{
	uint32_t depth = INDEX_ARGV_MAX;

	p->n_argv_keys = 0;
	if (!r->has_exec_match || r->n_patterns > KEYS_PER_RULE_MAX)
		return;
	for (uint32_t i = 0; i < r->n_patterns; i++) {
		const struct rule_list *tokens = &r->patterns[i].tokens;
		uint32_t n = 0;
		while (n < depth && n < tokens->n && !is_wild_token(tokens->v[n]))
			n++;
		depth = n;
	}
	if (depth == 0)
		return;
	for (uint32_t i = 0; i < r->n_patterns; i++) {
		uint64_t h = INDEX_HASH_START;
		for (uint32_t k = 0; k < depth; k++)
			h = index_hash_token(h, r->patterns[i].tokens.v[k]);
		p->argv_keys[i] = h;
	}
	qsort(p->argv_keys, r->n_patterns, sizeof(uint64_t), compare_u64);
	for (uint32_t i = 0; i < r->n_patterns; i++) {
		if (i == 0 || p->argv_keys[i] != p->argv_keys[i - 1])
			p->argv_keys[p->n_argv_keys++] = p->argv_keys[i];
	}
	p->shape.n_argv = (uint8_t)depth;
}

/* Number of keys along each dimension of the shape: the identities, then argv. */
static void
count_keys(const struct rule *r, const struct profile *p, size_t counts[RULE_WHO__MAX + 1])
{
	for (int w = 0; w < RULE_WHO__MAX; w++)
		counts[w] = p->shape.has_name[w] ? r->who[w].n_ids : 1;
	counts[RULE_WHO__MAX] = p->shape.n_argv > 0 ? p->n_argv_keys : 1;
}

static size_t
product(const size_t counts[RULE_WHO__MAX + 1])
{
	size_t all = 1;

	for (int d = 0; d <= RULE_WHO__MAX; d++) {
		if (counts[d] > KEYS_PER_RULE_MAX)
			return SIZE_MAX;
		all *= counts[d];
	}
	return all;
}

/* Drops dimensions until the rule needs few enough keys. */
static size_t
limit_keys(const struct rule *r, struct profile *p, size_t counts[RULE_WHO__MAX + 1])
{
	count_keys(r, p, counts);
	while (product(counts) > KEYS_PER_RULE_MAX) {
		int longest = 0;
		for (int d = 1; d <= RULE_WHO__MAX; d++) {
			if (counts[d] > counts[longest])
				longest = d;
		}
		if (longest == RULE_WHO__MAX)
			p->shape.n_argv = 0;
		else
			p->shape.has_name[longest] = false;
		count_keys(r, p, counts);
	}
	return product(counts);
}

static bool
is_same_shape(const struct index_shape *a, const struct index_shape *b)
{
	return a->depth == b->depth && a->n_argv == b->n_argv && a->has_tail == b->has_tail &&
	       a->has_name[0] == b->has_name[0] && a->has_name[1] == b->has_name[1] &&
	       a->has_name[2] == b->has_name[2];
}

static void
note_shape(struct builder *b, const struct index_shape *shape)
{
	for (uint32_t i = 0; i < b->n_shapes; i++) {
		if (is_same_shape(&b->shapes[i], shape))
			return;
	}
	b->shapes[b->n_shapes++] = *shape;
}

static bool
reserve_entries(struct builder *b, size_t more)
{
	if (b->n_entries + more <= b->size_entries)
		return true;
	size_t size = (b->n_entries + more) * 2;
	struct entry *grown = mem_realloc(b->entries, size * sizeof(*grown));
	if (grown == NULL)
		return false;
	b->entries = grown;
	b->size_entries = size;
	return true;
}

static bool
add_rule(struct builder *b, uint32_t rule)
{
	const struct rule *r = b->rules[rule];
	struct profile *p = b->profile;
	size_t counts[RULE_WHO__MAX + 1];

	*p = (struct profile){0};
	profile_resource(r->resource, p);
	profile_argv(r, p);
	for (int w = 0; w < RULE_WHO__MAX; w++)
		p->shape.has_name[w] = !r->who[w].any;
	size_t n = limit_keys(r, p, counts);
	note_shape(b, &p->shape);
	if (p->shape.depth > b->ix->depth_max)
		b->ix->depth_max = p->shape.depth;
	if (!reserve_entries(b, n))
		return false;
	for (size_t i = 0; i < n; i++) {
		size_t rest = i;
		for (int w = 0; w < RULE_WHO__MAX; w++) {
			if (p->shape.has_name[w])
				p->parts.who[w] = r->who[w].ids[rest % counts[w]];
			rest /= counts[w];
		}
		p->parts.argv[p->shape.n_argv] = p->argv_keys[rest];
		b->entries[b->n_entries++] = (struct entry){index_key(&p->shape, &p->parts), rule};
	}
	return true;
}

static int
compare_entry(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->rule > y->rule) - (x->rule < y->rule);
}

static void
put_slot(struct index_group *g, struct index_slot slot)
{
	uint32_t at = (uint32_t)(slot.key ^ (slot.key >> 32)) & g->mask;

	uint32_t bit = index_bit(g, slot.key);

	while (g->slots[at].n > 0)
		at = (at + 1) & g->mask;
	g->slots[at] = slot;
	g->bits[bit / 8] |= (uint8_t)(1U << (bit % 8));
}

/* Makes the group's tables out of the entries. */
static struct index_group *
finish_group(struct builder *b, struct span action_type)
{
	struct index_group *g = ARENA_NEW(b->arena, struct index_group);
	struct index_shape *shapes = ARENA_ARRAY(b->arena, struct index_shape, b->n_shapes);
	uint32_t size = index_table_size(b->n_entries);

	MUST(b->n_entries > 0 && b->entries != NULL);
	if (g == NULL || shapes == NULL)
		return NULL;
	*g = (struct index_group){.action_type = action_type,
		.shapes = shapes,
		.n_shapes = b->n_shapes,
		.mask = size - 1};
	memcpy(shapes, b->shapes, b->n_shapes * sizeof(*shapes));
	g->slots = ARENA_ARRAY(b->arena, struct index_slot, size);
	g->rules = ARENA_ARRAY(b->arena, uint32_t, b->n_entries);
	g->bits = ARENA_ARRAY(b->arena, uint8_t, (size * INDEX_BITS_PER_SLOT + 7) / 8);
	if (g->slots == NULL || g->rules == NULL || g->bits == NULL)
		return NULL;
	qsort(b->entries, b->n_entries, sizeof(*b->entries), compare_entry);
	for (size_t from = 0; from < b->n_entries;) {
		size_t to = from;
		for (; to < b->n_entries && b->entries[to].key == b->entries[from].key; to++)
			g->rules[to] = b->entries[to].rule;
		uint32_t first = to - from == 1 ? g->rules[from] : (uint32_t)from;
		put_slot(
			g, (struct index_slot){b->entries[from].key, first, (uint32_t)(to - from)});
		from = to;
	}
	return g;
}

/* A rule with exec_match only ever matches process.exec, whatever its action_type says. */
static struct span
group_type(const struct rule *r)
{
	return r->has_exec_match ? SPAN_LIT("process.exec") : r->action_type;
}

struct member {
	struct span action_type;
	uint32_t rule;
};

static int
compare_member(const void *a, const void *b)
{
	const struct member *x = a;
	const struct member *y = b;
	int c = span_cmp(x->action_type, y->action_type);

	return c != 0 ? c : (x->rule > y->rule) - (x->rule < y->rule);
}

static void
put_group(struct index *ix, struct index_group *g)
{
	if (span_eq_cstr(g->action_type, "*")) {
		ix->any = g;
		return;
	}
	uint32_t at = (uint32_t)index_mix(0, index_hash(INDEX_HASH_START, g->action_type)) &
		      ix->groups_mask;
	while (ix->groups[at] != NULL)
		at = (at + 1) & ix->groups_mask;
	ix->groups[at] = g;
}

static bool
build_groups(struct builder *b, struct member *members, size_t n)
{
	size_t n_groups = 0;

	for (size_t i = 0; i < n; i++)
		members[i] = (struct member){group_type(b->rules[i]), (uint32_t)i};
	qsort(members, n, sizeof(*members), compare_member);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || !span_eq(members[i].action_type, members[i - 1].action_type))
			n_groups++;
	}
	uint32_t size = index_table_size(n_groups);
	b->ix->groups = ARENA_ARRAY(b->arena, struct index_group *, size);
	b->ix->groups_mask = size - 1;
	if (b->ix->groups == NULL)
		return false;
	for (size_t i = 0; i < n;) {
		struct span type = members[i].action_type;
		b->n_entries = 0;
		b->n_shapes = 0;
		for (; i < n && span_eq(members[i].action_type, type); i++) {
			if (!add_rule(b, members[i].rule))
				return false;
		}
		struct index_group *g = finish_group(b, type);
		if (g == NULL)
			return false;
		put_group(b->ix, g);
	}
	return true;
}

struct index *
index_new(struct rule *const *rules, size_t n, struct arena *a)
{
	struct index *ix = ARENA_NEW(a, struct index);
	struct builder b = {.rules = rules, .arena = a, .ix = ix};

	if (ix == NULL || !index_intern(ix, rules, n, a))
		return NULL;
	struct member *members = mem_zalloc(n, sizeof(*members));
	b.profile = mem_zalloc(1, sizeof(*b.profile));
	b.shapes = mem_zalloc(SHAPES_MAX, sizeof(*b.shapes));
	bool ok = members != NULL && b.profile != NULL && b.shapes != NULL &&
		  build_groups(&b, members, n);
	mem_free(b.entries);
	mem_free(b.shapes);
	mem_free(b.profile);
	mem_free(members);
	return ok ? ix : NULL;
}
