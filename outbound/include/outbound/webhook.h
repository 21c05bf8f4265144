/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink `webhook:URL` (decisions 22): POSTs records in order, one as JSON, or up to batch_max as lines of JSON,
 * signed, packed if asked. Time-outs, connection errors, redirects, 429, 5xx and whatever speaks of the credential or
 * the path are tried again for ever. A 4xx about what was posted halves the batch until it is about one record;
 * that one is offered SINK_REFUSALS_MAX times and then recorded as a dead letter by the ledger.
 *
 * Headers: X-Nomos-Chain; X-Nomos-Seq, the first record's; of batches X-Nomos-Seq-Last; Content-Encoding: gzip;
 * X-Nomos-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">, the body being the bytes that are sent.
 */
#ifndef OUTBOUND_WEBHOOK_H
#define OUTBOUND_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "outbound/delivery_options.h"

struct sink;

struct webhook_options {
	struct delivery_options to;
	size_t batch_max;     /* records of one POST; 0 and 1: one, not as a line */
	bool gzip;            /* packs the body */
	int64_t retry_max_ns; /* the longest pause; 0: the ledger's */
};

/* Copies the options. ERR_INVALID (URL), ERR_NOMEM, ERR_IO. */
MUSTCHECK enum err webhook_sink_new(
	const struct webhook_options *o, struct sink **out, struct errinfo *ei);

#endif
