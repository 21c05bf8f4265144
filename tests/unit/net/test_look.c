/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The early look at a head without its body, and the least rate of what follows. */
#include "rig.h"

#include "server.h"

#define HEAD "POST /a HTTP/1.1\r\nHost: h\r\nX-Key: k\r\n"
#define EVIL "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"

static struct rig rig;
static unsigned n_looks;

static void
accept_body(struct http_request *req, void *arg)
{
	(void)arg;
	n_looks++;
	CHECK_SPAN(http_request_get_target(req), "/a");
	CHECK_SPAN(http_request_find_header(req, SPAN_LIT("x-key")), "k");
	CHECK_INT(http_request_get_body(req).n, 0);
	CHECK_INT(strlen(http_request_get_peer(req)) > 0, 1);
}

static void
refuse_body(struct http_request *req, void *arg)
{
	struct http_header h = {SPAN_LIT("WWW-Authenticate"), SPAN_LIT("Bearer")};

	(void)arg;
	n_looks++;
	http_request_reply(req, 401, &h, 1, SPAN_LIT("{\"no\":1}"));
}

static void
limit_body(struct http_request *req, void *arg)
{
	(void)arg;
	n_looks++;
	if (!http_request_limit_body(req, 10))
		http_request_reply(req, 413, NULL, 0, SPAN_LIT("{\"big\":1}"));
}

static void
start(struct rig_client *c, http_handler_fn look)
{
	rig_options(&rig);
	rig.options.look = look;
	n_looks = 0;
	rig_start(&rig);
	rig_connect(&rig, c);
	CHECK(rig_wait_connections(&rig, 1));
}

static void
stop(struct rig_client *c)
{
	rig_close(c);
	rig_stop(&rig);
}

TEST(an_accepted_body_is_read)
{
	struct rig_client c;
	struct rig_reply reply;

	start(&c, accept_body);
	for (unsigned i = 1; i <= 3; i++) {
		rig_send_text(&rig, &c, HEAD "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
		CHECK(rig_wait_reply(&rig, &c, false, &reply));
		CHECK_INT(reply.status, 100);
		/* Once for a request, in whatever pieces the body comes. */
		for (const char *p = "body"; *p != '\0'; p++) {
			rig_send(&rig, &c, span_of(p, 1));
			rig_turn(&rig, &c);
		}
		CHECK(rig_wait_reply(&rig, &c, false, &reply));
		CHECK_INT(reply.status, 200);
		CHECK_INT(n_looks, i);
	}
	stop(&c);
}

/* A request that came whole has nothing to be saved from, and keeps its connection. */
TEST(a_whole_request_is_not_looked_at)
{
	struct rig_client c;
	struct rig_reply reply;

	start(&c, refuse_body);
	rig_send_text(&rig, &c, HEAD "Content-Length: 4\r\n\r\nbody" HEAD "\r\n");
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.status, 200);
	CHECK_INT(n_looks, 0);
	stop(&c);
}

/* No 100, the answer with close, and what follows is no request, however it looks. */
static void
check_refused(const char *framing, const char *rest)
{
	struct rig_client c;
	struct rig_reply reply;

	start(&c, refuse_body);
	rig_send_text(&rig, &c, HEAD);
	rig_send_text(&rig, &c, framing);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.status, 401);
	CHECK_SPAN(rig_find(&reply, "Connection"), "close");
	CHECK_SPAN(rig_find(&reply, "WWW-Authenticate"), "Bearer");
	CHECK_SPAN(rig_find(&reply, "Content-Type"), "application/json");
	CHECK_SPAN(rig_find(&reply, "Server"), "nomos");
	CHECK(rig_find(&reply, "X-Request-Id").n > 0);
	CHECK_SPAN(reply.body, "{\"no\":1}");
	rig_send_text(&rig, &c, rest);
	rig_send_text(&rig, &c, EVIL);
	shutdown(c.fd, SHUT_WR);
	CHECK(rig_wait_eof(&rig, &c));
	CHECK(rig_wait_connections(&rig, 0));
	CHECK_INT(n_looks, 1);
	CHECK_INT(rig.ran.n, 0);
	CHECK_INT(http_server_count_requests(rig.server), 0);
	stop(&c);
}

TEST(a_refused_body_is_never_a_request)
{
	check_refused("Content-Length: 500\r\n\r\n", "");
	check_refused("Content-Length: 500\r\n\r\n" EVIL, EVIL);
	check_refused("Expect: 100-continue\r\nContent-Length: 35\r\n\r\n", EVIL);
	check_refused("Transfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n");
	check_refused("Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "lo\r\n0\r\n\r\n");
}

/* A flood behind a refusal is thrown away up to a measure, and not kept. */
TEST(a_refused_body_is_not_kept)
{
	static char flood[64 * 1024];
	struct rig_client c;
	struct rig_reply reply;

	memset(flood, 'x', sizeof(flood));
	start(&c, refuse_body);
	rig_send_text(&rig, &c, HEAD "Content-Length: 1000\r\n\r\n");
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	for (int i = 0; i < 20 && rig.server->n_conns > 0; i++) {
		const struct conn *conn = rig.server->lists[CONN_LINGER].first;
		CHECK(conn == NULL || (conn->framing.body.n == 0 && conn->held == NULL));
		rig_send(&rig, &c, span_of(flood, sizeof(flood)));
		rig_turn(&rig, &c);
	}
	CHECK(rig_wait_connections(&rig, 0));
	stop(&c);
}

static unsigned
status_of(const char *framing)
{
	struct rig_client c;
	struct rig_reply reply;

	start(&c, limit_body);
	rig_send_text(&rig, &c, HEAD);
	rig_send_text(&rig, &c, framing);
	rig_turn(&rig, &c);
	rig_turn(&rig, &c);
	/* The looked-at head has come alone. */
	CHECK_INT(n_looks, 1);
	rig_send_text(&rig, &c, "8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n");
	bool is_answered = rig_wait_reply(&rig, &c, false, &reply);
	unsigned status = is_answered ? reply.status : 0;
	CHECK_SPAN(buf_span(&rig.ran), status == 200 ? "POST /a 10\n" : "");
	stop(&c);
	return status;
}

TEST(a_limit_of_this_body)
{
	CHECK_INT(status_of("Content-Length: 11\r\n\r\n"), 413);
	CHECK_INT(status_of("Content-Length: 10\r\n\r\n"), 200);
	CHECK_INT(status_of("Transfer-Encoding: chunked\r\n\r\n"), 413);
	CHECK_INT(status_of("Transfer-Encoding: chunked\r\n\r\nb\r\n"), 413);
	CHECK_INT(status_of("Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n"), 413);
}

/* Bytes come, but fewer than the least rate, long before any deadline. */
static void
check_too_slow(const char *begin, unsigned want, enum gate_refusal why)
{
	struct rig_client c;
	struct rig_reply reply;
	uint64_t before = gate_count(why);
	int64_t next = clock_mono_ns();
	int64_t end = next + RIG_WAIT_NS;
	bool is_answered = false;

	rig_options(&rig);
	rig.options.min_rate = 1000;
	rig.options.rate_grace_ns = 100 * NS_PER_MS;
	rig.options.header_deadline_ns = 3600 * NS_PER_SEC;
	rig.options.body_deadline_ns = 3600 * NS_PER_SEC;
	rig_start(&rig);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, begin);
	while (!is_answered && clock_mono_ns() < end) {
		if (clock_mono_ns() > next) {
			next += 20 * NS_PER_MS;
			rig_send_text(&rig, &c, "x");
		}
		rig_turn(&rig, &c);
		is_answered = rig_cut_reply(&c, false, &reply);
	}
	CHECK(is_answered);
	CHECK_INT(reply.status, want);
	CHECK_INT(gate_count(why), before + 1);
	rig_close(&c);
	rig_stop(&rig);
}

TEST(a_trickle_is_refused)
{
	check_too_slow("GET /a HTTP/1.1\r\nX: ", 408, GATE_HEADER_RATE);
	check_too_slow(HEAD "Content-Length: 1000\r\n\r\n", 408, GATE_BODY_RATE);
}

SUITE("net/look", TEST_ROW(an_accepted_body_is_read), TEST_ROW(a_whole_request_is_not_looked_at),
	TEST_ROW(a_refused_body_is_never_a_request), TEST_ROW(a_refused_body_is_not_kept),
	TEST_ROW(a_limit_of_this_body), TEST_ROW(a_trickle_is_refused))
