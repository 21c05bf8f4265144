/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /action, /run, /explain and /actions/report: hands the request to the pipeline and its result to reply.c. Even when the client has left, the
 * effect finishes and is recorded. Worker's thread.
 */
#include "routes.h"

#include "base/arena.h"
#include "hold.h"
#include "request_trace.h"

/* The client may prefer to wait when a person has to decide. */
static void
on_done(struct req *r, const struct req_result *result, void *arg)
{
	struct http_request *http = arg;

	struct worker *worker = http_request_get_user(http);
	bool is_answered = result->error == REQ_ERROR_AUTH && reply_too_many_failures(http, worker);

	if (!is_answered && !hold_begin(http, worker, result))
		reply_result(http, req_get_arena(r), result, NULL, 0);
	req_free(&r);
}

/*
 * The governed request may live longer than the HTTP one: an outcome that waits for the ledger is written after the answer.
 * So what its records need is copied; credentials and other headers are only read before the first wait.
 */
static const struct req_input *
copy_input(const struct http_request *http, enum req_operation operation, struct span approval_id,
	struct arena *a)
{
	struct req_input *input = ARENA_NEW(a, struct req_input);

	if (input == NULL)
		return NULL;
	*input = (struct req_input){
		.operation = operation,
		.credentials = exchange_get_credentials(http),
		.body = arena_dup(a, http_request_get_body(http)),
		.request_id = arena_dup(a, span_cstr(http_request_get_id(http))),
		.media_type = http_request_find_header(http, SPAN_LIT("Content-Type")),
		.idempotency_key = http_request_find_header(http, SPAN_LIT("Idempotency-Key")),
		.approval_id = arena_dup(a, approval_id),
		.trace = request_trace_get(http),
	};
	/* A held request that goes on is the one that came, and no replay of it. */
	input->credentials.keeps_nonce = approval_id.n > 0;
	return arena_failed(a) ? NULL : input;
}

static bool
start(struct http_request *http, struct worker *worker, enum req_operation operation,
	struct span approval_id, req_done_fn done, void *arg)
{
	struct req *r = req_new(worker_get_pipeline(worker), worker_get_snapshot(worker),
		worker_get_loop(worker), done, arg);
	const struct req_input *input =
		r != NULL ? copy_input(http, operation, approval_id, req_get_arena(r)) : NULL;

	if (input == NULL) {
		req_free(&r);
		return false;
	}
	req_start(r, input);
	return true;
}

bool
action_start(struct http_request *http, struct worker *worker, struct span approval_id,
	req_done_fn done, void *arg)
{
	return start(http, worker, REQ_OP_ACTION, approval_id, done, arg);
}

static void
serve(const struct exchange *x, enum req_operation operation)
{
	http_request_defer(x->http);
	http_request_set_user(x->http, x->worker);
	request_trace_begin(x->http, x->worker);
	if (!start(x->http, x->worker, operation, SPAN_NONE, on_done, x->http))
		reply_error(x->http, req_error_status(REQ_ERROR_OVERLOADED),
			req_error_code(REQ_ERROR_OVERLOADED), SPAN_LIT("out of memory"), 1);
}

void
api_action(const struct exchange *x)
{
	serve(x, REQ_OP_ACTION);
}

void
api_report(const struct exchange *x)
{
	serve(x, REQ_OP_REPORT);
}

void
api_explain(const struct exchange *x)
{
	serve(x, REQ_OP_EXPLAIN);
}
