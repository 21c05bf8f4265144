/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* How many approvals wait for a decision. */
#include "approval/approval_store.h"
#include "approval/op.h"

#define COUNT_MAX 100000 /* approvals.max_pending cannot be more */

static enum err
apply_count(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct approval_op *op = approval_op_of(e);
	size_t n = 0;
	enum err rc = approval_store_count(tx, NULL, COUNT_MAX, &n, ei);

	buf_add_uint(&op->body, n);
	return rc;
}

void
approvals_count(const struct approvals_call *call)
{
	struct approval_op *op = approval_op_new(call, SPAN_NONE);

	if (op != NULL)
		approval_op_submit(op, apply_count);
}
