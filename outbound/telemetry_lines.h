/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The event and metric lines of the sinks stdout and stderr (nomos-http.md 8), one JSON object each, in the reference's names
 * and members. Pure but for the buffer.
 */
#ifndef OUTBOUND_TELEMETRY_LINES_H
#define OUTBOUND_TELEMETRY_LINES_H

#include "base/metric_writer.h"
#include "base/span.h"

struct buf;
struct trace;

/* Calls put with each line of the request, its newline included, in order; b is for building it, and empty afterwards. */
void telemetry_lines_build(
	const struct trace *t, struct buf *b, void (*put)(struct span line, void *arg), void *arg);

#endif
