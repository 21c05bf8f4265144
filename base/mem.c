/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file that calls malloc. It counts what is live and can make one chosen allocation fail,
 * so that tests reach every out-of-memory path. Must never log (the log allocates). Any thread; the
 * counters are atomic.
 */
#define _DEFAULT_SOURCE /* explicit_bzero */

#include "base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem_kept.h"

/* Above malloc's threshold for mmap, so that giving it up gives address space back. */
#define RESERVE_BYTES ((size_t)256 * 1024)

static atomic_long live;
static atomic_ulong count;
static atomic_ulong
	fail_in; /* allocations left until the one that fails, itself included; 0: off */
static _Atomic(void *) reserve;

/* Counts one allocation; true when it is the one that has to fail. */
static bool
is_chosen_to_fail(void)
{
	atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
	unsigned long left = atomic_load_explicit(&fail_in, memory_order_relaxed);
	while (left > 0) {
		if (atomic_compare_exchange_weak_explicit(
			    &fail_in, &left, left - 1, memory_order_relaxed, memory_order_relaxed))
			return left == 1;
	}
	return false;
}

static void *
count_live(void *p)
{
	if (p != NULL)
		atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	return p;
}

void *
mem_alloc(size_t n)
{
	if (is_chosen_to_fail())
		return NULL;
	return count_live(malloc(n > 0 ? n : 1));
}

void *
mem_zalloc(size_t n, size_t size)
{
	if (is_chosen_to_fail() || (size > 0 && n > SIZE_MAX / size))
		return NULL;
	bool is_empty = n == 0 || size == 0;
	return count_live(is_empty ? calloc(1, 1) : calloc(n, size));
}

void *
mem_realloc(void *p, size_t n)
{
	if (p == NULL)
		return mem_alloc(n);
	if (is_chosen_to_fail())
		return NULL;
	return realloc(p, n > 0 ? n : 1);
}

void
mem_free(void *p)
{
	if (p == NULL)
		return;
	atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
	free(p);
}

char *
mem_dup_span(struct span s)
{
	char *copy = s.n < SIZE_MAX ? mem_alloc(s.n + 1) : NULL;

	if (copy == NULL)
		return NULL;
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

char *
mem_dup_cstr(const char *s)
{
	return mem_dup_span(span_cstr(s));
}

static void
say_out_of_memory(void)
{
	static const char text[] = "nomos: out of memory\n";
	/* The exit status says it too when the write fails. */
	ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)written;
}

static NORETURN void
exit_without_memory(void)
{
	say_out_of_memory();
	exit(1);
}

void *
mem_need(size_t n)
{
	void *p = mem_alloc(n);

	if (p == NULL)
		exit_without_memory();
	return p;
}

char *
mem_need_cstr(const char *s)
{
	char *p = mem_dup_cstr(s);

	if (p == NULL)
		exit_without_memory();
	return p;
}

/* Threads are running, so nothing but the message comes before the end: as for a kill, the next start finds a whole ledger. */
static NORETURN void
end_without_memory(void)
{
	say_out_of_memory();
	_exit(1);
}

/* One thread gives the reserve back to the heap, where all find it; the rest exists or the process ends. */
static void *
take_from_reserve(void *old, size_t n)
{
	free(atomic_exchange(&reserve, NULL));
	void *p = realloc(old, n);

	if (p == NULL)
		end_without_memory();
	return p;
}

static void
fill_reserve(void)
{
	void *none = NULL;
	void *p = malloc(RESERVE_BYTES);

	if (p != NULL && !atomic_compare_exchange_strong(&reserve, &none, p))
		free(p);
}

static inline void *
hold(void *old, size_t n)
{
	size_t wanted = n > 0 ? n : 1;

	if (atomic_load_explicit(&reserve, memory_order_relaxed) == NULL)
		fill_reserve();
	void *p = realloc(old, wanted);
	return p != NULL ? p : take_from_reserve(old, wanted);
}

void *
mem_realloc_held(void *p, size_t n)
{
	return hold(p, n);
}

void *
mem_alloc_held(size_t n)
{
	void *p = mem_kept_take(n);

	return p != NULL ? p : hold(NULL, n);
}

void
mem_free_held(void *p)
{
	if (p != NULL && !mem_kept_put(p))
		free(p);
}

void
mem_fail_at(unsigned long n)
{
	atomic_store_explicit(&fail_in, n, memory_order_relaxed);
}

long
mem_live(void)
{
	return atomic_load_explicit(&live, memory_order_relaxed);
}

unsigned long
mem_count(void)
{
	return atomic_load_explicit(&count, memory_order_relaxed);
}

void
mem_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}
