/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Streamed replies on real sockets: their framing in each version, that nothing runs behind one, who is cut and who is not,
 * the bound of what is unsent, the end from either side.
 */
#include "rig.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/metric.h"
#include "server.h"

#define GET "GET /s HTTP/1.1\r\nHost: h\r\n\r\n"
#define PIECE_BYTES (64 * 1024)

static struct rig rig;
static char piece[PIECE_BYTES];
static struct http_request *open_stream;
static unsigned n_drained;

static void
note_closed(struct http_request *req, void *arg)
{
	(void)arg;
	CHECK(req == open_stream);
	rig.n_closed++;
}

static void
note_drained(struct http_request *req, void *arg)
{
	(void)arg;
	CHECK(req == open_stream);
	n_drained++;
}

/* "/s..." streams; anything else is answered. */
static void
begin(struct http_request *req, void *arg)
{
	struct http_header type = {SPAN_LIT("Content-Type"), SPAN_LIT("text/event-stream")};

	(void)arg;
	if (http_request_get_target(req).p[1] != 's') {
		http_request_reply(req, 200, NULL, 0, SPAN_LIT("answer"));
		return;
	}
	open_stream = req;
	http_request_set_closed_fn(req, note_closed, NULL);
	http_request_stream_begin(req, 200, &type, 1);
	http_request_stream_set_drained_fn(req, note_drained, NULL);
}

static void
prepare(void)
{
	rig_options(&rig);
	rig.handler = begin;
	open_stream = NULL;
	n_drained = 0;
	memset(piece, 'x', sizeof(piece));
}

static bool
has_text(const struct rig_client *c, const char *text)
{
	return c->in.p != NULL && strstr(c->in.p, text) != NULL;
}

static bool
wait_text(struct rig_client *c, const char *text)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;
	size_t n = strlen(text);

	while (clock_mono_ns() < end) {
		if (c->in.n >= n && memcmp(c->in.p + c->in.n - n, text, n) == 0)
			return true;
		rig_turn(&rig, c);
	}
	return false;
}

/* Turns the loop until the condition holds; false after 10 s. */
#define TURN_UNTIL(client, condition)                                                              \
	for (int64_t until = clock_mono_ns() + RIG_WAIT_NS;                                        \
		!(condition) && clock_mono_ns() < until;)                                          \
	rig_turn(&rig, client)

static void
open_with(struct rig_client *c, const char *request)
{
	open_stream = NULL;
	rig_connect(&rig, c);
	rig_send_text(&rig, c, request);
	TURN_UNTIL(c, open_stream != NULL);
	CHECK(open_stream != NULL);
	/* Else the kernel takes megabytes before anybody is slow. */
	CHECK(setsockopt(bufferevent_getfd(open_stream->conn->bev), SOL_SOCKET, SO_SNDBUF,
		      &(int){PIECE_BYTES}, sizeof(int)) == 0);
}

/* Writes until a piece is not taken; the bytes that were. */
static size_t
fill(void)
{
	size_t n = 0;

	while (http_request_stream_write(open_stream, span_of(piece, sizeof(piece))))
		n += sizeof(piece);
	return n;
}

static void
check_ended(struct rig_client *c)
{
	CHECK(rig_wait_eof(&rig, c));
	CHECK(!c->is_reset);
	rig_close(c);
	CHECK(rig_wait_connections(&rig, 0));
	CHECK_INT(http_server_count_requests(rig.server), 0);
	CHECK_INT(metric_get(METRIC_STREAMS), 0);
	rig_stop(&rig);
}

TEST(pieces_are_chunks_and_the_connection_ends_behind_them)
{
	struct rig_client c;

	prepare();
	rig_start(&rig);
	open_with(&c, GET);
	CHECK_INT(metric_get(METRIC_STREAMS), 1);
	CHECK_INT(http_server_count_requests(rig.server), 1);
	CHECK(wait_text(&c, "\r\n\r\n"));
	CHECK(span_starts(buf_span(&c.in), SPAN_LIT("HTTP/1.1 200 OK\r\n")));
	CHECK(has_text(&c, "Transfer-Encoding: chunked\r\n"));
	CHECK(has_text(&c, "Connection: close\r\n"));
	CHECK(has_text(&c, "Content-Type: text/event-stream\r\n"));
	CHECK(!has_text(&c, "Content-Length"));
	CHECK(http_request_stream_write(open_stream, SPAN_LIT("0123456789")));
	CHECK(http_request_stream_write(open_stream, SPAN_NONE));
	CHECK(wait_text(&c, "\r\n\r\na\r\n0123456789\r\n"));
	CHECK(http_request_stream_write(open_stream, SPAN_LIT("ab")));
	http_request_stream_end(open_stream);
	CHECK(wait_text(&c, "\r\n2\r\nab\r\n0\r\n\r\n"));
	check_ended(&c);
	CHECK_INT(rig.n_closed, 0);
}

TEST(a_stream_of_http_1_0_ends_with_its_connection)
{
	struct rig_client c;

	prepare();
	rig_start(&rig);
	open_with(&c, "GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	CHECK(http_request_stream_write(open_stream, SPAN_LIT("one")));
	CHECK(wait_text(&c, "\r\n\r\none"));
	CHECK(!has_text(&c, "chunked"));
	/* All is sent already. */
	TURN_UNTIL(&c, rig.server->lists[CONN_STREAM].first != NULL);
	http_request_stream_end(open_stream);
	CHECK(wait_text(&c, "\r\n\r\none"));
	check_ended(&c);
}

TEST(head_gets_no_piece)
{
	struct rig_client c;

	prepare();
	rig_start(&rig);
	open_with(&c, "HEAD /s HTTP/1.1\r\nHost: h\r\n\r\n");
	CHECK(http_request_stream_write(open_stream, SPAN_LIT("one")));
	http_request_stream_end(open_stream);
	CHECK(rig_wait_eof(&rig, &c));
	CHECK(wait_text(&c, "text/event-stream\r\n\r\n"));
	check_ended(&c);
}

TEST(what_comes_behind_a_stream_never_runs)
{
	struct rig_client c;

	prepare();
	rig_start(&rig);
	open_with(&c, GET "GET /behind HTTP/1.1\r\nHost: h\r\n\r\n");
	CHECK(http_request_stream_write(open_stream, SPAN_LIT("one")));
	CHECK(wait_text(&c, "one\r\n"));
	rig_send_text(&rig, &c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	for (int i = 0; i < 20; i++)
		rig_turn(&rig, &c);
	http_request_stream_end(open_stream);
	CHECK(wait_text(&c, "0\r\n\r\n"));
	rig_send_text(&rig, &c, "GET /last HTTP/1.1\r\nHost: h\r\n\r\n");
	CHECK(rig_wait_eof(&rig, &c));
	CHECK_SPAN(buf_span(&rig.ran), "GET /s 0\n");
	check_ended(&c);
}

/* What a request sent in one piece with the stream's is answered with in this rig, so that the test above can fail. */
TEST(what_comes_behind_an_answer_runs)
{
	struct rig_client c;

	prepare();
	rig_start(&rig);
	rig_connect(&rig, &c);
	rig_send_text(
		&rig, &c, "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
	TURN_UNTIL(&c, span_eq_cstr(buf_span(&rig.ran), "GET /a 0\nGET /b 0\n"));
	CHECK_SPAN(buf_span(&rig.ran), "GET /a 0\nGET /b 0\n");
	rig_close(&c);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

/* Both are older than every deadline when the one that does not read is cut. */
TEST(who_does_not_read_is_cut_and_a_silent_stream_is_not)
{
	struct rig_client silent;
	struct rig_client deaf;

	prepare();
	rig.options.write_stall_ns = 50 * NS_PER_MS;
	rig.options.idle_ns = 50 * NS_PER_MS;
	rig.options.min_rate = 1000000;
	rig.options.rate_grace_ns = 10 * NS_PER_MS;
	rig_start(&rig);
	open_with(&silent, GET);
	struct http_request *quiet = open_stream;
	CHECK(wait_text(&silent, "\r\n\r\n"));
	open_with(&deaf, GET);
	/* On a busy machine the kernel would be first. */
	CHECK(setsockopt(bufferevent_getfd(open_stream->conn->bev), IPPROTO_TCP, TCP_USER_TIMEOUT,
		      &(unsigned){0}, sizeof(unsigned)) == 0);
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;
	int64_t cut = metric_get(METRIC_REPLIES_CUT);
	while (rig.n_closed == 0 && clock_mono_ns() < end) {
		(void)fill();
		CHECK(evbuffer_get_length(bufferevent_get_output(open_stream->conn->bev)) <=
			2 * HTTP_STREAM_BYTES_MAX);
		rig_turn(&rig, NULL);
	}
	CHECK_INT(rig.n_closed, 1);
	CHECK_INT(metric_get(METRIC_REPLIES_CUT) - cut, 1);
	CHECK(!http_request_stream_write(open_stream, SPAN_LIT("more")));
	http_request_stream_end(open_stream);
	CHECK(http_request_stream_write(quiet, SPAN_LIT("still here")));
	CHECK(wait_text(&silent, "still here\r\n"));
	open_stream = quiet;
	http_request_stream_end(quiet);
	rig_close(&deaf);
	check_ended(&silent);
}

/* The sweep would be much later. */
TEST(who_the_kernel_cuts_first_is_counted_too)
{
	struct rig_client c;

	prepare();
	rig.options.write_stall_ns = 60 * NS_PER_SEC;
	rig_start(&rig);
	open_with(&c, GET);
	CHECK(setsockopt(bufferevent_getfd(open_stream->conn->bev), IPPROTO_TCP, TCP_USER_TIMEOUT,
		      &(unsigned){50}, sizeof(unsigned)) == 0);
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;
	int64_t cut = metric_get(METRIC_REPLIES_CUT);
	while (rig.n_closed == 0 && clock_mono_ns() < end) {
		(void)fill();
		rig_turn(&rig, NULL);
	}
	CHECK_INT(rig.n_closed, 1);
	CHECK_INT(metric_get(METRIC_REPLIES_CUT) - cut, 1);
	http_request_stream_end(open_stream);
	rig_close(&c);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

/* Reads a little now and then: no stall, but below the least rate. */
TEST(who_reads_too_slowly_is_cut)
{
	struct rig_client c;
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;
	int64_t next = 0;
	char bytes[16];

	prepare();
	rig.options.min_rate = 1000000;
	rig.options.rate_grace_ns = 100 * NS_PER_MS;
	rig_start(&rig);
	open_with(&c, GET);
	while (rig.n_closed == 0 && clock_mono_ns() < end) {
		(void)fill();
		rig_turn(&rig, NULL);
		if (clock_mono_ns() < next)
			continue;
		next = clock_mono_ns() + NS_PER_MS;
		(void)!recv(c.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	}
	CHECK_INT(rig.n_closed, 1);
	http_request_stream_end(open_stream);
	rig_close(&c);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

/* Cuts the next chunk out of what has come; its bytes are all x. SIZE_MAX: not all of it is there. */
static size_t
cut_chunk(struct rig_client *c)
{
	struct span rest = span_from(buf_span(&c->in), c->at);
	size_t line = span_find(rest, '\r');
	size_t n = 0;

	if (line == SIZE_MAX || line + 2 > rest.n)
		return SIZE_MAX;
	for (size_t i = 0; i < line; i++)
		n = n * 16 + (size_t)(rest.p[i] <= '9' ? rest.p[i] - '0' : rest.p[i] - 'a' + 10);
	if (line + 2 + n + 2 > rest.n)
		return SIZE_MAX;
	for (size_t i = 0; i < n; i++) {
		if (rest.p[line + 2 + i] != 'x')
			FAIL("byte %zu of a chunk is not what was written", i);
	}
	CHECK(memcmp(rest.p + line + 2 + n, "\r\n", 2) == 0);
	c->at += line + 2 + n + 2;
	return n;
}

TEST(a_long_stream_goes_on_as_the_client_reads_and_comes_whole)
{
	struct rig_client c;
	struct rig_reply head;
	size_t n_written = 0;
	size_t n_read = 0;
	size_t n_chunk = 1;

	prepare();
	rig_start(&rig);
	open_with(&c, GET);
	CHECK(wait_text(&c, "\r\n\r\n"));
	CHECK(rig_cut_reply(&c, true, &head));
	while (n_written < 6 * 1024 * 1024) {
		unsigned before = n_drained;
		size_t n = fill();
		/* All was sent: there is room for as much as is kept, and no more. */
		CHECK(n >= HTTP_STREAM_BYTES_MAX / 2 && n <= HTTP_STREAM_BYTES_MAX + PIECE_BYTES);
		n_written += n;
		TURN_UNTIL(&c, n_drained > before);
		CHECK_INT(n_drained, before + 1);
	}
	http_request_stream_end(open_stream);
	CHECK(rig_wait_eof(&rig, &c));
	while (n_chunk > 0 && n_chunk != SIZE_MAX) {
		n_chunk = cut_chunk(&c);
		n_read += n_chunk;
	}
	CHECK_INT(n_chunk, 0);
	CHECK_INT(n_read, n_written);
	check_ended(&c);
}

TEST(a_client_that_leaves_is_noticed_and_told_of_once)
{
	struct rig_client c;

	for (int resets = 0; resets < 2; resets++) {
		prepare();
		rig_start(&rig);
		open_with(&c, GET);
		CHECK(wait_text(&c, "\r\n\r\n"));
		struct linger now = {.l_onoff = resets};
		CHECK(setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
		rig_close(&c);
		TURN_UNTIL(NULL, rig.n_closed > 0);
		/* The first tells the client's kernel, the next is refused by ours. */
		TURN_UNTIL(NULL, !http_request_stream_write(open_stream, SPAN_LIT("still there?")));
		CHECK_INT(http_server_count_connections(rig.server), 0);
		CHECK_INT(rig.n_closed, 1);
		CHECK_INT(http_server_count_requests(rig.server), 1);
		CHECK(!http_request_stream_write(open_stream, SPAN_LIT("no")));
		http_request_stream_end(open_stream);
		CHECK_INT(http_server_count_requests(rig.server), 0);
		rig_stop(&rig);
	}
}

TEST(a_client_that_closed_its_half_gets_the_end)
{
	struct rig_client c;

	prepare();
	rig_start(&rig);
	open_with(&c, GET);
	CHECK(shutdown(c.fd, SHUT_WR) == 0);
	TURN_UNTIL(&c, rig.n_closed > 0);
	CHECK(http_request_stream_write(open_stream, SPAN_LIT("goodbye")));
	http_request_stream_end(open_stream);
	CHECK(wait_text(&c, "\r\n7\r\ngoodbye\r\n0\r\n\r\n"));
	check_ended(&c);
}

TEST(an_aborted_stream_is_not_whole)
{
	struct rig_client c;

	prepare();
	rig_start(&rig);
	open_with(&c, GET);
	CHECK(http_request_stream_write(open_stream, SPAN_LIT("half")));
	CHECK(wait_text(&c, "half\r\n"));
	http_request_stream_abort(open_stream);
	CHECK(rig_wait_eof(&rig, &c));
	CHECK(wait_text(&c, "\r\n\r\n4\r\nhalf\r\n"));
	check_ended(&c);
}

TEST(the_end_of_the_server_tells_those_who_wait)
{
	struct rig_client c;

	prepare();
	rig_start(&rig);
	open_with(&c, GET);
	http_server_start_draining(rig.server);
	for (int i = 0; i < 3; i++)
		rig_turn(&rig, &c);
	CHECK_INT(rig.n_closed, 0);
	http_server_stop_accepting(rig.server);
	TURN_UNTIL(&c, rig.n_closed > 0);
	CHECK_INT(rig.n_closed, 1);
	/* Who begins to wait now is told as well. */
	http_request_set_closed_fn(open_stream, note_closed, NULL);
	TURN_UNTIL(&c, rig.n_closed > 1);
	CHECK_INT(rig.n_closed, 2);
	http_request_stream_end(open_stream);
	CHECK(wait_text(&c, "0\r\n\r\n"));
	check_ended(&c);
}

/* The end of the server is not held up by a client that takes nothing. */
TEST(a_stream_that_is_not_read_does_not_hold_up_the_end)
{
	struct rig_client c;
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	prepare();
	rig.options.write_stall_ns = 3600 * NS_PER_SEC;
	rig.options.min_rate = 0;
	rig.options.drain_ns = 50 * NS_PER_MS;
	rig_start(&rig);
	open_with(&c, GET);
	/* Until the kernel takes no more. */
	for (int n_full = 0; n_full < 20 && clock_mono_ns() < end;) {
		n_full = fill() == 0 ? n_full + 1 : 0;
		rig_turn(&rig, NULL);
	}
	http_server_stop_accepting(rig.server);
	TURN_UNTIL(NULL, rig.n_closed > 0);
	http_request_stream_end(open_stream);
	CHECK(rig_wait_connections(&rig, 0));
	CHECK_INT(http_server_count_requests(rig.server), 0);
	rig_close(&c);
	rig_stop(&rig);
}

/* Work that becomes due in the moment in which all is sent: behind the writing, in front of the callback that tells of it. */
struct late_work {
	struct event *event;
	size_t n_bytes;
	bool ends;
	unsigned n_runs;
};

static void
run_late(evutil_socket_t fd, short what, void *arg)
{
	struct late_work *late = arg;

	(void)fd;
	(void)what;
	late->n_runs++;
	CHECK(http_request_stream_write(open_stream, span_of(piece, late->n_bytes)));
	if (late->ends)
		http_request_stream_end(open_stream);
}

static void
on_output(struct evbuffer *output, const struct evbuffer_cb_info *change, void *arg)
{
	struct late_work *late = arg;

	if (change->n_deleted == 0 || evbuffer_get_length(output) > 0 || late->n_runs > 0)
		return;
	event_active(late->event, EV_READ, 0);
}

static void
watch_output(struct late_work *late)
{
	struct bufferevent *bev = open_stream->conn->bev;

	late->event = event_new(bufferevent_get_base(bev), -1, 0, run_late, late);
	CHECK(late->event != NULL);
	CHECK(evbuffer_add_cb(bufferevent_get_output(bev), on_output, late) != NULL);
}

/* Over TLS the engine only makes a note that all is sent, and tells of it later in the turn. */
TEST(what_is_written_in_the_turn_that_drains_comes_whole)
{
	static const char *const requests[] = {GET, "GET /s HTTP/1.0\r\n\r\n"};

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct rig_client c;
		struct late_work late = {.n_bytes = 30000, .ends = true};

		prepare();
		rig_start(&rig);
		open_with(&c, requests[i]);
		TURN_UNTIL(&c, rig.server->lists[CONN_STREAM].first != NULL);
		watch_output(&late);
		CHECK(http_request_stream_write(open_stream, SPAN_LIT("first")));
		CHECK(rig_wait_eof(&rig, &c));
		CHECK_INT(late.n_runs, 1);
		struct span got = buf_span(&c.in);
		struct span last = i == 0 ? SPAN_LIT("x\r\n0\r\n\r\n") : SPAN_LIT("xxxxxxxx");
		if (!CHECK(got.n > late.n_bytes))
			return;
		CHECK_SPAN(span_from(got, got.n - last.n), last.p);
		CHECK(i == 0 || span_starts(span_from(got, got.n - late.n_bytes - 6),
					SPAN_LIT("\nfirstx")));
		event_free(late.event);
		check_ended(&c);
	}
}

/* Else a client that takes none of it would be kept without a deadline. */
TEST(what_is_written_in_the_turn_that_drains_is_timed)
{
	struct rig_client c;
	struct late_work late = {.n_bytes = sizeof(piece)};

	prepare();
	rig.options.write_stall_ns = 50 * NS_PER_MS;
	rig_start(&rig);
	open_with(&c, GET);
	TURN_UNTIL(&c, rig.server->lists[CONN_STREAM].first != NULL);
	watch_output(&late);
	CHECK(http_request_stream_write(open_stream, SPAN_LIT("first")));
	TURN_UNTIL(NULL, late.n_runs > 0);
	CHECK(evbuffer_get_length(bufferevent_get_output(open_stream->conn->bev)) > 0);
	CHECK_INT(open_stream->conn->state, CONN_SENDING);
	for (int i = 0; i < 50 && rig.n_closed == 0; i++) {
		(void)fill();
		rig_turn(&rig, NULL);
	}
	TURN_UNTIL(NULL, rig.n_closed > 0);
	CHECK_INT(rig.n_closed, 1);
	http_request_stream_end(open_stream);
	event_free(late.event);
	rig_close(&c);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

SUITE("net/stream", TEST_ROW(pieces_are_chunks_and_the_connection_ends_behind_them),
	TEST_ROW(a_stream_of_http_1_0_ends_with_its_connection), TEST_ROW(head_gets_no_piece),
	TEST_ROW(what_comes_behind_a_stream_never_runs), TEST_ROW(what_comes_behind_an_answer_runs),
	TEST_ROW(who_does_not_read_is_cut_and_a_silent_stream_is_not),
	TEST_ROW(who_the_kernel_cuts_first_is_counted_too), TEST_ROW(who_reads_too_slowly_is_cut),
	TEST_ROW(a_long_stream_goes_on_as_the_client_reads_and_comes_whole),
	TEST_ROW(a_client_that_leaves_is_noticed_and_told_of_once),
	TEST_ROW(a_client_that_closed_its_half_gets_the_end),
	TEST_ROW(an_aborted_stream_is_not_whole),
	TEST_ROW(the_end_of_the_server_tells_those_who_wait),
	TEST_ROW(a_stream_that_is_not_read_does_not_hold_up_the_end),
	TEST_ROW(what_is_written_in_the_turn_that_drains_comes_whole),
	TEST_ROW(what_is_written_in_the_turn_that_drains_is_timed))
