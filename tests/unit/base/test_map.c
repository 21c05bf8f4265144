/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The hash map: a long random walk against a plain array, bounds, and the hash against its
 * paper. */
#include "base/map.h"

#include <stdio.h>

#include "base/mem.h"
#include "siphash.h"
#include "support/test.h"

/* Key 00..0f, message 00..n-1; the vector of n = 15 stands in the paper, the others in the
 * authors' code. */
TEST(siphash_vectors)
{
	static const struct {
		size_t n;
		uint64_t want;
	} rows[] = {{0, UINT64_C(0x726fdb47dd0e0e31)}, {1, UINT64_C(0x74f839c593dc67fd)},
		{8, UINT64_C(0x93f5f5799a932462)}, {15, UINT64_C(0xa129ca6149be45e5)}};
	uint8_t key[SIPHASH_KEY_BYTES];
	char text[16];

	for (unsigned i = 0; i < 16; i++) {
		key[i] = (uint8_t)i;
		text[i] = (char)i;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK(siphash(key, span_of(text, rows[i].n)) == rows[i].want);
}

TEST(put_find_take)
{
	struct map *m = map_new(10);
	int one = 1;
	int two = 2;
	void *old = &two;

	CHECK(map_find(m, SPAN_LIT("a")) == NULL);
	CHECK(map_take(m, SPAN_LIT("a")) == NULL);
	CHECK(map_put(m, SPAN_LIT("a"), &one, &old));
	CHECK(old == NULL);
	CHECK(map_find(m, SPAN_LIT("a")) == &one);
	CHECK(map_put(m, SPAN_LIT("a"), &two, &old));
	CHECK(old == &one);
	CHECK_INT(map_count(m), 1);
	CHECK(map_take(m, SPAN_LIT("a")) == &two);
	CHECK_INT(map_count(m), 0);
	CHECK(map_find(m, SPAN_LIT("a")) == NULL);
	map_free(&m, NULL);
	CHECK(m == NULL);
	map_free(&m, NULL);
}

TEST(keys_are_bytes_and_copied)
{
	struct map *m = map_new(10);
	char key[] = "k1";
	int v[3];

	CHECK(map_put(m, span_cstr(key), &v[0], NULL));
	key[1] = '2';
	CHECK(map_find(m, SPAN_LIT("k1")) == &v[0]);
	CHECK(map_find(m, SPAN_LIT("k2")) == NULL);
	CHECK(map_put(m, span_of("k1\0", 3), &v[1], NULL));
	CHECK(map_put(m, SPAN_NONE, &v[2], NULL));
	CHECK(map_find(m, SPAN_LIT("k1")) == &v[0]);
	CHECK(map_find(m, span_of("k1\0", 3)) == &v[1]);
	CHECK(map_find(m, SPAN_LIT("")) == &v[2]);
	map_free(&m, NULL);
}

TEST(bound_holds_but_for_replacing)
{
	struct map *m = map_new(2);
	int v;

	CHECK(map_put(m, SPAN_LIT("a"), &v, NULL));
	CHECK(map_put(m, SPAN_LIT("b"), &v, NULL));
	CHECK(!map_put(m, SPAN_LIT("c"), &v, NULL));
	CHECK_INT(map_count(m), 2);
	CHECK(map_put(m, SPAN_LIT("a"), &v, NULL));
	CHECK(map_take(m, SPAN_LIT("b")) == &v);
	CHECK(map_put(m, SPAN_LIT("c"), &v, NULL));
	map_free(&m, NULL);
}

static int n_freed;

static void
count_free(void *value)
{
	(void)value;
	n_freed++;
}

static bool
count_entry(struct span key, void *value, void *arg)
{
	int *n = arg;

	CHECK(key.n > 0 && value != NULL);
	(*n)++;
	return *n < 5;
}

TEST(free_and_each_visit_entries)
{
	struct map *m = map_new(100);
	int v;
	int n_visited = 0;

	for (int i = 0; i < 20; i++) {
		char key[8];
		int n = snprintf(key, sizeof(key), "%d", i);
		CHECK(map_put(m, span_of(key, (size_t)n), &v, NULL));
	}
	map_each(m, count_entry, &n_visited);
	CHECK_INT(n_visited, 5);
	n_freed = 0;
	map_free(&m, count_free);
	CHECK_INT(n_freed, 20);
}

#define N_KEYS 500

/* Puts and takes in a fixed random order, with a plain array as the truth; runs of neighbours
 * form and break. */
TEST(random_walk_agrees_with_an_array)
{
	static int values[N_KEYS];
	bool is_in[N_KEYS] = {false};
	size_t n_in = 0;
	uint32_t state = 1;
	struct map *m = map_new(N_KEYS);

	for (int step = 0; step < 60000; step++) {
		state = state * 1664525u + 1013904223u;
		unsigned k = (state >> 8) % N_KEYS;
		char text[8];
		struct span key = span_of(text, (size_t)snprintf(text, sizeof(text), "%u", k));
		void *want = is_in[k] ? &values[k] : NULL;
		CHECK(map_find(m, key) == want);
		if ((state >> 28) % 2 == 0) {
			void *old;
			CHECK(map_put(m, key, &values[k], &old));
			CHECK(old == want);
			n_in += is_in[k] ? 0 : 1;
			is_in[k] = true;
		} else {
			CHECK(map_take(m, key) == want);
			n_in -= is_in[k] ? 1 : 0;
			is_in[k] = false;
		}
		CHECK_INT(map_count(m), n_in);
	}
	map_free(&m, NULL);
}

TEST(memory_comes_back)
{
	long before = mem_live();
	struct map *m = map_new(1000);

	for (int i = 0; i < 1000; i++) {
		char key[8];
		int n = snprintf(key, sizeof(key), "%d", i);
		CHECK(map_put(m, span_of(key, (size_t)n), m, NULL));
	}
	map_free(&m, NULL);
	CHECK_INT(mem_live(), before);
}

SUITE("map", TEST_ROW(siphash_vectors), TEST_ROW(put_find_take),
	TEST_ROW(keys_are_bytes_and_copied), TEST_ROW(bound_holds_but_for_replacing),
	TEST_ROW(free_and_each_visit_entries), TEST_ROW(random_walk_agrees_with_an_array),
	TEST_ROW(memory_comes_back))
