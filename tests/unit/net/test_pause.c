/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A connection that was turned away is not read for a second: what its client sends meanwhile costs nothing, and is answered after it. */
#include "rig.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "server.h"

#define SHED "GET /shed HTTP/1.1\r\nHost: h\r\n\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define CAP 4

static struct rig rig;

static void
shed(struct http_request *req, void *arg)
{
	struct span target = http_request_get_target(req);

	(void)arg;
	if (!span_eq(target, SPAN_LIT("/shed"))) {
		http_request_reply(req, 200, NULL, 0, target);
		return;
	}
	http_request_pause_after(req);
	http_request_reply(req, 503, NULL, 0, SPAN_LIT("later"));
}

/* Time stands still until a test moves it; the sweep comes by the real clock, often. */
static void
start(size_t max_connections)
{
	clock_fake_set(clock_mono_ns(), clock_wall_ns());
	rig_options(&rig);
	rig.options.max_connections = max_connections;
	rig.options.body_deadline_ns = NS_PER_MS;
	rig.handler = shed;
	rig_start(&rig);
}

static const struct conn *
paused(void)
{
	return rig.server->lists[CONN_PAUSED].first;
}

/* A client whose request was turned away; more is sent with it. */
static void
connect_paused(struct rig_client *c, const char *more)
{
	struct rig_reply reply;
	char text[256];

	snprintf(text, sizeof(text), SHED "%s", more);
	rig_connect(&rig, c);
	rig_send_text(&rig, c, text);
	CHECK(rig_wait_reply(&rig, c, false, &reply));
	CHECK_INT(reply.status, 503);
	CHECK_SPAN(reply.body, "later");
	CHECK(paused() != NULL);
}

static void
check_next(struct rig_client *c, const char *path)
{
	struct rig_reply reply;

	CHECK(rig_wait_reply(&rig, c, false, &reply));
	CHECK_INT(reply.status, 200);
	CHECK_SPAN(reply.body, path);
}

static void
stop(void)
{
	rig_stop(&rig);
	clock_fake_off();
}

/* So many turns, with a wait of 1 ms in each, see several sweeps. */
static void
turn_paused(struct rig_client *c)
{
	for (int i = 0; i < 40; i++) {
		rig_turn(&rig, c);
		CHECK(paused() != NULL);
		CHECK_SPAN(buf_span(&rig.ran), "GET /shed 0\n");
	}
}

/* Until the second is over; nothing may have run by then. */
static void
wait_paused(struct rig_client *c)
{
	turn_paused(c);
	clock_fake_advance(CONN_PAUSE_NS - 1);
	turn_paused(c);
	clock_fake_advance(1);
	while (paused() != NULL)
		rig_turn(&rig, c);
}

TEST(what_comes_within_a_second_waits_in_its_socket)
{
	struct rig_client c;

	start(0);
	connect_paused(&c, "");
	rig_send_text(&rig, &c, GET("/next"));
	wait_paused(&c);
	check_next(&c, "/next");
	/* Only the request that was turned away is followed by a pause. */
	rig_send_text(&rig, &c, GET("/more"));
	check_next(&c, "/more");
	CHECK(paused() == NULL);
	rig_close(&c);
	stop();
}

TEST(what_came_with_it_keeps_its_order)
{
	struct rig_client c;

	start(0);
	connect_paused(&c, GET("/a") GET("/b"));
	rig_send_text(&rig, &c, GET("/c"));
	wait_paused(&c);
	check_next(&c, "/a");
	check_next(&c, "/b");
	check_next(&c, "/c");
	CHECK_SPAN(buf_span(&rig.ran), "GET /shed 0\nGET /a 0\nGET /b 0\nGET /c 0\n");
	rig_close(&c);
	stop();
}

/* The part of a request that came with it, and the rest during the pause. */
TEST(a_request_in_two_pieces_is_put_together)
{
	struct rig_client c;

	start(0);
	connect_paused(&c, "GET /a HT");
	rig_send_text(&rig, &c, "TP/1.1\r\nHost: h\r\n\r\n");
	wait_paused(&c);
	check_next(&c, "/a");
	rig_close(&c);
	stop();
}

TEST(a_client_that_sends_much_is_not_kept_in_memory)
{
	static char flood[64 * 1024];
	struct rig_client c;
	ssize_t n = 0;
	size_t sent = 0;

	start(0);
	connect_paused(&c, "");
	memset(flood, 'x', sizeof(flood));
	for (int i = 0; i < 200; i++) {
		n = send(c.fd, flood, sizeof(flood), MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		rig_turn(&rig, NULL);
		const struct conn *conn = paused();
		CHECK(conn != NULL);
		if (conn == NULL)
			break;
		CHECK_INT(evbuffer_get_length(bufferevent_get_input(conn->bev)), 0);
		CHECK(!conn_has_held(conn));
	}
	CHECK(sent > sizeof(flood));
	rig_close(&c);
	clock_fake_advance(CONN_PAUSE_NS);
	CHECK(rig_wait_connections(&rig, 0));
	stop();
}

TEST(a_client_that_leaves_is_let_go)
{
	struct rig_client c[2];

	start(0);
	connect_paused(&c[0], "");
	connect_paused(&c[1], GET("/a"));
	rig_close(&c[0]);
	rig_close(&c[1]);
	clock_fake_advance(CONN_PAUSE_NS);
	CHECK(rig_wait_connections(&rig, 0));
	rig_check_alive(&rig);
	stop();
}

TEST(the_end_of_the_server_does_not_wait_for_it)
{
	struct rig_client silent;
	struct rig_client asking;
	struct rig_reply reply;

	start(0);
	connect_paused(&silent, "");
	connect_paused(&asking, "");
	rig_send_text(&rig, &asking, GET("/a"));
	http_server_start_draining(rig.server);
	http_server_stop_accepting(rig.server);
	for (const struct conn *c = paused(); c != NULL; c = c->next)
		CHECK(c->deadline_ns <= clock_mono_ns());
	CHECK(rig_wait_reply(&rig, &asking, false, &reply));
	CHECK_SPAN(reply.body, "/a");
	CHECK_SPAN(rig_find(&reply, "Connection"), "close");
	CHECK(rig_wait_eof(&rig, &asking));
	while (!silent.is_eof) {
		http_server_close_idle(rig.server);
		rig_turn(&rig, &silent);
	}
	CHECK(!silent.is_reset);
	rig_close(&silent);
	rig_close(&asking);
	stop();
}

/* And a server that is freed meanwhile lets go of it. */
TEST(it_ends_with_the_server)
{
	struct rig_client c;

	start(0);
	connect_paused(&c, GET("/a"));
	stop();
	rig_receive(&c);
	CHECK(c.is_eof || c.is_reset);
	rig_close(&c);
}

/* At the cap those who have asked again stay, and those who are silent give way. */
TEST(at_the_cap_who_has_asked_again_stays)
{
	struct rig_client held[CAP];
	struct rig_client late;

	start(CAP);
	/* The handshake of one more would wait for the place that it is to be given. */
	if (rig.tls != NULL) {
		stop();
		return;
	}
	connect_paused(&held[0], GET("/held"));
	for (size_t i = 1; i < CAP; i++)
		connect_paused(&held[i], "");
	rig_send_text(&rig, &held[1], GET("/asked"));
	/* As the sweep that comes too late finds them: the second is over, and they are paused still. */
	const struct conn *conn = paused();
	for (; conn != NULL; conn = conn->next)
		((struct conn *)(uintptr_t)conn)->since_ns -= 10 * NS_PER_SEC;
	rig_connect(&rig, &late);
	rig_send_text(&rig, &late, GET("/late"));
	/* Those that stay keep nobody behind them: a silent one goes at once. */
	check_next(&late, "/late");
	CHECK_INT(rig.server->lists[CONN_PAUSED].n, CAP - 1);
	CHECK(rig_wait_eof(&rig, &held[2]));
	clock_fake_advance(CONN_PAUSE_NS);
	check_next(&held[0], "/held");
	check_next(&held[1], "/asked");
	rig_close(&late);
	for (size_t i = 0; i < CAP; i++)
		rig_close(&held[i]);
	stop();
}

SUITE("net/pause", TEST_ROW(what_comes_within_a_second_waits_in_its_socket),
	TEST_ROW(what_came_with_it_keeps_its_order),
	TEST_ROW(a_request_in_two_pieces_is_put_together),
	TEST_ROW(a_client_that_sends_much_is_not_kept_in_memory),
	TEST_ROW(a_client_that_leaves_is_let_go),
	TEST_ROW(the_end_of_the_server_does_not_wait_for_it), TEST_ROW(it_ends_with_the_server),
	TEST_ROW(at_the_cap_who_has_asked_again_stays))
