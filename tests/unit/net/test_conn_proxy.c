/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Connections that begin with a PROXY header, and those that should and do not. */
#include "rig_proxy.h"

#include "net/address_cap.h"

static struct rig rig;
static struct trusted_proxies trusted;

static void
start(const char *network)
{
	rig_want_proxy(&rig, &trusted, network);
	rig_start(&rig);
}

static void
check_header(struct span header, const char *want)
{
	struct rig_client c;

	rig_connect(&rig, &c);
	rig_send(&rig, &c, header);
	rig_send_text(&rig, &c, GET);
	rig_check_answer(&rig, &c, want);
	/* Once for the connection, not for each request. */
	rig_send_text(&rig, &c, GET);
	rig_check_answer(&rig, &c, want);
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
	rig_check_answer(&rig, &c, "192.0.2.7 by 127.0.0.1");
	rig_check_answer(&rig, &c, "192.0.2.7 by 127.0.0.1");
	rig_close(&c);
	rig_connect(&rig, &c);
	for (size_t i = 0; i + 1 < sizeof(whole); i++) {
		rig_send(&rig, &c, span_of(whole + i, 1));
		rig_turn(&rig, NULL);
	}
	rig_check_answer(&rig, &c, "192.0.2.7 by 127.0.0.1");
	rig_check_answer(&rig, &c, "192.0.2.7 by 127.0.0.1");
	rig_close(&c);
	rig_stop(&rig);
}

static void
check_closed(struct span bytes)
{
	struct rig_client c;

	rig_connect(&rig, &c);
	rig_check_refused(&rig, &c, bytes);
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

	rig_want_proxy(&rig, &trusted, "127.0.0.1");
	rig.options.header_deadline_ns = 20 * NS_PER_MS;
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

	rig_want_proxy(&rig, &trusted, "127.0.0.1");
	CHECK_INT(address_cap_new(2, trusted.v, trusted.n, &cap, NULL), OK);
	rig.options.address_cap = cap;
	rig_start(&rig);
	for (size_t i = 0; i < 4; i++)
		rig_connect(&rig, &clients[i]);
	for (size_t i = 0; i < 2; i++) {
		rig_send_text(&rig, &clients[i], V1 GET);
		rig_check_answer(&rig, &clients[i], "192.0.2.7 by 127.0.0.1");
	}
	rig_send_text(&rig, &clients[2], V1 GET);
	CHECK(rig_wait_eof(&rig, &clients[2]));
	CHECK_INT(clients[2].in.n, 0);
	rig_send_text(&rig, &clients[3], V1_OTHER GET);
	rig_check_answer(&rig, &clients[3], "192.0.2.8 by 127.0.0.1");
	/* Who goes leaves a place. */
	rig_close(&clients[0]);
	rig_close(&clients[2]);
	CHECK(rig_wait_connections(&rig, 2));
	rig_connect(&rig, &clients[0]);
	rig_send_text(&rig, &clients[0], V1 GET);
	rig_check_answer(&rig, &clients[0], "192.0.2.7 by 127.0.0.1");
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
