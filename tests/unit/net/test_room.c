/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Who gets in when many want to: the cap and who gives way, the cap per address, one turn's share
 * of accepts and of pipelined requests. */
#include "rig.h"

#include <event2/bufferevent.h>

#include "base/metric.h"
#include "net/address_cap.h"
#include "server.h"

#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
#define CAP 4

static struct rig rig;

static void
start_full(struct rig_client held[CAP], const char *text)
{
	rig_options(&rig);
	rig.options.max_connections = CAP;
	rig_start(&rig);
	for (size_t i = 0; i < CAP; i++) {
		rig_connect(&rig, &held[i]);
		rig_send_text(&rig, &held[i], text);
	}
	CHECK(rig_wait_connections(&rig, CAP));
}

static void
stop_full(struct rig_client held[CAP])
{
	for (size_t i = 0; i < CAP; i++)
		rig_close(&held[i]);
	rig_stop(&rig);
}

TEST(silent_connections_give_way)
{
	struct rig_client held[CAP];
	int64_t before = metric_get(METRIC_CONNECTIONS_EVICTED);

	start_full(held, "");
	for (int i = 0; i < 3; i++)
		rig_check_alive(&rig);
	CHECK(metric_get(METRIC_CONNECTIONS_EVICTED) > before);
	/* Those that waited longest have gone, silently, and not all of them. */
	CHECK(rig_wait_eof(&rig, &held[0]));
	CHECK_INT(held[0].in.n, 0);
	rig_receive(&held[CAP - 1]);
	CHECK(!held[CAP - 1].is_eof);
	stop_full(held);
}

TEST(a_slow_head_gives_way_with_an_answer)
{
	struct rig_client held[CAP];
	struct rig_reply reply;
	uint64_t before = gate_count(GATE_CROWDED);

	start_full(held, "GET /a HTTP/1.1\r\nHo");
	rig_check_alive(&rig);
	CHECK(rig_wait_reply(&rig, &held[0], false, &reply));
	CHECK_INT(reply.status, 503);
	CHECK_SPAN(rig_find(&reply, "Connection"), "close");
	CHECK_SPAN(rig_find(&reply, "Retry-After"), "1");
	CHECK_SPAN(reply.body,
		"{\"decision\":\"DENY\",\"reason\":\"overloaded: too many connections\"}");
	CHECK(rig_wait_eof(&rig, &held[0]));
	CHECK(gate_count(GATE_CROWDED) > before);
	stop_full(held);
}

static void
pause_after(struct http_request *req, void *arg)
{
	(void)arg;
	http_request_pause_after(req);
	http_request_reply(req, 200, NULL, 0, SPAN_LIT("paused"));
}

/* Whether a new client is answered within some sweeps, while the clock stands. */
static bool
is_let_in(void)
{
	struct rig_client c;
	struct rig_reply reply;
	bool is_answered = false;

	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, GET);
	for (int i = 0; i < 700 && !is_answered && !c.is_eof; i++) {
		rig_turn(&rig, &c);
		is_answered = rig_cut_reply(&c, false, &reply);
	}
	rig_close(&c);
	return is_answered;
}

/* It has waited longest, and its next request is here: it stays, and those behind it give way. */
TEST(one_that_stays_keeps_nobody_behind_it)
{
	struct rig_client held[CAP];
	struct rig_reply reply;

	clock_fake_set(1000 * NS_PER_SEC, 1000 * NS_PER_SEC);
	rig_options(&rig);
	rig.options.max_connections = CAP;
	rig.handler = pause_after;
	rig_start(&rig);
	rig_connect(&rig, &held[0]);
	rig_send_text(&rig, &held[0], GET);
	CHECK(rig_wait_reply(&rig, &held[0], false, &reply));
	rig_send_text(&rig, &held[0], GET);
	rig.handler = NULL;
	clock_fake_advance(NS_PER_MS);
	for (size_t i = 1; i < CAP; i++)
		rig_connect(&rig, &held[i]);
	CHECK(rig_wait_connections(&rig, CAP));
	clock_fake_advance(NS_PER_SEC / 4);
	CHECK(is_let_in());
	CHECK(!rig_cut_reply(&held[0], false, &reply));
	clock_fake_advance(NS_PER_SEC);
	CHECK(rig_wait_reply(&rig, &held[0], false, &reply));
	CHECK_SPAN(reply.body, "/a");
	stop_full(held);
	clock_fake_off();
}

/* Who has said nothing gives way sooner than who has begun. */
TEST(the_silent_give_way_first)
{
	struct rig_client held[CAP];

	clock_fake_set(1000 * NS_PER_SEC, 1000 * NS_PER_SEC);
	start_full(held, "GET /a HTTP/1.1\r\nHo");
	while (rig.server->lists[CONN_HEAD].n < CAP)
		rig_turn(&rig, NULL);
	clock_fake_advance(NS_PER_SEC / 2);
	CHECK(!is_let_in());
	clock_fake_advance(NS_PER_SEC / 2);
	CHECK(is_let_in());
	stop_full(held);
	start_full(held, "");
	CHECK(!is_let_in());
	clock_fake_advance(NS_PER_SEC / 4);
	CHECK(is_let_in());
	stop_full(held);
	clock_fake_off();
}

static void
keep(struct http_request *req, void *arg)
{
	(void)arg;
	http_request_set_user(req, rig.pending);
	rig.pending = req;
	http_request_defer(req);
}

/* What the handler works on is nobody's to close: accepting pauses until one has ended. */
TEST(requests_in_work_do_not_give_way)
{
	struct rig_client held[CAP];
	struct rig_client late;
	struct rig_reply reply;

	rig_options(&rig);
	rig.options.max_connections = CAP;
	rig.handler = keep;
	rig_start(&rig);
	for (size_t i = 0; i < CAP; i++) {
		rig_connect(&rig, &held[i]);
		rig_send_text(&rig, &held[i], "GET /a HTTP/1.0\r\n\r\n");
	}
	rig_connect(&rig, &late);
	int64_t end = clock_mono_ns() + 3 * NS_PER_SEC / 2;
	while (clock_mono_ns() < end)
		rig_turn(&rig, &late);
	CHECK_INT(http_server_count_requests(rig.server), CAP);
	CHECK_INT(http_server_count_connections(rig.server), CAP);
	while (rig.pending != NULL) {
		struct http_request *req = rig.pending;
		rig.pending = http_request_get_user(req);
		http_request_reply(req, 200, NULL, 0, SPAN_LIT("kept"));
	}
	for (size_t i = 0; i < CAP; i++) {
		CHECK(rig_wait_reply(&rig, &held[i], false, &reply));
		CHECK_SPAN(reply.body, "kept");
	}
	rig.handler = NULL;
	rig_send_text(&rig, &late, GET);
	CHECK(rig_wait_reply(&rig, &late, false, &reply));
	rig_close(&late);
	stop_full(held);
}

/* The engine had no memory for its part: the socket is closed by it, and ours is freed by us. */
TEST(a_connection_that_the_engine_did_not_make)
{
	rig_options(&rig);
	rig_start(&rig);
	struct conn *c = rig.server->listeners[0]->spare;
	rig.server->listeners[0]->spare = NULL;
	bufferevent_incref(c->bev);
	conn_begin(c);
	CHECK_INT(http_server_count_connections(rig.server), 1);
	loop_turn(rig.loop, false);
	CHECK_INT(http_server_count_connections(rig.server), 0);
	rig_check_alive(&rig);
	rig_stop(&rig);
}

TEST(one_turn_accepts_some)
{
	struct rig_client clients[100];
	size_t most = 0;

	rig_options(&rig);
	rig_start(&rig);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		rig_connect(&rig, &clients[i]);
	for (size_t before = 0; before < ARRAY_LEN(clients);) {
		loop_turn(rig.loop, false);
		size_t n = http_server_count_connections(rig.server);
		most = n - before > most ? n - before : most;
		before = n;
	}
	CHECK_INT(most, 64);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		rig_close(&clients[i]);
	rig_stop(&rig);
}

/* Thousands of requests in one write: another client's is served in between. */
TEST(pipelined_requests_take_turns)
{
	struct rig_client greedy;
	struct rig_client other;
	struct rig_reply reply;
	struct buf many;
	size_t n_ran = 0;

	rig_options(&rig);
	rig_start(&rig);
	buf_init(&many, 64 * 1024);
	for (int i = 0; i < 400; i++)
		buf_add_span(&many, SPAN_LIT(GET));
	rig_connect(&rig, &greedy);
	rig_connect(&rig, &other);
	CHECK(rig_wait_connections(&rig, 2));
	rig_send(&rig, &greedy, buf_span(&many));
	rig_send_text(&rig, &other, "GET /other HTTP/1.1\r\nHost: h\r\n\r\n");
	CHECK(rig_wait_reply(&rig, &other, false, &reply));
	CHECK_SPAN(reply.body, "/other");
	n_ran = rig.ran.n / (sizeof("GET /a 0\n") - 1);
	CHECK(n_ran < 20);
	for (int i = 0; i < 400; i++)
		CHECK(rig_wait_reply(&rig, &greedy, false, &reply));
	buf_fini(&many);
	rig_close(&greedy);
	rig_close(&other);
	rig_stop(&rig);
}

static void
start_address_cap(const char *trusted)
{
	struct address_network network;
	struct errinfo ei;
	size_t n = trusted != NULL ? 1 : 0;

	rig_options(&rig);
	if (trusted != NULL)
		CHECK_INT(address_network_parse(span_cstr(trusted), &network, &ei), OK);
	CHECK_INT(address_cap_new(2, &network, n, &rig.options.address_cap, &ei), OK);
	rig_start(&rig);
}

static void
stop_address_cap(void)
{
	struct address_cap *cap = rig.options.address_cap;

	rig_stop(&rig);
	address_cap_free(&cap);
}

TEST(cap_per_address)
{
	struct rig_client clients[3];
	int64_t before = metric_get(METRIC_CONNECTIONS_REFUSED);

	start_address_cap(NULL);
	for (size_t i = 0; i < 2; i++)
		rig_connect(&rig, &clients[i]);
	CHECK(rig_wait_connections(&rig, 2));
	rig_connect(&rig, &clients[2]);
	CHECK(rig_wait_eof(&rig, &clients[2]));
	CHECK_INT(metric_get(METRIC_CONNECTIONS_REFUSED), before + 1);
	/* Each that goes leaves its place to another. */
	for (int i = 0; i < 3; i++) {
		rig_close(&clients[0]);
		CHECK(rig_wait_connections(&rig, 1));
		rig_connect(&rig, &clients[0]);
		CHECK(rig_wait_connections(&rig, 2));
	}
	for (size_t i = 0; i < 3; i++)
		rig_close(&clients[i]);
	CHECK(rig_wait_connections(&rig, 0));
	rig_check_alive(&rig);
	stop_address_cap();
}

TEST(a_trusted_proxy_has_no_cap)
{
	struct rig_client clients[5];

	start_address_cap("127.0.0.0/8");
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		rig_connect(&rig, &clients[i]);
	CHECK(rig_wait_connections(&rig, ARRAY_LEN(clients)));
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		rig_close(&clients[i]);
	stop_address_cap();
}

TEST(networks)
{
	static const struct {
		const char *text;
		int n_bits; /* -1: no network */
	} rows[] = {
		{"10.0.0.1", 128},
		{"10.0.0.0/8", 104},
		{"0.0.0.0/0", 96},
		{"::1", 128},
		{"2001:db8::/32", 32},
		{"::/0", 0},
		{"", -1},
		{"/8", -1},
		{"10.0.0.0/33", -1},
		{"10.0.0.0/", -1},
		{"10.0.0.0/-1", -1},
		{"::/129", -1},
		{"10.0.0", -1},
		{"localhost", -1},
		{"10.0.0.1:80", -1},
		{"10.0.0.0/8/8", -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address_network network;
		struct errinfo ei;
		enum err rc = address_network_parse(span_cstr(rows[i].text), &network, &ei);
		CHECK_INT(rc, rows[i].n_bits < 0 ? ERR_PARSE : OK);
		if (rc == OK)
			CHECK_INT(network.n_bits, rows[i].n_bits);
	}
}

SUITE("net/room", TEST_ROW(silent_connections_give_way),
	TEST_ROW(one_that_stays_keeps_nobody_behind_it), TEST_ROW(the_silent_give_way_first),
	TEST_ROW(a_slow_head_gives_way_with_an_answer), TEST_ROW(requests_in_work_do_not_give_way),
	TEST_ROW(a_connection_that_the_engine_did_not_make), TEST_ROW(one_turn_accepts_some),
	TEST_ROW(pipelined_requests_take_turns), TEST_ROW(cap_per_address),
	TEST_ROW(a_trusted_proxy_has_no_cap), TEST_ROW(networks))
