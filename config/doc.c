/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables as the configuration reference in Markdown: a section and a table per object, in the
 * order of the rows. Pure; any thread.
 */
#include "engine.h"

#include <stdio.h>

#include "base/buf.h"
#include "config/print.h"

/* Text for a cell: the bar that would end it is escaped. */
static void
put_cell(const char *text, struct buf *out)
{
	for (; *text != '\0'; text++) {
		if (*text == '|')
			buf_add_char(out, '\\');
		buf_add_char(out, *text);
	}
}

/* Words separated by ", " with the empty one left out. */
static void
put_words(const char *words, struct buf *out)
{
	const char *gap = "";
	struct span w = config_word(words, 0);

	for (int i = 0; w.p != NULL; w = config_word(words, ++i)) {
		if (w.n == 0)
			continue;
		buf_printf(out, "%s`%.*s`", gap, SPAN_ARG(w));
		gap = ", ";
	}
}

static void
put_range(const struct config_row *row, struct buf *out)
{
	if (row->words != NULL) {
		put_words(row->words, out);
		return;
	}
	if (row->type == CONFIG_TYPE_INT)
		buf_printf(out, "%lld to %lld", (long long)row->min, (long long)row->max);
	if (row->unit != NULL)
		buf_printf(out, " %s", row->unit);
}

static void
put_default(const struct config_row *row, struct buf *out)
{
	if ((row->flags & CONFIG_REQUIRED) != 0 && row->def == NULL)
		BUF_ADD_LIT(out, "required");
	else if (row->def != NULL && row->def[0] != '\0') {
		buf_add_char(out, '`');
		put_cell(row->def, out);
		buf_add_char(out, '`');
	} else if (row->type == CONFIG_TYPE_BOOL)
		BUF_ADD_LIT(out, "`false`");
	else if (row->type == CONFIG_TYPE_INT)
		BUF_ADD_LIT(out, "`0`");
}

static void
put_env(const struct config_row *row, const char *path, bool in_list, struct buf *out)
{
	char name[PATH_MAX_BYTES];

	if (!in_list && row_env_name(row, path, name, sizeof(name)))
		buf_printf(out, "`%s`", name);
}

static void
put_meaning(const struct config_row *row, struct buf *out)
{
	put_cell(row->prose, out);
	switch (row->unbuilt) {
	case CONFIG_BUILT:
		break;
	case CONFIG_UNBUILT_INFO:
		buf_printf(out, " Accepted, not used here: %s.", row->reason);
		break;
	case CONFIG_UNBUILT_WARN:
		buf_printf(out, " Accepted with a warning, no effect yet: %s.", row->reason);
		break;
	case CONFIG_UNBUILT_REFUSED:
		buf_printf(out, " Refused when switched on, not supported yet: %s.", row->reason);
		break;
	}
	if ((row->flags & CONFIG_DEPRECATED) != 0)
		buf_printf(out, " Deprecated: %s.", row->reason);
}

static void
put_row(const struct config_row *row, const char *path, bool in_list, struct buf *out)
{
	buf_printf(out, "| `%s` | %s | ", row->name,
		(row->flags & CONFIG_VALUE_LISTS) != 0 ? "map of strings or lists of them"
						       : type_name(row->type));
	put_default(row, out);
	BUF_ADD_LIT(out, " | ");
	put_range(row, out);
	BUF_ADD_LIT(out, " | ");
	put_env(row, path, in_list, out);
	buf_printf(out, " | %s | ", (row->flags & CONFIG_RELOAD) != 0 ? "yes" : "");
	put_meaning(row, out);
	BUF_ADD_LIT(out, " |\n");
}

static bool
is_nested(const struct config_row *row)
{
	return row->type == CONFIG_TYPE_OBJECT || row->type == CONFIG_TYPE_LIST;
}

static void
put_rows(const struct config_object *o, const char *prefix, bool in_list, struct buf *out)
{
	bool has_head = false;

	for (size_t i = 0; i < o->n_rows; i++) {
		const struct config_row *row = &o->rows[i];
		char path[PATH_MAX_BYTES];
		if (row->type == CONFIG_TYPE_OBJECT)
			continue;
		if (!has_head)
			BUF_ADD_LIT(out, "| Key | Type | Default | Range | Environment | Reload | "
					 "Meaning |\n"
					 "|---|---|---|---|---|---|---|\n");
		has_head = true;
		snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "",
			row->name);
		put_row(row, path, in_list, out);
	}
	if (has_head)
		buf_add_char(out, '\n');
}

static void
put_object(const struct config_object *o, const char *prefix, bool in_list, struct buf *out)
{
	put_rows(o, prefix, in_list, out);
	for (size_t i = 0; i < o->n_rows; i++) {
		const struct config_row *row = &o->rows[i];
		char path[PATH_MAX_BYTES];
		if (!is_nested(row))
			continue;
		bool is_list = row->type == CONFIG_TYPE_LIST;
		snprintf(path, sizeof(path), "%s%s%s%s", prefix, prefix[0] != '\0' ? "." : "",
			row->name, is_list ? "[]" : "");
		buf_printf(out, "## %s\n\n%s\n\n", path, row->object->prose);
		put_object(row->object, path, in_list || is_list, out);
	}
}

void
config_doc(const struct config_object *root, struct buf *out)
{
	buf_printf(out, "# Configuration reference\n\n%s\n\n", root->prose);
	put_object(root, "", false, out);
}
