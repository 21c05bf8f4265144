/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves old records of a running ledger into archives (decisions 22): on a thread of its own, a closed
 * segment at a time. A segment leaves the ledger only when its archive is written, synced and
 * verified, and then by the writer in transactions of few rows.
 */
#ifndef AUDIT_LEDGER_RETENTION_H
#define AUDIT_LEDGER_RETENTION_H

#include "base/attr.h"
#include "base/err.h"

struct ledger;
struct ledger_retention;

/* Only when the options ask for retention; *out is NULL otherwise. ERR_NOMEM, ERR_IO. */
MUSTCHECK enum err ledger_retention_new(
	struct ledger *l, struct ledger_retention **out, struct errinfo *ei);
/* Before the writer ends: what was submitted has to come back. */
void ledger_retention_free(struct ledger_retention **r);

#endif
