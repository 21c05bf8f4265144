/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Each allocation of opening, writing, reopening and closing a ledger fails once, those inside
 * SQLite too: the call says so, out-parameters are empty, nothing leaks, and the file is whole
 * afterwards.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/wait.h>

#include "audit/store.h"
#include "base/mem.h"
#include "../../unit/audit/ledger_fixture.h"
#include "store_sqlite.h"

static struct ledger_options
small_options(void)
{
	struct ledger_options o = options_in(test_ramdir());

	o.checkpoint_every = 2;
	o.ring_bytes = 1 << 20;
	return o;
}

static const char *const suffixes[] = {"", "-wal", "-shm", ".key", ".pub", ".head", ".lock"};

static void
remove_ledger(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		char name[300];
		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		(void)unlink(name);
	}
}

/* Runs fn with the n-th allocation failing, for n from 1 until none does. */
static void
fail_each(bool (*fn)(const struct ledger_options *o), const struct ledger_options *o,
	unsigned long max)
{
	for (unsigned long n = 1; n < max; n++) {
		long live = mem_live();
		unsigned long before = mem_count();
		mem_fail_at(n);
		bool worked = fn(o);
		unsigned long used = mem_count() - before;
		mem_fail_at(0);
		if (mem_live() != live)
			FAIL("allocation %lu: %ld blocks leaked", n, mem_live() - live);
		if (worked && used < n)
			return;
	}
	FAIL("still failing after %lu allocations", max);
}

static bool
open_and_close(const struct ledger_options *o)
{
	struct ledger *l = NULL;
	struct errinfo ei;
	enum err rc = ledger_open(o, &l, &ei);

	CHECK((rc == OK) == (l != NULL));
	if (rc != OK && rc != ERR_NOMEM && rc != ERR_IO && rc != ERR_CRYPTO && rc != ERR_TOO_LARGE)
		FAIL("%s: %s", err_name(rc), ei.msg);
	ledger_close(&l);
	return rc == OK;
}

static bool
make_and_close(const struct ledger_options *o)
{
	bool worked = open_and_close(o);

	remove_ledger(o->path);
	return worked;
}

TEST(making_a_ledger)
{
	struct ledger_options o = small_options();

	CHECK(make_and_close(&o)); /* what is allocated once per process */
	fail_each(make_and_close, &o, 20000);
}

TEST(opening_a_ledger)
{
	struct ledger_options o = small_options();
	struct ledger *l = start_ledger(&o);

	for (int i = 0; i < 7; i++)
		CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	fail_each(open_and_close, &o, 20000);
	l = start_ledger(&o);
	CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
}

/* The fixture's own allocations are made before the one that fails is due. */
static struct job *prepared;

static bool
write_prepared(const struct ledger_options *o)
{
	struct ledger *l = NULL;
	struct errinfo ei;
	bool worked = true;

	if (ledger_open(o, &l, &ei) != OK)
		return false;
	worked = ledger_start(l, &ei) == OK;
	for (size_t i = 0; worked && i < 3; i++)
		worked = job_run(l, &prepared[i]) == OK;
	ledger_close(&l);
	return worked;
}

enum { CHILD_WORKED = 0, CHILD_REFUSED = 3, CHILD_LEAKED = 4, CHILD_SPARED = 5 };

/* In a process of its own, because a failed allocation for a thread's hash context ends it,
 * clearly. */
static int
write_in_child(const struct ledger_options *o, unsigned long n)
{
	int status = 0;
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0) {
		long live = mem_live();
		unsigned long before = mem_count();
		mem_fail_at(n);
		bool worked = write_prepared(o);
		bool is_spared = mem_count() - before < n;
		mem_fail_at(0);
		if (mem_live() > live)
			_exit(CHILD_LEAKED);
		_exit(is_spared ? CHILD_SPARED : worked ? CHILD_WORKED : CHILD_REFUSED);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGABRT ? CHILD_REFUSED : -1;
	return WEXITSTATUS(status);
}

TEST(writing)
{
	struct ledger_options o = small_options();
	struct job jobs[3];
	int result = CHILD_WORKED;

	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		job_init(&jobs[i], "a");
	prepared = jobs;
	CHECK(write_prepared(&o)); /* what is allocated once per process */
	for (unsigned long n = 1; n < 5000 && result != CHILD_SPARED; n++) {
		result = write_in_child(&o, n);
		if (result != CHILD_WORKED && result != CHILD_REFUSED && result != CHILD_SPARED)
			FAIL("allocation %lu: the process ended with %d", n, result);
		if (n % 16 == 0)
			CHECK(open_and_close(&o));
	}
	CHECK_INT(result, CHILD_SPARED);
	CHECK(open_and_close(&o));
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		job_fini(&jobs[i]);
}

int
main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		TEST_ROW(making_a_ledger), TEST_ROW(opening_a_ledger), TEST_ROW(writing)};
	struct errinfo ei;

	if (!db_hook_memory() || hash_init(&ei) != OK)
		return 2;
	(void)redactor_default();
	return test_run("ledger_memory", cases, ARRAY_LEN(cases), argc, argv);
}
