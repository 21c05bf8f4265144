/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See route_table.h. The table is short and each row's method is looked at first, so it is searched from its begin. */
#include "route_table.h"

#include "base/buf.h"
#include "gateway/gateway.h"
#include "net/peer.h"
#include "route_match.h"

static const struct route routes[] = {
#define X(m, p, r, a, b, h) {HTTP_METHOD_##m, {p, sizeof(p) - 1}, LISTENER_##r, ACCESS_##a, b, h},
#include "route_tbl.h"
#undef X
};

_Static_assert(ARRAY_LEN(routes) < RUNTIME_LABELS_MAX, "each route has a label");

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

bool
route_list_methods(const struct http_request *http, struct span path, struct buf *out)
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

const struct route *
route_find(struct exchange *x)
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

unsigned
route_label(const struct route *route)
{
	return route != NULL ? (unsigned)(route - routes) + 1 : 0;
}

const struct route *
route_of_label(unsigned label)
{
	return label > 0 && label <= ARRAY_LEN(routes) ? &routes[label - 1] : NULL;
}

#define X(m, p, r, a, b, h) {HTTP_METHOD_##m, p, #a, (b) > 0},
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
