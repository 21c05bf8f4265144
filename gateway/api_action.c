/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /action, /run and /explain: hands the request to the pipeline and its result to reply.c. Even when the client has left, the
 * effect finishes and is recorded. Worker's thread.
 */
#include "routes.h"

#include "base/arena.h"

static void
on_done(struct req *r, const struct req_result *result, void *arg)
{
	struct http_request *http = arg;

	reply_result(http, req_get_arena(r), result);
	req_free(&r);
}

/*
 * The governed request may live longer than the HTTP one: an outcome that waits for the ledger is written after the answer.
 * So what its records need is copied; credentials and other headers are only read before the first wait.
 */
static const struct req_input *
copy_input(const struct http_request *http, enum req_operation operation, struct arena *a)
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
	};
	return arena_failed(a) ? NULL : input;
}

static void
start(const struct exchange *x, enum req_operation operation)
{
	struct http_request *http = x->http;
	struct req *r = req_new(worker_get_pipeline(x->worker), worker_get_snapshot(x->worker),
		worker_get_loop(x->worker), on_done, http);
	const struct req_input *input =
		r != NULL ? copy_input(http, operation, req_get_arena(r)) : NULL;

	if (input == NULL) {
		req_free(&r);
		reply_error(http, req_error_status(REQ_ERROR_OVERLOADED),
			req_error_code(REQ_ERROR_OVERLOADED), SPAN_LIT("out of memory"), 1);
		return;
	}
	http_request_defer(http);
	req_start(r, input);
}

void
api_action(const struct exchange *x)
{
	start(x, REQ_OP_ACTION);
}

void
api_explain(const struct exchange *x)
{
	start(x, REQ_OP_EXPLAIN);
}
