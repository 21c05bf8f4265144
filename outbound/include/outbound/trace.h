/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told of one request: the request itself and the steps it took, each with its times, and a few texts. Of a fixed
 * size, so that collecting takes no memory; what does not fit is left out or said to be too long. Never
 * parameters, output, credentials or paths of the host. Whoever got it from telemetry_begin has it alone.
 */
#ifndef OUTBOUND_TRACE_H
#define OUTBOUND_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

struct redactor;

enum trace_text {
#define X(id, name) id,
#include "outbound/trace_text_tbl.h"
#undef X
	TRACE_TEXT__MAX
};

#define TRACE_ID_BYTES 16
#define TRACE_SPAN_ID_BYTES 8
#define TRACE_SPANS_MAX 24
#define TRACE_TEXT_BYTES_MAX 512 /* of one text */
#define TRACE_BYTES_MAX 1536     /* of all */

/* The caller's place in its own trace (W3C Trace Context). */
struct trace_parent {
	uint8_t trace_id[TRACE_ID_BYTES];
	uint8_t span_id[TRACE_SPAN_ID_BYTES];
	uint8_t flags; /* bit 0: sampled */
};
#define TRACE_FLAG_SAMPLED 1u

/* False when there is nothing to join: malformed, version ff, or an id of zeros. */
MUSTCHECK bool trace_parent_parse(struct span text, struct trace_parent *out);

struct trace_span {
	const char *name; /* static */
	int64_t start_ns; /* monotonic, as all times here */
	int64_t end_ns;
};

struct trace {
	bool is_sampled; /* false: only its counts are told */
	bool has_parent;
	struct trace_parent parent;
	const char *method; /* static; the request is "METHOD ROUTE" */
	const char *route;
	int64_t start_ns;
	int64_t end_ns;
	int64_t wall_offset_ns;  /* to be added to a monotonic time */
	unsigned status;         /* of HTTP */
	bool is_action;          /* it was judged: it counts as a decision */
	bool is_executed;        /* nomos itself carried it out */
	const char *rate_result; /* "allowed", "exceeded"; NULL: no rule was looked at */
	const char *rate_scope;  /* of "exceeded" */
	uint64_t ledger_seq;     /* 0: none */
	uint32_t failed;         /* bits: spans that ended in an error */
	uint32_t n_spans;
	struct trace_span spans[TRACE_SPANS_MAX];
	struct {
		uint16_t at;
		uint16_t n;
	} texts[TRACE_TEXT__MAX];
	size_t n_bytes;
	char bytes[TRACE_BYTES_MAX]; /* each text behind a line's end */
};

/* Forgets what it held. */
void trace_reset(struct trace *t);
/* The next child; what is over TRACE_SPANS_MAX is not kept. */
void trace_add_span(
	struct trace *t, const char *name, int64_t start_ns, int64_t end_ns, bool has_failed);
/* The same from where the last one ended (or the request began). */
void trace_go_on(struct trace *t, const char *name, int64_t end_ns);
/* Copies, in place of what was there; an empty text is none. */
void trace_set_text(struct trace *t, enum trace_text which, struct span text);
struct span trace_get_text(const struct trace *t, enum trace_text which);
/* Takes secrets out of all texts; no text is set after it. */
void trace_redact(struct trace *t, const struct redactor *redactor);
/* "nomos.principal"; NULL for a text that is no attribute. */
const char *trace_text_name(enum trace_text which);

#endif
