/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Words of HTTP that the server and the client share (RFC 9110). Pure; any thread. */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/span.h"

/* Zero is no method of ours. */
enum http_method {
	HTTP_METHOD_UNKNOWN = 0,
	HTTP_METHOD_GET,
	HTTP_METHOD_HEAD,
	HTTP_METHOD_POST,
	HTTP_METHOD_PUT,
	HTTP_METHOD_DELETE,
	HTTP_METHOD_OPTIONS,
	HTTP_METHOD_PATCH,
	HTTP_METHOD_TRACE,
	HTTP_METHOD__MAX
};

/* One header line to be sent; name is a token, value visible ASCII, blanks and bytes over 0x7f.
 * Borrowed. */
struct http_header {
	struct span name;
	struct span value;
};

/* The method of this exact (case-sensitive) text; HTTP_METHOD_UNKNOWN when it is none of ours. */
enum http_method http_method_parse(struct span text);
/* "GET"; "" for HTTP_METHOD_UNKNOWN. Static string. */
const char *http_method_text(enum http_method method);
/* The reason phrase of RFC 9110 15 for the statuses in use, else "Status". Static string. */
const char *http_status_text(unsigned status);
/* Whether every byte is a tchar of RFC 9110 5.6.2 and there is one at least. */
bool http_is_token(struct span s);
/* Whether it may stand behind "Name: ": no CR, LF, NUL or other control byte but TAB, no blank at
 * either end. */
bool http_is_header_value(struct span s);

#endif
