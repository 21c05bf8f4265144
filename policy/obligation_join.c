/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins the obligations of several rules by the most restrictive value (obligation.h). The order of
 * the rules makes no difference. It allocates in the request's arena only. Pure; any thread.
 */
#include "obligation.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/must.h"
#include "obligation_value.h"

/* One stated member. */
struct stated {
	const struct json *v;
	bool is_winner;
};

struct join {
	struct arena *arena;
	const struct obligation_input *in;
	struct stated *stated; /* ascending by name */
	size_t n;
	struct json *out;
};

static int
compare_stated(const void *a, const void *b)
{
	const struct stated *x = a;
	const struct stated *y = b;

	return span_cmp(x->v->name, y->v->name);
}

static size_t
count_members(const struct rule_head *const *heads, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		MUST(heads[i] != NULL);
		sum += heads[i]->has_obligations ? heads[i]->rule->map->n : 0;
	}
	return sum;
}

static void
collect(struct join *j, const struct rule_head *const *heads, size_t n, bool is_winner)
{
	for (size_t i = 0; i < n; i++) {
		if (!heads[i]->has_obligations)
			continue;
		for (const struct json *m = heads[i]->rule->map->first; m != NULL; m = m->next)
			j->stated[j->n++] = (struct stated){m, is_winner};
	}
}

/*
 * What was derived of those rules that have exec_match. *n_out is their number; NULL when the arena
 * is full.
 */
static const struct json **
find_derived(const struct rule_head *const *heads, size_t n, struct arena *a, size_t *n_out)
{
	const struct json **v = ARENA_ARRAY(a, const struct json *, n + 1);

	*n_out = 0;
	for (size_t i = 0; i < n && v != NULL; i++) {
		if (heads[i]->has_exec_match)
			v[(*n_out)++] = json_find_cstr(heads[i]->rule->map, "exec_constraints");
	}
	return v;
}

/*
 * Every approval rule must ask for the class: one that does not wants a person to see each action.
 * What an ALLOW rule says about approvals is no permission.
 */
static bool
is_scope_kept(const struct join *j, const struct stated *s, size_t n)
{
	size_t asking = 0;
	const struct json *first = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!s[i].is_winner)
			continue;
		if (first != NULL && !span_eq(first->text, s[i].v->text))
			return false;
		first = s[i].v;
		asking++;
	}
	return asking > 0 && asking == j->in->n_winners;
}

static struct json *
join_constraints(const struct join *j, const struct json *const *v, size_t n)
{
	const struct obligation_input *in = j->in;
	size_t n_derived = 0;
	const struct json **derived;

	if (in->winners[0]->verdict == VERDICT_DENY)
		return value_intersect_constraints(v, n, j->arena);
	derived = find_derived(in->winners, in->n_winners, j->arena, &n_derived);
	if (derived != NULL && n_derived == 0)
		derived = find_derived(in->allowing, in->n_allowing, j->arena, &n_derived);
	if (derived == NULL)
		return NULL;
	if (n_derived > 0)
		return value_unite_constraints(derived, n_derived, j->arena);
	return value_intersect_constraints(v, n, j->arena);
}

static struct json *
join_values(const struct join *j, enum obligation_kind kind, const struct json *const *v, size_t n)
{
	struct arena *a = j->arena;

	switch (kind) {
	case KIND_INT:
		return value_least(v, n, a);
	case KIND_BOOL:
		return value_and(v, n, a);
	case KIND_SANDBOX:
		return value_strongest(v, n, a);
	case KIND_SET:
		return value_intersect(v, n, a);
	case KIND_PREFIXES:
		return value_intersect_prefixes(v, n, a);
	case KIND_CONSTRAINTS:
		return join_constraints(j, v, n);
	case KIND_APPROVERS:
		return value_join_approvers(v, n, a);
	case KIND_SCOPE:
	case KIND_CARRIED:
		break;
	}
	return value_unite(v, n, a);
}

/* The members [from, to) share a name. */
static bool
join_group(struct join *j, size_t from, size_t to)
{
	struct span name = j->stated[from].v->name;
	enum obligation_id id = obligation_find(name);
	enum obligation_kind kind = id == OBLIGATION__MAX ? KIND_CARRIED : obligation_rows[id].kind;
	size_t n = to - from;

	if (id == OBLIGATION_APPROVAL_SCOPE_CLASS && !is_scope_kept(j, &j->stated[from], n))
		return true;
	const struct json **v = ARENA_ARRAY(j->arena, const struct json *, n);
	if (v == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		v[i] = j->stated[from + i].v;
	struct json *joined = join_values(j, kind, v, n);
	return joined != NULL && json_add_member(j->arena, j->out, name, joined);
}

static bool
join_all(struct join *j)
{
	for (size_t from = 0; from < j->n;) {
		size_t to = from + 1;
		while (to < j->n && span_eq(j->stated[to].v->name, j->stated[from].v->name))
			to++;
		if (!join_group(j, from, to))
			return false;
		from = to;
	}
	return true;
}

/* The rule whose own obligations are the answer, when there is one. */
static const struct rule_head *
find_only(const struct obligation_input *in)
{
	return in->n_winners == 1 && in->n_allowing == 0 ? in->winners[0] : NULL;
}

bool
obligation_join(const struct obligation_input *in, struct arena *a, struct obligations *out)
{
	struct join j = {.arena = a, .in = in};
	const struct rule_head *only = find_only(in);

	*out = (struct obligations){.canonical = SPAN_LIT("{}")};
	if (in->n_winners == 0)
		return true;
	if (only != NULL) {
		if (only->has_obligations)
			*out = only->rule->obligations;
		return true;
	}
	size_t n = count_members(in->winners, in->n_winners) +
		   count_members(in->allowing, in->n_allowing);
	if (n == 0)
		return true;
	j.stated = ARENA_ARRAY(a, struct stated, n);
	j.out = json_new(a, JSON_OBJECT);
	if (j.stated == NULL || j.out == NULL)
		return false;
	collect(&j, in->winners, in->n_winners, true);
	collect(&j, in->allowing, in->n_allowing, false);
	qsort(j.stated, j.n, sizeof(*j.stated), compare_stated);
	return join_all(&j) && obligation_read(j.out, a, out);
}
