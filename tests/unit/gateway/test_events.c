/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent's stream of one approval against every order of what can happen to it. Looking and authentication are played by the
 * test, which so decides when each answers.
 */
#include "base/mem.h"
#include "pipeline/approvals.h"
#include "played.h"
#include "routes.h"

#define ID "apr_0123456789abcdef01234567"
#define GET "GET /s HTTP/1.1\r\nHost: h\r\n\r\n"

static approvals_done_fn look_done;
static void *look_arg;
static int n_looks;
static bool may_read;
static size_t n_used; /* times that a nonce would have been used up */
static size_t n_places;
static long live_before;

void
approvals_look(
	const struct approvals_call *call, struct span approval_id, const struct identity *identity)
{
	CHECK_SPAN(approval_id, ID);
	CHECK_SPAN(identity->principal, "alice");
	look_done = call->done;
	look_arg = call->arg;
	n_looks++;
}

static void
answer_look(unsigned status, const char *state)
{
	struct buf body;

	buf_init(&body, BUF_CAP_LOG_LINE);
	buf_printf(&body, "{\"status\":\"%s\"}\n", state);
	struct approvals_answer answer = {.status = status,
		.code = "approval_error",
		.text = buf_span(&body),
		.state = state};
	look_done(&answer, look_arg);
	buf_fini(&body);
	loop_turn(rig.loop, false);
}

struct approvals_wait_limits
approvals_get_wait_limits(const struct snapshot *s)
{
	(void)s;
	return (struct approvals_wait_limits){NS_PER_SEC, n_places, n_places};
}

struct req_credentials
exchange_get_credentials(const struct http_request *http)
{
	(void)http;
	return (struct req_credentials){.agent_id = SPAN_NONE};
}

enum err
req_authorize_reader(const struct pipeline *p, const struct snapshot *s,
	const struct req_credentials *credentials, struct identity *out, struct caller *by)
{
	*by = (struct caller){.principal = SPAN_NONE};
	(void)p;
	(void)s;
	n_used += credentials->keeps_nonce ? 0 : 1;
	*out = (struct identity){SPAN_LIT("alice"), SPAN_LIT("bot"), SPAN_LIT("dev")};
	return may_read ? OK : ERR_AUTH;
}

void
reply_error(struct http_request *http, unsigned status, const char *code, struct span message,
	uint32_t retry_after_s)
{
	(void)code;
	(void)message;
	(void)retry_after_s;
	http_request_reply(http, status, NULL, 0, SPAN_LIT("refused"));
}

static void
open_events(struct http_request *req, void *arg)
{
	struct exchange x = {.http = req, .id = SPAN_LIT(ID)};

	(void)arg;
	x.identity.principal = SPAN_LIT("alice");
	rig.pending = req;
	api_approval_events(&x);
}

static void
start_as(struct rig_client *c, bool is_known)
{
	live_before = mem_live();
	may_read = is_known;
	n_places = 1;
	n_looks = 0;
	rig_options(&rig);
	rig.handler = open_events;
	rig_start(&rig);
	CHECK_INT(board_new(&board, NULL), OK);
	rig_connect(&rig, c);
	rig_send_text(&rig, c, GET);
	while (rig.pending == NULL)
		rig_turn(&rig, c);
}

static void
start(struct rig_client *c)
{
	start_as(c, true);
}

static void
stop(struct rig_client *c)
{
	rig_close(c);
	CHECK(rig_wait_connections(&rig, 0));
	CHECK_INT(n_used, 0);
	CHECK_INT(http_server_count_requests(rig.server), 0);
	CHECK_INT(board_count(board, BOARD_ROOM_WAITS), 0);
	rig_stop(&rig);
	board_free(&board);
	CHECK_INT(mem_live(), live_before);
}

static void
publish(const char *status)
{
	board_publish(board, SPAN_LIT(ID), status);
	loop_turn(rig.loop, false);
}

static void
check_whole_end(struct rig_client *c)
{
	CHECK(rig_wait_eof(&rig, c));
	CHECK(c->in.n > 5 && memcmp(c->in.p + c->in.n - 5, "0\r\n\r\n", 5) == 0);
}

static void
check_refused(struct rig_client *c, unsigned status)
{
	struct rig_reply reply;

	CHECK(rig_wait_reply(&rig, c, false, &reply));
	CHECK_INT(reply.status, status);
}

TEST(each_change_is_looked_at_and_the_last_ends_it)
{
	struct rig_client c;

	start(&c);
	CHECK_INT(n_looks, 1);
	answer_look(200, "pending");
	CHECK(wait_text(&c, "event: approval\ndata: {\"status\":\"pending\"}\n\n"));
	CHECK_INT(n_looks, 1);
	publish("approved");
	CHECK_INT(n_looks, 2);
	answer_look(200, "approved");
	CHECK(wait_text(&c, "{\"status\":\"approved\"}"));
	publish("consumed");
	answer_look(200, "consumed");
	check_whole_end(&c);
	CHECK(strstr(c.in.p, "{\"status\":\"consumed\"}") != NULL);
	stop(&c);
}

/* The look that is on its way may have been too early. */
TEST(what_changes_while_it_looks_is_looked_at_again)
{
	struct rig_client c;

	start(&c);
	publish("approved");
	publish("consumed");
	CHECK_INT(n_looks, 1);
	answer_look(200, "pending");
	CHECK_INT(n_looks, 2);
	answer_look(200, "consumed");
	check_whole_end(&c);
	stop(&c);
}

TEST(what_is_not_its_own_is_refused_before_anything_is_sent)
{
	struct rig_client c;

	start(&c);
	answer_look(404, "");
	check_refused(&c, 404);
	stop(&c);
}

TEST(a_look_that_fails_later_is_made_up_for_by_the_next_news)
{
	struct rig_client c;

	start(&c);
	answer_look(200, "pending");
	publish("approved");
	answer_look(503, "");
	publish("consumed");
	CHECK_INT(n_looks, 3);
	answer_look(200, "consumed");
	check_whole_end(&c);
	stop(&c);
}

TEST(an_approval_that_is_removed_ends_it)
{
	struct rig_client c;

	start(&c);
	answer_look(200, "approved");
	publish("expired");
	answer_look(404, "");
	check_whole_end(&c);
	stop(&c);
}

TEST(a_client_that_leaves_while_it_is_looked_is_forgotten_after_the_look)
{
	struct rig_client c;

	start(&c);
	shutdown(c.fd, SHUT_WR);
	check_refused(&c, 503);
	CHECK_INT(board_count(board, BOARD_ROOM_WAITS), 0);
	answer_look(200, "pending");
	stop(&c);
}

TEST(a_client_that_leaves_the_stream_gives_its_place_back)
{
	struct rig_client c;

	start(&c);
	answer_look(200, "pending");
	CHECK(wait_text(&c, "pending"));
	publish("approved");
	shutdown(c.fd, SHUT_WR);
	check_whole_end(&c);
	answer_look(200, "approved");
	stop(&c);
}

TEST(it_ends_with_the_server)
{
	struct rig_client c;

	start(&c);
	answer_look(200, "pending");
	http_server_stop_accepting(rig.server);
	check_whole_end(&c);
	stop(&c);
}

TEST(a_key_that_is_gone_sees_no_more)
{
	struct rig_client c;

	start(&c);
	answer_look(200, "pending");
	may_read = false;
	publish("approved");
	CHECK_INT(n_looks, 1);
	http_server_stop_accepting(rig.server);
	check_whole_end(&c);
	CHECK(strstr(c.in.p, "approved") == NULL);
	stop(&c);
}

/* There is no stream yet that a timer could end. */
TEST(a_key_that_is_gone_before_the_stream_began_is_answered)
{
	struct rig_client c;

	start_as(&c, false);
	CHECK_INT(n_looks, 0);
	check_refused(&c, 401);
	stop(&c);
}

SUITE("events", TEST_ROW(each_change_is_looked_at_and_the_last_ends_it),
	TEST_ROW(what_changes_while_it_looks_is_looked_at_again),
	TEST_ROW(what_is_not_its_own_is_refused_before_anything_is_sent),
	TEST_ROW(a_look_that_fails_later_is_made_up_for_by_the_next_news),
	TEST_ROW(an_approval_that_is_removed_ends_it),
	TEST_ROW(a_client_that_leaves_while_it_is_looked_is_forgotten_after_the_look),
	TEST_ROW(a_client_that_leaves_the_stream_gives_its_place_back),
	TEST_ROW(it_ends_with_the_server), TEST_ROW(a_key_that_is_gone_sees_no_more),
	TEST_ROW(a_key_that_is_gone_before_the_stream_began_is_answered))
