/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes the families of /metrics, whatever the form they are written in: family first, then its samples. Names and help
 * texts are static; labels are read during the call only.
 */
#ifndef BASE_METRIC_WRITER_H
#define BASE_METRIC_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/span.h"

/* A counter never falls while the process lives. */
enum metric_kind { METRIC_KIND_COUNTER = 0, METRIC_KIND_GAUGE, METRIC_KIND_HISTOGRAM };

struct metric_label {
	const char *name;
	struct span value;
};

struct metric_writer;

struct metric_writer_ops {
	void (*family)(
		struct metric_writer *w, const char *name, enum metric_kind kind, const char *help);
	/* Samples of the family; at most METRIC_LABELS_MAX labels. */
	void (*integer)(struct metric_writer *w, const struct metric_label *labels, size_t n,
		int64_t value);
	void (*real)(
		struct metric_writer *w, const struct metric_label *labels, size_t n, double value);
	/* unit: how many of the view's values are one of the metric's. */
	void (*histogram)(struct metric_writer *w, const struct metric_label *labels, size_t n,
		const struct histogram_view *view, const int64_t bounds[HISTOGRAM_BOUNDS],
		double unit);
};

#define METRIC_LABELS_MAX 8

struct metric_writer {
	const struct metric_writer_ops *ops;
};

#endif
