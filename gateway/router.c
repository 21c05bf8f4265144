/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request to a handler: unknown path 404, known path with another method 405 with Allow, segment that no id can have 400,
 * body over the route's limit 413, a caller who may not 401 or 403. A handler runs only when all of that holds. The same is looked at before a body is
 * waited for, so that nobody without a credential can have one kept. Worker's thread.
 */
#include "gateway/gateway.h"

#include <stdio.h>

#include "access_log.h"
#include "base/buf.h"
#include "base/clock.h"
#include "pipeline/snapshot.h"
#include "place.h"
#include "request_trace.h"
#include "route_access.h"
#include "route_match.h"
#include "route_table.h"
#include "routes.h"

static void
answer_without_route(struct http_request *http, struct span path)
{
	struct buf allow;

	buf_init(&allow, 256);
	bool is_known = route_list_methods(http, path, &allow);
	if (buf_failed(&allow)) {
		reply_error(http, 503, "overloaded", SPAN_LIT("out of memory"), 1);
	} else if (!is_known) {
		reply_error(http, 404, "not_found", SPAN_LIT("no such route"), 0);
	} else {
		struct http_header h = {SPAN_LIT("Allow"), buf_span(&allow)};
		if (http_request_get_method(http) == HTTP_METHOD_OPTIONS)
			http_request_reply(http, 204, &h, 1, SPAN_NONE);
		else
			http_request_reply(http, 405, &h, 1,
				SPAN_LIT("{\"decision\":\"DENY\",\"reason\":\"validation_error: "
					 "method not allowed\"}"));
	}
	buf_fini(&allow);
}

static void
refuse_size(const struct route *route, struct http_request *http)
{
	char text[64];
	int n = route->max_body == 0 ? snprintf(text, sizeof(text), "this route takes no body")
				     : snprintf(text, sizeof(text), "request exceeds %zu bytes",
					       route->max_body);

	reply_error(http, 413, "validation_error", span_of(text, (size_t)n), 0);
}

/* Answers and returns false when the path's segment is not one that any id can have. */
static bool
check_id(const struct route *route, const struct exchange *x)
{
	if (x->id.n > 0 || !route_has_id(route->path))
		return true;
	reply_error(x->http, 400, "validation_error", SPAN_LIT("malformed path segment"), 0);
	return false;
}

static void
serve(const struct route *route, struct exchange *x)
{
	if (!check_id(route, x))
		return;
	if (http_request_get_body(x->http).n > route->max_body)
		refuse_size(route, x->http);
	else if (route_access_admit(route, x))
		route->handle(x);
	/* What outlives the turn was copied. */
	caller_drop(&x->caller);
}

/* What an agent's request is refused for without its body; false when it was answered. */
static bool
pass_head(const struct exchange *x)
{
	struct req_credentials credentials = exchange_get_credentials(x->http);
	struct span message = SPAN_NONE;
	enum req_error error = req_check_head(worker_get_snapshot(x->worker), &credentials,
		http_request_find_header(x->http, SPAN_LIT("Content-Type")),
		span_cstr(http_request_get_id(x->http)), &message);

	if (error == REQ_ERROR_AUTH)
		reply_unauthenticated(x->http, x->worker, req_error_code(error), message);
	else if (error != REQ_DECIDED)
		reply_error(x->http, req_error_status(error), req_error_code(error), message, 0);
	return error == REQ_DECIDED;
}

/* Only of agents' requests: operators, health and readiness are served under any load. */
static bool
has_room(const struct exchange *x)
{
	if (http_request_get_rank(x->http) == HTTP_RANK_FIRST)
		return true;
	struct http_queue_view queue = http_request_view_queue(x->http);
	const struct admission_wait wait = {
		.since_ns = queue.since_ns,
		.turn_ns = loop_now_ns(worker_get_loop(x->worker)),
		.n_behind = queue.n_flow,
		.n_flows = queue.n_flows,
	};

	return req_has_room(worker_get_snapshot(x->worker), worker_get_pipeline(x->worker),
		worker_get_admission(x->worker), wait);
}

static void
turn_away(const struct exchange *x)
{
	struct span message = req_note_turned_away(span_cstr(http_request_get_id(x->http)));

	reply_error(x->http, req_error_status(REQ_ERROR_OVERLOADED),
		req_error_code(REQ_ERROR_OVERLOADED), message, 1);
}

/* Who has no valid credential learns nothing of the load. */
static bool
admit_whole(const struct exchange *x)
{
	if (has_room(x))
		return true;
	/* Not only those that are turned away: a flood without credentials must not be what they give way to. */
	http_request_pause_after(x->http);
	if (pass_head(x))
		turn_away(x);
	return false;
}

static const struct route *
find_and_label(struct exchange *x)
{
	const struct route *route = route_find(x);

	http_request_set_label(x->http, route_label(route));
	return route;
}

void
gateway_on_answer(const struct http_request *http, unsigned status, size_t body_n, void *arg)
{
	int64_t took_ns = clock_mono_ns() - http_request_get_start_ns(http);
	enum access_log format = snapshot_get_access_log(worker_get_snapshot(arg));
	unsigned label = http_request_get_label(http);
	const struct route *route = route_of_label(label);

	worker_count_answer(arg, label, status, took_ns);
	if (route != NULL && route->access == ACCESS_AGENT)
		request_trace_end(
			http, arg, http_method_text(route->method), route->path.p, status);
	if (format == ACCESS_LOG_OFF)
		return;
	access_log_put(format,
		&(const struct access_line){
			.request_id = span_cstr(http_request_get_id(http)),
			.client = http_request_find_client(http),
			.method = http_method_text(http_request_get_method(http)),
			.path = http_request_get_path(http),
			.user_agent = http_request_find_header(http, SPAN_LIT("User-Agent")),
			.status = status,
			.n_bytes = body_n,
			.took_ns = took_ns,
		});
}

void
gateway_handle(struct http_request *http, void *arg)
{
	struct exchange x = {.http = http, .worker = arg};
	const struct route *route = find_and_label(&x);

	if (route == NULL)
		answer_without_route(http, http_request_get_path(http));
	else if (route->access != ACCESS_AGENT || admit_whole(&x))
		serve(route, &x);
}

void
gateway_look(struct http_request *http, void *arg)
{
	struct exchange x = {.http = http, .worker = arg, .is_early = true};
	const struct route *route = find_and_label(&x);

	if (route == NULL)
		answer_without_route(http, http_request_get_path(http));
	else if (!check_id(route, &x))
		return;
	else if (!http_request_limit_body(http, route->max_body))
		refuse_size(route, http);
	else if (route->access != ACCESS_AGENT)
		(void)route_access_admit(route, &x);
	else if (pass_head(&x) && !has_room(&x))
		turn_away(&x);
	caller_drop(&x.caller);
}

struct http_place
gateway_place(struct http_request *http, void *arg)
{
	struct exchange x = {.http = http, .worker = arg};
	const struct route *route = route_find(&x);
	struct place_request r = {.peer = http_request_find_client(http)};

	if (route != NULL) {
		r.access = route->access;
		enum role role = route_access_role(route->access);
		r.may_use = role != ROLE_NOBODY && exchange_may_stay(http, arg, role);
		r.is_explain = route->handle == api_explain;
		r.credentials = exchange_get_credentials(http);
	}
	return place_of(worker_get_snapshot(arg), &r);
}

bool
gateway_may_serve(void *arg)
{
	return req_may_begin(worker_get_pipeline(arg), worker_get_loop(arg));
}
