/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables held against their own rules, so that a wrong row fails a test and not an operator's
 * start. Pure; any thread.
 */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "config/print.h"

#define ENV_NAMES_MAX 1024
#define VERIFY_ARENA_BYTES ((size_t)4 * 1024 * 1024)

struct verifier {
	struct buf *out;
	struct map *env_names;
};

static void complain(struct verifier *v, const char *path, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void
complain(struct verifier *v, const char *path, const char *fmt, ...)
{
	char text[ERRINFO_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_printf(v->out, "%s: %s\n", path, text);
}

static void
verify_siblings(struct verifier *v, const struct config_object *o, const struct config_row *row,
	const char *path)
{
	const struct config_row *with =
		row->env_with != NULL ? row_find(o, span_cstr(row->env_with)) : NULL;

	if (row->clears != NULL && row_find(o, span_cstr(row->clears)) == NULL)
		complain(v, path, "clears %s, which is no sibling", row->clears);
	if (row->env_with != NULL &&
		(with == NULL || with > row || with->type != CONFIG_TYPE_STRING))
		complain(v, path, "env_with %s is no earlier STRING row", row->env_with);
	if (row->type == CONFIG_TYPE_MAP_STRINGS && row->env != NULL)
		complain(v, path, "a map of lists has no environment form");
	if (row->type == CONFIG_TYPE_MAP && (row->env != NULL) != (row->env_with != NULL))
		complain(v, path, "a map needs env and env_with together");
	if ((row->flags & CONFIG_VALUE_LISTS) != 0 && row->type != CONFIG_TYPE_MAP)
		complain(v, path, "only a map has lists of values");
	if (row_is_list(row) && row->def != NULL && row->type != CONFIG_TYPE_STRINGS &&
		row->type != CONFIG_TYPE_PATHS)
		complain(v, path, "this type has no default");
	for (size_t i = 0; i < o->n_rows; i++)
		if (&o->rows[i] != row && strcmp(o->rows[i].name, row->name) == 0)
			complain(v, path, "stands twice in its table");
}

static void
verify_row(struct verifier *v, const struct config_row *row, const char *path, bool in_list)
{
	bool is_nested = row->type == CONFIG_TYPE_OBJECT || row->type == CONFIG_TYPE_LIST;
	bool needs_reason = row->unbuilt != CONFIG_BUILT || (row->flags & CONFIG_DEPRECATED) != 0;
	char name[PATH_MAX_BYTES];
	void *old = NULL;

	if (row->prose == NULL || row->prose[0] == '\0')
		complain(v, path, "has no prose");
	if (needs_reason && (row->reason == NULL || row->reason[0] == '\0'))
		complain(v, path, "needs a reason");
	if (row->type == CONFIG_TYPE_INT && row->min >= row->max)
		complain(v, path, "needs min below max");
	if (row->type == CONFIG_TYPE_ENUM && row->words == NULL)
		complain(v, path, "needs words");
	if (row->type == CONFIG_TYPE_LATER && row->unbuilt == CONFIG_BUILT)
		complain(v, path, "needs a level in .unbuilt");
	if (is_nested && (row->unbuilt != CONFIG_BUILT || row->env != NULL || row->def != NULL))
		complain(v, path, "objects and lists take no default, environment or .unbuilt");
	if (in_list && row->env != NULL)
		complain(v, path, "rows inside lists take no environment");
	if (!row_env_name(row, path, name, sizeof(name)))
		return;
	if (!map_put(v->env_names, span_cstr(name), v, &old) || old != NULL)
		complain(v, path, "environment name %s is used twice", name);
}

static void
verify_object(struct verifier *v, const struct config_object *o, const char *prefix, bool in_list)
{
	bool has_value = false;

	if (o->prose == NULL || o->prose[0] == '\0')
		complain(v, prefix, "the table has no prose");
	for (size_t i = 0; i < o->n_rows; i++) {
		const struct config_row *row = &o->rows[i];
		char path[PATH_MAX_BYTES];
		snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "",
			row->name);
		verify_row(v, row, path, in_list);
		verify_siblings(v, o, row, path);
		has_value = has_value || row_is_built(row);
		if (row->object != NULL)
			verify_object(
				v, row->object, path, in_list || row->type == CONFIG_TYPE_LIST);
	}
	if (in_list && !has_value)
		complain(v, prefix, "an element would have nothing to print");
}

/* Every default must pass as if an operator had written it; what is required and has none is left
 * out. */
static void
verify_defaults(struct verifier *v, const struct config_object *o, struct arena *a)
{
	static const struct config_input nothing = {0};
	struct config_object bare = *o;
	struct config_row rows[CONFIG_ROWS_MAX];
	struct config_report report;

	void *options = arena_zalloc(a, 1, o->size);
	if (options == NULL || o->n_rows > CONFIG_ROWS_MAX)
		return;
	memcpy(rows, o->rows, o->n_rows * sizeof(*rows));
	bare.rows = rows;
	bare.checks = NULL;
	for (size_t i = 0; i < o->n_rows; i++) {
		if (rows[i].object != NULL) {
			verify_defaults(v, rows[i].object, a);
			rows[i].type = CONFIG_TYPE_LIST; /* its own table was tried above */
			rows[i].flags = 0;
		}
		if (rows[i].def == NULL)
			rows[i].flags &= ~(unsigned)CONFIG_REQUIRED;
	}
	if (config_load(&bare, &nothing, a, options, &report, NULL) == OK)
		return;
	for (size_t i = 0; i < report.n_issues; i++)
		complain(v, o->name, "default of %.*s", SPAN_ARG(report.issues[i].text));
}

void
config_verify(const struct config_object *root, struct buf *out)
{
	struct verifier v = {.out = out};
	struct arena *a = arena_new(VERIFY_ARENA_BYTES);

	v.env_names = map_new(ENV_NAMES_MAX);
	if (a == NULL || v.env_names == NULL) {
		BUF_ADD_LIT(out, "no memory to verify the tables\n");
	} else {
		verify_object(&v, root, "", false);
		verify_defaults(&v, root, a);
	}
	map_free(&v.env_names, NULL);
	arena_free(&a);
}
