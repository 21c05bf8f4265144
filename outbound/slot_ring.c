/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See slot_ring.h. A cell's turn is its place while it is free, its place + 1 while it holds a number. Any thread. */
#include "slot_ring.h"

#include <sched.h>

#include "base/mem.h"

bool
slot_ring_init(struct slot_ring *r, size_t n)
{
	size_t size = 1;

	while (size < n)
		size *= 2;
	r->cells = mem_zalloc(size, sizeof(*r->cells));
	if (r->cells == NULL)
		return false;
	r->mask = size - 1;
	for (size_t i = 0; i < size; i++)
		atomic_init(&r->cells[i].turn, i);
	atomic_init(&r->n_put, 0);
	atomic_init(&r->n_taken, 0);
	return true;
}

void
slot_ring_fini(struct slot_ring *r)
{
	mem_free(r->cells);
	r->cells = NULL;
}

/* The cell at *counter, which is moved on, once its turn is so far ahead of it; NULL when it is not there yet. */
static struct slot_cell *
claim(struct slot_ring *r, atomic_size_t *counter, size_t ahead, size_t *at)
{
	*at = atomic_load_explicit(counter, memory_order_relaxed);
	for (;;) {
		struct slot_cell *c = &r->cells[*at & r->mask];
		size_t turn = atomic_load_explicit(&c->turn, memory_order_acquire);

		if (turn == *at + ahead) {
			if (atomic_compare_exchange_weak_explicit(counter, at, *at + 1,
				    memory_order_relaxed, memory_order_relaxed))
				return c;
		} else if ((ptrdiff_t)(turn - (*at + ahead)) < 0) {
			return NULL;
		} else {
			*at = atomic_load_explicit(counter, memory_order_relaxed);
		}
	}
}

bool
slot_ring_put(struct slot_ring *r, uint32_t slot)
{
	size_t at;
	struct slot_cell *c = claim(r, &r->n_put, 0, &at);

	if (c == NULL)
		return false;
	c->slot = slot;
	atomic_store_explicit(&c->turn, at + 1, memory_order_release);
	return true;
}

void
slot_ring_put_soon(struct slot_ring *r, uint32_t slot)
{
	while (!slot_ring_put(r, slot))
		sched_yield();
}

bool
slot_ring_take(struct slot_ring *r, uint32_t *slot)
{
	size_t at;
	struct slot_cell *c = claim(r, &r->n_taken, 1, &at);

	if (c == NULL)
		return false;
	*slot = c->slot;
	atomic_store_explicit(&c->turn, at + r->mask + 1, memory_order_release);
	return true;
}

size_t
slot_ring_count(struct slot_ring *r)
{
	size_t taken = atomic_load_explicit(&r->n_taken, memory_order_relaxed);
	size_t put = atomic_load_explicit(&r->n_put, memory_order_relaxed);

	return put > taken ? put - taken : 0;
}
