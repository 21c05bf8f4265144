/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Answers to the byte, in each form that a client can ask for: what stands where, once, and nothing else. */
#define _GNU_SOURCE /* memmem */

#include "rig.h"

#define ID "X-Request-Id: "
#define DATE "Date: "

static struct rig rig;

/* By its target: /<status>, /type, /split. */
static void
answer(struct http_request *req, void *arg)
{
	static const struct http_header typed[] = {
		{{"X-One", 5}, {"1", 1}}, {{"content-type", 12}, {"text/plain", 10}}};
	static const struct http_header split[] = {{{"X-A", 3}, {"b\r\n\r\nHTTP/1.1 200 OK", 20}}};
	struct span target = http_request_get_target(req);

	(void)arg;
	if (span_eq_cstr(target, "/204"))
		http_request_reply(req, 204, NULL, 0, SPAN_NONE);
	else if (span_eq_cstr(target, "/304"))
		http_request_reply(req, 304, typed, 1, SPAN_NONE);
	else if (span_eq_cstr(target, "/type"))
		http_request_reply(req, 200, typed, 2, SPAN_LIT("abc"));
	else if (span_eq_cstr(target, "/split"))
		http_request_reply(req, 200, split, 1, SPAN_LIT("{}"));
	else
		http_request_reply(req, 200, NULL, 0, SPAN_LIT("{}"));
}

/* The value behind a name becomes one letter. */
static void
hide(struct buf *b, struct span text, struct span *rest, const char *name)
{
	char *at = memmem(text.p, text.n, name, strlen(name));

	CHECK(at != NULL);
	size_t n = at != NULL ? (size_t)(at - text.p) + strlen(name) : 0;
	buf_add(b, text.p, n);
	buf_add_char(b, '?');
	*rest = span_from(text, n);
	*rest = span_from(*rest, span_find(*rest, '\r'));
}

static void
check(const char *request, const char *expected, bool is_closed)
{
	struct rig_client c;
	struct rig_reply reply;
	struct buf shown;

	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, request);
	CHECK(rig_wait_reply(&rig, &c, strncmp(request, "HEAD", 4) == 0, &reply));
	buf_init(&shown, RIG_REPLY_MAX);
	struct span text = span_of(reply.head.p, reply.head.n + 2 + reply.body.n);
	hide(&shown, text, &text, ID);
	hide(&shown, text, &text, DATE);
	buf_add_span(&shown, text);
	CHECK_SPAN(buf_span(&shown), expected);
	if (is_closed)
		CHECK(rig_wait_eof(&rig, &c));
	buf_fini(&shown);
	rig_close(&c);
}

#define HEAD_OF(status) "HTTP/1.1 " status "\r\nX-Request-Id: ?\r\nDate: ?\r\nServer: nomos\r\n"
#define HOST "Host: h\r\n\r\n"

TEST(replies_to_the_byte)
{
	static const struct {
		const char *request, *reply;
		bool is_closed;
	} rows[] = {
		{"GET /200 HTTP/1.1\r\n" HOST,
			HEAD_OF("200 OK") "Content-Type: application/json\r\nContent-Length: "
					  "2\r\n\r\n{}",
			false},
		{"HEAD /200 HTTP/1.1\r\n" HOST,
			HEAD_OF("200 OK") "Content-Type: application/json\r\nContent-Length: "
					  "2\r\n\r\n",
			false},
		{"GET /200 HTTP/1.1\r\nConnection: close\r\n" HOST,
			HEAD_OF("200 OK") "Content-Type: application/json\r\nContent-Length: 2\r\n"
					  "Connection: close\r\n\r\n{}",
			true},
		{"GET /200 HTTP/1.0\r\n\r\n",
			HEAD_OF("200 OK") "Content-Type: application/json\r\nContent-Length: 2\r\n"
					  "Connection: close\r\n\r\n{}",
			true},
		{"GET /200 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
			HEAD_OF("200 OK") "Content-Type: application/json\r\nContent-Length: 2\r\n"
					  "Connection: keep-alive\r\n\r\n{}",
			false},
		{"GET /204 HTTP/1.1\r\n" HOST, HEAD_OF("204 No Content") "\r\n", false},
		{"GET /304 HTTP/1.1\r\n" HOST, HEAD_OF("304 Not Modified") "X-One: 1\r\n\r\n",
			false},
		{"GET /type HTTP/1.1\r\n" HOST,
			HEAD_OF("200 OK") "X-One: 1\r\ncontent-type: text/plain\r\nContent-Length: "
					  "3\r\n\r\nabc",
			false},
		{"GET /split HTTP/1.1\r\n" HOST,
			HEAD_OF("500 Internal Server Error") "Content-Type: application/json\r\n"
							     "Content-Length: 61\r\n\r\n"
							     "{\"decision\":\"DENY\",\"reason\":"
							     "\"internal_error: illegal header\"}",
			false},
	};

	rig_options(&rig);
	rig.handler = answer;
	rig_start(&rig);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(rows[i].request, rows[i].reply, rows[i].is_closed);
	rig_stop(&rig);
}

SUITE("net/reply_bytes", TEST_ROW(replies_to_the_byte))
