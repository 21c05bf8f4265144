/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The transitions of an approval, row by row, and its stored form. */
#include "approval_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;
static const struct approval_moment noon = {1000 * NS_PER_SEC, 50 * NS_PER_SEC, 7};

static struct approval_moment
later(int64_t wall_ns, int64_t mono_ns)
{
	return (struct approval_moment){noon.wall_ns + wall_ns, noon.mono_ns + mono_ns, noon.epoch};
}

static void
begin(void)
{
	arena_free(&arena);
	arena = arena_new((size_t)4 * 1024 * 1024);
}

/* Of "bob" for params {"n":1} under POLICY_A. */
static struct approval
open_with(const char *obligations)
{
	static struct action action;
	static struct obligations o;
	struct approval a;
	struct errinfo ei;

	begin();
	make_action(&action, "bob", "payment://bank/x", "{\"n\":1}");
	make_obligations(&o, obligations, arena);
	struct approval_request request = {.id = ID_1,
		.action = &action,
		.obligations = &o,
		.policy_hash = POLICY_A,
		.ttl_ns = TTL_NS};
	CHECK_INT(approval_open(&a, &request, &noon, &ei), OK);
	return a;
}

static enum approval_vote_result
vote(struct approval *a, const char *approver, bool is_approval)
{
	struct approval_ballot b = make_ballot(approver, is_approval);

	return approval_vote(a, &b, &noon, arena);
}

static enum approval_status
check_with(const struct approval *a, const char *principal, const char *resource,
	const char *params, const char *obligations, const char *policy,
	const struct approval_moment *now)
{
	struct action action;
	struct obligations o;

	make_action(&action, principal, resource, params);
	make_obligations(&o, obligations, arena);
	return approval_check(a, &action, &o, policy, now);
}

#define CHECK_STATUS(a, want)                                                                      \
	CHECK_INT(check_with((a), "bob", "payment://bank/x", "{\"n\":1}", "{}", POLICY_A, &noon),  \
		want)

TEST(one_approval_allows_once)
{
	struct approval a = open_with("{}");

	CHECK_STATUS(&a, APPROVAL_STATUS_PENDING);
	CHECK_INT(vote(&a, "alice", true), VOTE_RECORDED);
	CHECK_INT(a.state, APPROVAL_APPROVED);
	CHECK_STATUS(&a, APPROVAL_STATUS_NONE);
	approval_use(&a);
	CHECK_INT(a.state, APPROVAL_CONSUMED);
	CHECK_STATUS(&a, APPROVAL_STATUS_CONSUMED);
	approval_give_back(&a);
	CHECK_STATUS(&a, APPROVAL_STATUS_NONE);
	approval_give_back(&a);
	CHECK_INT(a.uses, 0);
}

TEST(uses_are_counted)
{
	static const char o[] = "{\"approval_max_uses\":2}";
	struct approval a = open_with(o);

	CHECK_INT(vote(&a, "alice", true), VOTE_RECORDED);
	approval_use(&a);
	CHECK_INT(a.state, APPROVAL_APPROVED);
	approval_use(&a);
	CHECK_INT(a.state, APPROVAL_CONSUMED);
	approval_give_back(&a);
	CHECK_INT(a.state, APPROVAL_APPROVED);
	CHECK_INT(a.uses, 1);
}

TEST(who_may_not_vote)
{
	static const struct {
		const char *obligations;
		const char *approver;
		const char *asserted_by;
		bool is_approver;
		bool is_operator;
		enum approval_vote_result want;
	} rows[] = {
		{"{}", "alice", "", true, false, VOTE_RECORDED},
		{"{}", "alice", "", false, true, VOTE_NOT_APPROVER},
		{"{}", "", "", true, false, VOTE_NOT_APPROVER},
		{"{}", "bob", "", true, false, VOTE_REQUESTER},
		{"{}", "bob", "slack", true, false, VOTE_REQUESTER},
		{"{}", "alice", "bob", true, false, VOTE_REQUESTER},
		{"{\"approvers\":{\"principals\":[\"carol\"]}}", "alice", "", true, false,
			VOTE_NOT_NAMED},
		{"{\"approvers\":{\"principals\":[\"carol\"]}}", "carol", "", true, false,
			VOTE_RECORDED},
		{"{\"approvers\":{\"principals\":[\"bob\"]}}", "bob", "", true, false,
			VOTE_REQUESTER},
		{"{\"approvers\":{\"principals\":[]}}", "alice", "", true, false, VOTE_NOT_NAMED},
		{"{\"approvers\":{\"roles\":[\"operator\"]}}", "alice", "", true, false,
			VOTE_NOT_NAMED},
		{"{\"approvers\":{\"roles\":[\"operator\"]}}", "alice", "", true, true,
			VOTE_RECORDED},
		{"{\"approvers\":{\"roles\":[\"approver\"]}}", "alice", "", true, false,
			VOTE_RECORDED},
		{"{\"approvers\":{\"groups\":[\"ops\"]}}", "alice", "", true, true, VOTE_NOT_NAMED},
		{"{\"approvers\":{\"principals\":[\"alice\"],\"roles\":[\"operator\"]}}", "alice",
			"", true, false, VOTE_NOT_NAMED},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct approval a = open_with(rows[i].obligations);
		struct approval_ballot b = make_ballot(rows[i].approver, true);

		b.vote.asserted_by = span_cstr(rows[i].asserted_by);
		b.is_approver = rows[i].is_approver;
		b.is_operator = rows[i].is_operator;
		if (approval_vote(&a, &b, &noon, arena) != rows[i].want)
			FAIL("row %zu", i);
		CHECK_INT(a.state == APPROVAL_APPROVED, rows[i].want == VOTE_RECORDED);
		CHECK_INT(a.n_votes, rows[i].want == VOTE_RECORDED ? 1 : 0);
	}
}

/* Who is named by the text is an approver; the others were. */
static void
judge_by_text(const void *arg, struct approval_ballot *b)
{
	const char *names = arg;

	b->is_approver = strchr(names, b->vote.approver.p[0]) != NULL;
}

static enum approval_vote_result
vote_among(struct approval *a, const char *approvers, const char *approver, const char *asserted_by)
{
	const struct approval_electorate e = {.judge = judge_by_text, .arg = approvers};
	struct approval_ballot b = make_ballot(approver, true);

	b.electorate = &e;
	b.vote.asserted_by = span_cstr(asserted_by);
	return approval_vote(a, &b, &noon, arena);
}

/* Nothing is recorded then, so nobody is told that it was. */
TEST(one_that_has_lost_its_votes_takes_no_more)
{
	struct approval a = open_with("{}");

	CHECK_INT(vote_among(&a, "ac", "alice", ""), VOTE_RECORDED);
	CHECK_INT(a.state, APPROVAL_APPROVED);
	CHECK_INT(vote_among(&a, "c", "carol", ""), VOTE_APPROVERS_CHANGED);
	CHECK_INT(a.n_votes, 1);
	CHECK_INT(vote_among(&a, "ac", "carol", ""), VOTE_REPEATED);
}

TEST(what_a_relay_repeats_takes_no_own_word_away)
{
	struct approval a = open_with("{\"approvers\":{\"min\":2}}");

	CHECK_INT(vote_among(&a, "ac", "alice", ""), VOTE_RECORDED);
	/* alice is none while the relay brings carol's, and comes back: two, and nobody has said so yet. */
	CHECK_INT(vote_among(&a, "c", "carol", "slack"), VOTE_RECORDED);
	CHECK_INT(a.state, APPROVAL_PENDING);
	CHECK_INT(vote_among(&a, "ac", "alice", "slack"), VOTE_RECORDED);
	CHECK_INT(approval_count_votes(&a, NULL), 2);
	CHECK_INT(a.votes[0].asserted_by.n, 0);
	CHECK_INT(a.state, APPROVAL_APPROVED);
}

/* By a token; a group makes nobody an approver, and conditions hold together. */
TEST(groups_of_a_token_are_named)
{
	static const struct span groups[] = {{"staff", 5}, {"oncall", 6}};
	static const struct {
		const char *approvers;
		size_t n_groups;
		bool is_approver;
		enum approval_vote_result want;
	} rows[] = {
		{"{\"groups\":[\"ops\",\"oncall\"]}", 2, true, VOTE_RECORDED},
		{"{\"groups\":[\"ops\",\"oncall\"]}", 1, true, VOTE_NOT_NAMED},
		{"{\"groups\":[\"ops\",\"oncall\"]}", 0, true, VOTE_NOT_NAMED},
		{"{\"groups\":[]}", 2, true, VOTE_NOT_NAMED},
		{"{\"groups\":[\"Staff\"]}", 2, true, VOTE_NOT_NAMED},
		{"{\"groups\":[\"staff\"]}", 2, false, VOTE_NOT_APPROVER},
		{"{\"groups\":[\"staff\"],\"principals\":[\"carol\"]}", 2, true, VOTE_NOT_NAMED},
		{"{\"groups\":[\"staff\"],\"principals\":[\"alice\"]}", 2, true, VOTE_RECORDED},
	};
	char obligations[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(obligations, sizeof(obligations), "{\"approvers\":%s}", rows[i].approvers);
		struct approval a = open_with(obligations);
		struct approval_ballot b = make_ballot("alice", true);

		b.is_approver = rows[i].is_approver;
		b.groups = groups;
		b.n_groups = rows[i].n_groups;
		if (approval_vote(&a, &b, &noon, arena) != rows[i].want)
			FAIL("%s with %zu groups", rows[i].approvers, rows[i].n_groups);
	}
}

TEST(a_quorum_counts_each_person_and_each_relay_once)
{
	struct approval a = open_with("{\"approvers\":{\"min\":3}}");
	struct approval_ballot b = make_ballot("dora", true);

	CHECK_INT(vote(&a, "alice", true), VOTE_RECORDED);
	CHECK_INT(vote(&a, "alice", true), VOTE_REPEATED);
	b.vote.asserted_by = SPAN_LIT("slack");
	CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_RECORDED);
	b.vote.approver = SPAN_LIT("erik");
	CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_RECORDED);
	CHECK_INT(approval_count_votes(&a, NULL), 2);
	b.vote.approver = SPAN_LIT("alice");
	CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_REPEATED);
	CHECK_INT(a.state, APPROVAL_PENDING);
	/* The relay's own vote is the same word. */
	CHECK_INT(vote(&a, "slack", true), VOTE_RECORDED);
	CHECK_INT(a.state, APPROVAL_PENDING);
	CHECK_INT(vote(&a, "fred", true), VOTE_RECORDED);
	CHECK_INT(a.state, APPROVAL_APPROVED);
}

TEST(what_a_person_says_replaces_what_a_relay_said_of_them)
{
	struct approval a = open_with("{\"approvers\":{\"min\":2}}");
	struct approval_ballot b = make_ballot("alice", true);

	b.vote.asserted_by = SPAN_LIT("slack");
	CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_RECORDED);
	b.vote.approver = SPAN_LIT("carol");
	CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_RECORDED);
	CHECK_INT(approval_count_votes(&a, NULL), 1);
	CHECK_INT(vote(&a, "carol", true), VOTE_RECORDED);
	CHECK_INT(a.n_votes, 2);
	CHECK_INT(a.votes[1].asserted_by.n, 0);
	CHECK_INT(a.state, APPROVAL_APPROVED);
}

TEST(one_denial_ends_a_quorum)
{
	struct approval a = open_with("{\"approvers\":{\"min\":2}}");

	CHECK_INT(vote(&a, "alice", true), VOTE_RECORDED);
	CHECK_INT(vote(&a, "carol", false), VOTE_RECORDED);
	CHECK_INT(a.state, APPROVAL_DENIED);
	CHECK_INT(vote(&a, "dora", true), VOTE_FINAL);
	CHECK_INT(vote(&a, "dora", false), VOTE_REPEATED);
	CHECK_STATUS(&a, APPROVAL_STATUS_MISMATCH); /* other obligations */
}

TEST(who_approved_may_deny_while_it_is_open)
{
	struct approval a = open_with("{\"approvers\":{\"min\":2}}");

	CHECK_INT(vote(&a, "alice", true), VOTE_RECORDED);
	CHECK_INT(vote(&a, "alice", false), VOTE_RECORDED);
	CHECK_INT(a.state, APPROVAL_DENIED);
	CHECK_INT(a.n_votes, 1);
	CHECK_INT(approval_count_votes(&a, NULL), 0);
}

TEST(a_repeat_is_fine_and_the_opposite_is_not)
{
	struct approval a = open_with("{}");

	CHECK_INT(vote(&a, "alice", true), VOTE_RECORDED);
	CHECK_INT(vote(&a, "alice", true), VOTE_REPEATED);
	CHECK_INT(vote(&a, "carol", true), VOTE_REPEATED);
	CHECK_INT(vote(&a, "alice", false), VOTE_FINAL);
	approval_use(&a);
	CHECK_INT(vote(&a, "alice", true), VOTE_REPEATED);
	CHECK_INT(vote(&a, "carol", false), VOTE_FINAL);
	CHECK_INT(a.n_votes, 1);
}

TEST(the_clock_that_is_first_ends_it)
{
	static const struct {
		int64_t wall_ns, mono_ns;
		bool is_over;
	} rows[] = {
		{TTL_NS, TTL_NS, false},
		{TTL_NS + 1, 0, true},
		{0, TTL_NS + 1, true},
		{-2 * TTL_NS, TTL_NS, false},
		{-2 * TTL_NS, TTL_NS + 1, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct approval a = open_with("{}");
		struct approval_moment now = later(rows[i].wall_ns, rows[i].mono_ns);
		struct approval_ballot b = make_ballot("alice", true);

		CHECK_INT(approval_state_at(&a, &now),
			rows[i].is_over ? APPROVAL_EXPIRED : APPROVAL_PENDING);
		CHECK_INT(approval_vote(&a, &b, &now, arena),
			rows[i].is_over ? VOTE_EXPIRED : VOTE_RECORDED);
		a.state = APPROVAL_APPROVED;
		CHECK_INT(check_with(
				  &a, "bob", "payment://bank/x", "{\"n\":1}", "{}", POLICY_A, &now),
			rows[i].is_over ? APPROVAL_STATUS_EXPIRED : APPROVAL_STATUS_NONE);
	}
}

TEST(a_repeat_after_expiry_is_refused_too)
{
	struct approval a = open_with("{}");
	struct approval_ballot b = make_ballot("alice", true);
	struct approval_moment now = later(TTL_NS + 1, TTL_NS + 1);

	CHECK_INT(vote(&a, "alice", true), VOTE_RECORDED);
	CHECK_INT(approval_vote(&a, &b, &now, arena), VOTE_EXPIRED);
}

TEST(after_a_restart_the_wall_clock_alone_counts)
{
	struct approval a = open_with("{}");
	struct approval_moment now = later(TTL_NS, 100 * TTL_NS);

	now.epoch = 8;
	CHECK_INT(approval_state_at(&a, &now), APPROVAL_PENDING);
	now.wall_ns++;
	CHECK_INT(approval_state_at(&a, &now), APPROVAL_EXPIRED);
	/* One that was put back to before the opening would make it last longer than it may. */
	now.wall_ns = noon.wall_ns - 1;
	CHECK_INT(approval_state_at(&a, &now), APPROVAL_EXPIRED);
}

TEST(an_approval_is_bound_to_identity_parameters_and_policy)
{
	static const struct {
		const char *principal, *resource, *params, *obligations, *policy;
		enum approval_status want;
	} rows[] = {
		{"bob", "payment://bank/x", "{\"n\":1}", "{}", POLICY_A, APPROVAL_STATUS_NONE},
		{"eve", "payment://bank/x", "{\"n\":1}", "{}", POLICY_A, APPROVAL_STATUS_NOT_FOUND},
		{"bob", "payment://bank/y", "{\"n\":1}", "{}", POLICY_A, APPROVAL_STATUS_MISMATCH},
		{"bob", "payment://bank/x", "{\"n\":2}", "{}", POLICY_A, APPROVAL_STATUS_MISMATCH},
		{"bob", "payment://bank/x", "{\"n\":1}", "{}", POLICY_B,
			APPROVAL_STATUS_POLICY_CHANGED},
		{"bob", "payment://bank/x", "{\"n\":1}", "{\"approvers\":{\"min\":2}}", POLICY_A,
			APPROVAL_STATUS_MISMATCH},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct approval a = open_with("{}");

		CHECK_INT(vote(&a, "alice", true), VOTE_RECORDED);
		if (check_with(&a, rows[i].principal, rows[i].resource, rows[i].params,
			    rows[i].obligations, rows[i].policy, &noon) != rows[i].want)
			FAIL("row %zu", i);
	}
}

TEST(agent_and_environment_are_part_of_the_identity)
{
	struct approval a = open_with("{}");
	struct obligations o = {.canonical = SPAN_LIT("{}")};
	struct action action;

	CHECK_INT(vote(&a, "alice", true), VOTE_RECORDED);
	make_action(&action, "bob", "payment://bank/x", "{\"n\":1}");
	action.identity.agent = SPAN_LIT("other");
	CHECK_INT(approval_check(&a, &action, &o, POLICY_A, &noon), APPROVAL_STATUS_NOT_FOUND);
	action.identity.agent = SPAN_LIT("agent");
	action.identity.environment = SPAN_LIT("dev");
	CHECK_INT(approval_check(&a, &action, &o, POLICY_A, &noon), APPROVAL_STATUS_NOT_FOUND);
}

TEST(a_class_covers_parameters_but_no_other_resource_identity_or_rule)
{
	static const char o[] = "{\"approval_max_uses\":5,\"approval_scope_class\":\"action_type_"
				"resource\"}";
	static const struct {
		const char *principal, *resource, *params, *obligations, *policy;
		enum approval_status want;
	} rows[] = {
		{"bob", "payment://bank/x", "{\"n\":2}", o, POLICY_A, APPROVAL_STATUS_NONE},
		{"eve", "payment://bank/x", "{\"n\":2}", o, POLICY_A, APPROVAL_STATUS_NOT_FOUND},
		{"bob", "payment://bank/y", "{\"n\":2}", o, POLICY_A, APPROVAL_STATUS_MISMATCH},
		{"bob", "payment://bank/x", "{\"n\":2}", "{}", POLICY_A, APPROVAL_STATUS_MISMATCH},
		{"bob", "payment://bank/x", "{\"n\":2}",
			"{\"approval_max_uses\":6,\"approval_scope_class\":\"action_type_"
			"resource\"}",
			POLICY_A, APPROVAL_STATUS_MISMATCH},
		{"bob", "payment://bank/x", "{\"n\":2}", o, POLICY_B,
			APPROVAL_STATUS_POLICY_CHANGED},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct approval a = open_with(o);

		CHECK_INT(vote(&a, "alice", true), VOTE_RECORDED);
		if (check_with(&a, rows[i].principal, rows[i].resource, rows[i].params,
			    rows[i].obligations, rows[i].policy, &noon) != rows[i].want)
			FAIL("row %zu", i);
	}
}

TEST(an_approval_under_another_policy_is_not_given)
{
	struct approval a = open_with("{}");
	struct approval_ballot b = make_ballot("alice", true);

	b.policy_hash = POLICY_B;
	CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_POLICY_CHANGED);
	CHECK_INT(a.n_votes, 0);
	b.vote.is_approval = false;
	CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_RECORDED);
	CHECK_INT(a.state, APPROVAL_DENIED);
}

TEST(hidden_parameters_need_to_be_acknowledged)
{
	struct approval a = open_with("{}");
	struct approval_ballot b = make_ballot("alice", true);

	b.is_hidden = true;
	CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_UNSEEN);
	b.vote.ack_redacted = true;
	CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_RECORDED);
	CHECK(a.votes[0].ack_redacted);
}

TEST(votes_are_bounded)
{
	struct approval a = open_with("{\"approvers\":{\"min\":100}}");
	struct approval_ballot b = make_ballot("x", true);

	b.vote.asserted_by = SPAN_LIT("slack");
	for (size_t i = 0; i < APPROVAL_VOTES_MAX; i++) {
		b.vote.approver = arena_printf(arena, "user-%zu", i);
		CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_RECORDED);
	}
	b.vote.approver = SPAN_LIT("one-more");
	CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_FULL);
	CHECK_INT(approval_count_votes(&a, NULL), 1);
}

/* ---- the stored form ---- */

static struct span
build(const struct approval *a)
{
	struct buf b;

	buf_init_arena(&b, arena, BUF_CAP_RECORD);
	approval_build(a, &b);
	CHECK(!buf_failed(&b));
	return buf_span(&b);
}

static struct approval
open_and_vote(void)
{
	struct approval a =
		open_with("{\"approvers\":{\"min\":2,\"principals\":[\"alice\",\"carol\"]}}");
	struct approval_ballot b = make_ballot("alice", true);

	b.vote.reason = SPAN_LIT("looks \"fine\" <b>\xE2\x80\xAE</b>");
	b.vote.asserted_by = SPAN_LIT("teams");
	b.vote.channel = CHANNEL_TEAMS;
	b.vote.wall_ns = noon.wall_ns;
	CHECK_INT(approval_vote(&a, &b, &noon, arena), VOTE_RECORDED);
	return a;
}

TEST(the_stored_form_comes_back_whole)
{
	struct approval a = open_and_vote();
	struct approval back;
	struct errinfo ei;
	struct span text = build(&a);

	CHECK_INT(approval_parse(text, arena, &back, &ei), OK);
	CHECK(span_eq(build(&back), text));
	CHECK_STR(back.id, a.id);
	CHECK_INT(back.needed, 2);
	CHECK_INT(back.n_votes, 1);
	CHECK(span_eq(back.votes[0].reason, a.votes[0].reason));
	CHECK_INT(back.votes[0].channel, CHANNEL_TEAMS);
	CHECK(back.approvers != NULL);
	/* What was read goes on as what was written. */
	CHECK_INT(vote(&back, "dora", true), VOTE_NOT_NAMED);
	CHECK_INT(vote(&back, "carol", true), VOTE_RECORDED);
	CHECK_INT(back.state, APPROVAL_APPROVED);
}

TEST(a_stored_form_that_was_changed_is_refused)
{
	struct approval a = open_and_vote();
	struct span text = build(&a);
	struct approval back;
	struct errinfo ei;
	char *copy = arena_dup_cstr(arena, text);
	struct arena *scratch = arena_new((size_t)4 * 1024 * 1024);

	for (size_t i = 0; i < text.n; i++) {
		arena_reset(scratch);
		if (approval_parse(span_of(text.p, i), scratch, &back, &ei) != ERR_CORRUPT)
			FAIL("cut at %zu is read", i);
	}
	static const struct {
		const char *from, *to;
	} rows[] = {
		{"\"status\":\"pending\"", "\"status\":\"granted\""},
		{"\"needed\":2", "\"needed\":0"},
		{"\"uses\":0", "\"uses\":3"},
		{"\"uses\":0", "\"uses\": "},
		{"\"max_uses\":1", "\"max_uses\":0"},
		{"\"channel\":\"teams\"", "\"channel\":\"chess\""},
		{"\"is_approval\":true", "\"is_approval\":null"},
		{"\"approval_id\":\"apr_", "\"approval_id\":\"xpr_"},
		{"\"approver\":\"alice\"", "\"approver\":123456"},
		{"\"status\":\"pending\"", "\"xtatus\":\"pending\""},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *at = strstr(copy, rows[i].from);
		size_t n = strlen(rows[i].from);
		char saved[64];

		if (at == NULL || strlen(rows[i].to) > n) {
			FAIL("row %zu does not fit", i);
			continue;
		}
		memcpy(saved, at, n);
		memset(at, ' ', n);
		memcpy(at, rows[i].to, strlen(rows[i].to));
		arena_reset(scratch);
		if (approval_parse(span_of(copy, text.n), scratch, &back, &ei) != ERR_CORRUPT)
			FAIL("row %zu is read", i);
		memcpy(at, saved, n);
	}
	arena_reset(scratch);
	CHECK_INT(approval_parse(span_of(copy, text.n), scratch, &back, &ei), OK);
	arena_free(&scratch);
}

/* A row that says approved without the votes for it was not written by us. */
TEST(an_approved_row_without_its_votes_is_refused)
{
	struct approval a = open_with("{}");
	struct approval back;
	struct errinfo ei;

	a.state = APPROVAL_APPROVED;
	CHECK_INT(approval_parse(build(&a), arena, &back, &ei), ERR_CORRUPT);
}

TEST(ids)
{
	CHECK(approval_id_is_valid(SPAN_LIT(ID_1)));
	CHECK(!approval_id_is_valid(SPAN_LIT("apr_00000000000000000000000")));
	CHECK(!approval_id_is_valid(SPAN_LIT("apr_00000000000000000000000G")));
	CHECK(!approval_id_is_valid(SPAN_LIT("apr_00000000000000000000000A")));
	CHECK(!approval_id_is_valid(SPAN_NONE));
}

static void
end(void)
{
	arena_free(&arena);
}

SUITE("approval", TEST_ROW(one_approval_allows_once), TEST_ROW(uses_are_counted),
	TEST_ROW(who_may_not_vote), TEST_ROW(groups_of_a_token_are_named),
	TEST_ROW(a_quorum_counts_each_person_and_each_relay_once),
	TEST_ROW(what_a_person_says_replaces_what_a_relay_said_of_them),
	TEST_ROW(one_that_has_lost_its_votes_takes_no_more),
	TEST_ROW(what_a_relay_repeats_takes_no_own_word_away), TEST_ROW(one_denial_ends_a_quorum),
	TEST_ROW(who_approved_may_deny_while_it_is_open),
	TEST_ROW(a_repeat_is_fine_and_the_opposite_is_not),
	TEST_ROW(the_clock_that_is_first_ends_it), TEST_ROW(a_repeat_after_expiry_is_refused_too),
	TEST_ROW(after_a_restart_the_wall_clock_alone_counts),
	TEST_ROW(an_approval_is_bound_to_identity_parameters_and_policy),
	TEST_ROW(agent_and_environment_are_part_of_the_identity),
	TEST_ROW(a_class_covers_parameters_but_no_other_resource_identity_or_rule),
	TEST_ROW(an_approval_under_another_policy_is_not_given),
	TEST_ROW(hidden_parameters_need_to_be_acknowledged), TEST_ROW(votes_are_bounded),
	TEST_ROW(the_stored_form_comes_back_whole),
	TEST_ROW(a_stored_form_that_was_changed_is_refused),
	TEST_ROW(an_approved_row_without_its_votes_is_refused), TEST_ROW(ids), TEST_ROW(end))
