/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks of free blocks by size, one set per thread, freed when the thread ends. The sizes are malloc's own: what it says can be
 * used of a block goes up in steps of 16. It must never keep more than its bytes.
 */
#include "mem_kept.h"

#include <malloc.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/must.h"

enum {
	STEP = 16,
	FIRST = 8, /* of 24, 40, 56, ... bytes that can be used */
	CLASSES = (MEM_KEPT_BLOCK_MAX - FIRST) / STEP + 1,
};

struct block {
	struct block *next;
};

struct kept {
	struct block *first[CLASSES];
	size_t n_bytes;
	bool has_end; /* end_thread will run */
};

static _Thread_local struct kept kept;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t ends;

static void
end_thread(void *arg)
{
	struct kept *k = arg;

	/* These, and what other destructors give back from now on, are freed. */
	k->n_bytes = MEM_KEPT_BYTES;
	for (size_t i = 0; i < CLASSES; i++) {
		while (k->first[i] != NULL) {
			struct block *b = k->first[i];
			k->first[i] = b->next;
			mem_free_held(b);
		}
	}
}

static void
make_key(void)
{
	MUST(pthread_key_create(&ends, end_thread) == 0);
}

static bool
has_end(struct kept *k)
{
	if (k->has_end)
		return true;
	MUST(pthread_once(&once, make_key) == 0);
	k->has_end = pthread_setspecific(ends, k) == 0;
	return k->has_end;
}

void *
mem_kept_take(size_t n)
{
	/* The smallest class whose blocks all have n bytes; malloc may have given sixteen more than were asked for. */
	size_t i = n <= FIRST ? 0 : (n - FIRST + STEP - 1) / STEP;

	if (i + 1 < CLASSES && kept.first[i] == NULL)
		i++;
	if (!MEM_KEPT || i >= CLASSES || kept.first[i] == NULL)
		return NULL;
	struct block *b = kept.first[i];
	kept.first[i] = b->next;
	kept.n_bytes -= i * STEP + FIRST;
	return b;
}

bool
mem_kept_put(void *p)
{
	if (!MEM_KEPT)
		return false;
	size_t n = malloc_usable_size(p);
	if (n < sizeof(struct block) || n > MEM_KEPT_BLOCK_MAX)
		return false;
	size_t i = (n - FIRST) / STEP;
	if (kept.n_bytes + n > MEM_KEPT_BYTES || !has_end(&kept))
		return false;
	struct block *b = p;
	b->next = kept.first[i];
	kept.first[i] = b;
	kept.n_bytes += i * STEP + FIRST;
	return true;
}
