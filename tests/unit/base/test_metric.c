/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Counters: sums over threads, also when threads share a bank. */
#include "base/metric.h"

#include <pthread.h>
#include <string.h>

#include "support/test.h"

#define N_THREADS 24
#define N_ADDS 1000

static void *
add_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < N_ADDS; i++) {
		metric_add(METRIC_REQUESTS, 2);
		metric_add(METRIC_CONNECTIONS, i % 2 == 0 ? 1 : -1);
	}
	return NULL;
}

TEST(no_addition_is_lost)
{
	pthread_t threads[N_THREADS];

	for (int i = 0; i < N_THREADS; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, add_many, NULL), 0);
	for (int i = 0; i < N_THREADS; i++)
		CHECK_INT(pthread_join(threads[i], NULL), 0);
	CHECK_INT(metric_get(METRIC_REQUESTS), 2 * N_THREADS * N_ADDS);
	CHECK_INT(metric_get(METRIC_CONNECTIONS), 0);
	CHECK_INT(metric_get(METRIC_RELOADS), 0);
}

TEST(table_is_complete_and_well_named)
{
	for (int m = 0; m < METRIC__MAX; m++) {
		const char *name = metric_name((enum metric)m);
		CHECK(strncmp(name, "nomos_", 6) == 0);
		CHECK_INT(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		CHECK(strlen(metric_help((enum metric)m)) > 0);
	}
}

SUITE("metric", TEST_ROW(no_addition_is_lost), TEST_ROW(table_is_complete_and_well_named))
