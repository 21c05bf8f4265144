/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Where the memory of requests comes from and goes to: each loop keeps some for the next ones. Own loop's thread, but for the
 * claim of a pool. */
#include "base/arena.h"
#include "base/mem.h"
#include "base/must.h"
#include "req_state.h"

enum {
	/* Kept per loop: what a busy one has at the ledger at once, or each would take its memory anew. */
	FREE_REQUESTS_MAX = REQ_AT_LEDGER_MAX,
	FREE_BYTES_MAX = 4 * 1024 * 1024,
};

/* The loop's own, claimed the first time it asks. */
static struct req_pool *
find_pool(struct pipeline *p, struct loop *loop)
{
	for (size_t i = 0; i < p->n_pools; i++) {
		struct req_pool *pool = &p->pools[i];
		struct loop *owner = atomic_load_explicit(&pool->loop, memory_order_acquire);

		if (owner == loop)
			return pool;
		if (owner == NULL && atomic_compare_exchange_strong(&pool->loop, &owner, loop)) {
			ledger_outbox_init(&pool->outbox, p->ledger, loop);
			return pool;
		}
	}
	UNREACHABLE("more loops than pipeline_new was told");
}

bool
req_may_begin(const struct pipeline *p, const struct loop *loop)
{
	OBJ_CHECK(p, PIPELINE_MAGIC);
	for (size_t i = 0; i < p->n_pools; i++) {
		const struct req_pool *pool = &p->pools[i];

		if (atomic_load_explicit(&pool->loop, memory_order_acquire) == loop)
			return pool->n_at_ledger < REQ_AT_LEDGER_MAX;
	}
	return true;
}

void
req_enter_ledger(struct req *r)
{
	MUST(!r->is_at_ledger);
	r->is_at_ledger = true;
	r->pool->n_at_ledger++;
}

void
req_leave_ledger(struct req *r)
{
	if (!r->is_at_ledger)
		return;
	r->is_at_ledger = false;
	MUST(r->pool->n_at_ledger > 0);
	r->pool->n_at_ledger--;
}

static void
destroy(struct req *r)
{
	arena_free(&r->arena);
	r->magic = 0;
	mem_free(r);
}

void
req_pool_clear(struct req_pool *pool)
{
	while (pool->free != NULL) {
		struct req *r = pool->free;

		pool->free = r->next_free;
		destroy(r);
	}
	pool->n_free = 0;
	pool->n_free_bytes = 0;
}

static struct req *
take_free(struct req_pool *pool, size_t arena_bytes_max)
{
	struct req *r = pool->free;

	if (r != NULL) {
		pool->free = r->next_free;
		pool->n_free--;
		pool->n_free_bytes -= arena_held(r->arena);
		if (r->arena_bytes_max == arena_bytes_max)
			return r;
		destroy(r); /* from before a reload */
	}
	r = mem_zalloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->arena = arena_new(arena_bytes_max);
	r->arena_bytes_max = arena_bytes_max;
	if (r->arena == NULL) {
		mem_free(r);
		return NULL;
	}
	return r;
}

struct req *
req_new(struct pipeline *p, struct snapshot *s, struct loop *loop, req_done_fn done, void *arg)
{
	struct req_pool *pool;
	struct req *r;
	struct arena *a;

	OBJ_CHECK(p, PIPELINE_MAGIC);
	pool = find_pool(p, loop);
	r = take_free(pool, s->request_bytes_max);
	if (r == NULL)
		return NULL;
	a = r->arena;
	*r = (struct req){
		.magic = REQ_MAGIC,
		.pipeline = p,
		.pool = pool,
		.snapshot = snapshot_ref(s),
		.loop = loop,
		.arena = a,
		.arena_bytes_max = s->request_bytes_max,
		.done = done,
		.arg = arg,
		.breaker_pass = BREAKER_REFUSED,
	};
	return r;
}

struct arena *
req_get_arena(struct req *r)
{
	OBJ_CHECK(r, REQ_MAGIC);
	return r->arena;
}

static void
recycle(struct req *r)
{
	struct req_pool *pool = r->pool;

	if (r->has_slot)
		slots_give(&r->pipeline->slots);
	r->has_slot = false;
	caller_drop(&r->caller);
	snapshot_unref(&r->snapshot);
	arena_free(&r->spare);
	arena_reset(r->arena);
	size_t n_held = arena_held(r->arena);
	if (pool->n_free == FREE_REQUESTS_MAX || pool->n_free_bytes + n_held > FREE_BYTES_MAX) {
		destroy(r);
		return;
	}
	r->next_free = pool->free;
	pool->free = r;
	pool->n_free++;
	pool->n_free_bytes += n_held;
}

void
req_free(struct req **r)
{
	struct req *old = *r;

	if (old == NULL)
		return;
	OBJ_CHECK(old, REQ_MAGIC);
	*r = NULL;
	/* One that was never started is fine; one on its way is not. */
	MUST(old->is_answered || old->input == NULL);
	old->is_given_back = true;
	if (!old->has_entry)
		recycle(old);
}

void
req_entry_returned(struct req *r)
{
	OBJ_CHECK(r, REQ_MAGIC);
	r->has_entry = false;
	if (r->is_given_back)
		recycle(r);
}
