/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Requests when the ledger, the pool, the disk or memory fails: no effect without an intent, no answer without an outcome. */
#define _GNU_SOURCE /* syscall(2), in the disk that fails */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fixture.h"
#include "fsync_fault.h"

static bool
file_exists(const struct fixture *f, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", f->workspace, name);
	return access(path, F_OK) == 0;
}

static const struct answer *
write_x(struct fixture *f)
{
	return fixture_act(f, "fs.write", "file://workspace/x", "{\"content\":\"abc\"}");
}

TEST(a_ledger_that_refuses_means_no_effect)
{
	static const struct {
		enum err refusal;
		enum req_error error;
	} rows[] = {
		{ERR_AUDIT, REQ_ERROR_AUDIT},
		{ERR_STOPPED, REQ_ERROR_AUDIT},
		{ERR_OVERLOAD, REQ_ERROR_OVERLOADED},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture f;

		fixture_init(&f);
		f.ledger.faults[0] = FAKE_REFUSE;
		f.ledger.refusal = rows[i].refusal;
		CHECK_INT(write_x(&f)->error, rows[i].error);
		CHECK_INT(f.answer.retry_after_s, 1);
		/* What the store says is for the log. */
		CHECK(strstr(f.answer.message, "refused by the test") == NULL);
		CHECK(!file_exists(&f, "x"));
		CHECK_INT(write_x(&f)->error, REQ_DECIDED);
		CHECK(file_exists(&f, "x"));
		fixture_fini(&f);
	}
}

TEST(an_intent_that_is_not_released_is_given_back)
{
	struct fixture f;

	fixture_init(&f);
	f.ledger.faults[0] = FAKE_UNDO;
	CHECK_INT(write_x(&f)->error, REQ_ERROR_AUDIT);
	CHECK(!file_exists(&f, "x"));
	CHECK_INT(f.ledger.n_records, 2);
	CHECK_INT(f.ledger.closed[0], 1);
	CHECK(strstr(f.ledger.records[1].text, "\"intent_seq\":1,") != NULL);
	CHECK(strstr(f.ledger.records[1].text, "\"outcome\":\"failed\",") != NULL);
	CHECK(strstr(f.ledger.records[1].text, "\"reason\":\"not_executed\",") != NULL);
	fixture_fini(&f);
}

TEST(an_authorisation_that_is_not_released_is_given_back)
{
	struct fixture f;

	fixture_init(&f);
	f.ledger.faults[0] = FAKE_UNDO;
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_ERROR_AUDIT);
	CHECK(!f.answer.is_external || f.answer.error != REQ_DECIDED);
	CHECK_INT(f.ledger.n_records, 2);
	CHECK_INT(f.ledger.closed[0], 1);
	fixture_fini(&f);
}

TEST(a_denial_has_nothing_to_give_back)
{
	struct fixture f;

	fixture_init(&f);
	f.ledger.faults[0] = FAKE_UNDO;
	CHECK_INT(fixture_act(&f, "payments.none", "pay://shop/a", "{}")->error, REQ_ERROR_AUDIT);
	CHECK_INT(f.ledger.n_records, 1);
	fixture_fini(&f);
}

/* Decisions 15 c: the effect ran, the answer says that its outcome is not on record, the record follows. */
TEST(an_outcome_that_has_to_wait_is_said_to_be_unrecorded)
{
	struct fixture f;

	fixture_init(&f);
	f.ledger.faults[1] = FAKE_PENDING;
	CHECK_INT(write_x(&f)->error, REQ_ERROR_UNRECORDED);
	CHECK(strstr(f.answer.message, "action a1 ") != NULL);
	CHECK_INT(f.answer.retry_after_s, 0);
	CHECK(file_exists(&f, "x"));
	CHECK_INT(f.ledger.n_records, 1);
	CHECK(f.ledger.waiting->must_write);
	CHECK_INT(pipeline_count_in_flight(f.pipeline), 1);
	fake_ledger_recover(&f.ledger);
	loop_turn(f.loop, false);
	CHECK_INT(f.ledger.n_records, 2);
	CHECK_INT(f.ledger.closed[0], 1);
	CHECK(strstr(f.ledger.records[1].text, "\"outcome\":\"succeeded\",") != NULL);
	CHECK_INT(pipeline_count_in_flight(f.pipeline), 0);
	fixture_fini(&f);
}

TEST(an_outcome_that_is_refused_is_said_to_be_unrecorded)
{
	struct fixture f;

	fixture_init(&f);
	f.ledger.faults[1] = FAKE_REFUSE;
	f.ledger.refusal = ERR_STOPPED;
	CHECK_INT(write_x(&f)->error, REQ_ERROR_UNRECORDED);
	CHECK_INT(pipeline_count_in_flight(f.pipeline), 0);
	fixture_fini(&f);
}

struct blocker {
	struct workq_item item;
	pthread_mutex_t *gate; /* held by the test while the pool is to be stuck */
	sem_t *started;
};

static void
block(struct workq_item *item)
{
	struct blocker *b = (struct blocker *)(void *)item;

	sem_post(b->started);
	pthread_mutex_lock(b->gate);
	pthread_mutex_unlock(b->gate);
}

static void
unblocked(struct workq_item *item)
{
	(void)item;
}

TEST(a_full_pool_settles_the_intent_as_not_executed)
{
	struct fixture f;
	struct blocker blockers[16];
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	sem_t started;
	size_t n = 0;

	fixture_init(&f);
	sem_init(&started, 0, 0);
	pthread_mutex_lock(&gate);
	for (size_t i = 0; i < ARRAY_LEN(blockers); i++)
		blockers[i] = (struct blocker){.item = {.process = block, .done = unblocked},
			.gate = &gate,
			.started = &started};
	/* The only thread is in the first one before the queue is filled. */
	CHECK_INT(workq_submit(f.pool, &blockers[n++].item), OK);
	sem_wait(&started);
	while (n < ARRAY_LEN(blockers) && workq_submit(f.pool, &blockers[n].item) == OK)
		n++;
	CHECK(n < ARRAY_LEN(blockers));
	CHECK_INT(write_x(&f)->error, REQ_ERROR_OVERLOADED);
	CHECK_INT(f.answer.retry_after_s, 1);
	CHECK(!file_exists(&f, "x"));
	CHECK_INT(f.ledger.n_records, 2);
	CHECK(strstr(f.ledger.records[1].text, "\"reason\":\"not_executed\",") != NULL);
	CHECK_INT(f.ledger.closed[0], 1);
	pthread_mutex_unlock(&gate);
	fixture_fini(&f);
	sem_destroy(&started);
}

TEST(missing_files_name_the_resource_and_no_path)
{
	struct fixture f;
	const struct answer *a;

	fixture_init(&f);
	a = fixture_act(&f, "fs.read", "file://workspace/timeout/http.txt", "{}");
	CHECK_INT(a->error, REQ_ERROR_RESOURCE);
	CHECK_STR(a->message, "file://workspace/timeout/http.txt: not found");
	CHECK(strstr(a->message, f.folder) == NULL);
	CHECK_INT(f.ledger.n_records, 2);
	/* By what happened, not by words in the message. */
	CHECK(strstr(f.ledger.records[1].text, "\"result_classification\":\"VALIDATION_ERROR\"") !=
		NULL);
	CHECK(strstr(f.ledger.records[1].text, "\"outcome\":\"failed\"") != NULL);
	CHECK(strstr(f.ledger.records[1].text, f.folder) == NULL);
	fixture_fini(&f);
}

/* 4.5 of the reference counted a missing file against the breaker: two of them and the agent was locked out. */
TEST(the_callers_mistakes_do_not_open_the_circuit)
{
	struct fixture f;

	fixture_init(&f);
	for (int i = 0; i < 5; i++)
		CHECK_INT(fixture_act(&f, "fs.read", "file://workspace/none", "{}")->error,
			REQ_ERROR_RESOURCE);
	for (size_t i = 0; i < 3; i++) {
		f.ledger.refusal = ERR_AUDIT;
		f.ledger.n_submits = 0;
		f.ledger.faults[0] = FAKE_REFUSE;
		CHECK_INT(write_x(&f)->error, REQ_ERROR_AUDIT);
	}
	f.ledger.faults[0] = FAKE_OK;
	CHECK_INT(write_x(&f)->error, REQ_DECIDED);
	fixture_fini(&f);
}

/* Writes of more than a byte fail while this is on. */
static void
limit_files(bool on)
{
	struct rlimit limit;

	/* The signal would end the program; the write says EFBIG without it. */
	sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = on ? 1 : limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
}

TEST(faults_of_the_disk_open_the_circuit)
{
	struct fixture f;

	fixture_init(&f);
	clock_fake_set(NS_PER_SEC, NS_PER_SEC);
	limit_files(true);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(write_x(&f)->error, REQ_ERROR_EXECUTION);
		CHECK_STR(f.answer.message, "file://workspace/x: input or output failed");
	}
	limit_files(false);
	CHECK_INT(write_x(&f)->error, REQ_ERROR_CIRCUIT);
	CHECK_STR(f.answer.message, "circuit breaker is open");
	CHECK_INT(f.answer.retry_after_s, 60);
	CHECK(!file_exists(&f, "x"));
	/* After the cool-down one may try; its failure opens the circuit again, its success closes it. */
	clock_fake_advance(60 * NS_PER_SEC);
	limit_files(true);
	CHECK_INT(write_x(&f)->error, REQ_ERROR_EXECUTION);
	limit_files(false);
	CHECK_INT(write_x(&f)->error, REQ_ERROR_CIRCUIT);
	clock_fake_advance(60 * NS_PER_SEC);
	/* A denial says nothing about the disk. */
	CHECK_INT(fixture_act(&f, "payments.none", "pay://shop/a", "{}")->error, REQ_DECIDED);
	CHECK_INT(write_x(&f)->error, REQ_DECIDED);
	CHECK_INT(write_x(&f)->error, REQ_DECIDED);
	clock_fake_off();
	fixture_fini(&f);
}

/* The file was replaced: "failed, try again" would be a lie. */
TEST(an_effect_that_may_not_last_is_recorded_as_unknown)
{
	struct fixture f;
	const char *outcome;

	fixture_init(&f);
	atomic_store(&folders_fail, true);
	CHECK_INT(write_x(&f)->error, REQ_ERROR_EXECUTION);
	atomic_store(&folders_fail, false);
	CHECK_STR(f.answer.message,
		"file://workspace/x: the file was replaced but may not survive a power cut");
	CHECK_INT(f.answer.retry_after_s, 0);
	CHECK(file_exists(&f, "x"));
	CHECK_INT(f.ledger.n_records, 2);
	CHECK_INT(f.ledger.closed[0], 1);
	outcome = f.ledger.records[1].text;
	CHECK(strstr(outcome, "\"outcome\":\"unknown\",") != NULL);
	CHECK(strstr(outcome, "\"result_classification\":\"UNKNOWN\",") != NULL);
	CHECK(strstr(outcome, "\"retryable\":true") == NULL);
	CHECK(strstr(outcome, "\\\"bytes_written\\\":3,") != NULL);
	CHECK(strstr(outcome, f.folder) == NULL);
	/* It counts as a fault of the disk. */
	atomic_store(&folders_fail, true);
	CHECK_INT(write_x(&f)->error, REQ_ERROR_EXECUTION);
	atomic_store(&folders_fail, false);
	CHECK_INT(write_x(&f)->error, REQ_ERROR_CIRCUIT);
	fixture_fini(&f);
}

TEST(memory_that_runs_out_is_overload_and_leaks_nothing)
{
	struct fixture f;
	long live;

	fixture_init(&f);
	fixture_write(&f, "a", "text\n", 5);
	CHECK_INT(fixture_act(&f, "fs.read", "file://workspace/a", "{}")->error, REQ_DECIDED);
	live = mem_live();
	for (unsigned long n = 1; n < 4; n++) {
		struct req *r;

		f.keeps = true;
		CHECK_INT(
			fixture_act(&f, "fs.read", "file://workspace/a", "{}")->error, REQ_DECIDED);
		/* The pooled request is in use: the next one needs memory, which fails. */
		mem_fail_at(1);
		r = req_new(f.pipeline, f.snapshot, f.loop, fixture_done, &f);
		mem_fail_at(0);
		CHECK(r == NULL);
		req_free(&f.held);
	}
	CHECK_INT(mem_live(), live);
	fixture_fini(&f);
}

/* The first write of a process with each of its allocations failing: an answer that says so, and never half of it. */
TEST(each_allocation_may_fail)
{
	const char *body = fixture_body("fs.write", "file://workspace/x", "{\"content\":\"abc\"}");
	bool has_failed = true;

	for (unsigned long n = 1; has_failed && n < 2000; n++) {
		struct fixture f;
		struct req_input in;
		char hex[SHA256_HEX + 1];

		fixture_init(&f);
		mem_fail_at(n);
		if (fixture_start(&f, &in, body, hex))
			while (!f.answer.is_done)
				loop_turn(f.loop, true);
		mem_fail_at(0);
		has_failed = !f.answer.is_done || f.answer.error != REQ_DECIDED;
		if (f.answer.is_done && has_failed) {
			CHECK(f.answer.error == REQ_ERROR_OVERLOADED ||
				f.answer.error == REQ_ERROR_RATE);
			CHECK(!file_exists(&f, "x"));
			/* An intent has its outcome. */
			CHECK_INT(f.ledger.n_records % 2, 0);
		}
		CHECK_INT(pipeline_count_in_flight(f.pipeline), 0);
		fixture_fini(&f);
	}
	CHECK(!has_failed);
}

TEST(after_warm_up_a_request_allocates_nothing)
{
	struct fixture f;
	unsigned long before;

	/* There each piece of an arena is an allocation of its own. */
	if (NOMOS_ARENA_EMULATE)
		return;

	fixture_init(&f);
	for (int i = 0; i < 3; i++)
		CHECK_INT(
			fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_DECIDED);
	f.ledger.n_records = 0;
	before = mem_count();
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_DECIDED);
	CHECK_INT(mem_count() - before, 0);
	before = mem_count();
	f.operation = REQ_OP_EXPLAIN;
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_DECIDED);
	CHECK_INT(mem_count() - before, 2); /* its own rate bucket, and the key of it */
	before = mem_count();
	CHECK_INT(fixture_act(&f, "payments.list", "pay://shop/a", "{}")->error, REQ_DECIDED);
	CHECK_INT(mem_count() - before, 0);
	fixture_fini(&f);
}

SUITE("req_faults", TEST_ROW(a_ledger_that_refuses_means_no_effect),
	TEST_ROW(an_intent_that_is_not_released_is_given_back),
	TEST_ROW(an_authorisation_that_is_not_released_is_given_back),
	TEST_ROW(a_denial_has_nothing_to_give_back),
	TEST_ROW(an_outcome_that_has_to_wait_is_said_to_be_unrecorded),
	TEST_ROW(an_outcome_that_is_refused_is_said_to_be_unrecorded),
	TEST_ROW(a_full_pool_settles_the_intent_as_not_executed),
	TEST_ROW(missing_files_name_the_resource_and_no_path),
	TEST_ROW(the_callers_mistakes_do_not_open_the_circuit),
	TEST_ROW(faults_of_the_disk_open_the_circuit),
	TEST_ROW(an_effect_that_may_not_last_is_recorded_as_unknown),
	TEST_ROW(memory_that_runs_out_is_overload_and_leaks_nothing),
	TEST_ROW(each_allocation_may_fail), TEST_ROW(after_warm_up_a_request_allocates_nothing))
