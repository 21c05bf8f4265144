/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of every answer that we give, whoever sends it. Must never get a name or value that is not one line: the
 * callers have looked at those of a handler (http_is_token, http_is_header_value). Runs on the loop's thread.
 */
#include "server.h"

void
reply_head_begin(struct buf *b, struct http_server *s, unsigned status, const char *id)
{
	buf_reset(b);
	BUF_ADD_LIT(b, "HTTP/1.1 ");
	buf_add_uint(b, status);
	buf_add_char(b, ' ');
	buf_add_cstr(b, http_status_text(status));
	BUF_ADD_LIT(b, "\r\n");
	reply_head_add(b, SPAN_LIT("X-Request-Id"), span_cstr(id));
	reply_head_add(b, SPAN_LIT("Date"), span_cstr(server_get_date(s)));
	reply_head_add(b, SPAN_LIT("Server"), SPAN_LIT("nomos"));
}

void
reply_head_add(struct buf *b, struct span name, struct span value)
{
	buf_add_span(b, name);
	BUF_ADD_LIT(b, ": ");
	buf_add_span(b, value);
	BUF_ADD_LIT(b, "\r\n");
}

void
reply_head_add_length(struct buf *b, size_t n)
{
	BUF_ADD_LIT(b, "Content-Length: ");
	buf_add_uint(b, n);
	BUF_ADD_LIT(b, "\r\n");
}

void
reply_head_add_all(struct buf *b, const struct http_header *headers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		reply_head_add(b, headers[i].name, headers[i].value);
}
