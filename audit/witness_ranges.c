/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Ranges of record numbers. Pure. */
#include "witness_ranges.h"

#include <string.h>

#include "base/must.h"

/* The first range that ends at v - 1 or behind it. */
static size_t
find(const struct witness_ranges *r, uint64_t v)
{
	size_t from = 0;
	size_t to = r->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (r->v[middle].last + 1 >= v)
			to = middle;
		else
			from = middle + 1;
	}
	return from;
}

bool
witness_ranges_add(struct witness_ranges *r, uint64_t first, uint64_t last)
{
	size_t at = find(r, first);
	size_t end = at;

	while (end < r->n && r->v[end].first <= last + 1) {
		first = r->v[end].first < first ? r->v[end].first : first;
		last = r->v[end].last > last ? r->v[end].last : last;
		end++;
	}
	if (end == at && r->n == WITNESS_RANGES_MAX)
		return false;
	memmove(&r->v[at + 1], &r->v[end], (r->n - end) * sizeof(*r->v));
	r->v[at] = (struct witness_range){first, last};
	r->n += at + 1 - end;
	return true;
}

void
witness_ranges_cover(struct witness_ranges *r, uint64_t first, uint64_t last)
{
	if (witness_ranges_add(r, first, last))
		return;
	/* It is full: the nearest one grows up to here. */
	size_t at = find(r, first);
	if (at == r->n)
		at--;
	first = first < r->v[at].first ? first : r->v[at].first;
	last = last > r->v[at].last ? last : r->v[at].last;
	MUST(witness_ranges_add(r, first, last));
}

size_t
witness_ranges_find(const struct witness_ranges *r, uint64_t v)
{
	size_t at = find(r, v);

	return at < r->n && r->v[at].last < v ? at + 1 : at;
}

bool
witness_ranges_has(const struct witness_ranges *r, uint64_t v)
{
	size_t at = find(r, v);

	return at < r->n &&
	       ((r->v[at].first <= v && v <= r->v[at].last) ||
		       (at + 1 < r->n && r->v[at + 1].first <= v && v <= r->v[at + 1].last));
}

uint64_t
witness_ranges_count(const struct witness_ranges *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->v[i].last - r->v[i].first + 1;
	return n;
}
