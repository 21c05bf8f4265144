/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Nonces from several threads at once, each tried by all of them, while the clock goes on: each is taken exactly once while its time
 * counts, by whichever thread, and afterwards never again. Under the thread sanitizer it looks for races too.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/must.h"
#include "identity/nonce_table.h"
#include "support/test.h"

#define START_S INT64_C(1700000000)

enum { THREADS = 4, SIGNERS = 3, PER_ROUND = 500, ROUNDS = 60, STEP_S = 37 };

static const struct nonce_limits limits = {
	.window_s = 300, .max = 1 << 20, .max_per_signer = 1 << 20};
static struct nonce_table *table;
static atomic_uint taken[ROUNDS][PER_ROUND];
static atomic_uint wrong;

struct turn {
	unsigned round;
	unsigned seed;
};

static enum nonce_verdict
use(unsigned round, unsigned i)
{
	char text[32];
	char signer[8];
	int n = snprintf(text, sizeof(text), "nonce-%05u-%09u", round, i);
	int m = snprintf(signer, sizeof(signer), "s%u", i % SIGNERS);
	const struct nonce nonce = {.kind = i % 2 == 0 ? NONCE_AGENT : NONCE_SERVICE,
		.signer = span_of(signer, (size_t)m),
		.text = span_of(text, (size_t)n),
		/* Some behind the clock, where that is not before the start, and some ahead of it. */
		.time_s = START_S + (int64_t)round * STEP_S +
			  (round < 7 ? (int64_t)(i % 250) : (int64_t)(i % 500) - 250)};

	return nonce_table_use(table, &limits, &nonce);
}

/* All of this round, and some of an earlier one, which is over or used. */
static void *
work(void *arg)
{
	const struct turn *turn = arg;
	unsigned state = turn->seed;

	for (unsigned k = 0; k < PER_ROUND; k++) {
		unsigned i = (k * 7 + turn->seed * 131) % PER_ROUND;
		enum nonce_verdict v = use(turn->round, i);

		if (v == NONCE_FRESH)
			atomic_fetch_add(&taken[turn->round][i], 1);
		else if (v != NONCE_USED)
			atomic_fetch_add(&wrong, 1);
		state = state * 1103515245u + 12345u;
		if (turn->round > 0) {
			v = use(state % turn->round, i);
			if (v != NONCE_USED && v != NONCE_OUT_OF_WINDOW)
				atomic_fetch_add(&wrong, 1);
		}
	}
	return NULL;
}

TEST(each_is_taken_once_whoever_is_first)
{
	clock_fake_set(START_S * NS_PER_SEC, START_S * NS_PER_SEC);
	table = nonce_table_new();
	MUST(table != NULL);
	for (unsigned round = 0; round < ROUNDS; round++) {
		pthread_t threads[THREADS];
		struct turn turns[THREADS];

		for (unsigned t = 0; t < THREADS; t++) {
			turns[t] = (struct turn){round, t + 1};
			MUST(pthread_create(&threads[t], NULL, work, &turns[t]) == 0);
		}
		for (unsigned t = 0; t < THREADS; t++)
			MUST(pthread_join(threads[t], NULL) == 0);
		for (unsigned i = 0; i < PER_ROUND; i++)
			CHECK_INT(atomic_load(&taken[round][i]), 1);
		clock_fake_advance(STEP_S * NS_PER_SEC);
	}
	CHECK_INT(atomic_load(&wrong), 0);
	/* What is too old has gone: at most what a window and an epoch can hold is left. */
	CHECK(nonce_table_count(table) <= (size_t)PER_ROUND * ((2 * 300 + 64) / STEP_S + 2));
	nonce_table_free(&table);
	clock_fake_off();
}

SUITE("nonces", TEST_ROW(each_is_taken_once_whoever_is_first))
