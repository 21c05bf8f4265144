/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies that are written piece by piece. The head and the pieces go straight to the socket's output, the engine is not asked
 * any more but to close: a stream is the last thing on its connection. Its output is bounded; while some of it is unsent
 * the client is timed as with every reply, and a stream that has nothing to say is not. Must never let half a piece
 * pass for a whole one. Runs on the loop's thread.
 */
#define _GNU_SOURCE /* TCP_USER_TIMEOUT */

#include <errno.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/metric.h"
#include "base/must.h"
#include "server.h"

#define NO_DEADLINE INT64_MAX

static size_t
count_unsent(const struct conn *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

/* All is with the kernel; or was when the engine made a note to tell so: over TLS more may have been written since. */
static void
on_sent(struct bufferevent *bev, void *arg)
{
	struct conn *c;

	(void)bev;
	OBJ_CAST(c, arg, CONN_MAGIC);
	/* It tells once more when that is sent. */
	if (count_unsent(c) > 0)
		return;
	if (c->state == CONN_WRITING) {
		conn_linger(c);
		return;
	}
	if (c->state != CONN_SENDING)
		return;
	conn_set_state(c, CONN_STREAM, NO_DEADLINE);
	if (c->req.wants_drained)
		server_add_work(c, CONN_WORK_DRAINED);
}

static void
on_error(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c;

	(void)bev;
	OBJ_CAST(c, arg, CONN_MAGIC);
	/* What bound_silence asked the kernel for; it was there before the sweep. */
	if ((what & BEV_EVENT_ERROR) != 0 && EVUTIL_SOCKET_ERROR() == ETIMEDOUT)
		conn_note_cut(c);
	server_add_work(c, CONN_WORK_CLOSE);
}

/* A client that vanished without a word would be kept for a quarter of an hour. */
static void
bound_silence(const struct conn *c)
{
	unsigned ms = (unsigned)(c->server->options.write_stall_ns / NS_PER_MS);

	(void)setsockopt(bufferevent_getfd(c->bev), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

/* Behind what is there already. False when memory is out. */
static bool
put(struct conn *c, struct span bytes)
{
	if (evbuffer_add(bufferevent_get_output(c->bev), bytes.p, bytes.n) != 0)
		return false;
	if (c->state != CONN_SENDING) {
		c->reply_n = 0;
		c->moved_seen = SIZE_MAX;
		conn_set_state(c, CONN_SENDING,
			loop_now_ns(c->server->loop) + c->server->options.write_stall_ns);
	}
	c->reply_n += bytes.n;
	return true;
}

void
conn_stream_begin(struct conn *c, struct span head)
{
	struct http_request *req = &c->req;

	MUST(c->state == CONN_HANDED && req->is_streaming);
	req->is_chunked = !c->framing.is_http10;
	bufferevent_setcb(c->bev, NULL, on_sent, on_error, c);
	bound_silence(c);
	if (!put(c, head) || bufferevent_disable(c->bev, EV_READ) != 0 ||
		bufferevent_enable(c->bev, EV_WRITE) != 0)
		server_add_work(c, CONN_WORK_CLOSE);
}

static bool
put_chunk(struct conn *c, struct span bytes)
{
	struct buf *b = &c->server->scratch;
	size_t n = bytes.n;

	buf_reset(b);
	buf_printf(b, "%zx\r\n", n);
	return put(c, buf_span(b)) && put(c, bytes) && put(c, SPAN_LIT("\r\n"));
}

bool
http_request_stream_write(struct http_request *req, struct span bytes)
{
	struct conn *c = req->conn;

	MUST(req->is_open && req->is_streaming && bytes.n <= HTTP_STREAM_BYTES_MAX);
	if (c->state == CONN_GONE)
		return false;
	if (bytes.n == 0 || c->framing.method == HTTP_METHOD_HEAD)
		return true;
	if (count_unsent(c) > 0 && count_unsent(c) + bytes.n > HTTP_STREAM_BYTES_MAX) {
		req->wants_drained = true;
		return false;
	}
	if (req->is_chunked ? put_chunk(c, bytes) : put(c, bytes))
		return true;
	/* Half a piece may be in there. */
	server_add_work(c, CONN_WORK_CLOSE);
	return false;
}

void
http_request_stream_set_drained_fn(struct http_request *req, http_drained_fn fn, void *arg)
{
	MUST(req->is_open && req->is_streaming);
	req->drained_fn = fn;
	req->drained_arg = arg;
}

void
conn_stream_drained(struct conn *c)
{
	struct http_request *req = &c->req;

	if (!req->is_open || !req->is_streaming || !req->wants_drained)
		return;
	req->wants_drained = false;
	if (req->drained_fn == NULL)
		return;
	c->is_pinned = true;
	req->drained_fn(req, req->drained_arg);
	c->is_pinned = false;
}

/* The handler lets go of it. */
static void
release(struct http_request *req)
{
	req->is_open = false;
	req->is_streaming = false;
	req->closed_fn = NULL;
	req->drained_fn = NULL;
	req->conn->server->n_open--;
	serve_queue_wake(req->conn->server);
	metric_add(METRIC_STREAMS, -1);
}

void
http_request_stream_end(struct http_request *req)
{
	struct conn *c = req->conn;
	bool has_last = req->is_chunked && c->framing.method != HTTP_METHOD_HEAD;

	MUST(req->is_open && req->is_streaming);
	release(req);
	if (c->state == CONN_GONE) {
		conn_release(c);
		return;
	}
	if (has_last && !put(c, SPAN_LIT("0\r\n\r\n"))) {
		server_add_work(c, CONN_WORK_CLOSE);
		return;
	}
	if (count_unsent(c) == 0) {
		conn_linger(c);
		return;
	}
	c->moved_seen = SIZE_MAX;
	conn_set_state(
		c, CONN_WRITING, loop_now_ns(c->server->loop) + c->server->options.write_stall_ns);
}

void
http_request_stream_abort(struct http_request *req)
{
	struct conn *c = req->conn;

	MUST(req->is_open && req->is_streaming);
	release(req);
	c->is_cut = true;
	if (c->state == CONN_GONE)
		conn_release(c);
	else
		server_add_work(c, CONN_WORK_CLOSE);
}
