/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A request for which the policy wants a person (decisions 26, 27). The ledger's thread decides by the rows as they are in its
 * transaction: an approval that is given is used in the transaction of the intent it allows, so it cannot be used twice; else
 * one is asked for, or the one that was asked for already is named again.
 */
#include "approval/approval_records.h"
#include "approval/approval_settings.h"
#include "approval/approval_store.h"
#include "approval/desk.h"
#include "approval/electorate.h"
#include "approval/params_view.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/rand.h"
#include "pipeline/board.h"
#include "policy/policy.h"
#include "records.h"
#include "req_state.h"

#define TEXT_EXTENSION "context.extensions.approval must be {\"approval_id\": string}"

/* ---- on the request's loop ---- */

static enum err
read_extension(struct req *r, struct errinfo *ei)
{
	const struct json *approval = json_find_cstr(r->action->extensions, "approval");
	const struct json *id = json_find_cstr(approval, "approval_id");

	if (r->input->approval_id.n > 0) {
		r->approval.presented = r->input->approval_id;
		return OK;
	}
	if (approval == NULL)
		return OK;
	if (approval->type != JSON_OBJECT || approval->n != 1 || id == NULL ||
		id->type != JSON_STRING)
		return ERR(ei, ERR_INVALID, TEXT_EXTENSION);
	r->approval.presented = span_trim(id->text);
	if (r->approval.presented.n == 0)
		return ERR(ei, ERR_INVALID, TEXT_EXTENSION);
	return OK;
}

static enum err
make_id(char out[APPROVAL_ID_BYTES + 1], struct errinfo *ei)
{
	uint8_t bytes[(APPROVAL_ID_BYTES - 4) / 2];
	enum err rc = rand_bytes(bytes, sizeof(bytes), ei);

	memcpy(out, "apr_", 4);
	hash_hex(bytes, sizeof(bytes), out + 4);
	return rc;
}

/* Numbers stay numbers, so that people see what the action is bound to. */
static enum err
copy_params(struct req *r, struct errinfo *ei)
{
	struct params_view view;
	struct buf b;

	buf_init_arena(&b, r->arena, LEDGER_CLAIM_BODY_MAX + 1);
	json_canonical_typed(r->action->params_json, &b);
	if (buf_failed(&b) || !params_view_build(r->action->params_json, r->action->resource.text,
				      r->snapshot->redactor, r->arena, &view))
		return ERR(ei, ERR_NOMEM, "out of memory for this request");
	r->approval.params = buf_span(&b);
	r->approval.has_hidden = view.n_hidden > 0;
	return OK;
}

static enum err
join_rule_ids(struct req *r, struct errinfo *ei)
{
	struct buf b;

	buf_init_arena(&b, r->arena, BUF_CAP_RECORD);
	record_join_rule_ids(&r->decision, &b);
	if (buf_failed(&b))
		return ERR(ei, ERR_NOMEM, "out of memory for this request");
	r->approval.rule_ids = buf_span(&b);
	return OK;
}

enum err
approval_prepare(struct req *r, struct errinfo *ei)
{
	enum err rc = read_extension(r, ei);

	if (rc == OK)
		rc = make_id(r->approval.fresh_id, ei);
	if (rc == OK)
		rc = copy_params(r, ei);
	return rc == OK ? join_rule_ids(r, ei) : rc;
}

/* ---- on the ledger's thread ---- */

struct case_file {
	struct ledger_tx *tx;
	struct req *r;
	struct arena *arena;
	struct approval_moment now;
	struct approval wanted; /* as it would be asked for */
	struct approval_electorate electorate;
};

static enum err
append_decision(struct case_file *f, enum verdict verdict, enum reason reason,
	enum ledger_state state, struct errinfo *ei)
{
	struct req *r = f->r;
	struct record_text text;
	enum err rc;

	r->result.verdict = verdict;
	r->result.reason = reason;
	r->record_state = state;
	rc = record_build_decision(r, f->arena, &text, ei);
	return rc == OK ? ledger_tx_append(f->tx, &text, state, &r->intent_seq, ei) : rc;
}

static enum err
deny(struct case_file *f, enum reason reason, struct errinfo *ei)
{
	f->r->approval.status = APPROVAL_STATUS_NONE;
	return append_decision(f, VERDICT_DENY, reason, LEDGER_COMPLETE, ei);
}

static void
name_approval(struct req *r, const struct approval *a)
{
	memcpy(r->approval.id, a->id, sizeof(r->approval.id));
	r->approval.expires_wall_ns = a->expires_wall_ns;
	r->approval.state = a->state;
}

static enum err
append_event(struct case_file *f, const char *type, const char *reason, const struct approval *a,
	uint64_t *seq, struct errinfo *ei)
{
	struct approval_event event = {
		.type = type,
		.reason = reason,
		.approval = a,
		.redactor = f->r->snapshot->redactor,
		.electorate = &f->electorate,
		.action_id = f->r->action->action_id,
		.trace_id = f->r->action->trace_id,
	};

	return approval_append(f->tx, &event, f->arena, seq, ei);
}

/* The intent, its approval used, in one transaction. */
static enum err
allow(struct case_file *f, struct approval *a, struct errinfo *ei)
{
	struct req *r = f->r;
	uint64_t seq;
	enum err rc;

	if (r->approval.obstacle != REASON_ALLOW_BY_RULE)
		return deny(f, r->approval.obstacle, ei);
	approval_use(a);
	name_approval(r, a);
	r->approval.is_used = true;
	r->approval.has_news = true;
	r->approval.status = APPROVAL_STATUS_NONE;
	r->executor = executor_find(r->action->kind);
	r->result.is_external = r->executor == NULL;
	rc = approval_store_change(f->tx, a, f->now.wall_ns, f->arena, ei);
	if (rc == OK)
		rc = append_decision(f, VERDICT_ALLOW, REASON_ALLOW_BY_APPROVAL,
			r->executor != NULL ? LEDGER_OPEN : LEDGER_AUTHORIZED, ei);
	return rc == OK ? append_event(f, "approval.applied", "approval_used", a, &seq, ei) : rc;
}

static enum err
open_new(struct case_file *f, struct errinfo *ei)
{
	const struct approval_settings *s = &f->r->snapshot->approvals;
	struct req *r = f->r;
	size_t n_all = 0;
	size_t n_mine = 0;
	uint64_t seq;
	enum err rc = approval_store_count(f->tx, NULL, s->max_pending, &n_all, ei);

	if (rc == OK)
		rc = approval_store_count(
			f->tx, &r->identity, s->max_pending_per_identity, &n_mine, ei);
	if (rc != OK)
		return rc;
	if (n_all >= s->max_pending || n_mine >= s->max_pending_per_identity)
		return deny(f, REASON_APPROVALS_LIMIT, ei);
	name_approval(r, &f->wanted);
	r->approval.has_news = true;
	rc = append_event(
		f, "approval.requested", reason_name(r->decision.reason), &f->wanted, &seq, ei);
	if (rc == OK)
		rc = approval_store_add(f->tx, &f->wanted, r->approval.params, seq, f->arena, ei);
	if (rc != OK)
		return rc;
	approval_desk_remind(&r->pipeline->desk, f->wanted.expires_wall_ns);
	approval_desk_note_policy(&r->pipeline->desk, f->wanted.policy_hash);
	return append_decision(
		f, VERDICT_REQUIRE_APPROVAL, r->decision.reason, LEDGER_COMPLETE, ei);
}

static enum err
ask(struct case_file *f, struct errinfo *ei)
{
	struct approval pending;
	enum err rc = approval_store_find_like(f->tx, &f->wanted, f->arena, &pending, ei);

	if (rc == ERR_NOT_FOUND)
		return open_new(f, ei);
	if (rc != OK)
		return rc;
	if (approval_state_at(&pending, &f->now) != APPROVAL_PENDING)
		return open_new(f, ei);
	name_approval(f->r, &pending);
	return append_decision(
		f, VERDICT_REQUIRE_APPROVAL, f->r->decision.reason, LEDGER_COMPLETE, ei);
}

/*
 * It allows nothing any more: it must not stand in the way of the one that is asked for instead. What began before a reload
 * cannot say so of one that people may have given since.
 */
static enum err
end_early(struct case_file *f, struct approval *a, const char *why, struct errinfo *ei)
{
	uint64_t seq;
	enum err rc;

	if (!approval_desk_is_in_force(&f->r->pipeline->desk, f->r->snapshot))
		return OK;
	a->state = APPROVAL_EXPIRED;
	rc = append_event(f, "approval.expired", why, a, &seq, ei);
	if (rc == OK)
		rc = approval_store_change(f->tx, a, f->now.wall_ns, f->arena, ei);
	if (rc == OK)
		memcpy(f->r->approval.ended_id, a->id, sizeof(a->id));
	return rc;
}

/* NONE in r->approval.status and *a: it allows the action. */
static enum err
check_presented(struct case_file *f, struct approval *a, struct errinfo *ei)
{
	struct req *r = f->r;
	struct span id = r->approval.presented;
	enum err rc = ERR_NOT_FOUND;

	r->approval.status = APPROVAL_STATUS_NOT_FOUND;
	if (approval_id_is_valid(id))
		rc = approval_store_find(f->tx, approval_key_of(id), f->arena, a, ei);
	if (rc == ERR_NOT_FOUND)
		return OK;
	if (rc == OK)
		r->approval.status = approval_check(a, r->action, &r->decision.obligations,
			policy_get_hash(r->snapshot->policy), &f->now);
	if (rc == OK && r->approval.status == APPROVAL_STATUS_POLICY_CHANGED &&
		a->state == APPROVAL_PENDING)
		return end_early(f, a, "policy_changed", ei);
	/* Somebody whose word it rests on may not give it any more: others have to be asked. */
	if (rc == OK && r->approval.status == APPROVAL_STATUS_NONE &&
		!approval_is_carried(a, &f->electorate)) {
		r->approval.status = APPROVAL_STATUS_EXPIRED;
		return end_early(f, a, "approvers_changed", ei);
	}
	return rc;
}

static enum err
open_file(struct case_file *f, struct errinfo *ei)
{
	const struct req *r = f->r;
	const struct obligations *o = &r->decision.obligations;
	struct approval_request request = {
		.id = r->approval.fresh_id,
		.action = r->action,
		.obligations = o,
		.rule_ids = r->approval.rule_ids,
		.policy_hash = policy_get_hash(r->snapshot->policy),
		.ttl_ns = o->approval_ttl_seconds > 0 ? o->approval_ttl_seconds * NS_PER_SEC
						      : r->snapshot->approvals.ttl_ns,
		.has_hidden = r->approval.has_hidden,
	};

	return approval_open(&f->wanted, &request, &f->now, ei);
}

static enum err
decide(struct case_file *f, struct errinfo *ei)
{
	struct req *r = f->r;
	struct approval presented;
	bool is_denied = false;
	enum err rc = approval_store_is_denied(f->tx, &f->wanted, f->now.wall_ns, &is_denied, ei);

	if (rc == ERR_UNSUPPORTED)
		return deny(f, REASON_APPROVALS_UNAVAILABLE, ei);
	if (rc == OK && is_denied)
		return deny(f, REASON_DENIED_BY_APPROVER, ei);
	if (rc == OK && r->approval.presented.n > 0) {
		rc = check_presented(f, &presented, ei);
		if (rc == OK && r->approval.status == APPROVAL_STATUS_NONE)
			return allow(f, &presented, ei);
	}
	return rc == OK ? ask(f, ei) : rc;
}

enum err
approval_apply(struct ledger_tx *tx, struct req *r, struct errinfo *ei)
{
	struct approval_desk *d = &r->pipeline->desk;
	struct case_file f = {
		.tx = tx,
		.r = r,
		.arena = d->arena,
		.now = approval_desk_now(d),
		.electorate = approval_electorate_of(r->snapshot),
	};
	enum err rc;

	arena_reset(d->arena);
	/* Nothing of an earlier try stays. */
	r->approval.id[0] = '\0';
	r->approval.is_used = false;
	r->approval.has_news = false;
	r->approval.ended_id[0] = '\0';
	r->approval.status = APPROVAL_STATUS_PENDING;
	r->executor = NULL;
	r->result.is_external = false;
	rc = open_file(&f, ei);
	if (rc == OK)
		rc = decide(&f, ei);
	return approval_desk_judge(d, rc);
}

enum err
approval_undo(struct ledger_tx *tx, struct req *r, struct errinfo *ei)
{
	struct approval_desk *d = &r->pipeline->desk;
	struct approval a;
	enum err rc;

	if (!r->approval.is_used)
		return OK;
	arena_reset(d->arena);
	rc = approval_store_find(tx, approval_key_of(span_cstr(r->approval.id)), d->arena, &a, ei);
	if (rc != OK)
		return rc == ERR_NOT_FOUND ? OK : rc;
	approval_give_back(&a);
	approval_desk_remind(d, a.expires_wall_ns);
	return approval_store_change(tx, &a, approval_desk_now(d).wall_ns, d->arena, ei);
}

void
approval_tell(struct req *r)
{
	if (r->approval.ended_id[0] != '\0')
		board_publish(pipeline_get_board(r->pipeline), span_cstr(r->approval.ended_id),
			"expired");
	r->result.approval_id = span_cstr(r->approval.id);
	r->result.approval_status = approval_status_name(r->approval.status);
	r->result.approval_expires_wall_ns = r->approval.expires_wall_ns;
	if (r->approval.has_news)
		board_publish(pipeline_get_board(r->pipeline), span_cstr(r->approval.id),
			approval_state_name(r->approval.state));
}
