/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The rows of route_tbl.h and which of them a request means, on the listener that it came from. Worker's thread. */
#ifndef GATEWAY_ROUTE_TABLE_H
#define GATEWAY_ROUTE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/span.h"
#include "net/http.h"
#include "routes.h"
#include "runtime/runtime.h"

struct buf;

struct route {
	enum http_method method;
	struct span path;
	enum listener_role role;
	enum access access;
	size_t max_body;
	void (*handle)(const struct exchange *x);
};

/*
 * The route of x->http's method and path, NULL when there is none. A path as it is written in the table comes before one that matches
 * with an id, which goes to x->id if it is sound.
 */
const struct route *route_find(struct exchange *x);
/* Appends the methods that a path has, "GET, HEAD, OPTIONS"; false when no route has the path. "*" stands for all routes. */
MUSTCHECK bool route_list_methods(
	const struct http_request *http, struct span path, struct buf *out);

/* A number for each route, below RUNTIME_LABELS_MAX; 0 stands for none. */
unsigned route_label(const struct route *route);
const struct route *route_of_label(unsigned label);

#endif
