/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ledger gets to see of a request (nomos-http.md 6.1 to 6.5, nomos-policy.md 2.14): the decision, which is the intent
 * of an effect or complete as it stands, and the outcome. Secrets are taken out before anything is cut (summary.h).
 */
#ifndef PIPELINE_RECORDS_H
#define PIPELINE_RECORDS_H

#include "audit/record.h"
#include "base/attr.h"
#include "base/err.h"

struct arena;
struct buf;
struct decision;
struct req;

/* The record action.decision of what r->result and r->decision hold. ERR_TOO_LARGE. */
MUSTCHECK enum err record_build_decision(
	struct req *r, struct arena *a, struct record_text *out, struct errinfo *ei);
/* Appends the matching rules' ids as a canonical array, as many as have room. How many these are. */
size_t record_join_rule_ids(const struct decision *d, struct buf *out);
/* The record action.completed of r->job; EXEC_NOT_RUN is failed/not_executed. ERR_TOO_LARGE. */
MUSTCHECK enum err record_build_outcome(
	struct req *r, struct arena *a, struct record_text *out, struct errinfo *ei);

#endif
