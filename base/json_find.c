/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a JSON tree: members by name, unknown and look-alike members, checked integers. Pure; any
 * thread.
 */
#include "base/json.h"

#include "base/parse.h"
#include "json_tree.h"

const struct json *
json_find(const struct json *o, struct span name)
{
	if (o == NULL || o->type != JSON_OBJECT)
		return NULL;
	size_t at = json_tree_lower_bound(o, name);
	if (at == o->n || !span_eq(o->sorted[at]->name, name))
		return NULL;
	return o->sorted[at];
}

const struct json *
json_find_cstr(const struct json *o, const char *name)
{
	return json_find(o, span_cstr(name));
}

/* Most differ in the first letter; '^' with 0x20 is the case of a letter. */
static bool
may_be(struct span name, const char *known)
{
	return name.n == 0 || ((name.p[0] ^ known[0]) & ~0x20) == 0;
}

/*
 * Whether name is in known[]; if not, *twin is the first entry that differs from it in case only,
 * or NULL.
 */
static bool
is_known(struct span name, const char *const known[], size_t n_known, const char **twin)
{
	*twin = NULL;
	for (size_t i = 0; i < n_known; i++) {
		if (!may_be(name, known[i]))
			continue;
		struct span k = span_cstr(known[i]);
		if (span_eq(name, k))
			return true;
		if (*twin == NULL && span_eq_nocase(name, k))
			*twin = known[i];
	}
	return false;
}

const struct json *
json_find_unknown(const struct json *o, const char *const known[], size_t n_known, bool closed,
	const char **twin)
{
	const char *found = NULL;

	if (twin != NULL)
		*twin = NULL;
	if (o == NULL || o->type != JSON_OBJECT)
		return NULL;
	for (const struct json *m = o->first; m != NULL; m = m->next) {
		if (is_known(m->name, known, n_known, &found) || (found == NULL && !closed))
			continue;
		if (twin != NULL)
			*twin = found;
		return m;
	}
	return NULL;
}

bool
json_get_int(const struct json *v, int64_t min, int64_t max, int64_t *out)
{
	*out = 0;
	if (v == NULL || v->type != JSON_NUMBER)
		return false;
	return parse_int(v->text, min, max, out);
}

const char *
json_type_name(enum json_type t)
{
	switch (t) {
	case JSON_NULL:
		return "null";
	case JSON_BOOL:
		return "boolean";
	case JSON_NUMBER:
		return "number";
	case JSON_STRING:
		return "string";
	case JSON_ARRAY:
		return "array";
	case JSON_OBJECT:
		return "object";
	}
	return "unknown";
}
