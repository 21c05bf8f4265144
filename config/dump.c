/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The effective configuration as text. Secrets come out as "(secret)", numbered where they are
 * names. Must never print a secret's bytes or length. Pure; any thread.
 */
#include "engine.h"
#include "printer.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/must.h"
#include "config/print.h"

static struct span
hide(struct span s)
{
	return s.n > 0 ? SPAN_LIT("(secret)") : SPAN_LIT("");
}

/* Pairs of one name, from the i-th on. */
static size_t
count_same(const struct config_map *m, size_t i)
{
	size_t n = 1;

	while (i + n < m->n && span_eq(m->v[i + n].key, m->v[i].key))
		n++;
	return n;
}

static void
dump_values(struct printer *p, const struct config_row *row, const struct config_pair *v, size_t n)
{
	bool is_secret = (row->flags & CONFIG_SECRET_VALUES) != 0;
	struct span values[CONFIG_VALUES_MAX];

	MUST(n <= CONFIG_VALUES_MAX);
	for (size_t i = 0; i < n; i++)
		values[i] = is_secret ? hide(v[i].value) : v[i].value;
	if (n > 1)
		printer_strings(p, values, n);
	else
		printer_string(p, values[0]);
}

static void
dump_map(struct printer *p, const struct config_row *row, const struct config_map *m)
{
	size_t n_same;

	if (m->n == 0) {
		printer_empty(p, "{}");
		return;
	}
	printer_open(p, '{');
	for (size_t i = 0; i < m->n; i += n_same) {
		char number[32];
		struct span key = m->v[i].key;
		n_same = count_same(m, i);
		snprintf(number, sizeof(number), "(secret %06zu)", i + 1);
		printer_key_text(
			p, (row->flags & CONFIG_SECRET_KEYS) != 0 ? span_cstr(number) : key);
		dump_values(p, row, &m->v[i], n_same);
	}
	printer_close(p, '}');
}

static void
dump_map_strings(struct printer *p, const struct config_map_strings *m)
{
	if (m->n == 0) {
		printer_empty(p, "{}");
		return;
	}
	printer_open(p, '{');
	for (size_t i = 0; i < m->n; i++) {
		printer_key_text(p, m->v[i].key);
		printer_strings(p, m->v[i].values.v, m->v[i].values.n);
	}
	printer_close(p, '}');
}

static void dump_object(struct printer *p, const struct config_object *o, const void *options);

static void
dump_list(struct printer *p, const struct config_object *o, struct slot_list list)
{
	if (list.n == 0) {
		printer_empty(p, "[]");
		return;
	}
	printer_open(p, '[');
	for (size_t i = 0; i < list.n; i++) {
		printer_element(p);
		dump_object(p, o, (const char *)list.v + i * o->size);
	}
	printer_close(p, ']');
}

void
dump_value(struct printer *p, const struct config_row *row, const void *slot)
{
	const struct config_strings *strings = slot;

	switch (row->type) {
	case CONFIG_TYPE_BOOL:
		printer_bool(p, *(const bool *)slot);
		return;
	case CONFIG_TYPE_INT:
		printer_int(p, *(const int64_t *)slot);
		return;
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_PATH:
		printer_string(p, *(const struct span *)slot);
		return;
	case CONFIG_TYPE_SECRET:
		printer_string(p, hide(*(const struct span *)slot));
		return;
	case CONFIG_TYPE_ENUM:
		printer_string(p, config_word(row->words, slot_get_enum(slot)));
		return;
	case CONFIG_TYPE_STRINGS:
	case CONFIG_TYPE_PATHS:
		printer_strings(p, strings->v, strings->n);
		return;
	case CONFIG_TYPE_MAP:
		dump_map(p, row, slot);
		return;
	case CONFIG_TYPE_MAP_STRINGS:
		dump_map_strings(p, slot);
		return;
	case CONFIG_TYPE_OBJECT:
		dump_object(p, row->object, slot);
		return;
	case CONFIG_TYPE_LIST:
		dump_list(p, row->object, slot_get_list(slot));
		return;
	case CONFIG_TYPE_LATER:
		break;
	}
	UNREACHABLE("parts that are not built are left out");
}

static void
dump_object(struct printer *p, const struct config_object *o, const void *options)
{
	printer_open(p, '{');
	for (size_t i = 0; i < o->n_rows; i++) {
		const struct config_row *row = &o->rows[i];
		if (!row_is_built(row))
			continue;
		printer_key(p, span_cstr(row->name));
		dump_value(p, row, row_get(row, options));
	}
	printer_close(p, '}');
}

static void
dump(const struct config_object *root, const void *options, bool yaml, struct buf *out)
{
	struct printer p;

	printer_init(&p, out, yaml);
	dump_object(&p, root, options);
	printer_end(&p);
}

void
config_dump_yaml(const struct config_object *root, const void *options, struct buf *out)
{
	dump(root, options, true, out);
}

void
config_dump_json(const struct config_object *root, const void *options, struct buf *out)
{
	dump(root, options, false, out);
}
