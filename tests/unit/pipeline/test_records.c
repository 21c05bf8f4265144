/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole records as the ledger gets them (nomos-http.md 6.1, 6.4). C, P, S, T stand where chain, previous hash, number and time
 * go. Hashes are compared with the action's own elsewhere; here they are cut out.
 */
#include <unistd.h>

#include "fixture.h"

/* Replaces each run of 64 hex digits by one #. */
static const char *
without_hashes(const char *text)
{
	static char out[32768];
	size_t n = 0;

	while (*text != '\0') {
		size_t run = strspn(text, "0123456789abcdef");

		if (run == 64) {
			out[n++] = '#';
			text += run;
			continue;
		}
		if (run == 0)
			run = 1;
		memcpy(out + n, text, run);
		n += run;
		text += run;
	}
	out[n] = '\0';
	return out;
}

static void
start(struct fixture *f)
{
	fixture_init(f);
	clock_fake_set(NS_PER_SEC, NS_PER_SEC);
}

static void
stop(struct fixture *f)
{
	clock_fake_off();
	fixture_fini(f);
}

#define POLICY_MEMBERS                                                                             \
	"\"policy_bundle_hash\":\"#\",\"policy_bundle_inputs\":"                                   \
	"[{\"hash\":\"#\",\"path\":\"bundle.json\"}],"

TEST(an_intent)
{
	struct fixture f;

	start(&f);
	fixture_write(&f, "a", "x", 1);
	fixture_act(&f, "fs.read", "file://workspace/./a/../a", "{}");
	CHECK_INT(f.answer.error, REQ_ERROR_NORMALIZATION);
	f.ledger.n_records = 0;
	fixture_act(&f, "fs.read", "file:///a/", "{\"token\":\"t\"}");
	CHECK_STR(without_hashes(f.ledger.records[0].text),
		"{\"action_fingerprint\":\"#\",\"action_id\":\"a1\","
		"\"action_summary\":\"fs.read file://workspace/a\",\"action_type\":\"fs.read\","
		"\"agent\":\"bot\",\"assurance_level\":\"BEST_EFFORT\",\"binding_hash\":\"#\","
		"\"chain_id\":C,\"decision\":\"ALLOW\",\"engine_version\":\"1.2.3\","
		"\"environment\":\"dev\",\"event_type\":\"action.decision\","
		"\"matched_rule_ids\":[\"read\"],\"network_mode\":\"deny\",\"params_hash\":\"#\","
		"\"params_redacted_summary\":\"{\\\"token\\\":\\\"[REDACTED]\\\"}\"," POLICY_MEMBERS
		"\"prev_event_hash\":P,\"principal\":\"alice\",\"reason\":\"allow_by_rule\","
		"\"request_id\":\"req_1\",\"resource\":\"file:///a/\","
		"\"resource_normalized\":\"file://workspace/a\",\"risk_level\":\"low\","
		"\"sandbox_mode\":\"none\",\"schema_version\":\"v1\",\"seq\":S,\"timestamp\":T,"
		"\"trace_id\":\"t1\"}");
	stop(&f);
}

TEST(an_outcome)
{
	struct fixture f;

	start(&f);
	f.ledger.n_records = 0;
	fixture_act(&f, "fs.write", "file://workspace/a", "{\"content\":\"xyz\"}");
	CHECK_STR(without_hashes(f.ledger.records[1].text),
		"{\"action_fingerprint\":\"#\",\"action_id\":\"a1\","
		"\"action_summary\":\"fs.write file://workspace/a\",\"action_type\":\"fs.write\","
		"\"agent\":\"bot\",\"assurance_level\":\"BEST_EFFORT\",\"binding_hash\":\"#\","
		"\"chain_id\":C,\"decision\":\"ALLOW\",\"engine_version\":\"1.2.3\","
		"\"environment\":\"dev\",\"event_type\":\"action.completed\","
		"\"executor_metadata\":{\"bytes_written\":3,\"sandbox_backend\":\"local\","
		"\"sandbox_network_egress\":\"deny\","
		"\"sandbox_writable_paths\":[\"file://workspace/\"]},\"intent_seq\":1,"
		"\"network_mode\":\"deny\",\"outcome\":\"succeeded\",\"params_hash\":\"#\","
		"\"params_redacted_summary\":\"{\\\"content\\\":\\\"xyz\\\"}\"," POLICY_MEMBERS
		"\"prev_event_hash\":P,\"principal\":\"alice\",\"reason\":\"allow_by_rule\","
		"\"request_id\":\"req_1\",\"resource\":\"file://workspace/a\","
		"\"resource_normalized\":\"file://workspace/"
		"a\",\"result_classification\":\"SUCCESS\","
		"\"result_redacted_summary\":\"{\\\"bytes_written\\\":3,\\\"decision\\\":"
		"\\\"ALLOW\\\","
		"\\\"reason\\\":\\\"allow_by_rule\\\"}\",\"risk_flags\":[\"risk.write\"],"
		"\"risk_level\":\"medium\",\"sandbox_mode\":\"local\",\"schema_version\":\"v1\","
		"\"seq\":S,\"timestamp\":T,\"trace_id\":\"t1\"}");
	stop(&f);
}

TEST(an_external_authorisation)
{
	struct fixture f;

	start(&f);
	fixture_act(&f, "payments.list", "pay://shop/all", "{}");
	CHECK_STR(without_hashes(f.ledger.records[0].text),
		"{\"action_fingerprint\":\"#\",\"action_id\":\"a1\","
		"\"action_summary\":\"payments.list pay://shop/all\","
		"\"action_type\":\"payments.list\",\"agent\":\"bot\","
		"\"assurance_level\":\"BEST_EFFORT\",\"binding_hash\":\"#\",\"chain_id\":C,"
		"\"decision\":\"ALLOW\",\"engine_version\":\"1.2.3\",\"environment\":\"dev\","
		"\"event_type\":\"action.decision\",\"executor_metadata\":"
		"{\"execution_mode\":\"external_authorized\",\"nomos_executed\":false,"
		"\"reporting_supported\":true},\"matched_rule_ids\":[\"pay\"],"
		"\"network_mode\":\"deny\",\"params_hash\":\"#\",\"params_redacted_summary\":\"{}"
		"\"," POLICY_MEMBERS
		"\"prev_event_hash\":P,\"principal\":\"alice\",\"reason\":\"allow_by_rule\","
		"\"request_id\":\"req_1\",\"resource\":\"pay://shop/all\","
		"\"resource_normalized\":\"pay://shop/all\",\"result_classification\":\"SUCCESS\","
		"\"result_redacted_summary\":\"{\\\"decision\\\":\\\"ALLOW\\\","
		"\\\"reason\\\":\\\"allow_by_rule\\\"}\",\"risk_level\":\"low\","
		"\"sandbox_mode\":\"none\",\"schema_version\":\"v1\",\"seq\":S,\"timestamp\":T,"
		"\"trace_id\":\"t1\"}");
	stop(&f);
}

TEST(a_normalisation_error)
{
	struct fixture f;

	start(&f);
	fixture_act(&f, "fs.read", "file://elsewhere/AKIAABCDEFGHIJKLMNOP", "{}");
	CHECK_INT(f.answer.error, REQ_ERROR_NORMALIZATION);
	CHECK_STR(without_hashes(f.ledger.records[0].text),
		"{\"action_id\":\"a1\","
		"\"action_summary\":\"fs.read "
		"file://elsewhere/[REDACTED]\",\"action_type\":\"fs.read\","
		"\"agent\":\"bot\",\"assurance_level\":\"BEST_EFFORT\",\"chain_id\":C,"
		"\"decision\":\"DENY\",\"engine_version\":\"1.2.3\",\"environment\":\"dev\","
		"\"event_type\":\"action.decision\",\"params_redacted_summary\":\"{}"
		"\"," POLICY_MEMBERS
		"\"prev_event_hash\":P,\"principal\":\"alice\",\"reason\":\"normalization_error\","
		"\"request_id\":\"req_1\",\"resource\":\"file://elsewhere/[REDACTED]\","
		"\"result_classification\":\"NORMALIZATION_ERROR\","
		"\"result_redacted_summary\":\"{\\\"decision\\\":\\\"DENY\\\",\\\"error\\\":"
		"\\\"unsupported file host \\\\\\\"elsewhere\\\\\\\"\\\","
		"\\\"reason\\\":\\\"normalization_error\\\"}\",\"schema_version\":\"v1\",\"seq\":S,"
		"\"timestamp\":T,\"trace_id\":\"t1\"}");
	stop(&f);
}

TEST(classes_of_outcomes)
{
	struct fixture f;

	start(&f);
	fixture_write(&f, "long", "line1\nline2\n", 12);
	{
		char from[300];
		char to[300];

		snprintf(to, sizeof(to), "%s/short", f.workspace);
		CHECK_INT(mkdir(to, 0755), 0);
		snprintf(from, sizeof(from), "%s/long", f.workspace);
		snprintf(to, sizeof(to), "%s/short/long", f.workspace);
		CHECK_INT(rename(from, to), 0);
		snprintf(to, sizeof(to), "%s/link", f.workspace);
		CHECK_INT(symlink("/etc/hostname", to), 0);
	}
	fixture_act(&f, "fs.read", "file://workspace/short/long", "{}");
	CHECK_STR(f.answer.output, "line1");
	CHECK(f.answer.truncated);
	CHECK(strstr(f.ledger.records[1].text, "\"result_classification\":\"OUTPUT_LIMIT\"") !=
		NULL);
	CHECK(strstr(f.ledger.records[1].text, "\"executor_metadata\":{\"bytes_read\":12,\"lines_"
					       "read\":2,\"truncated\":true}") != NULL);
	fixture_act(&f, "fs.read", "file://workspace/link", "{}");
	CHECK_INT(f.answer.error, REQ_ERROR_RESOURCE);
	CHECK(strstr(f.ledger.records[3].text, "\"result_classification\":\"SANDBOX_VIOLATION\"") !=
		NULL);
	CHECK(strstr(f.ledger.records[3].text, "path escape detected") != NULL);
	fixture_act(&f, "fs.read", "file://workspace/boxed/x", "{}");
	CHECK(strstr(f.ledger.records[4].text, "\"result_classification\":\"SANDBOX_VIOLATION\"") !=
		NULL);
	fixture_act(&f, "payments.none", "pay://shop/x", "{}");
	CHECK(strstr(f.ledger.records[5].text, "\"result_classification\":\"DENIED_POLICY\"") !=
		NULL);
	CHECK(strstr(f.ledger.records[5].text, "matched_rule_ids") == NULL);
	stop(&f);
}

/* Whatever is cut for a message or a summary, half a secret never gets into a record. */
TEST(no_cut_goes_through_a_secret)
{
	static const char secret[] = "AKIAABCDEFGHIJKLMNOP";
	char resource[6000];
	struct fixture f;

	start(&f);
	for (size_t n = 4060; n < 4100; n += 3) {
		int at = snprintf(resource, sizeof(resource), "file://workspace/");

		memset(resource + at, 'a', n);
		/* A kernel name has 255 bytes; the normal form has no such limit. */
		for (size_t i = 100; i < n; i += 100)
			resource[(size_t)at + i] = '/';
		memcpy(resource + at + n, secret, sizeof(secret));
		f.ledger.n_records = 0;
		f.answer.error = REQ_DECIDED;
		fixture_act(&f, "fs.read", resource, "{}");
		CHECK_INT(f.answer.error, REQ_ERROR_RESOURCE);
		CHECK_INT(f.ledger.n_records, 2);
		CHECK(strstr(f.ledger.records[0].text, "AKIA") == NULL);
		CHECK(strstr(f.ledger.records[1].text, "AKIA") == NULL);
		CHECK(strstr(f.answer.message, "AKIA") == NULL);
	}
	for (size_t n = 400; n < 520; n++) {
		int at = snprintf(resource, sizeof(resource), "file://");

		memset(resource + at, 'a', n);
		memcpy(resource + at + n, secret, sizeof(secret));
		f.ledger.n_records = 0;
		fixture_act(&f, "fs.read", resource, "{}");
		CHECK_INT(f.answer.error, REQ_ERROR_NORMALIZATION);
		CHECK(strstr(f.ledger.records[0].text, "AKIA") == NULL);
		CHECK(strstr(f.answer.message, "AKIA") == NULL);
	}
	stop(&f);
}

SUITE("records", TEST_ROW(no_cut_goes_through_a_secret), TEST_ROW(an_intent), TEST_ROW(an_outcome),
	TEST_ROW(an_external_authorisation), TEST_ROW(a_normalisation_error),
	TEST_ROW(classes_of_outcomes))
