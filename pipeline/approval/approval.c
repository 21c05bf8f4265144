/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The transitions of an approval. Nothing leaves a final state but by giving back a use; nothing that has expired becomes anything
 * else; a vote of the requester, or of somebody the rule does not name, changes nothing.
 */
#include "approval/approval.h"

#include <stdio.h>

#include "base/arena.h"
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
static bool
has_run_out(const struct approval *a, const struct approval_moment *now)
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
		return has_run_out(a, now) ? APPROVAL_EXPIRED : a->state;
	case APPROVAL_DENIED:
	case APPROVAL_CONSUMED:
	case APPROVAL_EXPIRED:
	case APPROVAL_STATE__MAX:
		break;
	}
	return a->state;
}

/* ---- votes ---- */

static bool
is_in(const struct json *list, struct span text)
{
	for (const struct json *v = list->first; v != NULL; v = v->next)
		if (v->type == JSON_STRING && span_eq(v->text, text))
			return true;
	return false;
}

static bool
has_role_in(const struct json *list, const struct approval_ballot *ballot)
{
	return (ballot->is_approver && is_in(list, SPAN_LIT("approver"))) ||
	       (ballot->is_operator && is_in(list, SPAN_LIT("operator"))) ||
	       (ballot->is_viewer && is_in(list, SPAN_LIT("viewer")));
}

static bool
has_group_in(const struct json *list, const struct approval_ballot *ballot)
{
	for (size_t i = 0; i < ballot->n_groups; i++)
		if (is_in(list, ballot->groups[i]))
			return true;
	return false;
}

/* All conditions hold together. Nobody is in a group but by a token that says so. */
static bool
is_named(const struct json *approvers, const struct approval_ballot *ballot)
{
	const struct json *principals = json_find_cstr(approvers, "principals");
	const struct json *roles = json_find_cstr(approvers, "roles");
	const struct json *groups = json_find_cstr(approvers, "groups");

	if (groups != NULL && !has_group_in(groups, ballot))
		return false;
	if (principals != NULL && !is_in(principals, ballot->vote.approver))
		return false;
	return roles == NULL || has_role_in(roles, ballot);
}

enum approval_vote_result
approval_check_voter(const struct approval *a, const struct approval_ballot *ballot)
{
	const struct approval_vote *v = &ballot->vote;

	if (v->approver.n == 0 || !ballot->is_approver)
		return VOTE_NOT_APPROVER;
	if (span_eq(v->approver, a->identity.principal) ||
		span_eq(v->asserted_by, a->identity.principal))
		return VOTE_REQUESTER;
	return is_named(a->approvers, ballot) ? VOTE_RECORDED : VOTE_NOT_NAMED;
}

/* Whose word a vote is. */
static struct span
source_of(const struct approval_vote *v)
{
	return v->asserted_by.n > 0 ? v->asserted_by : v->approver;
}

static bool
counts(const struct approval *a, const struct approval_vote *v, const struct approval_electorate *e)
{
	struct approval_ballot b = {.vote = *v, .groups = v->groups, .n_groups = v->n_groups};

	if (!v->is_approval || e == NULL)
		return v->is_approval;
	e->judge(e->arg, &b);
	return approval_check_voter(a, &b) == VOTE_RECORDED;
}

int64_t
approval_count_votes(const struct approval *a, const struct approval_electorate *e)
{
	int64_t n = 0;

	for (size_t i = 0; i < a->n_votes; i++) {
		bool is_counted = !counts(a, &a->votes[i], e);

		for (size_t k = 0; k < i && !is_counted; k++)
			is_counted = span_eq(source_of(&a->votes[k]), source_of(&a->votes[i])) &&
				     counts(a, &a->votes[k], e);
		if (!is_counted)
			n++;
	}
	return n;
}

bool
approval_is_carried(const struct approval *a, const struct approval_electorate *e)
{
	return approval_count_votes(a, e) >= a->needed;
}

static struct approval_vote *
find_vote(const struct approval *a, struct span approver)
{
	for (size_t i = 0; i < a->n_votes; i++)
		if (span_eq(a->votes[i].approver, approver))
			return &a->votes[i];
	return NULL;
}

static bool
add_vote(struct approval *a, const struct approval_vote *v, struct arena *arena)
{
	struct approval_vote *votes;

	if (a->n_votes == APPROVAL_VOTES_MAX)
		return false;
	votes = ARENA_ARRAY(arena, struct approval_vote, a->n_votes + 1);
	if (votes == NULL)
		return false;
	for (size_t i = 0; i < a->n_votes; i++)
		votes[i] = a->votes[i];
	votes[a->n_votes] = *v;
	a->votes = votes;
	a->n_votes++;
	return true;
}

/* Whether the vote adds nothing to the one that is there. What a person says counts more than what a relay says that they said. */
static bool
is_said_already(const struct approval *a, const struct approval_vote *mine,
	const struct approval_vote *v, const struct approval_electorate *e)
{
	return mine != NULL && v->is_approval &&
	       !(mine->asserted_by.n > 0 && v->asserted_by.n == 0) && counts(a, mine, e);
}

bool
approval_is_repeat(const struct approval *a, const struct approval_vote *v,
	const struct approval_electorate *e)
{
	return is_said_already(a, find_vote(a, v->approver), v, e) && !approval_is_carried(a, e);
}

/*
 * One vote per approver: a denial takes the place of the same person's approval, and their own approval that of one which was
 * asserted, or does not count any more.
 */
static enum approval_vote_result
take_vote(struct approval *a, const struct approval_vote *v, const struct approval_electorate *e,
	struct arena *arena)
{
	struct approval_vote *mine = find_vote(a, v->approver);

	if (approval_is_repeat(a, v, e))
		return VOTE_REPEATED;
	if (mine == NULL && !add_vote(a, v, arena))
		return VOTE_FULL;
	if (mine != NULL && !is_said_already(a, mine, v, e))
		*mine = *v;
	if (!v->is_approval)
		a->state = APPROVAL_DENIED;
	else if (approval_is_carried(a, e))
		a->state = APPROVAL_APPROVED;
	return VOTE_RECORDED;
}

/* What the vote has to be judged by later, when there is no token any more. */
static bool
keep_groups(const struct approval *a, const struct approval_ballot *ballot, struct arena *arena,
	struct approval_vote *v)
{
	const struct json *named = json_find_cstr(a->approvers, "groups");
	const struct approval_electorate *e = ballot->electorate;
	struct span *groups = NULL;

	if (ballot->n_groups == 0 || e == NULL)
		return true;
	groups = ARENA_ARRAY(arena, struct span, ballot->n_groups);
	for (size_t i = 0; groups != NULL && i < ballot->n_groups; i++)
		if ((named != NULL && is_in(named, ballot->groups[i])) ||
			e->gives_role(e->arg, ballot->groups[i]))
			groups[v->n_groups++] = ballot->groups[i];
	v->groups = groups;
	return groups != NULL;
}

enum approval_vote_result
approval_vote(struct approval *a, const struct approval_ballot *ballot,
	const struct approval_moment *now, struct arena *arena)
{
	struct approval_vote own = ballot->vote;
	const struct approval_vote *v = &own;
	enum approval_vote_result may = approval_check_voter(a, ballot);

	if (may != VOTE_RECORDED)
		return may;
	if (a->state == APPROVAL_EXPIRED || has_run_out(a, now))
		return VOTE_EXPIRED;
	if (a->state == APPROVAL_APPROVED && !approval_is_carried(a, ballot->electorate))
		return VOTE_APPROVERS_CHANGED;
	if (a->state != APPROVAL_PENDING)
		return v->is_approval == (a->state != APPROVAL_DENIED) ? VOTE_REPEATED : VOTE_FINAL;
	if (v->is_approval && strcmp(ballot->policy_hash, a->policy_hash) != 0)
		return VOTE_POLICY_CHANGED;
	if (v->is_approval && ballot->is_hidden && !v->ack_redacted)
		return VOTE_UNSEEN;
	if (!keep_groups(a, ballot, arena, &own))
		return VOTE_FULL;
	return take_vote(a, v, ballot->electorate, arena);
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
		"approval.decided.webhook", "approval.decided.slack", "approval.decided.teams"};

	MUST(c < CHANNEL__MAX);
	return names[c];
}
