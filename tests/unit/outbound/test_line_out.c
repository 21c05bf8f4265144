/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A line on stdout is whole or not there. */
#define _XOPEN_SOURCE 700 /* posix_openpt */

#include "line_out.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/line_turn.h"
#include "support/terminal.h"
#include "support/test.h"

/* More than a terminal keeps for a reader; each so long that the terminal polls as writable when it takes only a part of one. */
#define LINES_MAX 100
/* How much it takes is not the same each time. */
#define SCREENS_MAX 50
#define LINE_BYTES 4000

static char line_text[LINE_BYTES];

static struct span
a_line(void)
{
	for (size_t i = 0; i < LINE_BYTES - 1; i++)
		line_text[i] = (char)('a' + i % 23);
	line_text[LINE_BYTES - 1] = '\n';
	return span_of(line_text, LINE_BYTES);
}

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

/* stdout is a terminal meanwhile. */
struct screen {
	int ours;
	int theirs;
	int own_stdout;
	struct buf shown;
	size_t n_waits;
	bool was_half; /* a line, when it was waited for */
};

static void
open_screen(struct screen *s)
{
	*s = (struct screen){.ours = -1};
	buf_init(&s->shown, BUF_CAP_FILE);
	open_terminal(&s->ours, &s->theirs);
	make_raw(s->theirs);
	fflush(stdout);
	s->own_stdout = dup(STDOUT_FILENO);
	CHECK(s->own_stdout >= 0 && dup2(s->theirs, STDOUT_FILENO) == STDOUT_FILENO);
}

static void
close_screen(struct screen *s)
{
	CHECK(dup2(s->own_stdout, STDOUT_FILENO) == STDOUT_FILENO);
	close(s->own_stdout);
	close(s->theirs);
	close(s->ours);
	buf_fini(&s->shown);
}

static void
read_screen(struct screen *s)
{
	struct pollfd p = {.fd = s->ours, .events = POLLIN};
	char got[4096];

	while (poll(&p, 1, 0) > 0 && (p.revents & POLLIN) != 0) {
		ssize_t n = read(s->ours, got, sizeof(got));
		CHECK(n > 0);
		buf_add(&s->shown, got, n > 0 ? (size_t)n : 0);
	}
}

static bool
at_once(const void *arg)
{
	(void)arg;
	return true;
}

/* A reader who comes back when it is waited for. */
static bool
never_but_read(const void *arg)
{
	struct screen *s = (struct screen *)(uintptr_t)arg;

	s->n_waits++;
	read_screen(s);
	s->was_half = s->was_half || s->shown.n % LINE_BYTES > 0;
	return false;
}

/* Whole lines, but for what is left of the last one. */
static size_t
check_lines(struct span text)
{
	for (; text.n >= LINE_BYTES; text = span_from(text, LINE_BYTES))
		CHECK(memcmp(text.p, line_text, LINE_BYTES) == 0);
	return text.n;
}

/* Whether a line was left half. */
static bool
fill_screen(void)
{
	struct screen s;
	unsigned n = 0;

	open_screen(&s);
	while (n < LINES_MAX && line_out_stdout(a_line(), at_once, NULL))
		n++;
	CHECK(n > 0 && n < LINES_MAX);
	CHECK(line_turn_take(0));
	bool is_torn = line_turn_is_torn();
	line_turn_give();
	read_screen(&s);
	CHECK_INT(check_lines(buf_span(&s.shown)) > 0, is_torn);
	CHECK_INT(s.shown.n / LINE_BYTES, n);
	buf_reset(&s.shown);
	CHECK(line_out_stdout(SPAN_LIT("more\n"), never, NULL));
	read_screen(&s);
	CHECK_SPAN(buf_span(&s.shown), is_torn ? "\nmore\n" : "more\n");
	close_screen(&s);
	return is_torn;
}

TEST(a_terminal_that_nobody_reads_neither_blocks_nor_keeps_the_turn)
{
	bool was_torn = false;

	for (unsigned i = 0; i < SCREENS_MAX && !was_torn; i++)
		was_torn = fill_screen();
	CHECK(was_torn);
}

/* Whether a line was half when its reader came back. */
static bool
read_late(void)
{
	struct screen s;
	unsigned n = 0;

	open_screen(&s);
	for (; n < LINES_MAX && s.n_waits == 0; n++)
		CHECK(line_out_stdout(a_line(), never_but_read, &s));
	CHECK(s.n_waits > 0);
	read_screen(&s);
	CHECK_INT(check_lines(buf_span(&s.shown)), 0);
	CHECK_INT(s.shown.n, n * LINE_BYTES);
	close_screen(&s);
	return s.was_half;
}

TEST(a_line_that_a_terminal_took_half_goes_on_when_it_is_read)
{
	bool was_half = false;

	for (unsigned i = 0; i < SCREENS_MAX && !was_half; i++)
		was_half = read_late();
	CHECK(was_half);
}

SUITE("line_out", TEST_ROW(a_line_that_was_left_half_does_not_take_the_next_one_with_it),
	TEST_ROW(a_terminal_that_nobody_reads_neither_blocks_nor_keeps_the_turn),
	TEST_ROW(a_line_that_a_terminal_took_half_goes_on_when_it_is_read))
