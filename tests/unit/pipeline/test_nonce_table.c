/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* When a nonce is taken: once, within the window, since the start, within the signer's share, whatever the clock does. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "identity/nonce_table.h"
#include "support/test.h"

#define START_S INT64_C(1700000000)

static const struct nonce_limits usual = {
	.window_s = 300, .max = 1 << 20, .max_per_signer = 1 << 16};
static struct nonce_table *table;
static long live_before;

static void
begin(void)
{
	live_before = mem_live();
	clock_fake_set(START_S * NS_PER_SEC, START_S * NS_PER_SEC);
	table = nonce_table_new();
	MUST(table != NULL);
}

static void
end(void)
{
	nonce_table_free(&table);
	clock_fake_off();
	CHECK_INT(mem_live(), live_before);
}

static void
advance(int64_t seconds)
{
	clock_fake_advance(seconds * NS_PER_SEC);
}

/* Nonce number i of a signer, with a timestamp so many seconds behind the start. */
static enum nonce_verdict
use(const struct nonce_limits *limits, const char *signer, unsigned i, int64_t at_s)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "nonce-%020u", i);
	struct nonce nonce = {.signer = span_cstr(signer),
		.text = span_of(text, (size_t)n),
		.time_s = START_S + at_s};

	return nonce_table_use(table, limits, &nonce);
}

TEST(once_for_each_signer)
{
	struct nonce nonce = {
		.signer = SPAN_LIT("a"), .text = SPAN_LIT("0123456789abcdef"), .time_s = START_S};

	begin();
	CHECK_INT(nonce_table_use(table, &usual, &nonce), NONCE_FRESH);
	CHECK_INT(nonce_table_use(table, &usual, &nonce), NONCE_USED);
	/* With another timestamp it is another: the signature covers both. */
	nonce.kind = NONCE_SERVICE;
	CHECK_INT(nonce_table_use(table, &usual, &nonce), NONCE_FRESH);
	nonce.signer = SPAN_LIT("b");
	CHECK_INT(nonce_table_use(table, &usual, &nonce), NONCE_FRESH);
	nonce.text = SPAN_LIT("0123456789abcdeF");
	CHECK_INT(nonce_table_use(table, &usual, &nonce), NONCE_FRESH);
	CHECK_INT(nonce_table_count(table), 4);
	end();
}

TEST(the_window_has_exact_ends)
{
	begin();
	advance(1000);
	CHECK_INT(use(&usual, "a", 1, 699), NONCE_OUT_OF_WINDOW);
	CHECK_INT(use(&usual, "a", 2, 700), NONCE_FRESH);
	CHECK_INT(use(&usual, "a", 3, 1300), NONCE_FRESH);
	CHECK_INT(use(&usual, "a", 4, 1301), NONCE_OUT_OF_WINDOW);
	CHECK_INT(nonce_table_count(table), 2);
	end();
}

TEST(what_is_from_before_the_start_is_refused)
{
	begin();
	CHECK_INT(use(&usual, "a", 1, -1), NONCE_BEFORE_START);
	CHECK_INT(use(&usual, "a", 2, 0), NONCE_FRESH);
	advance(100);
	CHECK_INT(use(&usual, "a", 3, -1), NONCE_BEFORE_START);
	end();
}

/* Up to the last second in which its timestamp would be taken, and not for ever. */
TEST(a_nonce_is_known_as_long_as_its_time_counts)
{
	begin();
	for (int64_t ahead = 0; ahead <= 300; ahead += 50) {
		CHECK_INT(use(&usual, "a", (unsigned)ahead, ahead), NONCE_FRESH);
	}
	for (int64_t s = 0; s < 700; s++) {
		for (int64_t ahead = 0; ahead <= 300; ahead += 50) {
			enum nonce_verdict v = use(&usual, "a", (unsigned)ahead, ahead);

			CHECK_INT(v, s <= ahead + 300 ? NONCE_USED : NONCE_OUT_OF_WINDOW);
		}
		advance(1);
	}
	CHECK_INT(use(&usual, "a", 999, 700), NONCE_FRESH);
	/* All shards have to be asked once for what is old to go. */
	for (unsigned i = 0; i < 400; i++)
		(void)use(&usual, "a", 1000 + i, 700);
	CHECK(nonce_table_count(table) <= 401);
	end();
}

TEST(a_full_share_is_one_signer_s)
{
	const struct nonce_limits narrow = {.window_s = 300, .max = 1 << 20, .max_per_signer = 20};

	begin();
	for (unsigned i = 0; i < 20; i++)
		CHECK_INT(use(&narrow, "a", i, i), NONCE_FRESH);
	CHECK_INT(use(&narrow, "a", 20, 0), NONCE_SHARE_FULL);
	CHECK_INT(use(&narrow, "b", 20, 0), NONCE_FRESH);
	/* What is too old makes room. */
	advance(500);
	CHECK_INT(use(&narrow, "a", 21, 500), NONCE_FRESH);
	end();
}

TEST(a_replay_takes_nothing_of_the_share)
{
	const struct nonce_limits narrow = {.window_s = 300, .max = 1 << 20, .max_per_signer = 16};

	begin();
	CHECK_INT(use(&narrow, "a", 0, 0), NONCE_FRESH);
	for (unsigned i = 0; i < 100; i++)
		CHECK_INT(use(&narrow, "a", 0, 0), NONCE_USED);
	for (unsigned i = 1; i < 16; i++)
		CHECK_INT(use(&narrow, "a", i, 0), NONCE_FRESH);
	CHECK_INT(use(&narrow, "a", 16, 0), NONCE_SHARE_FULL);
	end();
}

TEST(the_whole_is_bounded)
{
	const struct nonce_limits narrow = {.window_s = 300, .max = 64, .max_per_signer = 1 << 16};
	unsigned n_fresh = 0;

	begin();
	for (unsigned i = 0; i < 4000; i++) {
		enum nonce_verdict v = use(&narrow, "a", i, 0);

		CHECK(v == NONCE_FRESH || v == NONCE_TABLE_FULL);
		n_fresh += v == NONCE_FRESH;
	}
	CHECK_INT(n_fresh, 64);
	CHECK_INT(nonce_table_count(table), 64);
	/* The refused ones took nothing of the share, which is given back with the rest. */
	advance(400);
	CHECK_INT(use(&narrow, "a", 9999, 400), NONCE_FRESH);
	end();
}

/* What was forgotten while the clock was ahead must not be taken again. */
TEST(a_clock_that_goes_back_opens_nothing)
{
	begin();
	for (unsigned i = 0; i < 200; i++)
		CHECK_INT(use(&usual, "a", i, 100), NONCE_FRESH);
	advance(100000);
	for (unsigned i = 0; i < 200; i++)
		CHECK_INT(use(&usual, "a", 1000 + i, 100000), NONCE_FRESH);
	advance(-100000);
	for (unsigned i = 0; i < 200; i++) {
		enum nonce_verdict v = use(&usual, "a", i, 100);

		CHECK(v == NONCE_USED || v == NONCE_FORGOTTEN);
	}
	CHECK_INT(use(&usual, "b", 7, 100), NONCE_FORGOTTEN);
	/* And the clock that is right again is taken. */
	advance(100050);
	CHECK_INT(use(&usual, "a", 5000, 100050), NONCE_FRESH);
	CHECK_INT(use(&usual, "a", 1000, 100000), NONCE_USED);
	end();
}

TEST(a_window_that_a_reload_widens_opens_nothing)
{
	const struct nonce_limits wide = {
		.window_s = 3600, .max = 1 << 20, .max_per_signer = 1 << 16};
	const struct nonce_limits narrow = {
		.window_s = 60, .max = 1 << 20, .max_per_signer = 1 << 16};

	begin();
	for (unsigned i = 0; i < 100; i++)
		CHECK_INT(use(&narrow, "a", i, 0), NONCE_FRESH);
	advance(200);
	for (unsigned i = 0; i < 400; i++)
		(void)use(&narrow, "b", i, 200);
	for (unsigned i = 0; i < 100; i++) {
		enum nonce_verdict v = use(&wide, "a", i, 0);

		CHECK(v == NONCE_USED || v == NONCE_FORGOTTEN);
	}
	CHECK_INT(use(&wide, "a", 0, 3800), NONCE_FRESH);
	end();
}

TEST(a_warm_table_allocates_nothing)
{
	unsigned next = 0;

	begin();
	/* Two minutes longer than the longest that anything is kept. */
	for (int64_t s = 0; s < 900; s++) {
		unsigned long before = mem_count();

		/* So many in a shard's set that chance makes none of them need the next size. */
		for (unsigned i = 0; i < 70; i++)
			CHECK_INT(use(&usual, "a", next++, s), NONCE_FRESH);
		/* By then a set of each size has been needed. */
		if (s > 700)
			CHECK_INT(mem_count(), before);
		advance(1);
	}
	end();
}

TEST(without_memory_it_refuses)
{
	begin();
	mem_fail_at(1);
	CHECK_INT(use(&usual, "a", 1, 0), NONCE_TABLE_FULL);
	mem_fail_at(0);
	CHECK_INT(use(&usual, "a", 1, 0), NONCE_FRESH);
	CHECK_INT(use(&usual, "a", 1, 0), NONCE_USED);
	nonce_table_free(&table);
	for (unsigned long n = 1; table == NULL && n < 100; n++) {
		mem_fail_at(n);
		table = nonce_table_new();
		mem_fail_at(0);
	}
	CHECK(table != NULL);
	end();
}

SUITE("nonce table", TEST_ROW(once_for_each_signer), TEST_ROW(the_window_has_exact_ends),
	TEST_ROW(what_is_from_before_the_start_is_refused),
	TEST_ROW(a_nonce_is_known_as_long_as_its_time_counts),
	TEST_ROW(a_full_share_is_one_signer_s), TEST_ROW(a_replay_takes_nothing_of_the_share),
	TEST_ROW(the_whole_is_bounded), TEST_ROW(a_clock_that_goes_back_opens_nothing),
	TEST_ROW(a_window_that_a_reload_widens_opens_nothing),
	TEST_ROW(a_warm_table_allocates_nothing), TEST_ROW(without_memory_it_refuses))
