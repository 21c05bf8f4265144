/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One change of a configuration as a line for people. Must never print a secret's bytes or length. Pure; any thread.
 */
#include "engine.h"
#include "printer.h"

#include "base/buf.h"
#include "config/print.h"

static bool
has_name(const struct config_map *m, struct span name)
{
	for (size_t i = 0; i < m->n; i++)
		if (span_eq(m->v[i].key, name))
			return true;
	return false;
}

static void
add_name(struct buf *out, char sign, struct span name)
{
	struct printer p;

	if (out->n > 0 && out->p[out->n - 1] != ' ')
		buf_add_char(out, ' ');
	buf_add_char(out, sign);
	printer_init(&p, out, false);
	printer_string(&p, name);
}

/* What the one has and the other has not. */
static void
add_missing(struct buf *out, char sign, const struct config_map *from, const struct config_map *in)
{
	for (size_t i = 0; i < from->n; i++)
		if (!has_name(in, from->v[i].key))
			add_name(out, sign, from->v[i].key);
}

static void
add_map(struct buf *out, const struct config_map *before, const struct config_map *after)
{
	add_missing(out, '-', before, after);
	add_missing(out, '+', after, before);
	for (size_t i = 0; i < after->n; i++)
		for (size_t j = 0; j < before->n; j++)
			if (span_eq(after->v[i].key, before->v[j].key) &&
				!span_eq(after->v[i].value, before->v[j].value))
				add_name(out, '~', after->v[i].key);
}

static void
add_count(struct buf *out, size_t before, size_t after)
{
	if (before == after)
		BUF_ADD_LIT(out, "changed");
	else
		buf_printf(out, "%zu entries -> %zu", before, after);
}

static void
add_pair(struct buf *out, const struct config_change *c)
{
	struct printer p;

	printer_init(&p, out, false);
	dump_value(&p, c->row, c->before);
	BUF_ADD_LIT(out, " -> ");
	dump_value(&p, c->row, c->after);
}

void
config_print_change(const struct config_change *c, struct buf *out)
{
	const struct config_map *before = c->before;
	const struct config_map *after = c->after;
	const struct config_map_strings *lists_before = c->before;
	const struct config_map_strings *lists_after = c->after;

	switch (c->row->type) {
	case CONFIG_TYPE_BOOL:
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_ENUM:
	case CONFIG_TYPE_STRING:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_STRINGS:
	case CONFIG_TYPE_PATHS:
		add_pair(out, c);
		return;
	case CONFIG_TYPE_MAP:
		if ((c->row->flags & CONFIG_SECRET_KEYS) != 0)
			add_count(out, before->n, after->n);
		else
			add_map(out, before, after);
		return;
	case CONFIG_TYPE_MAP_STRINGS:
		add_count(out, lists_before->n, lists_after->n);
		return;
	case CONFIG_TYPE_LIST:
		add_count(out, slot_get_list(c->before).n, slot_get_list(c->after).n);
		return;
	case CONFIG_TYPE_SECRET:
	case CONFIG_TYPE_LATER:
	case CONFIG_TYPE_OBJECT:
		BUF_ADD_LIT(out, "changed");
		return;
	}
}
