/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait for a person, from the body to the records: asked, decided, used once, given back. */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "approval/approval.h"
#include "claims.h"
#include "pipeline/approvals.h"
#include "pipeline/board.h"

#define RULES                                                                                      \
	"{\"version\":\"v1\",\"rules\":["                                                          \
	"{\"id\":\"ask\",\"action_type\":\"payments.refund\",\"resource\":\"pay://shop/**\","      \
	"\"decision\":\"REQUIRE_APPROVAL\",\"obligations\":{\"approval_ttl_seconds\":60}},"        \
	"{\"id\":\"two\",\"action_type\":\"payments.close\",\"resource\":\"pay://shop/**\","       \
	"\"decision\":\"REQUIRE_APPROVAL\",\"obligations\":{\"approvers\":{\"min\":2}}},"          \
	"{\"id\":\"class\",\"action_type\":\"payments.batch\",\"resource\":\"pay://shop/**\","     \
	"\"decision\":\"REQUIRE_APPROVAL\",\"obligations\":{\"approval_max_uses\":2,"              \
	"\"approval_scope_class\":\"action_type_resource\"}},"                                     \
	"{\"id\":\"write\",\"action_type\":\"fs.write\",\"resource\":\"file://workspace/**\","     \
	"\"decision\":\"REQUIRE_APPROVAL\"}"

static struct fixture f;
static struct span approvers[2];
static struct approvals_answer decided;
static char decided_text[4096];
static bool is_decided;
static sem_t started;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* held while the pool is to be stuck */

static void
write_rules(const char *more)
{
	FILE *file = fopen(f.bundle, "wb");

	MUST(file != NULL && fputs(RULES, file) >= 0 && fputs(more, file) >= 0 &&
		fputs("]}", file) >= 0 && fclose(file) == 0);
}

static void
begin(void)
{
	fixture_init(&f);
	write_rules("");
	approvers[0] = SPAN_LIT("carol");
	approvers[1] = SPAN_LIT("dora");
	f.options.approvals = (struct approvals_section){
		.enabled = true,
		.ttl_seconds = 900,
		.approver_principals = {approvers, 2},
		.max_pending = 10,
		.max_pending_per_identity = 10,
		.denial_seconds = 900,
	};
	fixture_reload(&f);
}

static const struct answer *
act(const char *type, const char *params, const char *approval_id)
{
	static char body[4096];
	char extension[128] = "";

	if (approval_id != NULL)
		snprintf(extension, sizeof(extension), "\"approval\":{\"approval_id\":\"%s\"}",
			approval_id);
	snprintf(body, sizeof(body),
		"{\"schema_version\":\"v1\",\"action_id\":\"a1\",\"action_type\":\"%s\","
		"\"resource\":\"%s\",\"params\":%s,\"trace_id\":\"t1\",\"context\":{\"extensions\":"
		"{%s}}}",
		type, strcmp(type, "fs.write") == 0 ? "file://workspace/x" : "pay://shop/1", params,
		extension);
	return fixture_send(&f, body);
}

/* Asks for what a person has to decide; id: of the approval that it waits for. */
static void
ask(const char *type, const char *params, char id[64])
{
	snprintf(id, 64, "%s", act(type, params, NULL)->approval_id);
}

static void
on_decided(const struct approvals_answer *answer, void *arg)
{
	(void)arg;
	decided = *answer;
	snprintf(decided_text, sizeof(decided_text), "%.*s", SPAN_ARG(answer->text));
	is_decided = true;
}

static struct approvals_call
call_of(void)
{
	return (struct approvals_call){
		.pipeline = f.pipeline, .snapshot = f.snapshot, .loop = f.loop, .done = on_decided};
}

static unsigned
wait_decided(void)
{
	while (!is_decided)
		loop_turn(f.loop, true);
	return decided.status;
}

/* What the approval's page says to an approver who looks. */
static bool
page_says(const char *who, const char *id, const char *text)
{
	const struct approvals_call call = call_of();
	const struct caller caller = {
		.principal = span_cstr(who), .roles = req_get_roles(f.snapshot, span_cstr(who))};

	is_decided = false;
	approvals_show(&call, span_cstr(id), &caller);
	return wait_decided() == 200 && strstr(decided_text, text) != NULL;
}

static unsigned
relay(const char *user, const char *id)
{
	const struct approvals_call call = call_of();
	struct approvals_ballot ballot = {
		.channel = CHANNEL_SLACK,
		.approval_id = span_cstr(id),
		.decision = SPAN_LIT("approve"),
		.relayed_user = span_cstr(user),
	};

	is_decided = false;
	approvals_decide(&call, &ballot);
	return wait_decided();
}

static unsigned
decide(const char *who, const char *id, const char *decision)
{
	const struct approvals_call call = call_of();
	struct approvals_ballot ballot = {
		.channel = CHANNEL_API,
		.approval_id = span_cstr(id),
		.decision = span_cstr(decision),
		.caller = {.principal = span_cstr(who),
			.roles = req_get_roles(f.snapshot, span_cstr(who))},
	};

	is_decided = false;
	approvals_decide(&call, &ballot);
	return wait_decided();
}

static bool
last_record_has(const char *text)
{
	return strstr(f.ledger.records[f.ledger.n_records - 1].text, text) != NULL;
}

#define CHECK_ASKED(a, wanted_status)                                                              \
	do {                                                                                       \
		CHECK_INT((a)->verdict, VERDICT_REQUIRE_APPROVAL);                                 \
		CHECK_STR((a)->approval_status, wanted_status);                                    \
		CHECK((a)->approval_id[0] == 'a');                                                 \
	} while (0)

TEST(asked_for_decided_and_used_once)
{
	const struct answer *a;
	char id[64];

	begin();
	a = act("payments.refund", "{\"n\":1}", NULL);
	CHECK_ASKED(a, "pending");
	CHECK_INT(f.ledger.n_records, 2);
	CHECK(strstr(f.ledger.records[0].text, "\"approval.requested\"") != NULL);
	CHECK(last_record_has("\"decision\":\"REQUIRE_APPROVAL\""));
	snprintf(id, sizeof(id), "%s", a->approval_id);
	/* A repeat gets the same one. */
	a = act("payments.refund", "{\"n\":1}", NULL);
	CHECK_ASKED(a, "pending");
	CHECK_STR(a->approval_id, id);
	CHECK_INT(f.ledger.n_records, 3);
	a = act("payments.refund", "{\"n\":1}", id);
	CHECK_ASKED(a, "pending");
	CHECK_INT(decide("alice", id, "approve"), 403);
	CHECK_INT(decide("eve", id, "approve"), 403);
	CHECK_INT(decide("carol", id, "approve"), 200);
	CHECK(strstr(decided_text, "\"status\":\"APPROVED\",\"votes\":1,\"needed\":1") != NULL);
	CHECK(last_record_has("\"approver\":\"carol\""));
	a = act("payments.refund", "{\"n\":1}", id);
	CHECK_INT(a->verdict, VERDICT_ALLOW);
	CHECK_INT(a->reason, REASON_ALLOW_BY_APPROVAL);
	CHECK(a->is_external);
	CHECK_STR(a->approval_id, id);
	CHECK(last_record_has("\"approval.applied\""));
	CHECK_INT(f.ledger.records[f.ledger.n_records - 2].state, LEDGER_AUTHORIZED);
	CHECK(strstr(f.ledger.records[f.ledger.n_records - 2].text, id) != NULL);
	a = act("payments.refund", "{\"n\":1}", id);
	CHECK_ASKED(a, "consumed");
	CHECK(strcmp(a->approval_id, id) != 0);
	fixture_fini(&f);
}

TEST(other_parameters_and_another_policy_are_asked_for_anew)
{
	const struct answer *a;
	char id[64];

	begin();
	ask("payments.refund", "{\"n\":1}", id);
	CHECK_INT(decide("carol", id, "approve"), 200);
	a = act("payments.refund", "{\"n\":2}", id);
	CHECK_ASKED(a, "mismatch");
	/* 1.0 is another number than 1, though the published fingerprint may not tell. */
	a = act("payments.refund", "{\"n\":\"1\"}", id);
	CHECK_ASKED(a, "mismatch");
	write_rules(",{\"id\":\"more\",\"action_type\":\"payments.list\",\"resource\":\"pay://shop/"
		    "**\",\"decision\":\"ALLOW\"}");
	fixture_reload(&f);
	a = act("payments.refund", "{\"n\":1}", id);
	CHECK_ASKED(a, "policy_changed");
	CHECK(strcmp(a->approval_id, id) != 0);
	a = act("payments.refund", "{\"n\":1}", "apr_000000000000000000000000");
	CHECK_ASKED(a, "not_found");
	a = act("payments.refund", "{\"n\":1}", "nonsense");
	CHECK_ASKED(a, "not_found");
	/* Back to the first policy: it counts again. */
	write_rules("");
	fixture_reload(&f);
	CHECK_INT(act("payments.refund", "{\"n\":1}", id)->verdict, VERDICT_ALLOW);
	fixture_fini(&f);
}

TEST(a_denial_lasts)
{
	const struct answer *a;
	char id[64];

	begin();
	ask("payments.refund", "{\"n\":1}", id);
	CHECK_INT(decide("carol", id, "deny"), 200);
	CHECK(strstr(decided_text, "\"decision\":\"DENY\"") != NULL);
	CHECK_INT(decide("dora", id, "approve"), 409);
	a = act("payments.refund", "{\"n\":1}", NULL);
	CHECK_INT(a->verdict, VERDICT_DENY);
	CHECK_INT(a->reason, REASON_DENIED_BY_APPROVER);
	CHECK_INT(act("payments.refund", "{\"n\":1}", id)->reason, REASON_DENIED_BY_APPROVER);
	CHECK_ASKED(act("payments.refund", "{\"n\":2}", NULL), "pending");
	fixture_fini(&f);
}

TEST(pending_ones_are_capped_per_identity)
{
	begin();
	f.options.approvals.max_pending_per_identity = 2;
	fixture_reload(&f);
	CHECK_ASKED(act("payments.refund", "{\"n\":1}", NULL), "pending");
	CHECK_ASKED(act("payments.refund", "{\"n\":2}", NULL), "pending");
	CHECK_INT(act("payments.refund", "{\"n\":3}", NULL)->reason, REASON_APPROVALS_LIMIT);
	/* What is asked for already is still named. */
	CHECK_ASKED(act("payments.refund", "{\"n\":1}", NULL), "pending");
	f.options.approvals.max_pending = 2;
	f.options.approvals.max_pending_per_identity = 100;
	fixture_reload(&f);
	CHECK_INT(act("payments.refund", "{\"n\":3}", NULL)->reason, REASON_APPROVALS_LIMIT);
	fixture_fini(&f);
}

/* Else those who asked under the older policy would be denied until theirs have run out. */
TEST(one_of_an_older_policy_makes_room_for_the_one_asked_for_instead)
{
	char id[64];
	const struct answer *a;

	begin();
	f.options.approvals.max_pending_per_identity = 1;
	fixture_reload(&f);
	ask("payments.refund", "{\"n\":1}", id);
	CHECK_INT(act("payments.refund", "{\"n\":2}", NULL)->reason, REASON_APPROVALS_LIMIT);
	write_rules(",{\"id\":\"more\",\"action_type\":\"payments.list\",\"resource\":\"pay://shop/"
		    "**\",\"decision\":\"ALLOW\"}");
	fixture_reload(&f);
	size_t n = f.ledger.n_records;
	a = act("payments.refund", "{\"n\":1}", id);
	CHECK_ASKED(a, "policy_changed");
	CHECK(strcmp(a->approval_id, id) != 0);
	CHECK_INT(f.ledger.n_records, n + 3);
	CHECK(strstr(f.ledger.records[n].text, "\"approval.expired\"") != NULL);
	CHECK(strstr(f.ledger.records[n].text, "policy_changed") != NULL);
	CHECK(strstr(f.ledger.records[n].text, id) != NULL);
	/* It stays over, and ends once. */
	CHECK_INT(decide("carol", id, "approve"), 400);
	n = f.ledger.n_records;
	a = act("payments.refund", "{\"n\":1}", id);
	CHECK_ASKED(a, "policy_changed");
	CHECK_INT(f.ledger.n_records, n + 1);
	fixture_fini(&f);
}

TEST(a_class_is_used_as_often_as_it_says)
{
	char id[64];

	begin();
	ask("payments.batch", "{\"n\":1}", id);
	CHECK_STR(act("payments.batch", "{\"n\":2}", NULL)->approval_id, id);
	CHECK_INT(decide("carol", id, "approve"), 200);
	CHECK_INT(act("payments.batch", "{\"n\":5}", id)->verdict, VERDICT_ALLOW);
	CHECK_INT(act("payments.batch", "{\"n\":6}", id)->verdict, VERDICT_ALLOW);
	CHECK_ASKED(act("payments.batch", "{\"n\":7}", id), "consumed");
	fixture_fini(&f);
}

TEST(a_quorum_of_two)
{
	char id[64];

	begin();
	ask("payments.close", "{}", id);
	CHECK_INT(decide("carol", id, "approve"), 200);
	CHECK(strstr(decided_text, "\"status\":\"PENDING\",\"votes\":1,\"needed\":2") != NULL);
	CHECK_INT(decide("carol", id, "approve"), 200);
	CHECK_ASKED(act("payments.close", "{}", id), "pending");
	CHECK_INT(decide("dora", id, "approve"), 200);
	CHECK_INT(act("payments.close", "{}", id)->verdict, VERDICT_ALLOW);
	fixture_fini(&f);
}

/* A person who is an approver no more has no say: neither in the counting nor in the use. */
TEST(a_vote_lasts_as_long_as_the_role_of_who_cast_it)
{
	const struct answer *a;
	char id[64];

	begin();
	ask("payments.close", "{}", id);
	CHECK_INT(decide("carol", id, "approve"), 200);
	approvers[0] = SPAN_LIT("erik");
	fixture_reload(&f);
	CHECK_INT(decide("dora", id, "approve"), 200);
	CHECK(strstr(decided_text, "\"status\":\"PENDING\",\"votes\":1,\"needed\":2") != NULL);
	CHECK(last_record_has("\"approval_votes\":1"));
	CHECK_ASKED(act("payments.close", "{}", id), "pending");
	CHECK_INT(decide("erik", id, "approve"), 200);
	CHECK(strstr(decided_text, "\"status\":\"APPROVED\",\"votes\":2,\"needed\":2") != NULL);
	/* Approved, and then one of the two is none any more: those who are left are asked. */
	approvers[0] = SPAN_LIT("carol");
	approvers[1] = SPAN_LIT("frida");
	fixture_reload(&f);
	size_t n = f.ledger.n_records;
	CHECK_INT(decide("frida", id, "approve"), 409);
	CHECK(strstr(decided_text, "its approvers changed; the agent has to ask again") != NULL);
	CHECK_INT(f.ledger.n_records, n);
	a = act("payments.close", "{}", id);
	CHECK_ASKED(a, "expired");
	CHECK(strcmp(a->approval_id, id) != 0);
	CHECK(strstr(f.ledger.records[n].text, "\"approval.expired\"") != NULL);
	CHECK(strstr(f.ledger.records[n].text, "approvers_changed") != NULL);
	/* Back in office: what ended stays over, and what is asked for now they may decide. */
	snprintf(id, sizeof(id), "%s", a->approval_id);
	CHECK_INT(decide("frida", id, "approve"), 200);
	approvers[1] = SPAN_LIT("dora");
	fixture_reload(&f);
	CHECK_INT(decide("carol", id, "approve"), 200);
	CHECK(strstr(decided_text, "\"status\":\"PENDING\",\"votes\":1") != NULL);
	CHECK(page_says("carol", id, "you have approved it; others have to as well"));
	approvers[1] = SPAN_LIT("frida");
	fixture_reload(&f);
	/* Both are approvers again, and either of them may say so. */
	CHECK(page_says("carol", id, "\"why_not\":\"\""));
	CHECK_INT(decide("carol", id, "approve"), 200);
	CHECK(strstr(decided_text, "\"status\":\"APPROVED\",\"votes\":2") != NULL);
	CHECK_INT(act("payments.close", "{}", id)->verdict, VERDICT_ALLOW);
	fixture_fini(&f);
}

static void
sweep(void)
{
	approvals_sweep(f.pipeline, f.snapshot, f.loop);
	for (int i = 0; i < 3; i++)
		loop_turn(f.loop, false);
}

/* Nobody can grant them, so they must not keep others from asking. */
TEST(those_of_an_older_policy_end_with_it)
{
	char id[64];
	char given[64];

	begin();
	f.options.approvals.max_pending_per_identity = 2;
	fixture_reload(&f);
	sweep();
	ask("payments.refund", "{\"n\":0}", given);
	CHECK_INT(decide("carol", given, "approve"), 200);
	ask("payments.refund", "{\"n\":1}", id);
	ask("payments.refund", "{\"n\":2}", id);
	size_t n = f.ledger.n_records;
	sweep();
	CHECK_INT(f.ledger.n_records, n); /* nothing is due */
	write_rules(",{\"id\":\"more\",\"action_type\":\"payments.list\",\"resource\":\"pay://shop/"
		    "**\",\"decision\":\"ALLOW\"}");
	struct snapshot *older = snapshot_ref(f.snapshot);
	fixture_reload(&f);
	CHECK_INT(act("payments.refund", "{\"n\":3}", NULL)->reason, REASON_APPROVALS_LIMIT);
	n = f.ledger.n_records;
	sweep();
	CHECK_INT(f.ledger.n_records, n + 2);
	for (size_t i = n; i < n + 2; i++)
		CHECK(strstr(f.ledger.records[i].text, "\"approval.expired\"") != NULL &&
			strstr(f.ledger.records[i].text, "policy_changed") != NULL);
	CHECK_INT(decide("carol", id, "approve"), 400);
	/* One that is asked for under the older policy all the same ends with the next sweep. */
	struct snapshot *newer = f.snapshot;
	f.snapshot = older;
	CHECK_ASKED(act("payments.refund", "{\"n\":7}", NULL), "pending");
	f.snapshot = newer;
	n = f.ledger.n_records;
	sweep();
	CHECK_INT(f.ledger.n_records, n + 1);
	sweep();
	CHECK_INT(f.ledger.n_records, n + 1);
	CHECK_ASKED(act("payments.refund", "{\"n\":3}", NULL), "pending");
	CHECK_ASKED(act("payments.refund", "{\"n\":4}", NULL), "pending");
	/* What was granted counts again with its policy. */
	f.snapshot = older;
	CHECK_INT(act("payments.refund", "{\"n\":0}", given)->verdict, VERDICT_ALLOW);
	f.snapshot = newer;
	snapshot_unref(&older);
	fixture_fini(&f);
}

/* One that comes while the sweep is among older ones is above its place. */
TEST(one_asked_for_amid_a_sweep_of_several_pages_ends_too)
{
	begin();
	f.options.approvals.max_pending = 200;
	fixture_reload(&f);
	sweep();
	/* A page of those that wait; the first places are for the one that comes. */
	for (size_t i = 0; i < 100; i++) {
		struct fake_claim *c = &f.ledger.claims[20 + i];

		*c = (struct fake_claim){.is_there = true,
			.claim = {.kind = CLAIM_APPROVAL, .seq = 1, .state = APPROVAL_PENDING}};
		c->claim.key[0] = (uint8_t)i;
	}
	write_rules(",{\"id\":\"more\",\"action_type\":\"payments.list\",\"resource\":\"pay://shop/"
		    "**\",\"decision\":\"ALLOW\"}");
	struct snapshot *older = snapshot_ref(f.snapshot);
	fixture_reload(&f);
	struct snapshot *newer = f.snapshot;
	sweep();
	f.snapshot = older;
	CHECK_ASKED(act("payments.refund", "{\"n\":1}", NULL), "pending");
	f.snapshot = newer;
	size_t n = f.ledger.n_records;
	sweep();
	sweep();
	CHECK_INT(f.ledger.n_records, n + 1);
	CHECK(last_record_has("policy_changed"));
	snapshot_unref(&older);
	fixture_fini(&f);
}

/* A request that began before a reload knows nothing of those who were made approvers by it. */
TEST(what_an_older_request_takes_for_over_stays)
{
	char id[64];

	begin();
	approvers[1] = SPAN_LIT("carol");
	fixture_reload(&f);
	ask("payments.refund", "{\"n\":1}", id);
	struct snapshot *older = snapshot_ref(f.snapshot);
	approvers[1] = SPAN_LIT("erik");
	fixture_reload(&f);
	struct snapshot *newer = f.snapshot;
	approvals_set_in_force(f.pipeline, newer);
	CHECK_INT(decide("erik", id, "approve"), 200);
	f.snapshot = older;
	CHECK_ASKED(act("payments.refund", "{\"n\":1}", id), "expired");
	f.snapshot = newer;
	CHECK_INT(act("payments.refund", "{\"n\":1}", id)->verdict, VERDICT_ALLOW);
	/* The same of another policy. */
	write_rules(",{\"id\":\"more\",\"action_type\":\"payments.list\",\"resource\":\"pay://shop/"
		    "**\",\"decision\":\"ALLOW\"}");
	fixture_reload(&f);
	newer = f.snapshot;
	approvals_set_in_force(f.pipeline, newer);
	ask("payments.refund", "{\"n\":2}", id);
	f.snapshot = older;
	CHECK_ASKED(act("payments.refund", "{\"n\":2}", id), "policy_changed");
	f.snapshot = newer;
	CHECK_INT(decide("erik", id, "approve"), 200);
	CHECK_INT(act("payments.refund", "{\"n\":2}", id)->verdict, VERDICT_ALLOW);
	snapshot_unref(&older);
	fixture_fini(&f);
}

/* The operator's answer to a relay whose token has leaked. */
TEST(what_a_relay_brought_lasts_as_long_as_the_relay)
{
	static const struct config_pair users[] = {{{"U1", 2}, {"carol", 5}}};
	static const struct config_pair others[] = {{{"U1", 2}, {"dora", 4}}};
	static const struct config_pair renamed[] = {{{"U2", 2}, {"carol", 5}}};
	const struct approval_relay_section asserts = {
		.token = SPAN_LIT("token-1"), .users = {users, 1}};
	const struct approval_relay_section decides = {
		.token = SPAN_LIT("token-1"), .principal = SPAN_LIT("dora")};
	const struct {
		struct approval_relay_section before, after;
		bool lasts;
	} rows[] = {
		{asserts, asserts, true},
		/* Another token is no other relay; neither is another id of the same person. */
		{asserts, {.token = SPAN_LIT("token-2"), .users = {users, 1}}, true},
		{asserts, {.token = SPAN_LIT("token-1"), .users = {renamed, 1}}, true},
		{asserts, {.users = {users, 1}}, false},
		{asserts, {.token = SPAN_LIT("token-1")}, false},
		{asserts, {.token = SPAN_LIT("token-1"), .users = {others, 1}}, false},
		{asserts,
			{.token = SPAN_LIT("token-2"),
				.principal = SPAN_LIT("chat"),
				.users = {users, 1}},
			false},
		{decides, decides, true},
		{decides, {.principal = SPAN_LIT("dora")}, false},
		{decides, {.token = SPAN_LIT("token-1"), .principal = SPAN_LIT("carol")}, false},
		{decides,
			{.token = SPAN_LIT("token-1"),
				.principal = SPAN_LIT("dora"),
				.users = {others, 1}},
			false},
	};
	char params[32];
	char id[64];

	begin();
	f.options.approvals.max_pending_per_identity = 100;
	f.options.approvals.max_pending = 100;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct answer *a;

		f.ledger.n_records = 0;
		f.options.approvals.relay.slack = rows[i].before;
		fixture_reload(&f);
		snprintf(params, sizeof(params), "{\"n\":%zu}", i);
		ask("payments.refund", params, id);
		CHECK_INT(relay("U1", id), 200);
		CHECK(strstr(decided_text, "\"status\":\"APPROVED\",\"votes\":1") != NULL);
		f.options.approvals.relay.slack = rows[i].after;
		fixture_reload(&f);
		a = act("payments.refund", params, id);
		if ((a->verdict == VERDICT_ALLOW) != rows[i].lasts)
			FAIL("row %zu", i);
		if (!rows[i].lasts)
			CHECK_ASKED(a, "expired");
	}
	fixture_fini(&f);
}

static size_t n_heard;

static void
on_heard(const struct board_news *news, void *arg)
{
	(void)arg;
	CHECK_STR(news->status, "approved");
	n_heard++;
}

TEST(a_vote_that_may_stand_is_told_of)
{
	struct board_waiter *waiter = NULL;
	struct errinfo ei;
	char id[64];

	begin();
	ask("payments.refund", "{\"n\":1}", id);
	const struct board_wish wish = {.approval_id = span_cstr(id),
		.owner = SPAN_LIT("alice"),
		.max = 1,
		.max_per_owner = 1,
		.loop = f.loop,
		.heard = on_heard};
	CHECK_INT(board_join(pipeline_get_board(f.pipeline), &wish, &waiter, &ei), OK);
	n_heard = 0;
	f.ledger.faults[f.ledger.n_submits] = FAKE_DOUBT;
	CHECK_INT(decide("carol", id, "approve"), 503);
	CHECK_STR(decided.code, "outcome_unknown");
	for (int i = 0; i < 3; i++)
		loop_turn(f.loop, false);
	CHECK_INT(n_heard, 1);
	board_leave(&waiter);
	fixture_fini(&f);
}

/* An approval does not make possible what cannot be done, and is not used up by it. */
TEST(an_obstacle_stays_one)
{
	char id[64];

	begin();
	ask("fs.write", "{\"content\":7}", id);
	CHECK_INT(decide("carol", id, "approve"), 200);
	CHECK_INT(act("fs.write", "{\"content\":7}", id)->reason, REASON_INVALID_PARAMS);
	CHECK_INT(act("fs.write", "{\"content\":7}", id)->reason, REASON_INVALID_PARAMS);
	fixture_fini(&f);
}

/* decisions 15 a: what was not released gives its use back. */
TEST(a_use_that_was_not_released_is_given_back)
{
	const struct answer *a;
	char id[64];

	begin();
	ask("fs.write", "{\"content\":\"x\"}", id);
	CHECK_INT(decide("carol", id, "approve"), 200);
	f.ledger.faults[f.ledger.n_submits] = FAKE_UNDO;
	a = act("fs.write", "{\"content\":\"x\"}", id);
	CHECK_INT(a->error, REQ_ERROR_AUDIT);
	CHECK(last_record_has("not_executed"));
	a = act("fs.write", "{\"content\":\"x\"}", id);
	CHECK_INT(a->verdict, VERDICT_ALLOW);
	CHECK(a->has_bytes_written);
	CHECK_ASKED(act("fs.write", "{\"content\":\"x\"}", id), "consumed");
	fixture_fini(&f);
}

/* Its decision is released when its approval's use is: until then the use may still be given back. */
TEST(an_answer_that_used_an_approval_is_repeated_once_all_of_it_is_released)
{
	char id[64];

	begin();
	f.options.idempotency = (struct idempotency_section){
		.ttl_seconds = 86400, .max_keys = 100, .max_keys_per_identity = 10};
	fixture_reload(&f);
	ask("payments.refund", "{\"n\":1}", id);
	CHECK_INT(decide("carol", id, "approve"), 200);
	f.idempotency_key = "key-1";
	CHECK_INT(act("payments.refund", "{\"n\":1}", id)->verdict, VERDICT_ALLOW);
	CHECK(last_record_has("\"approval.applied\""));
	f.ledger.unreleased = f.ledger.n_records;
	CHECK_INT(act("payments.refund", "{\"n\":1}", id)->error, REQ_ERROR_KEY_IN_PROGRESS);
	f.ledger.unreleased = 0;
	const struct answer *a = act("payments.refund", "{\"n\":1}", id);
	CHECK(a->is_replayed && a->verdict == VERDICT_ALLOW);
	fixture_fini(&f);
}

static void
block(struct workq_item *item)
{
	(void)item;
	sem_post(&started);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

static void
unblocked(struct workq_item *item)
{
	(void)item;
}

/* The effect's place is had before the approval is used. */
TEST(a_full_pool_uses_no_approval)
{
	static struct workq_item blockers[64];
	const struct answer *a;
	size_t n = 0;
	char id[64];

	begin();
	ask("fs.write", "{\"content\":\"x\"}", id);
	CHECK_INT(decide("carol", id, "approve"), 200);
	pthread_mutex_lock(&gate);
	sem_init(&started, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(blockers); i++)
		blockers[i] = (struct workq_item){.process = block, .done = unblocked};
	/* The only thread is in the first one before the queue is filled. */
	CHECK_INT(workq_submit(f.pool, &blockers[n++]), OK);
	sem_wait(&started);
	while (n < ARRAY_LEN(blockers) && workq_submit(f.pool, &blockers[n]) == OK)
		n++;
	CHECK(n < ARRAY_LEN(blockers));
	size_t n_records = f.ledger.n_records;
	a = act("fs.write", "{\"content\":\"x\"}", id);
	CHECK_INT(a->error, REQ_ERROR_OVERLOADED);
	CHECK_INT(a->retry_after_s, 1);
	CHECK_INT(f.ledger.n_records, n_records);
	/* What asks for nothing to be done waits for no pool. */
	CHECK_ASKED(act("fs.write", "{\"content\":\"y\"}", NULL), "pending");
	/* Nor does what cannot be an approval. */
	CHECK_ASKED(act("fs.write", "{\"content\":\"y\"}", "nonsense"), "not_found");
	pthread_mutex_unlock(&gate);
	while (workq_depth(f.pool) > 0)
		sched_yield();
	/* It is as good as before, once; a request that comes to nothing gives its place back. */
	for (int i = 0; i < 20; i++)
		CHECK_INT(act("fs.write", "{\"content\":\"y\"}", id)->verdict,
			VERDICT_REQUIRE_APPROVAL);
	CHECK_INT(act("fs.write", "{\"content\":\"x\"}", id)->verdict, VERDICT_ALLOW);
	CHECK_ASKED(act("fs.write", "{\"content\":\"x\"}", id), "consumed");
	fixture_fini(&f);
}

TEST(hidden_parameters_have_to_be_acknowledged)
{
	char id[64];

	begin();
	ask("payments.refund", "{\"password\":\"hunter2\"}", id);
	CHECK_INT(decide("carol", id, "approve"), 409);
	CHECK(strstr(decided_text, "ack_redacted") != NULL);
	CHECK_INT(decide("carol", id, "deny"), 200);
	fixture_fini(&f);
}

TEST(what_is_no_decision)
{
	char id[64];

	begin();
	ask("payments.refund", "{}", id);
	CHECK_INT(decide("carol", id, "maybe"), 400);
	CHECK_STR(decided.code, "approval_error");
	CHECK_INT(decide("carol", "", "approve"), 400);
	CHECK_STR(decided.code, "validation_error");
	CHECK_INT(decide("carol", "apr_000000000000000000000000", "approve"), 404);
	f.options.approvals.enabled = false;
	fixture_reload(&f);
	CHECK_INT(decide("carol", id, "approve"), 404);
	CHECK_STR(decided.code, "not_enabled");
	CHECK_INT(act("payments.refund", "{}", id)->reason, REASON_APPROVALS_UNAVAILABLE);
	fixture_fini(&f);
}

TEST(a_malformed_extension_is_an_error_only_where_it_counts)
{
	static const char *const rows[] = {"7", "{}", "{\"approval_id\":7}",
		"{\"approval_id\":\" \"}", "{\"approval_id\":\"apr_1\",\"x\":1}"};
	static char body[1024];

	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(body, sizeof(body),
			"{\"schema_version\":\"v1\",\"action_id\":\"a1\",\"action_type\":"
			"\"payments."
			"refund\",\"resource\":\"pay://shop/1\",\"params\":{},\"trace_id\":\"t1\","
			"\"context\":{\"extensions\":{\"approval\":%s}}}",
			rows[i]);
		CHECK_INT(fixture_send(&f, body)->error, REQ_ERROR_VALIDATION);
	}
	CHECK_INT(f.ledger.n_records, 0);
	fixture_fini(&f);
}

/* Each allocation of the use fails once: an answer that says so, and afterwards the use is there or it is not, never twice. */
TEST(memory_that_runs_out_uses_nothing_twice)
{
	bool has_failed = true;
	char id[64];

	begin();
	f.options.gateway.rate_limit_per_minute = 1000000000;
	fixture_reload(&f);
	f.ledger.may_fail = true;
	for (unsigned long n = 1; has_failed && n < 5000; n++) {
		bool ran;

		memset(f.ledger.claims, 0, sizeof(f.ledger.claims));
		f.ledger.n_records = 0;
		ask("payments.refund", "{\"n\":1}", id);
		CHECK_INT(decide("carol", id, "approve"), 200);
		mem_fail_at(n);
		ran = act("payments.refund", "{\"n\":1}", id)->verdict == VERDICT_ALLOW &&
		      f.answer.error == REQ_DECIDED;
		mem_fail_at(0);
		has_failed = !ran;
		if (has_failed)
			CHECK_INT(f.answer.error, REQ_ERROR_OVERLOADED);
		CHECK_INT(act("payments.refund", "{\"n\":1}", id)->verdict,
			ran ? VERDICT_REQUIRE_APPROVAL : VERDICT_ALLOW);
	}
	CHECK(!has_failed);
	fixture_fini(&f);
}

SUITE("approval flow", TEST_ROW(asked_for_decided_and_used_once),
	TEST_ROW(other_parameters_and_another_policy_are_asked_for_anew), TEST_ROW(a_denial_lasts),
	TEST_ROW(pending_ones_are_capped_per_identity),
	TEST_ROW(one_of_an_older_policy_makes_room_for_the_one_asked_for_instead),
	TEST_ROW(a_class_is_used_as_often_as_it_says), TEST_ROW(a_quorum_of_two),
	TEST_ROW(a_vote_lasts_as_long_as_the_role_of_who_cast_it),
	TEST_ROW(those_of_an_older_policy_end_with_it),
	TEST_ROW(one_asked_for_amid_a_sweep_of_several_pages_ends_too),
	TEST_ROW(what_an_older_request_takes_for_over_stays),
	TEST_ROW(what_a_relay_brought_lasts_as_long_as_the_relay),
	TEST_ROW(a_vote_that_may_stand_is_told_of), TEST_ROW(an_obstacle_stays_one),
	TEST_ROW(an_answer_that_used_an_approval_is_repeated_once_all_of_it_is_released),
	TEST_ROW(a_use_that_was_not_released_is_given_back), TEST_ROW(a_full_pool_uses_no_approval),
	TEST_ROW(hidden_parameters_have_to_be_acknowledged), TEST_ROW(what_is_no_decision),
	TEST_ROW(a_malformed_extension_is_an_error_only_where_it_counts),
	TEST_ROW(memory_that_runs_out_uses_nothing_twice))
