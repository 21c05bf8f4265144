/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire gate: the strict reading of HTTP/1.0 and 1.1 (RFC 9112) that every byte of a
 * connection goes through before the HTTP engine learns of a request. What it refuses is answered
 * by it, in JSON, with "Connection: close", and nothing behind the refused byte is ever read as a
 * request.
 *
 * Let through: methods of net/http.h; origin-form, "*" for OPTIONS, absolute-form whose authority
 * is the Host line's; HTTP/1.0 and HTTP/1.1; CRLF line ends; token names; values of visible
 * ASCII, bytes over 0x7f, blanks and TAB; exactly one Host (HTTP/1.1); one Content-Length of
 * digits, or "Transfer-Encoding: chunked" on HTTP/1.1, never both; chunks without extensions and
 * trailers; no TAB in the lines Host, Content-Length and Transfer-Encoding; "Expect: 100-continue";
 * one CRLF before a request line. Never repeated: Host, Content-Length, Transfer-Encoding, Expect,
 * Authorization, Content-Type, Idempotency-Key, and the names that begin with X-Nomos-, of which
 * there may be 16. What is refused, and with what status, does not depend on how the bytes were
 * cut into pieces.
 *
 * The counters may be read from any thread.
 */
#ifndef NET_GATE_H
#define NET_GATE_H

#include <stdint.h>

/* Why a request was refused; the rows are GATE_REFUSALS. */
#define GATE_REFUSALS(X)                                                                           \
	X(GATE_OK, 0, "")                                                                          \
	X(GATE_REQUEST_LINE, 400, "malformed request line")                                        \
	X(GATE_TARGET, 400, "malformed request target")                                            \
	X(GATE_TARGET_LENGTH, 431, "request line is too long")                                     \
	X(GATE_METHOD, 501, "unknown method")                                                      \
	X(GATE_VERSION, 505, "HTTP version is not supported")                                      \
	X(GATE_HEADER_NAME, 400, "malformed header name")                                          \
	X(GATE_HEADER_VALUE, 400, "malformed header value")                                        \
	X(GATE_HEADER_FOLD, 400, "folded header line")                                             \
	X(GATE_LINE_END, 400, "line does not end in CRLF")                                         \
	X(GATE_HEADERS_SIZE, 431, "request headers are too large")                                 \
	X(GATE_HEADERS_COUNT, 431, "too many request headers")                                     \
	X(GATE_HEADER_REPEATED, 400, "a header that must be single is repeated")                   \
	X(GATE_HOST, 400, "Host header is missing or malformed")                                   \
	X(GATE_AUTHORITY, 400, "request target is for another host")                               \
	X(GATE_CONTENT_LENGTH, 400, "malformed Content-Length")                                    \
	X(GATE_TRANSFER_ENCODING, 400, "Transfer-Encoding is not supported")                       \
	X(GATE_TWO_FRAMINGS, 400, "both Content-Length and Transfer-Encoding")                     \
	X(GATE_EXPECT, 417, "expectation is not supported")                                        \
	X(GATE_BODY_SIZE, 413, "request body is too large")                                        \
	X(GATE_CHUNK, 400, "malformed chunk")                                                      \
	X(GATE_HEADER_DEADLINE, 408, "request headers did not arrive in time")                     \
	X(GATE_BODY_DEADLINE, 408, "request body did not arrive in time")                          \
	X(GATE_HEADER_RATE, 408, "request headers arrive too slowly")                              \
	X(GATE_BODY_RATE, 408, "request body arrives too slowly")                                  \
	X(GATE_PLAIN_HTTP, 400, "this address speaks TLS: use https")                              \
	X(GATE_CROWDED, 503, "too many connections")                                               \
	X(GATE_MEMORY, 503, "out of memory")

enum gate_refusal {
#define X(id, status, text) id,
	GATE_REFUSALS(X)
#undef X
		GATE__MAX
};

/* HTTP status of the answer; 0 for GATE_OK. */
unsigned gate_status(enum gate_refusal why);
/* The client's text, without the code in front. Static string. */
const char *gate_text(enum gate_refusal why);
/* Number of requests refused for that reason since the process began. */
uint64_t gate_count(enum gate_refusal why);

#endif
