/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Roles by name, and by the groups that a token gave when the vote was cast. What a relay brought lasts as long as the relay. */
#include "approval/electorate.h"

#include "identity/identity_table.h"
#include "pipeline/req.h"
#include "snapshot_parts.h"

static bool
is_still_said(const struct snapshot *s, const struct approval_vote *v)
{
	return v->channel == CHANNEL_API || v->channel == CHANNEL_UI ||
	       approval_relay_speaks_for(
		       &s->approvals.relays[v->channel], v->approver, v->asserted_by);
}

static void
judge(const void *arg, struct approval_ballot *b)
{
	const struct snapshot *s = arg;
	struct caller who = {.principal = b->vote.approver};

	if (is_still_said(s, &b->vote))
		who.roles = identity_get_roles(s->identities, b->vote.approver) |
			    identity_get_group_roles(s->identities, b->groups, b->n_groups);
	b->is_approver = caller_has_role(&who, ROLE_APPROVER);
	b->is_operator = caller_has_role(&who, ROLE_OPERATOR);
	b->is_viewer = caller_has_role(&who, ROLE_VIEWER);
}

static bool
gives_role(const void *arg, struct span group)
{
	const struct snapshot *s = arg;

	return identity_get_group_roles(s->identities, &group, 1) != 0;
}

struct approval_electorate
approval_electorate_of(const struct snapshot *s)
{
	return (struct approval_electorate){.judge = judge, .gives_role = gives_role, .arg = s};
}
