/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A file that somebody writes into while it is read. Defining the call here keeps the C library's out of the program. */
#define _GNU_SOURCE /* syscall */

#include "base/fdio.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "support/test.h"

#define FILE_BYTES 20000

static char path[256];
static const char *written; /* into the file, behind the first read; NULL: nothing */

ssize_t
read(int fd, void *p, size_t n)
{
	ssize_t got = (ssize_t)syscall(SYS_read, fd, p, n);

	if (written != NULL) {
		int own = open(path, O_WRONLY | (written[0] == '+' ? O_APPEND : 0));
		CHECK(own >= 0 && write(own, written, strlen(written)) > 0);
		close(own);
		written = NULL;
	}
	return got;
}

/* Old enough that any change shows. */
static void
make_file(void)
{
	static char text[FILE_BYTES];
	const struct timespec past[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

	snprintf(path, sizeof(path), "%s/f", test_tmpdir());
	memset(text, 'a', sizeof(text));
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write(fd, text, sizeof(text)) == FILE_BYTES && futimens(fd, past) == 0);
	close(fd);
}

static enum err
read_while(const char *text)
{
	struct errinfo ei = {0};
	struct buf b;

	make_file();
	buf_init(&b, (size_t)2 * FILE_BYTES);
	written = text;
	enum err rc = fdio_read_file(path, (size_t)2 * FILE_BYTES, &b, &ei);
	CHECK(rc == OK ? b.n == FILE_BYTES : b.n == 0);
	CHECK(rc == OK || strstr(ei.msg, "changed while it was read") != NULL);
	buf_fini(&b);
	return rc;
}

TEST(a_change_under_the_reader_is_an_error)
{
	CHECK_INT(read_while(NULL), OK);
	CHECK_INT(read_while("in place"), ERR_IO);
	CHECK_INT(read_while("+ at the end"), ERR_IO);
}

SUITE("base/fdio_change", TEST_ROW(a_change_under_the_reader_is_an_error))
