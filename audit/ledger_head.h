/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Rewrites `<ledger>.head` off the writer's path: a thread of its own that keeps only the newest
 * checkpoint. */
#ifndef AUDIT_LEDGER_HEAD_H
#define AUDIT_LEDGER_HEAD_H

#include "audit/checkpoint.h"
#include "base/attr.h"
#include "base/err.h"

struct ledger_head;

/* Starts the thread. path is copied. ERR_NOMEM, ERR_IO. */
MUSTCHECK enum err ledger_head_new(const char *path, struct ledger_head **out, struct errinfo *ei);
/* Any thread; never blocks on the disk. A checkpoint that was not written yet is replaced. */
void ledger_head_put(struct ledger_head *h, const struct checkpoint *cp);
/* Writes what is left and ends the thread. */
void ledger_head_free(struct ledger_head **h);

#endif
