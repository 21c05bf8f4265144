/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See otlp_metric.h. A family without samples is left out: the receiver would take it for one with a hole. */
#include "otlp_metric.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"
#include "otlp_json.h"

#define TEMPORALITY_CUMULATIVE 2 /* AggregationTemporality of opentelemetry/proto/metrics/v1 */

static const struct otlp_signal signal_names = {"resourceMetrics", "scopeMetrics", "metrics"};

static struct otlp_metric_writer *
self_of(struct metric_writer *w)
{
	return (struct otlp_metric_writer *)(void *)w;
}

static void
end_family(struct otlp_metric_writer *w)
{
	if (w->has_sample)
		switch (w->kind) {
		case METRIC_KIND_COUNTER:
			buf_printf(w->out, "],\"aggregationTemporality\":%d,\"isMonotonic\":true}}",
				TEMPORALITY_CUMULATIVE);
			break;
		case METRIC_KIND_GAUGE:
			BUF_ADD_LIT(w->out, "]}}");
			break;
		case METRIC_KIND_HISTOGRAM:
			buf_printf(w->out, "],\"aggregationTemporality\":%d}}",
				TEMPORALITY_CUMULATIVE);
			break;
		}
	w->has_sample = false;
	w->name = NULL;
}

static void
family(struct metric_writer *writer, const char *name, enum metric_kind kind, const char *help)
{
	struct otlp_metric_writer *w = self_of(writer);

	end_family(w);
	w->kind = kind;
	w->name = name;
	w->help = help;
}

/* By the name's end, as Prometheus has units there; UCUM. */
static const char *
unit_of(const char *name)
{
	struct span s = span_cstr(name);

	if (span_ends(s, SPAN_LIT("_seconds")) || span_ends(s, SPAN_LIT("_seconds_total")))
		return "s";
	return span_ends(s, SPAN_LIT("_bytes")) ? "By" : "1";
}

static void
begin_family(struct otlp_metric_writer *w)
{
	static const char *const members[] = {[METRIC_KIND_COUNTER] = "sum",
		[METRIC_KIND_GAUGE] = "gauge",
		[METRIC_KIND_HISTOGRAM] = "histogram"};

	MUST(w->name != NULL);
	if (w->out->n > 0 && w->out->p[w->out->n - 1] == '}')
		buf_add_char(w->out, ',');
	buf_printf(w->out, "{\"name\":\"%s\",\"description\":", w->name);
	json_quote(w->out, span_cstr(w->help));
	buf_printf(w->out, ",\"unit\":\"%s\",\"%s\":{\"dataPoints\":[", unit_of(w->name),
		members[w->kind]);
	w->has_sample = true;
}

static void
begin_sample(struct otlp_metric_writer *w, const struct metric_label *labels, size_t n)
{
	if (w->has_sample)
		buf_add_char(w->out, ',');
	else
		begin_family(w);
	BUF_ADD_LIT(w->out, "{\"attributes\":[");
	for (size_t i = 0; i < n; i++)
		otlp_add_text(w->out, labels[i].name, labels[i].value);
	BUF_ADD_LIT(w->out, "],");
	if (w->kind != METRIC_KIND_GAUGE)
		otlp_add_nanos(w->out, "startTimeUnixNano", w->started_wall_ns);
	otlp_add_nanos(w->out, "timeUnixNano", w->now_wall_ns);
}

static void
integer(struct metric_writer *writer, const struct metric_label *labels, size_t n, int64_t value)
{
	struct otlp_metric_writer *w = self_of(writer);

	begin_sample(w, labels, n);
	buf_printf(w->out, "\"asInt\":\"%" PRId64 "\"}", value);
}

static void
real(struct metric_writer *writer, const struct metric_label *labels, size_t n, double value)
{
	struct otlp_metric_writer *w = self_of(writer);

	begin_sample(w, labels, n);
	buf_printf(w->out, "\"asDouble\":%.9g}", value);
}

static void
histogram(struct metric_writer *writer, const struct metric_label *labels, size_t n,
	const struct histogram_view *view, const int64_t bounds[HISTOGRAM_BOUNDS], double unit)
{
	struct otlp_metric_writer *w = self_of(writer);
	uint64_t count = 0;

	begin_sample(w, labels, n);
	BUF_ADD_LIT(w->out, "\"bucketCounts\":[");
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		count += view->counts[i];
		buf_printf(w->out, "%s\"%" PRIu64 "\"", i > 0 ? "," : "", view->counts[i]);
	}
	BUF_ADD_LIT(w->out, "],\"explicitBounds\":[");
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++)
		buf_printf(w->out, "%s%.9g", i > 0 ? "," : "", (double)bounds[i] / unit);
	buf_printf(w->out, "],\"count\":\"%" PRIu64 "\",\"sum\":%.9g}", count,
		(double)view->sum / unit);
}

static const struct metric_writer_ops ops = {
	.family = family, .integer = integer, .real = real, .histogram = histogram};

void
otlp_metric_begin(struct otlp_metric_writer *w, struct buf *b, const char *instance_id,
	int64_t started_wall_ns, int64_t now_wall_ns)
{
	*w = (struct otlp_metric_writer){.writer.ops = &ops,
		.out = b,
		.started_wall_ns = started_wall_ns,
		.now_wall_ns = now_wall_ns < started_wall_ns ? started_wall_ns : now_wall_ns};
	otlp_begin(b, &signal_names, instance_id);
}

void
otlp_metric_end(struct otlp_metric_writer *w)
{
	end_family(w);
	otlp_end(w->out);
}
