/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Packs the traces that wait into one body for a collector. The exporter's thread. */
#ifndef OUTBOUND_TRACE_BATCH_H
#define OUTBOUND_TRACE_BATCH_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"

struct buf;
struct trace_places;

/* Requests of one body. */
#define TRACE_BATCH_MAX 256
/* What the buffer of a body has to have room for. */
#define TRACE_BATCH_BYTES_MAX ((size_t)8 * 1024 * 1024)

/*
 * Empties body and builds a request of /v1/traces there. *n_taken is how many traces it took out of their places, whatever comes of them; with 0 the
 * body holds nothing to send. ERR_CRYPTO (no random numbers for ids), ERR_NOMEM: the body must not be sent, and what was taken is lost.
 */
MUSTCHECK enum err trace_batch_pack(struct trace_places *from, const char *instance_id,
	struct buf *body, size_t *n_taken, struct errinfo *ei);

#endif
