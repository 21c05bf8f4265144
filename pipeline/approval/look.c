/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at approvals: entries of the ledger without records, so that what is seen is what the next decision meets. What goes out
 * is redacted like a record. Lists are bounded and read no parameters.
 */
#include "approval/approval_settings.h"
#include "approval/approval_store.h"
#include "approval/approval_view.h"
#include "approval/op.h"
#include "base/arena.h"
#include "claims.h"
#include "policy/policy.h"
#include "req_state.h"

/* The ledger's thread answers, so nobody may keep it busy. A page looks again with each event. */
enum { PAGES_PER_MINUTE = 1200 };

static struct approval_view
view_of(struct approval_op *op)
{
	return (struct approval_view){
		.out = &op->body,
		.arena = op->desk->arena,
		.redactor = op->call.snapshot->redactor,
		.now = approval_desk_now(op->desk),
		.electorate = &op->electorate,
	};
}

/* ---- a page of a list ---- */

struct finding {
	struct ledger_tx *tx;
	struct arena *arena;
};

static enum err
find_row(void *arg, struct approval_key key, struct approval *a, struct errinfo *ei)
{
	struct finding *f = arg;

	return approval_store_find(f->tx, key, f->arena, a, ei);
}

static enum err
apply_list(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct approval_op *op = approval_op_of(e);
	const struct approval_view view = view_of(op);
	struct finding finding = {tx, op->desk->arena};
	struct approval_list list = {.n = 0};
	enum err rc = OK;

	for (int state = 0; rc == OK && state < APPROVAL_STATE__MAX; state++)
		if (approval_list_has(&op->page, (enum approval_state)state))
			rc = ledger_tx_each_claim(tx, CLAIM_APPROVAL, state, op->page.before_seq,
				op->page.limit + 1, approval_list_take, &list, ei);

	buf_reset(&op->body);
	return rc == OK ? approval_view_add_list(&view, &list, &op->page, find_row, &finding, ei)
			: rc;
}

void
approvals_list(const struct approvals_call *call, const struct approvals_page *page)
{
	struct approval_op *op = approval_op_new(call, SPAN_NONE);

	if (op == NULL)
		return;
	op->page = *page;
	if (page->limit == 0 || page->limit > APPROVALS_PAGE_MAX)
		op->page.limit = APPROVALS_PAGE_MAX;
	if (!call->snapshot->approvals.is_enabled)
		approval_op_refuse(op, 404, "not_enabled", SPAN_LIT("approvals are not enabled"));
	else if (!approval_op_has_rate(op, "page", page->principal, PAGES_PER_MINUTE))
		approval_op_refuse_rate(op);
	else
		approval_op_submit(op, apply_list);
}

/* ---- one approval, whole ---- */

static const char *
why_not(struct approval_op *op, const struct approval *a, const struct approval_moment *now)
{
	struct approval_ballot ballot = {.policy_hash = NULL};

	approval_ballot_set_voter(&ballot, op->call.snapshot, &op->caller);
	switch (approval_check_voter(a, &ballot)) {
	case VOTE_NOT_APPROVER:
		return "you are not an approver";
	case VOTE_NOT_NAMED:
		return "the rule names other approvers";
	case VOTE_REQUESTER:
		return "you asked for it";
	case VOTE_RECORDED:
	case VOTE_REPEATED:
	case VOTE_EXPIRED:
	case VOTE_FINAL:
	case VOTE_APPROVERS_CHANGED:
	case VOTE_POLICY_CHANGED:
	case VOTE_UNSEEN:
	case VOTE_FULL:
	case VOTE__MAX:
		break;
	}
	if (approval_state_at(a, now) != APPROVAL_PENDING)
		return "it is not pending any more";
	ballot.vote.is_approval = true;
	return approval_is_repeat(a, &ballot.vote, &op->electorate)
		       ? "you have approved it; others have to as well"
		       : "";
}

/* The approval, when there is one that this caller may see. */
static enum err
find(struct ledger_tx *tx, struct approval_op *op, struct approval *a, bool *is_found,
	struct errinfo *ei)
{
	enum err rc;

	arena_reset(op->desk->arena);
	buf_reset(&op->body);
	rc = approval_store_find(tx, approval_key_of(op->approval_id), op->desk->arena, a, ei);
	*is_found = rc == OK;
	if (rc == ERR_NOT_FOUND)
		approval_op_set_not_found(op);
	return rc == ERR_NOT_FOUND ? OK : rc;
}

static enum err
apply_show(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct approval_op *op = approval_op_of(e);
	const struct approval_view view = view_of(op);
	struct approval_page_facts facts = {
		.policy_hash = policy_get_hash(op->call.snapshot->policy)};
	struct approval a;
	bool is_found;
	enum err rc = find(tx, op, &a, &is_found, ei);

	if (rc != OK || !is_found)
		return rc;
	facts.why_not = why_not(op, &a, &view.now);
	rc = approval_store_get_params(
		tx, approval_key_of(span_cstr(a.id)), view.arena, &facts.params, ei);
	if (rc != OK && rc != ERR_NOT_FOUND)
		return rc;
	return approval_view_add_page(&view, &a, &facts, ei);
}

static void
submit_look(struct approval_op *op, const char *kind, struct span who, int64_t per_minute,
	approval_op_fn apply)
{
	if (!op->call.snapshot->approvals.is_enabled)
		approval_op_refuse(op, 404, "not_enabled", SPAN_LIT("approvals are not enabled"));
	else if (!approval_id_is_valid(op->approval_id))
		approval_op_refuse(op, 404, "approval_error", SPAN_LIT("approval not found"));
	else if (!approval_op_has_rate(op, kind, who, per_minute))
		approval_op_refuse_rate(op);
	else
		approval_op_submit(op, apply);
}

void
approvals_show(
	const struct approvals_call *call, struct span approval_id, const struct caller *caller)
{
	struct approval_op *op = approval_op_new(call, approval_id);

	if (op == NULL)
		return;
	op->caller = approval_op_copy_caller(op, caller);
	submit_look(op, "page", caller->principal, PAGES_PER_MINUTE, apply_show);
}

/* ---- the agent's own ---- */

static enum err
apply_look(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct approval_op *op = approval_op_of(e);
	const struct approval_view view = view_of(op);
	struct buf *b = &op->body;
	struct approval a;
	bool is_found;
	enum err rc = find(tx, op, &a, &is_found, ei);

	if (rc != OK || !is_found)
		return rc;
	op->state = approval_state_at(&a, &view.now);
	if (!approval_is_of(&a, &op->identity)) {
		approval_op_set_not_found(op);
		return OK;
	}
	buf_add_char(b, '{');
	member_add_text(b, "approval_id", span_cstr(a.id));
	member_add_text(b, "status", span_cstr(approval_state_name(op->state)));
	member_add_time(b, "approval_expires_at", a.expires_wall_ns);
	member_add_text(b, "approval_fingerprint", span_cstr(a.fingerprint));
	approval_view_add_summary(&view, &a);
	member_add_int(b, "votes", approval_count_votes(&a, &op->electorate));
	member_add_int(b, "needed", a.needed);
	member_add_int(b, "max_uses", a.max_uses);
	member_add_int(b, "uses", a.uses);
	BUF_ADD_LIT(b, "}\n");
	return OK;
}

void
approvals_look(
	const struct approvals_call *call, struct span approval_id, const struct identity *identity)
{
	struct approval_op *op = approval_op_new(call, approval_id);

	if (op == NULL)
		return;
	op->identity = (struct identity){
		arena_dup(op->arena, identity->principal),
		arena_dup(op->arena, identity->agent),
		arena_dup(op->arena, identity->environment),
	};
	submit_look(op, "look", identity->principal, call->snapshot->gateway.rate_limit_per_minute,
		apply_look);
}
