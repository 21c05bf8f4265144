/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A body is full by its traces or by its bytes, whichever comes first. A fault loses the batch, not the places. */
#include "trace_batch.h"

#include "base/buf.h"
#include "otlp_trace.h"
#include "trace_places.h"

/* One more request always fits above this. */
#define BODY_BYTES_FULL (TRACE_BATCH_BYTES_MAX / 2)

enum err
trace_batch_pack(struct trace_places *from, const char *instance_id, struct buf *body,
	size_t *n_taken, struct errinfo *ei)
{
	enum err rc = OK;
	size_t n = 0;

	buf_reset(body);
	otlp_trace_begin(body, instance_id);
	while (n < TRACE_BATCH_MAX && body->n < BODY_BYTES_FULL) {
		struct trace *trace = trace_places_take(from);

		if (trace == NULL)
			break;
		if (rc == OK)
			rc = otlp_trace_add(body, trace, ei);
		trace_places_give_back(from, trace);
		n++;
	}
	otlp_trace_end(body);
	*n_taken = n;
	if (rc == OK && buf_failed(body))
		rc = ERR(ei, ERR_NOMEM, "no memory for the traces");
	return rc;
}
