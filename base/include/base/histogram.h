/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms with fixed bounds, for times and for sizes. One thread writes each, without any locked instruction; readers
 * add up those of all threads and may miss what happens meanwhile. Zeroed: nothing yet.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS 18

/* The upper bounds, each one included, ascending: 25 us to 10 s in nanoseconds; 1 to 131,072. */
extern const int64_t histogram_times[HISTOGRAM_BOUNDS];
extern const int64_t histogram_sizes[HISTOGRAM_BOUNDS];

struct histogram {
	_Atomic uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* the last: above all bounds */
	_Atomic int64_t sum;
};

/* What several hold together: a plain value. */
struct histogram_view {
	uint64_t counts[HISTOGRAM_BOUNDS + 1];
	int64_t sum;
};

/* The writing thread. */
void histogram_add(struct histogram *h, const int64_t bounds[HISTOGRAM_BOUNDS], int64_t value);
/* Any thread: adds what h holds to *view. */
void histogram_collect(const struct histogram *h, struct histogram_view *view);

#endif
