/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The arena: cap, sticky failure, alignment, reset. */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/test.h"

static struct arena *a;

static void
start(size_t cap)
{
	a = arena_new(cap);
	CHECK(a != NULL);
}

static void
finish(void)
{
	arena_free(&a);
	CHECK(a == NULL);
}

TEST(cap_is_exact)
{
	start(100);
	CHECK(arena_alloc(a, 100) != NULL);
	CHECK_INT(arena_used(a), 100);
	CHECK(!arena_failed(a));
	CHECK(arena_alloc(a, 1) == NULL);
	CHECK(arena_failed(a));
	finish();
	start(100);
	CHECK(arena_alloc(a, 101) == NULL);
	finish();
}

TEST(failure_is_sticky_until_reset)
{
	start(64);
	CHECK(arena_alloc(a, 65) == NULL);
	CHECK(arena_alloc(a, 1) == NULL);
	CHECK(arena_dup_cstr(a, SPAN_LIT("a")) == NULL);
	CHECK(arena_dup(a, SPAN_LIT("a")).p == NULL);
	CHECK(arena_printf(a, "a").p == NULL);
	CHECK_INT(arena_used(a), 0);
	arena_reset(a);
	CHECK(!arena_failed(a));
	CHECK(arena_alloc(a, 64) != NULL);
	finish();
}

TEST(objects_are_aligned_and_apart)
{
	char *last = NULL;

	start(1024 * 1024);
	for (size_t n = 1; n < 200; n++) {
		char *p = arena_alloc(a, n);
		CHECK(p != NULL && (uintptr_t)p % _Alignof(max_align_t) == 0);
		memset(p, (int)n, n);
		CHECK(last == NULL || (unsigned char)last[n - 2] == (unsigned char)(n - 1));
		/* A text in between takes the place out of alignment. */
		CHECK(arena_dup_cstr(a, SPAN_LIT("xy")) != NULL);
		last = p;
	}
	finish();
}

TEST(empty_objects_count_too)
{
	size_t n = 0;

	start(256);
	while (n < 1000 && arena_alloc(a, 0) != NULL)
		n++;
	CHECK(n > 0 && n <= 256);
	finish();
}

TEST(padding_counts_against_the_cap)
{
	start(32);
	CHECK(arena_alloc(a, 1) != NULL);
	CHECK(arena_alloc(a, 1) != NULL);
	CHECK_INT(arena_used(a), 17);
	CHECK(arena_alloc(a, 1) == NULL);
	finish();
}

TEST(object_larger_than_a_chunk)
{
	start(4 * 1024 * 1024);
	char *p = arena_alloc(a, 1024 * 1024);
	CHECK(p != NULL);
	memset(p, 1, 1024 * 1024);
	CHECK(arena_alloc(a, 16) != NULL);
	arena_reset(a);
	CHECK_INT(arena_used(a), 0);
	finish();
}

TEST(zalloc_zeroes_and_refuses_overflow)
{
	static const char zeros[100];

	start(1000);
	char *p = arena_alloc(a, 100);
	memset(p, 'x', 100);
	arena_reset(a);
	p = arena_zalloc(a, 10, 10);
	CHECK(p != NULL && memcmp(p, zeros, 100) == 0);
	CHECK(arena_zalloc(a, SIZE_MAX / 2, 3) == NULL);
	CHECK(arena_failed(a));
	finish();
}

TEST(sizes_near_the_end_of_the_range_fail)
{
	start(SIZE_MAX);
	CHECK(arena_alloc(a, SIZE_MAX) == NULL);
	arena_reset(a);
	CHECK(arena_alloc(a, SIZE_MAX - 8) == NULL);
	arena_reset(a);
	CHECK(arena_dup_cstr(a, span_of("", SIZE_MAX)) == NULL);
	finish();
}

TEST(texts_end_in_nul)
{
	start(1000);
	struct span s = arena_dup(a, span_of("a\0b", 3));
	CHECK_INT(s.n, 3);
	CHECK(s.p != NULL && memcmp(s.p, "a\0b", 4) == 0);
	s = arena_printf(a, "%d-%s", 12, "x");
	CHECK_SPAN(s, "12-x");
	CHECK_STR(s.p, "12-x");
	s = arena_dup(a, SPAN_NONE);
	CHECK_STR(s.p, "");
	finish();
}

#if !NOMOS_ARENA_EMULATE
static void
serve_request(void)
{
	arena_reset(a);
	for (int i = 0; i < 40; i++)
		CHECK(arena_alloc(a, 1000) != NULL);
}

TEST(warm_arena_does_not_allocate)
{
	start(1024 * 1024);
	serve_request();
	serve_request();
	serve_request();
	unsigned long before = mem_count();
	serve_request();
	serve_request();
	CHECK_INT(mem_count(), before);
	finish();
}
#else
TEST(warm_arena_does_not_allocate)
{
	/* In this build each object is a block of its own. */
	start(100);
	unsigned long before = mem_count();
	CHECK(arena_alloc(a, 10) != NULL);
	CHECK(arena_alloc(a, 10) != NULL);
	CHECK_INT(mem_count() - before, 2);
	finish();
}
#endif

#if NOMOS_ARENA_EMULATE && defined(__SANITIZE_ADDRESS__)
/* What the emulated build is for: in a packed arena this write would land in the neighbour. */
TEST(overrun_into_the_neighbour_is_seen)
{
	int status = 0;

	start(1000);
	volatile char *p = arena_alloc(a, 16);
	CHECK(arena_alloc(a, 16) != NULL);
	pid_t pid = fork();
	if (pid == 0) {
		close(STDERR_FILENO);
		p[16] = 'x';
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 0);
	finish();
}
#else
TEST(overrun_into_the_neighbour_is_seen)
{
	/* Neighbours are apart at least; only the sanitised, emulated build can see more. */
	start(1000);
	char *p = arena_alloc(a, 16);
	char *q = arena_alloc(a, 16);
	CHECK(p != NULL && q != NULL && (q >= p + 16 || p >= q + 16));
	finish();
}
#endif

TEST(held_is_what_a_reset_keeps)
{
	a = arena_new((size_t)1024 * 1024);
	CHECK_INT(arena_held(a), 0);
	CHECK(arena_alloc(a, 100) != NULL);
	CHECK(arena_alloc(a, 100000) != NULL);
	size_t all = arena_held(a);
	CHECK(all >= 100100);
	arena_reset(a);
	CHECK(arena_held(a) <= all);
	CHECK(NOMOS_ARENA_EMULATE ? arena_held(a) == 0 : arena_held(a) >= 100000);
	arena_free(&a);
}

TEST(free_gives_everything_back)
{
	long before = mem_live();

	start(10 * 1024 * 1024);
	for (int i = 0; i < 3000; i++)
		CHECK(arena_alloc(a, 1500) != NULL);
	finish();
	CHECK_INT(mem_live(), before);
	arena_free(&a);
}

SUITE("arena", TEST_ROW(cap_is_exact), TEST_ROW(failure_is_sticky_until_reset),
	TEST_ROW(objects_are_aligned_and_apart), TEST_ROW(empty_objects_count_too),
	TEST_ROW(padding_counts_against_the_cap), TEST_ROW(object_larger_than_a_chunk),
	TEST_ROW(zalloc_zeroes_and_refuses_overflow),
	TEST_ROW(sizes_near_the_end_of_the_range_fail), TEST_ROW(texts_end_in_nul),
	TEST_ROW(warm_arena_does_not_allocate), TEST_ROW(overrun_into_the_neighbour_is_seen),
	TEST_ROW(held_is_what_a_reset_keeps), TEST_ROW(free_gives_everything_back))
