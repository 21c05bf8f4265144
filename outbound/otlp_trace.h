/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Traces as a request of /v1/traces. The exporter's thread. */
#ifndef OUTBOUND_OTLP_TRACE_H
#define OUTBOUND_OTLP_TRACE_H

#include "base/attr.h"
#include "base/err.h"

struct buf;
struct trace;

void otlp_trace_begin(struct buf *b, const char *instance_id);
/* One span for the request and one below it for each step, with ids of their own. A failed buffer is noticed at the end. ERR_CRYPTO: there are no
 * random numbers; nothing is appended. */
MUSTCHECK enum err otlp_trace_add(struct buf *b, const struct trace *t, struct errinfo *ei);
void otlp_trace_end(struct buf *b);

#endif
