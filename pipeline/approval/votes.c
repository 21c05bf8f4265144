/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * See votes.h. A vote of the requester, or of somebody the rule does not name, changes nothing; which votes count is asked anew each
 * time, of the configuration in force.
 */
#include "approval/votes.h"

#include <string.h>

#include "base/arena.h"
#include "base/json.h"

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

/* A denial never does: it ends the approval. */
static bool
counts(const struct approval *a, const struct approval_vote *v, const struct approval_electorate *e)
{
	struct approval_ballot b = {.vote = *v, .groups = v->groups, .n_groups = v->n_groups};

	if (!v->is_approval || e == NULL)
		return v->is_approval;
	e->judge(e->arg, &b);
	return approval_check_voter(a, &b) == VOTE_RECORDED;
}

/* Whether a vote before this one counts that is the same source's word. */
static bool
is_told_before(const struct approval *a, size_t i, const struct approval_electorate *e)
{
	struct span source = source_of(&a->votes[i]);

	for (size_t k = 0; k < i; k++)
		if (span_eq(source_of(&a->votes[k]), source) && counts(a, &a->votes[k], e))
			return true;
	return false;
}

int64_t
approval_count_votes(const struct approval *a, const struct approval_electorate *e)
{
	int64_t n = 0;

	for (size_t i = 0; i < a->n_votes; i++)
		if (counts(a, &a->votes[i], e) && !is_told_before(a, i, e))
			n++;
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
	if (a->state == APPROVAL_EXPIRED || approval_has_run_out(a, now))
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
