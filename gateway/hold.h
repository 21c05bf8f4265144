/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Requests that are held until a person has decided (Prefer: wait=N). Worker's thread. */
#ifndef GATEWAY_HOLD_H
#define GATEWAY_HOLD_H

#include "base/attr.h"
#include "base/span.h"
#include "pipeline/req.h"

struct http_request;
struct req;
struct worker;

/* True when the request is held from now on, and will be answered: the client prefers to wait, the result waits for a person, and there is
 * a place. The request that the result is of may be freed then. */
MUSTCHECK bool hold_begin(
	struct http_request *http, struct worker *worker, const struct req_result *result);

#endif
