/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator says of an outcome that the ledger does not know (decisions 25): once for each intent, with a reason, as a
 * record of its own beside the one that says `unknown`. It changes nothing else: the action is never carried out again.
 */
#ifndef PIPELINE_SETTLE_H
#define PIPELINE_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/span.h"

struct pipeline;
struct settlement;
struct snapshot;

#define SETTLE_REASON_BYTES_MAX 4096

struct settle_request {
	uint64_t seq; /* of the intent, or of the record that says that its outcome is unknown */
	bool is_success;
	struct span reason;    /* of the operator; copied, like the next one */
	struct span principal; /* who settles */
	struct loop *loop;     /* where done runs */
	/* result: OK, ERR_NOT_FOUND (no unknown outcome there), ERR_CONFLICT (settled before), ERR_AUDIT, ERR_OVERLOAD,
	 * ERR_UNSUPPORTED (no ledger). intent_seq: of the action, when OK, and with ERR_AUDIT when it is recorded and stands,
	 * though the ledger or a required sink has not confirmed it. is_doubtful: with ERR_AUDIT, nobody knows yet whether it is. */
	void (*done)(void *arg, enum err result, uint64_t intent_seq, bool is_doubtful);
	void *arg;
};

/* On loop. OK: done is called once, later. ERR_NOMEM, ERR_OVERLOAD, ERR_UNSUPPORTED: it is not. */
MUSTCHECK enum err settle_start(struct pipeline *p, struct snapshot *s,
	const struct settle_request *request, struct errinfo *ei);

#endif
