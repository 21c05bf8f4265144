/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Writes approvals for people. */
#include "approval/approval_view.h"

#include <stdlib.h>
#include <string.h>

#include "approval/members.h"
#include "approval/params_view.h"
#include "approval/votes.h"
#include "base/arena.h"
#include "base/buf.h"
#include "exec/output.h"

/* A page of a list ends here, behind the row that reaches it: who asks chooses how long its rows are. */
#define LIST_BYTES ((size_t)1024 * 1024)

static struct span
clean(const struct approval_view *v, struct span text)
{
	struct span out = output_redact(v->redactor, text, v->arena);

	return out.p != NULL || text.n == 0 ? out : SPAN_LIT("[REDACTED]");
}

static struct span
scope_name(const struct approval *a)
{
	return a->is_class ? SPAN_LIT("class") : SPAN_LIT("fingerprint");
}

void
approval_view_add_summary(const struct approval_view *v, const struct approval *a)
{
	struct span resource = clean(v, a->resource);
	struct span type = clean(v, a->action_type);
	struct buf *b = v->out;
	struct buf text;

	buf_init_arena(&text, v->arena, BUF_CAP_RECORD);
	buf_add_span(&text, type);
	buf_add_char(&text, ' ');
	buf_add_span(&text, resource);
	member_add_text(b, "action_type", type);
	member_add_text(b, "resource", resource);
	member_add_text(b, "scope_type", scope_name(a));
	member_add_text(b, "action_id", clean(v, a->action_id));
	member_add_text(b, "trace_id", clean(v, a->trace_id));
	member_add_text(b, "action_summary", buf_span(&text));
}

static void
add_common(const struct approval_view *v, const struct approval *a)
{
	enum approval_state state = approval_state_at(a, &v->now);
	struct buf *b = v->out;

	member_add_text(b, "approval_id", span_cstr(a->id));
	member_add_text(b, "status", span_cstr(approval_state_label(state)));
	member_add_time(b, "created_at", a->created_wall_ns);
	member_add_time(b, "expires_at", a->expires_wall_ns);
	member_add_bool(b, "expired", state == APPROVAL_EXPIRED);
	member_add_text(b, "principal", clean(v, a->identity.principal));
	member_add_text(b, "agent", clean(v, a->identity.agent));
	member_add_text(b, "environment", clean(v, a->identity.environment));
	approval_view_add_summary(v, a);
	member_add_int(b, "needed", a->needed);
	member_add_bool(b, "has_hidden", a->has_hidden);
}

static void
add_row(const struct approval_view *v, const struct approval *a, bool is_all)
{
	/* What ran out a moment ago is no longer pending, though its end is not recorded yet. */
	if (!is_all && approval_state_at(a, &v->now) != APPROVAL_PENDING)
		return;
	buf_add_cstr(v->out, span_ends(buf_span(v->out), SPAN_LIT("[")) ? "{" : ",{");
	add_common(v, a);
	member_add_int(v->out, "votes", approval_count_votes(a, v->electorate));
	buf_add_char(v->out, '}');
}

bool
approval_list_take(const struct ledger_claim *c, void *list)
{
	struct approval_list *l = list;

	memcpy(l->places[l->n].key.bytes, c->key, sizeof(c->key));
	l->places[l->n++].seq = c->seq;
	return l->n < ARRAY_LEN(l->places);
}

bool
approval_list_has(const struct approvals_page *page, enum approval_state state)
{
	return page->is_all || state == APPROVAL_PENDING;
}

static int
compare_places(const void *a, const void *b)
{
	const struct approval_place *x = a;
	const struct approval_place *y = b;

	return x->seq < y->seq ? 1 : (x->seq > y->seq ? -1 : 0);
}

enum err
approval_view_add_list(const struct approval_view *v, struct approval_list *list,
	const struct approvals_page *page, approval_find_fn find, void *arg, struct errinfo *ei)
{
	enum err rc = OK;
	size_t n = 0;

	qsort(list->places, list->n, sizeof(list->places[0]), compare_places);
	BUF_ADD_LIT(v->out, "{\"approvals\":[");
	for (; rc == OK && n < list->n && n < page->limit && v->out->n < LIST_BYTES; n++) {
		struct approval a;

		arena_reset(v->arena);
		rc = find(arg, list->places[n].key, &a, ei);
		if (rc == OK)
			add_row(v, &a, page->is_all);
		else if (rc == ERR_NOT_FOUND || rc == ERR_CORRUPT)
			rc = OK;
	}
	BUF_ADD_LIT(v->out, "],\"next_cursor\":");
	if (rc == OK && n < list->n)
		buf_printf(v->out, "\"%llu\"}\n", (unsigned long long)list->places[n - 1].seq);
	else
		BUF_ADD_LIT(v->out, "null}\n");
	return rc;
}

void
approval_view_add_brief(const struct approval_view *v, const struct approval *a)
{
	enum approval_state state = approval_state_at(a, &v->now);

	buf_add_char(v->out, '{');
	member_add_text(v->out, "approval_id", span_cstr(a->id));
	member_add_text(v->out, "status", span_cstr(approval_state_label(state)));
	member_add_time(v->out, "expires_at", a->expires_wall_ns);
	member_add_bool(v->out, "expired", state == APPROVAL_EXPIRED);
	member_add_text(v->out, "scope_type", scope_name(a));
	buf_add_char(v->out, '}');
}

/* ---- a page ---- */

static void
add_votes(const struct approval_view *v, const struct approval *a)
{
	struct buf votes;

	buf_init_arena(&votes, v->arena, BUF_CAP_REPLY);
	buf_add_char(&votes, '[');
	for (size_t i = 0; i < a->n_votes; i++) {
		const struct approval_vote *vote = &a->votes[i];

		buf_add_cstr(&votes, i > 0 ? ",{" : "{");
		member_add_text(&votes, "approver", clean(v, vote->approver));
		if (vote->asserted_by.n > 0)
			member_add_text(&votes, "asserted_by", clean(v, vote->asserted_by));
		member_add_text(&votes, "decision",
			vote->is_approval ? SPAN_LIT("ALLOW") : SPAN_LIT("DENY"));
		member_add_text(&votes, "reason", clean(v, vote->reason));
		member_add_text(&votes, "channel", span_cstr(approval_channel_name(vote->channel)));
		member_add_bool(&votes, "ack_redacted", vote->ack_redacted);
		member_add_time(&votes, "time", vote->wall_ns);
		buf_add_char(&votes, '}');
	}
	buf_add_char(&votes, ']');
	member_add_json(v->out, "votes", buf_failed(&votes) ? SPAN_LIT("[]") : buf_span(&votes));
}

static void
add_rules(const struct approval_view *v, const struct approval *a,
	const struct approval_page_facts *facts)
{
	struct buf *b = v->out;

	member_add_text(b, "reason", SPAN_LIT("require_approval_by_rule"));
	member_add_json(b, "matched_rule_ids", a->rule_ids);
	member_add_json(b, "obligations", a->obligations);
	add_votes(v, a);
	member_add_int(b, "votes_counted", approval_count_votes(a, v->electorate));
	member_add_text(b, "policy_bundle_hash", span_cstr(a->policy_hash));
	if (facts->policy_hash != NULL)
		member_add_bool(
			b, "policy_changed", strcmp(facts->policy_hash, a->policy_hash) != 0);
	else
		member_add_json(b, "policy_changed", SPAN_LIT("null"));
	member_add_text(b, "binding_hash", span_cstr(a->binding_hash));
	member_add_text(b, "params_hash", span_cstr(a->params_hash));
	member_add_text(b, "approval_fingerprint", span_cstr(a->fingerprint));
	member_add_int(b, "max_uses", a->max_uses);
	member_add_int(b, "uses", a->uses);
	member_add_bool(b, "can_decide", facts->why_not[0] == '\0');
	member_add_text(b, "why_not", span_cstr(facts->why_not));
}

static enum err
add_params(const struct approval_view *v, const struct approval *a, struct span text,
	struct errinfo *ei)
{
	struct params_view view;
	const struct json *params = NULL;

	if (text.n > 0 && json_parse(text, v->arena, &params, NULL, ei) != OK)
		return ERR(ei, ERR_CORRUPT, "stored parameters cannot be read");
	if (!params_view_build(params, a->resource, v->redactor, v->arena, &view))
		return ERR(ei, ERR_NOMEM, "out of memory for an approval");
	member_add_json(v->out, "params", view.json);
	member_add_json(v->out, "hidden", view.hidden);
	member_add_int(v->out, "hidden_count", (int64_t)view.n_hidden);
	return OK;
}

enum err
approval_view_add_page(const struct approval_view *v, const struct approval *a,
	const struct approval_page_facts *facts, struct errinfo *ei)
{
	buf_add_char(v->out, '{');
	add_common(v, a);
	enum err rc = add_params(v, a, facts->params, ei);
	add_rules(v, a, facts);
	BUF_ADD_LIT(v->out, "}\n");
	return rc;
}
