/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The table of buckets: all or nothing, caps, eviction of full buckets only, many threads (run under TSan as well). */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "limit/bucket_table.h"
#include "support/test.h"

static bool
take(struct bucket_table *t, const char *owner, const char *key, size_t max, size_t max_per_owner)
{
	struct bucket_demand d = {.key = span_cstr(key), .burst = 2, .refill_per_minute = 60};
	struct bucket_request q = {
		.owner = span_cstr(owner),
		.demands = &d,
		.n_demands = 1,
		.max_buckets = max,
		.max_buckets_per_owner = max_per_owner,
		.evict_after_ns = 10 * NS_PER_SEC,
	};
	struct bucket_refusal refusal;

	return bucket_table_take(t, &q, &refusal);
}

/* What a key costs is bounded, and the short form of a long one is no other key. */
TEST(keys_are_bounded)
{
	static char text[2000];
	char room[BUCKET_KEY_BYTES_MAX];
	char other[BUCKET_KEY_BYTES_MAX];
	struct span key;

	memset(text, 'k', sizeof(text));
	for (size_t n = 0; n < sizeof(text); n++) {
		struct span halves[] = {span_of(text, n / 2), span_of(text + n / 2, n - n / 2)};

		key = bucket_key_join(halves, 2, room);
		CHECK_INT(key.n, n <= BUCKET_KEY_PLAIN_MAX ? n : BUCKET_KEY_BYTES_MAX);
		CHECK(n > BUCKET_KEY_PLAIN_MAX || span_eq(key, span_of(text, n)));
		if (n == BUCKET_KEY_BYTES_MAX) {
			struct span forged = bucket_key_join(&key, 1, other);

			CHECK(!span_eq(forged, key));
		}
	}
	text[sizeof(text) - 1] = 'K';
	CHECK(!span_eq(bucket_key_join(&(struct span){text, sizeof(text)}, 1, other), key));
}

TEST(takes_all_or_nothing)
{
	struct bucket_table *t = bucket_table_new();
	struct bucket_demand d[2] = {
		{.key = SPAN_LIT("a"), .burst = 5, .refill_per_minute = 1},
		{.key = SPAN_LIT("b"), .burst = 1, .refill_per_minute = 1, .is_shared = true},
	};
	struct bucket_request q = {.owner = SPAN_LIT("p"),
		.demands = d,
		.n_demands = 2,
		.max_buckets = 10,
		.max_buckets_per_owner = 10,
		.evict_after_ns = NS_PER_SEC};
	struct bucket_refusal refusal;
	int n = 0;

	clock_fake_set(NS_PER_SEC, 0);
	CHECK(bucket_table_take(t, &q, &refusal));
	for (int i = 0; i < 20; i++)
		CHECK(!bucket_table_take(t, &q, &refusal));
	CHECK_INT(refusal.i, 1);
	CHECK(!refusal.is_full);
	CHECK_INT(refusal.remaining, 0);
	CHECK_INT(refusal.wait_ns, 60 * NS_PER_SEC);
	/* The first bucket lost one token to the one action that was let through, none to the others. */
	q.n_demands = 1;
	while (n < 100 && bucket_table_take(t, &q, &refusal))
		n++;
	CHECK_INT(n, 4);
	clock_fake_off();
	bucket_table_free(&t);
}

/* 10.2.8 of the reference: maps that only grew. */
TEST(is_bounded_in_all_and_per_owner)
{
	struct bucket_table *t = bucket_table_new();
	char key[32];

	clock_fake_set(NS_PER_SEC, 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		CHECK_INT(take(t, "greedy", key, 100, 40), i < 40);
	}
	CHECK_INT(bucket_table_count(t), 40);
	/* The old keys of an owner at its cap go on, and so do others. */
	CHECK(take(t, "greedy", "k0", 100, 40));
	CHECK(!take(t, "greedy", "k0", 100, 40));
	CHECK(take(t, "modest", "m0", 100, 40));
	for (int i = 0; i < 1000; i++) {
		char owner[32];

		snprintf(owner, sizeof(owner), "o%d", i);
		snprintf(key, sizeof(key), "x%d", i);
		CHECK_INT(take(t, owner, key, 100, 40), i < 59);
	}
	CHECK_INT(bucket_table_count(t), 100);
	clock_fake_off();
	bucket_table_free(&t);
}

TEST(evicts_only_what_is_full_and_idle)
{
	struct bucket_table *t = bucket_table_new();
	struct bucket_demand slow = {.key = SPAN_LIT("slow"), .burst = 1, .refill_per_minute = 1};
	struct bucket_request q = {.owner = SPAN_LIT("p"),
		.demands = &slow,
		.n_demands = 1,
		.max_buckets = 100,
		.max_buckets_per_owner = 100,
		.evict_after_ns = NS_PER_SEC};
	struct bucket_refusal refusal;

	clock_fake_set(NS_PER_SEC, 0);
	CHECK(bucket_table_take(t, &q, &refusal));
	CHECK(take(t, "p", "fast", 100, 100));
	/* Long idle, the slow one still empty: had it gone, a new one would be full. */
	clock_fake_advance(30 * NS_PER_SEC);
	for (int i = 0; i < 10; i++)
		(void)take(t, "p", "third", 100, 100);
	CHECK_INT(bucket_table_count(t), 2);
	CHECK(!bucket_table_take(t, &q, &refusal));
	clock_fake_advance(60 * NS_PER_SEC);
	for (int i = 0; i < 10; i++)
		(void)take(t, "p", "third", 100, 100);
	CHECK_INT(bucket_table_count(t), 1);
	clock_fake_off();
	bucket_table_free(&t);
}

TEST(an_owner_at_its_cap_gets_room_when_buckets_are_idle)
{
	struct bucket_table *t = bucket_table_new();
	char key[32];

	clock_fake_set(NS_PER_SEC, 0);
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		CHECK(take(t, "p", key, 100, 40));
	}
	CHECK(!take(t, "p", "new", 100, 40));
	clock_fake_advance(11 * NS_PER_SEC);
	CHECK(take(t, "p", "new", 100, 40));
	clock_fake_off();
	bucket_table_free(&t);
}

TEST(memory_that_runs_out_refuses)
{
	struct bucket_table *t;
	long live = mem_live();

	for (unsigned long n = 1; n < 200; n++) {
		mem_fail_at(n);
		t = bucket_table_new();
		if (t != NULL)
			(void)take(t, "p", "k", 10, 10);
		mem_fail_at(0);
		bucket_table_free(&t);
		CHECK_INT(mem_live(), live);
	}
}

enum { THREADS = 4, TRIES = 4000, SHARED_BURST = 5000 };

struct contender {
	pthread_t thread;
	struct bucket_table *table;
	char owner[16];
	int granted;
};

/* Each wants a token of its own and one of the shared bucket, which has fewer than all together want. */
static void *
contend(void *arg)
{
	struct contender *c = arg;

	for (int i = 0; i < TRIES; i++) {
		struct bucket_demand d[2] = {
			{.key = span_cstr(c->owner), .burst = TRIES, .refill_per_minute = 1},
			{.key = SPAN_LIT("shared"),
				.burst = SHARED_BURST,
				.refill_per_minute = 1,
				.is_shared = true},
		};
		struct bucket_request q = {.owner = span_cstr(c->owner),
			.demands = d,
			.n_demands = 2,
			.max_buckets = 100,
			.max_buckets_per_owner = 100,
			.evict_after_ns = 1};
		struct bucket_refusal refusal;

		c->granted += bucket_table_take(c->table, &q, &refusal) ? 1 : 0;
	}
	return NULL;
}

TEST(no_token_is_lost_or_given_twice_between_threads)
{
	struct bucket_table *t = bucket_table_new();
	struct contender c[THREADS] = {0};
	int granted = 0;

	clock_fake_set(NS_PER_SEC, 0);
	for (int i = 0; i < THREADS; i++) {
		c[i].table = t;
		snprintf(c[i].owner, sizeof(c[i].owner), "o%d", i);
		CHECK_INT(pthread_create(&c[i].thread, NULL, contend, &c[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(c[i].thread, NULL);
		granted += c[i].granted;
	}
	CHECK_INT(granted, SHARED_BURST);
	/* What an owner has left is what it was not granted. */
	for (int i = 0; i < THREADS; i++) {
		struct bucket_demand d = {
			.key = span_cstr(c[i].owner), .burst = TRIES, .refill_per_minute = 1};
		struct bucket_request q = {.owner = span_cstr(c[i].owner),
			.demands = &d,
			.n_demands = 1,
			.max_buckets = 100,
			.max_buckets_per_owner = 100,
			.evict_after_ns = NS_PER_SEC};
		struct bucket_refusal refusal;
		int left = 0;

		while (bucket_table_take(t, &q, &refusal))
			left++;
		CHECK_INT(left + c[i].granted, TRIES);
	}
	clock_fake_off();
	bucket_table_free(&t);
}

SUITE("bucket_table", TEST_ROW(keys_are_bounded), TEST_ROW(takes_all_or_nothing),
	TEST_ROW(is_bounded_in_all_and_per_owner), TEST_ROW(evicts_only_what_is_full_and_idle),
	TEST_ROW(an_owner_at_its_cap_gets_room_when_buckets_are_idle),
	TEST_ROW(memory_that_runs_out_refuses),
	TEST_ROW(no_token_is_lost_or_given_twice_between_threads))
