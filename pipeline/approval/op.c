/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The way of a call to the ledger and back; what all answers are made of. */
#include "approval/op.h"

#include "approval/electorate.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "pipeline/board.h"
#include "policy/policy.h"
#include "req_state.h"

#define OP_ARENA_BYTES ((size_t)256 * 1024)
#define BODY_BYTES_MAX ((size_t)4 * BUF_CAP_REPLY)

static void
free_op(struct approval_op *op)
{
	snapshot_unref(&op->call.snapshot);
	buf_fini(&op->body);
	arena_free(&op->arena);
	mem_free(op);
}

static const struct approvals_answer out_of_memory = {
	503, "overloaded", {"out of memory", 13}, 1, ""};

static void
answer(struct approval_op *op)
{
	if (op->answer.status == 200)
		op->answer.text = buf_span(&op->body);
	op->answer.state = approval_state_name(op->state);
	op->call.done(
		op->answer.status == 200 && buf_failed(&op->body) ? &out_of_memory : &op->answer,
		op->call.arg);
	free_op(op);
}

struct approval_op *
approval_op_new(const struct approvals_call *call, struct span approval_id)
{
	struct approval_op *op = mem_zalloc(1, sizeof(*op));
	struct arena *arena = arena_new(OP_ARENA_BYTES);

	if (op == NULL || arena == NULL) {
		mem_free(op);
		arena_free(&arena);
		call->done(&out_of_memory, call->arg);
		return NULL;
	}
	op->call = *call;
	op->call.snapshot = snapshot_ref(call->snapshot);
	op->electorate = approval_electorate_of(op->call.snapshot);
	op->ballot.electorate = &op->electorate;
	op->desk = &call->pipeline->desk;
	op->arena = arena;
	op->answer.status = 200;
	op->answer.code = "";
	buf_init(&op->body, BODY_BYTES_MAX);
	op->approval_id = arena_dup(arena, approval_id);
	return op;
}

struct approval_op *
approval_op_of(struct ledger_entry *e)
{
	return (struct approval_op *)(void *)e;
}

void
approval_op_set_error(
	struct approval_op *op, unsigned status, const char *code, struct span message)
{
	op->answer.status = status;
	op->answer.code = code;
	op->answer.text = message;
}

void
approval_op_set_not_found(struct approval_op *op)
{
	approval_op_set_error(op, 404, "approval_error", SPAN_LIT("approval not found"));
}

void
approval_op_refuse(struct approval_op *op, unsigned status, const char *code, struct span message)
{
	approval_op_set_error(op, status, code, message);
	answer(op);
}

bool
approval_op_has_rate(struct approval_op *op, const char *kind, struct span who, int64_t per_minute)
{
	int64_t wait_ns = 0;
	struct span key =
		arena_printf(op->arena, "%s|%lld|%.*s", kind, (long long)per_minute, SPAN_ARG(who));

	if (op->call.is_paid || key.p == NULL ||
		rate_limits_take_coarse(
			op->call.pipeline->coarse_buckets, who, key, per_minute, &wait_ns) == OK)
		return true;
	op->answer.retry_after_s = (uint32_t)(1 + wait_ns / NS_PER_SEC);
	return false;
}

void
approval_op_refuse_rate(struct approval_op *op)
{
	approval_op_refuse(op, 429, "rate_limited", SPAN_LIT("rate limit exceeded"));
}

static void
set_unrecorded(struct approval_op *op, enum err rc)
{
	if (rc == ERR_UNSUPPORTED)
		approval_op_set_error(
			op, 404, "not_enabled", SPAN_LIT("approvals are not enabled"));
	else if (rc == ERR_TOO_LARGE)
		approval_op_set_error(
			op, 409, "approval_error", SPAN_LIT("the approval has become too large"));
	else if (rc == ERR_OVERLOAD || rc == ERR_NOMEM)
		approval_op_set_error(
			op, 503, "overloaded", SPAN_LIT("no room for this; nothing was done"));
	else
		approval_op_set_error(
			op, 503, "audit_error", SPAN_LIT("the ledger cannot take this now"));
	op->answer.retry_after_s = op->answer.status == 503 ? 1 : 0;
}

static void
on_done(struct ledger_entry *e)
{
	struct approval_op *op = approval_op_of(e);
	/* With a number it is in the ledger. */
	bool stands = e->result == OK || e->seq != 0;

	if (e->result != OK && stands)
		approval_op_set_error(op, 503, "audit_error",
			SPAN_LIT("it is recorded and stands, but the ledger or a required sink has "
				 "not confirmed it; look at the approval before you decide again"));
	else if (e->is_doubtful)
		approval_op_set_error(op, 503, "outcome_unknown",
			SPAN_LIT("the ledger failed while this was written, so it may stand or "
				 "not; look at the approval once the ledger works again, and "
				 "decide if it still waits"));
	else if (e->result != OK)
		set_unrecorded(op, e->result);
	/* It may stand, and nobody would tell of it later; who hears it looks. */
	if ((stands || e->is_doubtful) && op->has_news)
		board_publish(pipeline_get_board(op->call.pipeline), span_cstr(op->id),
			approval_state_name(op->state));
	answer(op);
}

void
approval_op_submit(struct approval_op *op, approval_op_fn apply)
{
	struct errinfo ei;
	enum err rc;

	op->entry = (struct ledger_entry){
		.loop = op->call.loop,
		.apply = apply,
		.done = on_done,
	};
	if (arena_failed(op->arena)) {
		set_unrecorded(op, ERR_NOMEM);
		answer(op);
		return;
	}
	rc = ledger_submit(op->call.pipeline->ledger, &op->entry, &ei);
	if (rc == OK)
		return;
	set_unrecorded(op, rc);
	answer(op);
}

struct caller
approval_op_copy_caller(struct approval_op *op, const struct caller *from)
{
	struct span *groups = ARENA_ARRAY(op->arena, struct span, from->n_groups);

	for (size_t i = 0; i < from->n_groups && groups != NULL; i++)
		groups[i] = arena_dup(op->arena, from->groups[i]);
	return (struct caller){
		.principal = arena_dup(op->arena, from->principal),
		.roles = from->roles,
		.groups = groups,
		.n_groups = groups != NULL ? from->n_groups : 0,
	};
}

void
approval_ballot_set_voter(
	struct approval_ballot *b, const struct snapshot *s, const struct caller *who)
{
	b->vote.approver = who->principal;
	b->is_approver = caller_has_role(who, ROLE_APPROVER);
	b->is_operator = caller_has_role(who, ROLE_OPERATOR);
	b->is_viewer = caller_has_role(who, ROLE_VIEWER);
	b->groups = who->groups;
	b->n_groups = who->n_groups;
	b->policy_hash = policy_get_hash(s->policy);
}
