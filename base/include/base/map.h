/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash map from byte strings to pointers, seeded per process (SipHash), so that chosen keys cannot
 * make it slow. Keys are copied; values belong to the caller. Not locked.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

struct map;

/* max_entries bounds it; 0 is refused (MUST). NULL when memory is out. */
MUSTCHECK struct map *map_new(size_t max_entries);
/* free_value may be NULL; called for each value left. */
void map_free(struct map **m, void (*free_value)(void *value));
/* NULL when absent. */
void *map_find(const struct map *m, struct span key);
/* Puts or replaces; *old (may be NULL) gets the value that was there. False when full or out of
 * memory. */
MUSTCHECK bool map_put(struct map *m, struct span key, void *value, void **old);
/* Removes and returns the value; NULL when absent. */
void *map_take(struct map *m, struct span key);
size_t map_count(const struct map *m);
/* Visits each entry until fn returns false. fn must not change the map. */
void map_each(const struct map *m, bool (*fn)(struct span key, void *value, void *arg), void *arg);

/* The seeded hash itself, for tables of other shapes. Any thread after process start. */
uint64_t map_hash(struct span key);

#endif
