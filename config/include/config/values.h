/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists and maps that config rows make, and look-ups in them. Plain values in the arena of the
 * options; immutable once loaded. Pure; any thread.
 */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct config_strings {
	const struct span *v;
	size_t n;
};

struct config_pair {
	struct span key;
	struct span value;
};

/* Ordered by key bytes. With CONFIG_VALUE_LISTS a key may be there several times, its values in their order. */
struct config_map {
	const struct config_pair *v;
	size_t n;
};

struct config_entry {
	struct span key;
	struct config_strings values;
};

/* Ordered by key bytes. */
struct config_map_strings {
	const struct config_entry *v;
	size_t n;
};

/* The first value of that name, or the empty span (p == NULL when absent). Not constant time: never look
 * up by a secret. */
struct span config_map_find(const struct config_map *m, struct span key);
/* The list of that name, or an empty one. */
struct config_strings config_map_strings_find(const struct config_map_strings *m, struct span key);
bool config_strings_has(const struct config_strings *s, struct span text);
/* The position of word in "a|b|c", -1 when it is none of them; and back (the empty span out of
 * range). */
int config_word_index(const char *words, struct span word);
struct span config_word(const char *words, int index);

#endif
