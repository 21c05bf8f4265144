/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a browser says of a request: its cookies, and which page made it. Pure but for reading the request's headers. */
#ifndef GATEWAY_BROWSER_H
#define GATEWAY_BROWSER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct http_request;

/* How many cookies of that name a Cookie line has; *value is the last one's, as it stands there. */
size_t browser_find_cookie(struct span line, struct span name, struct span *value);
/* Whether an Origin value is of the host in a Host line. The scheme is not compared: TLS may end in front of us. */
bool browser_is_origin_of(struct span origin, struct span host);

/* The value of the only cookie of that name in the whole request; empty when there is none, or more than one. */
struct span browser_get_cookie(const struct http_request *http, struct span name);

enum browser_site {
	SITE_UNKNOWN = 0, /* no browser, or one that says nothing */
	SITE_OWN,         /* a page of this host */
	SITE_NONE,        /* the user: an address typed in */
	SITE_OTHER,       /* another page, or headers that contradict each other */
};
/* By Sec-Fetch-Site and Origin. */
enum browser_site browser_get_site(const struct http_request *http);

#endif
