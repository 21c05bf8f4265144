/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the ledger gets to see of an approval (nomos-http.md 6.2): asked for, each decision, each use, its end. */
#ifndef PIPELINE_APPROVAL_RECORDS_H
#define PIPELINE_APPROVAL_RECORDS_H

#include "approval/approval.h"
#include "audit/ledger.h"
#include "base/attr.h"
#include "base/err.h"

struct approval_electorate;
struct arena;
struct redactor;

struct approval_event {
	const char *type;   /* "approval.requested", ... ; static */
	const char *reason; /* static, or NULL: the vote's own */
	const struct approval *approval;
	const struct approval_vote *vote; /* NULL: none */
	const struct redactor *redactor;
	const struct approval_electorate *electorate; /* whose votes count; NULL: all */
	struct span action_id; /* of the action that uses it; empty: of the one it was asked for */
	struct span trace_id;
};

/* ERR_TOO_LARGE, ERR_AUDIT. */
MUSTCHECK enum err approval_append(struct ledger_tx *tx, const struct approval_event *event,
	struct arena *arena, uint64_t *seq, struct errinfo *ei);

#endif
