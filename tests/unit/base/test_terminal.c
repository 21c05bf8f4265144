/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Writes to a terminal that nobody reads come back, and nothing of them is lost or written twice. */
#define _XOPEN_SOURCE 700 /* posix_openpt */

#include "base/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "support/terminal.h"
#include "support/test.h"

#define LINE 300

/* Until it takes nothing at all. */
static size_t
fill(int terminal)
{
	char line[LINE];
	size_t total = 0;
	ssize_t n = 0;

	memset(line, 'x', sizeof(line));
	while ((n = terminal_write(terminal, span_of(line, sizeof(line)))) > 0)
		total += (size_t)n;
	CHECK_INT(n, -1);
	CHECK_INT(errno, EINTR);
	return total;
}

static size_t
read_all(int ours)
{
	struct pollfd p = {.fd = ours, .events = POLLIN};
	char got[4096];
	size_t total = 0;

	while (poll(&p, 1, 0) > 0 && (p.revents & POLLIN) != 0) {
		ssize_t n = read(ours, got, sizeof(got));
		CHECK(n > 0);
		total += n > 0 ? (size_t)n : 0;
	}
	return total;
}

TEST(a_write_that_nobody_reads_comes_back_and_goes_on_later)
{
	int ours = -1;
	int theirs = -1;

	open_terminal(&ours, &theirs);
	make_raw(theirs);
	size_t n_written = fill(theirs);
	CHECK(n_written > 0);
	CHECK_INT(fcntl(theirs, F_GETFL) & O_NONBLOCK, 0);
	CHECK_INT(read_all(ours), n_written);
	CHECK_INT(terminal_write(theirs, SPAN_LIT("more")), 4);
	CHECK_INT(read_all(ours), 4);
	close(theirs);
	close(ours);
}

/* The threads that write have every signal blocked, and go on so. */
TEST(the_mask_of_the_thread_is_left_as_it_was)
{
	sigset_t all;
	sigset_t before;
	sigset_t now;
	int ours = -1;
	int theirs = -1;

	sigfillset(&all);
	CHECK_INT(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
	open_terminal(&ours, &theirs);
	CHECK(fill(theirs) > 0);
	CHECK_INT(pthread_sigmask(SIG_SETMASK, &before, &now), 0);
	CHECK_INT(sigismember(&now, SIGURG), 1);
	close(theirs);
	close(ours);
}

TEST(what_is_no_terminal_is_written_as_ever)
{
	char got[8];
	int ends[2];

	CHECK_INT(pipe(ends), 0);
	CHECK_INT(terminal_write(ends[1], SPAN_LIT("abc")), 3);
	CHECK_INT(read(ends[0], got, sizeof(got)), 3);
	close(ends[0]);
	close(ends[1]);
	CHECK_INT(terminal_write(ends[1], SPAN_LIT("abc")), -1);
	CHECK_INT(errno, EBADF);
}

SUITE("terminal", TEST_ROW(a_write_that_nobody_reads_comes_back_and_goes_on_later),
	TEST_ROW(the_mask_of_the_thread_is_left_as_it_was),
	TEST_ROW(what_is_no_terminal_is_written_as_ever))
