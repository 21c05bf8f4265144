/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One client connection: the tap that takes every byte before the engine can, and the request it
 * becomes. Must never leave a byte of a client in the engine's input, and
 * never hand over a second request before the reply to the first is written. Runs on the loop's
 * thread; nothing here frees a connection inside the tap.
 */
#define _GNU_SOURCE /* POLLRDHUP */

#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "gate_priv.h"
#include "server.h"
#include "tls_conn.h"

#define NO_DEADLINE INT64_MAX
/* After a last answer so many bytes are thrown away before the socket is closed. */
#define LINGER_BYTES (256 * 1024)

/* What the engine reads in place of the client's request. Replies decide themselves about
 * closing. */
static const char announcement[] = "GET / HTTP/1.1\r\n\r\n";
static const char continue_reply[] = "HTTP/1.1 100 Continue\r\n\r\n";

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *change, void *arg);

static int64_t
deadline_in(const struct conn *c, int64_t ns)
{
	return loop_now_ns(c->server->loop) + ns;
}

struct conn *
conn_new(const struct server_listener *l, struct bufferevent *bev)
{
	struct conn *c = mem_zalloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->tap = evbuffer_add_cb(bufferevent_get_input(bev), on_input, c);
	if (c->tap == NULL) {
		mem_free(c);
		return NULL;
	}
	c->magic = CONN_MAGIC;
	c->server = l->server;
	c->listener = l;
	c->bev = bev;
	c->req.conn = c;
	framing_init(&c->framing, &l->server->limits);
	return c;
}

void
conn_begin(struct conn *c)
{
	OBJ_CHECK(c, CONN_MAGIC);
	if (c->listener->options.proxy_protocol)
		conn_set_state(
			c, CONN_PROXY, deadline_in(c, c->server->options.header_deadline_ns));
	else
		conn_shake_begin(c);
	room_take(c);
	server_add_work(c, CONN_WORK_ADOPT);
}

void
conn_release(struct conn *c)
{
	OBJ_CHECK(c, CONN_MAGIC);
	if (c->state != CONN_GONE || c->is_ready || c->is_pinned || c->req.is_open)
		return;
	if (c->held != NULL)
		evbuffer_free(c->held);
	framing_fini(&c->framing);
	tls_conn_free(&c->tls);
	c->magic = 0;
	mem_free(c);
}

void
conn_on_gone(struct conn *c)
{
	OBJ_CHECK(c, CONN_MAGIC);
	struct http_server *s = c->server;
	MUST(c->state != CONN_GONE);
	engine_lose_interest(c);
	if (c->tls != NULL)
		conn_shake_end(c);
	evbuffer_remove_cb_entry(bufferevent_get_input(c->bev), c->tap);
	c->tap = NULL;
	c->bev = NULL;
	c->engine = NULL;
	c->req.engine = NULL;
	conn_set_state(c, CONN_GONE, NO_DEADLINE);
	if (s->handing == c)
		s->handing = NULL;
	if (c->req.is_open)
		server_add_work(c, CONN_WORK_CLOSED);
	room_leave(c);
	conn_release(c);
}

bool
conn_is_peer_closed(const struct conn *c)
{
	if (c->state == CONN_GONE)
		return true;
	struct pollfd p = {.fd = bufferevent_getfd(c->bev), .events = POLLRDHUP};
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

bool
conn_has_unread(const struct conn *c)
{
	char first;

	return recv(bufferevent_getfd(c->bev), &first, 1, MSG_PEEK | MSG_DONTWAIT) > 0 ||
	       (c->tls != NULL && tls_conn_has_pending(c->tls));
}

/* The interim answer, once the head is accepted and nothing of the body is here yet. */
static void
send_continue(struct conn *c)
{
	bufferevent_data_cb on_read = NULL;
	bufferevent_event_cb on_event = NULL;
	void *arg = NULL;

	/* The engine's own write callback would take this for the end of a reply. */
	bufferevent_getcb(c->bev, &on_read, NULL, &on_event, &arg);
	bufferevent_setcb(c->bev, on_read, NULL, on_event, arg);
	if (bufferevent_write(c->bev, continue_reply, sizeof(continue_reply) - 1) != 0 ||
		bufferevent_enable(c->bev, EV_WRITE) != 0)
		server_add_work(c, CONN_WORK_CLOSE);
}

/* The engine gets its announcement and calls conn_on_request with the request. */
static void
announce(struct conn *c)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);

	MUST(evbuffer_get_length(input) == 0);
	/* At the front, since the end is frozen for all but the socket; and not through the tap. */
	evbuffer_cb_clear_flags(input, c->tap, EVBUFFER_CB_ENABLED);
	int rc = evbuffer_prepend(input, announcement, sizeof(announcement) - 1);
	evbuffer_cb_set_flags(input, c->tap, EVBUFFER_CB_ENABLED);
	if (rc != 0) {
		conn_set_state(c, CONN_IDLE, NO_DEADLINE);
		server_add_work(c, CONN_WORK_CLOSE);
		return;
	}
	conn_set_state(c, CONN_HANDED, NO_DEADLINE);
	c->server->handing = c;
}

/* Not read any more: what comes behind it waits in its socket. */
static void
queue(struct conn *c)
{
	c->req.whole_ns = loop_now_ns(c->server->loop);
	if (bufferevent_disable(c->bev, EV_READ) != 0)
		server_add_work(c, CONN_WORK_CLOSE);
	else
		serve_queue_put(c);
}

void
conn_serve(struct conn *c)
{
	MUST(c->state == CONN_QUEUED);
	if (!conn_is_still_believed(c)) {
		conn_set_state(c, CONN_IDLE, NO_DEADLINE);
		server_add_work(c, CONN_WORK_CLOSE);
		return;
	}
	announce(c);
	if (c->state == CONN_HANDED)
		bufferevent_trigger(c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS);
}

/* Feeds the machine from b until the request ends; the bytes used are drained. */
static enum framing_verdict
feed(struct conn *c, struct evbuffer *b)
{
	enum framing_verdict verdict = FRAMING_MORE;

	while (verdict == FRAMING_MORE || verdict == FRAMING_HEAD) {
		size_t n = evbuffer_get_length(b);
		size_t used = 0;
		if (n == 0)
			break;
		const unsigned char *piece = evbuffer_pullup(b, -1);
		if (piece == NULL) {
			c->framing.why = GATE_MEMORY;
			return FRAMING_REFUSED;
		}
		verdict = framing_feed(&c->framing, span_of((const char *)piece, n), &used);
		evbuffer_drain(b, used);
		if (verdict == FRAMING_HEAD)
			conn_set_state(
				c, CONN_BODY, deadline_in(c, c->server->options.body_deadline_ns));
	}
	return verdict;
}

/* The head is here and the body is not: the handler may answer already. A client that waits for
 * it is told to go on when it does not. */
static void
look(struct conn *c)
{
	struct http_server *s = c->server;
	struct http_request *req = &c->req;

	if (c->is_looked_at)
		return;
	c->is_looked_at = true;
	if (!conn_is_still_believed(c)) {
		server_add_work(c, CONN_WORK_CLOSE);
		return;
	}
	if (s->options.look != NULL) {
		*req = (struct http_request){
			.conn = c,
			.start_ns = req->start_ns,
			.is_open = true,
			.is_early = true,
		};
		serve_queue_place(c);
		id_request(req->id);
		s->options.look(req, s->arg);
		req->is_open = false;
		req->is_early = false;
	}
	if (c->state == CONN_BODY && c->framing.wants_continue && c->framing.body.n == 0)
		send_continue(c);
}

/* Takes in what b holds, for a connection that is waiting for a request. */
static void
take(struct conn *c, struct evbuffer *b)
{
	if (c->state == CONN_IDLE)
		c->req.start_ns = loop_now_ns(c->server->loop);
	if (feed(c, b) == FRAMING_REFUSED) {
		conn_refuse(c, c->framing.why);
		return;
	}
	if (c->state == CONN_BODY && c->framing.state != FRAMING_IN_DONE)
		look(c);
	if (c->state == CONN_IDLE && !framing_is_empty(&c->framing) &&
		framing_is_in_head(&c->framing))
		conn_set_state(
			c, CONN_HEAD, c->req.start_ns + c->server->options.header_deadline_ns);
}

bool
conn_has_held(const struct conn *c)
{
	return c->held != NULL && evbuffer_get_length(c->held) > 0;
}

/* Puts what is left in the input behind what is held. */
static bool
hold(struct conn *c, struct evbuffer *input)
{
	if (evbuffer_get_length(input) == 0)
		return true;
	if (c->held == NULL)
		c->held = evbuffer_new();
	return c->held != NULL && evbuffer_add_buffer(c->held, input) == 0;
}

static bool
is_waiting(enum conn_state state)
{
	return state == CONN_IDLE || state == CONN_HEAD || state == CONN_BODY;
}

/* The tap itself: bytes were put into the engine's input by the socket. */
static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *change, void *arg)
{
	struct conn *c;

	if (change->n_added == 0)
		return;
	OBJ_CAST(c, arg, CONN_MAGIC);
	if (c->state == CONN_LINGER) {
		c->n_thrown += evbuffer_get_length(input);
		conn_throw_all(input);
		if (c->n_thrown > LINGER_BYTES)
			server_add_work(c, CONN_WORK_CLOSE);
	} else if (is_waiting(c->state) && !conn_has_held(c)) {
		take(c, input);
	}
	/* Behind a whole request, or behind bytes that wait for their turn; or not of a request yet. */
	if (!hold(c, input)) {
		conn_throw_all(input);
		server_add_work(c, CONN_WORK_CLOSE);
	} else if (c->state == CONN_PROXY) {
		/* Not before it is known who says it. */
		server_add_work(c, CONN_WORK_RESUME);
	} else if (is_waiting(c->state) && c->framing.state == FRAMING_IN_DONE) {
		queue(c);
	}
}

void
conn_resume(struct conn *c)
{
	if (c->state == CONN_PROXY && conn_has_held(c))
		conn_proxy_take(c);
	if (!is_waiting(c->state) || !conn_has_held(c))
		return;
	take(c, c->held);
	if (is_waiting(c->state) && c->framing.state == FRAMING_IN_DONE)
		queue(c);
}

/* At the end of the turn in which the reply was written: the engine has turned reading on by then. */
void
conn_pause(struct conn *c)
{
	c->pauses = false;
	if (c->state != CONN_IDLE)
		return;
	if (bufferevent_disable(c->bev, EV_READ) != 0) {
		server_add_work(c, CONN_WORK_CLOSE);
		return;
	}
	conn_set_state(c, CONN_PAUSED, deadline_in(c, CONN_PAUSE_NS));
}

void
conn_go_on(struct conn *c)
{
	MUST(c->state == CONN_PAUSED);
	conn_set_state(c, CONN_IDLE, deadline_in(c, c->server->options.idle_ns));
	if (bufferevent_enable(c->bev, EV_READ) != 0)
		server_add_work(c, CONN_WORK_CLOSE);
	else if (conn_has_held(c))
		server_add_work(c, CONN_WORK_RESUME);
}

void
conn_on_request(struct conn *c, struct evhttp_request *engine)
{
	struct http_server *s = c->server;
	struct http_request *req = &c->req;

	MUST(c->state == CONN_HANDED && !req->is_open);
	*req = (struct http_request){
		.conn = c,
		.engine = engine,
		.start_ns = req->start_ns,
		.whole_ns = req->whole_ns,
		.is_open = true,
	};
	id_request(req->id);
	c->n_served++;
	s->n_open++;
	s->handler(req, s->arg);
	/* A handler that answered may have had the connection closed, but never freed inside this
	 * call. */
	if (req->is_open && !req->is_deferred)
		http_request_reply(req, 500, NULL, 0,
			SPAN_LIT("{\"decision\":\"DENY\",\"reason\":\"internal_error: no "
				 "answer\"}"));
}

void
conn_on_written(struct conn *c)
{
	MUST(c->state == CONN_WRITING);
	framing_reset(&c->framing);
	c->is_looked_at = false;
	engine_keep_interest(c);
	conn_set_state(c, CONN_IDLE, deadline_in(c, c->server->options.idle_ns));
	if (c->pauses)
		server_add_work(c, CONN_WORK_PAUSE);
	else if (conn_has_held(c))
		server_add_work(c, CONN_WORK_RESUME);
}
