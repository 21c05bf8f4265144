/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /action, /run and /explain: hands the request to the pipeline and its result to reply.c. The HTTP request outlives the
 * governed one: even when the client has left, the effect finishes and is recorded. Worker's thread.
 */
#include "routes.h"

static void
on_done(struct req *r, const struct req_result *result, void *arg)
{
	struct http_request *http = arg;

	reply_result(http, r, result);
	req_free(&r);
}

static void
start(const struct exchange *x, enum req_operation operation)
{
	struct http_request *http = x->http;
	struct req *r = req_new(worker_get_pipeline(x->worker), worker_get_snapshot(x->worker),
		worker_get_loop(x->worker), on_done, http);

	if (r == NULL) {
		reply_error(http, req_error_status(REQ_ERROR_OVERLOADED), req_error_code(REQ_ERROR_OVERLOADED),
			SPAN_LIT("out of memory"), 1);
		return;
	}
	struct req_input input = {
		.operation = operation,
		.credentials = exchange_get_credentials(http),
		.body = http_request_get_body(http),
		.request_id = span_cstr(http_request_get_id(http)),
		.media_type = http_request_find_header(http, SPAN_LIT("Content-Type")),
	};
	http_request_defer(http);
	req_start(r, &input);
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
