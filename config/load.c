/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration from its text: parse into a tree of its own arena, read the tree by the tables,
 * wipe what the tree held of secrets. Never leaves half a configuration behind. Start-up and
 * reload, one thread per load.
 */
#include "engine.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/yaml.h"

/* A tree takes a multiple of its text; this much holds the largest file of small values. */
#define SCRATCH_BYTES_MAX ((size_t)64 * 1024 * 1024)

static const char *
fault_text(enum json_fault f)
{
	switch (f) {
	case JSON_FAULT_EMPTY:
		return "the file is empty";
	case JSON_FAULT_CUT:
		return "unexpected EOF";
	case JSON_FAULT_UTF8:
		return "invalid UTF-8";
	case JSON_FAULT_CONTROL:
		return "control byte in a string";
	case JSON_FAULT_DUPLICATE:
		return "a key stands twice in one object";
	case JSON_FAULT_DEPTH:
		return "nested too deeply";
	case JSON_FAULT_NUMBER:
		return "malformed number";
	case JSON_FAULT_MEMORY:
		return "too large";
	case JSON_FAULT_NONE:
	case JSON_FAULT_TRAILING:
	case JSON_FAULT_SYNTAX:
		break;
	}
	return "invalid syntax";
}

/* Worded here from the fault and its place: the parser's own text may quote a name that is an API
 * key. */
static enum err
parse_json(struct loader *l, const struct json **tree, struct errinfo *ei)
{
	const struct config_input *in = l->in;
	struct json_error je = {0};
	enum err rc = json_parse(in->text, l->scratch, tree, &je, NULL);

	if (rc == OK)
		return OK;
	if (je.fault == JSON_FAULT_TRAILING)
		return ERR(ei, ERR_PARSE, "config contains trailing data at %s:%u:%u", in->file,
			je.line, je.column);
	return ERR(ei, rc, "decode config: %s:%u:%u: %s", in->file, je.line, je.column,
		fault_text(je.fault));
}

/* Cuts the reader's text before the first name it quotes or path it gives: that too may be an API
 * key. */
static void
hide_names(char *msg, size_t from)
{
	if (from > strlen(msg))
		return;
	char *quote = strchr(msg + from, '"');
	char *path = strstr(msg + from, " at $");
	char *end = quote != NULL && (path == NULL || quote < path) ? quote : path;
	if (end == NULL)
		return;
	while (end > msg + from && end[-1] == ' ')
		end--;
	*end = '\0';
}

static enum err
parse_text(struct loader *l, const struct json **tree, struct errinfo *ei)
{
	if (!l->yaml)
		return parse_json(l, tree, ei);
	enum err rc = yaml_parse(l->in->text, l->in->file, l->scratch, tree, ei);
	if (rc == OK)
		return OK;
	hide_names(ei->msg, strlen(l->in->file));
	return ERR_WRAP(ei, rc, "decode config");
}

static bool
is_yaml_name(const char *file)
{
	struct span s = span_cstr(file);

	return span_ends(s, SPAN_LIT(".yaml")) || span_ends(s, SPAN_LIT(".yml"));
}

/* The folder of file as written; "." when it names none. */
static const char *
folder_of(const char *file, struct arena *a)
{
	struct span s = span_cstr(file);

	while (s.n > 0 && s.p[s.n - 1] != '/')
		s.n--;
	if (s.n == 0)
		return ".";
	return arena_dup_cstr(a, span_of(s.p, s.n > 1 ? s.n - 1 : 1));
}

static void
refuse_unknown_overrides(struct loader *l)
{
	for (size_t i = 0; i < l->in->n_overrides; i++) {
		const struct config_override *o = &l->in->overrides[i];
		struct place at = {o->origin, NULL};
		const struct config_row *row = row_find_path(l->root, span_cstr(o->key));
		if (row == NULL)
			scope_issue(l, CONFIG_ERROR, &at, "", "unknown key %s", o->key);
		else if (row->type == CONFIG_TYPE_OBJECT || row->type == CONFIG_TYPE_LIST)
			scope_issue(l, CONFIG_ERROR, &at, o->key, "can be set in the file only");
	}
}

/* The arena is about to be freed and everything in it is ours: the tree's const only keeps readers
 * from writing. */
static void
wipe_span(struct span s, struct span keep)
{
	uintptr_t at = (uintptr_t)s.p;
	uintptr_t from = (uintptr_t)keep.p;

	if (s.n > 0 && (at < from || at >= from + keep.n))
		mem_wipe((void *)at, s.n);
}

/* Overwrites what the parser copied; what it borrowed from the caller's text stays for the caller
 * to wipe. */
static void
wipe_tree(const struct json *v, struct span text, unsigned depth)
{
	wipe_span(v->name, text);
	wipe_span(v->text, text);
	wipe_span(v->source, text);
	if (depth == 0)
		return;
	for (const struct json *c = v->first; c != NULL; c = c->next)
		wipe_tree(c, text, depth - 1);
}

static enum err
read_tree(struct loader *l, const struct json *tree, void *options, struct config_report *report,
	struct errinfo *ei)
{
	struct config_scope root = {.loader = l, .object = l->root, .node = tree};

	refuse_unknown_overrides(l);
	object_read(&root, options);
	if (arena_failed(l->scratch))
		return ERR(ei, ERR_NOMEM, "no memory for the configuration");
	return issue_list_close(&l->issues, report, ei);
}

static enum err
load(struct loader *l, void *options, struct config_report *report, struct errinfo *ei)
{
	const struct config_input *in = l->in;
	const struct json *tree = NULL;
	struct errinfo parse_error = {.code = OK};

	l->directory = in->directory;
	if (l->directory == NULL)
		l->directory = folder_of(in->file != NULL ? in->file : "", l->scratch);
	if (l->directory == NULL)
		return ERR(ei, ERR_NOMEM, "no memory for the configuration");
	if (in->file != NULL) {
		l->yaml = is_yaml_name(in->file);
		enum err rc = parse_text(l, &tree, &parse_error);
		if (rc != OK) {
			issue_add(&l->issues, CONFIG_ERROR, NULL,
				arena_printf(l->arena, "%s", parse_error.msg));
			enum err close_rc = issue_list_close(&l->issues, report, ei);
			return close_rc == ERR_INVALID ? rc : close_rc;
		}
	}
	enum err rc = read_tree(l, tree, options, report, ei);
	if (tree != NULL)
		wipe_tree(tree, in->text, JSON_DEPTH_MAX);
	return rc;
}

enum err
config_load(const struct config_object *root, const struct config_input *in, struct arena *a,
	void *options, struct config_report *report, struct errinfo *ei)
{
	struct loader l = {.root = root, .in = in, .arena = a};

	memset(options, 0, root->size);
	*report = (struct config_report){0};
	l.scratch = arena_new(SCRATCH_BYTES_MAX);
	if (l.scratch == NULL)
		return ERR(ei, ERR_NOMEM, "no memory for the configuration");
	issue_list_init(&l.issues, a);
	enum err rc = load(&l, options, report, ei);
	arena_free(&l.scratch);
	if (rc != OK) {
		config_wipe(root, options);
		memset(options, 0, root->size);
	}
	return rc;
}
