/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * See line_out.h. stdout may be shared with the audit's sink and with other processes, so it stays blocking: poll says when a pipe
 * takes PIPE_BUF bytes, and no more is written.
 */
#define _DEFAULT_SOURCE /* PIPE_BUF */

#include "line_out.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/line_turn.h"

#define SLICE_MS 50

enum readiness { READER_GONE, READER_BUSY, READER_READY };

static enum readiness
ask_reader(int wait_ms)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

	if (poll(&p, 1, wait_ms) <= 0)
		return READER_BUSY;
	return (p.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 ? READER_GONE : READER_READY;
}

static bool
write_now(struct span line)
{
	size_t n_all = line.n;

	for (;;) {
		ssize_t n = write(STDOUT_FILENO, line.p, line.n);

		if (n >= 0) {
			line = span_from(line, (size_t)n);
			if (line.n == 0)
				return true;
		} else if (errno != EINTR) {
			if (line.n < n_all)
				line_turn_set_torn(true);
			return false;
		}
	}
}

/* With the turn nobody else of this process fills the pipe between the question and the write. It is not kept while the reader is
 * busy: others could not even give up meanwhile. */
static enum readiness
try_write(struct span line, bool *was_written)
{
	if (!line_turn_take(SLICE_MS * NS_PER_MS))
		return READER_BUSY;
	enum readiness reader = ask_reader(0);
	if (reader == READER_READY && line_turn_is_torn()) {
		/* What the pipe said it takes is used up: it is asked anew. */
		bool is_mended = write_now(SPAN_LIT("\n"));
		line_turn_set_torn(!is_mended);
		reader = is_mended ? READER_BUSY : READER_GONE;
	} else if (reader == READER_READY) {
		*was_written = write_now(line);
	}
	line_turn_give();
	return reader;
}

bool
line_out_stdout(struct span line, bool (*is_stopping)(const void *arg), const void *arg)
{
	bool was_written = false;

	if (line.n > PIPE_BUF)
		return false;
	while (try_write(line, &was_written) == READER_BUSY) {
		if (is_stopping(arg))
			return false;
		(void)ask_reader(SLICE_MS);
	}
	return was_written;
}
