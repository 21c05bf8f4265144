/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of pipeline/approvals.h on its way: made on a loop, run by the ledger's thread, answered on the loop. It holds copies
 * of what it was given and what it answers.
 */
#ifndef PIPELINE_APPROVAL_OP_H
#define PIPELINE_APPROVAL_OP_H

#include "approval/desk.h"
#include "approval/members.h"
#include "approval/votes.h"
#include "audit/ledger.h"
#include "base/attr.h"
#include "base/buf.h"
#include "pipeline/approvals.h"

struct approval_op {
	struct ledger_entry entry; /* first */
	struct approvals_call call;
	struct approval_desk *desk;
	struct arena *arena; /* copies of the input */
	struct approvals_answer answer;
	struct buf body; /* the answer's, on the heap */
	struct span approval_id;
	/* decide */
	struct approval_ballot ballot;
	struct approval_electorate electorate; /* of the call's snapshot */
	enum approval_vote_result vote;
	bool has_news;
	enum approval_state state;
	char id[APPROVAL_ID_BYTES + 1];
	/* list, show, look */
	struct approvals_page page;
	struct caller caller; /* who looks */
	struct identity identity;
};

typedef enum err (*approval_op_fn)(
	struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei);

/* NULL: out of memory, and that was answered. */
MUSTCHECK struct approval_op *approval_op_new(
	const struct approvals_call *call, struct span approval_id);
struct approval_op *approval_op_of(struct ledger_entry *e);
/* Hands it to the ledger; the answer follows. */
void approval_op_submit(struct approval_op *op, approval_op_fn apply);
/* Answers without the ledger; code and message are static. */
void approval_op_refuse(
	struct approval_op *op, unsigned status, const char *code, struct span message);
/* From apply: the error to answer with. */
void approval_op_set_error(
	struct approval_op *op, unsigned status, const char *code, struct span message);
/* From apply: no such approval. */
void approval_op_set_not_found(struct approval_op *op);

/* A token from this principal's bucket of that kind; the answer gets Retry-After when there is none, and the call is to be
 * refused with 429. */
MUSTCHECK bool approval_op_has_rate(
	struct approval_op *op, const char *kind, struct span who, int64_t per_minute);
/* Answers 429. */
void approval_op_refuse_rate(struct approval_op *op);

/* In the call's arena, so that it need not be dropped. */
struct caller approval_op_copy_caller(struct approval_op *op, const struct caller *from);
/* Fills in who votes, and under which policy. */
void approval_ballot_set_voter(
	struct approval_ballot *b, const struct snapshot *s, const struct caller *who);

#endif
