/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Interned identity names: each text that an identity list of the policy mentions gets a number, so
 * that testing a list is a search among integers. Written during the load, read-only from then on;
 * any thread may look up.
 */
#include "index.h"

#include <stdlib.h>

#include "base/arena.h"
#include "index_priv.h"

/* The slot that holds the name or is free for it. */
static uint32_t
find_name_slot(const struct index *ix, struct span name)
{
	uint32_t at = (uint32_t)index_mix(0, index_hash(INDEX_HASH_START, name)) & ix->names_mask;

	while (ix->names[at].id != 0 && !span_eq(ix->names[at].text, name))
		at = (at + 1) & ix->names_mask;
	return at;
}

uint32_t
index_find_name(const struct index *ix, struct span name)
{
	return ix->names[find_name_slot(ix, name)].id;
}

static uint32_t
intern(struct index *ix, struct span name)
{
	struct index_name *slot = &ix->names[find_name_slot(ix, name)];

	if (slot->id == 0)
		*slot = (struct index_name){name, ++ix->n_names};
	return slot->id;
}

static int
compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool
intern_list(struct index *ix, struct rule_names *names, struct arena *a)
{
	if (names->any)
		return true;
	uint32_t *ids = ARENA_ARRAY(a, uint32_t, names->text.n);
	if (ids == NULL)
		return false;
	for (uint32_t i = 0; i < names->text.n; i++)
		ids[i] = intern(ix, names->text.v[i]);
	qsort(ids, names->text.n, sizeof(*ids), compare_u32);
	for (uint32_t i = 0; i < names->text.n; i++) {
		if (i == 0 || ids[i] != ids[i - 1])
			ids[names->n_ids++] = ids[i];
	}
	names->ids = ids;
	return true;
}

bool
index_intern(struct index *ix, struct rule *const *rules, size_t n, struct arena *a)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		for (int w = 0; w < RULE_WHO__MAX; w++)
			total += rules[i]->who[w].text.n;
	}
	uint32_t size = index_table_size(total);
	ix->names = ARENA_ARRAY(a, struct index_name, size);
	ix->names_mask = size - 1;
	if (ix->names == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		for (int w = 0; w < RULE_WHO__MAX; w++) {
			if (!intern_list(ix, &rules[i]->who[w], a))
				return false;
		}
	}
	return true;
}
