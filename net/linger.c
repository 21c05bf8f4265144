/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a connection that has more to say than we want to hear: a refusal of the gate, an
 * answer before the body, the end of a stream, requests behind a last answer. Our answer is written, what comes in is thrown away for a while so that
 * the client can read the answer, then the socket is closed. Must never read a further byte as a
 * request. Runs on the loop's thread.
 */
#define _GNU_SOURCE /* MSG_NOSIGNAL */

#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "gate_priv.h"
#include "server.h"
#include "tls_conn.h"

/* The client gets so long to read the answer before the socket is closed. */
#define LINGER_NS (2 * NS_PER_SEC)

static void
on_written(struct bufferevent *bev, void *arg)
{
	struct conn *c;

	(void)bev;
	OBJ_CAST(c, arg, CONN_MAGIC);
	/* The client sees the end of our answer; it is closed when the client has closed too, or
	 * at the deadline. */
	conn_end_output(c);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c;

	(void)bev;
	(void)what;
	OBJ_CAST(c, arg, CONN_MAGIC);
	server_add_work(c, CONN_WORK_CLOSE);
}

/* What every last answer has; the empty line and the body are the caller's. */
static void
add_head(struct buf *b, const struct conn *c, unsigned status, const char *id, size_t body_n)
{
	reply_head_begin(b, c->server, status, id);
	reply_head_add_length(b, body_n);
	BUF_ADD_LIT(b, "Connection: close\r\n");
}

static bool
build_refusal(const struct conn *c, enum gate_refusal why, struct buf *b)
{
	struct buf body;
	char id[ID_MAX];
	unsigned status = gate_status(why);

	id_request(id);
	buf_init(&body, 512);
	buf_printf(&body, "{\"decision\":\"DENY\",\"reason\":\"%s: %s\"}",
		status == 503 ? "overloaded" : "validation_error", gate_text(why));
	add_head(b, c, status, id, body.n);
	BUF_ADD_LIT(b, "Content-Type: application/json\r\n");
	if (status == 503)
		BUF_ADD_LIT(b, "Retry-After: 1\r\n");
	BUF_ADD_LIT(b, "\r\n");
	buf_add_span(b, buf_span(&body));
	bool is_built = !buf_failed(&body) && !buf_failed(b);
	buf_fini(&body);
	return is_built;
}

/* From here on nothing is read as a request. */
static void
throw_read(struct conn *c)
{
	framing_reset(&c->framing);
	if (c->held != NULL)
		conn_throw_all(c->held);
	conn_throw_all(bufferevent_get_input(c->bev));
	conn_set_state(c, CONN_LINGER, loop_now_ns(c->server->loop) + LINGER_NS);
	c->n_thrown = 0;
}

void
conn_throw_all(struct evbuffer *b)
{
	evbuffer_drain(b, evbuffer_get_length(b));
}

/* Writes the last answer, which is in b when is_built; from here on the engine is not called for
 * this connection but to close it. */
static void
linger(struct conn *c, const struct buf *b, bool is_built)
{
	throw_read(c);
	bufferevent_setcb(c->bev, NULL, on_written, on_event, c);
	if (!is_built || bufferevent_write(c->bev, b->p, b->n) != 0 ||
		bufferevent_enable(c->bev, EV_READ | EV_WRITE) != 0)
		server_add_work(c, CONN_WORK_CLOSE);
}

void
conn_linger(struct conn *c)
{
	throw_read(c);
	bufferevent_setcb(c->bev, NULL, NULL, on_event, c);
	conn_end_output(c);
	if (bufferevent_enable(c->bev, EV_READ) != 0)
		server_add_work(c, CONN_WORK_CLOSE);
}

void
conn_refuse_plain(struct conn *c)
{
	struct buf *b = &c->server->scratch;

	gate_note(GATE_PLAIN_HTTP);
	metric_add(METRIC_REQUESTS_REFUSED, 1);
	if (build_refusal(c, GATE_PLAIN_HTTP, b))
		(void)send(bufferevent_getfd(c->bev), b->p, b->n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
note_refusal(const struct conn *c, enum gate_refusal why)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;

	gate_note(why);
	metric_add(METRIC_REQUESTS_REFUSED, 1);
	if (log_limit(&limiter, &dropped))
		log_info(NULL, "refused a request from %s with %u: %s (%llu more not logged)",
			c->engine != NULL ? engine_get_peer(c) : "a client", gate_status(why),
			gate_text(why), (unsigned long long)dropped);
}

void
conn_refuse(struct conn *c, enum gate_refusal why)
{
	struct buf *b = &c->server->scratch;

	note_refusal(c, why);
	bool is_built = build_refusal(c, why, b);
	linger(c, b, is_built);
}

void
conn_reply_early(struct conn *c, unsigned status, const struct http_header *headers,
	size_t n_headers, struct span body)
{
	struct buf *b = &c->server->scratch;
	bool has_type = false;

	MUST(c->state == CONN_BODY);
	add_head(b, c, status, c->req.id, body.n);
	reply_head_add_all(b, headers, n_headers);
	for (size_t i = 0; i < n_headers; i++)
		has_type = has_type || span_eq_nocase(headers[i].name, SPAN_LIT("Content-Type"));
	if (body.n > 0 && !has_type)
		BUF_ADD_LIT(b, "Content-Type: application/json\r\n");
	BUF_ADD_LIT(b, "\r\n");
	if (c->framing.method != HTTP_METHOD_HEAD)
		buf_add_span(b, body);
	linger(c, b, !buf_failed(b));
}

void
conn_cut(struct conn *c, enum gate_refusal why)
{
	struct buf *b = &c->server->scratch;

	note_refusal(c, why);
	if (evbuffer_get_length(bufferevent_get_output(c->bev)) > 0 || !build_refusal(c, why, b))
		c->is_cut = true;
	else if (c->tls != NULL)
		(void)tls_conn_write(c->tls, buf_span(b));
	else
		(void)send(bufferevent_getfd(c->bev), b->p, b->n, MSG_DONTWAIT | MSG_NOSIGNAL);
	engine_close(c);
}
