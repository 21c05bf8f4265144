/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a ledger's rows say beside the chain: the state column, the index over it, the first row. */
#ifndef AUDIT_VERIFY_ROWS_H
#define AUDIT_VERIFY_ROWS_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct intents;
struct source;

#define VERIFY_WHY_MAX 200

/*
 * in has seen every row behind `after` up to `last`, and the archives before. why stays empty when all is well; otherwise it begins with
 * edited or damaged, and *seq is the record's, 0 when it is not about one. Errors: the source
 * cannot be read, or memory is out.
 */
MUSTCHECK enum err verify_rows(struct source *s, struct intents *in, uint64_t after, uint64_t last,
	uint64_t *seq, char why[VERIFY_WHY_MAX], struct errinfo *ei);

#endif
