/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Bits of a row of the index. It must never read behind what the row has, whatever that says. Pure. */
#include "index_postings.h"

#include <string.h>

void
postings_begin(struct postings *p, uint64_t first)
{
	p->first = first;
	p->last = first;
	p->n = 0;
}

bool
postings_add(struct postings *p, uint64_t seq)
{
	uint64_t bit = seq - p->first - 1;
	size_t byte = (size_t)(bit / 8);

	if (seq <= p->last || seq - p->last > POSTINGS_GAP_MAX || byte >= POSTINGS_BYTES_MAX)
		return false;
	for (; p->n <= byte; p->n++)
		p->bits[p->n] = 0;
	p->bits[byte] = (uint8_t)(p->bits[byte] | 1u << bit % 8);
	p->last = seq;
	return true;
}

struct span
postings_bits(const struct postings *p)
{
	return span_of((const char *)p->bits, p->n);
}

bool
postings_read(struct postings *p, uint64_t first, struct span bits)
{
	if (first == 0 || first > INT64_MAX - (uint64_t)8 * POSTINGS_BYTES_MAX ||
		bits.n > POSTINGS_BYTES_MAX)
		return false;
	postings_begin(p, first);
	if (bits.n > 0)
		memcpy(p->bits, bits.p, bits.n);
	p->n = bits.n;
	p->last = postings_down(p, first + (uint64_t)8 * bits.n);
	return true;
}

static bool
has(const struct postings *p, uint64_t bit)
{
	return (p->bits[bit / 8] >> bit % 8 & 1) != 0;
}

uint64_t
postings_up(const struct postings *p, uint64_t at)
{
	if (at <= p->first)
		return p->first;
	for (uint64_t bit = at - p->first - 1; bit < (uint64_t)8 * p->n; bit++) {
		if (has(p, bit))
			return p->first + 1 + bit;
	}
	return 0;
}

uint64_t
postings_down(const struct postings *p, uint64_t at)
{
	uint64_t n_bits = (uint64_t)8 * p->n;

	if (at < p->first)
		return 0;
	uint64_t behind = at - p->first < n_bits ? at - p->first : n_bits;
	for (; behind > 0; behind--) {
		if (has(p, behind - 1))
			return p->first + behind;
	}
	return p->first;
}
