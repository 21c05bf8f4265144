/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See nonce_marks.h. The sets stand in a ring, so that an epoch's place is known by its number. */
#include "identity/nonce_marks.h"

#include <string.h>

#include "base/mem.h"

enum { SET_SLOTS_MIN = 64 };

void
nonce_marks_fini(struct nonce_marks *m)
{
	for (size_t i = 0; i < NONCE_EPOCHS; i++)
		mem_free(m->sets[i].slots.v);
	for (size_t i = 0; i < NONCE_SPARES; i++)
		mem_free(m->spares[i].v);
}

static void
forget_set(struct nonce_marks *m, struct nonce_set *set)
{
	struct nonce_slots *least = &m->spares[0];

	m->n -= set->n;
	/* The larger ones are kept for the next epochs. */
	for (size_t i = 1; i < NONCE_SPARES; i++)
		if (m->spares[i].size < least->size)
			least = &m->spares[i];
	if (least->size < set->slots.size) {
		mem_free(least->v);
		*least = set->slots;
	} else {
		mem_free(set->slots.v);
	}
	*set = (struct nonce_set){.epoch = 0};
}

size_t
nonce_marks_forget(struct nonce_marks *m, int64_t first)
{
	int64_t steps = first - m->oldest;
	size_t before = m->n;

	for (int64_t i = 0; i < steps && i < NONCE_EPOCHS; i++)
		forget_set(m, &m->sets[(m->oldest + i) % NONCE_EPOCHS]);
	if (steps > 0)
		m->oldest = first;
	return before - m->n;
}

/* False when it is there. There is an empty slot. */
static bool
put_mark(struct nonce_slots *slots, uint64_t mark)
{
	size_t mask = slots->size - 1;
	size_t i = (size_t)(mark >> 8) & mask;

	while (slots->v[i] != 0) {
		if (slots->v[i] == mark)
			return false;
		i = (i + 1) & mask;
	}
	slots->v[i] = mark;
	return true;
}

/* The largest spare, emptied, when it is large enough; else new memory; NULL when that is out. */
static struct nonce_slots
new_slots(struct nonce_marks *m, size_t size)
{
	struct nonce_slots *most = &m->spares[0];
	struct nonce_slots slots;

	for (size_t i = 1; i < NONCE_SPARES; i++)
		if (m->spares[i].size > most->size)
			most = &m->spares[i];
	if (most->size >= size) {
		slots = *most;
		*most = (struct nonce_slots){NULL, 0};
		memset(slots.v, 0, slots.size * sizeof(slots.v[0]));
		return slots;
	}
	slots.v = mem_zalloc(size, sizeof(slots.v[0]));
	slots.size = slots.v != NULL ? size : 0;
	return slots;
}

/* What the epoch before needed: so a table that is warm does not begin small each time. */
static size_t
first_size(const struct nonce_marks *m, int64_t epoch)
{
	const struct nonce_set *before = &m->sets[(epoch - 1) % NONCE_EPOCHS];
	size_t size = SET_SLOTS_MIN;

	while (before->epoch == epoch - 1 && before->n * 4 > size * 3)
		size *= 2;
	return size;
}

/* Room for one more, three slots of four taken at most; with less only when memory is out. */
static bool
need_slot(struct nonce_marks *m, struct nonce_set *set)
{
	struct nonce_slots old = set->slots;
	struct nonce_slots wider;

	if ((set->n + 1) * 4 <= old.size * 3)
		return true;
	wider = new_slots(m, old.size > 0 ? old.size * 2 : first_size(m, set->epoch));
	if (wider.v == NULL)
		return set->n + 1 < old.size;
	for (size_t i = 0; i < old.size; i++)
		if (old.v[i] != 0)
			(void)put_mark(&wider, old.v[i]);
	mem_free(old.v);
	set->slots = wider;
	return true;
}

enum nonce_verdict
nonce_marks_put(struct nonce_marks *m, int64_t epoch, uint64_t mark, size_t max)
{
	struct nonce_set *set = &m->sets[epoch % NONCE_EPOCHS];

	if (epoch < m->oldest)
		return NONCE_FORGOTTEN;
	if (set->n == 0)
		set->epoch = epoch;
	if (set->epoch != epoch || m->n >= max || !need_slot(m, set))
		return NONCE_TABLE_FULL;
	if (!put_mark(&set->slots, mark))
		return NONCE_USED;
	set->n++;
	m->n++;
	return NONCE_FRESH;
}
