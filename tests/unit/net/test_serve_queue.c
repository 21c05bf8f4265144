/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Whole requests that wait for their turn: who is served before whom, and that nobody is forgotten. */
#include "rig.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "base/mem.h"
#include "server.h"

#define CROWD 200
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static struct rig rig;
static struct rig_client crowd[CROWD];
static size_t n_crowd;
static bool is_slow;

/* /first and /last are of these ranks, /flow is of another flow than the rest. */
static struct http_place
place(struct http_request *req, void *arg)
{
	struct span path = http_request_get_path(req);

	(void)arg;
	CHECK(http_request_find_header(req, SPAN_LIT("Host")).n > 0);
	CHECK(strlen(http_request_get_peer(req)) > 0);
	if (span_eq(path, SPAN_LIT("/first")))
		return (struct http_place){HTTP_RANK_FIRST, 7};
	if (span_eq(path, SPAN_LIT("/last")))
		return (struct http_place){HTTP_RANK_LAST, 7};
	return (struct http_place){HTTP_RANK_USUAL, span_eq(path, SPAN_LIT("/flow")) ? 67 : 0};
}

static void
answer(struct http_request *req, void *arg)
{
	int64_t begin = clock_mono_ns();

	(void)arg;
	while (is_slow && clock_mono_ns() - begin < 3 * NS_PER_MS)
		continue;
	http_request_reply(req, 200, NULL, 0, http_request_get_target(req));
}

static void
start(void)
{
	rig_options(&rig);
	rig.options.place = place;
	rig.handler = answer;
	is_slow = false;
	n_crowd = 0;
	rig_start(&rig);
	/* Requests queue up until the test lets them go. */
	rig.server->serves = true;
}

static void
stop(void)
{
	for (size_t i = 0; i < n_crowd; i++)
		rig_close(&crowd[i]);
	rig_stop(&rig);
}

static void
let_go(void)
{
	loop_defer(rig.loop, &rig.server->serve_msg);
}

static size_t
count_lines(struct span text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n' ? 1 : 0;
	return n;
}

static size_t
n_ran(void)
{
	return count_lines(buf_span(&rig.ran));
}

static size_t
n_ran_of(const char *path)
{
	char line[64];
	size_t n = 0;

	snprintf(line, sizeof(line), "GET %s 0\n", path);
	for (struct span rest = buf_span(&rig.ran); rest.n > 0;) {
		size_t end = span_find(rest, '\n') + 1;
		n += span_eq_cstr(span_of(rest.p, end), line) ? 1 : 0;
		rest = span_from(rest, end);
	}
	return n;
}

/* How many were served before the first of that path. */
static size_t
n_before(const char *path)
{
	char line[64];
	const char *at;

	snprintf(line, sizeof(line), "GET %s 0\n", path);
	buf_add_char(&rig.ran, '\0');
	at = strstr(rig.ran.p, line);
	rig.ran.n--;
	CHECK(at != NULL);
	return at != NULL ? count_lines(span_of(rig.ran.p, (size_t)(at - rig.ran.p))) : SIZE_MAX;
}

static struct rig_client *
join(void)
{
	struct rig_client *c = &crowd[n_crowd];

	n_crowd++;
	rig_connect(&rig, c);
	CHECK(rig_wait_connections(&rig, n_crowd));
	return c;
}

/* n more clients, each with that in the queue. */
static void
queue(size_t n, const char *request)
{
	for (size_t i = 0; i < n; i++) {
		size_t before = rig.server->n_queued;
		rig_send_text(&rig, join(), request);
		for (int j = 0; j < 1000 && rig.server->n_queued == before; j++)
			rig_turn(&rig, NULL);
		CHECK_INT(rig.server->n_queued, before + 1);
	}
	CHECK_INT(n_ran(), 0);
}

static void
check_answered(struct rig_client *c, const char *path)
{
	struct rig_reply reply;

	CHECK(rig_wait_reply(&rig, c, false, &reply));
	CHECK_INT(reply.status, 200);
	CHECK_SPAN(reply.body, path);
}

TEST(one_of_the_first_rank_waits_for_nobody_of_the_others)
{
	start();
	queue(CROWD - 2, GET("/usual"));
	struct rig_client *early = join();
	struct rig_client *late = join();
	let_go();
	rig_send_text(&rig, early, GET("/first"));
	rig_turn(&rig, NULL);
	CHECK_INT(n_before("/first"), 0);
	size_t n = n_ran();
	CHECK(n <= 1 + SERVE_SLICE);
	buf_reset(&rig.ran);
	/* Many wait still, and it comes first again. */
	rig_send_text(&rig, late, GET("/first"));
	rig_turn(&rig, NULL);
	CHECK_INT(n_before("/first"), 0);
	CHECK(rig.server->n_queued > 0);
	check_answered(early, "/first");
	check_answered(late, "/first");
	for (size_t i = 0; i < CROWD - 2; i++)
		check_answered(&crowd[i], "/usual");
	stop();
}

TEST(every_rank_has_its_part_of_a_turn)
{
	start();
	queue(50, GET("/first"));
	queue(50, GET("/usual"));
	queue(50, GET("/last"));
	let_go();
	rig_turn(&rig, NULL);
	CHECK(n_ran_of("/first") > 0 && n_ran_of("/first") <= SERVE_SLICE);
	CHECK(n_ran_of("/usual") > 0 && n_ran_of("/usual") <= SERVE_SLICE);
	CHECK(n_ran_of("/last") > 0 && n_ran_of("/last") <= SERVE_LAST);
	for (size_t i = 0; i < n_crowd; i++)
		check_answered(&crowd[i], i < 50 ? "/first" : i < 100 ? "/usual" : "/last");
	stop();
}

TEST(flows_take_turns)
{
	start();
	queue(100, GET("/usual"));
	queue(2, GET("/flow"));
	let_go();
	rig_turn(&rig, NULL);
	CHECK(n_before("/flow") <= 1);
	for (int i = 0; i < 100 && n_ran_of("/flow") < 2; i++)
		rig_turn(&rig, NULL);
	CHECK(n_ran() <= SERVE_SLICE + 4);
	CHECK(rig.server->n_queued > 0);
	stop();
}

/* Within a flow, too, each connection has one request in the queue. */
TEST(a_client_that_sends_many_at_once_waits_behind_each_of_its_neighbours)
{
	static const char many[] = GET("/many") GET("/many") GET("/many") GET("/many");
	struct rig_reply reply;

	start();
	queue(1, many);
	queue(3, GET("/usual"));
	let_go();
	for (int i = 0; i < 1000 && n_ran() < 7; i++)
		rig_turn(&rig, NULL);
	CHECK_SPAN(buf_span(&rig.ran), "GET /many 0\nGET /usual 0\nGET /usual 0\nGET /usual 0\n"
				       "GET /many 0\nGET /many 0\nGET /many 0\n");
	for (int i = 0; i < 4; i++)
		CHECK(rig_wait_reply(&rig, &crowd[0], false, &reply));
	stop();
}

TEST(some_that_take_long_do_not_fill_a_turn)
{
	start();
	queue(10, GET("/usual"));
	queue(10, GET("/last"));
	is_slow = true;
	let_go();
	rig_turn(&rig, NULL);
	CHECK_INT(n_ran_of("/usual"), 1);
	CHECK_INT(n_ran_of("/last"), 1);
	stop();
}

TEST(who_waits_is_not_read)
{
	static char flood[64 * 1024];
	size_t sent = 0;

	start();
	queue(1, GET("/usual"));
	memset(flood, 'x', sizeof(flood));
	const struct conn *c = rig.server->queues[HTTP_RANK_USUAL].flows[0].first;
	for (int i = 0; i < 100; i++) {
		ssize_t n = send(crowd[0].fd, flood, sizeof(flood), MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		rig_turn(&rig, NULL);
		CHECK_INT(evbuffer_get_length(bufferevent_get_input(c->bev)), 0);
		CHECK(!conn_has_held(c));
	}
	CHECK(sent > sizeof(flood));
	let_go();
	check_answered(&crowd[0], "/usual");
	stop();
}

TEST(who_leaves_while_it_waits_is_let_go)
{
	start();
	queue(3, GET("/usual"));
	struct linger reset = {.l_onoff = 1};
	CHECK(setsockopt(crowd[0].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
	rig_close(&crowd[0]);
	rig_close(&crowd[1]);
	let_go();
	check_answered(&crowd[2], "/usual");
	CHECK(rig_wait_connections(&rig, 1));
	CHECK_INT(http_server_count_requests(rig.server), 0);
	crowd[0] = crowd[2];
	n_crowd = 1;
	stop();
}

TEST(the_end_of_the_server_waits_for_them)
{
	struct rig_reply reply;

	start();
	queue(40, GET("/usual"));
	CHECK_INT(http_server_count_requests(rig.server), 40);
	http_server_start_draining(rig.server);
	http_server_stop_accepting(rig.server);
	http_server_close_idle(rig.server);
	let_go();
	for (size_t i = 0; i < n_crowd; i++) {
		CHECK(rig_wait_reply(&rig, &crowd[i], false, &reply));
		CHECK_INT(reply.status, 200);
		CHECK_SPAN(rig_find(&reply, "Connection"), "close");
		CHECK(rig_wait_eof(&rig, &crowd[i]));
	}
	CHECK_INT(http_server_count_requests(rig.server), 0);
	stop();
}

/* Freed with requests that wait, in the turn and between turns. */
TEST(they_end_with_the_server)
{
	long before = mem_live();

	for (int turns = 0; turns < 2; turns++) {
		start();
		queue(50, GET("/usual"));
		is_slow = true;
		let_go();
		for (int i = 0; i < turns; i++)
			rig_turn(&rig, NULL);
		CHECK(rig.server->n_queued > 0);
		stop();
		CHECK_INT(mem_live(), before);
	}
}

static bool is_full;
static struct http_request *kept;

static bool
has_room(void *arg)
{
	CHECK(arg == &rig);
	return !is_full;
}

/* As if the ledger had it. */
static void
keep(struct http_request *req, void *arg)
{
	(void)arg;
	if (!span_eq(http_request_get_path(req), SPAN_LIT("/kept"))) {
		http_request_reply(req, 200, NULL, 0, http_request_get_target(req));
		return;
	}
	kept = req;
	is_full = true;
	http_request_defer(req);
}

static void
start_full(void)
{
	rig_options(&rig);
	rig.options.place = place;
	rig.options.may_serve = has_room;
	rig.handler = keep;
	is_full = false;
	n_crowd = 0;
	rig_start(&rig);
	rig.server->serves = true;
	queue(1, GET("/kept"));
	queue(40, GET("/usual"));
	queue(1, GET("/last"));
	let_go();
	for (int i = 0; i < 10; i++)
		rig_turn(&rig, NULL);
	CHECK_SPAN(buf_span(&rig.ran), "GET /kept 0\n");
}

TEST(while_there_is_no_room_only_the_first_rank_is_served)
{
	start_full();
	struct rig_client *first = join();
	rig_send_text(&rig, first, GET("/first"));
	check_answered(first, "/first");
	CHECK_SPAN(buf_span(&rig.ran), "GET /kept 0\nGET /first 0\n");
	/* With a reply there is room, at once. */
	is_full = false;
	http_request_reply(kept, 200, NULL, 0, SPAN_LIT("/kept"));
	rig_turn(&rig, NULL);
	CHECK(n_ran() > 2);
	for (size_t i = 0; i < 42; i++)
		check_answered(&crowd[i], i == 0 ? "/kept" : i < 41 ? "/usual" : "/last");
	stop();
}

/* Room that no reply tells of is found all the same. */
TEST(who_is_held_is_not_forgotten)
{
	start_full();
	is_full = false;
	check_answered(&crowd[1], "/usual");
	check_answered(&crowd[41], "/last");
	http_request_reply(kept, 200, NULL, 0, SPAN_LIT("/kept"));
	stop();
}

TEST(without_room_the_server_does_not_spin)
{
	start_full();
	CHECK(!rig.server->serves);
	CHECK(rig.server->is_held);
	is_full = false;
	http_request_reply(kept, 200, NULL, 0, SPAN_LIT("/kept"));
	stop();
}

static struct http_queue_view seen[16];
static size_t n_seen;

static void
look_around(struct http_request *req, void *arg)
{
	(void)arg;
	if (n_seen < ARRAY_LEN(seen)) {
		seen[n_seen] = http_request_view_queue(req);
		n_seen++;
	}
	http_request_reply(req, 200, NULL, 0, http_request_get_target(req));
}

TEST(a_handler_sees_who_waits_behind)
{
	start();
	rig.handler = look_around;
	n_seen = 0;
	queue(3, GET("/usual"));
	queue(2, GET("/flow"));
	queue(9, GET("/last"));
	let_go();
	while (n_seen < 6)
		rig_turn(&rig, NULL);
	/* In turn; when the second of /flow is served, one of /usual waits, and at last nobody does. */
	CHECK_SPAN(buf_span(&rig.ran).n > 80 ? span_of(rig.ran.p, 63) : SPAN_NONE,
		"GET /usual 0\nGET /flow 0\nGET /usual 0\nGET /flow 0\nGET /usual 0\n");
	static const size_t n_flow[] = {2, 1, 1, 0, 0, 8};
	static const size_t n_flows[] = {2, 2, 2, 2, 1, 1};
	for (size_t i = 0; i < 6; i++) {
		CHECK_INT(seen[i].n_flow, n_flow[i]);
		CHECK_INT(seen[i].n_flows, n_flows[i]);
	}
	CHECK(seen[0].since_ns > 0 && seen[0].since_ns <= seen[2].since_ns);
	stop();
}

SUITE("net/serve_queue", TEST_ROW(one_of_the_first_rank_waits_for_nobody_of_the_others),
	TEST_ROW(every_rank_has_its_part_of_a_turn), TEST_ROW(flows_take_turns),
	TEST_ROW(a_client_that_sends_many_at_once_waits_behind_each_of_its_neighbours),
	TEST_ROW(some_that_take_long_do_not_fill_a_turn), TEST_ROW(who_waits_is_not_read),
	TEST_ROW(who_leaves_while_it_waits_is_let_go),
	TEST_ROW(the_end_of_the_server_waits_for_them), TEST_ROW(they_end_with_the_server),
	TEST_ROW(while_there_is_no_room_only_the_first_rank_is_served),
	TEST_ROW(who_is_held_is_not_forgotten), TEST_ROW(without_room_the_server_does_not_spin),
	TEST_ROW(a_handler_sees_who_waits_behind))
