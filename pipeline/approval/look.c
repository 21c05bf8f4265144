/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at approvals: entries of the ledger without records, so that what is seen is what the next decision meets. What goes out
 * is redacted like a record. Lists are bounded and read no parameters.
 */
#include "approval/approval_settings.h"
#include "approval/approval_store.h"
#include "approval/op.h"
#include "approval/params_view.h"
#include "base/arena.h"
#include "claims.h"
#include "exec/output.h"
#include "policy/policy.h"
#include "req_state.h"

/* The ledger's thread answers, so nobody may keep it busy. A page looks again with each event. */
enum { PAGES_PER_MINUTE = 1200 };
/* A page of a list ends here, behind the row that reaches it: who asks chooses how long its rows are. */
#define LIST_BYTES ((size_t)1024 * 1024)

static struct span
clean(struct approval_op *op, struct span text)
{
	struct span out = output_redact(op->call.snapshot->redactor, text, op->desk->arena);

	return out.p != NULL || text.n == 0 ? out : SPAN_LIT("[REDACTED]");
}

/* ---- what lists and pages have in common ---- */

static void
add_summary(struct approval_op *op, const struct approval *a)
{
	struct span resource = clean(op, a->resource);
	struct span type = clean(op, a->action_type);
	struct buf *b = &op->body;
	struct buf text;

	buf_init_arena(&text, op->desk->arena, BUF_CAP_RECORD);
	buf_add_span(&text, type);
	buf_add_char(&text, ' ');
	buf_add_span(&text, resource);
	member_add_text(b, "action_type", type);
	member_add_text(b, "resource", resource);
	member_add_text(b, "scope_type", a->is_class ? SPAN_LIT("class") : SPAN_LIT("fingerprint"));
	member_add_text(b, "action_id", clean(op, a->action_id));
	member_add_text(b, "trace_id", clean(op, a->trace_id));
	member_add_text(b, "action_summary", buf_span(&text));
}

static void
add_common(struct approval_op *op, const struct approval *a, const struct approval_moment *now)
{
	enum approval_state state = approval_state_at(a, now);
	struct buf *b = &op->body;

	member_add_text(b, "approval_id", span_cstr(a->id));
	member_add_text(b, "status", span_cstr(approval_state_name(state)));
	member_add_time(b, "created_at", a->created_wall_ns);
	member_add_time(b, "expires_at", a->expires_wall_ns);
	member_add_bool(b, "expired", state == APPROVAL_EXPIRED);
	member_add_text(b, "principal", clean(op, a->identity.principal));
	member_add_text(b, "agent", clean(op, a->identity.agent));
	member_add_text(b, "environment", clean(op, a->identity.environment));
	add_summary(op, a);
	member_add_int(b, "needed", a->needed);
	member_add_bool(b, "has_hidden", a->has_hidden);
}

/* ---- a page of a list ---- */

struct listed {
	struct approval_key keys[APPROVALS_PAGE_MAX + 1];
	uint64_t seqs[APPROVALS_PAGE_MAX + 1];
	size_t n;
};

static bool
take_key(const struct ledger_claim *c, void *arg)
{
	struct listed *list = arg;

	memcpy(list->keys[list->n].bytes, c->key, sizeof(c->key));
	list->seqs[list->n++] = c->seq;
	return list->n <= APPROVALS_PAGE_MAX;
}

static enum err
add_row(struct ledger_tx *tx, struct approval_op *op, struct approval_key key,
	const struct approval_moment *now, struct errinfo *ei)
{
	struct approval a;
	enum err rc;

	arena_reset(op->desk->arena);
	rc = approval_store_find(tx, key, op->desk->arena, &a, ei);
	if (rc == ERR_NOT_FOUND || rc == ERR_CORRUPT)
		return OK;
	if (rc != OK)
		return rc;
	/* What ran out a moment ago is no longer pending, though its end is not recorded yet. */
	if (!op->page.is_all && approval_state_at(&a, now) != APPROVAL_PENDING)
		return OK;
	buf_add_cstr(&op->body, span_ends(buf_span(&op->body), SPAN_LIT("[")) ? "{" : ",{");
	add_common(op, &a, now);
	member_add_int(&op->body, "votes", approval_count_votes(&a));
	buf_add_char(&op->body, '}');
	return OK;
}

static enum err
apply_list(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct approval_op *op = approval_op_of(e);
	struct approval_moment now = approval_desk_now(op->desk);
	struct listed list = {.n = 0};
	size_t limit = op->page.limit;
	size_t n = 0;
	enum err rc = ledger_tx_each_claim(tx, CLAIM_APPROVAL,
		op->page.is_all ? LEDGER_ANY_STATE : APPROVAL_PENDING, op->page.before_seq,
		limit + 1, take_key, &list, ei);

	buf_reset(&op->body);
	BUF_ADD_LIT(&op->body, "{\"approvals\":[");
	for (; rc == OK && n < list.n && n < limit && op->body.n < LIST_BYTES; n++)
		rc = add_row(tx, op, list.keys[n], &now, ei);
	BUF_ADD_LIT(&op->body, "],\"next_cursor\":");
	if (rc == OK && n < list.n)
		buf_printf(&op->body, "\"%llu\"}\n", (unsigned long long)list.seqs[n - 1]);
	else
		BUF_ADD_LIT(&op->body, "null}\n");
	return rc;
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

static void
add_votes(struct approval_op *op, const struct approval *a)
{
	struct buf *b = &op->body;
	struct buf votes;

	buf_init_arena(&votes, op->desk->arena, BUF_CAP_REPLY);
	buf_add_char(&votes, '[');
	for (size_t i = 0; i < a->n_votes; i++) {
		const struct approval_vote *v = &a->votes[i];

		buf_add_cstr(&votes, i > 0 ? ",{" : "{");
		member_add_text(&votes, "approver", clean(op, v->approver));
		if (v->asserted_by.n > 0)
			member_add_text(&votes, "asserted_by", clean(op, v->asserted_by));
		member_add_text(
			&votes, "decision", v->is_approval ? SPAN_LIT("ALLOW") : SPAN_LIT("DENY"));
		member_add_text(&votes, "reason", clean(op, v->reason));
		member_add_text(&votes, "channel", span_cstr(approval_channel_name(v->channel)));
		member_add_bool(&votes, "ack_redacted", v->ack_redacted);
		member_add_time(&votes, "time", v->wall_ns);
		buf_add_char(&votes, '}');
	}
	buf_add_char(&votes, ']');
	member_add_json(b, "votes", buf_failed(&votes) ? SPAN_LIT("[]") : buf_span(&votes));
}

static const char *
why_not(struct approval_op *op, const struct approval *a, const struct approval_moment *now)
{
	struct approval_ballot ballot = {.vote.approver = op->principal};

	approval_ballot_set_roles(&ballot, op->call.snapshot);
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
	case VOTE_POLICY_CHANGED:
	case VOTE_UNSEEN:
	case VOTE_FULL:
	case VOTE__MAX:
		break;
	}
	if (approval_state_at(a, now) != APPROVAL_PENDING)
		return "it is not pending any more";
	for (size_t i = 0; i < a->n_votes; i++)
		if (span_eq(a->votes[i].approver, op->principal))
			return "you have approved it; others have to as well";
	return "";
}

static void
add_rules(struct approval_op *op, const struct approval *a, const struct approval_moment *now)
{
	const char *current = policy_get_hash(op->call.snapshot->policy);
	const char *why = why_not(op, a, now);
	struct buf *b = &op->body;

	member_add_text(b, "reason", SPAN_LIT("require_approval_by_rule"));
	member_add_json(b, "matched_rule_ids", a->rule_ids);
	member_add_json(b, "obligations", a->obligations);
	add_votes(op, a);
	member_add_int(b, "votes_counted", approval_count_votes(a));
	member_add_text(b, "policy_bundle_hash", span_cstr(a->policy_hash));
	member_add_bool(b, "policy_changed", strcmp(current, a->policy_hash) != 0);
	member_add_text(b, "binding_hash", span_cstr(a->binding_hash));
	member_add_text(b, "params_hash", span_cstr(a->params_hash));
	member_add_text(b, "approval_fingerprint", span_cstr(a->fingerprint));
	member_add_int(b, "max_uses", a->max_uses);
	member_add_int(b, "uses", a->uses);
	member_add_bool(b, "can_decide", why[0] == '\0');
	member_add_text(b, "why_not", span_cstr(why));
}

static enum err
add_params(
	struct ledger_tx *tx, struct approval_op *op, const struct approval *a, struct errinfo *ei)
{
	struct arena *arena = op->desk->arena;
	struct params_view view;
	struct span text;
	const struct json *params = NULL;
	enum err rc =
		approval_store_get_params(tx, approval_key_of(span_cstr(a->id)), arena, &text, ei);

	if (rc == OK && json_parse(text, arena, &params, NULL, ei) != OK)
		rc = ERR(ei, ERR_CORRUPT, "stored parameters cannot be read");
	if (rc != OK && rc != ERR_NOT_FOUND)
		return rc;
	if (!params_view_build(params, a->resource, op->call.snapshot->redactor, arena, &view))
		return ERR(ei, ERR_NOMEM, "out of memory for an approval");
	member_add_json(&op->body, "params", view.json);
	member_add_json(&op->body, "hidden", view.hidden);
	member_add_int(&op->body, "hidden_count", (int64_t)view.n_hidden);
	return OK;
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
	struct approval_moment now = approval_desk_now(op->desk);
	struct approval a;
	bool is_found;
	enum err rc = find(tx, op, &a, &is_found, ei);

	if (rc != OK || !is_found)
		return rc;
	buf_add_char(&op->body, '{');
	add_common(op, &a, &now);
	rc = add_params(tx, op, &a, ei);
	add_rules(op, &a, &now);
	BUF_ADD_LIT(&op->body, "}\n");
	return rc;
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
approvals_show(const struct approvals_call *call, struct span approval_id, struct span principal)
{
	struct approval_op *op = approval_op_new(call, approval_id);

	if (op == NULL)
		return;
	op->principal = arena_dup(op->arena, principal);
	submit_look(op, "page", principal, PAGES_PER_MINUTE, apply_show);
}

/* ---- the agent's own ---- */

static enum err
apply_look(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct approval_op *op = approval_op_of(e);
	struct approval_moment now = approval_desk_now(op->desk);
	struct buf *b = &op->body;
	struct approval a;
	bool is_found;
	enum err rc = find(tx, op, &a, &is_found, ei);

	if (rc != OK || !is_found)
		return rc;
	op->state = approval_state_at(&a, &now);
	if (!approval_is_of(&a, &op->identity)) {
		approval_op_set_not_found(op);
		return OK;
	}
	buf_add_char(b, '{');
	member_add_text(b, "approval_id", span_cstr(a.id));
	member_add_text(b, "status", span_cstr(approval_state_name(approval_state_at(&a, &now))));
	member_add_time(b, "approval_expires_at", a.expires_wall_ns);
	member_add_text(b, "approval_fingerprint", span_cstr(a.fingerprint));
	add_summary(op, &a);
	member_add_int(b, "votes", approval_count_votes(&a));
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
