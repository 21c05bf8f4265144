/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A path against the paths of the route table. One segment of a route may be `{id}`: it stands for one segment of the request's
 * path, which is compared before anything is decoded, so that no escape can make a path another route's. Pure; any thread.
 */
#ifndef GATEWAY_ROUTE_MATCH_H
#define GATEWAY_ROUTE_MATCH_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/span.h"

#define ROUTE_ID_BYTES_MAX 256

/* Whether the route's path has a segment {id}. */
bool route_has_id(struct span route);
/* Whether the raw path is the route's; *raw_id is its segment as it came, or empty. */
MUSTCHECK bool route_match(struct span route, struct span path, struct span *raw_id);
/*
 * The segment percent-decoded, once. False unless the result is 1 to ROUTE_ID_BYTES_MAX bytes of valid UTF-8 without control
 * bytes, "/", "\" and "%" and is neither "." nor "..": nobody behind may take it for a path or decode it again.
 */
MUSTCHECK bool route_decode_id(struct span raw_id, char out[ROUTE_ID_BYTES_MAX], struct span *id);

#endif
