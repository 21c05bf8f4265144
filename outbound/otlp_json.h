/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON form of OTLP (opentelemetry-proto, JSON Protobuf encoding): what its messages have in common. Ids are hex, 64-bit
 * integers are strings, enums are numbers. Pure but for the buffer.
 */
#ifndef OUTBOUND_OTLP_JSON_H
#define OUTBOUND_OTLP_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct buf;

/* `{"resourceSpans":[{"resource":{...},"scopeSpans":[{"scope":{...},"spans":[`, with the three names of the signal; and its end. */
struct otlp_signal {
	const char *resources;
	const char *scopes;
	const char *items;
};
void otlp_begin(struct buf *b, const struct otlp_signal *signal, const char *instance_id);
void otlp_end(struct buf *b);

/* Members of an object, each with the comma behind it. */
void otlp_add_nanos(struct buf *b, const char *name, int64_t wall_ns);

/* Elements of a list of attributes, with a comma before all but the first. */
void otlp_add_text(struct buf *b, const char *key, struct span value);
void otlp_add_int(struct buf *b, const char *key, int64_t value);
/* The lines of value, each ended. */
void otlp_add_lines(struct buf *b, const char *key, struct span value);

#endif
