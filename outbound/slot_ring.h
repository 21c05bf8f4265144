/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of numbers that nobody ever waits for: any number of threads put and take, without a lock (D. Vyukov's
 * bounded queue). Each cell carries the turn at which it may be written or read next.
 */
#ifndef OUTBOUND_SLOT_RING_H
#define OUTBOUND_SLOT_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct slot_cell {
	atomic_size_t turn;
	uint32_t slot;
};

struct slot_ring {
	struct slot_cell *cells;
	size_t mask;
	_Alignas(64) atomic_size_t n_put;
	_Alignas(64) atomic_size_t n_taken;
};

/* Room for n numbers at least. False when memory is out. */
MUSTCHECK bool slot_ring_init(struct slot_ring *r, size_t n);
/* Accepts one that is all zero. */
void slot_ring_fini(struct slot_ring *r);
/* False when it is full; never while no more than n numbers are about. */
MUSTCHECK bool slot_ring_put(struct slot_ring *r, uint32_t slot);
/* False when it is empty. */
MUSTCHECK bool slot_ring_take(struct slot_ring *r, uint32_t *slot);
/* Others may change it meanwhile. */
size_t slot_ring_count(struct slot_ring *r);

#endif
