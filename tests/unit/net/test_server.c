/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The server over real sockets: replies now and later, deadlines, clients that leave, read
 * nothing or send too much. */
#include "rig.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "server.h"

#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

static struct rig rig;

static void
defer(struct http_request *req, void *arg)
{
	struct rig *r = arg;

	http_request_defer(req);
	r->pending = req;
}

static void
start(http_handler_fn handler)
{
	rig_options(&rig);
	rig.handler = handler;
	rig_start(&rig);
}

/* Turns the loop until the deferring handler has a request. */
static bool
wait_pending(void)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	while (rig.pending == NULL && clock_mono_ns() < end)
		rig_turn(&rig, NULL);
	return rig.pending != NULL;
}

static void
answer_pending(struct span body)
{
	struct http_request *req = rig.pending;

	rig.pending = NULL;
	http_request_reply(req, 200, NULL, 0, body);
}

TEST(keep_alive)
{
	struct rig_client c;
	struct rig_reply reply;

	start(NULL);
	rig_connect(&rig, &c);
	for (int i = 0; i < 50; i++) {
		rig_send_text(&rig, &c, GET);
		CHECK(rig_wait_reply(&rig, &c, false, &reply));
		CHECK_INT(reply.status, 200);
		CHECK_SPAN(reply.body, "/a");
		CHECK_INT(rig_find(&reply, "Connection").n, 0);
	}
	CHECK_INT(http_server_count_connections(rig.server), 1);
	rig_close(&c);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

TEST(reply_in_a_later_turn)
{
	struct rig_client c;
	struct rig_reply reply;

	start(defer);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, GET "GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
	CHECK(wait_pending());
	for (int i = 0; i < 50; i++)
		rig_turn(&rig, NULL);
	CHECK_INT(http_server_count_requests(rig.server), 1);
	/* The second request waits for the first one's answer. */
	CHECK_SPAN(buf_span(&rig.ran), "GET /a 0\n");
	CHECK_STR(http_request_get_peer(rig.pending), "127.0.0.1");
	const struct net_peer *peer = http_request_view_peer(rig.pending);
	CHECK(span_eq(peer->address, SPAN_LIT("127.0.0.1")));
	CHECK(peer->kind == PEER_TCP && peer->is_tls == (rig.tls != NULL) &&
		!peer->has_certificate && peer->listener_roles == 0);
	CHECK(http_request_get_start_ns(rig.pending) <= clock_mono_ns());
	answer_pending(SPAN_LIT("one"));
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_SPAN(reply.body, "one");
	CHECK(wait_pending());
	answer_pending(SPAN_LIT("two"));
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_SPAN(reply.body, "two");
	rig_turn(&rig, NULL);
	CHECK_INT(http_server_count_requests(rig.server), 0);
	rig_close(&c);
	rig_stop(&rig);
}

static void
inspect(struct http_request *req, void *arg)
{
	const struct http_header *headers = NULL;

	(void)arg;
	CHECK_INT(http_request_get_method(req), HTTP_METHOD_POST);
	CHECK_SPAN(http_request_get_target(req), "/p?q=%20");
	CHECK_SPAN(http_request_get_path(req), "/p");
	CHECK_SPAN(http_request_get_query(req), "q=%20");
	CHECK_SPAN(http_request_find_header(req, SPAN_LIT("x-a")), "1");
	CHECK_INT(http_request_count_header(req, SPAN_LIT("X-A")), 2);
	CHECK(http_request_find_header(req, SPAN_LIT("X-B")).p == NULL);
	CHECK_INT(http_request_get_headers(req, &headers), 4);
	CHECK_SPAN(headers[2].value, "2");
	CHECK_SPAN(http_request_get_body(req), "body");
	CHECK(http_request_get_loop(req) == rig.loop);
	CHECK(http_request_get_user(req) == NULL);
	http_request_set_user(req, &rig);
	CHECK(http_request_get_user(req) == &rig);
	http_request_reply(req, 201, NULL, 0, SPAN_LIT("{}"));
}

TEST(request_as_seen_by_the_handler)
{
	struct rig_client c;
	struct rig_reply reply;

	start(inspect);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c,
		"POST /p?q=%20 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\n"
		"Content-Length: 4\r\n\r\nbody");
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.status, 201);
	CHECK(span_starts(reply.head, SPAN_LIT("HTTP/1.1 201 Created\r\n")));
	rig_close(&c);
	rig_stop(&rig);
}

TEST(head_has_length_but_no_body)
{
	struct rig_client c;
	struct rig_reply reply;

	start(NULL);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, "HEAD /long HTTP/1.1\r\nHost: h\r\n\r\n" GET);
	CHECK(rig_wait_reply(&rig, &c, true, &reply));
	CHECK_SPAN(rig_find(&reply, "Content-Length"), "5");
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_SPAN(reply.body, "/a");
	rig_close(&c);
	rig_stop(&rig);
}

static void
answer_without_body(struct http_request *req, void *arg)
{
	(void)arg;
	bool is_204 = span_eq_cstr(http_request_get_path(req), "/204");
	http_request_reply(req, is_204 ? 204 : 304, NULL, 0, SPAN_NONE);
}

TEST(replies_without_body)
{
	struct rig_client c;
	struct rig_reply reply;

	start(answer_without_body);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, "GET /204 HTTP/1.1\r\nHost: h\r\n\r\n" GET);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.status, 204);
	CHECK_INT(rig_find(&reply, "Content-Length").n, 0);
	CHECK_INT(rig_find(&reply, "Content-Type").n, 0);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.status, 304);
	CHECK_INT(c.at, c.in.n);
	rig_close(&c);
	rig_stop(&rig);
}

TEST(continue_after_the_head)
{
	struct rig_client c;
	struct rig_reply reply;

	start(NULL);
	rig_connect(&rig, &c);
	for (int i = 0; i < 3; i++) {
		rig_send_text(&rig, &c,
			"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
			"Content-Length: 4\r\n\r\n");
		CHECK(rig_wait_reply(&rig, &c, false, &reply));
		CHECK_INT(reply.status, 100);
		rig_send_text(&rig, &c, "body");
		CHECK(rig_wait_reply(&rig, &c, false, &reply));
		CHECK_INT(reply.status, 200);
	}
	/* Sent without waiting: no interim answer. */
	rig_send_text(&rig, &c,
		"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
		"Content-Length: 4\r\n\r\nbody");
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.status, 200);
	rig_close(&c);
	rig_stop(&rig);
}

TEST(no_continue_for_a_body_over_the_limit)
{
	struct rig_client c;
	struct rig_reply reply;

	start(NULL);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c,
		"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
		"Content-Length: 1001\r\n\r\n");
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.status, 413);
	rig_close(&c);
	rig_stop(&rig);
}

static void
answer_illegally(struct http_request *req, void *arg)
{
	static const struct http_header bad[] = {
		{{"X-A", 3}, {"b\r\nX-Evil: c", 12}},
		{{"X A", 3}, {"b", 1}},
		{{"Content-Length", 14}, {"9", 1}},
		{{"X-A", 3}, {" b", 2}},
	};
	static size_t next;

	(void)arg;
	http_request_reply(req, 200, &bad[next % 4], 1, SPAN_LIT("{}"));
	next++;
}

TEST(illegal_reply_headers_become_500)
{
	struct rig_client c;
	struct rig_reply reply;

	start(answer_illegally);
	rig_connect(&rig, &c);
	for (int i = 0; i < 4; i++) {
		rig_send_text(&rig, &c, GET);
		CHECK(rig_wait_reply(&rig, &c, false, &reply));
		CHECK_INT(reply.status, 500);
		CHECK_INT(rig_find(&reply, "X-Evil").n, 0);
	}
	rig_close(&c);
	rig_stop(&rig);
}

static void
answer_nothing(struct http_request *req, void *arg)
{
	(void)req;
	(void)arg;
}

TEST(no_answer_becomes_500)
{
	struct rig_client c;
	struct rig_reply reply;

	start(answer_nothing);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, GET);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.status, 500);
	rig_close(&c);
	rig_stop(&rig);
}

TEST(deadlines_of_head_and_body)
{
	static const char *const starts[] = {"GET /a HT", "GET /a HTTP/1.1\r\nHost: h\r\n",
		"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhell"};
	struct rig_client c;
	struct rig_reply reply;

	rig_options(&rig);
	rig.options.header_deadline_ns = 50 * NS_PER_MS;
	rig.options.body_deadline_ns = 50 * NS_PER_MS;
	rig_start(&rig);
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		rig_connect(&rig, &c);
		rig_send_text(&rig, &c, starts[i]);
		CHECK(rig_wait_reply(&rig, &c, false, &reply));
		CHECK_INT(reply.status, 408);
		CHECK(rig_wait_eof(&rig, &c));
		rig_close(&c);
	}
	CHECK_INT(rig.ran.n, 0);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

/* The weak spot of an idle time-out per read: bytes that trickle in must not move the deadline. */
TEST(trickled_head_does_not_survive)
{
	struct rig_client c;
	struct rig_reply reply;
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	rig_options(&rig);
	rig.options.header_deadline_ns = 100 * NS_PER_MS;
	rig.options.max_headers_bytes = 1024 * 1024;
	rig_start(&rig);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, "GET /a HTTP/1.1\r\nX: ");
	bool is_cut = false;
	while (!is_cut && clock_mono_ns() < end) {
		rig_send_text(&rig, &c, "x");
		rig_turn(&rig, &c);
		is_cut = rig_cut_reply(&c, false, &reply);
	}
	CHECK(is_cut);
	CHECK_INT(reply.status, 408);
	rig_close(&c);
	rig_stop(&rig);
}

TEST(idle_connection_is_closed_silently)
{
	struct rig_client fresh;
	struct rig_client used;
	struct rig_reply reply;

	rig_options(&rig);
	rig.options.idle_ns = 50 * NS_PER_MS;
	rig_start(&rig);
	rig_connect(&rig, &used);
	rig_send_text(&rig, &used, GET);
	CHECK(rig_wait_reply(&rig, &used, false, &reply));
	rig_connect(&rig, &fresh);
	CHECK(rig_wait_eof(&rig, &used));
	CHECK(rig_wait_eof(&rig, &fresh));
	CHECK_INT(used.at, used.in.n);
	CHECK_INT(fresh.in.n, 0);
	rig_close(&used);
	rig_close(&fresh);
	rig_stop(&rig);
}

TEST(pending_request_has_no_deadline)
{
	struct rig_client c;
	struct rig_reply reply;

	rig_options(&rig);
	rig.handler = defer;
	rig.options.header_deadline_ns = 20 * NS_PER_MS;
	rig.options.body_deadline_ns = 20 * NS_PER_MS;
	rig.options.idle_ns = 20 * NS_PER_MS;
	rig.options.write_stall_ns = 20 * NS_PER_MS;
	rig_start(&rig);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, GET);
	CHECK(wait_pending());
	int64_t end = clock_mono_ns() + 200 * NS_PER_MS;
	while (clock_mono_ns() < end)
		rig_turn(&rig, &c);
	CHECK(!c.is_eof && c.in.n == 0);
	answer_pending(SPAN_LIT("late"));
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_SPAN(reply.body, "late");
	rig_close(&c);
	rig_stop(&rig);
}

static char big[4 * 1024 * 1024];

static void
answer_big(struct http_request *req, void *arg)
{
	(void)arg;
	http_request_reply(req, 200, NULL, 0, span_of(big, sizeof(big)));
}

TEST(reader_of_nothing_is_cut)
{
	struct rig_client c;

	memset(big, 'x', sizeof(big));
	rig_options(&rig);
	rig.handler = answer_big;
	rig.options.write_stall_ns = 50 * NS_PER_MS;
	rig_start(&rig);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, GET);
	CHECK(rig_wait_connections(&rig, 1));
	CHECK(rig_wait_connections(&rig, 0));
	CHECK_INT(http_server_count_requests(rig.server), 0);
	rig_close(&c);
	rig_stop(&rig);
}

/* The one connection whose reply is on its way; NULL: none. */
static struct conn *
writing(void)
{
	return rig.server->lists[CONN_WRITING].first;
}

/* Falls with each byte that the socket takes; 0: nothing is written. */
static size_t
left_to_write(void)
{
	struct conn *c = writing();

	return c != NULL ? SIZE_MAX - conn_count_taken(c) : 0;
}

/* Time stands still but for the steps of the test: each look at the reader comes behind some that was taken, however
 * long this process waits for a processor. */
TEST(slow_reader_is_served)
{
	const int64_t step_ns = 60 * NS_PER_MS;
	int64_t now = clock_mono_ns();
	struct rig_client c;
	struct rig_reply reply;
	char bytes[64 * 1024];
	unsigned n_looks = 0;

	memset(big, 'x', sizeof(big));
	clock_fake_set(now, clock_wall_ns());
	rig_options(&rig);
	rig.handler = answer_big;
	rig.options.write_stall_ns = 100 * NS_PER_MS;
	rig_start(&rig);
	rig_connect(&rig, &c);
	CHECK(setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){128 * 1024}, sizeof(int)) == 0);
	rig_send_text(&rig, &c, GET);
	while (writing() == NULL)
		rig_turn(&rig, NULL);
	struct conn *conn = writing();
	CHECK(setsockopt(bufferevent_getfd(conn->bev), SOL_SOCKET, SO_SNDBUF, &(int){4096},
		      sizeof(int)) == 0);
	while (left_to_write() > 0 && n_looks < 4) {
		size_t before = left_to_write();
		while (left_to_write() == before) {
			ssize_t n = rig_recv(&c, bytes, sizeof(bytes));
			if (n > 0)
				buf_add(&c.in, bytes, (size_t)n);
			rig_turn(&rig, NULL);
		}
		now += step_ns;
		clock_fake_advance(step_ns);
		/* The sweep comes by the real clock. */
		bool is_due = writing() != NULL && conn->deadline_ns <= now;
		n_looks += is_due;
		while (is_due && writing() != NULL && conn->deadline_ns <= now)
			rig_turn(&rig, NULL);
	}
	CHECK_INT(n_looks, 4);
	clock_fake_off();
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.body.n, sizeof(big));
	rig_close(&c);
	rig_stop(&rig);
}

/* What comes while a request waits, or while its reply is written, stays in the kernel. */
TEST(flood_behind_a_request_stays_out)
{
	static char flood[64 * 1024];
	struct rig_client c;
	size_t sent = 0;

	memset(flood, 'G', sizeof(flood));
	start(defer);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, GET);
	CHECK(wait_pending());
	for (int i = 0; i < 500; i++) {
		ssize_t n = send(c.fd, flood, sizeof(flood), MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		rig_turn(&rig, NULL);
	}
	struct conn *conn = rig.server->lists[CONN_HANDED].first;
	CHECK(sent > sizeof(flood));
	CHECK(conn->held == NULL || evbuffer_get_length(conn->held) <= 64 * 1024);
	memset(big, 'x', sizeof(big));
	answer_pending(span_of(big, sizeof(big)));
	for (int i = 0; i < 500; i++) {
		(void)send(c.fd, flood, sizeof(flood), MSG_DONTWAIT | MSG_NOSIGNAL);
		rig_turn(&rig, NULL);
	}
	CHECK_INT(conn->state, CONN_WRITING);
	CHECK(conn->held == NULL || evbuffer_get_length(conn->held) <= 64 * 1024);
	rig_close(&c);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

static void
note_closed(struct http_request *req, void *arg)
{
	struct rig *r = arg;

	CHECK(req == r->pending);
	r->n_closed++;
}

static void
defer_and_watch(struct http_request *req, void *arg)
{
	defer(req, arg);
	http_request_set_closed_fn(req, note_closed, arg);
}

static bool
wait_closed(void)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	while (rig.n_closed == 0 && clock_mono_ns() < end)
		rig_turn(&rig, NULL);
	return rig.n_closed == 1;
}

TEST(client_leaves_before_the_reply)
{
	static const bool is_reset[] = {false, true};

	for (size_t i = 0; i < ARRAY_LEN(is_reset); i++) {
		struct rig_client c;
		struct linger linger = {.l_onoff = 1, .l_linger = 0};
		start(defer_and_watch);
		rig_connect(&rig, &c);
		/* A pipelined byte must neither hide the end nor end the process. */
		rig_send_text(&rig, &c, GET "GET");
		CHECK(wait_pending());
		rig_send_text(&rig, &c, " /b");
		if (is_reset[i])
			setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		rig_close(&c);
		CHECK(wait_closed());
		CHECK_SPAN(http_request_get_target(rig.pending), "/a");
		answer_pending(SPAN_LIT("to nobody"));
		CHECK(rig_wait_connections(&rig, 0));
		CHECK_INT(rig.n_closed, 1);
		rig.handler = NULL;
		rig_check_alive(&rig);
		rig_stop(&rig);
	}
}

TEST(half_closed_client_gets_all_of_its_reply)
{
	struct rig_client c;
	struct rig_reply reply;

	memset(big, 'x', sizeof(big));
	start(defer_and_watch);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, GET);
	shutdown(c.fd, SHUT_WR);
	CHECK(wait_pending());
	CHECK(wait_closed());
	answer_pending(span_of(big, sizeof(big)));
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.body.n, sizeof(big));
	CHECK(rig_wait_eof(&rig, &c));
	rig_close(&c);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

/* A request that hurts nobody waits in the handler while its server's loop is asked for others. */
TEST(others_go_on_while_one_waits)
{
	struct rig_client waiting;

	start(defer);
	rig_connect(&rig, &waiting);
	rig_send_text(&rig, &waiting, GET);
	CHECK(wait_pending());
	struct http_request *first = rig.pending;
	rig.handler = NULL;
	rig_check_alive(&rig);
	rig.pending = first;
	answer_pending(SPAN_NONE);
	rig_close(&waiting);
	rig_stop(&rig);
}

SUITE("net/server", TEST_ROW(keep_alive), TEST_ROW(reply_in_a_later_turn),
	TEST_ROW(request_as_seen_by_the_handler), TEST_ROW(head_has_length_but_no_body),
	TEST_ROW(replies_without_body), TEST_ROW(continue_after_the_head),
	TEST_ROW(no_continue_for_a_body_over_the_limit), TEST_ROW(illegal_reply_headers_become_500),
	TEST_ROW(no_answer_becomes_500), TEST_ROW(deadlines_of_head_and_body),
	TEST_ROW(trickled_head_does_not_survive), TEST_ROW(idle_connection_is_closed_silently),
	TEST_ROW(pending_request_has_no_deadline), TEST_ROW(reader_of_nothing_is_cut),
	TEST_ROW(slow_reader_is_served), TEST_ROW(flood_behind_a_request_stays_out),
	TEST_ROW(client_leaves_before_the_reply),
	TEST_ROW(half_closed_client_gets_all_of_its_reply), TEST_ROW(others_go_on_while_one_waits))
