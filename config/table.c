/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions about rows and about the members they make: names, nearest names, environment names,
 * words, look-ups in maps. Pure; any thread.
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/must.h"
#include "base/parse.h"

#define SUGGEST_EDITS_MAX 3

static const char *const type_names[] = {
	[CONFIG_TYPE_BOOL] = "boolean",
	[CONFIG_TYPE_INT] = "integer",
	[CONFIG_TYPE_STRING] = "string",
	[CONFIG_TYPE_SECRET] = "secret string",
	[CONFIG_TYPE_PATH] = "path",
	[CONFIG_TYPE_ENUM] = "word",
	[CONFIG_TYPE_STRINGS] = "list of strings",
	[CONFIG_TYPE_PATHS] = "list of paths",
	[CONFIG_TYPE_MAP] = "map of strings",
	[CONFIG_TYPE_MAP_STRINGS] = "map of lists of strings",
	[CONFIG_TYPE_OBJECT] = "object",
	[CONFIG_TYPE_LIST] = "list of objects",
	[CONFIG_TYPE_LATER] = "not built yet",
};

const char *
type_name(enum config_type t)
{
	return type_names[t];
}

const struct config_row *
row_find(const struct config_object *o, struct span name)
{
	for (size_t i = 0; i < o->n_rows; i++)
		if (span_eq_cstr(name, o->rows[i].name))
			return &o->rows[i];
	return NULL;
}

const struct config_row *
row_find_path(const struct config_object *root, struct span path)
{
	const struct config_object *o = root;

	for (;;) {
		size_t dot = span_find(path, '.');
		const struct config_row *row = row_find(o, span_of(path.p, dot));
		if (row == NULL || dot == path.n)
			return row;
		if (row->type != CONFIG_TYPE_OBJECT)
			return NULL;
		o = row->object;
		path = span_from(path, dot + 1);
	}
}

/* Whether a table below o has a row of that name; then its path is in out. */
static bool
find_elsewhere(const struct config_object *o, struct span name, const char *prefix, struct buf *out)
{
	for (size_t i = 0; i < o->n_rows; i++) {
		const struct config_row *row = &o->rows[i];
		char path[PATH_MAX_BYTES];
		if (row->type != CONFIG_TYPE_OBJECT)
			continue;
		snprintf(path, sizeof(path), "%s%s.", prefix, row->name);
		if (row_find(row->object, name) != NULL) {
			buf_printf(out, "%s%.*s", path, SPAN_ARG(name));
			return true;
		}
		if (find_elsewhere(row->object, name, path, out))
			return true;
	}
	return false;
}

void
row_suggest(const struct config_object *root, const struct config_object *o, struct span name,
	struct buf *out)
{
	const char *best = NULL;
	unsigned best_edits = SUGGEST_EDITS_MAX + 1;

	for (size_t i = 0; i < o->n_rows; i++) {
		struct span known = span_cstr(o->rows[i].name);
		unsigned edits = 0;
		if (!span_eq_nocase(known, name))
			edits = parse_edit_distance(known, name, SUGGEST_EDITS_MAX);
		if (edits < best_edits && edits < known.n) {
			best = o->rows[i].name;
			best_edits = edits;
		}
	}
	if (best_edits <= 1) {
		buf_printf(out, "did you mean \"%s\"?", best);
		return;
	}
	BUF_ADD_LIT(out, "did you mean \"");
	if (find_elsewhere(root, name, "", out))
		BUF_ADD_LIT(out, "\"?");
	else if (best != NULL)
		buf_printf(out, "%s\"?", best);
	else
		buf_reset(out);
}

bool
row_env_name(const struct config_row *row, const char *path, char *out, size_t size)
{
	if (row->env == NULL)
		return false;
	if (row->env[0] != '\0')
		return (size_t)snprintf(out, size, "%s", row->env) < size;
	bool gated = row->type == CONFIG_TYPE_LATER && row->gate != NULL;
	int n = snprintf(out, size, "NOMOS_%s%s%s", path, gated ? "." : "", gated ? row->gate : "");
	if (n < 0 || (size_t)n >= size)
		return false;
	for (char *c = out; *c != '\0'; c++) {
		if (*c == '.')
			*c = '_';
		else if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	}
	return true;
}

bool
row_is_list(const struct config_row *row)
{
	switch (row->type) {
	case CONFIG_TYPE_STRINGS:
	case CONFIG_TYPE_PATHS:
	case CONFIG_TYPE_MAP:
	case CONFIG_TYPE_MAP_STRINGS:
	case CONFIG_TYPE_LIST:
		return true;
	case CONFIG_TYPE_BOOL:
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_SECRET:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_ENUM:
	case CONFIG_TYPE_OBJECT:
	case CONFIG_TYPE_LATER:
		return false;
	}
	UNREACHABLE("config type");
}

int64_t
row_max(const struct config_row *row)
{
	if (row->max != 0 || row->type == CONFIG_TYPE_INT)
		return row->max;
	return row_is_list(row) ? CONFIG_ELEMENTS_MAX : CONFIG_STRING_MAX;
}

bool
row_is_built(const struct config_row *row)
{
	if (row->type != CONFIG_TYPE_OBJECT)
		return row->type != CONFIG_TYPE_LATER;
	for (size_t i = 0; i < row->object->n_rows; i++)
		if (row_is_built(&row->object->rows[i]))
			return true;
	return false;
}

bool
json_is_something(const struct json *v)
{
	if (v == NULL)
		return false;
	switch (v->type) {
	case JSON_NULL:
		return false;
	case JSON_BOOL:
		return v->boolean;
	case JSON_NUMBER:
		return !span_eq_cstr(v->text, "0");
	case JSON_STRING:
		return v->text.n > 0;
	case JSON_ARRAY:
	case JSON_OBJECT:
		for (const struct json *c = v->first; c != NULL; c = c->next)
			if (json_is_something(c))
				return true;
		return false;
	}
	UNREACHABLE("json type");
}

/* An enum is an int of unknown declared type: copied, not cast. */
int
slot_get_enum(const void *slot)
{
	int v;
	memcpy(&v, slot, sizeof(v));
	return v;
}

void
slot_set_enum(void *slot, int v)
{
	memcpy(slot, &v, sizeof(v));
}

/* CONFIG_C_LIST has the layout of struct slot_list, with a pointer of another type. */
struct slot_list
slot_get_list(const void *slot)
{
	struct slot_list l;
	memcpy(&l, slot, sizeof(l));
	return l;
}

void
slot_set_list(void *slot, struct slot_list l)
{
	memcpy(slot, &l, sizeof(l));
}

struct span
config_word(const char *words, int index)
{
	struct span rest = span_cstr(words);

	for (int i = 0; index >= 0; i++) {
		size_t bar = span_find(rest, '|');
		if (i == index)
			return span_of(rest.p, bar);
		if (bar == rest.n)
			break;
		rest = span_from(rest, bar + 1);
	}
	return SPAN_NONE;
}

int
config_word_index(const char *words, struct span word)
{
	struct span w = config_word(words, 0);

	for (int i = 0; w.p != NULL; w = config_word(words, ++i))
		if (span_eq(w, word))
			return i;
	return -1;
}

/* Entries of either kind of map begin with their key. */
static int
compare_key(const void *key, const void *entry)
{
	return span_cmp(*(const struct span *)key, *(const struct span *)entry);
}

struct span
config_map_find(const struct config_map *m, struct span key)
{
	const struct config_pair *found =
		m->n > 0 ? bsearch(&key, m->v, m->n, sizeof(*m->v), compare_key) : NULL;

	return found != NULL ? found->value : SPAN_NONE;
}

struct config_strings
config_map_strings_find(const struct config_map_strings *m, struct span key)
{
	const struct config_entry *found =
		m->n > 0 ? bsearch(&key, m->v, m->n, sizeof(*m->v), compare_key) : NULL;

	return found != NULL ? found->values : (struct config_strings){NULL, 0};
}

bool
config_strings_has(const struct config_strings *s, struct span text)
{
	for (size_t i = 0; i < s->n; i++)
		if (span_eq(s->v[i], text))
			return true;
	return false;
}
