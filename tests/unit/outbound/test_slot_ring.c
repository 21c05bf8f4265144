/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The bound and the order of the queue, alone and under many threads. */
#include "slot_ring.h"

#include <pthread.h>
#include <sched.h>

#include "support/test.h"

#define THREADS 4
#define ROUNDS 20000
#define SLOTS 61

TEST(a_ring_keeps_the_order_and_its_bound)
{
	struct slot_ring r;
	uint32_t slot = 0;

	CHECK(slot_ring_init(&r, 5));
	for (uint32_t round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < 8; i++)
			CHECK(slot_ring_put(&r, round + i));
		CHECK(!slot_ring_put(&r, 99));
		CHECK_INT(slot_ring_count(&r), 8);
		for (uint32_t i = 0; i < 8; i++) {
			CHECK(slot_ring_take(&r, &slot));
			CHECK_INT(slot, round + i);
		}
		CHECK(!slot_ring_take(&r, &slot));
	}
	slot_ring_fini(&r);
}

struct pair {
	struct slot_ring free;
	struct slot_ring used;
	atomic_bool has[SLOTS]; /* somebody has it: nobody else may */
	_Atomic uint64_t n_moved;
};

static void
move(struct pair *p, struct slot_ring *from, struct slot_ring *to)
{
	uint32_t slot;

	if (!slot_ring_take(from, &slot))
		return;
	if (slot >= SLOTS || atomic_exchange(&p->has[slot], true))
		FAIL("slot %u is about twice", slot);
	else
		atomic_store(&p->has[slot], false);
	slot_ring_put_soon(to, slot);
	atomic_fetch_add(&p->n_moved, 1);
}

static void *
move_many(void *arg)
{
	for (size_t i = 0; i < ROUNDS; i++) {
		struct pair *p = arg;

		move(p, &p->free, &p->used);
		move(p, &p->used, &p->free);
	}
	return NULL;
}

TEST(threads_share_a_ring_without_losing_or_doubling)
{
	static struct pair p;
	pthread_t threads[THREADS];
	size_t n = 0;
	uint32_t slot;

	CHECK(slot_ring_init(&p.free, SLOTS) && slot_ring_init(&p.used, SLOTS));
	for (uint32_t i = 0; i < SLOTS; i++)
		CHECK(slot_ring_put(&p.free, i));
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, move_many, &p) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	while (slot_ring_take(&p.free, &slot) || slot_ring_take(&p.used, &slot))
		n++;
	CHECK_INT(n, SLOTS);
	CHECK(atomic_load(&p.n_moved) > ROUNDS);
	slot_ring_fini(&p.free);
	slot_ring_fini(&p.used);
}

static void *
put_soon(void *arg)
{
	slot_ring_put_soon(arg, 7);
	return NULL;
}

/* Others go round meanwhile, and come to its cell: who puts there has to wait, and must not take the ring for broken. */
TEST(a_thread_that_stops_in_the_middle_of_taking_holds_its_cell)
{
	struct slot_ring r;
	uint32_t slot = 0;
	pthread_t thread;

	CHECK(slot_ring_init(&r, 8));
	CHECK(slot_ring_put(&r, 0));
	atomic_fetch_add(&r.n_taken, 1); /* it has claimed the cell, and no more */
	for (uint32_t i = 1; i < 8; i++) {
		CHECK(slot_ring_put(&r, i));
		CHECK(slot_ring_take(&r, &slot));
		CHECK_INT(slot, i);
	}
	CHECK(!slot_ring_put(&r, 7));
	CHECK(pthread_create(&thread, NULL, put_soon, &r) == 0);
	atomic_store(&r.cells[0].turn, 8); /* now it goes on */
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(slot_ring_take(&r, &slot));
	CHECK_INT(slot, 7);
	slot_ring_fini(&r);
}

SUITE("slot_ring", TEST_ROW(a_ring_keeps_the_order_and_its_bound),
	TEST_ROW(threads_share_a_ring_without_losing_or_doubling),
	TEST_ROW(a_thread_that_stops_in_the_middle_of_taking_holds_its_cell))
