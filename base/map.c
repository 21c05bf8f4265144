/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash map: open addressing with linear probing over a table of a power of two, at most three
 * quarters full. Removing moves the run behind the gap back, so there are no tombstones and a table
 * that is used for years stays as quick as a new one. Must never hold more than its bound. Runs on
 * the thread that owns the map, but for map_hash.
 */
#include "base/map.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/must.h"
#include "base/rand.h"

#include "siphash.h"

#define MAP_MAGIC 0x6d617030u
#define SLOTS_FIRST 16

struct entry {
	void *value;
	size_t n;
	char key[];
};

struct slot {
	struct entry *entry; /* NULL: free */
	uint64_t hash;
};

struct map {
	unsigned magic;
	size_t max_entries;
	size_t n_entries;
	size_t n_slots; /* a power of two, or 0 before the first entry */
	struct slot *slots;
};

static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static uint8_t seed[SIPHASH_KEY_BYTES];

static void
make_seed(void)
{
	/* A guessable seed would let a client choose colliding keys, and this happens at
	 * start-up. */
	MUST(rand_bytes(seed, sizeof(seed), NULL) == OK);
}

uint64_t
map_hash(struct span key)
{
	MUST(pthread_once(&seed_once, make_seed) == 0);
	return siphash(seed, key);
}

struct map *
map_new(size_t max_entries)
{
	MUST(max_entries > 0);
	struct map *m = mem_zalloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->magic = MAP_MAGIC;
	m->max_entries = max_entries;
	return m;
}

void
map_free(struct map **m, void (*free_value)(void *value))
{
	if (*m == NULL)
		return;
	OBJ_CHECK(*m, MAP_MAGIC);
	for (size_t i = 0; i < (*m)->n_slots; i++) {
		struct entry *e = (*m)->slots[i].entry;
		if (e != NULL && free_value != NULL)
			free_value(e->value);
		mem_free(e);
	}
	mem_free((*m)->slots);
	(*m)->magic = 0;
	mem_free(*m);
	*m = NULL;
}

/* The key's slot, or the free slot where it belongs. There is always a free one. */
static struct slot *
probe(struct slot *slots, size_t n_slots, uint64_t hash, struct span key)
{
	size_t i = (size_t)hash & (n_slots - 1);

	while (slots[i].entry != NULL) {
		const struct entry *e = slots[i].entry;
		if (slots[i].hash == hash && span_eq(span_of(e->key, e->n), key))
			break;
		i = (i + 1) & (n_slots - 1);
	}
	return &slots[i];
}

static struct slot *
find_slot(const struct map *m, struct span key)
{
	if (m->n_entries == 0)
		return NULL;
	struct slot *s = probe(m->slots, m->n_slots, map_hash(key), key);
	return s->entry != NULL ? s : NULL;
}

void *
map_find(const struct map *m, struct span key)
{
	OBJ_CHECK(m, MAP_MAGIC);
	const struct slot *s = find_slot(m, key);
	return s != NULL ? s->entry->value : NULL;
}

/* Doubles the table when one more entry would fill more than three quarters; false when memory
 * is out. */
static bool
make_room(struct map *m)
{
	if (m->n_entries + 1 <= m->n_slots / 4 * 3)
		return true;
	size_t n_slots = m->n_slots > 0 ? 2 * m->n_slots : SLOTS_FIRST;
	struct slot *slots = mem_zalloc(n_slots, sizeof(*slots));
	if (slots == NULL)
		return false;
	for (size_t i = 0; i < m->n_slots; i++) {
		const struct slot *old = &m->slots[i];
		if (old->entry != NULL) {
			struct span key = span_of(old->entry->key, old->entry->n);
			*probe(slots, n_slots, old->hash, key) = *old;
		}
	}
	mem_free(m->slots);
	m->slots = slots;
	m->n_slots = n_slots;
	return true;
}

static struct entry *
new_entry(struct span key, void *value)
{
	struct entry *e = key.n < SIZE_MAX / 2 ? mem_alloc(sizeof(*e) + key.n) : NULL;

	if (e == NULL)
		return NULL;
	e->value = value;
	e->n = key.n;
	if (key.n > 0)
		memcpy(e->key, key.p, key.n);
	return e;
}

bool
map_put(struct map *m, struct span key, void *value, void **old)
{
	OBJ_CHECK(m, MAP_MAGIC);
	struct slot *s = find_slot(m, key);
	if (old != NULL)
		*old = s != NULL ? s->entry->value : NULL;
	if (s != NULL) {
		s->entry->value = value;
		return true;
	}
	if (m->n_entries >= m->max_entries || !make_room(m))
		return false;
	struct entry *e = new_entry(key, value);
	if (e == NULL)
		return false;
	uint64_t hash = map_hash(key);
	*probe(m->slots, m->n_slots, hash, key) = (struct slot){e, hash};
	m->n_entries++;
	return true;
}

/* Empties slot i and moves back what only stood behind it because it was taken. */
static void
close_gap(struct map *m, size_t gap)
{
	size_t mask = m->n_slots - 1;

	for (size_t i = (gap + 1) & mask; m->slots[i].entry != NULL; i = (i + 1) & mask) {
		size_t home = (size_t)m->slots[i].hash & mask;
		/* Entry i may move to the gap unless its home lies behind the gap. */
		if (((i - home) & mask) >= ((i - gap) & mask)) {
			m->slots[gap] = m->slots[i];
			gap = i;
		}
	}
	m->slots[gap] = (struct slot){0};
}

void *
map_take(struct map *m, struct span key)
{
	OBJ_CHECK(m, MAP_MAGIC);
	struct slot *s = find_slot(m, key);
	if (s == NULL)
		return NULL;
	void *value = s->entry->value;
	mem_free(s->entry);
	close_gap(m, (size_t)(s - m->slots));
	m->n_entries--;
	return value;
}

size_t
map_count(const struct map *m)
{
	OBJ_CHECK(m, MAP_MAGIC);
	return m->n_entries;
}

void
map_each(const struct map *m, bool (*fn)(struct span key, void *value, void *arg), void *arg)
{
	OBJ_CHECK(m, MAP_MAGIC);
	for (size_t i = 0; i < m->n_slots; i++) {
		const struct entry *e = m->slots[i].entry;
		if (e != NULL && !fn(span_of(e->key, e->n), e->value, arg))
			return;
	}
}
