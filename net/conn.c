/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One client connection: the tap that takes every byte before the engine can, the request it
 * becomes, refusals, deadlines. Must never leave a byte of a client in the engine's input, and
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

#define NO_DEADLINE INT64_MAX
/* After a refusal the client gets so long, and so many bytes, to read the answer before the
 * socket is closed. */
#define LINGER_NS (2 * NS_PER_SEC)
#define LINGER_BYTES (256 * 1024)

/* What the engine reads in place of the client's request. Replies decide themselves about
 * closing. */
static const char announcement[] = "GET / HTTP/1.1\r\n\r\n";
static const char continue_reply[] = "HTTP/1.1 100 Continue\r\n\r\n";

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *change, void *arg);

/* The end of the server must not wait for a client that is slow on purpose. */
static int64_t
bound_deadline(const struct http_server *s, enum conn_state state, int64_t deadline_ns)
{
	int64_t bound = NO_DEADLINE;

	if (s->whole_by_ns == 0)
		return deadline_ns;
	if (state == CONN_HEAD || state == CONN_BODY)
		bound = s->whole_by_ns;
	else if (state == CONN_WRITING)
		bound = loop_now_ns(s->loop) + s->options.drain_ns;
	else if (state == CONN_LINGER)
		bound = loop_now_ns(s->loop) + s->options.drain_ns / 2;
	return deadline_ns < bound ? deadline_ns : bound;
}

void
conn_set_state(struct conn *c, enum conn_state state, int64_t deadline_ns)
{
	if (c->state == CONN_WRITING)
		c->server->n_writing--;
	if (state == CONN_WRITING)
		c->server->n_writing++;
	c->state = state;
	c->deadline_ns = bound_deadline(c->server, state, deadline_ns);
}

static int64_t
deadline_in(const struct conn *c, int64_t ns)
{
	return loop_now_ns(c->server->loop) + ns;
}

struct conn *
conn_new(struct http_server *s, struct bufferevent *bev)
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
	c->server = s;
	c->bev = bev;
	c->req.conn = c;
	framing_init(&c->framing, &s->limits);
	conn_set_state(c, CONN_IDLE, deadline_in(c, s->options.idle_ns));
	c->next = s->conns;
	if (c->next != NULL)
		c->next->prev = c;
	s->conns = c;
	server_count_conn(s, 1);
	server_add_work(c, CONN_WORK_ADOPT);
	return c;
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
	c->magic = 0;
	mem_free(c);
}

void
conn_on_gone(struct conn *c)
{
	OBJ_CHECK(c, CONN_MAGIC);
	struct http_server *s = c->server;
	MUST(c->state != CONN_GONE);
	evbuffer_remove_cb_entry(bufferevent_get_input(c->bev), c->tap);
	c->tap = NULL;
	c->bev = NULL;
	c->engine = NULL;
	c->req.engine = NULL;
	conn_set_state(c, CONN_GONE, NO_DEADLINE);
	if (s->handing == c)
		s->handing = NULL;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->req.is_open)
		server_add_work(c, CONN_WORK_CLOSED);
	server_count_conn(s, -1);
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

	return recv(bufferevent_getfd(c->bev), &first, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void
throw_all(struct evbuffer *b)
{
	evbuffer_drain(b, evbuffer_get_length(b));
}

static void
linger_on_written(struct bufferevent *bev, void *arg)
{
	(void)arg;
	/* The client sees the end of our answer; it is closed when the client has closed too, or
	 * at the deadline. */
	shutdown(bufferevent_getfd(bev), SHUT_WR);
}

static void
linger_on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c;

	(void)bev;
	(void)what;
	OBJ_CAST(c, arg, CONN_MAGIC);
	server_add_work(c, CONN_WORK_CLOSE);
}

static bool
build_refusal(struct conn *c, enum gate_refusal why, struct buf *b)
{
	struct buf body;
	char id[ID_MAX];
	unsigned status = gate_status(why);

	id_request(id);
	buf_init(&body, 512);
	buf_printf(&body, "{\"decision\":\"DENY\",\"reason\":\"%s: %s\"}",
		status == 503 ? "overloaded" : "validation_error", gate_text(why));
	buf_reset(b);
	buf_printf(b,
		"HTTP/1.1 %u %s\r\nX-Request-Id: %s\r\nDate: %s\r\nServer: nomos\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n",
		status, http_status_text(status), id, server_get_date(c->server), body.n);
	buf_add_span(b, buf_span(&body));
	bool is_built = !buf_failed(&body) && !buf_failed(b);
	buf_fini(&body);
	return is_built;
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
	framing_reset(&c->framing);
	if (c->held != NULL)
		throw_all(c->held);
	throw_all(bufferevent_get_input(c->bev));
	conn_set_state(c, CONN_LINGER, deadline_in(c, LINGER_NS));
	c->n_thrown = 0;
	/* From here on the engine is not called for this connection but to close it. */
	bufferevent_setcb(c->bev, NULL, linger_on_written, linger_on_event, c);
	if (!build_refusal(c, why, b) || bufferevent_write(c->bev, b->p, b->n) != 0 ||
		bufferevent_enable(c->bev, EV_READ | EV_WRITE) != 0)
		server_add_work(c, CONN_WORK_CLOSE);
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

/* The whole request is here: the engine gets its announcement and calls conn_on_request with it. */
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
		server_add_work(c, CONN_WORK_CLOSE);
		return;
	}
	conn_set_state(c, CONN_HANDED, NO_DEADLINE);
	c->server->handing = c;
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
		if (verdict != FRAMING_HEAD)
			continue;
		conn_set_state(c, CONN_BODY, deadline_in(c, c->server->options.body_deadline_ns));
		if (c->framing.wants_continue && evbuffer_get_length(b) == 0)
			send_continue(c);
	}
	return verdict;
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
	if (c->state == CONN_IDLE && !framing_is_empty(&c->framing) &&
		framing_is_in_head(&c->framing))
		conn_set_state(
			c, CONN_HEAD, c->req.start_ns + c->server->options.header_deadline_ns);
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
		throw_all(input);
		if (c->n_thrown > LINGER_BYTES)
			server_add_work(c, CONN_WORK_CLOSE);
	} else if (is_waiting(c->state) && (c->held == NULL || evbuffer_get_length(c->held) == 0)) {
		take(c, input);
	}
	/* Behind a whole request, or behind bytes that wait for their turn. */
	if (!hold(c, input)) {
		throw_all(input);
		server_add_work(c, CONN_WORK_CLOSE);
	} else if (is_waiting(c->state) && c->framing.state == FRAMING_IN_DONE) {
		announce(c);
	}
}

void
conn_resume(struct conn *c)
{
	if (!is_waiting(c->state) || c->held == NULL || evbuffer_get_length(c->held) == 0)
		return;
	take(c, c->held);
	if (c->state == CONN_LINGER || c->framing.state != FRAMING_IN_DONE)
		return;
	announce(c);
	if (c->state == CONN_HANDED)
		bufferevent_trigger(c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS);
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
	conn_set_state(c, CONN_IDLE, deadline_in(c, c->server->options.idle_ns));
	if (c->held != NULL && evbuffer_get_length(c->held) > 0)
		server_add_work(c, CONN_WORK_RESUME);
}

/* The reply's deadline: only a client that has taken nothing since the last look is cut. */
static void
check_writing(struct conn *c)
{
	size_t left = evbuffer_get_length(bufferevent_get_output(c->bev));

	if (left == c->written_left) {
		engine_close(c);
		return;
	}
	c->written_left = left;
	conn_set_state(c, CONN_WRITING, deadline_in(c, c->server->options.write_stall_ns));
}

void
conn_hurry(struct conn *c)
{
	OBJ_CHECK(c, CONN_MAGIC);
	if (c->state == CONN_WRITING)
		c->written_left = evbuffer_get_length(bufferevent_get_output(c->bev));
	conn_set_state(c, c->state, c->deadline_ns);
}

void
conn_on_deadline(struct conn *c)
{
	switch (c->state) {
	case CONN_IDLE:
	case CONN_LINGER:
		engine_close(c);
		return;
	case CONN_HEAD:
		conn_refuse(c, GATE_HEADER_DEADLINE);
		return;
	case CONN_BODY:
		conn_refuse(c, GATE_BODY_DEADLINE);
		return;
	case CONN_WRITING:
		check_writing(c);
		return;
	case CONN_HANDED:
	case CONN_GONE:
		return;
	}
}
