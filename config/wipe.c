/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Overwriting of what the tables call secret, before memory is given back. Owner's thread, no
 * reader left. */
#include "engine.h"

#include "base/buf.h"
#include "base/mem.h"

/* Options are const to their readers only; the loader allocated these bytes. */
static void
wipe_span(struct span s)
{
	if (s.n > 0)
		mem_wipe((void *)(uintptr_t)s.p, s.n);
}

static void
wipe_map(const struct config_row *row, const struct config_map *m)
{
	for (size_t i = 0; i < m->n; i++) {
		if ((row->flags & CONFIG_SECRET_KEYS) != 0)
			wipe_span(m->v[i].key);
		if ((row->flags & CONFIG_SECRET_VALUES) != 0)
			wipe_span(m->v[i].value);
	}
}

void
config_wipe(const struct config_object *root, void *options)
{
	for (size_t i = 0; i < root->n_rows; i++) {
		const struct config_row *row = &root->rows[i];
		void *slot = row_slot(row, options);
		if (row->type == CONFIG_TYPE_SECRET) {
			wipe_span(*(const struct span *)slot);
		} else if (row->type == CONFIG_TYPE_MAP) {
			wipe_map(row, slot);
		} else if (row->type == CONFIG_TYPE_OBJECT) {
			config_wipe(row->object, slot);
		} else if (row->type == CONFIG_TYPE_LIST) {
			struct slot_list list = slot_get_list(slot);
			for (size_t k = 0; k < list.n; k++)
				config_wipe(row->object, (char *)list.v + k * row->object->size);
		}
	}
}

void
config_wipe_text(struct buf *text)
{
	if (text->p != NULL)
		mem_wipe(text->p, text->size);
	buf_fini(text);
}
