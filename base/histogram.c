/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See histogram.h. Most values are small, so the bounds are looked through from below. */
#include "base/histogram.h"

#define US INT64_C(1000)
#define MS (1000 * US)

const int64_t histogram_times[HISTOGRAM_BOUNDS] = {25 * US, 50 * US, 100 * US, 250 * US, 500 * US,
	1 * MS, 2500 * US, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS,
	1000 * MS, 2500 * MS, 5000 * MS, 10000 * MS};
const int64_t histogram_sizes[HISTOGRAM_BOUNDS] = {
	1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072};

void
histogram_add(struct histogram *h, const int64_t bounds[HISTOGRAM_BOUNDS], int64_t value)
{
	size_t i = 0;

	while (i < HISTOGRAM_BOUNDS && value > bounds[i])
		i++;
	uint64_t n = atomic_load_explicit(&h->counts[i], memory_order_relaxed);
	int64_t sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
	atomic_store_explicit(&h->counts[i], n + 1, memory_order_relaxed);
	atomic_store_explicit(&h->sum, sum + value, memory_order_relaxed);
}

void
histogram_collect(const struct histogram *h, struct histogram_view *view)
{
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		view->counts[i] += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
	view->sum += atomic_load_explicit(&h->sum, memory_order_relaxed);
}
