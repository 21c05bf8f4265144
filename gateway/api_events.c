/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /approvals/{id}/events: an agent follows an approval that it asked for. Event `approval` is what GET /approvals/{id} says, first as it
 * is and then after each change; behind a state that is final the stream ends. News from the board only says that there is something
 * to look at, so what is sent is always the newest. Worker's thread.
 */
#include "routes.h"

#include <string.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/must.h"
#include "pipeline/approvals.h"
#include "sse.h"
#include "wait_place.h"

#define EVENTS_MAGIC 0xe7e875e5u

struct events {
	unsigned magic;
	struct http_request *http;
	struct worker *worker;
	struct board_waiter *waiter;
	struct loop_timer *timer;
	char approval_id[BOARD_ID_MAX];
	bool is_streaming;
	bool is_looking; /* the answer is on its way and refers to this */
	bool is_stale;   /* something has changed since that look was asked for, or was not taken */
	bool is_done;    /* the reply has ended; only a look still refers to it */
};

static void look(struct events *e);

/* The request has been answered. */
static void
end(struct events *e)
{
	board_leave(&e->waiter);
	loop_timer_free(&e->timer);
	e->is_done = true;
	if (e->is_looking)
		return;
	e->magic = 0;
	mem_free(e);
}

static void
end_stream(struct events *e)
{
	http_request_stream_end(e->http);
	end(e);
}

static void
refuse(struct events *e, const struct approvals_answer *answer)
{
	reply_error(e->http, answer->status, answer->code, answer->text, answer->retry_after_s);
	end(e);
}

static void
refuse_key(struct events *e)
{
	if (e->is_streaming)
		return;
	reply_error(e->http, 401, "auth_error", SPAN_LIT("the credentials are no longer valid"), 0);
	end(e);
}

static void
on_closed(struct http_request *http, void *arg)
{
	struct events *e;

	OBJ_CAST(e, arg, EVENTS_MAGIC);
	if (e->is_streaming) {
		end_stream(e);
		return;
	}
	reply_error(http, 503, "stopping", SPAN_LIT("the gateway stops"), 1);
	end(e);
}

/* The stream is still the one request that was let in. */
static struct req_credentials
credentials_of(const struct events *e)
{
	struct req_credentials credentials = exchange_get_credentials(e->http);

	credentials.keeps_nonce = true;
	return credentials;
}

static bool
may_stay(const struct events *e)
{
	struct req_credentials credentials = credentials_of(e);
	struct identity identity;
	struct caller by;
	bool may = req_authorize_reader(worker_get_pipeline(e->worker),
			   worker_get_snapshot(e->worker), &credentials, &identity, &by) == OK;

	caller_drop(&by);
	return may;
}

static void
on_timer(void *arg)
{
	struct events *e;

	OBJ_CAST(e, arg, EVENTS_MAGIC);
	if (!may_stay(e)) {
		end_stream(e);
		return;
	}
	sse_keep_alive(e->http);
	loop_timer_arm(e->timer, SSE_KEEP_ALIVE_NS);
	/* What could not be looked at before. */
	if (e->is_stale)
		look(e);
}

static void
on_drained(struct http_request *http, void *arg)
{
	struct events *e;

	(void)http;
	OBJ_CAST(e, arg, EVENTS_MAGIC);
	if (e->is_stale)
		look(e);
}

static void
on_news(const struct board_news *news, void *arg)
{
	struct events *e;

	(void)news;
	OBJ_CAST(e, arg, EVENTS_MAGIC);
	if (e->is_streaming && !may_stay(e)) {
		end_stream(e);
		return;
	}
	e->is_stale = true;
	look(e);
}

static void
begin_stream(struct events *e)
{
	e->is_streaming = true;
	sse_begin(e->http);
	http_request_stream_set_drained_fn(e->http, on_drained, e);
	loop_timer_arm(e->timer, SSE_KEEP_ALIVE_NS);
}

/* An approved one can still be used, or run out. */
static bool
is_final(const char *state)
{
	return strcmp(state, "pending") != 0 && strcmp(state, "approved") != 0;
}

static void
send_state(struct events *e, const struct approvals_answer *answer)
{
	if (!e->is_streaming)
		begin_stream(e);
	if (!sse_send(e->http, "approval", span_trim(answer->text)))
		e->is_stale = true;
	else if (is_final(answer->state) || http_request_get_method(e->http) == HTTP_METHOD_HEAD)
		end_stream(e);
	else if (e->is_stale)
		look(e);
}

static void
on_look(const struct approvals_answer *answer, void *arg)
{
	struct events *e;

	OBJ_CAST(e, arg, EVENTS_MAGIC);
	e->is_looking = false;
	if (e->is_done)
		end(e);
	else if (answer->status == 200)
		send_state(e, answer);
	else if (!e->is_streaming)
		refuse(e, answer);
	else if (answer->status >= 500)
		e->is_stale = true;
	else
		end_stream(e);
}

static void
look(struct events *e)
{
	struct req_credentials credentials = credentials_of(e);
	struct snapshot *snapshot = worker_get_snapshot(e->worker);
	struct identity identity;
	struct caller by;
	struct approvals_call call = {
		.pipeline = worker_get_pipeline(e->worker),
		.snapshot = snapshot,
		.loop = worker_get_loop(e->worker),
		.done = on_look,
		.arg = e,
	};

	if (e->is_looking)
		return;
	e->is_stale = false;
	/* By the snapshot of now: a key that is gone sees no more. The chore ends the stream; before it began there is
	 * none. */
	if (req_authorize_reader(
		    worker_get_pipeline(e->worker), snapshot, &credentials, &identity, &by) != OK) {
		refuse_key(e);
		return;
	}
	e->is_looking = true;
	approvals_look(&call, span_cstr(e->approval_id), &identity);
	caller_drop(&by);
}

static void
refuse_place(struct http_request *http, enum err rc)
{
	if (rc == ERR_INVALID)
		reply_error(http, 404, "approval_error", SPAN_LIT("approval not found"), 0);
	else if (rc == ERR_RATE)
		reply_error(http, 429, "rate_limited",
			SPAN_LIT("too many requests of this principal wait already"), SSE_RETRY_S);
	else
		reply_error(
			http, 503, "overloaded", SPAN_LIT("no place is left to wait"), SSE_RETRY_S);
}

void
api_approval_events(const struct exchange *x)
{
	struct events *e = mem_zalloc(1, sizeof(*e));
	enum err rc = ERR_NOMEM;

	if (e != NULL) {
		e->magic = EVENTS_MAGIC;
		e->http = x->http;
		e->worker = x->worker;
		e->timer = loop_timer_new(worker_get_loop(x->worker), on_timer, e);
	}
	if (e != NULL && e->timer != NULL)
		rc = wait_place_take(
			x->worker, x->id, x->identity.principal, on_news, e, &e->waiter);
	if (rc != OK) {
		refuse_place(x->http, rc);
		if (e != NULL)
			end(e);
		return;
	}
	memcpy(e->approval_id, x->id.p, x->id.n);
	http_request_defer(x->http);
	http_request_set_closed_fn(x->http, on_closed, e);
	look(e);
}
