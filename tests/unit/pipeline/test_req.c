/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Requests from authenticate to respond: what each kind of action is answered and what the ledger sees of it. */
#include <sys/stat.h>

#include "base/json.h"
#include "fixture.h"

TEST(reads_a_file)
{
	struct fixture f;
	const struct answer *a;

	fixture_init(&f);
	fixture_write(&f, "a.txt", "hello\n", 6);
	a = fixture_act(&f, "fs.read", "file://workspace/a.txt", "{}");
	CHECK_INT(a->error, REQ_DECIDED);
	CHECK_INT(a->verdict, VERDICT_ALLOW);
	CHECK_INT(a->reason, REASON_ALLOW_BY_RULE);
	CHECK(a->has_output);
	CHECK_STR(a->output, "hello\n");
	CHECK(!a->truncated);
	CHECK(a->has_fingerprint);
	CHECK_INT(a->seq, 1);
	CHECK_INT(f.ledger.n_records, 2);
	CHECK_INT(f.ledger.records[0].state, LEDGER_OPEN);
	CHECK_INT(f.ledger.records[1].state, LEDGER_COMPLETE);
	CHECK_INT(f.ledger.closed[0], 1);
	fixture_fini(&f);
}

TEST(writes_a_file)
{
	struct fixture f;
	const struct answer *a;

	fixture_init(&f);
	a = fixture_act(&f, "fs.write", "file://workspace/x/y/b.txt", "{\"content\":\"abc\"}");
	CHECK_INT(a->error, REQ_DECIDED);
	CHECK_INT(a->verdict, VERDICT_ALLOW);
	CHECK(a->has_bytes_written);
	CHECK_INT(a->bytes_written, 3);
	CHECK_STR(a->obligations, "{\"sandbox_mode\":\"local\"}");
	a = fixture_act(&f, "fs.read", "file://workspace/x/y/b.txt", "{}");
	CHECK_STR(a->output, "abc");
	a = fixture_act(&f, "fs.write", "file://workspace/empty", "{\"content\":\"\"}");
	CHECK(a->has_bytes_written);
	CHECK_INT(a->bytes_written, 0);
	fixture_fini(&f);
}

TEST(custom_types_are_the_callers)
{
	struct fixture f;
	const struct answer *a;

	fixture_init(&f);
	a = fixture_act(&f, "payments.list", "pay://shop/all", "{\"n\":1}");
	CHECK_INT(a->error, REQ_DECIDED);
	CHECK_INT(a->verdict, VERDICT_ALLOW);
	CHECK(a->is_external);
	CHECK_INT(f.ledger.n_records, 1);
	CHECK_INT(f.ledger.records[0].state, LEDGER_AUTHORIZED);
	fixture_fini(&f);
}

/* 10.1.1 of the reference: an approval rule with approvals off crashed the request. */
TEST(approval_rules_deny_while_approvals_are_off)
{
	struct fixture f;
	const struct answer *a;

	fixture_init(&f);
	a = fixture_act(&f, "payments.refund", "pay://shop/1", "{}");
	CHECK_INT(a->error, REQ_DECIDED);
	CHECK_INT(a->verdict, VERDICT_DENY);
	CHECK_INT(a->reason, REASON_APPROVALS_UNAVAILABLE);
	CHECK_STR(a->obligations, "{\"approval_ttl_seconds\":60}");
	CHECK(!a->is_external);
	CHECK_INT(f.ledger.n_records, 1);
	CHECK_INT(f.ledger.records[0].state, LEDGER_COMPLETE);
	/* The other half of it: credentials that are not there. */
	a = fixture_act(&f, "secrets.checkout", "secret://v/n", "{\"secret_id\":\"n\"}");
	CHECK_INT(a->reason, REASON_UNSUPPORTED_ACTION);
	fixture_fini(&f);
}

struct denial {
	const char *type;
	const char *resource;
	const char *params;
	enum reason reason;
};

TEST(denies_what_it_cannot_do)
{
	static const struct denial rows[] = {
		{"fs.write", "file://workspace/a", "{}", REASON_INVALID_PARAMS},
		{"fs.write", "file://workspace/a", "{\"content\":1}", REASON_INVALID_PARAMS},
		{"fs.read", "file://workspace/boxed/a", "{}", REASON_SANDBOX_REQUIRED},
		{"process.exec", "file://workspace/", "{\"argv\":[\"ls\"]}",
			REASON_UNSUPPORTED_ACTION},
		{"process.exec", "file://workspace/", "{\"argv\":7}", REASON_INVALID_PARAMS},
		{"payments.unknown", "pay://shop/1", "{}", REASON_DENY_BY_DEFAULT},
	};
	struct fixture f;

	fixture_init(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct answer *a =
			fixture_act(&f, rows[i].type, rows[i].resource, rows[i].params);

		if (a->error != REQ_DECIDED || a->verdict != VERDICT_DENY ||
			a->reason != rows[i].reason)
			FAIL("row %zu: error %d verdict %d reason %s", i, a->error, a->verdict,
				reason_name(a->reason));
		CHECK_INT(f.ledger.n_records, i + 1);
		CHECK_INT(f.ledger.records[i].state, LEDGER_COMPLETE);
	}
	fixture_fini(&f);
}

/* A profile that is not built denies whatever would run in it; what the caller carries out needs none. */
TEST(a_container_profile_denies_what_it_cannot_contain)
{
	struct fixture f;
	const struct answer *a;

	fixture_init(&f);
	f.options.executor.sandbox_profile = PROFILE_CONTAINER;
	fixture_reload(&f);
	fixture_write(&f, "a", "text", 4);
	a = fixture_act(&f, "fs.read", "file://workspace/a", "{}");
	CHECK_INT(a->error, REQ_DECIDED);
	CHECK_INT(a->verdict, VERDICT_DENY);
	CHECK_INT(a->reason, REASON_SANDBOX_REQUIRED);
	CHECK(!a->has_output);
	CHECK(strstr(f.ledger.records[0].text, "\"sandbox_mode\":\"container\"") != NULL);
	/* A rule that asks for less does not weaken the profile. */
	a = fixture_act(&f, "fs.write", "file://workspace/b", "{\"content\":\"abc\"}");
	CHECK_INT(a->reason, REASON_SANDBOX_REQUIRED);
	CHECK(strstr(f.ledger.records[1].text, "\"sandbox_mode\":\"container\"") != NULL);
	CHECK_INT(f.ledger.n_records, 2);
	a = fixture_act(&f, "payments.list", "pay://shop/all", "{}");
	CHECK_INT(a->verdict, VERDICT_ALLOW);
	/* The local one is what the kernel's path rules are. */
	f.options.executor.sandbox_profile = PROFILE_LOCAL;
	fixture_reload(&f);
	CHECK_STR(fixture_act(&f, "fs.read", "file://workspace/a", "{}")->output, "text");
	CHECK(strstr(f.ledger.records[3].text, "\"sandbox_mode\":\"local\"") != NULL);
	fixture_fini(&f);
}

TEST(refusals_before_the_decision)
{
	struct fixture f;
	const struct answer *a;

	fixture_init(&f);
	f.authorization = "Bearer wrong";
	a = fixture_send(&f, "not json");
	CHECK_INT(a->error, REQ_ERROR_AUTH);
	CHECK_STR(a->message, "principal authentication failed");
	f.authorization = NULL;
	f.agent_signature = "00";
	a = fixture_send(&f, "not json");
	CHECK_INT(a->error, REQ_ERROR_AUTH);
	CHECK_STR(a->message, "agent authentication failed");
	f.agent_signature = NULL;
	a = fixture_send(&f, "not json");
	CHECK_INT(a->error, REQ_ERROR_VALIDATION);
	f.media_type = "text/plain";
	a = fixture_act(&f, "fs.read", "file://workspace/a", "{}");
	CHECK_INT(a->error, REQ_ERROR_MEDIA_TYPE);
	CHECK(strstr(a->message, "-H 'Content-Type: application/json'") != NULL);
	f.media_type = "Application/JSON; charset=utf-8";
	a = fixture_act(&f, "BadAction", "file://workspace/a", "{}");
	CHECK_INT(a->error, REQ_ERROR_VALIDATION);
	CHECK(strstr(a->message, "action_type has invalid format") != NULL);
	CHECK_INT(f.ledger.n_submits, 0);
	fixture_fini(&f);
}

TEST(a_body_over_the_limit_is_too_large)
{
	static char body[ACTION_BODY_BYTES_MAX + 2];
	struct fixture f;

	fixture_init(&f);
	memset(body, ' ', sizeof(body) - 1);
	CHECK_INT(fixture_send(&f, body)->error, REQ_ERROR_TOO_LARGE);
	fixture_fini(&f);
}

TEST(a_resource_without_normal_form_is_recorded)
{
	struct fixture f;
	const struct answer *a;

	fixture_init(&f);
	a = fixture_act(&f, "fs.read", "file://workspace/../etc", "{}");
	CHECK_INT(a->error, REQ_ERROR_NORMALIZATION);
	CHECK_STR(a->message, "file path traversal detected");
	CHECK_INT(f.ledger.n_records, 1);
	CHECK(strstr(f.ledger.records[0].text,
		      "\"result_classification\":\"NORMALIZATION_ERROR\"") != NULL);
	CHECK(strstr(f.ledger.records[0].text, "\"decision\":\"DENY\"") != NULL);
	f.operation = REQ_OP_EXPLAIN;
	a = fixture_act(&f, "fs.read", "file://workspace/../etc", "{}");
	CHECK_INT(a->error, REQ_ERROR_NORMALIZATION);
	CHECK_INT(f.ledger.n_records, 1);
	fixture_fini(&f);
}

TEST(explains_without_a_trace)
{
	struct fixture f;
	const struct answer *a;

	fixture_init(&f);
	f.operation = REQ_OP_EXPLAIN;
	a = fixture_act(&f, "payments.refund", "pay://shop/1", "{}");
	CHECK_INT(a->error, REQ_DECIDED);
	CHECK(strstr(a->explain, "{\"action_id\":\"a1\",\"trace_id\":\"t1\"") == a->explain);
	CHECK(strstr(a->explain, "\"decision\":\"REQUIRE_APPROVAL\"") != NULL);
	CHECK(strstr(a->explain, "\"engine_version\":\"1.2.3\"") != NULL);
	CHECK(strstr(a->explain, "\"assurance_level\":\"BEST_EFFORT\"") != NULL);
	CHECK(strstr(a->explain, f.folder) == NULL);
	CHECK(strstr(a->explain, "\"path\":\"bundle.json\"") != NULL);
	CHECK_INT(f.ledger.n_submits, 0);
	fixture_fini(&f);
}

TEST(explanations_have_a_rate_of_their_own)
{
	struct fixture f;

	fixture_init(&f);
	clock_fake_set(NS_PER_SEC, NS_PER_SEC);
	f.options.gateway.rate_limit_per_minute = 1;
	f.options.gateway.concurrency_limit = 1;
	fixture_reload(&f);
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_DECIDED);
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_ERROR_RATE);
	CHECK_INT(f.answer.retry_after_s, 60);
	f.operation = REQ_OP_EXPLAIN;
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_DECIDED);
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_ERROR_RATE);
	clock_fake_advance(60 * NS_PER_SEC);
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_DECIDED);
	clock_fake_off();
	fixture_fini(&f);
}

/* 429 wins over 400 (decisions 1). */
TEST(a_rate_is_over_before_the_body_is_read)
{
	struct fixture f;

	fixture_init(&f);
	clock_fake_set(NS_PER_SEC, NS_PER_SEC);
	f.options.gateway.rate_limit_per_minute = 1;
	fixture_reload(&f);
	CHECK_INT(fixture_send(&f, "not json")->error, REQ_ERROR_VALIDATION);
	CHECK_INT(fixture_send(&f, "not json")->error, REQ_ERROR_RATE);
	CHECK_STR(f.answer.message, "rate limit exceeded");
	clock_fake_off();
	fixture_fini(&f);
}

/* 10.2.4 of the reference: idle unauthenticated requests took all slots. Here one costs none, whatever it does. */
TEST(slots_are_taken_after_authentication)
{
	struct fixture f;

	fixture_init(&f);
	f.options.gateway.concurrency_limit = 1;
	fixture_reload(&f);
	f.ledger.faults[0] = FAKE_PENDING;
	f.keeps = true;
	f.authorization = "Bearer wrong";
	CHECK_INT(fixture_send(&f, "{}")->error, REQ_ERROR_AUTH);
	CHECK_INT(pipeline_count_in_flight(f.pipeline), 0);
	req_free(&f.held);
	f.authorization = NULL;
	/* An action that the ledger still has keeps its slot, also when it has been answered. */
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_ERROR_AUDIT);
	CHECK_INT(pipeline_count_in_flight(f.pipeline), 1);
	req_free(&f.held);
	CHECK_INT(pipeline_count_in_flight(f.pipeline), 1);
	CHECK_INT(fixture_send(&f, "not json")->error, REQ_ERROR_RATE);
	CHECK(strstr(f.answer.message, "gateway.concurrency_limit") != NULL);
	CHECK_INT(f.answer.retry_after_s, 1);
	req_free(&f.held);
	/* Explanations need no slot. */
	f.operation = REQ_OP_EXPLAIN;
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_DECIDED);
	req_free(&f.held);
	fake_ledger_recover(&f.ledger);
	loop_turn(f.loop, false);
	CHECK_INT(pipeline_count_in_flight(f.pipeline), 0);
	fixture_fini(&f);
}

TEST(a_rate_rule_denies_with_a_record)
{
	struct rate_rule_section rule = {.id = SPAN_LIT("two"),
		.action_type = SPAN_LIT("payments.list"),
		.burst = 2,
		.refill_per_minute = 60};
	struct fixture f;
	const struct answer *a;

	fixture_init(&f);
	clock_fake_set(NS_PER_SEC, NS_PER_SEC);
	f.options.rate_limits.enabled = true;
	f.options.rate_limits.principal_action.v = &rule;
	f.options.rate_limits.principal_action.n = 1;
	fixture_reload(&f);
	for (int i = 0; i < 2; i++)
		CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->verdict,
			VERDICT_ALLOW);
	a = fixture_act(&f, "payments.list", "pay://shop/a", "{}");
	CHECK_INT(a->error, REQ_DECIDED);
	CHECK_INT(a->verdict, VERDICT_DENY);
	CHECK_INT(a->reason, REASON_RATE_LIMIT_EXCEEDED);
	CHECK(!a->has_fingerprint);
	CHECK_STR(a->obligations, "");
	CHECK(strstr(f.ledger.records[2].text,
		      "\"executor_metadata\":{\"rate_limit_bucket_key\":"
		      "\"principal_action|two|alice|payments.list\","
		      "\"rate_limit_refill_per_minute\":60,\"rate_limit_remaining_tokens\":0,"
		      "\"rate_limit_rule_id\":\"two\",\"rate_limit_scope\":\"principal_"
		      "action\"}") != NULL);
	CHECK(strstr(f.ledger.records[2].text,
		      "\"result_classification\":\"RATE_LIMIT_EXCEEDED\",") != NULL);
	CHECK(strstr(f.ledger.records[2].text, "\"retryable\":true") != NULL);
	/* A reload that leaves the rule alone leaves the bucket empty. */
	fixture_reload(&f);
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->reason,
		REASON_RATE_LIMIT_EXCEEDED);
	clock_fake_advance(NS_PER_SEC);
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->verdict, VERDICT_ALLOW);
	clock_fake_off();
	fixture_fini(&f);
}

/* Operators' own patterns hold for output, records and explanations, and leave JSON whole. */
TEST(redacts_by_the_operators_patterns)
{
	struct span patterns[] = {SPAN_LIT("hunter[0-9]+"), SPAN_LIT("^pay$")};
	struct fixture f;
	struct arena *arena = arena_new(1 << 20);
	const struct json *tree;

	fixture_init(&f);
	f.options.redaction.patterns = (struct config_strings){patterns, 2};
	fixture_reload(&f);
	fixture_write(&f, "a", "x hunter22 y", 12);
	CHECK_STR(fixture_act(&f, "fs.read", "file://workspace/a", "{}")->output, "x [REDACTED] y");
	fixture_act(&f, "payments.list", "pay://shop/hunter2", "{\"k\":\"hunter3\"}");
	CHECK_INT(f.answer.verdict, VERDICT_ALLOW);
	CHECK(strstr(f.ledger.records[2].text, "hunter") == NULL);
	CHECK(strstr(f.ledger.records[2].text, "\"matched_rule_ids\":[\"[REDACTED]\"]") != NULL);
	f.options.redaction.patterns.v = patterns;
	patterns[1] = SPAN_LIT("pay");
	fixture_reload(&f);
	f.operation = REQ_OP_EXPLAIN;
	fixture_act(&f, "payments.list", "pay://shop/a", "{}");
	CHECK(strstr(f.answer.explain, "\"matched_rule_ids\":[\"[REDACTED]\"]") != NULL);
	CHECK(strstr(f.answer.explain, "pay") == NULL);
	CHECK_INT(json_parse(span_cstr(f.answer.explain), arena, &tree, NULL, NULL), OK);
	arena_free(&arena);
	fixture_fini(&f);
}

TEST(names_and_codes_of_the_tables)
{
	CHECK_STR(req_step_name(STEP_COMMIT), "commit");
	CHECK_INT(req_error_status(REQ_ERROR_UNRECORDED), 503);
	CHECK_STR(req_error_code(REQ_ERROR_CIRCUIT), "circuit_open");
	CHECK_INT(req_error_status(REQ_DECIDED), 200);
}

SUITE("req", TEST_ROW(reads_a_file), TEST_ROW(writes_a_file),
	TEST_ROW(custom_types_are_the_callers),
	TEST_ROW(approval_rules_deny_while_approvals_are_off), TEST_ROW(denies_what_it_cannot_do),
	TEST_ROW(a_container_profile_denies_what_it_cannot_contain),
	TEST_ROW(refusals_before_the_decision), TEST_ROW(a_body_over_the_limit_is_too_large),
	TEST_ROW(a_resource_without_normal_form_is_recorded), TEST_ROW(explains_without_a_trace),
	TEST_ROW(explanations_have_a_rate_of_their_own),
	TEST_ROW(a_rate_is_over_before_the_body_is_read),
	TEST_ROW(slots_are_taken_after_authentication), TEST_ROW(a_rate_rule_denies_with_a_record),
	TEST_ROW(redacts_by_the_operators_patterns), TEST_ROW(names_and_codes_of_the_tables))
