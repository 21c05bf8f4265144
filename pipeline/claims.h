/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of claims that the rules keep in the ledger (audit/ledger.h), and how their keys are made. A key is a
 * hash, so that no name of a caller's choosing is ever compared with another's by anything but its bytes.
 */
#ifndef PIPELINE_CLAIMS_H
#define PIPELINE_CLAIMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum claim_kind {
	CLAIM_APPROVAL = 1, /* of an approval id: the approval itself */
	CLAIM_APPROVAL_OPEN =
		2, /* of identity, scope, policy hash: the pending approval that a repeat gets */
	CLAIM_APPROVAL_DENIED = 3, /* of identity and binding hash: denied for a time */
	CLAIM_IDEMPOTENCY = 4,     /* of identity and Idempotency-Key */
	CLAIM_SETTLEMENT = 8,      /* of the number of an intent: settled by an operator */
	CLAIM_APPROVAL_PARAMS = 5, /* of an approval id: the canonical parameters */
};

#define CLAIM_KEY_BYTES 16 /* LEDGER_CLAIM_KEY and LEDGER_CLAIM_OWNER */

/* The first bytes of SHA-256 over the kind and the parts, each behind its length: no two lists of parts are read as
 * one. Any thread. */
void claim_key(
	enum claim_kind kind, const struct span *parts, size_t n, uint8_t out[CLAIM_KEY_BYTES]);

/* Whose claim it is, for counting: of any kind. identity: principal, agent, environment. Any thread. */
void claim_owner(const struct span identity[3], uint8_t out[CLAIM_KEY_BYTES]);

#endif
