/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The end of a server meets a request that is just arriving. */
#include "rig.h"

#include <event2/bufferevent.h>

#include "server.h"

#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

static struct rig rig;

static void
keep(struct http_request *req, void *arg)
{
	(void)arg;
	rig.pending = req;
}

/* A client with a connection that waits for its second request. */
static void
start_with_idle(struct rig_client *c)
{
	struct rig_reply reply;

	rig_options(&rig);
	rig_start(&rig);
	rig_connect(&rig, c);
	rig_send_text(&rig, c, GET);
	CHECK(rig_wait_reply(&rig, c, false, &reply));
	CHECK(rig.server->lists[CONN_IDLE].first != NULL);
}

TEST(a_request_that_came_before_the_close_is_answered)
{
	struct rig_client c;
	struct rig_reply reply;

	start_with_idle(&c);
	rig_send_text(&rig, &c, GET);
	http_server_start_draining(rig.server);
	http_server_close_idle(rig.server);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_SPAN(rig_find(&reply, "Connection"), "close");
	CHECK(rig_wait_eof(&rig, &c));
	CHECK(!c.is_reset);
	rig_close(&c);
	rig_stop(&rig);
}

/* The close that was put off hit whatever had been read in the same turn: a request without an answer. */
TEST(a_request_that_is_worked_on_is_not_closed_as_idle)
{
	struct rig_client c;
	struct rig_reply reply;

	start_with_idle(&c);
	rig.handler = keep;
	http_server_start_draining(rig.server);
	/* Never both: either nothing of it is taken, or it is answered. */
	http_server_close_idle(rig.server);
	rig_send_text(&rig, &c, GET);
	while (!c.is_eof && !c.is_reset && rig.pending == NULL)
		rig_turn(&rig, &c);
	if (rig.pending != NULL) {
		http_request_reply(rig.pending, 200, NULL, 0, SPAN_LIT("done"));
		CHECK(rig_wait_reply(&rig, &c, false, &reply));
	}
	CHECK(rig_wait_eof(&rig, &c));
	rig_close(&c);
	rig_stop(&rig);
}

/* A balancer had connected and its request came a moment after the close: it got no answer. */
TEST(a_connection_that_has_just_come_may_ask)
{
	struct rig_client c;
	struct rig_client silent;
	struct rig_reply reply;

	rig_options(&rig);
	rig_start(&rig);
	rig_connect(&rig, &c);
	rig_connect(&rig, &silent);
	CHECK(rig_wait_connections(&rig, 2));
	http_server_start_draining(rig.server);
	http_server_stop_accepting(rig.server);
	http_server_close_idle(rig.server);
	CHECK_INT(http_server_count_connections(rig.server), 2);
	rig_send_text(&rig, &c, GET);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_SPAN(rig_find(&reply, "Connection"), "close");
	CHECK(rig_wait_idle_closed(&rig, &silent));
	CHECK(silent.in.n == 0 && !silent.is_reset);
	rig_close(&silent);
	rig_close(&c);
	rig_stop(&rig);
}

static void
keep_until_told(struct http_request *req, void *arg)
{
	keep(req, arg);
	http_request_defer(req);
}

/* A close with unread bytes is a reset: it took the end of the reply away from whoever had not read it yet. */
TEST(a_last_reply_is_whole_though_more_was_asked)
{
	/* More than the client's kernel takes in, less than ours holds for it. */
	static char body[150 * 1024];
	struct rig_client c;
	struct rig_reply reply = {0};

	memset(body, 'x', sizeof(body));
	rig_options(&rig);
	rig.handler = keep_until_told;
	rig_start(&rig);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;
	while (rig.pending == NULL && clock_mono_ns() < end)
		rig_turn(&rig, NULL);
	CHECK(rig.pending != NULL);
	CHECK_INT(setsockopt(bufferevent_getfd(rig.pending->conn->bev), SOL_SOCKET, SO_SNDBUF,
			  &(int){1024 * 1024}, sizeof(int)),
		0);
	rig_send_text(&rig, &c, GET);
	http_request_reply(rig.pending, 200, NULL, 0, span_of(body, sizeof(body)));
	while (rig.server->lists[CONN_WRITING].first != NULL && clock_mono_ns() < end)
		rig_turn(&rig, NULL);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.body.n, sizeof(body));
	/* Nor does what comes still. */
	rig_send_text(&rig, &c, GET);
	CHECK(rig_wait_eof(&rig, &c));
	CHECK(!c.is_reset);
	CHECK_SPAN(buf_span(&rig.ran), "GET /last 0\n");
	rig_close(&c);
	CHECK(rig_wait_connections(&rig, 0));
	CHECK_INT(http_server_count_requests(rig.server), 0);
	rig_stop(&rig);
}

SUITE("net/drain", TEST_ROW(a_last_reply_is_whole_though_more_was_asked),
	TEST_ROW(a_connection_that_has_just_come_may_ask),
	TEST_ROW(a_request_that_came_before_the_close_is_answered),
	TEST_ROW(a_request_that_is_worked_on_is_not_closed_as_idle))
