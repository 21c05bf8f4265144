/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: the families in the text format of Prometheus (version 0.0.4). Worker's thread. */
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/metric_writer.h"
#include "gateway/gateway.h"
#include "routes.h"

#define METRICS_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct text_writer {
	struct metric_writer writer; /* first */
	struct buf *out;
	const char *name; /* of the family that is under way */
};

static struct text_writer *
self_of(struct metric_writer *w)
{
	return (struct text_writer *)(void *)w;
}

static void
family(struct metric_writer *writer, const char *name, enum metric_kind kind, const char *help)
{
	static const char *const kinds[] = {[METRIC_KIND_COUNTER] = "counter",
		[METRIC_KIND_GAUGE] = "gauge",
		[METRIC_KIND_HISTOGRAM] = "histogram"};
	struct text_writer *w = self_of(writer);

	w->name = name;
	buf_printf(w->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

/* The inside of a label's quotes. */
static void
add_escaped(struct buf *b, struct span value)
{
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '\n') {
			BUF_ADD_LIT(b, "\\n");
			continue;
		}
		if (value.p[i] == '"' || value.p[i] == '\\')
			buf_add_char(b, '\\');
		buf_add_char(b, value.p[i]);
	}
}

/* name_suffix{labels} and a blank; le, if there is one, comes last. */
static void
begin_line(const struct text_writer *w, const char *suffix, const struct metric_label *labels,
	size_t n, const char *le)
{
	buf_printf(w->out, "%s%s", w->name, suffix);
	for (size_t i = 0; i < n; i++) {
		buf_printf(w->out, "%c%s=\"", i == 0 ? '{' : ',', labels[i].name);
		add_escaped(w->out, labels[i].value);
		buf_add_char(w->out, '"');
	}
	if (le != NULL)
		buf_printf(w->out, "%cle=\"%s\"", n == 0 ? '{' : ',', le);
	buf_add_cstr(w->out, n > 0 || le != NULL ? "} " : " ");
}

static void
integer(struct metric_writer *writer, const struct metric_label *labels, size_t n, int64_t value)
{
	struct text_writer *w = self_of(writer);

	begin_line(w, "", labels, n, NULL);
	buf_printf(w->out, "%" PRId64 "\n", value);
}

static void
real(struct metric_writer *writer, const struct metric_label *labels, size_t n, double value)
{
	struct text_writer *w = self_of(writer);

	begin_line(w, "", labels, n, NULL);
	buf_printf(w->out, "%.9g\n", value);
}

static void
histogram(struct metric_writer *writer, const struct metric_label *labels, size_t n,
	const struct histogram_view *view, const int64_t bounds[HISTOGRAM_BOUNDS], double unit)
{
	struct text_writer *w = self_of(writer);
	uint64_t sum = 0;
	char le[32];

	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		sum += view->counts[i];
		if (i < HISTOGRAM_BOUNDS)
			snprintf(le, sizeof(le), "%g", (double)bounds[i] / unit);
		begin_line(w, "_bucket", labels, n, i < HISTOGRAM_BOUNDS ? le : "+Inf");
		buf_printf(w->out, "%" PRIu64 "\n", sum);
	}
	begin_line(w, "_sum", labels, n, NULL);
	buf_printf(w->out, "%.9g\n", (double)view->sum / unit);
	begin_line(w, "_count", labels, n, NULL);
	buf_printf(w->out, "%" PRIu64 "\n", sum);
}

static const struct metric_writer_ops ops = {
	.family = family, .integer = integer, .real = real, .histogram = histogram};

void
api_metrics(const struct exchange *x)
{
	const struct http_header type = {
		SPAN_LIT("Content-Type"), SPAN_LIT("text/plain; version=0.0.4; charset=utf-8")};
	struct buf b;
	struct text_writer w = {.writer.ops = &ops, .out = &b};

	buf_init(&b, METRICS_BYTES_MAX);
	gateway_write_metrics(
		worker_get_runtime(x->worker), worker_get_snapshot(x->worker), &w.writer);
	reply_private(x->http, 200, &type, 1, &b);
	buf_fini(&b);
}
