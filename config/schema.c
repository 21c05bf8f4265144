/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables as JSON Schema 2020-12, for editors and linters. It says what the file may hold; keys
 * that the environment may give are never required by it. Pure; any thread.
 */
#include "engine.h"
#include "printer.h"

#include "base/buf.h"
#include "base/must.h"
#include "base/parse.h"
#include "config/print.h"

#define KEY(p, name) printer_key((p), SPAN_LIT(name))

static void
put_text(struct printer *p, const char *name, const char *text)
{
	printer_key(p, span_cstr(name));
	printer_string(p, span_cstr(text));
}

static void
put_words(struct printer *p, const char *words)
{
	struct span v[CONFIG_ROWS_MAX];
	size_t n = 0;

	while (n < ARRAY_LEN(v)) {
		v[n] = config_word(words, (int)n);
		if (v[n].p == NULL)
			break;
		n++;
	}
	KEY(p, "enum");
	printer_strings(p, v, n);
}

static void
put_string_schema(struct printer *p, const struct config_row *row)
{
	put_text(p, "type", "string");
	if (row->words != NULL && (row->flags & CONFIG_FOLD) == 0)
		put_words(p, row->words);
	if (row->type == CONFIG_TYPE_ENUM)
		return;
	bool is_element = row_is_list(row);
	if (is_element || (row->flags & CONFIG_REQUIRED) != 0) {
		KEY(p, "minLength");
		printer_int(p, is_element || row->min == 0 ? 1 : row->min);
	}
	KEY(p, "maxLength");
	printer_int(p, is_element ? CONFIG_STRING_MAX : row_max(row));
}

static void
put_item_schema(struct printer *p, const char *key, const struct config_row *row, bool is_list)
{
	printer_key(p, span_cstr(key));
	printer_open(p, '{');
	if (is_list) {
		put_text(p, "type", "array");
		KEY(p, "items");
		printer_open(p, '{');
	}
	put_string_schema(p, row);
	if (is_list)
		printer_close(p, '}');
	printer_close(p, '}');
}

/* Of a map's values: a text, or a list of them. */
static void
put_either_schema(struct printer *p, const struct config_row *row)
{
	KEY(p, "additionalProperties");
	printer_open(p, '{');
	KEY(p, "anyOf");
	printer_open(p, '[');
	printer_element(p);
	printer_open(p, '{');
	put_string_schema(p, row);
	printer_close(p, '}');
	printer_element(p);
	printer_open(p, '{');
	put_text(p, "type", "array");
	KEY(p, "minItems");
	printer_int(p, 1);
	KEY(p, "maxItems");
	printer_int(p, CONFIG_VALUES_MAX);
	put_item_schema(p, "items", row, false);
	printer_close(p, '}');
	printer_close(p, ']');
	printer_close(p, '}');
}

static void
put_default(struct printer *p, const struct config_row *row)
{
	bool b = false;
	int64_t n = 0;

	if (row->def == NULL || row_is_list(row) || row->type == CONFIG_TYPE_SECRET)
		return;
	KEY(p, "default");
	if (row->type == CONFIG_TYPE_BOOL && parse_bool(span_cstr(row->def), &b))
		printer_bool(p, b);
	else if (row->type == CONFIG_TYPE_INT &&
		 parse_int(span_cstr(row->def), INT64_MIN, INT64_MAX, &n))
		printer_int(p, n);
	else
		printer_string(p, span_cstr(row->def));
}

static void put_object(struct printer *p, const struct config_object *o);

static void
put_type(struct printer *p, const struct config_row *row)
{
	switch (row->type) {
	case CONFIG_TYPE_BOOL:
		put_text(p, "type", "boolean");
		return;
	case CONFIG_TYPE_INT:
		put_text(p, "type", "integer");
		KEY(p, "minimum");
		printer_int(p, row->min);
		KEY(p, "maximum");
		printer_int(p, row->max);
		return;
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_SECRET:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_ENUM:
		put_string_schema(p, row);
		return;
	case CONFIG_TYPE_STRINGS:
	case CONFIG_TYPE_PATHS:
		put_text(p, "type", "array");
		put_item_schema(p, "items", row, false);
		return;
	case CONFIG_TYPE_MAP:
	case CONFIG_TYPE_MAP_STRINGS:
		put_text(p, "type", "object");
		if ((row->flags & CONFIG_VALUE_LISTS) != 0)
			put_either_schema(p, row);
		else
			put_item_schema(p, "additionalProperties", row,
				row->type == CONFIG_TYPE_MAP_STRINGS);
		return;
	case CONFIG_TYPE_LIST:
		put_text(p, "type", "array");
		KEY(p, "items");
		printer_open(p, '{');
		put_object(p, row->object);
		printer_close(p, '}');
		return;
	case CONFIG_TYPE_OBJECT:
	case CONFIG_TYPE_LATER:
		return;
	}
	UNREACHABLE("config type");
}

static void
put_row(struct printer *p, const struct config_row *row)
{
	printer_key(p, span_cstr(row->name));
	printer_open(p, '{');
	put_text(p, "description", row->prose);
	if (row->type == CONFIG_TYPE_OBJECT)
		put_object(p, row->object);
	else
		put_type(p, row);
	put_default(p, row);
	if ((row->flags & CONFIG_DEPRECATED) != 0) {
		KEY(p, "deprecated");
		printer_bool(p, true);
	}
	if (row->type == CONFIG_TYPE_SECRET) {
		KEY(p, "writeOnly");
		printer_bool(p, true);
	}
	printer_close(p, '}');
}

static void
put_required(struct printer *p, const struct config_object *o)
{
	struct span v[CONFIG_ROWS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < o->n_rows; i++) {
		const struct config_row *row = &o->rows[i];
		if ((row->flags & CONFIG_REQUIRED) != 0 && row->def == NULL && row->env == NULL)
			v[n++] = span_cstr(row->name);
	}
	if (n == 0)
		return;
	KEY(p, "required");
	printer_strings(p, v, n);
}

static void
put_object(struct printer *p, const struct config_object *o)
{
	put_text(p, "type", "object");
	KEY(p, "additionalProperties");
	printer_bool(p, false);
	KEY(p, "properties");
	printer_open(p, '{');
	for (size_t i = 0; i < o->n_rows; i++)
		put_row(p, &o->rows[i]);
	printer_close(p, '}');
	put_required(p, o);
}

void
config_schema(const struct config_object *root, const char *title, struct buf *out)
{
	struct printer p;

	printer_init(&p, out, false);
	printer_open(&p, '{');
	put_text(&p, "$schema", "https://json-schema.org/draft/2020-12/schema");
	put_text(&p, "title", title);
	put_text(&p, "description", root->prose);
	put_object(&p, root);
	printer_close(&p, '}');
	printer_end(&p);
}
