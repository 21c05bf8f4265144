/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What libevent does by itself and must not do here: a reply in two pieces, of which the second waits for a client that delays its
 * acknowledgements, reading without a bound while a reply is streamed, a request that is nobody's when its client is cut off.
 */
#include "rig.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/mem.h"
#include "server.h"

#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
#define TLS_RECORD_HEAD 5
#define TLS_APPLICATION_DATA 23

static struct rig rig;

/* The one connection of the rig, in this state. */
static struct conn *
wait_state(enum conn_state state)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	while (rig.server->lists[state].first == NULL && clock_mono_ns() < end)
		rig_turn(&rig, NULL);
	return rig.server->lists[state].first;
}

TEST(accepted_sockets_do_not_wait_for_acknowledgements)
{
	struct rig_client c;
	struct rig_reply reply;
	int on = 0;
	socklen_t size = sizeof(on);

	rig_options(&rig);
	rig_start(&rig);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, GET);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	struct conn *conn = wait_state(CONN_IDLE);
	CHECK(conn != NULL);
	CHECK_INT(
		getsockopt(bufferevent_getfd(conn->bev), IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
	CHECK(on != 0);
	rig_close(&c);
	rig_stop(&rig);
}

/* Bytes of the first record of TLS, or all bytes in clear. */
static size_t
get_piece(const unsigned char *p, size_t n)
{
	if (rig.tls == NULL || n < TLS_RECORD_HEAD)
		return n;
	CHECK_INT(p[0], TLS_APPLICATION_DATA);
	return TLS_RECORD_HEAD + ((size_t)p[3] << 8 | p[4]);
}

TEST(a_reply_is_one_piece)
{
	struct rig_client c;
	struct rig_reply reply;
	unsigned char bytes[4096];
	ssize_t n = 0;
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	rig_options(&rig);
	rig_start(&rig);
	rig_connect(&rig, &c);
	/* The first answer comes with what TLS has to say about sessions. */
	rig_send_text(&rig, &c, GET);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	rig_send_text(&rig, &c, GET);
	while (n <= 0 && clock_mono_ns() < end) {
		rig_turn(&rig, NULL);
		n = recv(c.fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	}
	CHECK(n > 100);
	CHECK_INT(get_piece(bytes, (size_t)n), n);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_SPAN(reply.body, "/a");
	rig_close(&c);
	rig_stop(&rig);
}

static void
begin_stream(struct http_request *req, void *arg)
{
	struct rig *r = arg;

	r->pending = req;
	http_request_stream_begin(req, 200, NULL, 0);
}

TEST(a_flood_behind_a_stream_stays_out)
{
	static char flood[64 * 1024];
	struct rig_client c;
	size_t sent = 0;

	memset(flood, 'G', sizeof(flood));
	rig_options(&rig);
	rig.handler = begin_stream;
	rig_start(&rig);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, GET);
	struct conn *conn = wait_state(CONN_STREAM);
	CHECK(conn != NULL);
	for (int i = 0; i < 500; i++) {
		ssize_t n = rig_send_some(&c, span_of(flood, sizeof(flood)));
		sent += n > 0 ? (size_t)n : 0;
		if (i % 100 == 0)
			CHECK(http_request_stream_write(rig.pending, SPAN_LIT("a piece")));
		rig_turn(&rig, NULL);
	}
	CHECK(sent > 0);
	CHECK_INT(conn->state, CONN_STREAM);
	CHECK(evbuffer_get_length(bufferevent_get_input(conn->bev)) <= sizeof(flood));
	CHECK(conn->held == NULL || evbuffer_get_length(conn->held) <= sizeof(flood));
	rig_close(&c);
	http_request_stream_end(rig.pending);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

static void
keep(struct http_request *req, void *arg)
{
	struct rig *r = arg;

	r->pending = req;
	http_request_defer(req);
}

/* The writing of the interim answer fails while the handler has the request: libevent leaves that one to its user then. */
static void
cut_off_while_handed(void)
{
	struct rig_client c;
	struct linger now = {.l_onoff = 1};

	rig_options(&rig);
	rig.handler = keep;
	rig_start(&rig);
	rig_connect(&rig, &c);
	CHECK(wait_state(CONN_IDLE) != NULL);
	rig_send_text(&rig, &c,
		"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	struct conn *conn = wait_state(CONN_BODY);
	CHECK(conn != NULL);
	/* As if the socket had no room: the client has not read the answers before. */
	CHECK_INT(bufferevent_disable(conn->bev, EV_WRITE), 0);
	rig_send_text(&rig, &c, "ok");
	CHECK(wait_state(CONN_HANDED) == conn);
	CHECK(evbuffer_get_length(bufferevent_get_output(conn->bev)) > 0);
	CHECK_INT(setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	rig_close(&c);
	CHECK_INT(bufferevent_enable(conn->bev, EV_WRITE), 0);
	CHECK(rig_wait_connections(&rig, 0));
	CHECK_INT(http_server_count_requests(rig.server), 1);
	http_request_reply(rig.pending, 200, NULL, 0, SPAN_LIT("done"));
	CHECK_INT(http_server_count_requests(rig.server), 0);
	rig_stop(&rig);
}

TEST(a_request_whose_client_is_cut_off_is_freed)
{
	/* In front of all other use of libevent: its memory is counted from here on. */
	loop_hook_memory();
	/* What is made once and kept. */
	cut_off_while_handed();
	long before = mem_live();
	for (int i = 0; i < 5; i++)
		cut_off_while_handed();
	CHECK_INT(mem_live(), before);
}

SUITE("net/libevent", TEST_ROW(a_request_whose_client_is_cut_off_is_freed),
	TEST_ROW(accepted_sockets_do_not_wait_for_acknowledgements), TEST_ROW(a_reply_is_one_piece),
	TEST_ROW(a_flood_behind_a_stream_stays_out))
