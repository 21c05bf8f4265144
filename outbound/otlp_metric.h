/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The families of /metrics as a request of /v1/metrics: counters as monotonic sums since the start (cumulative), gauges,
 * histograms with explicit bounds. The thread that has the writer.
 */
#ifndef OUTBOUND_OTLP_METRIC_H
#define OUTBOUND_OTLP_METRIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/metric_writer.h"

struct buf;

struct otlp_metric_writer {
	struct metric_writer writer; /* first */
	struct buf *out;
	int64_t started_wall_ns;
	int64_t now_wall_ns;
	/* The family that is under way. */
	enum metric_kind kind;
	const char *name; /* NULL: none */
	const char *help;
	bool has_sample;
};

/* Appends the head; borrows b. Then families are written, and the end. */
void otlp_metric_begin(struct otlp_metric_writer *w, struct buf *b, const char *instance_id,
	int64_t started_wall_ns, int64_t now_wall_ns);
void otlp_metric_end(struct otlp_metric_writer *w);

#endif
