/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The lines of server-sent events. */
#include "sse.h"

#include "base/buf.h"
#include "base/must.h"
#include "net/http_server.h"

void
sse_begin(struct http_request *http)
{
	static const struct http_header headers[] = {
		{{"Content-Type", 12}, {"text/event-stream", 17}},
		{{"Cache-Control", 13}, {"no-store", 8}},
		{{"X-Content-Type-Options", 22}, {"nosniff", 7}},
		/* nginx would hold events back until its buffer is full. */
		{{"X-Accel-Buffering", 17}, {"no", 2}},
	};

	http_request_stream_begin(http, 200, headers, ARRAY_LEN(headers));
}

bool
sse_send(struct http_request *http, const char *event, struct span data)
{
	struct buf b;

	MUST(span_find(data, '\n') == data.n && span_find(data, '\r') == data.n);
	buf_init(&b, HTTP_STREAM_BYTES_MAX);
	BUF_ADD_LIT(&b, "event: ");
	buf_add_cstr(&b, event);
	BUF_ADD_LIT(&b, "\ndata: ");
	buf_add_span(&b, data);
	BUF_ADD_LIT(&b, "\n\n");
	bool is_taken = !buf_failed(&b) && http_request_stream_write(http, buf_span(&b));
	buf_fini(&b);
	return is_taken;
}

void
sse_keep_alive(struct http_request *http)
{
	bool is_taken = http_request_stream_write(http, SPAN_LIT(":\n\n"));

	(void)is_taken;
}
