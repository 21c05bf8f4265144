/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the engine share: one load in progress, the object it is reading, where a value
 * came from. Private; one thread per load.
 */
#ifndef CONFIG_ENGINE_H
#define CONFIG_ENGINE_H

#include "base/json.h"
#include "config/load.h"

#define PATH_MAX_BYTES 256

/* The issues of one load or diff. */
struct issue_list {
	struct arena *arena;
	struct config_issue *v; /* room for both caps */
	size_t n_errors;        /* all, kept or not */
	size_t n_kept_errors;
	size_t n_kept_notes;
};

struct loader {
	const struct config_object *root;
	const struct config_input *in;
	const char *directory;
	struct arena *arena;   /* of the options */
	struct arena *scratch; /* of this load */
	struct issue_list issues;
	bool yaml;
};

struct config_scope {
	struct loader *loader;
	const struct config_scope *parent;
	const struct config_object *object;
	const struct config_row *row; /* in the parent's table; NULL for the root */
	const struct json *node;      /* NULL when the file has none */
	size_t index;                 /* in the list of row, when in_list */
	bool is_element;              /* of a list itself */
	bool in_list;                 /* or something around it is: no environment, no overrides */
};

/* One row's value before it is read: a node of the file, or texts from elsewhere; neither: absent.
 */
struct given {
	const struct json *node;
	const char *origin;       /* variable or flag; NULL: the file or the default */
	const struct span *texts; /* NULL when from the file */
	size_t n_texts;
	struct span one; /* what texts may point to */
	bool split;      /* a list is one text with commas */
	bool is_default;
};

/* Where an issue is. */
struct place {
	const char *origin;
	const struct json *node;
};

/* table.c */
const struct config_row *row_find(const struct config_object *o, struct span name);
/* The row at "a.b.c" through OBJECT rows; NULL when there is none. */
const struct config_row *row_find_path(const struct config_object *root, struct span path);
/* A hint such as `did you mean "listen"?` for an unknown name, or "". */
void row_suggest(const struct config_object *root, const struct config_object *o, struct span name,
	struct buf *out);
/* The environment name of a row at path, in out; false when it has none or when it is too long. */
bool row_env_name(const struct config_row *row, const char *path, char *out, size_t size);
const char *type_name(enum config_type t);
bool row_is_list(const struct config_row *row);
int64_t row_max(const struct config_row *row);
/* Whether the row has a value to print: not LATER, nor an object of nothing else. */
bool row_is_built(const struct config_row *row);
/* Whether v holds anything: true, a number but 0, a text, an element that does. */
bool json_is_something(const struct json *v);
static inline void *
row_slot(const struct config_row *row, void *options)
{
	return (char *)options + row->offset;
}
static inline const void *
row_get(const struct config_row *row, const void *options)
{
	return (const char *)options + row->offset;
}
/* How ENUM and LIST members are read and written, whatever their declared type. */
int slot_get_enum(const void *slot);
void slot_set_enum(void *slot, int v);
struct slot_list {
	void *v;
	size_t n;
};
struct slot_list slot_get_list(const void *slot);
void slot_set_list(void *slot, struct slot_list l);

/* scope.c */
/* "gateway.tls" of the object, with key behind it; cut when long. */
void scope_path(const struct config_scope *s, const char *key, char out[PATH_MAX_BYTES]);
/* Adds "place: path: text". path "" leaves it out. */
void scope_issue(struct loader *l, enum config_level level, const struct place *at,
	const char *path, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* Where the value of row comes from: flag, environment or file. The environment text in *text (may
 * be NULL). */
const char *scope_origin(const struct config_scope *s, const struct config_row *row,
	const struct config_override **override, const char **text);

/* dump.c: a row's value, secrets hidden. Not LATER. */
struct printer;
void dump_value(struct printer *p, const struct config_row *row, const void *slot);

/* issue.c */
void issue_list_init(struct issue_list *l, struct arena *a);
void issue_add(
	struct issue_list *l, enum config_level level, const struct json *node, struct span text);
/* Sorts, fills *report; OK, ERR_INVALID with the first error in ei, ERR_NOMEM. */
enum err issue_list_close(struct issue_list *l, struct config_report *report, struct errinfo *ei);

/* value.c: one row's value from what is given into its slot; problems become issues. Not OBJECT,
 * LIST. */
void value_read(
	struct config_scope *s, const struct config_row *row, const struct given *g, void *options);

/* value_text.c: what single texts and lists have in common. Each says false with an issue. */
/* Fails the row at the place of g, or of node when not NULL. */
void value_fail(struct config_scope *s, const struct config_row *row, const struct given *g,
	const struct json *node, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* The text of a string node (in YAML also of numbers and booleans). */
MUSTCHECK bool value_node_text(struct config_scope *s, const struct config_row *row,
	const struct given *g, const struct json *node, struct span *out);
/* Valid UTF-8 without NUL, at most max bytes; a hidden secret only when accepted. node as in value_fail. */
MUSTCHECK bool value_check_text(struct config_scope *s, const struct config_row *row,
	const struct given *g, const struct json *node, struct span text, int64_t max);
/* The position of text in the row's words. */
MUSTCHECK bool value_find_word(struct config_scope *s, const struct config_row *row,
	const struct given *g, const struct json *node, struct span text, int *index);

/* The text in quotes, escaped and cut, in the scratch arena; never NULL. For rows that are not
 * secret. */
const char *value_quote(struct config_scope *s, struct span text);

/* value_list.c */
MUSTCHECK bool value_read_strings(struct config_scope *s, const struct config_row *row,
	const struct given *g, struct config_strings *out);
MUSTCHECK bool value_read_map(
	struct config_scope *s, const struct config_row *row, const struct given *g, void *options);
MUSTCHECK bool value_read_map_strings(struct config_scope *s, const struct config_row *row,
	const struct given *g, struct config_map_strings *out);

/* object.c */
void object_read(struct config_scope *s, void *options);

#endif
