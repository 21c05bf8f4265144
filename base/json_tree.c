/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Building blocks of the tree that JSON and YAML share. Sorting needs no memory but the array
 * itself and stays quasi-linear on hostile input: insertion sort for few members, heap sort for
 * many. Never recurses. Pure; any thread.
 */
#include "json_tree.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/utf8.h"

enum { INSERTION_MAX = 16 };

void
json_tree_link(struct json_frame *f, struct json *child)
{
	if (f->tail == NULL)
		f->node->first = child;
	else
		f->tail->next = child;
	f->tail = child;
	f->child = child;
	f->node->n++;
}

/* By name, then by place, so that twins end up as neighbours in source order. */
static int
compare_members(const struct json *a, const struct json *b)
{
	int c = span_cmp(a->name, b->name);

	if (c != 0)
		return c;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->column < b->column ? -1 : a->column > b->column;
}

static void
sort_few(struct json **m, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct json *moving = m[i];
		size_t k = i;
		while (k > 0 && compare_members(m[k - 1], moving) > 0) {
			m[k] = m[k - 1];
			k--;
		}
		m[k] = moving;
	}
}

static void
sift_down(struct json **m, size_t root, size_t n)
{
	struct json *moving = m[root];

	for (size_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
		if (child + 1 < n && compare_members(m[child], m[child + 1]) < 0)
			child++;
		if (compare_members(moving, m[child]) >= 0)
			break;
		m[root] = m[child];
		root = child;
	}
	m[root] = moving;
}

static void
sort_many(struct json **m, size_t n)
{
	for (size_t i = n / 2; i > 0; i--)
		sift_down(m, i - 1, n);
	for (size_t end = n - 1; end > 0; end--) {
		struct json *largest = m[0];
		m[0] = m[end];
		m[end] = largest;
		sift_down(m, 0, end);
	}
}

static const struct json *
find_twin(const struct json *o)
{
	const struct json *found = NULL;

	for (size_t i = 1; i < o->n; i++) {
		const struct json *m = o->sorted[i];
		if (!span_eq(o->sorted[i - 1]->name, m->name))
			continue;
		if (found == NULL || m->line < found->line ||
			(m->line == found->line && m->column < found->column))
			found = m;
	}
	return found;
}

bool
json_tree_sort(struct arena *a, struct json *o, const struct json **twin)
{
	bool in_order = true;
	size_t n = 0;

	*twin = NULL;
	o->sorted = NULL;
	if (o->n == 0)
		return true;
	o->sorted = arena_alloc(a, o->n * sizeof(struct json *));
	if (o->sorted == NULL)
		return false;
	for (struct json *m = o->first; m != NULL; m = m->next) {
		if (n > 0 && in_order)
			in_order = span_cmp(o->sorted[n - 1]->name, m->name) < 0;
		o->sorted[n++] = m;
	}
	if (in_order)
		return true;
	if (n <= INSERTION_MAX)
		sort_few(o->sorted, n);
	else
		sort_many(o->sorted, n);
	*twin = find_twin(o);
	return true;
}

size_t
json_tree_lower_bound(const struct json *o, struct span name)
{
	size_t low = 0;
	size_t high = o->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (span_cmp(o->sorted[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
is_plain_name(struct span name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    c == '_' || c == '-'))
			return false;
	}
	return name.n > 0;
}

void
json_tree_show(struct span name, char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < name.n && used + 7 < size; i++) {
		unsigned char c = (unsigned char)name.p[i];
		if (c < 0x20 || c == 0x7f)
			used += (size_t)snprintf(out + used, size - used, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			used += (size_t)snprintf(out + used, size - used, "\\%c", c);
		else
			out[used++] = (char)c;
	}
	/* A sequence of UTF-8 is shown whole or not at all. */
	used = utf8_valid_prefix(span_of(out, used));
	out[used] = '\0';
}

void
json_tree_path(const struct json_stack *s, char *out, size_t size)
{
	char shown[80];
	size_t used = (size_t)snprintf(out, size, "$");

	for (size_t i = 0; i < s->n && used < size; i++) {
		const struct json_frame *f = &s->frames[i];
		if (f->child == NULL)
			break;
		json_tree_show(f->child->name, shown, sizeof(shown));
		if (f->node->type == JSON_ARRAY)
			used += (size_t)snprintf(out + used, size - used, "[%u]", f->node->n - 1);
		else if (is_plain_name(f->child->name))
			used += (size_t)snprintf(out + used, size - used, ".%s", shown);
		else
			used += (size_t)snprintf(out + used, size - used, "[\"%s\"]", shown);
	}
	if (used >= size)
		out[utf8_valid_prefix(span_of(out, size - 1))] = '\0';
}
