/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A line on stdout is whole or not there. */
#include "line_out.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <sys/resource.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "support/test.h"

static bool
never(const void *arg)
{
	(void)arg;
	return false;
}

/* The file may grow to 12 bytes meanwhile, as on a disk that is full. */
TEST(a_line_that_was_left_half_does_not_take_the_next_one_with_it)
{
	char path[256];
	struct rlimit old;
	bool was_out[3];
	struct buf text;

	snprintf(path, sizeof(path), "%s/lines", test_tmpdir());
	signal(SIGXFSZ, SIG_IGN);
	CHECK_INT(getrlimit(RLIMIT_FSIZE, &old), 0);
	const struct rlimit small = {.rlim_cur = 12, .rlim_max = old.rlim_max};
	fflush(stdout);
	int own = dup(STDOUT_FILENO);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	CHECK(own >= 0 && fd >= 0 && dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), 0);
	was_out[0] = line_out_stdout(SPAN_LIT("first..\n"), never, NULL);
	was_out[1] = line_out_stdout(SPAN_LIT("second\n"), never, NULL);
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &old), 0);
	was_out[2] = line_out_stdout(SPAN_LIT("third\n"), never, NULL);
	CHECK(dup2(own, STDOUT_FILENO) == STDOUT_FILENO);
	close(own);
	close(fd);
	CHECK(was_out[0] && !was_out[1] && was_out[2]);
	buf_init(&text, BUF_CAP_FILE);
	CHECK_INT(fdio_read_file(path, BUF_CAP_FILE, &text, NULL), OK);
	CHECK_SPAN(buf_span(&text), "first..\nseco\nthird\n");
	buf_fini(&text);
}

SUITE("line_out", TEST_ROW(a_line_that_was_left_half_does_not_take_the_next_one_with_it))
