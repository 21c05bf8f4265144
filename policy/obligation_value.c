/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins of single obligation values. A join never yields a value that permits more than each of its
 * inputs. It allocates in the arena only. Pure; any thread.
 */
#include "obligation_value.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "obligation.h"

/* A node of its own over the same children; what is borrowed lives as long as the policy. */
static struct json *
copy_node(const struct json *v, struct arena *a)
{
	struct json *copy = json_new(a, v->type);

	if (copy == NULL)
		return NULL;
	*copy = *v;
	copy->next = NULL;
	copy->name = SPAN_NONE;
	return copy;
}

struct json *
value_least(const struct json *const *v, size_t n, struct arena *a)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < n; i++) {
		int64_t one = 0;
		if (!json_get_int(v[i], INT64_MIN, INT64_MAX, &one))
			one = 0;
		if (one < least)
			least = one;
	}
	return json_new_int(a, least);
}

struct json *
value_and(const struct json *const *v, size_t n, struct arena *a)
{
	bool all = true;

	for (size_t i = 0; i < n; i++)
		all = all && v[i]->type == JSON_BOOL && v[i]->boolean;
	return json_new_bool(a, all);
}

struct json *
value_strongest(const struct json *const *v, size_t n, struct arena *a)
{
	enum sandbox_mode mode = SANDBOX_NONE;

	for (size_t i = 0; i < n; i++) {
		enum sandbox_mode one = obligation_read_sandbox(v[i]);
		if (one > mode)
			mode = one;
	}
	return json_new_string(a, span_cstr(obligation_sandbox_name(mode)));
}

static int
compare_text(const void *a, const void *b)
{
	const struct json *const *x = a;
	const struct json *const *y = b;

	return span_cmp((*x)->text, (*y)->text);
}

static bool
has_text(const struct json *list, struct span text)
{
	for (const struct json *e = list->first; e != NULL; e = e->next) {
		if (span_eq(e->text, text))
			return true;
	}
	return false;
}

/* The elements of v[0] that is_in finds in all the others; *n_out is their number. */
static const struct json **
keep_common(const struct json *const *v, size_t n, struct arena *a, size_t *n_out)
{
	const struct json **kept = ARENA_ARRAY(a, const struct json *, v[0]->n + 1u);

	*n_out = 0;
	if (kept == NULL)
		return NULL;
	for (const struct json *e = v[0]->first; e != NULL; e = e->next) {
		bool in_all = true;
		for (size_t i = 1; i < n && in_all; i++)
			in_all = has_text(v[i], e->text);
		if (in_all)
			kept[(*n_out)++] = e;
	}
	return kept;
}

struct json *
value_intersect(const struct json *const *v, size_t n, struct arena *a)
{
	struct json *list = json_new(a, JSON_ARRAY);
	size_t n_kept;
	const struct json **kept = keep_common(v, n, a, &n_kept);

	if (list == NULL || kept == NULL)
		return NULL;
	qsort(kept, n_kept, sizeof(struct json *), compare_text);
	for (size_t i = 0; i < n_kept; i++) {
		if (i > 0 && span_eq(kept[i]->text, kept[i - 1]->text))
			continue;
		struct json *copy = copy_node(kept[i], a);
		if (copy == NULL || !json_add_element(a, list, copy))
			return NULL;
	}
	return list;
}

int
value_compare_argv(const struct json *a, const struct json *b)
{
	const struct json *x = a->first;
	const struct json *y = b->first;

	/* NUL is the least byte, so comparing token by token orders as the joined text does. */
	for (; x != NULL && y != NULL; x = x->next, y = y->next) {
		int c = span_cmp(x->text, y->text);
		if (c != 0)
			return c;
	}
	return (x != NULL) - (y != NULL);
}

static int
compare_argv(const void *a, const void *b)
{
	const struct json *const *x = a;
	const struct json *const *y = b;

	return value_compare_argv(*x, *y);
}

bool
value_add_argv_sorted(struct json *list, const struct json **elements, size_t n, struct arena *a)
{
	if (n > 0)
		qsort(elements, n, sizeof(struct json *), compare_argv);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && value_compare_argv(elements[i], elements[i - 1]) == 0)
			continue;
		struct json *copy = copy_node(elements[i], a);
		if (copy == NULL || !json_add_element(a, list, copy))
			return false;
	}
	return true;
}

/* Whether argv begins with prefix. */
static bool
begins_with(const struct json *argv, const struct json *prefix)
{
	const struct json *x = argv->first;
	const struct json *y = prefix->first;

	for (; x != NULL && y != NULL; x = x->next, y = y->next) {
		if (!span_eq(x->text, y->text))
			return false;
	}
	return y == NULL;
}

/* Whether every command that begins with `argv` also begins with an element of the list. */
static bool
is_covered(const struct json *argv, const struct json *list)
{
	for (const struct json *e = list->first; e != NULL; e = e->next) {
		if (begins_with(argv, e))
			return true;
	}
	return false;
}

/*
 * A prefix satisfies all lists when each covers it. Prefixes of every list are candidates: of two
 * that overlap the longer one stands for both.
 */
struct json *
value_intersect_prefixes(const struct json *const *v, size_t n, struct arena *a)
{
	struct json *list = json_new(a, JSON_ARRAY);
	size_t total = 0;
	size_t n_kept = 0;

	for (size_t i = 0; i < n; i++)
		total += v[i]->n;
	const struct json **kept = ARENA_ARRAY(a, const struct json *, total + 1);
	if (list == NULL || kept == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		for (const struct json *e = v[i]->first; e != NULL; e = e->next) {
			bool in_all = true;
			for (size_t k = 0; k < n && in_all; k++)
				in_all = is_covered(e, v[k]);
			if (in_all)
				kept[n_kept++] = e;
		}
	}
	return value_add_argv_sorted(list, kept, n_kept, a) ? list : NULL;
}

static bool
has_argv(const struct json *list, const struct json *argv)
{
	for (const struct json *e = list->first; e != NULL; e = e->next) {
		if (value_compare_argv(e, argv) == 0)
			return true;
	}
	return false;
}

/* {"argv_patterns": the elements, sorted, each once}. */
static struct json *
make_constraints(const struct json **elements, size_t n, struct arena *a)
{
	struct json *object = json_new(a, JSON_OBJECT);
	struct json *list = json_new(a, JSON_ARRAY);

	if (object == NULL || list == NULL || !value_add_argv_sorted(list, elements, n, a) ||
		!json_add_member(a, object, SPAN_LIT("argv_patterns"), list))
		return NULL;
	return object;
}

struct json *
value_unite_constraints(const struct json *const *v, size_t n, struct arena *a)
{
	size_t total = 0;
	size_t n_kept = 0;

	for (size_t i = 0; i < n; i++)
		total += json_find_cstr(v[i], "argv_patterns")->n;
	const struct json **kept = ARENA_ARRAY(a, const struct json *, total + 1);
	if (kept == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const struct json *list = json_find_cstr(v[i], "argv_patterns");
		for (const struct json *e = list->first; e != NULL; e = e->next)
			kept[n_kept++] = e;
	}
	return make_constraints(kept, n_kept, a);
}

struct json *
value_intersect_constraints(const struct json *const *v, size_t n, struct arena *a)
{
	const struct json *first = json_find_cstr(v[0], "argv_patterns");
	size_t n_kept = 0;
	const struct json **kept = ARENA_ARRAY(a, const struct json *, first->n + 1u);

	if (kept == NULL)
		return NULL;
	for (const struct json *e = first->first; e != NULL; e = e->next) {
		bool in_all = true;
		for (size_t i = 1; i < n && in_all; i++)
			in_all = has_argv(json_find_cstr(v[i], "argv_patterns"), e);
		if (in_all)
			kept[n_kept++] = e;
	}
	return make_constraints(kept, n_kept, a);
}

/* Adds member `name`, joined over those objects that have it. */
static bool
join_member(
	const struct json *const *v, size_t n, const char *name, struct json *out, struct arena *a)
{
	const struct json **lists = ARENA_ARRAY(a, const struct json *, n);
	size_t n_lists = 0;

	if (lists == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct json *m = json_find_cstr(v[i], name);
		if (m != NULL)
			lists[n_lists++] = m;
	}
	if (n_lists == 0)
		return true;
	struct json *joined = value_intersect(lists, n_lists, a);
	return joined != NULL && json_add_member(a, out, span_cstr(name), joined);
}

struct json *
value_join_approvers(const struct json *const *v, size_t n, struct arena *a)
{
	struct json *out = json_new(a, JSON_OBJECT);
	int64_t most = 0;

	if (out == NULL || !join_member(v, n, "groups", out, a) ||
		!join_member(v, n, "principals", out, a) || !join_member(v, n, "roles", out, a))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		int64_t min = 0;
		if (json_get_int(json_find_cstr(v[i], "min"), 1, INT64_MAX, &min) && min > most)
			most = min;
	}
	if (most == 0)
		return out;
	struct json *min = json_new_int(a, most);
	return min != NULL && json_add_member(a, out, SPAN_LIT("min"), min) ? out : NULL;
}

struct keyed {
	struct span canonical;
	const struct json *v;
};

static int
compare_keyed(const void *a, const void *b)
{
	const struct keyed *x = a;
	const struct keyed *y = b;

	return span_cmp(x->canonical, y->canonical);
}

struct json *
value_unite(const struct json *const *v, size_t n, struct arena *a)
{
	struct keyed *keyed = ARENA_ARRAY(a, struct keyed, n);
	struct json *list = json_new(a, JSON_ARRAY);

	if (keyed == NULL || list == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		struct buf b;
		buf_init_arena(&b, a, BUF_CAP_REPLY);
		json_canonical_typed(v[i], &b);
		if (buf_failed(&b))
			return NULL;
		keyed[i] = (struct keyed){buf_span(&b), v[i]};
	}
	qsort(keyed, n, sizeof(*keyed), compare_keyed);
	if (span_eq(keyed[0].canonical, keyed[n - 1].canonical))
		return copy_node(keyed[0].v, a);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && span_eq(keyed[i].canonical, keyed[i - 1].canonical))
			continue;
		struct json *copy = copy_node(keyed[i].v, a);
		if (copy == NULL || !json_add_element(a, list, copy))
			return NULL;
	}
	return list;
}
