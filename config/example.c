/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables as a commented YAML file: required keys stand ready to be filled in, the others are
 * commented out with their default. Parts that are not built are left out. Pure; any thread.
 */
#include "engine.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"
#include "base/parse.h"
#include "config/print.h"

#define COMMENT_COLUMNS 96

/* One place in the file. */
struct level {
	unsigned depth;
	unsigned comment_depth; /* where the "# " of commented-out lines stands */
	bool is_comment;
	bool dash; /* the next key starts a list element */
};

/* Taking "# " away leaves a line that is indented as it must be. */
static void
start_line(const struct level *at, struct buf *out)
{
	unsigned level = 0;

	for (; at->is_comment && level < at->comment_depth; level++)
		BUF_ADD_LIT(out, "  ");
	if (at->is_comment)
		BUF_ADD_LIT(out, "# ");
	for (; level < at->depth; level++)
		buf_add_cstr(out, at->dash && level + 1 == at->depth ? "- " : "  ");
}

/* Prose as comment lines of bounded width, broken at blanks. */
static void
put_prose(const struct level *at, const char *text, struct buf *out)
{
	struct level line = *at;
	struct span rest = span_cstr(text);
	size_t width = COMMENT_COLUMNS - 2 * (size_t)at->depth;

	line.dash = false;
	while (rest.n > 0) {
		size_t n = rest.n;
		if (n > width) {
			n = width;
			while (n > 0 && rest.p[n] != ' ')
				n--;
			n = n == 0 ? width : n;
		}
		start_line(&line, out);
		BUF_ADD_LIT(out, "# ");
		buf_add_span(out, span_of(rest.p, n));
		buf_add_char(out, '\n');
		rest = span_from(rest, n);
		while (rest.n > 0 && rest.p[0] == ' ')
			rest = span_from(rest, 1);
	}
}

static void
put_list(const char *def, struct buf *out)
{
	struct span rest = span_cstr(def);
	const char *gap = "";

	buf_add_char(out, '[');
	while (rest.n > 0) {
		size_t comma = span_find(rest, ',');
		buf_add_cstr(out, gap);
		json_quote(out, span_trim(span_of(rest.p, comma)));
		gap = ", ";
		rest = span_from(rest, comma < rest.n ? comma + 1 : comma);
	}
	buf_add_char(out, ']');
}

static void
put_value(const struct config_row *row, struct buf *out)
{
	switch (row->type) {
	case CONFIG_TYPE_BOOL:
		buf_add_cstr(out, row->def != NULL ? row->def : "false");
		return;
	case CONFIG_TYPE_INT:
		buf_add_cstr(out, row->def != NULL ? row->def : "0");
		return;
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_SECRET:
	case CONFIG_TYPE_PATH:
		json_quote(out, span_cstr(row->def));
		return;
	case CONFIG_TYPE_ENUM:
		json_quote(
			out, row->def != NULL ? span_cstr(row->def) : config_word(row->words, 0));
		return;
	case CONFIG_TYPE_STRINGS:
	case CONFIG_TYPE_PATHS:
		put_list(row->def, out);
		return;
	case CONFIG_TYPE_MAP:
	case CONFIG_TYPE_MAP_STRINGS:
		BUF_ADD_LIT(out, "{}");
		return;
	case CONFIG_TYPE_OBJECT:
	case CONFIG_TYPE_LIST:
	case CONFIG_TYPE_LATER:
		break;
	}
	UNREACHABLE("not a single value");
}

static void put_object(struct level *at, const struct config_object *o, struct buf *out);

static struct level
commented_out(const struct level *at)
{
	struct level line = *at;

	if (!line.is_comment) {
		line.is_comment = true;
		line.comment_depth = line.depth;
	}
	return line;
}

static void
put_nested(struct level *at, const struct config_row *row, struct buf *out)
{
	bool is_list = row->type == CONFIG_TYPE_LIST;
	struct level line = is_list ? commented_out(at) : *at;

	put_prose(at, row->prose, out);
	start_line(&line, out);
	at->dash = false;
	buf_printf(out, "%s:\n", row->name);
	line.depth += is_list ? 2 : 1;
	line.dash = is_list;
	put_object(&line, row->object, out);
}

static void
put_row(struct level *at, const struct config_row *row, struct buf *out)
{
	bool is_open = (row->flags & CONFIG_REQUIRED) != 0 && row->def == NULL;
	struct level line = is_open ? *at : commented_out(at);

	put_prose(at, row->prose, out);
	start_line(&line, out);
	at->dash = false;
	buf_printf(out, "%s: ", row->name);
	put_value(row, out);
	buf_add_char(out, '\n');
}

static void
put_object(struct level *at, const struct config_object *o, struct buf *out)
{
	for (size_t i = 0; i < o->n_rows; i++) {
		const struct config_row *row = &o->rows[i];
		if (!row_is_built(row) || row->unbuilt != CONFIG_BUILT ||
			(row->flags & CONFIG_DEPRECATED) != 0)
			continue;
		if (row->type == CONFIG_TYPE_OBJECT || row->type == CONFIG_TYPE_LIST) {
			if (at->depth == 0)
				buf_add_char(out, '\n');
			put_nested(at, row, out);
		} else {
			put_row(at, row, out);
		}
	}
}

void
config_example(const struct config_object *root, struct buf *out)
{
	struct level top = {0};

	put_prose(&top, root->prose, out);
	put_object(&top, root, out);
}
