/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* An entry that appends one record and does nothing else. */
#ifndef BENCH_LEDGER_ROW_H
#define BENCH_LEDGER_ROW_H

#include <stdint.h>

#include "audit/ledger.h"
#include "audit/record.h"

struct row {
	struct ledger_entry e; /* first */
	struct record_text text;
};

static inline enum err
row_append(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct row *r = (struct row *)(void *)e;
	uint64_t seq = 0;

	return ledger_tx_append(tx, &r->text, LEDGER_COMPLETE, &seq, ei);
}

#endif
