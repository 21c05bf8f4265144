/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A held request is no request of the pipeline: that one is over, its memory, slot and snapshot are given back. What is kept is the
 * connection with what the client sent, the answer that holds as long as nobody has decided, and a place at the board. News makes a
 * new request of what the client sent, with the approval's id as we gave it, under the snapshot of then. It joins the board first
 * and looks at the approval then, so that no decision falls between. Must never run the action when the client has left,
 * its time is over or the process ends. Worker's thread.
 */
#include "hold.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "pipeline/approvals.h"
#include "pipeline/board.h"
#include "pipeline/snapshot.h"
#include "prefer.h"
#include "request_trace.h"
#include "routes.h"
#include "wait_place.h"

#define HOLD_MAGIC 0x401dbeefu
/* What was turned away for a rate or for load is tried again after so long. */
#define RETRY_NS NS_PER_SEC

struct hold {
	unsigned magic;
	struct http_request *http;
	struct worker *worker;
	struct board_waiter *waiter;
	struct loop_timer *timer; /* of the end, or of the next try */
	int64_t deadline_ns;
	char applied[24]; /* "wait=30" */
	char approval_id[BOARD_ID_MAX];
	struct buf body; /* the answer while nobody has decided */
	bool is_running; /* a request of the pipeline is made of it */
	bool is_looking; /* the look's answer is on its way and refers to this */
	bool is_over;    /* the client has left, or the server ends */
	bool is_done;    /* answered; only a look still refers to it */
};

static void run_again(struct hold *h);
static bool wait_for(struct hold *h, const struct req_result *result);

static struct http_header
preference_applied(const struct hold *h)
{
	return (struct http_header){SPAN_LIT("Preference-Applied"), span_cstr(h->applied)};
}

static void
free_hold(struct hold *h)
{
	buf_fini(&h->body);
	h->magic = 0;
	mem_free(h);
}

/* After the answer. */
static void
end(struct hold *h)
{
	board_leave(&h->waiter);
	loop_timer_free(&h->timer);
	metric_add(METRIC_REQUESTS_HELD, -1);
	h->is_done = true;
	if (!h->is_looking)
		free_hold(h);
}

static void
answer_undecided(struct hold *h)
{
	struct http_header extra = preference_applied(h);

	request_trace_held(h->http);
	reply_decision(h->http, &extra, 1, buf_span(&h->body));
	end(h);
}

static int64_t
time_left(const struct hold *h)
{
	return h->deadline_ns - loop_now_ns(worker_get_loop(h->worker));
}

static void
arm(struct hold *h, int64_t delay_ns)
{
	int64_t left = time_left(h);

	loop_timer_arm(h->timer, delay_ns < left ? delay_ns : left);
}

static void
on_timer(void *arg)
{
	struct hold *h;

	OBJ_CAST(h, arg, HOLD_MAGIC);
	if (h->is_running)
		return;
	if (time_left(h) <= 0)
		answer_undecided(h);
	else
		run_again(h);
}

static void
on_closed(struct http_request *http, void *arg)
{
	struct hold *h;

	(void)http;
	OBJ_CAST(h, arg, HOLD_MAGIC);
	h->is_over = true;
	if (!h->is_running)
		answer_undecided(h);
}

static void
on_news(const struct board_news *news, void *arg)
{
	struct hold *h;

	OBJ_CAST(h, arg, HOLD_MAGIC);
	/* Not for one vote of several. Another policy may ask no more, or ask others. */
	if (!h->is_running && (strcmp(news->status, "pending") != 0 || news->has_missed))
		run_again(h);
}

static void
on_look(const struct approvals_answer *answer, void *arg)
{
	struct hold *h;

	OBJ_CAST(h, arg, HOLD_MAGIC);
	h->is_looking = false;
	if (h->is_done) {
		free_hold(h);
		return;
	}
	if (h->is_running)
		return;
	if (answer->status != 200)
		arm(h, RETRY_NS);
	else if (strcmp(answer->state, "pending") != 0)
		run_again(h);
}

/* Of what would pass by itself, and has done nothing. */
static bool
may_try_again(enum req_error e)
{
	return e == REQ_ERROR_RATE || e == REQ_ERROR_CIRCUIT || e == REQ_ERROR_OVERLOADED;
}

static void
on_done(struct req *r, const struct req_result *result, void *arg)
{
	struct hold *h;

	OBJ_CAST(h, arg, HOLD_MAGIC);
	h->is_running = false;
	if (may_try_again(result->error)) {
		if (h->is_over || time_left(h) <= 0)
			answer_undecided(h);
		else
			arm(h, RETRY_NS);
	} else if (h->is_over || !wait_for(h, result)) {
		struct http_header extra = preference_applied(h);
		reply_result(h->http, req_get_arena(r), result, &extra, 1);
		end(h);
	}
	req_free(&r);
}

static void
run_again(struct hold *h)
{
	board_leave(&h->waiter);
	if (http_request_has_left(h->http)) {
		answer_undecided(h);
		return;
	}
	h->is_running = true;
	request_trace_held(h->http);
	if (action_start(h->http, h->worker, span_cstr(h->approval_id), on_done, h))
		return;
	h->is_running = false;
	arm(h, RETRY_NS);
}

static void
look(struct hold *h, const struct identity *identity)
{
	struct approvals_call call = {
		.pipeline = worker_get_pipeline(h->worker),
		.snapshot = worker_get_snapshot(h->worker),
		.loop = worker_get_loop(h->worker),
		.done = on_look,
		.arg = h,
		.is_paid = true, /* bounded by the places at the board */
	};

	h->is_looking = true;
	approvals_look(&call, span_cstr(h->approval_id), identity);
}

/* Whether it waits for a person, who has not decided: of one that was asked for under another policy nobody can say so. */
static bool
is_waiting(const struct req_result *result)
{
	const char *status = result->approval_status != NULL ? result->approval_status : "";

	return result->error == REQ_DECIDED && result->verdict == VERDICT_REQUIRE_APPROVAL &&
	       result->approval_id.n > 0 && result->approval_id.n < BOARD_ID_MAX &&
	       (status[0] == '\0' || strcmp(status, "pending") == 0 ||
		       strcmp(status, "policy_changed") == 0);
}

static bool
is_current(const struct hold *h, const struct req_result *result)
{
	return strcmp(result->policy_hash,
		       snapshot_get_policy_hash(worker_get_snapshot(h->worker))) == 0;
}

/* Takes the place for this result; false when it has to be given as the answer. */
static bool
wait_for(struct hold *h, const struct req_result *result)
{
	/* One look at a time: that of the approval before could still be on its way. */
	if (!is_waiting(result) || time_left(h) <= 0 || h->is_looking)
		return false;
	buf_reset(&h->body);
	reply_build_decision(&h->body, result);
	memset(h->approval_id, 0, sizeof(h->approval_id));
	memcpy(h->approval_id, result->approval_id.p, result->approval_id.n);
	if (buf_failed(&h->body) ||
		wait_place_take(h->worker, span_cstr(h->approval_id),
			result->action->identity.principal, on_news, h, &h->waiter) != OK)
		return false;
	/* The policy was exchanged while this was decided: nobody will tell. */
	if (!is_current(h, result)) {
		arm(h, 0);
		return true;
	}
	arm(h, INT64_MAX);
	look(h, &result->action->identity);
	return true;
}

/* What the client prefers, and may have. */
static int64_t
read_wait(const struct http_request *http, const struct worker *worker)
{
	struct approvals_wait_limits limits =
		approvals_get_wait_limits(worker_get_snapshot(worker));
	const struct http_header *headers;
	size_t n = http_request_get_headers(http, &headers);
	int64_t wait_ns = (int64_t)prefer_read_wait(headers, n) * NS_PER_SEC;

	return wait_ns < limits.max_wait_ns ? wait_ns : limits.max_wait_ns;
}

bool
hold_begin(struct http_request *http, struct worker *worker, const struct req_result *result)
{
	int64_t wait_ns = is_waiting(result) ? read_wait(http, worker) : 0;
	struct hold *h;

	if (wait_ns <= 0)
		return false;
	h = mem_zalloc(1, sizeof(*h));
	if (h == NULL)
		return false;
	h->magic = HOLD_MAGIC;
	h->http = http;
	h->worker = worker;
	h->deadline_ns = http_request_get_start_ns(http) + wait_ns;
	snprintf(h->applied, sizeof(h->applied), "wait=%lld", (long long)(wait_ns / NS_PER_SEC));
	buf_init(&h->body, BUF_CAP_REPLY);
	h->timer = loop_timer_new(worker_get_loop(worker), on_timer, h);
	metric_add(METRIC_REQUESTS_HELD, 1);
	if (h->timer == NULL || !wait_for(h, result)) {
		end(h);
		return false;
	}
	http_request_set_closed_fn(http, on_closed, h);
	return true;
}
