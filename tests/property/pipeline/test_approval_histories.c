/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories of requests, decisions, retries, expiries, clock jumps, restarts and reloads, against a model that knows only who
 * said yes to what. An action runs exactly when its identity, its parameters (or its class) and its policy were approved, by
 * enough others than the requester who are approvers then and still, in time, and not more often than was said.
 */
#include "../../unit/pipeline/fixture.h"

#include "pipeline/approvals.h"

#include <stdlib.h>

enum { APPROVALS = 64, STEPS = 60, VOTERS = 5, TTL_S = 100, DENIAL_S = 150 };

#define RULES_OF(extra)                                                                            \
	"{\"version\":\"v1\",\"rules\":["                                                          \
	"{\"id\":\"one\",\"action_type\":\"pay.one\",\"resource\":\"pay://shop/**\","              \
	"\"decision\":\"REQUIRE_APPROVAL\"},"                                                      \
	"{\"id\":\"two\",\"action_type\":\"pay.two\",\"resource\":\"pay://shop/**\","              \
	"\"decision\":\"REQUIRE_APPROVAL\",\"obligations\":{\"approvers\":{\"min\":2}}},"          \
	"{\"id\":\"class\",\"action_type\":\"pay.class\",\"resource\":\"pay://shop/**\","          \
	"\"decision\":\"REQUIRE_APPROVAL\",\"obligations\":{\"approval_max_uses\":3,"              \
	"\"approval_scope_class\":\"action_type_resource\"}}" extra "]}"

static const char *const policies[] = {RULES_OF(""),
	RULES_OF(",{\"id\":\"x\",\"action_type\":\"pay.x\",\"resource\":\"pay://shop/**\","
		 "\"decision\":\"DENY\"}")};
static const char *const types[] = {"pay.one", "pay.two", "pay.class"};
static const char *const agents[] = {"bot", "other"};
static const char *const secrets[] = {FIXTURE_SECRET, "other-secret"};
/* alice asks, and is in the list of approvers all the same; eve is not in it. What erik says a relay brings. */
static const char *const voters[VOTERS] = {"alice", "carol", "dora", "erik", "eve"};

/* ---- the model ---- */

struct wish {
	size_t agent, type, params;
	size_t place; /* of two resources */
};

struct known {
	char id[64];
	struct wish wish;
	size_t policy;
	bool said_yes[VOTERS];
	bool is_approved; /* enough of those who were approvers had said yes */
	bool is_denied;
	bool is_over; /* its end is on record */
	int64_t uses;
	int64_t wall_ns, mono_ns;
	int run;
};

static struct known known[APPROVALS];
static size_t n_known;
static int64_t denied_until[2][2][3]
			   [3]; /* place, agent, type, params; a class has all its parameters */
static int64_t wall_ns, mono_ns;
static int run_no;
static size_t policy_no;
static size_t roster_no; /* who the approvers are */

static bool
is_in_time(const struct known *k)
{
	int64_t ttl_ns = TTL_S * NS_PER_SEC;

	if (k->is_over || wall_ns > k->wall_ns + ttl_ns)
		return false;
	return k->run == run_no ? mono_ns <= k->mono_ns + ttl_ns : wall_ns >= k->wall_ns;
}

/* carol is one by the first roster only, and the relay brings erik's by the second only; eve is never one. */
static bool
is_approver(size_t voter)
{
	return voter != 4 && (voter != 1 || roster_no == 0) && (voter != 3 || roster_no == 1);
}

static bool
is_carried(const struct known *k)
{
	int n = 0;

	for (size_t i = 0; i < VOTERS; i++)
		n += k->said_yes[i] && is_approver(i);
	return n >= (k->wish.type == 1 ? 2 : 1);
}

static bool
is_approved(const struct known *k)
{
	return !k->is_denied && k->is_approved;
}

static bool
is_about(const struct known *k, const struct wish *w)
{
	return k->wish.agent == w->agent && k->wish.type == w->type &&
	       (w->type == 2 || k->wish.params == w->params) && k->wish.place == w->place;
}

static bool
covers(const struct known *k, const struct wish *w)
{
	return is_about(k, w) && k->policy == policy_no;
}

static bool
is_denied_now(const struct wish *w)
{
	return wall_ns < denied_until[w->place][w->agent][w->type][w->params];
}

static bool
might_run(const struct known *k, const struct wish *w)
{
	return covers(k, w) && is_approved(k) && is_in_time(k) &&
	       k->uses < (w->type == 2 ? 3 : 1) && !is_denied_now(w);
}

/* What a look at it in vain ends: it waits under another policy, or those who said yes are approvers no more. */
static void
model_show(struct known *k, const struct wish *w)
{
	bool is_outdated = is_about(k, w) && k->policy != policy_no && !k->is_approved &&
			   !k->is_denied && !is_denied_now(w);

	if (is_outdated || (might_run(k, w) && !is_carried(k)))
		k->is_over = true;
}

/* What a vote means, when it counts. */
static void
model_vote(struct known *k, size_t voter, bool yes)
{
	if (voter == 0 || !is_approver(voter) || !is_in_time(k) || is_approved(k) || k->is_denied)
		return;
	if (yes && k->policy == policy_no)
		k->said_yes[voter] = true;
	if (yes && k->policy == policy_no)
		k->is_approved = is_carried(k);
	if (yes)
		return;
	k->is_denied = true;
	for (size_t p = 0; p < 3; p++)
		if (k->wish.type == 2 || k->wish.params == p)
			denied_until[k->wish.place][k->wish.agent][k->wish.type][p] =
				wall_ns + DENIAL_S * NS_PER_SEC;
}

/* What ended on record does not begin again when the clock is put back. */
static void
model_sweep(void)
{
	for (size_t i = 0; i < n_known; i++)
		if (wall_ns > known[i].wall_ns + TTL_S * NS_PER_SEC ||
			(!is_approved(&known[i]) && known[i].policy != policy_no))
			known[i].is_over = true;
	for (size_t i = 0; i < 2 * 2 * 3 * 3; i++) {
		int64_t *until = &denied_until[i / 18][i / 9 % 2][i / 3 % 3][i % 3];

		if (*until <= wall_ns)
			*until = 0;
	}
}

static struct known *
find_known(const char *id)
{
	for (size_t i = 0; i < n_known; i++)
		if (strcmp(known[i].id, id) == 0)
			return &known[i];
	return NULL;
}

/* ---- the program ---- */

static struct fixture f;
static struct snapshot *snapshots[2][2]; /* of each policy and roster */
static struct span approvers[2][4];
static const struct config_pair users[] = {{{"U1", 2}, {"erik", 4}}};
static uint64_t seed;
static uint64_t random_state;
static bool is_decided;
static size_t n_ran;
static size_t n_asked;

static uint32_t
rnd(uint32_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % n;
}

static void
on_decided(const struct approvals_answer *answer, void *arg)
{
	(void)answer;
	(void)arg;
	is_decided = true;
}

static const struct answer *
send(const struct wish *w, const char *id)
{
	static char body[2048];
	static char signature[SHA256_HEX + 1];
	char extension[128] = "";

	if (id != NULL)
		snprintf(extension, sizeof(extension), "\"approval\":{\"approval_id\":\"%s\"}", id);
	snprintf(body, sizeof(body),
		"{\"schema_version\":\"v1\",\"action_id\":\"a1\",\"action_type\":\"%s\","
		"\"resource\":\"pay://shop/"
		"%zu\",\"params\":{\"n\":%zu},\"trace_id\":\"t1\",\"context\":"
		"{\"extensions\":{%s}}}",
		types[w->type], w->place, w->params, extension);
	f.agent_id = agents[w->agent];
	fixture_sign(secrets[w->agent], span_cstr(body), signature);
	f.agent_signature = signature;
	return fixture_send(&f, body);
}

static void
fail_at(int step, const char *what)
{
	FAIL("seed %llu, step %d: %s", (unsigned long long)seed, step, what);
}

static void
check_named(int step, const struct wish *w, const char *id)
{
	struct known *k = find_known(id);

	if (k != NULL) {
		if (!covers(k, w) || is_approved(k) || k->is_denied || !is_in_time(k))
			fail_at(step, "another approval was named");
		return;
	}
	MUST(n_known < APPROVALS);
	k = &known[n_known++];
	*k = (struct known){.wish = *w,
		.policy = policy_no,
		.wall_ns = wall_ns,
		.mono_ns = mono_ns,
		.run = run_no};
	snprintf(k->id, sizeof(k->id), "%s", id);
	n_asked++;
}

static void
request(int step)
{
	struct wish w = {rnd(2), rnd(3), rnd(3), rnd(4) == 0};
	struct known *k = n_known > 0 && rnd(5) > 0 ? &known[rnd((uint32_t)n_known)] : NULL;
	const struct answer *a;
	bool expected;

	/* Mostly what was asked for, sometimes something else with its approval. */
	if (k != NULL && rnd(4) > 0)
		w = k->wish;
	expected = k != NULL && might_run(k, &w) && is_carried(k);
	if (k != NULL)
		model_show(k, &w);
	a = send(&w, k != NULL ? k->id : NULL);
	if (a->error != REQ_DECIDED)
		fail_at(step, "no decision");
	else if ((a->verdict == VERDICT_ALLOW) != expected)
		fail_at(step,
			expected ? "what was approved did not run" : "what was not approved ran");
	else if (expected)
		n_ran += (size_t)(++k->uses > 0);
	else if (a->verdict == VERDICT_REQUIRE_APPROVAL)
		check_named(step, &w, a->approval_id);
}

static void
decide(void)
{
	struct approvals_call call = {
		.pipeline = f.pipeline, .snapshot = f.snapshot, .loop = f.loop, .done = on_decided};
	struct approvals_ballot ballot = {.channel = CHANNEL_API};
	size_t voter = rnd(VOTERS);
	bool yes = rnd(6) > 0;
	struct known *k;

	if (n_known == 0)
		return;
	/* The newest ones most of the time: older ones are decided or over. */
	k = &known[rnd(3) > 0 ? n_known - 1 : rnd((uint32_t)n_known)];
	ballot.approval_id = span_cstr(k->id);
	ballot.decision = yes ? SPAN_LIT("approve") : SPAN_LIT("deny");
	ballot.caller.principal = span_cstr(voters[voter]);
	ballot.caller.roles = req_get_roles(f.snapshot, ballot.caller.principal);
	if (voter == 3) {
		ballot.channel = CHANNEL_SLACK;
		ballot.relayed_user = SPAN_LIT("U1");
	}
	is_decided = false;
	approvals_decide(&call, &ballot);
	while (!is_decided)
		loop_turn(f.loop, true);
	model_vote(k, voter, yes);
}

static void
sweep(void)
{
	size_t n_before = f.ledger.n_submits;

	approvals_sweep(f.pipeline, f.snapshot, f.loop);
	if (f.ledger.n_submits > n_before)
		model_sweep();
	for (int i = 0; i < 3; i++)
		loop_turn(f.loop, false);
}

static void
move_clock(int64_t wall_s, int64_t mono_s)
{
	wall_ns += wall_s * NS_PER_SEC;
	mono_ns += mono_s * NS_PER_SEC;
	clock_fake_set(mono_ns, wall_ns);
}

static void
restart(void)
{
	pipeline_free(&f.pipeline);
	MUST(pipeline_new(&f.ledger, f.pool, 1, &f.pipeline, NULL) == OK);
	run_no++;
}

static void
do_step(int step)
{
	switch (rnd(12)) {
	case 0:
		move_clock(rnd(40), rnd(40));
		break;
	case 1:
		/* Somebody sets the wall clock. */
		move_clock((int64_t)rnd(200) - 150, 1);
		break;
	case 2:
		restart();
		break;
	case 3:
		policy_no = rnd(4) == 0 ? 1 - policy_no : policy_no;
		roster_no = rnd(3) == 0 ? 1 - roster_no : roster_no;
		f.snapshot = snapshots[policy_no][roster_no];
		break;
	case 4:
		sweep();
		break;
	case 5:
	case 6:
	case 7:
		decide();
		break;
	default:
		request(step);
		break;
	}
	f.ledger.n_records = 0;
	f.ledger.n_closed = 0;
}

static void
begin_history(void)
{
	memset(f.ledger.claims, 0, sizeof(f.ledger.claims));
	memset(known, 0, sizeof(known));
	memset(denied_until, 0, sizeof(denied_until));
	n_known = 0;
	policy_no = 0;
	roster_no = 0;
	f.snapshot = snapshots[0][0];
	wall_ns = 1000000 * NS_PER_SEC;
	mono_ns = 5000 * NS_PER_SEC;
	clock_fake_set(mono_ns, wall_ns);
	restart();
}

static void
make_snapshots(void)
{
	for (size_t i = 0; i < 2; i++) {
		FILE *file = fopen(f.bundle, "wb");

		MUST(file != NULL && fputs(policies[i], file) >= 0 && fclose(file) == 0);
		for (size_t k = 0; k < 2; k++) {
			f.options.approvals.approver_principals.v = approvers[k];
			f.options.approvals.relay.slack.users.n = k;
			MUST(snapshot_new(&f.options, &snapshots[i][k], NULL) == OK);
		}
	}
}

static void
begin(void)
{
	fixture_init(&f);
	snapshot_unref(&f.snapshot);
	for (size_t i = 0; i < 4; i++) {
		approvers[0][i] = span_cstr(voters[i]);
		approvers[1][i] = span_cstr(voters[i == 1 ? 0 : i]);
	}
	f.options.gateway.rate_limit_per_minute = 1000000000;
	f.options.approvals = (struct approvals_section){
		.enabled = true,
		.ttl_seconds = TTL_S,
		.approver_principals = {approvers[0], 4},
		.max_pending = 12,
		.max_pending_per_identity = 12,
		.denial_seconds = DENIAL_S,
		.relay.slack = {.token = SPAN_LIT("token"), .users = {users, 1}},
	};
	make_snapshots();
}

TEST(only_what_was_approved_runs)
{
	const char *more = getenv("NOMOS_TEST_LONG");
	int histories = more != NULL && strcmp(more, "yes") == 0 ? 20000 : 500;

	begin();
	for (int h = 0; h < histories; h++) {
		seed = (uint64_t)h + 1;
		random_state = seed * 2654435761u;
		begin_history();
		for (int step = 0; step < STEPS; step++)
			do_step(step);
	}
	clock_fake_off();
	/* The histories are worth something: hundreds of approvals were asked for, and of them many used. */
	CHECK(n_asked > 2000);
	CHECK(n_ran > 300);
	printf("%zu asked for, %zu ran\n", n_asked, n_ran);
	f.snapshot = NULL;
	for (size_t i = 0; i < 4; i++)
		snapshot_unref(&snapshots[i / 2][i % 2]);
	fixture_fini(&f);
}

SUITE("approval histories", TEST_ROW(only_what_was_approved_runs))
