/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One object of the file against its table: unknown names, then each row from override,
 * environment, file or default, inner objects and lists in turn, then the object's checks. Depth is
 * bounded by the tables. One thread per load.
 */
#include "engine.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/must.h"

#define NAME_BYTES_MAX 64

static void
refuse_unknown(struct config_scope *s)
{
	for (const struct json *c = s->node->first; c != NULL; c = c->next) {
		struct place at = {NULL, c};
		struct buf name;
		struct buf hint;
		char path[PATH_MAX_BYTES];
		if (row_find(s->object, c->name) != NULL)
			continue;
		struct span shown =
			span_of(c->name.p, c->name.n < NAME_BYTES_MAX ? c->name.n : NAME_BYTES_MAX);
		buf_init_arena(&name, s->loader->scratch, PATH_MAX_BYTES);
		json_quote(&name, shown);
		buf_init_arena(&hint, s->loader->scratch, PATH_MAX_BYTES);
		row_suggest(s->loader->root, s->object, shown, &hint);
		scope_path(s, "", path);
		scope_issue(s->loader, CONFIG_ERROR, &at, path, "unknown key %.*s%s%.*s",
			SPAN_ARG(buf_span(&name)), hint.n > 0 ? ", " : "",
			SPAN_ARG(buf_span(&hint)));
	}
}

/* The node of the row; a section or list without content (null) counts as absent, a null value is
 * refused later. */
static const struct json *
find_node(const struct config_scope *s, const struct config_row *row)
{
	const struct json *node = json_find_cstr(s->node, row->name);
	bool may_be_null = row->type == CONFIG_TYPE_OBJECT || row->type == CONFIG_TYPE_LATER ||
			   row_is_list(row);

	return node != NULL && node->type == JSON_NULL && may_be_null ? NULL : node;
}

static void
clear_sibling(const struct config_object *o, const struct config_row *row, struct given *v)
{
	if (row->clears == NULL)
		return;
	const struct config_row *other = row_find(o, span_cstr(row->clears));
	MUST(other != NULL);
	v[other - o->rows] = (struct given){0};
}

/* Where each row's value comes from: the file, over it the environment, over it the overrides. */
static void
collect(struct config_scope *s, struct given *v)
{
	const struct config_object *o = s->object;
	const struct config_override *override;
	const char *text;

	for (size_t i = 0; i < o->n_rows; i++)
		v[i] = (struct given){.node = find_node(s, &o->rows[i])};
	for (size_t i = 0; i < o->n_rows; i++) {
		const char *origin = scope_origin(s, &o->rows[i], &override, &text);
		if (text == NULL)
			continue;
		const struct json *node = o->rows[i].env_with != NULL ? v[i].node : NULL;
		v[i] = (struct given){.node = node, .origin = origin, .split = true, .n_texts = 1};
		v[i].one = span_cstr(text);
		v[i].texts = &v[i].one;
		clear_sibling(o, &o->rows[i], v);
	}
	for (size_t i = 0; i < o->n_rows; i++) {
		const char *origin = scope_origin(s, &o->rows[i], &override, &text);
		if (override == NULL)
			continue;
		v[i] = (struct given){
			.origin = origin, .texts = override->values, .n_texts = override->n_values};
		clear_sibling(o, &o->rows[i], v);
	}
}

/* The default as text: what the row says, or the zero of its type; false for lists and maps without
 * one. */
static bool
default_text(const struct config_row *row, struct span *out)
{
	*out = span_cstr(row->def);
	if (row->def != NULL)
		return true;
	switch (row->type) {
	case CONFIG_TYPE_BOOL:
	case CONFIG_TYPE_LATER:
		*out = SPAN_LIT("false");
		return true;
	case CONFIG_TYPE_INT:
		*out = SPAN_LIT("0");
		return true;
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_SECRET:
	case CONFIG_TYPE_PATH:
		*out = SPAN_LIT("");
		return true;
	case CONFIG_TYPE_ENUM:
		*out = config_word(row->words, 0);
		return true;
	case CONFIG_TYPE_STRINGS:
	case CONFIG_TYPE_PATHS:
	case CONFIG_TYPE_MAP:
	case CONFIG_TYPE_MAP_STRINGS:
	case CONFIG_TYPE_OBJECT:
	case CONFIG_TYPE_LIST:
		return false;
	}
	UNREACHABLE("config type");
}

static void
read_value(struct config_scope *s, const struct config_row *row, struct given *g, void *options)
{
	if (g->node == NULL && g->texts == NULL) {
		g->is_default = true;
		if (default_text(row, &g->one)) {
			g->texts = &g->one;
			g->n_texts = 1;
			g->split = true;
		}
	}
	value_read(s, row, g, options);
}

static void
read_list(
	struct config_scope *s, const struct config_row *row, const struct given *g, void *options)
{
	const struct json *node = g->node;
	struct slot_list list = {NULL, 0};

	if (node == NULL || (node->type == JSON_ARRAY && node->n == 0)) {
		if ((row->flags & CONFIG_REQUIRED) != 0)
			value_fail(s, row, g, NULL, "is required");
		return;
	}
	if (node->type != JSON_ARRAY) {
		value_fail(s, row, g, NULL, "expected a list, got %s", json_type_name(node->type));
		return;
	}
	if (node->n > (uint64_t)row_max(row) || node->n < (uint64_t)row->min) {
		value_fail(s, row, g, NULL, "%u elements is outside %lld..%lld", node->n,
			(long long)row->min, (long long)row_max(row));
		return;
	}
	list.v = arena_zalloc(s->loader->arena, node->n, row->object->size);
	if (list.v == NULL)
		return;
	list.n = node->n;
	slot_set_list(row_slot(row, options), list);
	size_t i = 0;
	for (const struct json *c = node->first; c != NULL; c = c->next, i++) {
		struct config_scope inner = {.loader = s->loader,
			.parent = s,
			.object = row->object,
			.row = row,
			.node = c,
			.index = i,
			.is_element = true,
			.in_list = true};
		object_read(&inner, (char *)list.v + i * row->object->size);
	}
}

static void
read_row(struct config_scope *s, const struct config_row *row, struct given *g, void *options)
{
	if (row->type == CONFIG_TYPE_LIST) {
		read_list(s, row, g, options);
		return;
	}
	if (row->type == CONFIG_TYPE_OBJECT) {
		struct config_scope inner = {.loader = s->loader,
			.parent = s,
			.object = row->object,
			.row = row,
			.node = g->node,
			.in_list = s->in_list};
		object_read(&inner, row_slot(row, options));
		return;
	}
	read_value(s, row, g, options);
}

void
object_read(struct config_scope *s, void *options)
{
	struct given given[CONFIG_ROWS_MAX];
	size_t n_errors = s->loader->issues.n_errors;

	MUST(s->object->n_rows <= CONFIG_ROWS_MAX);
	if (s->node != NULL && s->node->type != JSON_OBJECT) {
		struct place at = {NULL, s->node};
		char path[PATH_MAX_BYTES];
		scope_path(s, "", path);
		scope_issue(s->loader, CONFIG_ERROR, &at, path, "expected an object, got %s",
			json_type_name(s->node->type));
		return;
	}
	if (s->node != NULL)
		refuse_unknown(s);
	collect(s, given);
	for (size_t i = 0; i < s->object->n_rows; i++)
		read_row(s, &s->object->rows[i], &given[i], options);
	if (s->loader->issues.n_errors != n_errors || s->object->checks == NULL)
		return;
	for (size_t i = 0; s->object->checks[i] != NULL; i++)
		s->object->checks[i](options, s);
}
