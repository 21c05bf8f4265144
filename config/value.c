/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One row's value, from a node of the file or a text from elsewhere, into its member: type, range,
 * required, not built yet. A default goes the same way as what an operator wrote. One thread per
 * load.
 */
#include "engine.h"

#include "base/arena.h"
#include "base/fdio.h"
#include "base/must.h"
#include "base/parse.h"

/* The single text of an environment variable, override or default. */
static bool
need_one(struct config_scope *s, const struct config_row *row, const struct given *g,
	struct span *out)
{
	*out = SPAN_NONE;
	if (g->n_texts != 1) {
		value_fail(s, row, g, NULL, "takes one value, got %zu", g->n_texts);
		return false;
	}
	*out = g->texts[0];
	return true;
}

static bool
read_bool(struct config_scope *s, const struct config_row *row, const struct given *g, bool *out)
{
	struct span text;

	if (g->node != NULL) {
		if (g->node->type != JSON_BOOL) {
			value_fail(s, row, g, NULL, "expected true or false, got %s",
				json_type_name(g->node->type));
			return false;
		}
		*out = g->node->boolean;
		return true;
	}
	if (!need_one(s, row, g, &text))
		return false;
	if (parse_bool(text, out))
		return true;
	value_fail(s, row, g, NULL, "%s is neither true nor false", value_quote(s, text));
	return false;
}

static bool
is_whole(struct span number)
{
	for (size_t i = 0; i < number.n; i++) {
		char c = number.p[i];
		if ((c < '0' || c > '9') && !(c == '-' && i == 0 && number.n > 1))
			return false;
	}
	return number.n > 0;
}

static bool
read_int(struct config_scope *s, const struct config_row *row, const struct given *g, int64_t *out)
{
	struct span text;
	int64_t v;

	if (g->node != NULL && g->node->type != JSON_NUMBER) {
		value_fail(s, row, g, NULL, "expected an integer, got %s",
			json_type_name(g->node->type));
		return false;
	}
	if (g->node != NULL)
		text = g->node->text;
	else if (!need_one(s, row, g, &text))
		return false;
	if (parse_int(text, row->min, row->max, &v)) {
		*out = v;
		return true;
	}
	int cut = text.n > 40 ? 40 : (int)text.n;
	if (!is_whole(text))
		value_fail(s, row, g, NULL, "%s is not an integer", value_quote(s, text));
	else
		value_fail(s, row, g, NULL, "%.*s is outside %lld..%lld%s%s", cut, text.p,
			(long long)row->min, (long long)row->max, row->unit != NULL ? " " : "",
			row->unit != NULL ? row->unit : "");
	return false;
}

static bool
read_text(struct config_scope *s, const struct config_row *row, const struct given *g,
	struct span *out)
{
	if (g->node != NULL)
		return value_node_text(s, row, g, g->node, out);
	return need_one(s, row, g, out);
}

/* STRING, SECRET, PATH. */
static bool
read_string(struct config_scope *s, const struct config_row *row, const struct given *g,
	struct span *out)
{
	struct span text;

	if (!read_text(s, row, g, &text))
		return false;
	if (!value_check_text(s, row, g, NULL, text, row_max(row)))
		return false;
	if (text.n > 0 && text.n < (uint64_t)row->min) {
		value_fail(s, row, g, NULL, "%zu bytes is under the minimum of %lld", text.n,
			(long long)row->min);
		return false;
	}
	if (row->type == CONFIG_TYPE_PATH)
		*out = config_resolve(s, text);
	else
		*out = arena_dup(s->loader->arena, text);
	return true;
}

static bool
read_enum(struct config_scope *s, const struct config_row *row, const struct given *g, void *slot)
{
	struct span text;
	int index;

	if (!read_text(s, row, g, &text) || !value_find_word(s, row, g, NULL, text, &index))
		return false;
	slot_set_enum(slot, index);
	return true;
}

/* Whether a part that is not built is asked for. */
static bool
read_later(struct config_scope *s, const struct config_row *row, const struct given *g, bool *out)
{
	if (g->node != NULL && row->gate == NULL) {
		*out = json_is_something(g->node);
		return true;
	}
	if (g->node != NULL) {
		struct given gate = {.node = json_find_cstr(g->node, row->gate)};
		if (g->node->type != JSON_OBJECT) {
			value_fail(s, row, g, NULL, "expected an object, got %s",
				json_type_name(g->node->type));
			return false;
		}
		return gate.node == NULL || read_bool(s, row, &gate, out);
	}
	if (row->gate != NULL || g->is_default)
		return read_bool(s, row, g, out);
	*out = true;
	return true;
}

static bool
read_slot(
	struct config_scope *s, const struct config_row *row, const struct given *g, void *options)
{
	void *slot = row_slot(row, options);

	switch (row->type) {
	case CONFIG_TYPE_BOOL:
		return read_bool(s, row, g, slot);
	case CONFIG_TYPE_INT:
		return read_int(s, row, g, slot);
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_SECRET:
	case CONFIG_TYPE_PATH:
		return read_string(s, row, g, slot);
	case CONFIG_TYPE_ENUM:
		return read_enum(s, row, g, slot);
	case CONFIG_TYPE_STRINGS:
	case CONFIG_TYPE_PATHS:
		return value_read_strings(s, row, g, slot);
	case CONFIG_TYPE_MAP:
		return value_read_map(s, row, g, options);
	case CONFIG_TYPE_MAP_STRINGS:
		return value_read_map_strings(s, row, g, slot);
	case CONFIG_TYPE_LATER:
		return read_later(s, row, g, slot);
	case CONFIG_TYPE_OBJECT:
	case CONFIG_TYPE_LIST:
		break;
	}
	UNREACHABLE("objects are read by object.c");
}

static bool
is_empty(const struct config_row *row, const void *slot)
{
	switch (row->type) {
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_SECRET:
	case CONFIG_TYPE_PATH:
		return ((const struct span *)slot)->n == 0;
	case CONFIG_TYPE_ENUM:
		return config_word(row->words, slot_get_enum(slot)).n == 0;
	case CONFIG_TYPE_STRINGS:
	case CONFIG_TYPE_PATHS:
		return ((const struct config_strings *)slot)->n == 0;
	case CONFIG_TYPE_MAP:
		return ((const struct config_map *)slot)->n == 0;
	case CONFIG_TYPE_MAP_STRINGS:
		return ((const struct config_map_strings *)slot)->n == 0;
	case CONFIG_TYPE_BOOL:
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_OBJECT:
	case CONFIG_TYPE_LIST:
	case CONFIG_TYPE_LATER:
		return false;
	}
	UNREACHABLE("config type");
}

/* Whether the operator set the row to something that it would switch on or change. */
static bool
is_asked_for(const struct config_row *row, const struct given *g, const void *slot)
{
	bool v;

	if (g->is_default)
		return false;
	if (row->type == CONFIG_TYPE_LATER || row->type == CONFIG_TYPE_BOOL)
		return *(const bool *)slot;
	if (g->node != NULL)
		return json_is_something(g->node);
	return g->n_texts != 1 || !parse_bool(g->texts[0], &v) || v;
}

static void
say_status(struct config_scope *s, const struct config_row *row, const struct given *g)
{
	struct place at = {g->origin, g->node};
	const char *reason = row->reason != NULL ? row->reason : "";
	char key[PATH_MAX_BYTES];
	char path[PATH_MAX_BYTES];

	size_t n = strlen(row->name);
	if (row->gate != NULL && n + strlen(row->gate) + 2 < sizeof(key)) {
		memcpy(key, row->name, n);
		key[n] = '.';
		memcpy(key + n + 1, row->gate, strlen(row->gate) + 1);
		scope_path(s, key, path);
	} else {
		scope_path(s, row->name, path);
	}
	if ((row->flags & CONFIG_DEPRECATED) != 0)
		scope_issue(s->loader, CONFIG_WARN, &at, path, "deprecated: %s", reason);
	switch (row->unbuilt) {
	case CONFIG_BUILT:
		return;
	case CONFIG_UNBUILT_INFO:
		scope_issue(s->loader, CONFIG_INFO, &at, path, "not used here: %s", reason);
		return;
	case CONFIG_UNBUILT_WARN:
		scope_issue(s->loader, CONFIG_WARN, &at, path, "has no effect yet: %s", reason);
		return;
	case CONFIG_UNBUILT_REFUSED:
		scope_issue(s->loader, CONFIG_ERROR, &at, path, "not supported yet: %s", reason);
		return;
	}
	UNREACHABLE("unbuilt level");
}

void
value_read(
	struct config_scope *s, const struct config_row *row, const struct given *g, void *options)
{
	void *slot = row_slot(row, options);

	if (!read_slot(s, row, g, options))
		return;
	if ((row->flags & CONFIG_REQUIRED) != 0 && is_empty(row, slot)) {
		value_fail(s, row, g, NULL, "is required");
		return;
	}
	if (is_asked_for(row, g, slot))
		say_status(s, row, g);
}
