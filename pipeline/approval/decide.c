/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A person decides (nomos-http.md 1.7, decisions 27 to 29). Who speaks is settled on the loop, from the credential or the relay's
 * table; whether that counts, and what comes of it, in the ledger's transaction, so that of two decisions at once one is first.
 */
#include "approval/approval_records.h"
#include "approval/approval_settings.h"
#include "approval/approval_store.h"
#include "approval/op.h"
#include "approval/params_view.h"
#include "base/arena.h"
#include "base/utf8.h"
#include "req_state.h"

/* Exact spellings. */
static bool
parse_decision(struct span text, bool *is_approval)
{
	static const char *const yes[] = {"APPROVED", "approve", "APPROVE", "approved"};
	static const char *const no[] = {"DENIED", "deny", "DENY", "denied"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		*is_approval = span_eq_cstr(text, yes[i]);
		if (*is_approval || span_eq_cstr(text, no[i]))
			return true;
	}
	return false;
}

/* What is shown to others later: no control bytes but line ends and tabs. */
static bool
is_reason(struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			return false;
	}
	return text.n <= APPROVAL_REASON_BYTES_MAX;
}

static const struct {
	unsigned status;
	const char *code;
	const char *text;
} refusals[VOTE__MAX] = {
	[VOTE_NOT_APPROVER] = {403, "approval_forbidden", "principal is not an approval reviewer"},
	[VOTE_NOT_NAMED] = {403, "approval_forbidden", "the rule names other approvers"},
	[VOTE_REQUESTER] = {403, "approval_forbidden", "the requester cannot decide"},
	[VOTE_EXPIRED] = {400, "approval_error", "approval expired"},
	[VOTE_FINAL] = {409, "approval_error", "approval already finalized"},
	[VOTE_APPROVERS_CHANGED] = {409, "approval_error",
		"its approvers changed; the agent has to ask again"},
	[VOTE_POLICY_CHANGED] = {409, "approval_error",
		"the policy has changed since; the agent has to ask again"},
	[VOTE_UNSEEN] = {409, "approval_error",
		"some of what is asked for is hidden; approve it with ack_redacted"},
	[VOTE_FULL] = {409, "approval_error", "too many votes"},
};

static void
build_answer(struct approval_op *op, const struct approval *a)
{
	struct buf *b = &op->body;

	buf_add_char(b, '{');
	member_add_text(
		b, "decision", op->ballot.vote.is_approval ? SPAN_LIT("ALLOW") : SPAN_LIT("DENY"));
	member_add_text(b, "reason", SPAN_LIT("approval_recorded"));
	member_add_text(b, "approval_id", span_cstr(a->id));
	member_add_text(b, "approval_fingerprint", span_cstr(a->fingerprint));
	member_add_time(b, "approval_expires_at", a->expires_wall_ns);
	member_add_text(b, "status", span_cstr(approval_state_label(a->state)));
	member_add_int(b, "votes", approval_count_votes(a, &op->electorate));
	member_add_int(b, "needed", a->needed);
	BUF_ADD_LIT(b, "}\n");
}

/* Whether the approver could see all of it, as it would be shown now. */
static enum err
look_for_hidden(struct ledger_tx *tx, struct approval_op *op, const struct approval *a,
	struct approval_key key, struct errinfo *ei)
{
	struct arena *arena = op->desk->arena;
	struct params_view view;
	struct span text;
	const struct json *params;
	enum err rc = approval_store_get_params(tx, key, arena, &text, ei);

	op->ballot.is_hidden = true;
	if (rc == ERR_NOT_FOUND)
		return OK;
	if (rc == OK && json_parse(text, arena, &params, NULL, ei) != OK)
		rc = ERR(ei, ERR_CORRUPT, "stored parameters cannot be read");
	if (rc != OK)
		return rc;
	if (!params_view_build(params, a->resource, op->call.snapshot->redactor, arena, &view))
		return ERR(ei, ERR_NOMEM, "out of memory for an approval");
	op->ballot.is_hidden = view.n_hidden > 0;
	return OK;
}

static enum err
record_vote(struct ledger_tx *tx, struct approval_op *op, const struct approval *a,
	const struct approval_moment *now, struct errinfo *ei)
{
	struct arena *arena = op->desk->arena;
	const struct approval_vote *v = &op->ballot.vote;
	struct approval_event event = {
		.type = approval_channel_event(v->channel),
		.approval = a,
		.vote = v,
		.redactor = op->call.snapshot->redactor,
		.electorate = &op->electorate,
	};
	uint64_t seq;
	enum err rc = approval_append(tx, &event, arena, &seq, ei);

	if (rc == OK)
		rc = approval_store_change(tx, a, now->wall_ns, arena, ei);
	if (rc == OK && a->state == APPROVAL_DENIED)
		rc = approval_store_deny(
			tx, a, seq, now->wall_ns + op->call.snapshot->approvals.denial_ns, ei);
	op->has_news = true;
	op->state = a->state;
	memcpy(op->id, a->id, sizeof(op->id));
	return rc;
}

static enum err
apply_vote(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct approval_op *op = approval_op_of(e);
	struct approval_key key = approval_key_of(op->approval_id);
	struct approval_moment now = approval_desk_now(op->desk);
	struct approval a;
	enum err rc;

	arena_reset(op->desk->arena);
	buf_reset(&op->body);
	rc = approval_store_find(tx, key, op->desk->arena, &a, ei);
	if (rc == ERR_NOT_FOUND) {
		approval_op_set_not_found(op);
		return OK;
	}
	if (rc == OK && op->ballot.vote.is_approval)
		rc = look_for_hidden(tx, op, &a, key, ei);
	if (rc != OK)
		return rc;
	op->ballot.vote.wall_ns = now.wall_ns;
	op->vote = approval_vote(&a, &op->ballot, &now, op->desk->arena);
	if (op->vote == VOTE_RECORDED)
		rc = approval_desk_judge(op->desk, record_vote(tx, op, &a, &now, ei));
	if (op->vote == VOTE_RECORDED || op->vote == VOTE_REPEATED)
		build_answer(op, &a);
	else
		approval_op_set_error(op, refusals[op->vote].status, refusals[op->vote].code,
			span_cstr(refusals[op->vote].text));
	return rc;
}

/* Whose decision it is. */
static enum err
find_voter(struct approval_op *op, const struct approvals_ballot *in)
{
	struct approval_vote *v = &op->ballot.vote;
	const struct snapshot *s = op->call.snapshot;
	const struct approval_relay *relay = &s->approvals.relays[in->channel];
	struct caller who = in->caller;
	enum err rc = OK;

	/* Names of the relay's table live as long as the snapshot, which the call holds. */
	if (in->channel != CHANNEL_API && in->channel != CHANNEL_UI) {
		rc = approval_relay_find_voter(
			relay, span_trim(in->relayed_user), &who.principal, &v->asserted_by);
		who.roles = identity_get_roles(s->identities, who.principal);
	}
	who = approval_op_copy_caller(op, &who);
	approval_ballot_set_voter(&op->ballot, s, &who);
	return rc;
}

/* A bucket of its own for each principal that decides (decisions 4). */
static bool
has_rate(struct approval_op *op)
{
	const struct approval_vote *v = &op->ballot.vote;

	return approval_op_has_rate(op, "decide",
		v->asserted_by.n > 0 ? v->asserted_by : v->approver,
		op->call.snapshot->gateway.rate_limit_per_minute);
}

static void
vote(struct approval_op *op, const struct approvals_ballot *in)
{
	struct approval_vote *v = &op->ballot.vote;
	enum err rc;

	v->channel = in->channel;
	v->ack_redacted = in->ack_redacted;
	v->reason = arena_dup(op->arena, span_trim(in->reason));
	rc = find_voter(op, in);
	if (rc == OK && !has_rate(op))
		approval_op_refuse_rate(op);
	else if (rc != OK || !op->ballot.is_approver)
		approval_op_refuse(op, 403, "approval_forbidden",
			rc != OK ? SPAN_LIT("the relay's user is nobody here")
				 : SPAN_LIT("principal is not an approval reviewer"));
	else if (!op->call.snapshot->approvals.is_enabled)
		approval_op_refuse(op, 404, "not_enabled", SPAN_LIT("approvals are not enabled"));
	else if (!is_reason(v->reason))
		approval_op_refuse(op, 400, "validation_error",
			SPAN_LIT("reason is over 1000 bytes or holds control characters"));
	else if (op->approval_id.n == 0 || in->decision.n == 0)
		approval_op_refuse(op, 400, "validation_error",
			SPAN_LIT("approval_id and decision are required"));
	else if (!parse_decision(in->decision, &v->is_approval))
		approval_op_refuse(op, 400, "approval_error",
			SPAN_LIT("invalid decision; it is approve or deny"));
	else if (!approval_id_is_valid(op->approval_id))
		approval_op_refuse(op, 404, "approval_error", SPAN_LIT("approval not found"));
	else
		approval_op_submit(op, apply_vote);
}

void
approvals_decide(const struct approvals_call *call, const struct approvals_ballot *ballot)
{
	struct approval_op *op = approval_op_new(call, span_trim(ballot->approval_id));
	struct approvals_ballot in = *ballot;

	if (op == NULL)
		return;
	in.decision = span_trim(ballot->decision);
	vote(op, &in);
}

bool
approvals_has_relay(const struct snapshot *s, enum approval_channel channel)
{
	return s->approvals.is_enabled && s->approvals.relays[channel].token != NULL;
}

bool
approvals_is_relay(const struct snapshot *s, enum approval_channel channel, struct span token)
{
	return approval_relay_has_token(&s->approvals.relays[channel], token);
}
