/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a verification knows while it goes on. Private to verify.c and verify_record.c. */
#ifndef AUDIT_VERIFY_PRIV_H
#define AUDIT_VERIFY_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/checkpoint.h"
#include "audit/source.h"
#include "audit/verify.h"
#include "base/attr.h"

struct intents;

struct verification {
	const struct verify_options *o;
	struct verify_result *out;
	enum source_kind kind;
	uint64_t after;           /* the rows of the ledger up to here are not read */
	uint64_t n_before;        /* records of the sources before this one */
	struct checkpoint anchor; /* of a ledger that says where it begins; at.seq 0: it does not */
	bool has_chain_id;
	bool expected_seen;
	bool head_file_seen;
	/* After the first fault the lines that follow may say more about it. */
	uint64_t vanished_seq;   /* a ledger has records behind this one, but not it; 0: none */
	uint64_t wanted_seq;     /* the record that was not in its place; 0: none */
	struct intents *intents; /* of a ledger; NULL otherwise */
	bool is_last_line; /* the fault is a line that is no record, and no line follows yet */
};

/* Ends the verdict as bad, with why. r: the bad record, NULL when it is not about one. Returns false. */
PRINTF_LIKE(3, 4)
bool verify_fail(struct verification *v, const struct source_record *r, const char *fmt, ...);
/* Judges the next record of a source, and behind the first fault looks for what names it better; arg is the
 * verification. False when no more need be read. */
bool verify_visit(const struct source_record *r, void *arg);

#endif
