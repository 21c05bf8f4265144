/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the search index of a running ledger up to date, on a thread of its own and at its own pace:
 * it takes at most a quarter of a processor, a 28th while the process keeps all of them busy, looks twice a second
 * when there is nothing to do, and nobody ever waits for it.
 */
#ifndef AUDIT_LEDGER_INDEX_H
#define AUDIT_LEDGER_INDEX_H

#include <stdint.h>

#include "base/attr.h"
#include "base/cpu.h"
#include "base/err.h"

struct ledger_index;

/* path is copied. ERR_NOMEM, ERR_IO. */
MUSTCHECK enum err ledger_index_new(
	const char *path, struct ledger_index **out, struct errinfo *ei);
void ledger_index_free(struct ledger_index **x);
/* The last record that is indexed; retention stops there. Any thread. */
uint64_t ledger_index_position(const struct ledger_index *x);
/* How long the thread rests behind a batch of records: the longer, the less of the processors the others leave. */
int64_t ledger_index_rest_ns(int64_t worked_ns, const struct cpu_use *use);

#endif
