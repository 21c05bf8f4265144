/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The mark that tells of a write-ahead log: however runs end, a log that is gone is missed, and one that is
 * rightly gone is not. */
#include <stdlib.h>
#include <unistd.h>

#include <sys/wait.h>

#include "ledger_fixture.h"
#include "lock.h"
#include "reader_fixture.h"

/* In a process that is gone without closing anything. */
static void
run_and_die(const struct ledger_options *o, int n_records)
{
	int status = 0;
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0) {
		struct ledger *l = NULL;
		struct errinfo ei;
		if (n_records == 0)
			_exit(ledger_open(o, &l, &ei) == OK ? 0 : 1);
		l = start_ledger(o);
		for (int i = 0; i < n_records; i++) {
			if (append_one(l, "a") != OK)
				_exit(1);
		}
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static enum err
open_and_close(const struct ledger_options *o)
{
	struct ledger *l = NULL;
	struct errinfo ei;
	enum err rc = ledger_open(o, &l, &ei);

	ledger_close(&l);
	return rc;
}

TEST(a_log_is_missed_after_a_start_that_was_killed_too)
{
	for (int n_starts = 0; n_starts < 3; n_starts++) {
		struct ledger_options o = options_in(test_tmpdir());
		run_and_die(&o, 5);
		for (int i = 0; i < n_starts; i++)
			run_and_die(&o, 0);
		CHECK_INT(unlink(beside(o.path, "-wal")), 0);
		CHECK_INT(open_and_close(&o), ERR_CORRUPT);
		CHECK_INT(open_and_close(&o), ERR_CORRUPT);
	}
}

TEST(a_start_that_fails_takes_the_mark_along_with_the_log)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct buf lock;

	/* The key is looked at when the database is open: closing it folds the log in. */
	run_and_die(&o, 5);
	CHECK_INT(rename(beside(o.path, ".key"), beside(o.path, ".away")), 0);
	CHECK(open_and_close(&o) != OK);
	CHECK(access(beside(o.path, "-wal"), F_OK) != 0);
	read_text(beside(o.path, ".lock"), &lock);
	CHECK(strstr(lock.p, "log") == NULL);
	buf_fini(&lock);
	CHECK_INT(rename(beside(o.path, ".away"), beside(o.path, ".key")), 0);
	CHECK_INT(open_and_close(&o), OK);
}

TEST(a_start_that_fails_before_the_database_leaves_the_mark)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct errinfo ei;
	int fd = -1;

	run_and_die(&o, 5);
	CHECK_INT(lock_hold(o.path, &fd, &ei), OK); /* another program that knows no lock file */
	CHECK_INT(open_and_close(&o), ERR_BUSY);
	lock_drop(&fd);
	CHECK_INT(unlink(beside(o.path, "-wal")), 0);
	CHECK_INT(open_and_close(&o), ERR_CORRUPT);
}

SUITE("log_mark", TEST_ROW(a_log_is_missed_after_a_start_that_was_killed_too),
	TEST_ROW(a_start_that_fails_takes_the_mark_along_with_the_log),
	TEST_ROW(a_start_that_fails_before_the_database_leaves_the_mark))
