/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A server and its clients in one thread: the loop is turned while the client waits for what it
 * wants, for 10 s at most. The handler of a rig notes each request and answers 200 with the
 * target, unless the test has its own. Test programs only.
 */
#ifndef TESTS_UNIT_NET_RIG_H
#define TESTS_UNIT_NET_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"
#include "net/http_server.h"
#include "net/listener.h"
#include "rig_tls.h"
#include "support/test.h"

#define RIG_WAIT_NS (10 * NS_PER_SEC)
#define RIG_REPLY_MAX (8 * 1024 * 1024)

struct rig {
	struct loop *loop;
	struct http_server *server;
	struct http_server_options options;
	struct http_listen_options listen;
	struct listener_addr addr;
	http_handler_fn handler; /* NULL: answer at once */
	struct buf ran;
	struct http_request *pending; /* the last one a deferring handler has kept */
	unsigned n_closed;
	struct tls_keeper *tls; /* NULL: in clear */
};

/* What a client has received. */
struct rig_client {
	int fd;
	struct buf in;
	size_t at; /* behind the last reply read */
	bool is_eof;
	bool is_reset;
	SSL *ssl; /* NULL: in clear */
};

struct rig_reply {
	unsigned status;
	struct span head;
	struct span body;
};

UNUSED static void
rig_on_request(struct http_request *req, void *arg)
{
	struct rig *r = arg;
	struct span target = http_request_get_target(req);

	buf_printf(&r->ran, "%s %.*s %zu\n", http_method_text(http_request_get_method(req)),
		SPAN_ARG(target), http_request_get_body(req).n);
	if (r->handler != NULL)
		r->handler(req, r);
	else
		http_request_reply(req, 200, NULL, 0, target);
}

UNUSED static void
rig_options(struct rig *r)
{
	*r = (struct rig){0};
	http_server_options_init(&r->options);
	r->options.max_headers_bytes = 4096;
	r->options.max_headers = 20;
	r->options.max_body_bytes = 1000;
	buf_init(&r->ran, 64 * 1024);
	signal(SIGPIPE, SIG_IGN);
	if (getenv("NOMOS_TEST_TLS") != NULL)
		r->tls = rig_make_keeper();
}

UNUSED static void
rig_start(struct rig *r)
{
	struct errinfo ei = {0};
	int fd = -1;

	CHECK_INT(listener_parse(SPAN_LIT("127.0.0.1:0"), &r->addr, &ei), OK);
	CHECK_INT(listener_probe(&r->addr, &ei), OK);
	CHECK_INT(listener_open(&r->addr, &fd, &ei), OK);
	CHECK_INT(loop_new(&r->loop, &ei), OK);
	CHECK_INT(http_server_new(r->loop, &r->options, rig_on_request, r, &r->server, &ei), OK);
	r->listen.tls = r->tls;
	CHECK_INT(http_server_listen(r->server, fd, &r->listen, &ei), OK);
}

UNUSED static void
rig_stop(struct rig *r)
{
	http_server_free(&r->server);
	/* The engine lets go of its memory in the next turn. */
	loop_turn(r->loop, false);
	loop_free(&r->loop);
	tls_keeper_free(&r->tls);
	buf_fini(&r->ran);
}

/* The TLS handshake of a client, to its end. */
UNUSED static void
rig_shake(const struct rig *r, struct rig_client *c)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;
	int rc = 0;

	CHECK(fcntl(c->fd, F_SETFL, O_NONBLOCK) == 0);
	c->ssl = rig_tls_client(c->fd);
	while (rc != 1 && clock_mono_ns() < end) {
		ERR_clear_error();
		rc = SSL_connect(c->ssl);
		if (rc != 1 && SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_READ)
			break;
		loop_turn(r->loop, false);
	}
	CHECK_INT(rc, 1);
}

UNUSED static void
rig_connect(const struct rig *r, struct rig_client *c)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(r->addr.port)};

	*c = (struct rig_client){0};
	buf_init(&c->in, RIG_REPLY_MAX);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	/* Pieces have to arrive as pieces, and at once. */
	CHECK(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) == 0);
	if (r->tls != NULL)
		rig_shake(r, c);
}

UNUSED static void
rig_close(struct rig_client *c)
{
	SSL_free(c->ssl);
	close(c->fd);
	buf_fini(&c->in);
}

/* As recv does. */
UNUSED static ssize_t
rig_recv(struct rig_client *c, char *bytes, size_t size)
{
	if (c->ssl == NULL)
		return recv(c->fd, bytes, size, MSG_DONTWAIT);
	ERR_clear_error();
	errno = 0;
	int n = SSL_read(c->ssl, bytes, (int)size);
	int why = SSL_get_error(c->ssl, n);
	if (n > 0 || why == SSL_ERROR_ZERO_RETURN)
		return n > 0 ? n : 0;
	errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
	return -1;
}

/* As send does. */
UNUSED static ssize_t
rig_send_some(struct rig_client *c, struct span bytes)
{
	if (c->ssl == NULL)
		return send(c->fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	ERR_clear_error();
	int n = SSL_write(c->ssl, bytes.p, (int)bytes.n);
	if (n > 0)
		return n;
	int why = SSL_get_error(c->ssl, n);
	errno = why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? EAGAIN : EPIPE;
	return -1;
}

/* Takes what has arrived, without waiting. */
UNUSED static void
rig_receive(struct rig_client *c)
{
	char bytes[65536];
	ssize_t n;

	do {
		n = rig_recv(c, bytes, sizeof(bytes));
		if (n > 0)
			buf_add(&c->in, bytes, (size_t)n);
	} while (n > 0);
	c->is_eof = c->is_eof || n == 0;
	c->is_reset = c->is_reset || (n < 0 && errno == ECONNRESET);
}

/* One turn of the loop; with a client, as many as an answer may take, and then a short wait for its socket. */
UNUSED static void
rig_turn(struct rig *r, struct rig_client *c)
{
	loop_turn(r->loop, false);
	if (c == NULL)
		return;
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	bool is_live = !c->is_eof && !c->is_reset;
	for (int i = 0; is_live && i < 4 && poll(&p, 1, 0) == 0; i++)
		loop_turn(r->loop, false);
	if (is_live)
		poll(&p, 1, 1);
	rig_receive(c);
}

/* Sends all, turning the loop when the socket is full. */
UNUSED static void
rig_send(struct rig *r, struct rig_client *c, struct span bytes)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	while (bytes.n > 0 && clock_mono_ns() < end) {
		ssize_t n = rig_send_some(c, bytes);
		if (n > 0)
			bytes = span_from(bytes, (size_t)n);
		else if (errno != EAGAIN)
			return;
		else
			rig_turn(r, c);
	}
}

UNUSED static void
rig_send_text(struct rig *r, struct rig_client *c, const char *text)
{
	rig_send(r, c, span_cstr(text));
}

/* The value of a header line of the reply; empty when there is none. */
UNUSED static struct span
rig_find(const struct rig_reply *reply, const char *name)
{
	struct span rest = reply->head;
	struct span wanted = span_cstr(name);

	while (rest.n > 0) {
		size_t n = span_find(rest, '\r');
		struct span line = span_of(rest.p, n);
		if (line.n > wanted.n && line.p[wanted.n] == ':' &&
			span_eq_nocase(span_of(line.p, wanted.n), wanted))
			return span_trim(span_from(line, wanted.n + 1));
		rest = span_from(rest, n + 2 <= rest.n ? n + 2 : rest.n);
	}
	return SPAN_NONE;
}

UNUSED static size_t
rig_digits(struct span s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		n = n * 10 + (size_t)(s.p[i] - '0');
	return n;
}

/* Cuts the next whole reply out of what was received; false when there is none yet. */
UNUSED static bool
rig_cut_reply(struct rig_client *c, bool is_head, struct rig_reply *out)
{
	struct span all = span_from(buf_span(&c->in), c->at);
	size_t head_n = 0;

	*out = (struct rig_reply){0};
	while (head_n + 4 <= all.n && memcmp(all.p + head_n, "\r\n\r\n", 4) != 0)
		head_n++;
	if (head_n + 4 > all.n || all.n < 12)
		return false;
	out->head = span_of(all.p, head_n + 2);
	out->status = (unsigned)rig_digits(span_of(all.p + 9, 3));
	size_t body_n = is_head ? 0 : rig_digits(rig_find(out, "Content-Length"));
	if (out->status == 100 || out->status == 204 || out->status == 304)
		body_n = 0;
	if (head_n + 4 + body_n > all.n)
		return false;
	out->body = span_of(all.p + head_n + 4, body_n);
	c->at += head_n + 4 + body_n;
	return true;
}

/* Turns the loop until a reply has come; false when the connection ended or 10 s have passed. */
UNUSED static bool
rig_wait_reply(struct rig *r, struct rig_client *c, bool is_head, struct rig_reply *out)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	while (!rig_cut_reply(c, is_head, out)) {
		if (c->is_eof || c->is_reset || clock_mono_ns() > end)
			return false;
		rig_turn(r, c);
	}
	return true;
}

/* Turns the loop until the server has closed the connection; false when 10 s have passed. */
UNUSED static bool
rig_wait_eof(struct rig *r, struct rig_client *c)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	while (!c->is_eof && !c->is_reset && clock_mono_ns() < end)
		rig_turn(r, c);
	return c->is_eof || c->is_reset;
}

/* The same, as a worker does that ends: what is idle is closed, over and over. */
UNUSED static bool
rig_wait_idle_closed(struct rig *r, struct rig_client *c)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	while (!c->is_eof && !c->is_reset && clock_mono_ns() < end) {
		http_server_close_idle(r->server);
		rig_turn(r, c);
	}
	return c->is_eof || c->is_reset;
}

/* Turns the loop until n connections are open. */
UNUSED static bool
rig_wait_connections(struct rig *r, size_t n)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	while (http_server_count_connections(r->server) != n && clock_mono_ns() < end)
		rig_turn(r, NULL);
	return http_server_count_connections(r->server) == n;
}

/* A new connection, one request, one reply, checked. */
UNUSED static void
rig_check_alive(struct rig *r)
{
	struct rig_client c;
	struct rig_reply reply;

	rig_connect(r, &c);
	rig_send_text(r, &c, "GET /alive HTTP/1.1\r\nHost: h\r\n\r\n");
	CHECK(rig_wait_reply(r, &c, false, &reply));
	CHECK_INT(reply.status, 200);
	CHECK_SPAN(reply.body, "/alive");
	rig_close(&c);
}

#endif
