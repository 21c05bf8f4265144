/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The transitions of an approval but for those by votes (votes.c). Nothing leaves a final state but by giving back a use; nothing
 * that has expired becomes anything else.
 */
#include "approval/approval.h"

#include <stdio.h>
#include <string.h>

#include "base/must.h"

#define SCOPE_CLASS "action_type_resource"

bool
approval_asks_for_class(const struct obligations *o)
{
	return span_eq_cstr(o->approval_scope_class, SCOPE_CLASS);
}

static int64_t
votes_needed(const struct json *approvers)
{
	int64_t min = 1;

	if (!json_get_int(json_find_cstr(approvers, "min"), 1, APPROVAL_VOTES_MAX, &min))
		return 1;
	return min;
}

static void
copy_hash(char to[SHA256_HEX + 1], const char *from)
{
	(void)snprintf(to, SHA256_HEX + 1, "%s", from);
}

static void
copy_action(struct approval *a, const struct action *action)
{
	a->identity = action->identity;
	a->action_type = action->action_type;
	a->resource = action->resource.text;
	a->action_id = action->action_id;
	a->trace_id = action->trace_id;
	copy_hash(a->fingerprint, action->fingerprint);
	copy_hash(a->binding_hash, action->binding_hash);
	copy_hash(a->params_hash, action->params_hash);
}

enum err
approval_open(struct approval *a, const struct approval_request *request,
	const struct approval_moment *now, struct errinfo *ei)
{
	const struct obligations *o = request->obligations;
	int64_t ttl_ns = request->ttl_ns;

	*a = (struct approval){0};
	if (!approval_id_is_valid(span_cstr(request->id)) || ttl_ns <= 0 ||
		now->wall_ns > INT64_MAX - ttl_ns || now->mono_ns > INT64_MAX - ttl_ns)
		return ERR(ei, ERR_INVALID, "no valid approval can be made of this");
	(void)snprintf(a->id, sizeof(a->id), "%s", request->id);
	copy_action(a, request->action);
	a->is_class = approval_asks_for_class(o);
	a->has_hidden = request->has_hidden;
	a->obligations = o->canonical.n > 0 ? o->canonical : SPAN_LIT("{}");
	a->rule_ids = request->rule_ids.n > 0 ? request->rule_ids : SPAN_LIT("[]");
	a->approvers = o->approvers;
	copy_hash(a->policy_hash, request->policy_hash);
	a->needed = votes_needed(o->approvers);
	a->max_uses = o->approval_max_uses > 0 ? o->approval_max_uses : 1;
	a->created_wall_ns = now->wall_ns;
	a->expires_wall_ns = now->wall_ns + ttl_ns;
	a->expires_mono_ns = now->mono_ns + ttl_ns;
	a->epoch = now->epoch;
	return OK;
}

/* After a restart the monotonic time is another one; a wall clock from before the opening is not believed then. */
bool
approval_has_run_out(const struct approval *a, const struct approval_moment *now)
{
	if (now->wall_ns > a->expires_wall_ns)
		return true;
	if (now->epoch == a->epoch)
		return now->mono_ns > a->expires_mono_ns;
	return now->wall_ns < a->created_wall_ns;
}

enum approval_state
approval_state_at(const struct approval *a, const struct approval_moment *now)
{
	switch (a->state) {
	case APPROVAL_PENDING:
	case APPROVAL_APPROVED:
		return approval_has_run_out(a, now) ? APPROVAL_EXPIRED : a->state;
	case APPROVAL_DENIED:
	case APPROVAL_CONSUMED:
	case APPROVAL_EXPIRED:
	case APPROVAL_STATE__MAX:
		break;
	}
	return a->state;
}

/* ---- uses ---- */

bool
approval_is_of(const struct approval *a, const struct identity *identity)
{
	const struct identity *mine = &a->identity;

	return span_eq(mine->principal, identity->principal) &&
	       span_eq(mine->agent, identity->agent) &&
	       span_eq(mine->environment, identity->environment);
}

/* The binding hash covers identity, type, resource and parameters. */
static bool
is_in_scope(const struct approval *a, const struct action *action, const struct obligations *o)
{
	if (!a->is_class)
		return strcmp(a->binding_hash, action->binding_hash) == 0;
	return approval_asks_for_class(o) && span_eq(a->action_type, action->action_type) &&
	       span_eq(a->resource, action->resource.text);
}

static enum approval_status
status_of(enum approval_state s)
{
	switch (s) {
	case APPROVAL_APPROVED:
		return APPROVAL_STATUS_NONE;
	case APPROVAL_PENDING:
		return APPROVAL_STATUS_PENDING;
	case APPROVAL_DENIED:
		return APPROVAL_STATUS_DENIED;
	case APPROVAL_CONSUMED:
		return APPROVAL_STATUS_CONSUMED;
	case APPROVAL_EXPIRED:
	case APPROVAL_STATE__MAX:
		break;
	}
	return APPROVAL_STATUS_EXPIRED;
}

enum approval_status
approval_check(const struct approval *a, const struct action *action, const struct obligations *o,
	const char *policy_hash, const struct approval_moment *now)
{
	struct span obligations = o->canonical.n > 0 ? o->canonical : SPAN_LIT("{}");

	/* Others' approvals do not exist. */
	if (!approval_is_of(a, &action->identity))
		return APPROVAL_STATUS_NOT_FOUND;
	if (!is_in_scope(a, action, o))
		return APPROVAL_STATUS_MISMATCH;
	if (strcmp(a->policy_hash, policy_hash) != 0)
		return APPROVAL_STATUS_POLICY_CHANGED;
	/* In a class, other parameters may be under stricter rules than those that people saw. */
	if (!span_eq(a->obligations, obligations))
		return APPROVAL_STATUS_MISMATCH;
	return status_of(approval_state_at(a, now));
}

void
approval_use(struct approval *a)
{
	MUST(a->state == APPROVAL_APPROVED && a->uses < a->max_uses);
	a->uses++;
	if (a->uses == a->max_uses)
		a->state = APPROVAL_CONSUMED;
}

void
approval_give_back(struct approval *a)
{
	if (a->uses == 0)
		return;
	a->uses--;
	if (a->state == APPROVAL_CONSUMED)
		a->state = APPROVAL_APPROVED;
}

/* ---- names ---- */

bool
approval_id_is_valid(struct span id)
{
	uint8_t bytes[(APPROVAL_ID_BYTES - 4) / 2];

	return id.n == APPROVAL_ID_BYTES && span_starts(id, SPAN_LIT("apr_")) &&
	       hash_unhex(span_from(id, 4), bytes, sizeof(bytes));
}

const char *
approval_state_name(enum approval_state s)
{
	static const char *const names[APPROVAL_STATE__MAX] = {
		"pending", "approved", "denied", "consumed", "expired"};

	MUST(s < APPROVAL_STATE__MAX);
	return names[s];
}

const char *
approval_state_label(enum approval_state s)
{
	static const char *const labels[APPROVAL_STATE__MAX] = {
		"PENDING", "APPROVED", "DENIED", "CONSUMED", "EXPIRED"};

	MUST(s < APPROVAL_STATE__MAX);
	return labels[s];
}

const char *
approval_status_name(enum approval_status s)
{
	static const char *const names[APPROVAL_STATUS__MAX] = {"", "pending", "consumed",
		"expired", "denied", "mismatch", "policy_changed", "not_found"};

	MUST(s < APPROVAL_STATUS__MAX);
	return names[s];
}

const char *
approval_channel_name(enum approval_channel c)
{
	static const char *const names[CHANNEL__MAX] = {"api", "ui", "webhook", "slack", "teams"};

	MUST(c < CHANNEL__MAX);
	return names[c];
}

const char *
approval_channel_event(enum approval_channel c)
{
	static const char *const names[CHANNEL__MAX] = {"approval.decided", "approval.decided.ui",
		"approval.decided", "approval.decided.slack", "approval.decided.teams"};

	MUST(c < CHANNEL__MAX);
	return names[c];
}
