/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Values on and between bounds, and several histograms in one view. */
#include "base/histogram.h"
#include "support/test.h"

TEST(a_bound_belongs_to_its_bucket)
{
	struct histogram h = {0};
	struct histogram_view v = {{0}, 0};

	histogram_add(&h, histogram_sizes, 0);
	histogram_add(&h, histogram_sizes, 1);
	histogram_add(&h, histogram_sizes, 2);
	histogram_add(&h, histogram_sizes, 3);
	histogram_add(&h, histogram_sizes, 131072);
	histogram_add(&h, histogram_sizes, 131073);
	histogram_collect(&h, &v);
	CHECK_INT(v.counts[0], 2);
	CHECK_INT(v.counts[1], 1);
	CHECK_INT(v.counts[2], 1);
	CHECK_INT(v.counts[HISTOGRAM_BOUNDS - 1], 1);
	CHECK_INT(v.counts[HISTOGRAM_BOUNDS], 1);
	CHECK_INT(v.sum, 0 + 1 + 2 + 3 + 131072 + 131073);
	histogram_collect(&h, &v);
	CHECK_INT(v.counts[0], 4);
}

TEST(bounds_ascend)
{
	for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++) {
		CHECK(histogram_times[i] > histogram_times[i - 1]);
		CHECK(histogram_sizes[i] > histogram_sizes[i - 1]);
	}
}

SUITE("histogram", TEST_ROW(a_bound_belongs_to_its_bucket), TEST_ROW(bounds_ascend))
