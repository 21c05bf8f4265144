/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace of a request as HTTP sees it: begun when its handler has it, ended with its answer, whatever that is. All of it
 * does nothing without telemetry. Worker's thread.
 */
#ifndef GATEWAY_REQUEST_TRACE_H
#define GATEWAY_REQUEST_TRACE_H

#include "net/http_server.h"

struct trace;
struct worker;

/* Joins the caller's trace, or begins one; it becomes the request's note. The request has its user by then. */
void request_trace_begin(struct http_request *http, struct worker *worker);
/* NULL when it is not traced. */
struct trace *request_trace_get(const struct http_request *http);
/* What has passed since the last step was waiting for a person. */
void request_trace_held(const struct http_request *http);
/* In on_answer, of a route that is traced. method and path are static. */
void request_trace_end(const struct http_request *http, struct worker *worker, const char *method,
	const char *path, unsigned status);

#endif
