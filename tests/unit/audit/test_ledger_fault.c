/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Failures around a transaction (decisions 15): who is told what, what is written after all, and
 * that the ledger recovers. */
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/stat.h>

#include "audit/store.h"
#include "base/mem.h"
#include "fault_store.h"
#include "ledger_file.h"
#include "ledger_fixture.h"
#include "ledger_priv.h"

static struct ledger *
start_faulty(const struct ledger_options *o, struct fault_store *f)
{
	struct ledger *l = open_ledger(o);
	struct errinfo ei;

	MUST(l != NULL);
	fault_install(f, l);
	CHECK_INT(ledger_start(l, &ei), OK);
	return l;
}

/* Submits until the ledger takes entries again; the result of the one that was taken. */
static enum err
append_when_ready(struct ledger *l)
{
	enum err rc = ERR_AUDIT;

	while (!ledger_is_ready(l, NULL, 0))
		sched_yield();
	rc = append_one(l, "after");
	return rc;
}

/* Nothing but a reopen helps a database that a failed rollback has closed. */
TEST(a_closed_database_is_reopened)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = start_faulty(&o, &f);

	fault_set(&f, FAULT_CLOSED, 0, INT_MAX);
	CHECK_INT(append_one(l, "a"), ERR_AUDIT);
	int64_t until = clock_mono_ns() + 5 * NS_PER_SEC;
	while (f.fault != FAULT_NONE && clock_mono_ns() < until)
		sched_yield();
	CHECK_INT(f.fault, FAULT_NONE);
	if (f.fault == FAULT_NONE)
		CHECK_INT(append_when_ready(l), OK);
	ledger_close(&l);
}

struct fold_watch {
	struct job *job;
	int n_answered; /* of its answers, when the log was first folded behind it; -1: it was not */
};

static void
watch_fold(void *arg)
{
	struct fold_watch *w = arg;

	if (w->n_answered < 0 && atomic_load(&w->job->n_applied) > 0)
		w->n_answered = atomic_load(&w->job->n_done);
}

TEST(answers_do_not_wait_for_the_log_to_be_folded)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = open_ledger(&o);
	struct errinfo ei;
	struct job j;
	struct fold_watch w = {&j, -1};

	fault_install(&f, l);
	job_init(&j, "a");
	f.on_fold = watch_fold;
	f.fold_arg = &w;
	CHECK_INT(ledger_start(l, &ei), OK);
	CHECK_INT(job_run(l, &j), OK);
	ledger_close(&l); /* behind it the writer has ended */
	CHECK_INT(w.n_answered, 1);
	job_fini(&j);
}

/* The log grows, that is all. */
TEST(a_log_that_cannot_be_folded_costs_no_answer)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = start_faulty(&o, &f);

	fault_set(&f, FAULT_FOLD, 0, INT_MAX);
	for (int i = 0; i < 3; i++)
		CHECK_INT(append_one(l, "a"), OK);
	CHECK(ledger_is_ready(l, NULL, 0));
	ledger_close(&l);
	CHECK(f.n_struck > 0);
}

/* A store error before COMMIT: the whole group fails, the head goes back, the ledger recovers by
 * itself. */
TEST(a_store_error_fails_the_whole_group)
{
	static const enum fault faults[] = {
		FAULT_BEGIN, FAULT_APPEND, FAULT_UNMARK, FAULT_CLAIM, FAULT_TRUNCATE};

	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct ledger_options o = options_in(test_tmpdir());
		struct fault_store f;
		struct ledger *l = start_faulty(&o, &f);
		struct job j;
		struct job ok;
		job_init(&ok, "before");
		job_init(&j, "a");
		j.claim.kind = 1;
		j.own_error = faults[i] == FAULT_TRUNCATE ? ERR_CONFLICT : OK;
		CHECK_INT(job_run(l, &ok), OK);
		fault_set(&f, faults[i], 0, 1);
		CHECK_INT(job_run(l, &j), ERR_AUDIT);
		CHECK_INT(j.e.seq, 0);
		CHECK_STR(j.e.event_hash, "");
		CHECK_STR(j.e.ei.msg, "the ledger cannot take the record");
		CHECK_INT(f.n_struck, 1);
		CHECK_INT(append_when_ready(l), OK);
		j.own_error = OK;
		CHECK_INT(job_run(l, &j), OK);
		CHECK_INT(j.e.seq, 4);
		job_fini(&j);
		job_fini(&ok);
		ledger_close(&l);
		struct dump d = dump_file(o.path);
		CHECK_INT(d.fault, CHAIN_FAULT_NONE);
		CHECK_INT(d.n, 5);
	}
}

TEST(while_it_fails_submits_are_refused_and_the_reason_is_shown)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = start_faulty(&o, &f);
	struct job j;
	char why[160];

	job_init(&j, "a");
	fault_set(&f, FAULT_BEGIN, 0, 1000000);
	CHECK_INT(job_run(l, &j), ERR_AUDIT);
	CHECK(!ledger_is_ready(l, why, sizeof(why)));
	CHECK_STR(why, "a fault made for the test");
	struct errinfo ei;
	CHECK_INT(ledger_submit(l, &j.e, &ei), ERR_AUDIT);
	fault_set(&f, FAULT_NONE, 0, 0);
	CHECK_INT(append_when_ready(l), OK);
	CHECK(ledger_is_ready(l, why, sizeof(why)));
	CHECK_STR(why, "");
	job_fini(&j);
	ledger_close(&l);
}

/* A probe that opens but cannot write is no recovery. */
TEST(recovery_needs_a_real_write)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = start_faulty(&o, &f);
	struct job j;

	job_init(&j, "a");
	fault_set(&f, FAULT_APPEND, 0, 1);
	CHECK_INT(job_run(l, &j), ERR_AUDIT);
	fault_set(&f, FAULT_PROBE, 0, 2);
	CHECK_INT(append_when_ready(l), OK);
	CHECK_INT(f.n_struck, 3);
	job_fini(&j);
	ledger_close(&l);
}

/* 15 b: COMMIT failed and nothing is there: refused, no undo. */
TEST(commit_failed_and_lost)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = start_faulty(&o, &f);
	struct job j;

	job_init(&j, "a");
	j.state = LEDGER_OPEN;
	j.e.undo = job_undo;
	fault_set(&f, FAULT_COMMIT_LOST, 0, 1);
	CHECK_INT(job_run(l, &j), ERR_AUDIT);
	CHECK_INT(j.n_undone, 0);
	CHECK_INT(append_when_ready(l), OK);
	job_fini(&j);
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 3);
	CHECK_INT(d.n_open, 0);
}

/* 15 b: COMMIT said that it failed, but the records are there: they get their undo, and the
 * caller still hears no. */
TEST(commit_failed_and_kept)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = start_faulty(&o, &f);
	struct job j;
	struct job again;

	job_init(&j, "a");
	job_init(&again, "a");
	j.state = LEDGER_OPEN;
	j.claim.kind = 5;
	j.undo_claim = true;
	j.e.undo = job_undo;
	again.claim.kind = 5;
	fault_set(&f, FAULT_COMMIT_KEPT, 0, 1);
	CHECK_INT(job_run(l, &j), ERR_AUDIT);
	CHECK_INT(j.n_undone, 1);
	CHECK_INT(job_run(l, &again), OK); /* what the intent had taken is free again */
	job_fini(&j);
	job_fini(&again);
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 5); /* start, intent, its outcome, the new one, checkpoint */
	CHECK_INT(d.n_open, 0);
}

/* What has no undo (a vote, a report) is not called unwritten while it may be there. */
TEST(a_doubtful_commit_is_told_as_one)
{
	static const struct {
		enum fault fault;
		int n_times;
		bool is_there;
		bool is_doubtful;
	} rows[] = {
		{FAULT_BEGIN, 1, false, false}, {FAULT_COMMIT_LOST, 1, false, false},
		{FAULT_COMMIT_KEPT, 1, true, false},
		{FAULT_COMMIT_UNKNOWN, 2, true, true}, /* the commit, and the look for it */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ledger_options o = options_in(test_tmpdir());
		struct fault_store f;
		struct ledger *l = start_faulty(&o, &f);
		struct job j;

		job_init(&j, "a");
		j.e.is_doubtful = true; /* of an earlier try */
		fault_set(&f, rows[i].fault, 0, rows[i].n_times);
		CHECK_INT(job_run(l, &j), ERR_AUDIT);
		CHECK_INT(j.e.is_doubtful, rows[i].is_doubtful);
		CHECK_INT(j.e.seq, rows[i].is_there && !rows[i].is_doubtful ? 2 : 0);
		CHECK_INT(append_when_ready(l), OK);
		job_fini(&j);
		ledger_close(&l);
		struct dump d = dump_file(o.path);
		CHECK_INT(d.fault, CHAIN_FAULT_NONE);
		CHECK_INT(d.n, rows[i].is_there ? 4 : 3);
	}
}

TEST(an_undo_that_cannot_be_written_is_tried_again)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = start_faulty(&o, &f);
	struct job j;
	struct errinfo ei;

	job_init(&j, "a");
	j.state = LEDGER_OPEN;
	j.e.undo = job_undo;
	j.e.pending = job_pending;
	fault_set(&f, FAULT_COMMIT_KEPT, 0, 3); /* the intent, the probe, and once more */
	CHECK_INT(ledger_submit(l, &j.e, &ei), OK);
	job_wait(&j);
	CHECK_INT(j.e.result, ERR_AUDIT);
	CHECK_INT(j.n_pending, 1);
	CHECK_INT(j.n_undone, 1);
	job_fini(&j);
	ledger_close(&l);
	CHECK_INT(dump_file(o.path).n_open, 0);
}

/* What an intent had taken is not lost because memory was out when it was to be given back. */
TEST(an_undo_without_memory_is_tried_again)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = start_faulty(&o, &f);
	struct job j;
	struct job again;

	job_init(&j, "a");
	job_init(&again, "a");
	j.state = LEDGER_OPEN;
	j.claim.kind = 5;
	j.undo_claim = true;
	j.n_undo_no_memory = 3;
	j.e.undo = job_undo;
	again.claim.kind = 5;
	fault_set(&f, FAULT_COMMIT_KEPT, 0, 1);
	CHECK_INT(job_run(l, &j), ERR_AUDIT);
	CHECK_INT(j.n_undone, 1);
	CHECK_INT(j.n_undo_no_memory, 0);
	CHECK_INT(job_run(l, &again), OK);
	job_fini(&j);
	job_fini(&again);
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 5); /* each outcome that was rolled back is gone */
	CHECK_INT(d.n_open, 0);
}

/* 15 c: the outcome of an effect that ran waits until it is written, and its owner knows. */
TEST(an_outcome_is_written_after_all)
{
	static const enum fault faults[] = {
		FAULT_BEGIN, FAULT_APPEND, FAULT_COMMIT_LOST, FAULT_COMMIT_KEPT};

	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct ledger_options o = options_in(test_tmpdir());
		struct fault_store f;
		struct ledger *l = start_faulty(&o, &f);
		struct job intent;
		struct job outcome;
		struct errinfo ei;
		job_init(&intent, "a");
		job_init(&outcome, "a");
		intent.state = LEDGER_OPEN;
		CHECK_INT(job_run(l, &intent), OK);
		outcome.closes = intent.e.seq;
		outcome.e.must_write = true;
		outcome.e.pending = job_pending;
		fault_set(&f, faults[i], 0, faults[i] == FAULT_COMMIT_KEPT ? 1 : 2);
		CHECK_INT(ledger_submit(l, &outcome.e, &ei), OK);
		while (sem_wait(&outcome.pending) != 0)
			;
		job_wait(&outcome);
		CHECK_INT(outcome.n_done_at_pending, 0);
		CHECK_INT(outcome.e.result, OK);
		CHECK_INT(outcome.n_pending, 1);
		CHECK_INT(outcome.n_done, 1);
		job_fini(&intent);
		job_fini(&outcome);
		ledger_close(&l);
		struct dump d = dump_file(o.path);
		CHECK_INT(d.fault, CHAIN_FAULT_NONE);
		CHECK_INT(d.n, 4); /* once, not twice */
		CHECK_INT(d.n_open, 0);
	}
}

TEST(an_outcome_is_taken_while_the_ledger_fails)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = start_faulty(&o, &f);
	struct job j;
	struct job outcome;
	struct errinfo ei;

	job_init(&j, "a");
	job_init(&outcome, "a");
	fault_set(&f, FAULT_BEGIN, 0, 1000000);
	CHECK_INT(job_run(l, &j), ERR_AUDIT);
	outcome.e.must_write = true;
	outcome.e.pending = job_pending;
	CHECK_INT(ledger_submit(l, &outcome.e, &ei), OK);
	while (sem_wait(&outcome.pending) != 0)
		;
	fault_set(&f, FAULT_NONE, 0, 0);
	job_wait(&outcome);
	CHECK_INT(outcome.e.result, OK);
	job_fini(&j);
	job_fini(&outcome);
	ledger_close(&l);
}

TEST(closing_does_not_wait_for_a_broken_disk)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = start_faulty(&o, &f);
	struct job outcome;
	struct errinfo ei;

	job_init(&outcome, "a");
	outcome.e.must_write = true;
	fault_set(&f, FAULT_BEGIN, 0, 1000000);
	CHECK_INT(ledger_submit(l, &outcome.e, &ei), OK);
	ledger_close(&l);
	CHECK_INT(outcome.n_done, 1);
	CHECK_INT(outcome.e.result, ERR_AUDIT);
	job_fini(&outcome);
}

/* ---- the file ---- */

static void
check_file_fault(const char *suffix, bool by_replacing)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	char path[300];
	char away[300];
	char why[160];
	struct job outcome;
	struct errinfo ei;

	snprintf(path, sizeof(path), "%s%s", o.path, suffix);
	snprintf(away, sizeof(away), "%s.away", o.path);
	CHECK_INT(append_one(l, "a"), OK);
	CHECK_INT(append_one(l, "a"), OK);
	CHECK_INT(rename(path, away), 0);
	if (by_replacing) {
		FILE *other = fopen(path, "w");
		MUST(other != NULL);
		fclose(other);
	}
	CHECK_INT(append_one(l, "a"), ERR_AUDIT);
	CHECK(!ledger_is_ready(l, why, sizeof(why)));
	/* It keeps failing for as long as the file is away. */
	job_init(&outcome, "kept");
	outcome.e.must_write = true;
	outcome.e.pending = job_pending;
	CHECK_INT(ledger_submit(l, &outcome.e, &ei), OK);
	while (sem_wait(&outcome.pending) != 0)
		;
	CHECK_INT(rename(away, path), 0);
	job_wait(&outcome);
	CHECK_INT(outcome.e.result, OK);
	job_fini(&outcome);
	CHECK_INT(append_when_ready(l), OK);
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 6);
}

TEST(a_file_that_is_gone_fails_until_it_is_back)
{
	check_file_fault("", false);
	check_file_fault("", true);
}

TEST(a_second_link_to_the_file_is_noticed)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	char away[300];

	snprintf(away, sizeof(away), "%s.link", o.path);
	CHECK_INT(append_one(l, "a"), OK);
	CHECK_INT(link(o.path, away), 0);
	CHECK_INT(append_one(l, "a"), ERR_AUDIT);
	CHECK_INT(unlink(away), 0);
	CHECK_INT(append_when_ready(l), OK);
	ledger_close(&l);
}

/* The log removed under us: what it held must still be in the chain afterwards. */
TEST(a_log_that_was_removed_is_noticed)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	char wal[300];

	snprintf(wal, sizeof(wal), "%s-wal", o.path);
	CHECK_INT(append_one(l, "a"), OK);
	CHECK_INT(append_one(l, "a"), OK);
	CHECK_INT(unlink(wal), 0);
	CHECK_INT(append_one(l, "a"), ERR_AUDIT);
	CHECK_INT(append_when_ready(l), OK);
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 5);
}

static bool
becomes_idle(struct ledger *l)
{
	bool is_idle = false;

	for (int i = 0; i < 100000 && !is_idle; i++) {
		MUST(pthread_mutex_lock(&l->mutex) == 0);
		is_idle = l->is_idle;
		MUST(pthread_mutex_unlock(&l->mutex) == 0);
		sched_yield();
	}
	return is_idle;
}

/* A chain that is not the one we wrote: no recovery, ever. */
TEST(another_chain_in_the_file_is_final)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct ledger *l = start_faulty(&o, &f);
	struct errinfo ei;
	char why[160];

	CHECK_INT(append_one(l, "a"), OK);
	CHECK(becomes_idle(l)); /* behind the answer it still looks at the log */
	CHECK_INT(f.real->ops->begin(f.real, &ei), OK);
	struct store_row row = {.seq = 3, .body = SPAN_LIT("{}")};
	memset(row.hash, 'a', SHA256_HEX);
	CHECK_INT(f.real->ops->append(f.real, &row, &ei), OK);
	CHECK_INT(f.real->ops->commit(f.real, &ei), OK);
	CHECK_INT(append_one(l, "a"), ERR_AUDIT);
	do
		(void)ledger_is_ready(l, why, sizeof(why));
	while (strstr(why, "not the one that was written") == NULL);
	CHECK_INT(append_one(l, "a"), ERR_AUDIT);
	/* With nothing to try again the writer sleeps, also when the last pause is over. */
	int64_t until = clock_mono_ns() + 200 * NS_PER_MS;
	while (clock_mono_ns() < until)
		sched_yield();
	CHECK(becomes_idle(l));
	ledger_close(&l);
}

/* A disk that is really full, as far as this process can see: RLIMIT_FSIZE. */
TEST(a_full_disk_is_survived)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	struct rlimit old;
	enum err rc = OK;
	size_t n_written = 0;

	CHECK_INT(getrlimit(RLIMIT_FSIZE, &old), 0);
	struct rlimit small = {.rlim_cur = 96 * 1024, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 2000 && rc == OK; i++) {
		rc = append_one(l, "fill");
		n_written += rc == OK;
	}
	CHECK_INT(rc, ERR_AUDIT);
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &old), 0);
	CHECK_INT(append_when_ready(l), OK);
	n_written++;
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, n_written + 2);
}

static int64_t
log_size(const char *path)
{
	char name[300];
	struct stat st;

	snprintf(name, sizeof(name), "%s-wal", path);
	return stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* SQLite writes no page that would stay as it is: the same bytes again would prove nothing. */
TEST(each_probe_writes)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = NULL;
	struct errinfo ei;

	CHECK_INT(ledger_open(&o, &l, &ei), OK);
	for (int i = 0; i < 4; i++) {
		int64_t before = log_size(o.path);
		CHECK(ledger_group_recover(l));
		CHECK(log_size(o.path) >= before + 64 * 1024);
	}
	ledger_close(&l);
}

SUITE("ledger_fault", TEST_ROW(answers_do_not_wait_for_the_log_to_be_folded),
	TEST_ROW(a_log_that_cannot_be_folded_costs_no_answer), TEST_ROW(each_probe_writes),
	TEST_ROW(a_store_error_fails_the_whole_group),
	TEST_ROW(while_it_fails_submits_are_refused_and_the_reason_is_shown),
	TEST_ROW(recovery_needs_a_real_write), TEST_ROW(commit_failed_and_lost),
	TEST_ROW(commit_failed_and_kept), TEST_ROW(a_doubtful_commit_is_told_as_one),
	TEST_ROW(an_undo_that_cannot_be_written_is_tried_again),
	TEST_ROW(an_undo_without_memory_is_tried_again), TEST_ROW(an_outcome_is_written_after_all),
	TEST_ROW(an_outcome_is_taken_while_the_ledger_fails),
	TEST_ROW(closing_does_not_wait_for_a_broken_disk),
	TEST_ROW(a_file_that_is_gone_fails_until_it_is_back),
	TEST_ROW(a_second_link_to_the_file_is_noticed), TEST_ROW(a_log_that_was_removed_is_noticed),
	TEST_ROW(another_chain_in_the_file_is_final), TEST_ROW(a_closed_database_is_reopened),
	TEST_ROW(a_full_disk_is_survived))
