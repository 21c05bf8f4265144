/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Idempotency-Key: one key, one effect; the answer of then; what frees a key; room; what a crash leaves. */
#include "fixture.h"
#include "req_state.h"

#define READ_NOTES fixture_body("fs.read", "file://workspace/notes.txt", "{}")
#define PAY fixture_body("payments.list", "pay://shop/1", "{\"n\":1}")

static void
init(struct fixture *f)
{
	fixture_init(f);
	f->options.idempotency = (struct idempotency_section){
		.ttl_seconds = 86400, .max_keys = 100, .max_keys_per_identity = 10};
	fixture_reload(f);
	fixture_write(f, "notes.txt", "first\n", 6);
	f->idempotency_key = "key-1";
}

static size_t
count_claims(const struct fixture *f)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(f->ledger.claims); i++)
		n += f->ledger.claims[i].is_there;
	return n;
}

TEST(a_repeat_gets_the_answer_of_then_and_nothing_runs)
{
	struct fixture f;

	init(&f);
	const struct answer *a = fixture_send(&f, READ_NOTES);
	CHECK(a->error == REQ_DECIDED && !a->is_replayed);
	CHECK_STR(a->output, "first\n");
	CHECK_INT(f.ledger.n_records, 2);
	CHECK_INT(count_claims(&f), 1);
	fixture_write(&f, "notes.txt", "second\n", 7);
	a = fixture_send(&f, READ_NOTES);
	CHECK(a->error == REQ_DECIDED && a->is_replayed && a->verdict == VERDICT_ALLOW);
	CHECK_INT(a->reason, REASON_ALLOW_BY_RULE);
	CHECK(a->has_output && a->has_fingerprint);
	CHECK_STR(a->output, "first\n");
	CHECK_INT(f.ledger.n_records, 2);
	/* Another key, another effect. */
	f.idempotency_key = "key-2";
	CHECK_STR(fixture_send(&f, READ_NOTES)->output, "second\n");
	CHECK_INT(f.ledger.n_records, 4);
	fixture_fini(&f);
}

/* Ids and obligations are those of the first request, too. */
TEST(the_stored_answer_is_whole)
{
	struct fixture f;
	char body[1024];

	init(&f);
	const struct answer *a =
		fixture_act(&f, "fs.write", "file://workspace/out.txt", "{\"content\":\"12345\"}");
	CHECK(a->has_bytes_written && a->bytes_written == 5);
	snprintf(body, sizeof(body),
		"{\"schema_version\":\"v1\",\"action_id\":\"other\",\"action_type\":\"fs.write\","
		"\"resource\":\"file://workspace/out.txt\",\"params\":{\"content\":\"12345\"},"
		"\"trace_id\":\"t9\",\"context\":{\"extensions\":{}}}");
	a = fixture_send(&f, body);
	CHECK(a->is_replayed && a->has_bytes_written && a->bytes_written == 5);
	CHECK_STR(a->obligations, "{\"sandbox_mode\":\"local\"}");
	CHECK_STR(a->action_id, "a1");
	CHECK_STR(a->trace_id, "t1");
	CHECK(!a->has_output && !a->is_external);
	/* An empty output is one. */
	f.idempotency_key = "empty";
	fixture_write(&f, "empty.txt", "", 0);
	CHECK(fixture_act(&f, "fs.read", "file://workspace/empty.txt", "{}")->has_output);
	a = fixture_act(&f, "fs.read", "file://workspace/empty.txt", "{}");
	CHECK(a->is_replayed && a->has_output && a->n_output == 0);
	/* What the caller carries out is answered from its intent on. */
	f.idempotency_key = "external";
	CHECK(fixture_send(&f, PAY)->is_external);
	size_t n = f.ledger.n_records;
	a = fixture_send(&f, PAY);
	CHECK(a->is_replayed && a->is_external && a->verdict == VERDICT_ALLOW);
	CHECK_INT(f.ledger.n_records, n);
	fixture_fini(&f);
}

TEST(a_key_belongs_to_one_action_and_one_identity)
{
	struct fixture f;

	init(&f);
	CHECK(fixture_send(&f, READ_NOTES)->error == REQ_DECIDED);
	const struct answer *a =
		fixture_act(&f, "fs.read", "file://workspace/notes.txt", "{\"a\":1}");
	CHECK_INT(a->error, REQ_ERROR_KEY_MISMATCH);
	CHECK_INT(f.ledger.n_records, 2);
	f.agent_id = "other";
	char hex[SHA256_HEX + 1];
	const char *body = READ_NOTES;
	fixture_sign("other-secret", span_cstr(body), hex);
	f.agent_signature = hex;
	a = fixture_send(&f, body);
	CHECK(a->error == REQ_DECIDED && !a->is_replayed);
	CHECK_INT(f.ledger.n_records, 4);
	fixture_fini(&f);
}

/* A later policy has the last word; and a denial takes no key. */
TEST(what_is_denied_now_is_denied)
{
	struct fixture f;
	FILE *file;

	init(&f);
	CHECK(fixture_send(&f, READ_NOTES)->error == REQ_DECIDED);
	file = fopen(f.bundle, "wb");
	MUST(file != NULL &&
		fputs("{\"version\":\"v1\",\"rules\":[{\"id\":\"no\","
		      "\"action_type\":\"*\",\"resource\":\"**\",\"decision\":\"DENY\"}]}",
			file) >= 0 &&
		fclose(file) == 0);
	fixture_reload(&f);
	const struct answer *a = fixture_send(&f, READ_NOTES);
	CHECK(a->error == REQ_DECIDED && a->verdict == VERDICT_DENY && !a->is_replayed);
	CHECK_INT(f.ledger.n_records, 3);
	f.idempotency_key = "key-2";
	CHECK_INT(fixture_send(&f, READ_NOTES)->verdict, VERDICT_DENY);
	CHECK_INT(count_claims(&f), 1);
	fixture_fini(&f);
}

/* Nothing was touched: the retry is a first try. */
TEST(what_did_not_happen_frees_its_key)
{
	struct fixture f;

	init(&f);
	const char *missing = fixture_body("fs.read", "file://workspace/none.txt", "{}");
	CHECK_INT(fixture_send(&f, missing)->error, REQ_ERROR_RESOURCE);
	CHECK_INT(count_claims(&f), 0);
	fixture_write(&f, "none.txt", "now\n", 4);
	CHECK_STR(fixture_send(&f, missing)->output, "now\n");
	CHECK_INT(count_claims(&f), 1);
	/* Nor does an intent that a sink did not take keep its key. */
	f.idempotency_key = "key-2";
	f.ledger.faults[0] = FAKE_UNDO;
	f.ledger.n_submits = 0;
	CHECK_INT(fixture_send(&f, PAY)->error, REQ_ERROR_AUDIT);
	CHECK_INT(count_claims(&f), 1);
	CHECK(fixture_send(&f, PAY)->is_external);
	fixture_fini(&f);
}

/* The claim as it stands between intent and outcome, and after a crash there. */
TEST(an_open_key_never_runs_again)
{
	struct fixture f;

	init(&f);
	/* The outcome waits for the ledger: its record is not written. */
	f.ledger.faults[1] = FAKE_PENDING;
	CHECK_INT(fixture_send(&f, READ_NOTES)->error, REQ_ERROR_UNRECORDED);
	CHECK_INT(f.ledger.n_records, 1);
	const struct answer *a = fixture_send(&f, READ_NOTES);
	CHECK_INT(a->error, REQ_ERROR_KEY_IN_PROGRESS);
	CHECK_INT(a->retry_after_s, 1);
	/* As the next start leaves it. */
	f.ledger.closed[f.ledger.n_closed++] = 1;
	a = fixture_send(&f, READ_NOTES);
	CHECK_INT(a->error, REQ_ERROR_OUTCOME_UNKNOWN);
	CHECK(strstr(a->message, "action a1 ") != NULL);
	CHECK_INT(f.ledger.n_records, 1);
	CHECK_INT(req_error_status(REQ_ERROR_OUTCOME_UNKNOWN), 409);
	fake_ledger_recover(&f.ledger);
	fixture_fini(&f);
}

/* An outcome that comes late leaves the key alone that another request has by now. */
TEST(an_outcome_settles_its_own_key_alone)
{
	struct fixture f;

	init(&f);
	f.ledger.faults[1] = FAKE_PENDING;
	CHECK_INT(fixture_send(&f, READ_NOTES)->error, REQ_ERROR_UNRECORDED);
	CHECK_INT(count_claims(&f), 1);
	f.ledger.claims[0].claim.seq = 77;
	fake_ledger_recover(&f.ledger);
	CHECK_INT(f.ledger.n_records, 2);
	CHECK_INT(count_claims(&f), 1);
	CHECK_INT(f.ledger.claims[0].claim.seq, 77);
	CHECK_INT(f.ledger.claims[0].claim.state, 1);
	fixture_fini(&f);
}

/* Before the required sinks have the record nobody may be told what it allows. */
TEST(what_is_not_released_is_not_repeated)
{
	struct fixture f;

	init(&f);
	CHECK(fixture_send(&f, PAY)->is_external);
	f.ledger.unreleased = 1;
	CHECK_INT(fixture_send(&f, PAY)->error, REQ_ERROR_KEY_IN_PROGRESS);
	f.ledger.unreleased = 2;
	CHECK(fixture_send(&f, PAY)->is_replayed);
	fixture_fini(&f);
}

TEST(keys_have_room_and_time)
{
	struct fixture f;
	char key[16];

	init(&f);
	f.options.idempotency.max_keys_per_identity = 3;
	fixture_reload(&f);
	for (int i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		f.idempotency_key = key;
		CHECK(fixture_send(&f, PAY)->is_external);
	}
	f.idempotency_key = "one-more";
	const struct answer *a = fixture_send(&f, PAY);
	CHECK_INT(a->error, REQ_ERROR_KEY_LIMIT);
	CHECK_INT(f.ledger.n_records, 3);
	/* A known one still has its answer. */
	f.idempotency_key = "k1";
	CHECK(fixture_send(&f, PAY)->is_replayed);
	/* An expired one is new again. */
	for (size_t i = 0; i < ARRAY_LEN(f.ledger.claims); i++)
		f.ledger.claims[i].claim.expires_wall_ns = 1;
	a = fixture_send(&f, PAY);
	CHECK(a->error == REQ_DECIDED && !a->is_replayed);
	CHECK_INT(f.ledger.n_records, 4);
	fixture_fini(&f);
}

TEST(a_key_is_visible_ascii)
{
	static const char *const bad[] = {"", "a b", "\x01", "a\xc3\xa9", "a\x7f"};
	struct fixture f;
	char longest[300];

	init(&f);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		f.idempotency_key = bad[i];
		CHECK_INT(fixture_send(&f, PAY)->error, REQ_ERROR_VALIDATION);
	}
	memset(longest, 'k', sizeof(longest));
	longest[256] = '\0';
	f.idempotency_key = longest;
	CHECK_INT(fixture_send(&f, PAY)->error, REQ_ERROR_VALIDATION);
	longest[255] = '\0';
	CHECK(fixture_send(&f, PAY)->is_external);
	fixture_fini(&f);
}

/* An answer that was damaged, or is of a later version, is never acted on. */
TEST(a_stored_answer_that_cannot_be_read_is_an_unknown_outcome)
{
	static const char *const bodies[] = {"", "{}\n", "not json\n", "{\"status\":200}\n",
		"{\"action_id\":\"a1\",\"trace_id\":\"t1\"}\n",
		"{\"action_id\":\"a1\",\"status\":200,\"reason\":\"strange\"}\n"};
	struct fixture f;

	init(&f);
	CHECK(fixture_send(&f, PAY)->is_external);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct fake_claim *c = &f.ledger.claims[0];
		c->n_body = strlen(bodies[i]);
		memcpy(c->body, bodies[i], c->n_body);
		CHECK_INT(fixture_send(&f, PAY)->error, REQ_ERROR_OUTCOME_UNKNOWN);
	}
	CHECK_INT(f.ledger.n_records, 1);
	fixture_fini(&f);
}

TEST(without_a_ledger_a_key_is_refused)
{
	struct fixture f;

	init(&f);
	f.options.runtime.stateless_mode = true;
	fixture_reload(&f);
	CHECK_INT(fixture_send(&f, PAY)->error, REQ_ERROR_NOT_ENABLED);
	/* Before the body is read, after the caller is known. */
	CHECK_INT(fixture_send(&f, "not json")->error, REQ_ERROR_NOT_ENABLED);
	f.authorization = "Bearer wrong";
	CHECK_INT(fixture_send(&f, PAY)->error, REQ_ERROR_AUTH);
	f.authorization = NULL;
	CHECK_INT(f.ledger.n_records, 0);
	/* Nothing is done there, so a key is no matter. */
	f.operation = REQ_OP_EXPLAIN;
	CHECK(fixture_send(&f, PAY)->error == REQ_DECIDED);
	fixture_fini(&f);
}

SUITE("idempotency", TEST_ROW(a_repeat_gets_the_answer_of_then_and_nothing_runs),
	TEST_ROW(the_stored_answer_is_whole),
	TEST_ROW(a_key_belongs_to_one_action_and_one_identity),
	TEST_ROW(what_is_denied_now_is_denied), TEST_ROW(what_did_not_happen_frees_its_key),
	TEST_ROW(an_open_key_never_runs_again), TEST_ROW(an_outcome_settles_its_own_key_alone),
	TEST_ROW(what_is_not_released_is_not_repeated), TEST_ROW(keys_have_room_and_time),
	TEST_ROW(a_key_is_visible_ascii),
	TEST_ROW(a_stored_answer_that_cannot_be_read_is_an_unknown_outcome),
	TEST_ROW(without_a_ledger_a_key_is_refused))
