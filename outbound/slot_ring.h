/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of numbers without a lock: any number of threads put and take (D. Vyukov's bounded
 * queue). Each cell carries the turn at which it may be written or read next.
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
/*
 * False when it is full. While no more than n numbers are about and one thread alone takes, it never is; where several take, one that
 * was interrupted in the middle can make it seem so until it goes on, for then the others have come round to its cell.
 */
MUSTCHECK bool slot_ring_put(struct slot_ring *r, uint32_t slot);
/* The same for a thread that may wait for such a one. No more than n numbers may be about. */
void slot_ring_put_soon(struct slot_ring *r, uint32_t slot);
/* False when it is empty, or who puts the next one is in the middle of it. */
MUSTCHECK bool slot_ring_take(struct slot_ring *r, uint32_t *slot);
/* Others may change it meanwhile. */
size_t slot_ring_count(struct slot_ring *r);

#endif
