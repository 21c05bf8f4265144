/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices of approvals that wait for a person: a sink of the ledger that POSTs one message for each record `approval.requested`, in
 * the form of the receiver. The message is made of that record, which is redacted and holds no parameters. It is at least
 * once: the ledger keeps the cursor. Time-outs, connection errors, 408, 429 and 5xx are tried again, with back-off, until the
 * approval has run out; any other refusal five times. What was given up is counted (METRIC_NOTICES_LOST) and logged. A
 * slow receiver delays its own notices and nothing else.
 *
 * Headers: X-Nomos-Event: approval.requested, X-Nomos-Approval-Id, and with a secret X-Nomos-Signature as the webhook
 * sink's.
 */
#ifndef OUTBOUND_NOTICE_H
#define OUTBOUND_NOTICE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "outbound/delivery_options.h"

struct sink;

enum notice_kind { NOTICE_GENERIC = 0, NOTICE_SLACK, NOTICE_TEAMS };

struct notice_options {
	struct span name; /* of the receiver: keys the cursor, is in logs; not empty */
	enum notice_kind kind;
	struct delivery_options to;
	struct span page; /* the operator page, which the message names; or empty */
};

/* Copies the options. ERR_INVALID (URL, name), ERR_NOMEM, ERR_IO. */
MUSTCHECK enum err notice_sink_new(
	const struct notice_options *o, struct sink **out, struct errinfo *ei);

#endif
