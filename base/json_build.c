/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON trees made by hand in an arena. A made container carries its tail and the room of its sorted
 * array behind the public node; only such nodes may be added to, which is checked. Pure; one thread
 * per arena.
 */
#include <inttypes.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/must.h"
#include "json_tree.h"

enum { ROOM_FIRST = 4 };

/*
 * json is the first member, so that a pointer to it is one to the whole. Parsed nodes have a line,
 * made ones have not.
 */
struct made {
	struct json json;
	struct json *tail;
	size_t room;
};

struct json *
json_new(struct arena *a, enum json_type type)
{
	struct made *m = ARENA_NEW(a, struct made);

	if (m == NULL)
		return NULL;
	m->json.type = type;
	return &m->json;
}

struct json *
json_new_string(struct arena *a, struct span s)
{
	struct json *v = json_new(a, JSON_STRING);

	if (v == NULL || s.n == 0)
		return v;
	v->text = arena_dup(a, s);
	return v->text.p != NULL ? v : NULL;
}

struct json *
json_new_int(struct arena *a, int64_t number)
{
	struct json *v = json_new(a, JSON_NUMBER);

	if (v == NULL)
		return NULL;
	v->text = arena_printf(a, "%" PRId64, number);
	return v->text.p != NULL ? v : NULL;
}

struct json *
json_new_bool(struct arena *a, bool value)
{
	struct json *v = json_new(a, JSON_BOOL);

	if (v != NULL)
		v->boolean = value;
	return v;
}

static struct made *
made_of(struct json *v, enum json_type type)
{
	MUST(v != NULL && v->type == type && v->line == 0);
	return (struct made *)v;
}

static void
link_child(struct made *m, struct json *v)
{
	MUST(v->next == NULL && v != m->tail);
	if (m->tail == NULL)
		m->json.first = v;
	else
		m->tail->next = v;
	m->tail = v;
	m->json.n++;
}

static bool
grow_sorted(struct arena *a, struct made *m)
{
	size_t room = m->room > 0 ? 2 * m->room : ROOM_FIRST;
	struct json **sorted;

	if (m->json.n < m->room)
		return true;
	sorted = ARENA_ARRAY(a, struct json *, room);
	if (sorted == NULL)
		return false;
	if (m->json.n > 0)
		memcpy(sorted, m->json.sorted, m->json.n * sizeof(struct json *));
	m->json.sorted = sorted;
	m->room = room;
	return true;
}

bool
json_add_member(struct arena *a, struct json *o, struct span name, struct json *v)
{
	struct made *m = made_of(o, JSON_OBJECT);
	struct span copy = name.n > 0 ? arena_dup(a, name) : SPAN_LIT("");

	if (v == NULL || copy.p == NULL || !grow_sorted(a, m))
		return false;
	size_t at = json_tree_lower_bound(o, name);
	if (at < o->n && span_eq(o->sorted[at]->name, name))
		return false;
	v->name = copy;
	memmove(o->sorted + at + 1, o->sorted + at, (o->n - at) * sizeof(struct json *));
	o->sorted[at] = v;
	link_child(m, v);
	return true;
}

bool
json_add_element(struct arena *a, struct json *array, struct json *v)
{
	struct made *m = made_of(array, JSON_ARRAY);

	if (v == NULL || arena_failed(a))
		return false;
	link_child(m, v);
	return true;
}
