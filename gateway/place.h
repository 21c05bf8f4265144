/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is when more requests wait than can be served (net/http_server.h, options.place). Any thread. */
#ifndef GATEWAY_PLACE_H
#define GATEWAY_PLACE_H

#include "base/span.h"
#include "net/http_server.h"
#include "routes.h"

struct snapshot;

/* What decides it. */
struct place_request {
	enum access access; /* of the route; NOBODY: there is none */
	bool may_use;       /* its key or its session has the role that the route asks for */
	bool is_explain;
	struct req_credentials credentials;
	struct span peer;
};

struct http_place place_of(const struct snapshot *s, const struct place_request *r);

#endif
