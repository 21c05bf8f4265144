/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The growing byte string: cap, sticky failure, both homes. */
#include "base/buf.h"

#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "support/test.h"

TEST(empty_buffer_has_a_span)
{
	struct buf b;

	buf_init(&b, 10);
	CHECK(buf_span(&b).p != NULL);
	CHECK_INT(buf_span(&b).n, 0);
	buf_fini(&b);
}

TEST(additions_of_each_kind)
{
	struct buf b;

	buf_init(&b, 1000);
	buf_add(&b, "ab", 2);
	BUF_ADD_LIT(&b, "|");
	buf_add_cstr(&b, "cd");
	buf_add_cstr(&b, NULL);
	buf_add_span(&b, SPAN_NONE);
	buf_add_char(&b, '|');
	buf_add_uint(&b, 0);
	buf_add_char(&b, '|');
	buf_add_uint(&b, UINT64_MAX);
	buf_add_char(&b, '|');
	buf_add_int(&b, INT64_MIN);
	buf_add_char(&b, '|');
	buf_add_hex(&b, "\x00\xff\x1a", 3);
	buf_printf(&b, "|%s=%d", "x", 7);
	CHECK_SPAN(buf_span(&b), "ab|cd|0|18446744073709551615|-9223372036854775808|00ff1a|x=7");
	CHECK_INT(strlen(b.p), b.n);
	CHECK(!buf_failed(&b));
	buf_fini(&b);
}

TEST(cap_is_exact_and_failure_sticks)
{
	struct buf b;

	buf_init(&b, 5);
	BUF_ADD_LIT(&b, "12345");
	CHECK(!buf_failed(&b));
	buf_add_char(&b, '6');
	CHECK(buf_failed(&b));
	CHECK_SPAN(buf_span(&b), "12345");
	buf_fini(&b);
	buf_init(&b, 5);
	BUF_ADD_LIT(&b, "1234");
	BUF_ADD_LIT(&b, "56");
	CHECK(buf_failed(&b));
	/* It would fit, but a hole in a text is worse than its end. */
	buf_add_char(&b, '5');
	CHECK_SPAN(buf_span(&b), "1234");
	buf_fini(&b);
}

TEST(reset_forgets_the_failure)
{
	struct buf b;

	buf_init(&b, 3);
	BUF_ADD_LIT(&b, "1234");
	CHECK(buf_failed(&b));
	buf_reset(&b);
	CHECK(!buf_failed(&b));
	BUF_ADD_LIT(&b, "123");
	CHECK_SPAN(buf_span(&b), "123");
	buf_fini(&b);
}

TEST(truncate_keeps_the_failure)
{
	struct buf b;

	buf_init(&b, 3);
	BUF_ADD_LIT(&b, "123");
	BUF_ADD_LIT(&b, "4");
	buf_truncate(&b, 1);
	CHECK_SPAN(buf_span(&b), "1");
	CHECK_STR(b.p, "1");
	CHECK(buf_failed(&b));
	buf_fini(&b);
}

TEST(printf_over_the_cap_takes_nothing)
{
	struct buf b;

	buf_init(&b, 8);
	BUF_ADD_LIT(&b, "abc");
	buf_printf(&b, "%s", "123456");
	CHECK(buf_failed(&b));
	CHECK_SPAN(buf_span(&b), "abc");
	CHECK_STR(b.p, "abc");
	buf_fini(&b);
}

TEST(printf_grows)
{
	struct buf b;
	char text[2000];

	memset(text, 'y', sizeof(text));
	buf_init(&b, 10000);
	buf_printf(&b, "%.*s|", (int)sizeof(text), text);
	buf_printf(&b, "%.*s|", (int)sizeof(text), text);
	CHECK_INT(b.n, 4002);
	CHECK_INT(b.p[2000], '|');
	CHECK_INT(b.p[4001], '|');
	buf_fini(&b);
}

TEST(reserve_and_commit)
{
	struct buf b;

	buf_init(&b, 600);
	char *p = buf_reserve(&b, 600);
	CHECK(p != NULL);
	memcpy(p, "hello", 5);
	buf_commit(&b, 5);
	CHECK_SPAN(buf_span(&b), "hello");
	CHECK(buf_reserve(&b, 596) == NULL);
	CHECK(buf_failed(&b));
	buf_fini(&b);
}

TEST(sizes_near_the_end_of_the_range_fail)
{
	struct buf b;

	buf_init(&b, 100);
	CHECK(buf_reserve(&b, SIZE_MAX) == NULL);
	buf_reset(&b);
	buf_add_hex(&b, "", SIZE_MAX / 2 + 1);
	CHECK(buf_failed(&b));
	buf_fini(&b);
}

TEST(out_of_memory_keeps_the_content)
{
	struct buf b;

	buf_init(&b, 100000);
	BUF_ADD_LIT(&b, "kept");
	mem_fail_at(1);
	for (int i = 0; i < 1000; i++)
		buf_add_char(&b, 'x');
	mem_fail_at(0);
	CHECK(buf_failed(&b));
	CHECK(span_starts(buf_span(&b), SPAN_LIT("kept")));
	CHECK(b.n < 1000);
	buf_fini(&b);
}

TEST(arena_home)
{
	long before = mem_live();
	struct arena *a = arena_new(5000);
	struct buf b;

	buf_init_arena(&b, a, 4000);
	for (int i = 0; i < 1000; i++)
		buf_add_char(&b, 'x');
	CHECK_INT(b.n, 1000);
	CHECK(!buf_failed(&b));
	for (int i = 0; i < 3000; i++)
		buf_add_char(&b, 'x');
	CHECK(buf_failed(&b));
	CHECK(arena_failed(a));
	buf_fini(&b);
	arena_free(&a);
	CHECK_INT(mem_live(), before);
}

SUITE("buf", TEST_ROW(empty_buffer_has_a_span), TEST_ROW(additions_of_each_kind),
	TEST_ROW(cap_is_exact_and_failure_sticks), TEST_ROW(reset_forgets_the_failure),
	TEST_ROW(truncate_keeps_the_failure), TEST_ROW(printf_over_the_cap_takes_nothing),
	TEST_ROW(printf_grows), TEST_ROW(reserve_and_commit),
	TEST_ROW(sizes_near_the_end_of_the_range_fail), TEST_ROW(out_of_memory_keeps_the_content),
	TEST_ROW(arena_home))
