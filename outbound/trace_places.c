/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Two rings of numbers, of the free places and of those that wait; a number that is in neither belongs to a request or to the exporter. */
#include "trace_places.h"

#include "base/mem.h"
#include "base/must.h"
#include "outbound/trace.h"

bool
trace_places_init(struct trace_places *p, size_t n)
{
	MUST(n > 0 && n <= UINT32_MAX);
	*p = (struct trace_places){.traces = mem_zalloc(n, sizeof(*p->traces)), .n = n};
	if (p->traces == NULL || !slot_ring_init(&p->free, n) || !slot_ring_init(&p->waiting, n))
		return false;
	for (size_t i = 0; i < n; i++)
		MUST(slot_ring_put(&p->free, (uint32_t)i));
	return true;
}

void
trace_places_fini(struct trace_places *p)
{
	slot_ring_fini(&p->free);
	slot_ring_fini(&p->waiting);
	mem_free(p->traces);
	*p = (struct trace_places){.n = 0};
}

static uint32_t
number_of(const struct trace_places *p, const struct trace *trace)
{
	return (uint32_t)(trace - p->traces);
}

struct trace *
trace_places_claim(struct trace_places *p, size_t n_left_free)
{
	uint32_t place;

	if ((n_left_free > 0 && slot_ring_count(&p->free) <= n_left_free) ||
		!slot_ring_take(&p->free, &place))
		return NULL;
	trace_reset(&p->traces[place]);
	return &p->traces[place];
}

void
trace_places_submit(struct trace_places *p, struct trace *own_trace)
{
	/* One thread alone takes there, so it never seems full. */
	MUST(slot_ring_put(&p->waiting, number_of(p, own_trace)));
}

struct trace *
trace_places_take(struct trace_places *p)
{
	uint32_t place;

	if (!slot_ring_take(&p->waiting, &place))
		return NULL;
	return &p->traces[place];
}

void
trace_places_give_back(struct trace_places *p, struct trace *own_trace)
{
	slot_ring_put_soon(&p->free, number_of(p, own_trace));
}

size_t
trace_places_count_waiting(struct trace_places *p)
{
	return slot_ring_count(&p->waiting);
}
