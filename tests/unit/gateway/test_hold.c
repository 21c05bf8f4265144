/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A held request against every order of what can happen to it: the decision before and after it looks, the client that leaves, the end of the
 * server, answers that pass by themselves. Server, board and loop are real; looking, running the action and the replies are
 * played by the test, which so decides when each comes.
 */
#include "hold.h"

#include "base/mem.h"
#include "base/metric.h"
#include "pipeline/approvals.h"
#include "pipeline/snapshot.h"
#include "played.h"
#include "request_trace.h"
#include "routes.h"

#define ID "apr_0123456789abcdef01234567"
#define OTHER "apr_ffffffffffffffffffffffff"

static struct approvals_wait_limits limits;
static long live_before;

/* ---- what is played ---- */

static approvals_done_fn look_done;
static void *look_arg;
static int n_looks;

void
approvals_look(
	const struct approvals_call *call, struct span approval_id, const struct identity *identity)
{
	(void)approval_id;
	CHECK_SPAN(identity->agent, "bot");
	look_done = call->done;
	look_arg = call->arg;
	n_looks++;
}

static void
answer_look(unsigned status, const char *state)
{
	struct approvals_answer answer = {.status = status, .code = "", .state = state};

	look_done(&answer, look_arg);
}

struct approvals_wait_limits
approvals_get_wait_limits(const struct snapshot *s)
{
	(void)s;
	return limits;
}

static const char *policy_in_force = "p1";

const char *
snapshot_get_policy_hash(const struct snapshot *s)
{
	(void)s;
	return policy_in_force;
}

static req_done_fn run_done;
static void *run_arg;
static int n_runs;
static bool has_no_memory;
static char run_id[BOARD_ID_MAX];

bool
action_start(struct http_request *http, struct worker *worker, struct span approval_id,
	req_done_fn done, void *arg)
{
	(void)http;
	(void)worker;
	if (has_no_memory)
		return false;
	memset(run_id, 0, sizeof(run_id));
	memcpy(run_id, approval_id.p, approval_id.n);
	run_done = done;
	run_arg = arg;
	n_runs++;
	return true;
}

void
request_trace_held(const struct http_request *http)
{
	(void)http;
}

void
req_free(struct req **r)
{
	*r = NULL;
}

struct arena *
req_get_arena(struct req *r)
{
	(void)r;
	return NULL;
}

void
reply_build_decision(struct buf *b, const struct req_result *result)
{
	buf_printf(b, "undecided %.*s", SPAN_ARG(result->approval_id));
}

void
reply_decision(struct http_request *http, const struct http_header *extra, size_t n_extra,
	struct span body)
{
	http_request_reply(http, 200, extra, n_extra, body);
}

void
reply_result(struct http_request *http, struct arena *a, const struct req_result *result,
	const struct http_header *extra, size_t n_extra)
{
	(void)a;
	http_request_reply(http, 200, extra, n_extra,
		result->verdict == VERDICT_ALLOW ? SPAN_LIT("allowed") : SPAN_LIT("refused"));
}

/* ---- a request that waits ---- */

static struct action action;

static struct req_result
asking(const char *id)
{
	return (struct req_result){
		.action = &action,
		.verdict = VERDICT_REQUIRE_APPROVAL,
		.approval_id = span_cstr(id),
		.approval_status = "pending",
		.policy_hash = "p1",
	};
}

static void
keep(struct http_request *req, void *arg)
{
	(void)arg;
	rig.pending = req;
	http_request_defer(req);
}

static void
prepare(struct rig_client *c, const char *request)
{
	struct errinfo ei;

	live_before = mem_live();
	action.identity = (struct identity){SPAN_LIT("alice"), SPAN_LIT("bot"), SPAN_LIT("dev")};
	limits = (struct approvals_wait_limits){60 * NS_PER_SEC, 10, 10};
	n_looks = 0;
	n_runs = 0;
	has_no_memory = false;
	rig_options(&rig);
	rig.handler = keep;
	rig_start(&rig);
	CHECK_INT(board_new(&board, &ei), OK);
	rig_connect(&rig, c);
	rig_send_text(&rig, c, request);
	while (rig.pending == NULL)
		rig_turn(&rig, c);
}

#define WAITING "GET /a HTTP/1.1\r\nHost: h\r\nPrefer: wait=30\r\n\r\n"

static void
start_held(struct rig_client *c)
{
	struct req_result result = asking(ID);

	prepare(c, WAITING);
	CHECK(hold_begin(rig.pending, NULL, &result));
	CHECK_INT(n_looks, 1);
	CHECK_INT(metric_get(METRIC_REQUESTS_HELD), 1);
	CHECK_INT(board_count(board, BOARD_ROOM_WAITS), 1);
}

static void
publish(const char *id, const char *status)
{
	board_publish(board, span_cstr(id), status);
	loop_turn(rig.loop, false);
}

static void
finish_run(struct req_result result)
{
	run_done(NULL, &result, run_arg);
}

static void
check_reply(struct rig_client *c, const char *body)
{
	struct rig_reply reply;

	CHECK(rig_wait_reply(&rig, c, false, &reply));
	CHECK_SPAN(reply.body, body);
	CHECK_SPAN(rig_find(&reply, "Preference-Applied"), "wait=30");
}

static void
stop(struct rig_client *c)
{
	rig_close(c);
	CHECK(rig_wait_connections(&rig, 0));
	CHECK_INT(http_server_count_requests(rig.server), 0);
	CHECK_INT(board_count(board, BOARD_ROOM_WAITS), 0);
	CHECK_INT(metric_get(METRIC_REQUESTS_HELD), 0);
	rig_stop(&rig);
	board_free(&board);
	CHECK_INT(mem_live(), live_before);
}

static const struct req_result allowed = {.action = &action, .verdict = VERDICT_ALLOW};

/* Between the commit of the question and the place at the board: only the look finds it. */
TEST(what_was_decided_before_it_waits_is_found)
{
	struct rig_client c;

	start_held(&c);
	answer_look(200, "approved");
	CHECK_INT(n_runs, 1);
	CHECK_STR(run_id, ID);
	finish_run(allowed);
	check_reply(&c, "allowed");
	stop(&c);
}

/* While the look is on its way it may say either. */
TEST(what_is_decided_while_it_looks_is_heard_once)
{
	static const char *const seen[] = {"approved", "pending"};

	for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
		struct rig_client c;

		start_held(&c);
		publish(ID, "approved");
		CHECK_INT(n_runs, 1);
		answer_look(200, seen[i]);
		CHECK_INT(n_runs, 1);
		finish_run(allowed);
		check_reply(&c, "allowed");
		stop(&c);
	}
}

TEST(a_look_that_comes_after_the_answer_changes_nothing)
{
	struct rig_client c;

	start_held(&c);
	publish(ID, "denied");
	finish_run(allowed);
	check_reply(&c, "allowed");
	answer_look(200, "denied");
	CHECK_INT(n_runs, 1);
	stop(&c);
}

TEST(only_a_decision_ends_the_wait)
{
	struct rig_client c;

	start_held(&c);
	answer_look(200, "pending");
	publish(ID, "pending"); /* one vote of two */
	publish(OTHER, "approved");
	CHECK_INT(n_runs, 0);
	CHECK_INT(board_count(board, BOARD_ROOM_WAITS), 1);
	publish(ID, "expired");
	CHECK_INT(n_runs, 1);
	finish_run(allowed);
	check_reply(&c, "allowed");
	stop(&c);
}

TEST(a_client_that_leaves_while_it_is_looked_ends_the_wait)
{
	struct rig_client c;

	start_held(&c);
	shutdown(c.fd, SHUT_WR);
	check_reply(&c, "undecided " ID);
	CHECK_INT(board_count(board, BOARD_ROOM_WAITS), 0);
	answer_look(200, "approved");
	publish(ID, "approved");
	CHECK_INT(n_runs, 0);
	stop(&c);
}

/* The sweep has not seen it yet. */
TEST(nothing_runs_for_a_client_that_has_just_left)
{
	struct rig_client c;

	start_held(&c);
	answer_look(200, "pending");
	close(c.fd);
	publish(ID, "approved");
	CHECK_INT(n_runs, 0);
	CHECK(rig_wait_connections(&rig, 0));
	c.fd = socket(AF_INET, SOCK_STREAM, 0);
	stop(&c);
}

TEST(the_end_of_the_server_ends_the_wait)
{
	struct rig_client c;

	start_held(&c);
	answer_look(200, "pending");
	http_server_start_draining(rig.server);
	http_server_stop_accepting(rig.server);
	check_reply(&c, "undecided " ID);
	stop(&c);
}

/* The action runs already: its answer is the answer. */
TEST(the_end_of_the_server_waits_for_what_runs)
{
	struct rig_client c;

	start_held(&c);
	answer_look(200, "approved");
	http_server_stop_accepting(rig.server);
	for (int i = 0; i < 5; i++)
		rig_turn(&rig, &c);
	CHECK_INT(c.in.n, 0);
	finish_run(allowed);
	check_reply(&c, "allowed");
	stop(&c);
}

TEST(what_is_asked_for_anew_is_waited_for_anew)
{
	struct rig_client c;

	start_held(&c);
	answer_look(200, "approved");
	finish_run(asking(OTHER)); /* another policy since */
	CHECK_INT(n_looks, 2);
	answer_look(200, "pending");
	publish(ID, "consumed");
	CHECK_INT(n_runs, 1);
	publish(OTHER, "approved");
	CHECK_INT(n_runs, 2);
	CHECK_STR(run_id, OTHER);
	finish_run(allowed);
	check_reply(&c, "allowed");
	stop(&c);
}

TEST(an_approval_that_is_not_honoured_is_the_answer)
{
	struct req_result result = asking(ID);
	struct rig_client c;

	result.approval_status = "consumed";
	start_held(&c);
	answer_look(200, "consumed");
	finish_run(result);
	check_reply(&c, "refused");
	stop(&c);
}

/* The approval that was asked for under the old policy does not end the wait; the one that the new policy asks for does. */
TEST(another_policy_asks_anew)
{
	struct req_result result = asking(OTHER);
	struct rig_client c;

	start_held(&c);
	answer_look(200, "pending");
	board_renew(board, rig.loop);
	loop_turn(rig.loop, false);
	CHECK_INT(n_runs, 1);
	result.approval_status = "policy_changed";
	finish_run(result);
	answer_look(200, "pending");
	publish(OTHER, "approved");
	CHECK_INT(n_runs, 2);
	CHECK_STR(run_id, OTHER);
	finish_run(allowed);
	check_reply(&c, "allowed");
	stop(&c);
}

static void
turn_until_run(int n)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	while (n_runs < n && clock_mono_ns() < end)
		rig_turn(&rig, NULL);
	CHECK_INT(n_runs, n);
}

/* No slot, no room in the rate, a look that the ledger did not take, no memory: each passes by itself. */
TEST(what_passes_by_itself_is_tried_again)
{
	struct rig_client c;

	start_held(&c);
	answer_look(503, "");
	turn_until_run(1);
	finish_run((struct req_result){.error = REQ_ERROR_RATE});
	turn_until_run(2);
	finish_run((struct req_result){.error = REQ_ERROR_OVERLOADED});
	turn_until_run(3);
	finish_run(asking(ID));
	has_no_memory = true;
	answer_look(200, "approved");
	CHECK_INT(n_runs, 3);
	has_no_memory = false;
	turn_until_run(4);
	finish_run(allowed);
	check_reply(&c, "allowed");
	stop(&c);
}

/* Nobody tells of an exchange that happened before the place was taken. */
TEST(what_the_policy_before_has_decided_is_decided_anew)
{
	struct rig_client c;

	start_held(&c);
	answer_look(200, "pending");
	publish(ID, "approved");
	policy_in_force = "p2";
	finish_run(asking(ID));
	policy_in_force = "p1";
	turn_until_run(2);
	finish_run(allowed);
	check_reply(&c, "allowed");
	stop(&c);
}

TEST(when_its_time_is_over_it_gets_the_question)
{
	struct rig_client c;
	struct rig_reply reply;
	struct req_result result = asking(ID);

	prepare(&c, "GET /a HTTP/1.1\r\nHost: h\r\nPrefer: wait=1\r\n\r\n");
	CHECK(hold_begin(rig.pending, NULL, &result));
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_SPAN(reply.body, "undecided " ID);
	CHECK_SPAN(rig_find(&reply, "Preference-Applied"), "wait=1");
	/* The look is still on its way. */
	answer_look(200, "approved");
	CHECK_INT(n_runs, 0);
	stop(&c);
}

/* What is refused is answered by the caller. */
static void
check_not_held(const char *request, struct req_result result)
{
	struct rig_client c;
	struct rig_reply reply;
	size_t places = limits.max;

	prepare(&c, request);
	limits.max = places;
	CHECK(!hold_begin(rig.pending, NULL, &result));
	http_request_reply(rig.pending, 200, NULL, 0, SPAN_LIT("at once"));
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_SPAN(reply.body, "at once");
	stop(&c);
}

TEST(only_who_asks_for_it_and_has_a_place_is_held)
{
	struct req_result gone = asking(ID);

	limits.max = 10;
	check_not_held("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", asking(ID));
	check_not_held("GET /a HTTP/1.1\r\nHost: h\r\nPrefer: wait=0\r\n\r\n", asking(ID));
	check_not_held(WAITING, allowed);
	check_not_held(WAITING, (struct req_result){.error = REQ_ERROR_RATE});
	gone.approval_status = "expired";
	check_not_held(WAITING, gone);
	gone = asking("");
	check_not_held(WAITING, gone);
	limits.max = 0;
	check_not_held(WAITING, asking(ID));
}

TEST(without_memory_it_is_not_held)
{
	struct rig_client c;
	struct req_result result = asking(ID);
	unsigned long n_failed = 0;
	bool is_held = false;

	prepare(&c, WAITING);
	while (!is_held && n_failed < 100) {
		mem_fail_at(n_failed + 1);
		is_held = hold_begin(rig.pending, NULL, &result);
		mem_fail_at(0);
		n_failed += is_held ? 0 : 1;
	}
	CHECK(is_held && n_failed >= 4);
	answer_look(200, "approved");
	finish_run(allowed);
	check_reply(&c, "allowed");
	stop(&c);
}

SUITE("hold", TEST_ROW(what_was_decided_before_it_waits_is_found),
	TEST_ROW(what_is_decided_while_it_looks_is_heard_once),
	TEST_ROW(a_look_that_comes_after_the_answer_changes_nothing),
	TEST_ROW(only_a_decision_ends_the_wait),
	TEST_ROW(a_client_that_leaves_while_it_is_looked_ends_the_wait),
	TEST_ROW(nothing_runs_for_a_client_that_has_just_left),
	TEST_ROW(the_end_of_the_server_ends_the_wait),
	TEST_ROW(the_end_of_the_server_waits_for_what_runs),
	TEST_ROW(what_is_asked_for_anew_is_waited_for_anew),
	TEST_ROW(an_approval_that_is_not_honoured_is_the_answer),
	TEST_ROW(what_passes_by_itself_is_tried_again), TEST_ROW(another_policy_asks_anew),
	TEST_ROW(what_the_policy_before_has_decided_is_decided_anew),
	TEST_ROW(when_its_time_is_over_it_gets_the_question),
	TEST_ROW(only_who_asks_for_it_and_has_a_place_is_held),
	TEST_ROW(without_memory_it_is_not_held))
