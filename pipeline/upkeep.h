/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be done now and then, in small portions on the ledger's thread: keys and settlements that have expired go, and
 * decisions that nobody reported in their time are closed as unreported, with one record for a portion of them.
 */
#ifndef PIPELINE_UPKEEP_H
#define PIPELINE_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/ledger.h"
#include "base/attr.h"
#include "base/err.h"

struct arena;
struct upkeep;

#define UPKEEP_PURGE_MAX 1000
#define UPKEEP_CLOSE_MAX 500

/*
 * One portion, inside a transaction. report_before_wall_ns: decisions before that are closed. *is_more: there is more to do.
 * An error ends the transaction.
 */
MUSTCHECK enum err upkeep_apply(struct ledger_tx *tx, int64_t now_wall_ns,
	int64_t report_before_wall_ns, struct arena *a, bool *is_more, struct errinfo *ei);

/* When the ledger has given all back. Accepts one that was never made. */
void upkeep_free(struct upkeep **u);

#endif
