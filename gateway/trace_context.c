/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * W3C trace context as the reference takes it (nomos-http.md 8): a well-formed traceparent is echoed, and tracestate with it.
 * Pure but for reading the request's headers.
 */
#include "routes.h"

#define TRACEPARENT_BYTES 55

static bool
is_lower_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool
is_traceparent(struct span s)
{
	if (s.n != TRACEPARENT_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		bool is_dash = i == 2 || i == 35 || i == 52;
		if (is_dash ? s.p[i] != '-' : !is_lower_hex(s.p[i]))
			return false;
	}
	return true;
}

size_t
trace_context_echo(const struct http_request *http, struct http_header out[TRACE_HEADERS_MAX])
{
	struct span parent = http_request_find_header(http, SPAN_LIT("traceparent"));
	struct span state = http_request_find_header(http, SPAN_LIT("tracestate"));

	if (!is_traceparent(parent))
		return 0;
	out[0] = (struct http_header){SPAN_LIT("Traceparent"), parent};
	if (state.n == 0 || !http_is_header_value(state))
		return 1;
	out[1] = (struct http_header){SPAN_LIT("Tracestate"), state};
	return 2;
}
