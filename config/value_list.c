/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Values with elements: lists of texts and maps by name. Every element is checked, so that all
 * faults of a list are reported in one run; maps come out ordered by name. Names and values of
 * secret maps never reach a message.
 */
#include "engine.h"

#include "base/arena.h"

static const struct json *
node_of_type(struct config_scope *s, const struct config_row *row, const struct given *g,
	const struct json *node, enum json_type type)
{
	if (node->type == type)
		return node;
	value_fail(s, row, g, node, "expected %s, got %s",
		type == JSON_ARRAY ? "a list" : "an object", json_type_name(node->type));
	return NULL;
}

static bool
check_count(struct config_scope *s, const struct config_row *row, const struct given *g, size_t n)
{
	if (n > (uint64_t)row_max(row)) {
		value_fail(s, row, g, NULL, "%zu elements is over the limit of %lld", n,
			(long long)row_max(row));
		return false;
	}
	if (n > 0 && n < (uint64_t)row->min) {
		value_fail(s, row, g, NULL, "%zu elements is under the minimum of %lld", n,
			(long long)row->min);
		return false;
	}
	return true;
}

/* One text of a list or map, checked and copied into *out. */
static bool
keep_text(struct config_scope *s, const struct config_row *row, const struct given *g,
	const struct json *node, struct span *out)
{
	struct span text = *out;
	int index;

	if (text.n == 0) {
		value_fail(s, row, g, node, "an element is empty");
		return false;
	}
	if (!value_check_text(s, row, g, node, text, CONFIG_STRING_MAX))
		return false;
	if (row->type == CONFIG_TYPE_PATHS) {
		*out = config_resolve(s, text);
		return true;
	}
	if (row->words != NULL) {
		if (!value_find_word(s, row, g, node, text, &index))
			return false;
		text = config_word(row->words, index);
	}
	*out = arena_dup(s->loader->arena, text);
	return true;
}

/* The texts of an array node. */
static bool
read_array(struct config_scope *s, const struct config_row *row, const struct given *g,
	const struct json *array, struct config_strings *out)
{
	if (array->n == 0)
		return true;
	struct span *v = ARENA_ARRAY(s->loader->arena, struct span, array->n);
	if (v == NULL)
		return false;
	bool ok = true;
	size_t n = 0;
	for (const struct json *c = array->first; c != NULL; c = c->next) {
		struct span text;
		if (!value_node_text(s, row, g, c, &text) || !keep_text(s, row, g, c, &text))
			ok = false;
		else
			v[n++] = text;
	}
	*out = (struct config_strings){v, n};
	return ok;
}

/* The parts of "a, b,,c" between commas: trimmed, blank ones dropped. v may be NULL to count only.
 */
static size_t
split_commas(struct span text, struct span *v)
{
	size_t n = 0;

	for (;;) {
		size_t comma = span_find(text, ',');
		struct span part = span_trim(span_of(text.p, comma));
		if (part.n > 0) {
			if (v != NULL)
				v[n] = part;
			n++;
		}
		if (comma == text.n)
			return n;
		text = span_from(text, comma + 1);
	}
}

static bool
read_texts(struct config_scope *s, const struct config_row *row, const struct given *g,
	struct config_strings *out)
{
	size_t n = g->split ? split_commas(g->texts[0], NULL) : g->n_texts;
	if (n == 0)
		return true;
	struct span *v = ARENA_ARRAY(s->loader->arena, struct span, n);
	if (v == NULL)
		return false;
	if (g->split)
		split_commas(g->texts[0], v);
	else
		memcpy(v, g->texts, n * sizeof(*v));
	bool ok = true;
	for (size_t i = 0; i < n; i++)
		if (!keep_text(s, row, g, NULL, &v[i])) {
			v[i] = SPAN_NONE;
			ok = false;
		}
	*out = (struct config_strings){v, n};
	return ok;
}

bool
value_read_strings(struct config_scope *s, const struct config_row *row, const struct given *g,
	struct config_strings *out)
{
	if (g->texts != NULL) {
		if (!read_texts(s, row, g, out))
			return false;
	} else if (g->node == NULL) {
		return true;
	} else if (node_of_type(s, row, g, g->node, JSON_ARRAY) == NULL ||
		   !read_array(s, row, g, g->node, out)) {
		return false;
	}
	return check_count(s, row, g, out->n);
}

/* Whether the member's value is a list, and may be one. */
static bool
has_value_list(const struct config_row *row, const struct json *member)
{
	return (row->flags & CONFIG_VALUE_LISTS) != 0 && member->type == JSON_ARRAY;
}

static size_t
count_pairs(const struct config_row *row, const struct json *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++)
		n += has_value_list(row, o->sorted[i]) ? o->sorted[i]->n : 1;
	return n;
}

static bool
read_pair(struct config_scope *s, const struct config_row *row, const struct given *g,
	const struct json *member, const struct json *node, struct config_pair *pair)
{
	struct span key = member->name;
	struct span value;
	bool ok = keep_text(s, row, g, member, &key);

	if (ok)
		pair->key = key;
	if (!value_node_text(s, row, g, node, &value) || !keep_text(s, row, g, node, &value))
		return false;
	pair->value = value;
	return ok;
}

/* Copies name and value of each member, in name order. Only copies stay in v: config_wipe
 * overwrites them. */
static bool
read_pairs(struct config_scope *s, const struct config_row *row, const struct given *g,
	struct config_pair *v)
{
	const struct json *o = g->node;
	size_t n = 0;
	bool ok = true;

	for (size_t i = 0; i < o->n; i++) {
		const struct json *c = o->sorted[i];
		if (!has_value_list(row, c)) {
			ok = read_pair(s, row, g, c, c, &v[n++]) && ok;
			continue;
		}
		if (c->n == 0 || c->n > CONFIG_VALUES_MAX) {
			value_fail(s, row, g, c, "a list has 1 to %d values", CONFIG_VALUES_MAX);
			ok = false;
		}
		for (const struct json *e = c->first; e != NULL; e = e->next)
			ok = read_pair(s, row, g, c, e, &v[n++]) && ok;
	}
	return ok;
}

/* The pair that the environment adds: its text and the value of a sibling row. */
static bool
read_env_pair(struct config_scope *s, const struct config_row *row, const struct given *g,
	const void *options, struct config_pair *pair)
{
	const struct config_row *with = row_find(s->object, span_cstr(row->env_with));
	struct span text = g->texts[0];
	struct span other = *(const struct span *)row_get(with, options);

	if (other.n == 0) {
		value_fail(s, row, g, NULL, "needs %s", row->env_with);
		return false;
	}
	if (!keep_text(s, row, g, NULL, &text))
		return false;
	bool is_name = (row->flags & CONFIG_ENV_IS_NAME) != 0;
	*pair = is_name ? (struct config_pair){text, other} : (struct config_pair){other, text};
	return true;
}

/* Puts the pair at its place among n others, or over those of that name; returns how many there
 * are then. */
static size_t
put_pair(struct config_pair *v, size_t n, struct config_pair pair)
{
	size_t at = 0;
	size_t end;

	while (at < n && span_cmp(v[at].key, pair.key) < 0)
		at++;
	end = at;
	while (end < n && span_eq(v[end].key, pair.key))
		end++;
	memmove(v + at + 1, v + end, (n - end) * sizeof(*v));
	v[at] = pair;
	return n - (end - at) + 1;
}

bool
value_read_map(
	struct config_scope *s, const struct config_row *row, const struct given *g, void *options)
{
	struct config_map *out = row_slot(row, options);
	size_t n;

	if (g->node != NULL && node_of_type(s, row, g, g->node, JSON_OBJECT) == NULL)
		return false;
	n = g->node != NULL ? count_pairs(row, g->node) : 0;
	if (g->texts != NULL && row->env_with == NULL) {
		value_fail(s, row, g, NULL, "can be set in the file only");
		return false;
	}
	struct config_pair *v = ARENA_ARRAY(s->loader->arena, struct config_pair, n + 1);
	if (v == NULL)
		return false;
	/* What was read stays reachable for config_wipe also when something fails. */
	*out = (struct config_map){v, n};
	if (g->node != NULL && !read_pairs(s, row, g, v))
		return false;
	if (g->texts != NULL) {
		struct config_pair pair;
		if (!read_env_pair(s, row, g, options, &pair))
			return false;
		out->n = put_pair(v, n, pair);
	}
	return check_count(s, row, g, out->n);
}

bool
value_read_map_strings(struct config_scope *s, const struct config_row *row, const struct given *g,
	struct config_map_strings *out)
{
	if (g->texts != NULL) {
		value_fail(s, row, g, NULL, "can be set in the file only");
		return false;
	}
	if (g->node == NULL)
		return true;
	if (node_of_type(s, row, g, g->node, JSON_OBJECT) == NULL)
		return false;
	struct config_entry *v = ARENA_ARRAY(s->loader->arena, struct config_entry, g->node->n);
	if (v == NULL)
		return false;
	bool ok = true;
	for (size_t i = 0; i < g->node->n; i++) {
		const struct json *c = g->node->sorted[i];
		v[i].key = c->name;
		if (!keep_text(s, row, g, c, &v[i].key) ||
			node_of_type(s, row, g, c, JSON_ARRAY) == NULL ||
			!read_array(s, row, g, c, &v[i].values))
			ok = false;
	}
	*out = (struct config_map_strings){v, g->node->n};
	return ok && check_count(s, row, g, out->n);
}
