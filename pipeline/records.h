/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ledger gets to see of a request (nomos-http.md 6.1 to 6.5, nomos-policy.md 2.14): the decision, which is the intent
 * of an effect or complete as it stands, and the outcome. Secrets are taken out before anything is cut.
 */
#ifndef PIPELINE_RECORDS_H
#define PIPELINE_RECORDS_H

#include "audit/record.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;
struct buf;
struct decision;
struct json;
struct redactor;
struct req;

/* Bytes of a summary of params or result. */
#define RECORD_SUMMARY_BYTES_MAX 256

/* The record action.decision of what r->result and r->decision hold. ERR_TOO_LARGE. */
MUSTCHECK enum err record_build_decision(
	struct req *r, struct arena *a, struct record_text *out, struct errinfo *ei);
/* Appends the matching rules' ids as a canonical array, as many as have room. How many these are. */
size_t record_join_rule_ids(const struct decision *d, struct buf *out);
/* How the action of a request that is to be answered has ended, as its records class it: static; NULL: nothing was judged. */
const char *record_class(const struct req *r);
/* The record action.completed of r->job; EXEC_NOT_RUN is failed/not_executed. ERR_TOO_LARGE. */
MUSTCHECK enum err record_build_outcome(
	struct req *r, struct arena *a, struct record_text *out, struct errinfo *ei);

/*
 * Params as canonical text in which strings and names are redacted one by one and the values of members that are named
 * like secrets are masked, then cut. canonical is their canonical form, or empty when there is none; the summary may be
 * a part of it. {NULL, 0} when the arena is full.
 */
struct span summarize_params(const struct json *params, struct span canonical,
	const struct redactor *redactor, struct arena *a);
/* password, api_key, Authorization, ... in any spelling. */
bool is_secret_name(struct span name);

#endif
