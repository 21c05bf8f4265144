/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink `webhook:URL` (decisions 22): POSTs each record as JSON, signed, one at a time and in
 * order. Time-outs, connection errors, 429 and 5xx are tried again for ever, with back-off; so is
 * any other answer but 2xx: a receiver that refuses a record holds the queue until it is mended,
 * and the log says so.
 *
 * Headers: X-Nomos-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">, X-Nomos-Chain,
 * X-Nomos-Seq.
 */
#ifndef OUTBOUND_WEBHOOK_H
#define OUTBOUND_WEBHOOK_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct sink;

struct webhook_options {
	struct span url;
	struct span secret;  /* key of the HMAC; empty: no signature header */
	int64_t timeout_ns;  /* for one delivery */
	const char *ca_file; /* PEM; NULL: the system's */
};

/* Copies the options. ERR_INVALID (URL), ERR_NOMEM, ERR_IO. */
MUSTCHECK enum err webhook_sink_new(
	const struct webhook_options *o, struct sink **out, struct errinfo *ei);

#endif
