/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The sinks stdout and stderr: traces leave as lines. The exporter's thread. */
#ifndef OUTBOUND_LINE_SINK_H
#define OUTBOUND_LINE_SINK_H

#include <stdbool.h>

#include "outbound/telemetry.h"

struct buf;
struct trace_places;

struct line_sink {
	enum telemetry_sink sink;            /* STDOUT or STDERR */
	bool (*is_time_up)(const void *arg); /* whether nobody may be waited for any more */
	const void *arg;
};

/*
 * Writes all that waits, built in b. Each trace counts as sent; as dropped when one of its lines found no reader. stdout's reader is
 * waited for until is_time_up; stderr belongs to the log, which takes what it has room for.
 */
void line_sink_write_all(const struct line_sink *s, struct trace_places *from, struct buf *b);

#endif
