/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the reader is: the path of a key, the place of its value in the file or the environment,
 * and the issues that name both. Never puts a value of a secret row into a message. One thread per
 * load.
 */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/fdio.h"

/* The length of what was put, never more than size - 1. */
static size_t
put_path(const struct config_scope *s, char *out, size_t size)
{
	if (s->parent == NULL) {
		out[0] = '\0';
		return 0;
	}
	size_t at = put_path(s->parent, out, size);
	int n = s->is_element
			? snprintf(out + at, size - at, "%s%s[%zu]", at > 0 ? "." : "",
				  s->row->name, s->index)
			: snprintf(out + at, size - at, "%s%s", at > 0 ? "." : "", s->row->name);
	at += n > 0 ? (size_t)n : 0;
	return at < size ? at : size - 1;
}

void
scope_path(const struct config_scope *s, const char *key, char out[PATH_MAX_BYTES])
{
	size_t at = put_path(s, out, PATH_MAX_BYTES);
	bool dot = at > 0 && key[0] != '\0' && key[0] != '[';

	snprintf(out + at, PATH_MAX_BYTES - at, "%s%s", dot ? "." : "", key);
}

static void PRINTF_LIKE(5, 0) issue_va(struct loader *l, enum config_level level,
	const struct place *at, const char *path, const char *fmt, va_list ap)
{
	char reason[ERRINFO_MAX];
	char place[PATH_MAX_BYTES] = "";

	vsnprintf(reason, sizeof(reason), fmt, ap);
	const char *file = l->in->file != NULL ? l->in->file : "";
	if (at->origin != NULL)
		snprintf(place, sizeof(place), "%s: ", at->origin);
	else if (at->node != NULL && file[0] != '\0')
		snprintf(
			place, sizeof(place), "%s:%u:%u: ", file, at->node->line, at->node->column);
	else if (file[0] != '\0')
		snprintf(place, sizeof(place), "%s: ", file);
	issue_add(&l->issues, level, at->origin == NULL ? at->node : NULL,
		arena_printf(
			l->arena, "%s%s%s%s", place, path, path[0] != '\0' ? ": " : "", reason));
}

void
scope_issue(struct loader *l, enum config_level level, const struct place *at, const char *path,
	const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	issue_va(l, level, at, path, fmt, ap);
	va_end(ap);
}

const char *
scope_origin(const struct config_scope *s, const struct config_row *row,
	const struct config_override **override, const char **text)
{
	const struct config_input *in = s->loader->in;
	char path[PATH_MAX_BYTES];
	char name[PATH_MAX_BYTES];

	if (override != NULL)
		*override = NULL;
	if (text != NULL)
		*text = NULL;
	if (s->in_list || row->type == CONFIG_TYPE_OBJECT || row->type == CONFIG_TYPE_LIST)
		return NULL;
	scope_path(s, row->name, path);
	for (size_t i = 0; i < in->n_overrides; i++)
		if (strcmp(in->overrides[i].key, path) == 0) {
			if (override != NULL)
				*override = &in->overrides[i];
			return in->overrides[i].origin;
		}
	if (in->env == NULL || !row_env_name(row, path, name, sizeof(name)))
		return NULL;
	const char *value = in->env(name, in->env_arg);
	if (value == NULL || value[0] == '\0')
		return NULL;
	if (text != NULL)
		*text = value;
	return arena_dup_cstr(s->loader->scratch, span_cstr(name));
}

/* The node at "tls.cert_file" or "layers[2]" below node, or the nearest one above it. */
static const struct json *
node_near(const struct json *node, struct span key)
{
	while (node != NULL && key.n > 0) {
		size_t n = 0;
		const struct json *next = NULL;
		if (key.p[0] == '[') {
			size_t index = 0;
			for (n = 1; n < key.n && key.p[n] >= '0' && key.p[n] <= '9' && n < 8; n++)
				index = index * 10 + (size_t)(key.p[n] - '0');
			n = n < key.n ? n + 1 : n;
			next = node->type == JSON_ARRAY ? node->first : NULL;
			while (next != NULL && index-- > 0)
				next = next->next;
		} else {
			while (n < key.n && key.p[n] != '.' && key.p[n] != '[')
				n++;
			next = json_find(node, span_of(key.p, n));
		}
		if (next == NULL)
			return node;
		node = next;
		key = span_from(key, n);
		if (key.n > 0 && key.p[0] == '.')
			key = span_from(key, 1);
	}
	return node;
}

static void PRINTF_LIKE(4, 0) add_check_issue(struct config_scope *s, enum config_level level,
	const char *key, const char *fmt, va_list ap)
{
	struct place at = {NULL, node_near(s->node, span_cstr(key))};
	size_t n = strcspn(key, ".[");
	const struct config_row *row = row_find(s->object, span_of(key, n));
	char path[PATH_MAX_BYTES];

	if (row != NULL)
		at.origin = scope_origin(s, row, NULL, NULL);
	scope_path(s, key, path);
	issue_va(s->loader, level, &at, path, fmt, ap);
}

void
config_fail(struct config_scope *scope, const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_check_issue(scope, CONFIG_ERROR, key, fmt, ap);
	va_end(ap);
}

void
config_note(
	struct config_scope *scope, enum config_level level, const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_check_issue(scope, level, key, fmt, ap);
	va_end(ap);
}

struct span
config_resolve(struct config_scope *scope, struct span path)
{
	struct loader *l = scope->loader;

	if (path.n == 0)
		return span_of("", 0);
	return span_cstr(fdio_join(l->arena, l->directory, path));
}

struct span
config_keep(struct config_scope *scope, struct span text)
{
	return span_cstr(arena_dup_cstr(scope->loader->arena, text));
}
