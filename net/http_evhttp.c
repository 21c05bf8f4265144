/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file that knows evhttp: accepting, the life of a connection, writing the reply. evhttp
 * never reads a byte of a client; it is announced each request by a head that conn.c wrote
 * (server.h). While a request is being worked on or answered the socket is not read: evhttp would
 * exit the process on a byte then, or take any number of them (reference/libevent.md). Runs on
 * the loop's thread.
 */
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "server.h"
#include "tls_conn.h"
#include "net/tls.h"

#define BACKLOG 1024
/* As much as the bufferevent writes at once; a long reply goes in steps, others between them. */
#define FLUSH_BYTES 16384
/* Above anything that we announce; the framing machine has the real limits. */
#define ENGINE_BYTES_MAX 4096

static struct conn *
find_conn(struct http_server *s, struct evhttp_request *engine)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(engine);
	struct conn *c = s->handing;

	s->handing = NULL;
	if (c == NULL || evcon == NULL || evhttp_connection_get_bufferevent(evcon) != c->bev)
		return NULL;
	return c;
}

static void
on_request(struct evhttp_request *engine, void *arg)
{
	struct http_server *s;

	OBJ_CAST(s, arg, SERVER_MAGIC);
	struct conn *c = find_conn(s, engine);
	/* Every connection has its gate, and only the gate puts requests into it. */
	MUST(c != NULL);
	conn_on_request(c, engine);
}

static struct bufferevent *
make_bufferevent(struct server_listener *l, struct tls_conn **tls)
{
	struct event_base *base = loop_get_event_base(l->server->loop);

	if (l->options.tls == NULL)
		return bufferevent_socket_new(base, -1, 0);
	l->tls_version = tls_keeper_get_version(l->options.tls);
	return tls_conn_new(base, tls_keeper_take(l->options.tls), tls);
}

bool
engine_prepare(struct server_listener *l)
{
	struct tls_conn *tls = NULL;

	if (l->spare != NULL)
		return true;
	struct bufferevent *bev = make_bufferevent(l, &tls);
	if (bev == NULL)
		return false;
	l->spare = conn_new(l, bev);
	if (l->spare == NULL) {
		if (tls != NULL)
			tls_conn_let_go(tls);
		bufferevent_free(bev);
		tls_conn_free(&tls);
		return false;
	}
	l->spare->tls = tls;
	bufferevent_setcb(bev, NULL, NULL, NULL, l->spare);
	return true;
}

static void
free_conn(struct conn *c)
{
	if (c == NULL)
		return;
	if (c->tls != NULL)
		tls_conn_let_go(c->tls);
	bufferevent_free(c->bev);
	conn_release(c);
}

/* A spare with an old certificate is made anew; without memory for it the old one serves once more. */
static void
renew_spare(struct server_listener *l)
{
	struct conn *old = l->spare;

	if (l->options.tls == NULL || tls_keeper_get_version(l->options.tls) == l->tls_version)
		return;
	l->spare = NULL;
	if (engine_prepare(l))
		free_conn(old);
	else
		l->spare = old;
}

static struct bufferevent *
on_accepted(struct event_base *base, void *arg)
{
	struct server_listener *l = arg;

	(void)base;
	/* Without one accepting pauses: the engine would make a connection of its own, without a
	 * gate. */
	MUST(l->spare != NULL);
	renew_spare(l);
	struct conn *c = l->spare;
	l->spare = NULL;
	/* Until it is adopted: the engine may drop it before it has told us its name. */
	bufferevent_incref(c->bev);
	struct bufferevent *bev = c->bev;
	conn_begin(c);
	return bev;
}

static void
on_closed(struct evhttp_connection *evcon, void *arg)
{
	struct conn *c;

	(void)evcon;
	OBJ_CAST(c, arg, CONN_MAGIC);
	/* A failure of the socket while the handler has the request: the engine has left it to us. */
	if (c->req.engine != NULL && evhttp_request_get_connection(c->req.engine) == NULL)
		evhttp_request_free(c->req.engine);
	conn_on_gone(c);
}

static void
on_written(struct evhttp_request *engine, void *arg)
{
	struct conn *c;

	struct evkeyvalq *headers = evhttp_request_get_output_headers(engine);

	OBJ_CAST(c, arg, CONN_MAGIC);
	bool is_last = evhttp_find_header(headers, "Connection") != NULL;
	if (!is_last || (!conn_has_held(c) && !conn_has_unread(c))) {
		conn_on_written(c);
		return;
	}
	/* The engine would close at once, and what is unread makes a reset of that, which may take the reply away. */
	evhttp_remove_header(headers, "Connection");
	conn_linger(c);
}

bool
engine_adopt(struct conn *c)
{
	struct bufferevent *bev = c->bev;
	void *arg = NULL;

	/* The engine's callbacks carry its connection; freeing a bufferevent takes them off. Where
	 * ours are left, the engine had no memory for a connection and has let the bufferevent lie. */
	bufferevent_getcb(bev, NULL, NULL, NULL, &arg);
	if (arg == NULL || arg == c) {
		conn_on_gone(c);
		if (arg != NULL)
			bufferevent_free(bev);
		bufferevent_decref(bev);
		return false;
	}
	c->engine = arg;
	bufferevent_getcb(bev, NULL, &c->engine_written, &c->engine_event, NULL);
	MUST(evhttp_connection_get_bufferevent(c->engine) == bev);
	evhttp_connection_set_closecb(c->engine, on_closed, c);
	bufferevent_decref(bev);
	conn_peer_fill(c);
	if (conn_proxy_may_speak(c) && room_admit(c) && conn_proxy_begin(c)) {
		engine_keep_interest(c);
		return true;
	}
	engine_close(c);
	return false;
}

void
engine_close(struct conn *c)
{
	MUST(c->engine != NULL);
	evhttp_connection_free(c->engine);
}

const char *
engine_get_peer(const struct conn *c)
{
	char *address = NULL;
	ev_uint16_t port = 0;

	evhttp_connection_get_peer(c->engine, &address, &port);
	if (address == NULL)
		return "";
	/* An IPv4 peer of a socket for both is shown as what it is. */
	if (strncmp(address, "::ffff:", 7) == 0 && strchr(address, '.') != NULL)
		return address + 7;
	return address;
}

/* It only keeps the kernel's interest: the bufferevent reads. Bytes that come while it does not would be
 * told of over and over. */
static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c;

	(void)fd;
	(void)what;
	OBJ_CAST(c, arg, CONN_MAGIC);
	if ((bufferevent_get_enabled(c->bev) & EV_READ) != 0)
		return;
	/* The first time may be about the bytes that have just been read. */
	if (c->was_told)
		event_del(c->interest);
	c->was_told = true;
}

void
engine_keep_interest(struct conn *c)
{
	/* Without memory for it requests cost more, that is all. */
	if (c->interest == NULL)
		c->interest = event_new(bufferevent_get_base(c->bev), bufferevent_getfd(c->bev),
			EV_READ | EV_PERSIST, on_readable, c);
	c->was_told = false;
	if (c->interest != NULL && event_pending(c->interest, EV_READ, NULL) == 0)
		event_add(c->interest, NULL);
}

void
engine_lose_interest(struct conn *c)
{
	if (c->interest != NULL)
		event_free(c->interest);
	c->interest = NULL;
}

/* Head and body in one piece: one record of TLS, not two, of which the second would wait for the first to be acknowledged. */
static bool
put_output(const struct conn *c, struct span head, struct span body)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	return evbuffer_expand(out, head.n + body.n) == 0 &&
	       evbuffer_add(out, head.p, head.n) == 0 && evbuffer_add(out, body.p, body.n) == 0;
}

static void
flush_tls(struct conn *c, struct evbuffer *out)
{
	size_t n = evbuffer_get_contiguous_space(out);

	/* The bufferevent has begun: it has to go on with just the bytes that it has begun with. */
	if (evbuffer_get_length(out) != c->reply_n)
		return;
	n = n < FLUSH_BYTES ? n : FLUSH_BYTES;
	const unsigned char *front = n > 0 ? evbuffer_pullup(out, (ev_ssize_t)n) : NULL;
	if (front != NULL)
		evbuffer_drain(out, tls_conn_write(c->tls, span_of((const char *)front, n)));
}

void
engine_flush(struct conn *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	/* As the bufferevent does when the socket has room; errors are left to it. */
	if (c->tls != NULL) {
		flush_tls(c, out);
	} else {
		evbuffer_unfreeze(out, 1);
		(void)evbuffer_write_atmost(out, bufferevent_getfd(c->bev), FLUSH_BYTES);
		evbuffer_freeze(out, 1);
	}
	if (evbuffer_get_length(out) == 0)
		bufferevent_trigger(c->bev, EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS);
	else if (bufferevent_enable(c->bev, EV_WRITE) != 0)
		server_add_work(c, CONN_WORK_CLOSE);
}

/* From here on the engine waits until the output is empty, and is done with the request then. It would write the head by itself
 * (evhttp_send_reply), with one formatted print and three blocks of memory for each line. */
static bool
end_request(struct http_request *req, bool is_last)
{
	struct conn *c = req->conn;

	/* It is not sent: the engine looks here whether the connection ends. */
	if (is_last && evhttp_add_header(evhttp_request_get_output_headers(req->engine),
			       "Connection", "close") != 0)
		return false;
	evhttp_request_set_on_complete_cb(req->engine, on_written, c);
	evhttp_send_reply_end(req->engine);
	/* As it does itself for a reply: what it reads now would end the process. */
	bufferevent_setcb(c->bev, NULL, c->engine_written, c->engine_event, c->engine);
	return true;
}

bool
engine_reply(struct http_request *req, struct span head, struct span body, bool is_last)
{
	struct conn *c = req->conn;
	/* With more from this client at hand the next turn is early enough: others have theirs in between. */
	bool is_put_off = conn_has_held(c);

	if (!put_output(c, head, body) || !end_request(req, is_last))
		return false;
	c->reply_n = evbuffer_get_length(bufferevent_get_output(c->bev));
	c->moved_seen = 0;
	conn_set_state(
		c, CONN_WRITING, loop_now_ns(c->server->loop) + c->server->options.write_stall_ns);
	if (!is_put_off)
		server_add_work(c, CONN_WORK_FLUSH);
	return !is_put_off || bufferevent_enable(c->bev, EV_WRITE) == 0;
}

/* No descriptor is left: trying again at once would spin. The sweep switches the socket on. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;
	int error = EVUTIL_SOCKET_ERROR();

	/* The engine's, not ours. */
	(void)arg;
	metric_add(METRIC_ACCEPT_PAUSES, 1);
	if (log_limit(&limiter, &dropped))
		log_error(NULL, "accepting connections: %s; pausing",
			evutil_socket_error_to_string(error));
	evconnlistener_disable(listener);
}

void
engine_set_accepting(struct server_listener *l, bool is_on)
{
	struct evconnlistener *listener = evhttp_bound_socket_get_listener(l->bound);

	/* Failing to turn on leaves it off until the next sweep. */
	if ((is_on ? evconnlistener_enable(listener) : evconnlistener_disable(listener)) != 0)
		log_error(NULL, "cannot switch a listening socket");
}

enum err
engine_listen(struct server_listener *l, int own_fd, struct errinfo *ei)
{
	struct evconnlistener *listener = evconnlistener_new(loop_get_event_base(l->server->loop),
		NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE_PORT,
		BACKLOG, own_fd);

	if (listener == NULL) {
		evutil_closesocket(own_fd);
		return ERR(ei, ERR_IO, "cannot listen on a socket");
	}
	l->bound = evhttp_bind_listener(l->engine, listener);
	if (l->bound == NULL) {
		evconnlistener_free(listener);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	evconnlistener_set_error_cb(listener, on_accept_error);
	l->fd = own_fd;
	return OK;
}

void
engine_close_listener(struct server_listener *l)
{
	if (l->bound != NULL)
		evhttp_del_accept_socket(l->engine, l->bound);
	l->bound = NULL;
}

enum err
engine_new(struct server_listener *l, struct errinfo *ei)
{
	l->engine = evhttp_new(loop_get_event_base(l->server->loop));
	if (l->engine == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	evhttp_set_bevcb(l->engine, on_accepted, l);
	evhttp_set_gencb(l->engine, on_request, l->server);
	evhttp_set_allowed_methods(l->engine, EVHTTP_REQ_GET);
	evhttp_set_max_headers_size(l->engine, ENGINE_BYTES_MAX);
	evhttp_set_max_body_size(l->engine, ENGINE_BYTES_MAX);
	evhttp_set_default_content_type(l->engine, NULL);
	return engine_prepare(l) ? OK : ERR(ei, ERR_NOMEM, "out of memory");
}

void
engine_free(struct server_listener *l)
{
	/* The end of a connection may want to switch its socket on. */
	l->bound = NULL;
	if (l->engine != NULL)
		evhttp_free(l->engine);
	l->engine = NULL;
	free_conn(l->spare);
	l->spare = NULL;
}
