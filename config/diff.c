/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Two option sets compared row by row for a reload: which keys changed, and which of them may not
 * while running. Pure; any thread.
 */
#include "engine.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/must.h"

static bool
strings_equal(const struct config_strings *a, const struct config_strings *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!span_eq(a->v[i], b->v[i]))
			return false;
	return true;
}

static bool
maps_equal(const struct config_map *a, const struct config_map *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!span_eq(a->v[i].key, b->v[i].key) || !span_eq(a->v[i].value, b->v[i].value))
			return false;
	return true;
}

static bool
map_strings_equal(const struct config_map_strings *a, const struct config_map_strings *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!span_eq(a->v[i].key, b->v[i].key) ||
			!strings_equal(&a->v[i].values, &b->v[i].values))
			return false;
	return true;
}

static bool row_equal(const struct config_row *row, const void *a, const void *b);

static bool
lists_equal(const struct config_object *o, struct slot_list a, struct slot_list b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n * o->n_rows; i++) {
		size_t at = i / o->n_rows * o->size;
		if (!row_equal(&o->rows[i % o->n_rows], (const char *)a.v + at,
			    (const char *)b.v + at))
			return false;
	}
	return true;
}

static bool
objects_equal(const struct config_object *o, const void *a, const void *b)
{
	for (size_t i = 0; i < o->n_rows; i++)
		if (!row_equal(&o->rows[i], a, b))
			return false;
	return true;
}

/* Compares the row's members of two structs. Depth is that of the tables. */
static bool
row_equal(const struct config_row *row, const void *options_a, const void *options_b)
{
	const void *a = row_get(row, options_a);
	const void *b = row_get(row, options_b);

	switch (row->type) {
	case CONFIG_TYPE_BOOL:
	case CONFIG_TYPE_LATER:
		return *(const bool *)a == *(const bool *)b;
	case CONFIG_TYPE_INT:
		return *(const int64_t *)a == *(const int64_t *)b;
	case CONFIG_TYPE_ENUM:
		return slot_get_enum(a) == slot_get_enum(b);
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_SECRET:
	case CONFIG_TYPE_PATH:
		return span_eq(*(const struct span *)a, *(const struct span *)b);
	case CONFIG_TYPE_STRINGS:
	case CONFIG_TYPE_PATHS:
		return strings_equal(a, b);
	case CONFIG_TYPE_MAP:
		return maps_equal(a, b);
	case CONFIG_TYPE_MAP_STRINGS:
		return map_strings_equal(a, b);
	case CONFIG_TYPE_OBJECT:
		return objects_equal(row->object, a, b);
	case CONFIG_TYPE_LIST:
		return lists_equal(row->object, slot_get_list(a), slot_get_list(b));
	}
	UNREACHABLE("config type");
}

static void
compare_object(const struct config_object *o, const char *prefix, const void *before,
	const void *after, config_change_fn visit, void *arg)
{
	for (size_t i = 0; i < o->n_rows; i++) {
		const struct config_row *row = &o->rows[i];
		char path[PATH_MAX_BYTES];
		if (row_equal(row, before, after))
			continue;
		snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "",
			row->name);
		if (row->type == CONFIG_TYPE_OBJECT) {
			compare_object(row->object, path, row_get(row, before), row_get(row, after),
				visit, arg);
			continue;
		}
		const struct config_change change = {
			.path = path,
			.needs_restart = (row->flags & CONFIG_RELOAD) == 0,
			.row = row,
			.before = row_get(row, before),
			.after = row_get(row, after),
		};
		visit(&change, arg);
	}
}

void
config_compare(const struct config_object *root, const void *before, const void *after,
	config_change_fn visit, void *arg)
{
	compare_object(root, "", before, after, visit, arg);
}

static void
add_issue(const struct config_change *change, void *arg)
{
	struct issue_list *l = arg;

	if (change->needs_restart)
		issue_add(l, CONFIG_ERROR, NULL,
			arena_printf(l->arena, "%s: cannot change while running", change->path));
	else
		issue_add(
			l, CONFIG_INFO, NULL, arena_printf(l->arena, "%s: changed", change->path));
}

enum err
config_diff(const struct config_object *root, const void *before, const void *after,
	struct arena *a, struct config_report *report, struct errinfo *ei)
{
	struct issue_list l;

	*report = (struct config_report){0};
	issue_list_init(&l, a);
	config_compare(root, before, after, add_issue, &l);
	return issue_list_close(&l, report, ei);
}
