/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP plane: routes of the action API, health and operations (nomos-http.md 1). It translates between HTTP and
 * struct req and decides nothing.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "net/http.h"
#include "net/http_server.h"

struct metric_writer;
struct runtime;
struct snapshot;

/* Answers one request; runtime_options.handler. arg is the struct worker whose loop this is. */
void gateway_handle(struct http_request *http, void *arg);

/* Looks at a request whose body is not here yet, and answers it when no body could help; runtime_options.http.look. */
void gateway_look(struct http_request *http, void *arg);

/* Whose turn it is when many wait: health, readiness and whoever may operate before agents, and those that nobody knows last; runtime_options.http.place. */
struct http_place gateway_place(struct http_request *http, void *arg);

/* Whether the ledger has not enough to do with the requests of this worker; runtime_options.http.may_serve. */
bool gateway_may_serve(void *arg);

/* Counts an answer by its route, and writes the access log; runtime_options.http.on_answer. */
void gateway_on_answer(const struct http_request *http, unsigned status, size_t body_n, void *arg);

/* All families of metrics, for GET /metrics and for telemetry; runtime_options.write_metrics. Any thread. */
void gateway_write_metrics(
	const struct runtime *r, const struct snapshot *s, struct metric_writer *w);

/* The route table as data: for the comparison with the published document and for `nomos` help texts. */
struct gateway_route_info {
	enum http_method method;
	const char *path;
	const char *access; /* "PUBLIC", "AGENT", "VIEWER", "APPROVER", "OPERATOR" */
	bool has_body;      /* one may be sent */
};
/* Static; *n is the number of rows. */
const struct gateway_route_info *gateway_get_routes(size_t *n);
/* openapi/nomos.v1.yaml as it was at build time. */
struct span gateway_get_openapi(void);

#endif
