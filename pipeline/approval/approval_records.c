/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Records of approvals: the requester's identity and action in their usual members, the approver in members of its own. Ledger's
 * thread. */
#include "approval/approval_records.h"

#include "approval/votes.h"
#include "audit/record.h"
#include "base/arena.h"
#include "base/clock.h"

static void
set_vote(struct record *rec, const struct approval_vote *v)
{
	record_set_text(
		rec, RECORD_DECISION, v->is_approval ? SPAN_LIT("ALLOW") : SPAN_LIT("DENY"));
	record_set_text(rec, RECORD_APPROVER, v->approver);
	record_set_text(rec, RECORD_ASSERTED_BY, v->asserted_by);
	record_set_text(rec, RECORD_APPROVAL_CHANNEL, span_cstr(approval_channel_name(v->channel)));
	record_set_bool(rec, RECORD_ACK_REDACTED, v->ack_redacted);
	record_set_text(rec, RECORD_REASON, v->reason);
}

static void
set_approval(struct record *rec, const struct approval_event *event, struct arena *arena)
{
	const struct approval *a = event->approval;
	char expires[CLOCK_TEXT_MAX];
	size_t n = clock_format(a->expires_wall_ns, expires);

	record_set_text(rec, RECORD_APPROVAL_ID, span_cstr(a->id));
	record_set_text(rec, RECORD_APPROVAL_EXPIRES_AT, arena_dup(arena, span_of(expires, n)));
	record_set_text(rec, RECORD_APPROVAL_STATUS, span_cstr(approval_state_name(a->state)));
	record_set_int(rec, RECORD_APPROVAL_NEEDED, a->needed);
	record_set_int(rec, RECORD_APPROVAL_VOTES, approval_count_votes(a, event->electorate));
	record_set_int(rec, RECORD_APPROVAL_USES, a->uses);
	record_set_text(rec, RECORD_PRINCIPAL, a->identity.principal);
	record_set_text(rec, RECORD_AGENT, a->identity.agent);
	record_set_text(rec, RECORD_ENVIRONMENT, a->identity.environment);
	record_set_text(rec, RECORD_ACTION_TYPE, a->action_type);
	record_set_text(rec, RECORD_RESOURCE_NORMALIZED, a->resource);
	record_set_text(rec, RECORD_PARAMS_HASH, span_cstr(a->params_hash));
	record_set_text(rec, RECORD_ACTION_FINGERPRINT, span_cstr(a->fingerprint));
	record_set_text(rec, RECORD_BINDING_HASH, span_cstr(a->binding_hash));
	record_set_text(rec, RECORD_POLICY_BUNDLE_HASH, span_cstr(a->policy_hash));
}

enum err
approval_append(struct ledger_tx *tx, const struct approval_event *event, struct arena *arena,
	uint64_t *seq, struct errinfo *ei)
{
	const struct approval *a = event->approval;
	struct record *rec = record_new(arena, event->type);
	struct record_text text;
	enum err rc;

	*seq = 0;
	if (rec == NULL)
		return ERR(ei, ERR_TOO_LARGE, "no room for the record");
	record_set_text(rec, RECORD_SCHEMA_VERSION, SPAN_LIT("v1"));
	record_set_text(
		rec, RECORD_ACTION_ID, event->action_id.n > 0 ? event->action_id : a->action_id);
	record_set_text(
		rec, RECORD_TRACE_ID, event->trace_id.n > 0 ? event->trace_id : a->trace_id);
	set_approval(rec, event, arena);
	if (event->vote != NULL)
		set_vote(rec, event->vote);
	else
		record_set_text(rec, RECORD_REASON, span_cstr(event->reason));
	rc = record_render(rec, event->redactor, arena, &text, ei);
	return rc == OK ? ledger_tx_append(tx, &text, LEDGER_COMPLETE, seq, ei) : rc;
}
