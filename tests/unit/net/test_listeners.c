/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Several listening sockets of one server: which one a request came from, their caps and their end. */
#include "rig.h"

#include "net/peer.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

static struct rig rig;

/* Answers with the roles of the socket that the request came from. */
static void
say_roles(struct http_request *req, void *arg)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", http_request_view_peer(req)->listener_roles);

	(void)arg;
	http_request_reply(req, 200, NULL, 0, span_of(text, (size_t)n));
}

static struct listener_addr
listen_again(unsigned roles)
{
	struct http_listen_options o = {.roles = roles};
	struct listener_addr addr;
	struct errinfo ei;
	int fd = -1;

	CHECK_INT(listener_parse(SPAN_LIT("127.0.0.1:0"), &addr, &ei), OK);
	CHECK_INT(listener_probe(&addr, &ei), OK);
	CHECK_INT(listener_open(&addr, &fd, &ei), OK);
	CHECK_INT(http_server_listen(rig.server, fd, &o, &ei), OK);
	return addr;
}

static void
check_roles(struct listener_addr addr, const char *roles)
{
	struct rig_client c;
	struct rig_reply reply;

	rig.addr = addr;
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, GET);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_SPAN(reply.body, roles);
	rig_close(&c);
}

TEST(a_request_knows_the_socket_it_came_from)
{
	rig_options(&rig);
	rig.handler = say_roles;
	rig_start(&rig);
	struct listener_addr first = rig.addr;
	struct listener_addr second = listen_again(2);
	struct listener_addr third = listen_again(5);
	check_roles(third, "5");
	check_roles(first, "0");
	check_roles(second, "2");
	rig_stop(&rig);
}

/* One cap for all of them, and its end wakes all of them. */
TEST(the_cap_counts_the_connections_of_all_sockets)
{
	struct rig_client a;
	struct rig_client b;
	struct rig_reply reply;

	rig_options(&rig);
	rig.options.max_connections = 1;
	rig.handler = say_roles;
	rig_start(&rig);
	rig_connect(&rig, &a);
	CHECK(rig_wait_connections(&rig, 1));
	rig.addr = listen_again(2);
	rig_connect(&rig, &b);
	rig_send_text(&rig, &b, GET);
	for (int i = 0; i < 50; i++)
		rig_turn(&rig, NULL);
	CHECK_INT(http_server_count_connections(rig.server), 1);
	rig_close(&a);
	CHECK(rig_wait_reply(&rig, &b, false, &reply));
	CHECK_SPAN(reply.body, "2");
	rig_close(&b);
	rig_stop(&rig);
}

TEST(connections_outlive_their_sockets)
{
	struct rig_client a;
	struct rig_client b;
	struct rig_reply reply;

	rig_options(&rig);
	rig.handler = say_roles;
	rig_start(&rig);
	rig_connect(&rig, &a);
	rig.addr = listen_again(2);
	rig_connect(&rig, &b);
	CHECK(rig_wait_connections(&rig, 2));
	CHECK(http_server_is_accepting(rig.server));
	http_server_stop_accepting(rig.server);
	while (http_server_is_accepting(rig.server))
		rig_turn(&rig, NULL);
	rig_send_text(&rig, &a, GET);
	rig_send_text(&rig, &b, GET);
	CHECK(rig_wait_reply(&rig, &a, false, &reply));
	CHECK_SPAN(reply.body, "0");
	CHECK(rig_wait_reply(&rig, &b, false, &reply));
	CHECK_SPAN(reply.body, "2");
	rig_close(&a);
	rig_close(&b);
	rig_stop(&rig);
}

TEST(there_is_a_most_of_sockets)
{
	struct listener_addr addr;
	struct errinfo ei;
	int fd = -1;

	rig_options(&rig);
	rig_start(&rig);
	for (unsigned i = 1; i < HTTP_SERVER_LISTENERS_MAX; i++)
		(void)listen_again(i);
	CHECK_INT(listener_parse(SPAN_LIT("127.0.0.1:0"), &addr, &ei), OK);
	CHECK_INT(listener_probe(&addr, &ei), OK);
	CHECK_INT(listener_open(&addr, &fd, &ei), OK);
	CHECK_INT(http_server_listen(rig.server, fd, NULL, &ei), ERR_TOO_LARGE);
	rig_stop(&rig);
}

SUITE("net/listeners", TEST_ROW(a_request_knows_the_socket_it_came_from),
	TEST_ROW(the_cap_counts_the_connections_of_all_sockets),
	TEST_ROW(connections_outlive_their_sockets), TEST_ROW(there_is_a_most_of_sockets))
