/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML events to the JSON tree. An alias copies the anchored node alone and shares what lies below it, so
 * that memory stays in proportion to the text; what the copies stand for is counted all the same and
 * bounded, since whoever walks the tree meets it. Recurses to at most 32 levels. Any thread.
 */
#include "yaml_reader.h"

#include "base/arena.h"
#include "base/must.h"
#include "yaml_merge.h"
#include "yaml_scalar.h"

enum {
	ANCHORS_MAX = 1024,
	ALIASES_MAX = 1024,
	EXPANDED_MAX = 65536, /* nodes that all aliases together stand for */
};

/* The same with the path of what is being read. */
static bool
fail_here(struct yaml_reader *r, enum json_fault fault, yaml_mark_t at, const char *what)
{
	char path[128];

	json_tree_path(&r->open, path, sizeof(path));
	return yaml_fail(r, fault, at, "%s at %s", what, path);
}

static bool
fail_name(struct yaml_reader *r, enum json_fault fault, yaml_mark_t at, const char *what,
	struct span name)
{
	char shown[80];
	char path[128];

	json_tree_path(&r->open, path, sizeof(path));
	json_tree_show(name, shown, sizeof(shown));
	return yaml_fail(r, fault, at, "%s \"%s\" at %s", what, shown, path);
}

static struct span
span_of_yaml(const yaml_char_t *s)
{
	return span_cstr((const char *)s);
}

static struct json_frame *
top(struct yaml_reader *r)
{
	return r->open.n > 0 ? &r->open.frames[r->open.n - 1] : NULL;
}

static bool
is_container(const struct json *v)
{
	return v->type == JSON_ARRAY || v->type == JSON_OBJECT;
}

static struct yaml_node *
new_node(struct yaml_reader *r, yaml_mark_t at)
{
	struct yaml_node *n = ARENA_NEW(r->arena, struct yaml_node);

	if (n == NULL) {
		yaml_fail_memory(r, at);
		return NULL;
	}
	n->json.line = (uint32_t)at.line + 1;
	n->json.column = (uint32_t)at.column + 1;
	return n;
}

static bool
add_anchor(struct yaml_reader *r, const yaml_char_t *name, const struct json *v, yaml_mark_t at)
{
	if (name == NULL)
		return true;
	if (r->n_anchors == ANCHORS_MAX)
		return yaml_fail(r, JSON_FAULT_SYNTAX, at, "more than %d anchors", ANCHORS_MAX);
	struct yaml_anchor *a = ARENA_NEW(r->arena, struct yaml_anchor);
	if (a != NULL)
		a->name = arena_dup(r->arena, span_of_yaml(name));
	if (a == NULL || a->name.p == NULL)
		return yaml_fail_memory(r, at);
	a->node = v;
	a->next = r->anchors;
	r->anchors = a;
	r->n_anchors++;
	return true;
}

/*
 * Takes the pending key in a mapping, links the node to its parent and refuses what may not stand
 * there.
 */
static bool
place_node(struct yaml_reader *r, struct yaml_node *n, yaml_mark_t at)
{
	struct json_frame *f = top(r);

	if (f == NULL) {
		r->root = &n->json;
		return true;
	}
	if (f->node->type == JSON_OBJECT) {
		struct yaml_key *k = &r->keys[r->open.n - 1];
		n->json.name = k->text;
		n->key_line = k->line;
		n->key_column = k->column;
		n->is_merge = k->is_merge;
		k->is_set = false;
	}
	json_tree_link(f, &n->json);
	if (f->node->type == JSON_ARRAY && n->json.type == JSON_NULL)
		return fail_here(r, JSON_FAULT_SYNTAX, at, "null list element");
	if (!is_container(&n->json))
		f->child = NULL;
	return true;
}

static bool
open_container(struct yaml_reader *r, struct yaml_node *n, yaml_mark_t at)
{
	if (r->open.n == JSON_DEPTH_MAX)
		return fail_here(r, JSON_FAULT_DEPTH, at, "nesting deeper than 32");
	r->keys[r->open.n] = (struct yaml_key){.is_set = false};
	r->open.frames[r->open.n++] = (struct json_frame){.node = &n->json};
	return true;
}

static bool
start_container(
	struct yaml_reader *r, enum json_type type, const yaml_char_t *anchor, yaml_mark_t at)
{
	struct yaml_node *n = new_node(r, at);

	if (n == NULL)
		return false;
	n->json.type = type;
	return add_anchor(r, anchor, &n->json, at) && place_node(r, n, at) &&
	       open_container(r, n, at);
}

static bool
read_key(struct yaml_reader *r, const yaml_event_t *e)
{
	struct yaml_key *k = &r->keys[r->open.n - 1];
	struct json typed = {.type = JSON_NULL};
	bool is_plain =
		e->type == YAML_SCALAR_EVENT && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	if (e->type != YAML_SCALAR_EVENT)
		return fail_here(
			r, JSON_FAULT_SYNTAX, e->start_mark, "mapping key that is no scalar");
	if (e->data.scalar.anchor != NULL)
		return fail_here(r, JSON_FAULT_SYNTAX, e->start_mark, "anchor on a mapping key");
	k->text = arena_dup(
		r->arena, span_of((const char *)e->data.scalar.value, e->data.scalar.length));
	if (k->text.p == NULL || (is_plain && !yaml_scalar_resolve(k->text, r->arena, &typed)))
		return yaml_fail_memory(r, e->start_mark);
	if (is_plain && typed.type == JSON_NULL)
		return fail_here(r, JSON_FAULT_SYNTAX, e->start_mark, "null mapping key");
	k->line = (uint32_t)e->start_mark.line + 1;
	k->column = (uint32_t)e->start_mark.column + 1;
	k->is_merge = is_plain && span_eq_cstr(k->text, "<<");
	k->is_set = true;
	return true;
}

static bool
read_scalar(struct yaml_reader *r, const yaml_event_t *e)
{
	struct yaml_node *n = new_node(r, e->start_mark);

	if (n == NULL)
		return false;
	struct json *v = &n->json;
	v->source = arena_dup(
		r->arena, span_of((const char *)e->data.scalar.value, e->data.scalar.length));
	if (v->source.p == NULL)
		return yaml_fail_memory(r, e->start_mark);
	v->type = JSON_STRING;
	v->text = v->source;
	if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		!yaml_scalar_resolve(v->source, r->arena, v))
		return yaml_fail_memory(r, e->start_mark);
	return add_anchor(r, e->data.scalar.anchor, v, e->start_mark) &&
	       place_node(r, n, e->start_mark);
}

/* Counts what an alias at that depth stands for. */
static bool
charge(struct yaml_reader *r, const struct json *v, size_t depth, yaml_mark_t at)
{
	if (++r->n_expanded > EXPANDED_MAX)
		return yaml_fail(r, JSON_FAULT_SYNTAX, at, "aliases expand to more than %d nodes",
			EXPANDED_MAX);
	if (!is_container(v))
		return true;
	if (depth == JSON_DEPTH_MAX)
		return fail_here(r, JSON_FAULT_DEPTH, at, "nesting deeper than 32");
	for (const struct json *child = v->first; child != NULL; child = child->next) {
		if (!charge(r, child, depth + 1, at))
			return false;
	}
	return true;
}

static bool
read_alias(struct yaml_reader *r, const yaml_event_t *e)
{
	struct span name = span_of_yaml(e->data.alias.anchor);
	const struct yaml_anchor *a = r->anchors;

	while (a != NULL && !span_eq(a->name, name))
		a = a->next;
	if (a == NULL)
		return fail_name(r, JSON_FAULT_SYNTAX, e->start_mark, "unknown anchor", name);
	for (size_t i = 0; i < r->open.n; i++) {
		if (r->open.frames[i].node == a->node)
			return fail_name(r, JSON_FAULT_SYNTAX, e->start_mark,
				"anchor that holds itself", name);
	}
	if (++r->n_aliases > ALIASES_MAX)
		return yaml_fail(
			r, JSON_FAULT_SYNTAX, e->start_mark, "more than %d aliases", ALIASES_MAX);
	struct yaml_node *n = new_node(r, e->start_mark);
	if (n == NULL || !charge(r, a->node, r->open.n, e->start_mark))
		return false;
	uint32_t line = n->json.line;
	uint32_t column = n->json.column;
	n->json = *a->node;
	n->json.next = NULL;
	n->json.name = SPAN_NONE;
	n->json.line = line;
	n->json.column = column;
	if (!place_node(r, n, e->start_mark))
		return false;
	if (top(r) != NULL)
		top(r)->child = NULL;
	return true;
}

static bool
merge_one(struct yaml_reader *r, struct json_frame *f, const struct json *from, yaml_mark_t at)
{
	if (from->type != JSON_OBJECT)
		return fail_here(
			r, JSON_FAULT_SYNTAX, at, "merge of something else than a mapping");
	return yaml_merge_members(r->arena, f, from) || yaml_fail_memory(r, at);
}

static bool
close_mapping(struct yaml_reader *r, struct json_frame *f, yaml_mark_t at)
{
	const struct json *twin = NULL;

	if (!json_tree_sort(r->arena, f->node, &twin))
		return yaml_fail_memory(r, at);
	if (twin != NULL) {
		const struct yaml_node *n = (const struct yaml_node *)twin;
		at.line = n->key_line - 1;
		at.column = n->key_column - 1;
		return fail_name(r, JSON_FAULT_DUPLICATE, at, "duplicate yaml key", twin->name);
	}
	const struct json *merge = yaml_merge_take(f);
	if (merge == NULL)
		return true;
	if (!json_tree_sort(r->arena, f->node, &twin))
		return yaml_fail_memory(r, at);
	if (merge->type != JSON_ARRAY)
		return merge_one(r, f, merge, at);
	for (const struct json *m = merge->first; m != NULL; m = m->next) {
		if (!merge_one(r, f, m, at))
			return false;
	}
	return true;
}

static bool
end_container(struct yaml_reader *r, yaml_mark_t at)
{
	struct json_frame *f = top(r);

	MUST(f != NULL);
	if (f->node->type == JSON_OBJECT && !close_mapping(r, f, at))
		return false;
	r->open.n--;
	if (top(r) != NULL)
		top(r)->child = NULL;
	return true;
}

static const yaml_char_t *
tag_of(const yaml_event_t *e)
{
	if (e->type == YAML_SCALAR_EVENT)
		return e->data.scalar.tag;
	if (e->type == YAML_SEQUENCE_START_EVENT)
		return e->data.sequence_start.tag;
	if (e->type == YAML_MAPPING_START_EVENT)
		return e->data.mapping_start.tag;
	return NULL;
}

static bool
read_node(struct yaml_reader *r, const yaml_event_t *e)
{
	const struct json_frame *f = top(r);
	const yaml_char_t *tag = tag_of(e);

	if (tag != NULL)
		return fail_name(
			r, JSON_FAULT_SYNTAX, e->start_mark, "explicit tag", span_of_yaml(tag));
	if (f != NULL && f->node->type == JSON_OBJECT && !r->keys[r->open.n - 1].is_set)
		return read_key(r, e);
	if (e->type == YAML_ALIAS_EVENT)
		return read_alias(r, e);
	if (e->type == YAML_SCALAR_EVENT)
		return read_scalar(r, e);
	if (e->type == YAML_SEQUENCE_START_EVENT)
		return start_container(r, JSON_ARRAY, e->data.sequence_start.anchor, e->start_mark);
	return start_container(r, JSON_OBJECT, e->data.mapping_start.anchor, e->start_mark);
}

bool
yaml_read_event(struct yaml_reader *r, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (r->phase == PHASE_AFTER)
			return yaml_fail(
				r, JSON_FAULT_TRAILING, e->start_mark, "trailing document");
		r->phase = PHASE_INSIDE;
		return true;
	case YAML_DOCUMENT_END_EVENT:
		r->phase = PHASE_AFTER;
		return true;
	case YAML_STREAM_END_EVENT:
		r->is_done = true;
		if (r->phase == PHASE_BEFORE)
			return yaml_fail(
				r, JSON_FAULT_EMPTY, (yaml_mark_t){0}, "empty yaml document");
		return true;
	case YAML_ALIAS_EVENT:
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return read_node(r, e);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return end_container(r, e->start_mark);
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
		break;
	}
	return true;
}
