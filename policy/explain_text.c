/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The two sentences of an explanation: what the caller can do, and the smallest change that would
 * turn the decision. The change is drawn from the rules: from the one that denies, or from the one
 * that came nearest. Pure; any thread.
 */
#include "explain.h"

#include "base/buf.h"

static const char *
hint_by_kind(enum action_kind kind)
{
	switch (kind) {
	case ACTION_NET_HTTP_REQUEST:
		return "No rule allows this network destination for this identity.";
	case ACTION_PROCESS_EXEC:
		return "No rule allows this command for this identity.";
	case ACTION_FS_WRITE:
	case ACTION_REPO_APPLY_PATCH:
		return "No rule allows writing this target for this identity.";
	case ACTION_CUSTOM:
	case ACTION_FS_READ:
	case ACTION_SECRETS_CHECKOUT:
	case ACTION_KIND__MAX:
		break;
	}
	return "No rule allows this action on this resource for this identity.";
}

void
explain_put_hint(const struct explanation *x, struct buf *b)
{
	const char *text = hint_by_kind(x->action->kind);

	if (x->decision.verdict == VERDICT_REQUIRE_APPROVAL)
		text = "A person has to approve this action before it is carried out.";
	else if (x->decision.reason == REASON_DENY_BY_RULE)
		text = "A deny rule matches; no other rule can outweigh it.";
	else if (x->decision.reason == REASON_DENY_BY_EXEC_MODEL_CONFLICT)
		text = "The matching rules use two models of command authorisation at once.";
	buf_add_cstr(b, text);
}

static void
put_ids(struct buf *b, const struct decision *d)
{
	for (size_t i = 0; i < d->n_rule_ids; i++)
		buf_printf(b, "%s\"%.*s\"", i > 0 ? ", " : "", SPAN_ARG(d->rule_ids[i]));
}

static void
put_denied_change(const struct explanation *x, struct buf *b)
{
	const struct eval_classes *m = &x->matches;
	bool is_permitted = m->n[VERDICT_ALLOW] > 0 || m->n[VERDICT_REQUIRE_APPROVAL] > 0;

	buf_printf(b, "Narrow or remove deny rule%s ", x->decision.n_rule_ids > 1 ? "s" : "");
	put_ids(b, &x->decision);
	if (!is_permitted)
		buf_add_cstr(b, ", and add a rule that allows the action");
	else if (m->n[VERDICT_REQUIRE_APPROVAL] > 0)
		buf_add_cstr(b, "; the action then needs an approval");
	buf_add_char(b, '.');
}

static void
put_missing_change(const struct explanation *x, struct buf *b)
{
	if (x->n_near == 0) {
		buf_printf(b, "Add an ALLOW rule for action type \"%.*s\" and resource \"%.*s\".",
			SPAN_ARG(x->action->action_type), SPAN_ARG(x->action->resource.text));
		return;
	}
	const struct near_miss *m = &x->near[0];
	const char *what = m->rule->verdict == VERDICT_ALLOW ? "allow it" : "let it be approved";
	buf_printf(b, "Nearest is rule \"%.*s\", which would %s but for its condition %s: ",
		SPAN_ARG(m->rule->id), what, rule_outcome_name(m->outcome));
	explain_put_detail(x, m, b);
	buf_add_char(b, '.');
}

void
explain_put_change(const struct explanation *x, struct buf *b)
{
	if (x->decision.verdict == VERDICT_REQUIRE_APPROVAL) {
		buf_add_cstr(b, "Get it approved and send it again with the approval id; asked for "
				"by rule ");
		put_ids(b, &x->decision);
		buf_add_char(b, '.');
	} else if (x->decision.reason == REASON_DENY_BY_RULE) {
		put_denied_change(x, b);
	} else if (x->decision.reason == REASON_DENY_BY_EXEC_MODEL_CONFLICT) {
		buf_add_cstr(b, "Use exec_match instead of the obligation exec_allowlist in all of "
				"the rules ");
		put_ids(b, &x->decision);
		buf_add_char(b, '.');
	} else {
		put_missing_change(x, b);
	}
}
