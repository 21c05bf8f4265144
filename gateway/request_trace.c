/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See request_trace.h. */
#include "request_trace.h"

#include "base/buf.h"
#include "base/clock.h"
#include "outbound/telemetry.h"
#include "outbound/trace.h"
#include "pipeline/snapshot.h"
#include "routes.h"
#include "runtime/runtime.h"

/* Several lines are one list (W3C Trace Context 3.3); one that is too long is left out, as any of its members might be. */
static void
set_state(struct trace *t, const struct http_request *http)
{
	char joined[TRACE_TEXT_BYTES_MAX];
	const struct http_header *headers;
	size_t n_headers = http_request_get_headers(http, &headers);
	size_t n = 0;

	for (size_t i = 0; i < n_headers; i++) {
		struct span value = headers[i].value;

		if (!span_eq_nocase(headers[i].name, SPAN_LIT("tracestate")) || value.n == 0)
			continue;
		if (!http_is_header_value(value) || value.n + 1 > sizeof(joined) - n)
			return;
		if (n > 0)
			joined[n++] = ',';
		memcpy(joined + n, value.p, value.n);
		n += value.n;
	}
	trace_set_text(t, TRACE_STATE, span_of(joined, n));
}

static bool
read_parent(const struct http_request *http, struct trace_parent *parent)
{
	/* Of two nobody can say which is meant. */
	return http_request_count_header(http, SPAN_LIT("traceparent")) == 1 &&
	       trace_parent_parse(http_request_find_header(http, SPAN_LIT("traceparent")), parent);
}

static void
set_request(struct trace *t, const struct http_request *http)
{
	t->start_ns = http_request_get_start_ns(http);
	trace_set_text(t, TRACE_REQUEST_ID, span_cstr(http_request_get_id(http)));
}

static struct trace *
begin(const struct http_request *http, struct telemetry *telemetry)
{
	struct trace_parent parent;
	bool has_parent = read_parent(http, &parent);
	struct trace *t = telemetry_begin(telemetry, has_parent ? &parent : NULL);

	if (t == NULL)
		return NULL;
	if (has_parent)
		set_state(t, http);
	set_request(t, http);
	return t;
}

/* Whoever can connect may send such ones: they do not choose to be sampled, and leave half of the places to others. */
static struct trace *
begin_unknown(const struct http_request *http, struct telemetry *telemetry)
{
	struct trace *t = telemetry_begin_refused(telemetry);

	if (t != NULL)
		set_request(t, http);
	return t;
}

/* By the place it got; but who names itself a service got that for the form alone. */
static bool
is_known(const struct http_request *http, const struct worker *worker)
{
	struct req_credentials credentials = exchange_get_credentials(http);

	if (http_request_get_rank(http) == HTTP_RANK_LAST)
		return false;
	return span_trim(credentials.service_id).n == 0 ||
	       req_is_known(worker_get_snapshot(worker), &credentials, http_request_get_body(http));
}

void
request_trace_begin(struct http_request *http, struct worker *worker)
{
	struct telemetry *telemetry = runtime_get_telemetry(worker_get_runtime(worker));

	if (telemetry == NULL)
		return;
	struct trace *t =
		is_known(http, worker) ? begin(http, telemetry) : begin_unknown(http, telemetry);
	http_request_set_note(http, t);
	if (t == NULL)
		return;
	trace_go_on(t, "receive", http_request_view_queue(http).since_ns);
	trace_go_on(t, "queue", clock_mono_ns());
}

struct trace *
request_trace_get(const struct http_request *http)
{
	return http_request_get_note(http);
}

void
request_trace_held(const struct http_request *http)
{
	struct trace *t = request_trace_get(http);

	if (t != NULL)
		trace_go_on(t, "hold", clock_mono_ns());
}

void
request_trace_end(const struct http_request *http, struct worker *worker, const char *method,
	const char *path, unsigned status)
{
	struct telemetry *telemetry = runtime_get_telemetry(worker_get_runtime(worker));

	if (telemetry == NULL)
		return;
	struct trace *t = request_trace_get(http);
	/* One that was refused before its handler had it; another has been asked about. */
	if (t == NULL && http_request_get_user(http) == NULL)
		t = begin_unknown(http, telemetry);
	if (t == NULL)
		return;
	t->end_ns = clock_mono_ns();
	t->wall_offset_ns = clock_wall_ns() - t->end_ns;
	t->method = method;
	t->route = path;
	t->status = status;
	trace_go_on(t, t->n_spans > 0 ? "respond" : "refuse", t->end_ns);
	trace_redact(t, snapshot_get_redactor(worker_get_snapshot(worker)));
	telemetry_end(telemetry, &t);
}
