/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a caller says of the outcome of an action that it carried out itself (nomos-http.md 1.6, decisions 16 and 25). It is
 * accepted once, for a decision external_authorized of the same identity that is still open, and closes it in the
 * transaction of its own record; the answer follows when that is durable.
 */
#ifndef PIPELINE_REPORT_H
#define PIPELINE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/record.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/span.h"
#include "policy/action.h"

struct arena;
struct req;

/* From report_parse; spans borrow from the body and the arena. */
struct report {
	struct span action_id;
	struct span trace_id;
	struct span action_type;
	struct span resource_raw; /* trimmed */
	struct span outcome;      /* "SUCCEEDED" or "FAILED" */
	struct span message;
	struct span external_reference;
	struct span approval_id;
	struct span approval_fingerprint;
	bool has_status_code;
	int64_t status_code;
	struct resource resource;  /* from report_normalize */
	char hash[SHA256_HEX + 1]; /* of what is told of the outcome: a repeat has the same */
};

/* ERR_PARSE, ERR_INVALID: 400 validation_error; ERR_TOO_LARGE: the body, or the arena. */
MUSTCHECK enum err report_parse(
	struct span body, struct arena *a, struct report **out, struct errinfo *ei);

/* What the ledger says of the decision that a report is about. Zero: there is none. */
enum report_match {
	REPORT_UNMATCHED = 0, /* never authorised, given back, or too long ago */
	REPORT_OPEN,
	REPORT_REPEATED,  /* closed by a report that says the same */
	REPORT_REPORTED,  /* closed by another one */
	REPORT_OF_OTHERS, /* ids of a decision about another type or resource, or another approval */
};

#define REPORT_TOLD_MAX 16

/* A report of the caller with the same ids. */
struct report_told {
	uint64_t intent_seq; /* of the decision that it closed */
	bool is_same;        /* it says what this one says */
};

/* On a pool thread, before the report's transaction. */
struct report_search {
	const struct report *report;
	struct span principal;
	struct span agent;
	struct span environment;
	struct span action_id; /* as records show it: redacted */
	struct span trace_id;
	const char *ledger_path;
	int64_t since_wall_ns; /* decisions before that are closed */
	/* How far it is; zero: not begun. */
	uint64_t from;  /* the record to go on with; 0: the newest */
	uint64_t head;  /* the newest one when it began */
	uint64_t floor; /* in the second look: what is older was seen in the first */
	struct report_told told[REPORT_TOLD_MAX]; /* newest first, like all that is seen */
	size_t n_told;
	bool has_closed; /* a decision that is not open was seen */
	/* Found. */
	bool is_cut; /* the time was up: nothing below counts yet, and another run goes on */
	enum report_match match;
	uint64_t seq;         /* of the decision, when open */
	char approval_id[64]; /* of the decision; empty when it has none */
	struct errinfo ei;
	enum err result;
};
/* Half a second of reading at most; blocking. */
void report_search_run(struct report_search *s);

#endif
