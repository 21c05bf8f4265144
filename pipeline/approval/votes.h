/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The votes on an approval: who may vote, which votes count, when they are enough. Pure, as approval.h is; what the configuration says of
 * people comes in by a ballot and an electorate. Any thread.
 */
#ifndef PIPELINE_APPROVAL_VOTES_H
#define PIPELINE_APPROVAL_VOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "approval/approval.h"
#include "base/span.h"

struct approval_ballot;
struct arena;

/* What the configuration in force says about those who voted earlier. */
struct approval_electorate {
	/* Fills in the roles of who b's vote names, in b's groups. */
	void (*judge)(const void *arg, struct approval_ballot *b);
	/* Whether members of the group have a role for that. */
	bool (*gives_role)(const void *arg, struct span group);
	const void *arg;
};

/* Who votes, and what is true of that person in the current configuration. */
struct approval_ballot {
	struct approval_vote vote;
	bool is_approver; /* holds the role approver */
	bool is_viewer;
	bool is_operator;
	const struct span *groups; /* that an identity provider says that person is in */
	size_t n_groups;
	bool is_hidden;          /* some of the parameters is hidden from approvers now */
	const char *policy_hash; /* the one in force */
	const struct approval_electorate *electorate; /* NULL: what was voted stands */
};

enum approval_vote_result {
	VOTE_RECORDED = 0, /* and the state may have changed */
	VOTE_REPEATED,     /* what was decided stands; nothing is changed */
	VOTE_NOT_APPROVER,
	VOTE_NOT_NAMED, /* the obligation approvers names others */
	VOTE_REQUESTER,
	VOTE_EXPIRED,
	VOTE_FINAL,             /* decided the other way */
	VOTE_APPROVERS_CHANGED, /* approved, but not by those who may vote now */
	VOTE_POLICY_CHANGED,
	VOTE_UNSEEN, /* hidden parameters, and the approver did not say so */
	VOTE_FULL,   /* too many votes, or no memory for one more */
	VOTE__MAX
};
/*
 * Adds the vote, one for each approver, and sets the state that follows: one denial is enough, approvals have to be as many as the
 * rule asks for. Changes nothing but with VOTE_RECORDED. The vote's texts stay borrowed.
 */
enum approval_vote_result approval_vote(struct approval *a, const struct approval_ballot *ballot,
	const struct approval_moment *now, struct arena *arena);
/* Whether this person could vote at all: VOTE_RECORDED, or why not. */
enum approval_vote_result approval_check_voter(
	const struct approval *a, const struct approval_ballot *ballot);
/* Whether the voter's own approval would change nothing: they have given it, and others are missing. */
bool approval_is_repeat(const struct approval *a, const struct approval_vote *v,
	const struct approval_electorate *e);
/* Votes that count: of those who may vote now (NULL: of all), each approver once, and all that one relay asserts together once. */
int64_t approval_count_votes(const struct approval *a, const struct approval_electorate *e);
/* Whether those who may vote now still approve it, as many as it needs. */
bool approval_is_carried(const struct approval *a, const struct approval_electorate *e);

#endif
