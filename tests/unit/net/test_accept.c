/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Accepting and ending: caps, descriptors that run out, draining, several loops on one address,
 * memory that runs out. */
#include "rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

#include "base/metric.h"
#include "server.h"

#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
#define N_CLIENTS 12

static struct rig rig;

static void
start(void)
{
	rig_options(&rig);
	rig_start(&rig);
}

TEST(last_request_of_a_connection)
{
	struct rig_client c;
	struct rig_reply reply;

	rig_options(&rig);
	rig.options.max_requests_per_connection = 2;
	rig_start(&rig);
	rig_connect(&rig, &c);
	rig_send_text(&rig, &c, GET GET GET);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(rig_find(&reply, "Connection").n, 0);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_SPAN(rig_find(&reply, "Connection"), "close");
	CHECK(rig_wait_eof(&rig, &c));
	CHECK_SPAN(buf_span(&rig.ran), "GET /a 0\nGET /a 0\n");
	rig_close(&c);
	rig_stop(&rig);
}

/* At the cap new connections wait in the kernel, and come in as others go. */
TEST(cap_of_connections)
{
	struct rig_client clients[N_CLIENTS];
	struct rig_reply reply;

	rig_options(&rig);
	rig.options.max_connections = 3;
	rig_start(&rig);
	for (size_t i = 0; i < N_CLIENTS; i++) {
		rig_connect(&rig, &clients[i]);
		rig_send_text(&rig, &clients[i], GET);
	}
	for (size_t i = 0; i < N_CLIENTS; i++) {
		CHECK(rig_wait_reply(&rig, &clients[i], false, &reply));
		CHECK_INT(reply.status, 200);
		CHECK(http_server_count_connections(rig.server) <= 3);
		rig_close(&clients[i]);
	}
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

TEST(descriptors_run_out_and_come_back)
{
	struct rig_client clients[N_CLIENTS];
	struct rig_reply reply;
	struct rlimit old;

	start();
	for (size_t i = 0; i < N_CLIENTS; i++)
		rig_connect(&rig, &clients[i]);
	CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
	int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(next);
	struct rlimit few = {.rlim_cur = (rlim_t)next + 2, .rlim_max = old.rlim_max};
	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	CHECK(rig_wait_connections(&rig, 2));
	CHECK_INT(http_server_count_connections(rig.server), 2);
	/* Those that are in are served meanwhile, and the rest when there is room again. */
	rig_send_text(&rig, &clients[0], GET);
	CHECK(rig_wait_reply(&rig, &clients[0], false, &reply));
	CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
	for (size_t i = 1; i < N_CLIENTS; i++) {
		rig_send_text(&rig, &clients[i], GET);
		CHECK(rig_wait_reply(&rig, &clients[i], false, &reply));
	}
	CHECK_INT(http_server_count_connections(rig.server), N_CLIENTS);
	for (size_t i = 0; i < N_CLIENTS; i++)
		rig_close(&clients[i]);
	rig_stop(&rig);
}

/* More than the sockets between server and client hold. */
static void
answer_much(struct http_request *req, void *arg)
{
	static char much[8 * 1024 * 1024];

	(void)arg;
	http_request_reply(req, 200, NULL, 0, span_of(much, sizeof(much)));
}

static int
count_in(enum conn_state state)
{
	int n = 0;

	for (const struct conn *c = rig.server->lists[state].first; c != NULL; c = c->next)
		n++;
	return n;
}

TEST(draining)
{
	struct rig_client idle;
	struct rig_client busy;
	struct rig_client queued;
	struct rig_reply reply;

	start();
	rig_connect(&rig, &idle);
	rig_connect(&rig, &busy);
	CHECK(rig_wait_connections(&rig, 2));
	rig_send_text(&rig, &busy, "GET /a HTTP/1.1\r\n");
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;
	while (count_in(CONN_HEAD) != 1 && clock_mono_ns() < end)
		rig_turn(&rig, NULL);
	http_server_start_draining(rig.server);
	CHECK(http_server_is_accepting(rig.server));
	/* Not accepted yet, but queued: it must not be reset. */
	rig_connect(&rig, &queued);
	rig_send_text(&rig, &queued, GET);
	http_server_stop_accepting(rig.server);
	CHECK(rig_wait_idle_closed(&rig, &idle));
	CHECK(!idle.is_reset && idle.in.n == 0);
	CHECK(rig_wait_reply(&rig, &queued, false, &reply));
	CHECK_SPAN(rig_find(&reply, "Connection"), "close");
	rig_send_text(&rig, &busy, "Host: h\r\n\r\n");
	CHECK(rig_wait_reply(&rig, &busy, false, &reply));
	CHECK_SPAN(rig_find(&reply, "Connection"), "close");
	CHECK(rig_wait_connections(&rig, 0));
	end = clock_mono_ns() + RIG_WAIT_NS;
	while (http_server_is_accepting(rig.server) && clock_mono_ns() < end)
		rig_turn(&rig, NULL);
	CHECK(!http_server_is_accepting(rig.server));
	CHECK_INT(http_server_count_requests(rig.server), 0);
	rig_close(&idle);
	rig_close(&busy);
	rig_close(&queued);
	rig_stop(&rig);
}

/* Half a head, half a body, a reply that nobody reads: none holds up the end. */
TEST(a_slow_client_does_not_hold_up_the_end)
{
	struct rig_client head;
	struct rig_client body;
	struct rig_client deaf;
	struct rig_reply reply;
	int size = 4096;

	rig_options(&rig);
	rig.options.drain_ns = 100 * NS_PER_MS;
	rig.options.header_deadline_ns = 3600 * NS_PER_SEC;
	rig.options.body_deadline_ns = 3600 * NS_PER_SEC;
	rig.options.write_stall_ns = 3600 * NS_PER_SEC;
	rig.handler = answer_much;
	rig_start(&rig);
	rig_connect(&rig, &head);
	rig_connect(&rig, &body);
	rig_connect(&rig, &deaf);
	CHECK(setsockopt(deaf.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
	CHECK(rig_wait_connections(&rig, 3));
	rig_send_text(&rig, &head, "GET /a HTTP/1.1\r\n");
	rig_send_text(&rig, &body, "GET /b HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx");
	rig_send_text(&rig, &deaf, GET);
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;
	while ((count_in(CONN_HEAD) != 1 || count_in(CONN_BODY) != 1 ||
		       count_in(CONN_WRITING) != 1) &&
		clock_mono_ns() < end)
		rig_turn(&rig, NULL);
	CHECK_INT(count_in(CONN_WRITING), 1);
	http_server_start_draining(rig.server);
	http_server_stop_accepting(rig.server);
	CHECK(rig_wait_reply(&rig, &head, false, &reply));
	CHECK_INT(reply.status, 408);
	CHECK(rig_wait_reply(&rig, &body, false, &reply));
	CHECK_INT(reply.status, 408);
	CHECK(rig_wait_connections(&rig, 0));
	CHECK_INT(http_server_count_requests(rig.server), 0);
	rig_close(&head);
	rig_close(&body);
	rig_close(&deaf);
	rig_stop(&rig);
}

/* Connections in every state, and one the engine has not named yet, when the server goes. */
TEST(free_with_open_connections)
{
	struct rig_client clients[4];
	int64_t before = metric_get(METRIC_CONNECTIONS);

	start();
	for (size_t i = 0; i < 3; i++)
		rig_connect(&rig, &clients[i]);
	CHECK(rig_wait_connections(&rig, 3));
	rig_send_text(&rig, &clients[0], "GET /a HT");
	rig_send_text(&rig, &clients[1], "\n");
	rig_turn(&rig, NULL);
	CHECK_INT(metric_get(METRIC_CONNECTIONS), before + 3);
	rig_connect(&rig, &clients[3]);
	rig_stop(&rig);
	CHECK_INT(metric_get(METRIC_CONNECTIONS), before);
	for (size_t i = 0; i < 4; i++)
		rig_close(&clients[i]);
}

TEST(options_are_checked)
{
	struct http_server *server = NULL;
	struct loop *loop = NULL;
	struct errinfo ei;

	CHECK_INT(loop_new(&loop, &ei), OK);
	for (int i = 0; i < 6; i++) {
		struct http_server_options o;
		http_server_options_init(&o);
		o.max_headers_bytes = i == 0 ? 0 : o.max_headers_bytes;
		o.max_headers = i == 1 ? 0 : o.max_headers;
		o.max_body_bytes = i == 2 ? SIZE_MAX : o.max_body_bytes;
		o.idle_ns = i == 3 ? 0 : o.idle_ns;
		o.header_deadline_ns = i == 4 ? -1 : o.header_deadline_ns;
		o.write_stall_ns = i == 5 ? 0 : o.write_stall_ns;
		CHECK_INT(
			http_server_new(loop, &o, rig_on_request, NULL, &server, &ei), ERR_INVALID);
		CHECK(server == NULL);
	}
	loop_free(&loop);
}

struct worker {
	pthread_t thread;
	struct rig rig;
};

static void *
run_worker(void *arg)
{
	struct worker *w = arg;

	loop_run(w->rig.loop);
	http_server_free(&w->rig.server);
	loop_turn(w->rig.loop, false);
	return NULL;
}

/* Several loops on one address, as the gateway runs them. */
TEST(loops_share_an_address)
{
	static struct worker workers[3];
	struct listener_addr addr;
	struct errinfo ei;

	CHECK_INT(listener_parse(SPAN_LIT("127.0.0.1:0"), &addr, &ei), OK);
	CHECK_INT(listener_probe(&addr, &ei), OK);
	for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
		struct rig *r = &workers[i].rig;
		int fd = -1;
		rig_options(r);
		CHECK_INT(listener_open(&addr, &fd, &ei), OK);
		CHECK_INT(loop_new(&r->loop, &ei), OK);
		CHECK_INT(http_server_new(r->loop, &r->options, rig_on_request, r, &r->server, &ei),
			OK);
		CHECK_INT(http_server_listen(r->server, fd, NULL, &ei), OK);
		CHECK(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) == 0);
	}
	for (int i = 0; i < 60; i++) {
		struct rig remote = {.addr = addr};
		struct rig_client c;
		char bytes[1024];
		rig_connect(&remote, &c);
		CHECK(send(c.fd, GET, sizeof(GET) - 1, MSG_NOSIGNAL) > 0);
		ssize_t n = recv(c.fd, bytes, sizeof(bytes), 0);
		CHECK(n > 12 && memcmp(bytes, "HTTP/1.1 200", 12) == 0);
		rig_close(&c);
	}
	size_t n_ran = 0;
	for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
		loop_stop(workers[i].rig.loop);
		pthread_join(workers[i].thread, NULL);
		n_ran += workers[i].rig.ran.n / 9;
		loop_free(&workers[i].rig.loop);
		buf_fini(&workers[i].rig.ran);
	}
	CHECK_INT(n_ran, 60);
}

SUITE("net/accept", TEST_ROW(last_request_of_a_connection), TEST_ROW(cap_of_connections),
	TEST_ROW(descriptors_run_out_and_come_back), TEST_ROW(draining),
	TEST_ROW(a_slow_client_does_not_hold_up_the_end), TEST_ROW(free_with_open_connections),
	TEST_ROW(options_are_checked), TEST_ROW(loops_share_an_address))
