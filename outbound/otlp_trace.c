/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See otlp_trace.h. Ids are made here, off the request's way. */
#include "otlp_trace.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/rand.h"
#include "otlp_json.h"
#include "outbound/trace.h"

/* enum values of opentelemetry/proto/trace/v1 */
#define SPAN_KIND_INTERNAL 1
#define SPAN_KIND_SERVER 2
#define STATUS_CODE_ERROR 2
/* SpanFlags: whether the parent is in another process is known, and it is. */
#define FLAG_HAS_IS_REMOTE 0x100u
#define FLAG_IS_REMOTE 0x200u

struct ids {
	uint8_t trace[TRACE_ID_BYTES];
	uint8_t spans[TRACE_SPANS_MAX + 1][TRACE_SPAN_ID_BYTES]; /* the request's is the last */
};

static const struct otlp_signal signal_names = {"resourceSpans", "scopeSpans", "spans"};

void
otlp_trace_begin(struct buf *b, const char *instance_id)
{
	otlp_begin(b, &signal_names, instance_id);
}

void
otlp_trace_end(struct buf *b)
{
	otlp_end(b);
}

static void
add_id(struct buf *b, const char *name, const uint8_t *id, size_t n)
{
	buf_add_char(b, '"');
	buf_add_cstr(b, name);
	BUF_ADD_LIT(b, "\":\"");
	buf_add_hex(b, id, n);
	BUF_ADD_LIT(b, "\",");
}

static void
begin_span(struct buf *b, const struct trace *t, const struct ids *ids, const uint8_t *own,
	const uint8_t *parent)
{
	struct span state = trace_get_text(t, TRACE_STATE);

	if (b->n > 0 && b->p[b->n - 1] == '}')
		buf_add_char(b, ',');
	buf_add_char(b, '{');
	add_id(b, "traceId", ids->trace, TRACE_ID_BYTES);
	add_id(b, "spanId", own, TRACE_SPAN_ID_BYTES);
	if (parent != NULL)
		add_id(b, "parentSpanId", parent, TRACE_SPAN_ID_BYTES);
	if (t->has_parent && state.n > 0) {
		BUF_ADD_LIT(b, "\"traceState\":");
		json_quote(b, state);
		buf_add_char(b, ',');
	}
}

static void
add_times(struct buf *b, const struct trace *t, int64_t start_ns, int64_t end_ns)
{
	otlp_add_nanos(b, "startTimeUnixNano", start_ns + t->wall_offset_ns);
	otlp_add_nanos(b, "endTimeUnixNano", end_ns + t->wall_offset_ns);
}

static void
add_attributes(struct buf *b, const struct trace *t)
{
	otlp_add_text(b, "http.request.method", span_cstr(t->method));
	otlp_add_text(b, "http.route", span_cstr(t->route));
	otlp_add_int(b, "http.response.status_code", t->status);
	if (t->ledger_seq > 0)
		otlp_add_int(b, "nomos.ledger_seq", (int64_t)t->ledger_seq);
	for (enum trace_text i = 0; i < TRACE_TEXT__MAX; i++) {
		struct span text = trace_get_text(t, i);

		if (text.n == 0 || trace_text_name(i) == NULL)
			continue;
		if (i == TRACE_RULE_IDS)
			otlp_add_lines(b, trace_text_name(i), text);
		else
			otlp_add_text(b, trace_text_name(i), text);
	}
}

static void
end_span(struct buf *b, bool has_failed)
{
	if (has_failed)
		buf_printf(b, "\"status\":{\"code\":%d}}", STATUS_CODE_ERROR);
	else
		BUF_ADD_LIT(b, "\"status\":{}}");
}

static void
add_request(struct buf *b, const struct trace *t, const struct ids *ids)
{
	unsigned flags = FLAG_HAS_IS_REMOTE | TRACE_FLAG_SAMPLED;

	if (t->has_parent)
		flags |= FLAG_IS_REMOTE | t->parent.flags;
	begin_span(
		b, t, ids, ids->spans[TRACE_SPANS_MAX], t->has_parent ? t->parent.span_id : NULL);
	buf_printf(b, "\"flags\":%u,\"name\":\"%s %s\",\"kind\":%d,", flags, t->method, t->route,
		SPAN_KIND_SERVER);
	add_times(b, t, t->start_ns, t->end_ns);
	BUF_ADD_LIT(b, "\"attributes\":[");
	add_attributes(b, t);
	BUF_ADD_LIT(b, "],");
	end_span(b, t->status >= 500);
}

static void
add_step(struct buf *b, const struct trace *t, const struct ids *ids, size_t i)
{
	const struct trace_span *s = &t->spans[i];

	begin_span(b, t, ids, ids->spans[i], ids->spans[TRACE_SPANS_MAX]);
	BUF_ADD_LIT(b, "\"flags\":");
	buf_add_uint(b, FLAG_HAS_IS_REMOTE | TRACE_FLAG_SAMPLED);
	BUF_ADD_LIT(b, ",\"name\":\"");
	buf_add_cstr(b, s->name);
	BUF_ADD_LIT(b, "\",\"kind\":");
	buf_add_uint(b, SPAN_KIND_INTERNAL);
	buf_add_char(b, ',');
	add_times(b, t, s->start_ns, s->end_ns);
	end_span(b, (t->failed & (1u << i)) != 0);
}

enum err
otlp_trace_add(struct buf *b, const struct trace *t, struct errinfo *ei)
{
	struct ids ids;
	enum err rc = rand_bytes(&ids, sizeof(ids), ei);

	if (rc != OK)
		return rc;
	if (t->has_parent)
		memcpy(ids.trace, t->parent.trace_id, TRACE_ID_BYTES);
	add_request(b, t, &ids);
	for (size_t i = 0; i < t->n_spans; i++)
		add_step(b, t, &ids, i);
	return OK;
}
