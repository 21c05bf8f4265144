/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The process dies: inside a transaction, between commit and answer, with an effect running. The
 * next start finds a whole chain, nothing acknowledged is lost, and open intents become unknown,
 * once.
 */
#define _XOPEN_SOURCE 700

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/wait.h>

#include "audit/store.h"
#include "base/buf.h"
#include "base/metric.h"
#include "ledger_fixture.h"
#include "ledger_priv.h"

static struct ledger_options
crash_options(void)
{
	struct ledger_options o = durable_options_in(test_tmpdir());

	o.checkpoint_every = 4;
	return o;
}

static enum err
die_in_apply(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	(void)job_apply(tx, e, ei);
	_exit(0);
}

static void
die_when_done(struct ledger_entry *e)
{
	_exit(e->result == OK ? 0 : 1);
}

/* Runs the ledger in a process that ends without closing it. */
static void
crash(const struct ledger_options *o, void (*what)(struct ledger *l))
{
	int status = 0;
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0) {
		struct ledger *l = start_ledger(o);
		if (l == NULL)
			_exit(1);
		what(l);
		_exit(2);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 0);
}

static void
open_intents_and_die(struct ledger *l)
{
	struct job jobs[3];
	struct errinfo ei;

	for (size_t i = 0; i < 3; i++) {
		job_init(&jobs[i], i == 1 ? "act-b" : "act-a");
		jobs[i].state = i == 1 ? LEDGER_AUTHORIZED : LEDGER_OPEN;
		if (i < 2 && job_run(l, &jobs[i]) != OK)
			_exit(1);
	}
	jobs[2].e.done = die_when_done;
	if (ledger_submit(l, &jobs[2].e, &ei) != OK)
		_exit(1);
	for (;;)
		pause();
}

static void
die_inside(struct ledger *l)
{
	struct job j;
	struct errinfo ei;

	if (append_one(l, "acknowledged") != OK)
		_exit(1);
	job_init(&j, "never");
	j.state = LEDGER_OPEN;
	j.e.apply = die_in_apply;
	if (ledger_submit(l, &j.e, &ei) != OK)
		_exit(1);
	for (;;)
		pause();
}

struct seen {
	size_t n;
	size_t n_unknown;
	struct chain_head head;
	enum chain_fault fault;
	char bodies[4][1024];
};

static bool
see_row(const struct store_row *row, void *arg)
{
	struct seen *s = arg;

	s->n++;
	if (s->fault == CHAIN_FAULT_NONE)
		s->fault = chain_check(
			NULL, &s->head, row->seq, row->body, span_of(row->hash, SHA256_HEX));
	if (span_eq_cstr(chain_find_member(row->body, SPAN_LIT("outcome")), "\"unknown\"") &&
		s->n_unknown < 4)
		snprintf(s->bodies[s->n_unknown++], sizeof(s->bodies[0]), "%.*s",
			SPAN_ARG(row->body));
	return true;
}

static struct seen
see_all(const char *path)
{
	struct seen s = {0};
	struct store_reader *r = NULL;
	struct errinfo ei;

	CHECK_INT(store_reader_open(path, STORE_READ_COPY, &r, &ei), OK);
	CHECK_INT(store_reader_page(r, 0, STORE_PAGE_MAX, see_row, &s, NULL, &ei), OK);
	store_reader_free(&r);
	return s;
}

TEST(open_intents_become_unknown_once)
{
	struct ledger_options o = crash_options();
	int64_t before = metric_get(METRIC_UNKNOWN_OUTCOMES);
	uint64_t seqs[8] = {0};
	struct errinfo ei;
	size_t n = 0;

	crash(&o, open_intents_and_die);
	struct ledger *l = open_ledger(&o);
	CHECK_INT(ledger_get_open_intents(l, seqs, 8), 2);
	CHECK_INT(seqs[0], 2);
	CHECK_INT(seqs[1], 4);
	CHECK_INT(ledger_start(l, &ei), ERR_INVALID); /* not before they are settled */
	CHECK_INT(ledger_settle_unknown(l, &n, &ei), OK);
	CHECK_INT(n, 2);
	CHECK_INT(ledger_get_open_intents(l, seqs, 8), 0);
	CHECK_INT(metric_get(METRIC_UNKNOWN_OUTCOMES) - before, 2);
	CHECK_INT(ledger_start(l, &ei), OK);
	ledger_close(&l);

	l = open_ledger(&o);
	CHECK_INT(ledger_get_open_intents(l, seqs, 8), 0);
	CHECK_INT(ledger_settle_unknown(l, &n, &ei), OK);
	CHECK_INT(n, 0);
	ledger_close(&l);
	struct seen s = see_all(o.path);
	CHECK_INT(s.fault, CHAIN_FAULT_NONE);
	CHECK_INT(s.n_unknown, 2);
	static const char *const members[] = {"\"action_id\":\"act-a\"",
		"\"action_type\":\"fs.read\"", "\"event_type\":\"action.completed\"",
		"\"intent_seq\":2", "\"principal\":\"alice\"",
		"\"result_classification\":\"UNKNOWN\"", "\"trace_id\":\"trace-1\""};
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (strstr(s.bodies[0], members[i]) == NULL)
			FAIL("%s is not in %s", members[i], s.bodies[0]);
	}
	CHECK(strstr(s.bodies[0], "retryable") == NULL);
}

TEST(many_open_intents_are_settled_page_by_page)
{
	struct ledger_options o = crash_options();
	struct ledger *l = start_ledger(&o);
	struct errinfo ei;
	size_t n = 0;

	for (int i = 0; i < 150; i++) {
		struct job j;
		job_init(&j, "a");
		j.state = LEDGER_OPEN;
		CHECK_INT(job_run(l, &j), OK);
		job_fini(&j);
	}
	ledger_close(&l); /* closing leaves them open: their effects may still run */
	l = open_ledger(&o);
	CHECK_INT(ledger_get_open_intents(l, NULL, 0), 150);
	CHECK_INT(ledger_settle_unknown(l, &n, &ei), OK);
	CHECK_INT(n, 150);
	ledger_close(&l);
	CHECK_INT(see_all(o.path).n_unknown, 4);
}

#define LARGE_INTENTS 32 /* as many as run at once by default */

/* As a resource of 8 KiB makes them that stands escaped in three members. */
static void
large_intents_and_die(struct ledger *l)
{
	static char summary[200 * 1024];
	struct job j;
	struct errinfo ei;

	memset(summary, 'a', sizeof(summary));
	for (size_t i = 0; i < LARGE_INTENTS; i++) {
		job_init(&j, "small");
		struct arena *a = arena_new(1024 * 1024);
		struct record *r = record_new(a, "action.decision");
		MUST(r != NULL);
		record_set_text(r, RECORD_ACTION_SUMMARY, span_of(summary, sizeof(summary)));
		if (record_render(r, redactor_default(), a, &j.text, &ei) != OK)
			_exit(1);
		j.state = LEDGER_OPEN;
		if (job_run(l, &j) != OK)
			_exit(1);
		arena_free(&a);
		job_fini(&j);
	}
	_exit(0);
}

TEST(large_open_intents_do_not_stop_the_next_start)
{
	struct ledger_options o = crash_options();
	struct errinfo ei = {0};
	size_t n = 0;

	crash(&o, large_intents_and_die);
	struct ledger *l = open_ledger(&o);
	CHECK_INT(ledger_get_open_intents(l, NULL, 0), LARGE_INTENTS);
	if (ledger_settle_unknown(l, &n, &ei) != OK)
		FAIL("%s", ei.msg);
	CHECK_INT(n, LARGE_INTENTS);
	CHECK_INT(ledger_start(l, &ei), OK);
	CHECK_INT(append_one(l, "next"), OK);
	ledger_close(&l);
	CHECK_INT(see_all(o.path).fault, CHAIN_FAULT_NONE);
}

TEST(a_crash_inside_a_transaction_leaves_nothing_of_it)
{
	struct ledger_options o = crash_options();

	crash(&o, die_inside);
	struct ledger *l = open_ledger(&o);
	CHECK_INT(ledger_get_open_intents(l, NULL, 0), 0);
	CHECK_INT(l->head.seq, 2);
	ledger_close(&l);
	CHECK_INT(see_all(o.path).fault, CHAIN_FAULT_NONE);
}

/* Acknowledged records are counted by the parent through a pipe while the child is killed at some
 * moment. */
static int ack_fd;

static void
report_done(struct ledger_entry *e)
{
	if (e->result == OK && write(ack_fd, &e->seq, sizeof(e->seq)) != (ssize_t)sizeof(e->seq))
		_exit(1);
	job_done(e);
}

static void
write_for_ever(const struct ledger_options *o)
{
	struct ledger *l = start_ledger(o);
	struct job jobs[8];
	struct errinfo ei;

	if (l == NULL)
		_exit(1);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		job_init(&jobs[i], "a");
		jobs[i].e.done = report_done;
	}
	for (;;) {
		for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
			if (ledger_submit(l, &jobs[i].e, &ei) != OK)
				_exit(1);
		}
		for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
			job_wait(&jobs[i]);
	}
}

TEST(nothing_acknowledged_is_lost_to_a_kill)
{
	struct ledger_options o = crash_options();
	uint64_t last = 0;

	for (uint64_t round = 0; round < 10; round++) {
		int fds[2];
		uint64_t seq = 0;
		uint64_t stop_at = last + 20 + round * 7;
		MUST(pipe(fds) == 0);
		pid_t pid = fork();
		MUST(pid >= 0);
		if (pid == 0) {
			close(fds[0]);
			ack_fd = fds[1];
			write_for_ever(&o);
		}
		close(fds[1]);
		while (read(fds[0], &seq, sizeof(seq)) == (ssize_t)sizeof(seq)) {
			last = seq > last ? seq : last;
			if (last >= stop_at)
				kill(pid, SIGKILL);
		}
		close(fds[0]);
		MUST(waitpid(pid, NULL, 0) == pid);
		struct ledger *l = open_ledger(&o); /* verifies from the last checkpoint */
		if (l == NULL)
			return;
		CHECK(l->head.seq >= last);
		last = l->head.seq;
		ledger_close(&l);
	}
	CHECK_INT(see_all(o.path).fault, CHAIN_FAULT_NONE);
}

SUITE("ledger_crash", TEST_ROW(open_intents_become_unknown_once),
	TEST_ROW(many_open_intents_are_settled_page_by_page),
	TEST_ROW(large_open_intents_do_not_stop_the_next_start),
	TEST_ROW(a_crash_inside_a_transaction_leaves_nothing_of_it),
	TEST_ROW(nothing_acknowledged_is_lost_to_a_kill))
