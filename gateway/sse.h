/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events (text/event-stream) over a streamed reply. There is no Last-Event-ID: a stream begins with what is, so whoever
 * comes back has missed nothing that still counts. Worker's thread.
 */
#ifndef GATEWAY_SSE_H
#define GATEWAY_SSE_H

#include "base/attr.h"
#include "base/clock.h"
#include "base/span.h"

struct http_request;

/* Proxies and clients take a silent connection for a dead one. */
#define SSE_KEEP_ALIVE_NS (15 * NS_PER_SEC)
/* When there is no place for one more. */
#define SSE_RETRY_S 5

void sse_begin(struct http_request *http);
/* data is one line. False when the client has not taken what came before: nothing of it is sent. */
MUSTCHECK bool sse_send(struct http_request *http, const char *event, struct span data);
/* A comment, which clients ignore; nothing when the client is behind. */
void sse_keep_alive(struct http_request *http);

#endif
