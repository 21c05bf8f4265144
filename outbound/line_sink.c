/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A lost line does not stop the trace's other ones: each tells of something by itself. */
#include "line_sink.h"

#include "base/log.h"
#include "base/metric.h"
#include "line_out.h"
#include "telemetry_lines.h"
#include "trace_places.h"

struct line_target {
	const struct line_sink *sink;
	bool has_lost;
};

static void
put_line(struct span line, void *arg)
{
	struct line_target *to = arg;
	const struct line_sink *s = to->sink;

	if (s->sink == TELEMETRY_STDERR ? !log_put_spare_line(line)
					: !line_out_stdout(line, s->is_time_up, s->arg))
		to->has_lost = true;
}

void
line_sink_write_all(const struct line_sink *s, struct trace_places *from, struct buf *b)
{
	struct trace *trace;

	for (trace = trace_places_take(from); trace != NULL; trace = trace_places_take(from)) {
		struct line_target to = {.sink = s};

		telemetry_lines_build(trace, b, put_line, &to);
		trace_places_give_back(from, trace);
		metric_add(to.has_lost ? METRIC_TELEMETRY_DROPPED : METRIC_TELEMETRY_SENT, 1);
	}
}
