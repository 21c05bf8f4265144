/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Connections that begin with a PROXY header, and those that should and do not. */
#include "rig.h"

#include "base/metric.h"
#include "net/address_cap.h"
#include "net/peer.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define V1 "PROXY TCP4 192.0.2.7 192.0.2.1 51234 443\r\n"
#define V1_OTHER "PROXY TCP4 192.0.2.8 192.0.2.1 51234 443\r\n"
#define V2 "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\x09\xc0\0\2\1\x11\x22\x33\x44"
#define V2_LOCAL "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"

static struct rig rig;
static struct trusted_proxies trusted;

/* "client by proxy". */
static void
say_peer(struct http_request *req, void *arg)
{
	const struct net_peer *peer = http_request_view_peer(req);
	char text[64];

	(void)arg;
	int n = snprintf(
		text, sizeof(text), "%.*s by %.*s", SPAN_ARG(peer->address), SPAN_ARG(peer->proxy));
	CHECK_SPAN(peer->address, http_request_get_peer(req));
	http_request_reply(req, 200, NULL, 0, span_of(text, (size_t)n));
}

static void
start(const char *network)
{
	struct errinfo ei;

	rig_options(&rig);
	trusted = (struct trusted_proxies){.n = 0};
	if (network != NULL)
		CHECK_INT(trusted_proxies_add(&trusted, span_cstr(network), &ei), OK);
	rig.options.trusted = &trusted;
	rig.listen.proxy_protocol = true;
	rig.handler = say_peer;
	rig_start(&rig);
}

static void
check_answer(struct rig_client *c, const char *want)
{
	struct rig_reply reply;

	if (!rig_wait_reply(&rig, c, false, &reply)) {
		FAIL("no answer, not \"%s\"", want);
		return;
	}
	CHECK_SPAN(reply.body, want);
}

static void
check_header(struct span header, const char *want)
{
	struct rig_client c;

	rig_connect(&rig, &c);
	rig_send(&rig, &c, header);
	rig_send_text(&rig, &c, GET);
	check_answer(&c, want);
	/* Once for the connection, not for each request. */
	rig_send_text(&rig, &c, GET);
	check_answer(&c, want);
	rig_close(&c);
}

TEST(the_header_names_the_client)
{
	start("127.0.0.0/8");
	check_header(SPAN_LIT(V1), "192.0.2.7 by 127.0.0.1");
	check_header(span_of(V2, sizeof(V2) - 1), "192.0.2.9 by 127.0.0.1");
	check_header(span_of(V2_LOCAL, sizeof(V2_LOCAL) - 1), "127.0.0.1 by ");
	check_header(SPAN_LIT("PROXY UNKNOWN\r\n"), "127.0.0.1 by ");
	rig_stop(&rig);
}

/* With the request behind it in one piece, and byte by byte. */
TEST(pieces)
{
	static const char whole[] = V1 GET GET;
	struct rig_client c;

	start("127.0.0.1");
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, whole);
	check_answer(&c, "192.0.2.7 by 127.0.0.1");
	check_answer(&c, "192.0.2.7 by 127.0.0.1");
	rig_close(&c);
	rig_connect(&rig, &c);
	for (size_t i = 0; i + 1 < sizeof(whole); i++) {
		rig_send(&rig, &c, span_of(whole + i, 1));
		rig_turn(&rig, NULL);
	}
	check_answer(&c, "192.0.2.7 by 127.0.0.1");
	check_answer(&c, "192.0.2.7 by 127.0.0.1");
	rig_close(&c);
	rig_stop(&rig);
}

/* Closed without a word. */
static void
check_closed(struct span bytes)
{
	struct rig_client c;
	int64_t before = metric_get(METRIC_CONNECTIONS_REFUSED);

	rig_connect(&rig, &c);
	rig_send(&rig, &c, bytes);
	CHECK(rig_wait_eof(&rig, &c));
	CHECK_INT(c.in.n, 0);
	CHECK_INT(metric_get(METRIC_CONNECTIONS_REFUSED), before + 1);
	rig_close(&c);
}

TEST(without_a_header_it_is_closed)
{
	start("127.0.0.1");
	check_closed(SPAN_LIT(GET));
	check_closed(SPAN_LIT("PROXY TCP4 192.0.2.7 192.0.2.1 51234\r\n" GET));
	/* A second one is no request. */
	struct rig_client c;
	struct rig_reply reply;
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, V1 V1_OTHER GET);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.status, 400);
	rig_close(&c);
	CHECK(rig.ran.n == 0);
	rig_stop(&rig);
}

TEST(nobody_else_may_say_one)
{
	start("10.0.0.0/8");
	check_closed(SPAN_LIT(V1 GET));
	check_closed(SPAN_LIT(GET));
	rig_stop(&rig);
	start(NULL);
	check_closed(SPAN_LIT(V1 GET));
	rig_stop(&rig);
}

/* Where no header is wanted it is no request, whoever says it. */
TEST(unwanted_header)
{
	struct rig_client c;
	struct rig_reply reply;

	start("127.0.0.1");
	rig_stop(&rig);
	rig_options(&rig);
	rig.options.trusted = &trusted;
	rig_start(&rig);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, V1 GET);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.status, 400);
	rig_close(&c);
	rig_stop(&rig);
}

TEST(the_header_has_a_deadline)
{
	struct rig_client silent;
	struct rig_client slow;

	rig_options(&rig);
	trusted = (struct trusted_proxies){.n = 0};
	CHECK_INT(trusted_proxies_add(&trusted, SPAN_LIT("127.0.0.1"), NULL), OK);
	rig.options.trusted = &trusted;
	rig.options.header_deadline_ns = 20 * NS_PER_MS;
	rig.listen.proxy_protocol = true;
	rig_start(&rig);
	rig_connect(&rig, &silent);
	rig_connect(&rig, &slow);
	rig_send_text(&rig, &slow, "PROXY TCP4");
	CHECK(rig_wait_eof(&rig, &silent));
	CHECK(rig_wait_eof(&rig, &slow));
	CHECK(silent.in.n == 0 && slow.in.n == 0);
	rig_close(&silent);
	rig_close(&slow);
	rig_stop(&rig);
}

/* The proxy may have any number of connections, each client its share. */
TEST(the_cap_per_address_is_the_clients)
{
	struct address_cap *cap;
	struct rig_client clients[4];

	rig_options(&rig);
	trusted = (struct trusted_proxies){.n = 0};
	CHECK_INT(trusted_proxies_add(&trusted, SPAN_LIT("127.0.0.1"), NULL), OK);
	CHECK_INT(address_cap_new(2, trusted.v, trusted.n, &cap, NULL), OK);
	rig.options.trusted = &trusted;
	rig.options.address_cap = cap;
	rig.listen.proxy_protocol = true;
	rig.handler = say_peer;
	rig_start(&rig);
	for (size_t i = 0; i < 4; i++)
		rig_connect(&rig, &clients[i]);
	for (size_t i = 0; i < 2; i++) {
		rig_send_text(&rig, &clients[i], V1 GET);
		check_answer(&clients[i], "192.0.2.7 by 127.0.0.1");
	}
	rig_send_text(&rig, &clients[2], V1 GET);
	CHECK(rig_wait_eof(&rig, &clients[2]));
	CHECK_INT(clients[2].in.n, 0);
	rig_send_text(&rig, &clients[3], V1_OTHER GET);
	check_answer(&clients[3], "192.0.2.8 by 127.0.0.1");
	/* Who goes leaves a place. */
	rig_close(&clients[0]);
	rig_close(&clients[2]);
	CHECK(rig_wait_connections(&rig, 2));
	rig_connect(&rig, &clients[0]);
	rig_send_text(&rig, &clients[0], V1 GET);
	check_answer(&clients[0], "192.0.2.7 by 127.0.0.1");
	rig_close(&clients[0]);
	rig_close(&clients[1]);
	rig_close(&clients[3]);
	rig_stop(&rig);
	address_cap_free(&cap);
}

/* One that has said nothing does not hold up the end. */
TEST(the_end_closes_the_silent)
{
	struct rig_client c;

	start("127.0.0.1");
	rig_connect(&rig, &c);
	CHECK(rig_wait_connections(&rig, 1));
	http_server_stop_accepting(rig.server);
	CHECK(rig_wait_idle_closed(&rig, &c));
	rig_close(&c);
	rig_stop(&rig);
}

SUITE("conn_proxy", TEST_ROW(the_header_names_the_client), TEST_ROW(pieces),
	TEST_ROW(without_a_header_it_is_closed), TEST_ROW(nobody_else_may_say_one),
	TEST_ROW(unwanted_header), TEST_ROW(the_header_has_a_deadline),
	TEST_ROW(the_cap_per_address_is_the_clients), TEST_ROW(the_end_closes_the_silent))
