/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A set of numbers that mostly lie one behind the other, as ranges. One thread. */
#ifndef AUDIT_WITNESS_RANGES_H
#define AUDIT_WITNESS_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define WITNESS_RANGES_MAX 4096

struct witness_ranges {
	struct witness_range {
		uint64_t first;
		uint64_t last;
	} v[WITNESS_RANGES_MAX]; /* ascending, none touches the next */
	size_t n;
};

/* False when there would be more ranges than fit. */
MUSTCHECK bool witness_ranges_add(struct witness_ranges *r, uint64_t first, uint64_t last);
/* The same, but a full set takes more numbers instead: it never lacks one that was added. */
void witness_ranges_cover(struct witness_ranges *r, uint64_t first, uint64_t last);
bool witness_ranges_has(const struct witness_ranges *r, uint64_t v);
/* The first range that ends at v or behind it; n: none does. */
size_t witness_ranges_find(const struct witness_ranges *r, uint64_t v);
uint64_t witness_ranges_count(const struct witness_ranges *r);

#endif
