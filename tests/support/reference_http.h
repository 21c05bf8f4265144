/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A second reading of HTTP/1.x requests, from the grammar of RFC 9112, RFC 9110 and RFC 3986 and from the
 * restrictions of net/gate.h: slow, over the whole input, one function for each rule. The framing machine is
 * compared with it. Test programs only.
 *
 * A head is judged in three strokes, and the first fault found is the answer: each byte as it comes (size,
 * then legality); the request line at its line feed; all field lines, the target and the framing at the empty
 * line. Within the last: the field lines in their order, then the message as a whole, then the body's size.
 */
#ifndef TESTS_SUPPORT_REFERENCE_HTTP_H
#define TESTS_SUPPORT_REFERENCE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

#define REFERENCE_FIELDS_MAX 64
#define REFERENCE_BODY_MAX 2048

struct reference_limits {
	size_t head_bytes;
	size_t line_bytes;
	size_t fields;     /* at most REFERENCE_FIELDS_MAX */
	size_t body_bytes; /* at most REFERENCE_BODY_MAX */
};

enum reference_verdict {
	REFERENCE_REFUSED = 0,
	REFERENCE_INCOMPLETE, /* the input ends inside a request that is good so far */
	REFERENCE_REQUEST
};

struct reference_field {
	struct span name;
	struct span value;
};

struct reference_request {
	enum reference_verdict verdict;
	unsigned status;   /* of the refusal */
	bool is_head_good; /* the empty line was passed and the head accepted */
	size_t end;        /* of the request in the input; 0 unless it is whole */
	struct span method;
	struct span target;
	struct span path;
	struct span query;
	bool has_query;
	bool is_http10;
	bool is_close;    /* the last request of its connection */
	bool is_continue; /* waits for 100 */
	bool is_chunked;
	struct reference_field fields[REFERENCE_FIELDS_MAX];
	size_t n_fields;
	char body[REFERENCE_BODY_MAX];
	size_t n_body;
};

/* The first request of the input; what it says borrows from there. */
void reference_http_read(
	struct span in, const struct reference_limits *limits, struct reference_request *out);

#endif
