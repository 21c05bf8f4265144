/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The heap door: counting, chosen failures, overflow. */
#include "base/mem.h"

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem_kept.h"
#include "support/test.h"

TEST(live_counts_blocks)
{
	long before = mem_live();
	void *a = mem_alloc(10);
	void *b = mem_zalloc(2, 5);
	char *c = mem_dup_cstr("text");

	CHECK(a != NULL && b != NULL && c != NULL);
	CHECK_INT(mem_live() - before, 3);
	mem_free(a);
	mem_free(b);
	mem_free(c);
	mem_free(NULL);
	CHECK_INT(mem_live(), before);
}

TEST(no_bytes_give_unique_blocks)
{
	void *a = mem_alloc(0);
	void *b = mem_zalloc(0, 8);
	void *c = mem_zalloc(8, 0);

	CHECK(a != NULL && b != NULL && c != NULL);
	CHECK(a != b && b != c && a != c);
	mem_free(a);
	mem_free(b);
	mem_free(c);
}

TEST(zalloc_refuses_overflow)
{
	long before = mem_live();

	CHECK(mem_zalloc(SIZE_MAX / 2, 3) == NULL);
	CHECK(mem_zalloc(3, SIZE_MAX / 2) == NULL);
	CHECK_INT(mem_live(), before);
}

TEST(zalloc_gives_zeros)
{
	static const unsigned char zeros[64];
	unsigned char *p = mem_zalloc(8, 8);

	CHECK(p != NULL && memcmp(p, zeros, sizeof(zeros)) == 0);
	mem_free(p);
}

TEST(chosen_allocation_fails_once)
{
	void *p[3];

	mem_fail_at(2);
	for (size_t i = 0; i < ARRAY_LEN(p); i++)
		p[i] = mem_alloc(1);
	CHECK(p[0] != NULL);
	CHECK(p[1] == NULL);
	CHECK(p[2] != NULL);
	mem_free(p[0]);
	mem_free(p[2]);
}

TEST(zero_turns_failing_off)
{
	mem_fail_at(1);
	mem_fail_at(0);
	void *p = mem_alloc(1);
	CHECK(p != NULL);
	mem_free(p);
}

TEST(failed_realloc_leaves_the_block)
{
	long before = mem_live();
	char *p = mem_dup_cstr("abc");

	CHECK(p != NULL);
	mem_fail_at(1);
	CHECK(mem_realloc(p, 100) == NULL);
	CHECK_STR(p, "abc");
	char *q = mem_realloc(p, 100);
	CHECK_STR(q, "abc");
	CHECK_INT(mem_live() - before, 1);
	mem_free(q);
	CHECK_INT(mem_live(), before);
}

TEST(realloc_of_nothing_allocates)
{
	long before = mem_live();
	void *p = mem_realloc(NULL, 4);

	CHECK(p != NULL);
	CHECK_INT(mem_live() - before, 1);
	mem_free(p);
}

TEST(count_grows_by_every_try)
{
	unsigned long before = mem_count();

	mem_fail_at(1);
	CHECK(mem_alloc(1) == NULL);
	void *p = mem_alloc(1);
	CHECK_INT(mem_count() - before, 2);
	mem_free(p);
}

TEST(dup_span_keeps_nul_bytes)
{
	char *p = mem_dup_span(span_of("a\0b", 3));

	CHECK(p != NULL && memcmp(p, "a\0b", 4) == 0);
	mem_free(p);
	p = mem_dup_span(SPAN_NONE);
	CHECK_STR(p, "");
	mem_free(p);
}

TEST(wipe_clears)
{
	char text[8] = "secret!";

	mem_wipe(text, sizeof(text));
	mem_wipe(NULL, 0);
	for (size_t i = 0; i < sizeof(text); i++)
		CHECK_INT(text[i], 0);
}

TEST(need_returns_memory)
{
	void *p = mem_need(8);
	char *s = mem_need_cstr("x");

	CHECK_STR(s, "x");
	mem_free(p);
	mem_free(s);
}

TEST(held_memory_is_not_counted)
{
	long before = mem_live();

	mem_fail_at(1);
	char *p = mem_alloc_held(4);
	memcpy(p, "abc", 4);
	p = mem_realloc_held(p, 100000);
	CHECK_STR(p, "abc");
	CHECK_INT(mem_live(), before);
	mem_free_held(p);
	mem_free_held(NULL);
	mem_fail_at(0);
	CHECK_INT(mem_live(), before);
}

/* Blocks of one size come back in the order of a stack, each for whoever fits into it. */
TEST(held_blocks_are_kept_for_the_next)
{
	static const size_t sizes[] = {
		0, 1, 8, 23, 24, 25, 40, 41, 56, 1000, 1032, 1033, 4096, 4104};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char *p = mem_alloc_held(sizes[i]);
		char *q = mem_alloc_held(sizes[i]);
		CHECK(p != q);
		memset(p, 'p', sizes[i]);
		memset(q, 'q', sizes[i]);
		for (size_t at = 0; at < sizes[i]; at++)
			CHECK(p[at] == 'p' && q[at] == 'q');
		mem_free_held(p);
		mem_free_held(q);
	}
}

static void
forget_kept(void)
{
	for (size_t n = 0; n <= MEM_KEPT_BLOCK_MAX; n++) {
		for (void *p = mem_kept_take(n); p != NULL; p = mem_kept_take(n))
			free(p);
	}
}

TEST(a_kept_block_is_as_large_as_asked_for)
{
	forget_kept();
	for (size_t n = 0; n < 6000; n++) {
		void *p = mem_alloc_held(n);
		mem_free_held(p);
		/* Each smaller size that finds it, and none that it is too small for. */
		void *again = mem_kept_take(n);
		CHECK(again == NULL || malloc_usable_size(again) >= n);
		CHECK_INT(again != NULL, MEM_KEPT && n <= MEM_KEPT_BLOCK_MAX);
		free(again);
		CHECK(mem_kept_take(n) == NULL);
	}
}

TEST(no_more_is_kept_than_its_bytes)
{
	enum { N = 2 * MEM_KEPT_BYTES / 4096 };
	static void *blocks[N];
	size_t n_kept = 0;

	forget_kept();
	for (size_t i = 0; i < N; i++)
		blocks[i] = mem_alloc_held(4096);
	for (size_t i = 0; i < N; i++)
		mem_free_held(blocks[i]);
	for (void *p = mem_kept_take(4096); p != NULL; p = mem_kept_take(4096)) {
		n_kept++;
		free(p);
	}
	CHECK_INT(n_kept > 0, MEM_KEPT);
	CHECK(n_kept * 4096 <= MEM_KEPT_BYTES);
}

/* What a thread keeps is freed with it: valgrind and the leak checker of a build for them see it. */
static void *
keep_and_end(void *arg)
{
	for (size_t n = 1; n < 3000; n += 7)
		mem_free_held(mem_alloc_held(n));
	return arg;
}

TEST(a_thread_that_ends_keeps_nothing)
{
	struct mallinfo2 before = mallinfo2();
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, keep_and_end, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	/* Its blocks are free again, in whichever part of the heap. */
	CHECK(mallinfo2().uordblks < before.uordblks + 64 * 1024);
}

/* More than there is address space for: the reserve is of no use, and the end is clear. */
TEST(held_memory_or_the_end)
{
	pid_t child = fork();

	if (child == 0) {
		(void)mem_alloc_held(SIZE_MAX / 4);
		_exit(3);
	}
	int status = 0;
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

SUITE("mem", TEST_ROW(live_counts_blocks), TEST_ROW(no_bytes_give_unique_blocks),
	TEST_ROW(zalloc_refuses_overflow), TEST_ROW(zalloc_gives_zeros),
	TEST_ROW(chosen_allocation_fails_once), TEST_ROW(zero_turns_failing_off),
	TEST_ROW(failed_realloc_leaves_the_block), TEST_ROW(realloc_of_nothing_allocates),
	TEST_ROW(count_grows_by_every_try), TEST_ROW(dup_span_keeps_nul_bytes),
	TEST_ROW(wipe_clears), TEST_ROW(need_returns_memory), TEST_ROW(held_memory_is_not_counted),
	TEST_ROW(held_blocks_are_kept_for_the_next),
	TEST_ROW(a_kept_block_is_as_large_as_asked_for), TEST_ROW(no_more_is_kept_than_its_bytes),
	TEST_ROW(a_thread_that_ends_keeps_nothing), TEST_ROW(held_memory_or_the_end))
