/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * From method and path to a handler, by route_tbl.h: unknown path 404, known path with another method 405 with Allow, segment
 * that no id can have 400, body over the route's limit 413, role of operator routes. A handler runs only when all of that holds. The same is looked at
 * before a body is waited for, so that nobody without a credential can have one kept. Worker's thread.
 */
#include "gateway/gateway.h"

#include <stdio.h>

#include "access_log.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/metric.h"
#include "net/peer.h"
#include "pipeline/approvals.h"
#include "pipeline/snapshot.h"
#include "route_match.h"
#include "place.h"
#include "request_trace.h"
#include "routes.h"

struct route {
	enum http_method method;
	struct span path;
	enum listener_role role;
	enum access access;
	size_t max_body;
	void (*handle)(const struct exchange *x);
};

static const struct route routes[] = {
#define X(m, p, r, a, b, h) {HTTP_METHOD_##m, {p, sizeof(p) - 1}, LISTENER_##r, ACCESS_##a, b, h},
#include "route_tbl.h"
#undef X
};

static bool
is_method_of(const struct route *r, enum http_method method)
{
	return r->method == method || (r->method == HTTP_METHOD_GET && method == HTTP_METHOD_HEAD);
}

/* On the listener that the request came from; all routes are on one without roles. */
static bool
is_served(const struct route *r, const struct http_request *http)
{
	unsigned roles = http_request_view_peer(http)->listener_roles;

	return roles == 0 || (roles & (unsigned)r->role) != 0;
}

/* Appends "GET, HEAD, OPTIONS"; false when no route has the path. "*" stands for all routes. */
static bool
list_methods(const struct http_request *http, struct span path, struct buf *out)
{
	bool is_listed[HTTP_METHOD__MAX] = {false};
	bool is_any = span_eq(path, SPAN_LIT("*"));
	struct span id;

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (is_listed[routes[i].method] || !is_served(&routes[i], http) ||
			(!is_any && !route_match(routes[i].path, path, &id)))
			continue;
		is_listed[routes[i].method] = true;
		buf_add_cstr(out, http_method_text(routes[i].method));
		BUF_ADD_LIT(out, ", ");
		if (routes[i].method == HTTP_METHOD_GET)
			BUF_ADD_LIT(out, "HEAD, ");
	}
	if (out->n == 0)
		return false;
	BUF_ADD_LIT(out, "OPTIONS");
	return true;
}

static void
answer_without_route(struct http_request *http, struct span path)
{
	struct buf allow;

	buf_init(&allow, 256);
	bool is_known = list_methods(http, path, &allow);
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

static enum role
role_of(enum access access)
{
	switch (access) {
	case ACCESS_PRINCIPAL:
		return ROLE_ANYONE;
	case ACCESS_VIEWER:
		return ROLE_VIEWER;
	case ACCESS_APPROVER:
		return ROLE_APPROVER;
	case ACCESS_OPERATOR:
		return ROLE_OPERATOR;
	case ACCESS_NOBODY:
	case ACCESS_PUBLIC:
	case ACCESS_AGENT:
	case ACCESS_READER:
	case ACCESS_WEBHOOK:
	case ACCESS_SLACK:
	case ACCESS_TEAMS:
		break;
	}
	return ROLE_NOBODY;
}

static bool
admit_reader(struct exchange *x)
{
	struct req_credentials credentials = exchange_get_credentials(x->http);

	credentials.keeps_nonce = x->is_early;
	if (req_authorize_reader(worker_get_pipeline(x->worker), worker_get_snapshot(x->worker),
		    &credentials, &x->identity, &x->caller) == OK)
		return true;
	metric_add(METRIC_AUTH_FAILED, 1);
	reply_unauthenticated(x->http, x->worker, "auth_error",
		SPAN_LIT("an API key and the X-Nomos-Agent-Id of an agent of its principal are "
			 "needed"));
	return false;
}

static bool
admit_relay(const struct exchange *x, enum approval_channel channel, struct span header,
	struct span why)
{
	const struct snapshot *s = worker_get_snapshot(x->worker);

	if (!approvals_has_relay(s, channel)) {
		reply_error(x->http, 404, "not_found", SPAN_LIT("no such route"), 0);
		return false;
	}
	if (approvals_is_relay(s, channel, http_request_find_header(x->http, header)))
		return true;
	metric_add(METRIC_AUTH_FAILED, 1);
	reply_unauthenticated(x->http, x->worker, "auth_error", why);
	return false;
}

/* What the request says of itself is judged alone: a cookie beside it is not looked at. Nor is the connection's own name beside a cookie. */
static enum err
find_principal(struct exchange *x, enum role role, const char **code, const char **why)
{
	struct req_credentials credentials = exchange_get_credentials(x->http);
	enum err rc;

	*code = "auth_error";
	*why = "principal authentication failed";
	if (credentials.authorization.n > 0 || !exchange_has_cookie(x->http)) {
		rc = req_authorize_operator(
			worker_get_snapshot(x->worker), &credentials, role, &x->caller);
		if (rc == OK && x->caller.is_ambient && exchange_is_foreign(x->http))
			rc = ERR_AUTH;
	} else {
		rc = exchange_find_session(x, why);
		*code = rc == ERR_FORBIDDEN ? "csrf_error" : *code;
		if (rc != OK)
			return rc;
		rc = caller_has_role(&x->caller, role) ? OK : ERR_FORBIDDEN;
	}
	if (rc == ERR_FORBIDDEN) {
		*code = "forbidden";
		*why = "the principal has not the role";
	}
	return rc;
}

static bool
admit_principal(const struct route *route, struct exchange *x)
{
	const char *code;
	const char *why;
	enum err rc = find_principal(x, role_of(route->access), &code, &why);
	if (rc == OK)
		return true;
	if (rc == ERR_FORBIDDEN) {
		reply_error(x->http, 403, code, span_cstr(why), 0);
		return false;
	}
	metric_add(METRIC_AUTH_FAILED, 1);
	reply_unauthenticated(x->http, x->worker, code, span_cstr(why));
	return false;
}

/* Answers and returns false when the caller may not use the route. */
static bool
admit(const struct route *route, struct exchange *x)
{
	if (route->handle == api_metrics &&
		snapshot_has_public_metrics(worker_get_snapshot(x->worker)))
		return true;
	switch (route->access) {
	case ACCESS_PUBLIC:
	case ACCESS_AGENT:
		return true;
	case ACCESS_READER:
		return admit_reader(x);
	case ACCESS_WEBHOOK:
		return admit_relay(x, CHANNEL_WEBHOOK, SPAN_LIT("X-Nomos-Webhook-Token"),
			SPAN_LIT("invalid webhook token"));
	case ACCESS_SLACK:
		return admit_relay(x, CHANNEL_SLACK, SPAN_LIT("X-Nomos-Slack-Token"),
			SPAN_LIT("invalid slack token"));
	case ACCESS_TEAMS:
		return admit_relay(x, CHANNEL_TEAMS, SPAN_LIT("X-Nomos-Teams-Token"),
			SPAN_LIT("invalid teams token"));
	case ACCESS_NOBODY:
	case ACCESS_PRINCIPAL:
	case ACCESS_VIEWER:
	case ACCESS_APPROVER:
	case ACCESS_OPERATOR:
		break;
	}
	return admit_principal(route, x);
}

static void
refuse_size(const struct route *route, struct http_request *http)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "request exceeds %zu bytes", route->max_body);

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
	else if (admit(route, x))
		route->handle(x);
	/* What outlives the turn was copied. */
	caller_drop(&x->caller);
}

/* A path as it is written in the table comes before one that matches with an id, which goes to x->id if it is sound. */
static const struct route *
find_route(struct exchange *x)
{
	struct span path = http_request_get_path(x->http);
	enum http_method method = http_request_get_method(x->http);
	struct span raw_id;

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (is_method_of(&routes[i], method) && span_eq(routes[i].path, path) &&
			is_served(&routes[i], x->http))
			return &routes[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!is_method_of(&routes[i], method) || !is_served(&routes[i], x->http) ||
			!route_match(routes[i].path, path, &raw_id))
			continue;
		if (!route_decode_id(raw_id, x->id_bytes, &x->id))
			x->id = SPAN_NONE;
		return &routes[i];
	}
	return NULL;
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

_Static_assert(ARRAY_LEN(routes) < RUNTIME_LABELS_MAX, "each route has a label");

/* One more than its number, 0 for none. */
static const struct route *
find_and_label(struct exchange *x)
{
	const struct route *route = find_route(x);

	http_request_set_label(x->http, route != NULL ? (unsigned)(route - routes) + 1 : 0);
	return route;
}

void
gateway_on_answer(const struct http_request *http, unsigned status, size_t body_n, void *arg)
{
	int64_t took_ns = clock_mono_ns() - http_request_get_start_ns(http);
	enum access_log format = snapshot_get_access_log(worker_get_snapshot(arg));

	unsigned label = http_request_get_label(http);

	worker_count_answer(arg, label, status, took_ns);
	if (label > 0 && routes[label - 1].access == ACCESS_AGENT)
		request_trace_end(http, arg, http_method_text(routes[label - 1].method),
			routes[label - 1].path.p, status);
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
		(void)admit(route, &x);
	else if (pass_head(&x) && !has_room(&x))
		turn_away(&x);
	caller_drop(&x.caller);
}

struct http_place
gateway_place(struct http_request *http, void *arg)
{
	struct exchange x = {.http = http, .worker = arg};
	const struct route *route = find_route(&x);
	struct place_request r = {.peer = http_request_find_client(http)};

	if (route != NULL) {
		r.access = route->access;
		r.may_use = role_of(route->access) != ROLE_NOBODY &&
			    exchange_may_stay(http, arg, role_of(route->access));
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

#define X(m, p, r, a, b, h) {HTTP_METHOD_##m, p, #a},
static const struct gateway_route_info infos[] = {
#include "route_tbl.h"
};
#undef X

const struct gateway_route_info *
gateway_get_routes(size_t *n)
{
	*n = ARRAY_LEN(infos);
	return infos;
}
