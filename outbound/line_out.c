/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * See line_out.h. stdout may be shared with the audit's sink and with other processes, so it stays blocking: poll says when a pipe
 * takes PIPE_BUF bytes, and no more is written; what a terminal does not take at once comes back (base/terminal.h).
 */
#define _DEFAULT_SOURCE /* PIPE_BUF */

#include "line_out.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/line_turn.h"
#include "base/terminal.h"

#define SLICE_MS 50

/* Whoever waits for a reader asks it now and then. */
struct patience {
	bool (*is_stopping)(const void *arg);
	const void *arg;
};

enum readiness { READER_GONE, READER_BUSY, READER_READY };

static enum readiness
ask_reader(int wait_ms)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

	if (poll(&p, 1, wait_ms) <= 0)
		return READER_BUSY;
	return (p.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 ? READER_GONE : READER_READY;
}

/* With the turn. Busy: nothing of it was taken. A line that was begun keeps the turn until it is whole, or nobody may be waited for. */
static enum readiness
write_now(struct span line, const struct patience *p, bool *was_written)
{
	size_t n_all = line.n;
	ssize_t n;

	do {
		n = terminal_write(STDOUT_FILENO, line);
		if (n > 0)
			line = span_from(line, (size_t)n);
		else if (n < 0 && errno == EINTR && line.n == n_all)
			return READER_BUSY;
	} while (line.n > 0 && (n >= 0 || errno == EINTR) && !p->is_stopping(p->arg));
	*was_written = line.n == 0;
	if (line.n > 0 && line.n < n_all)
		line_turn_set_torn(true);
	return *was_written ? READER_READY : READER_GONE;
}

/* With the turn. What the pipe said it takes is used up: it is asked anew. */
static enum readiness
mend(const struct patience *p)
{
	bool was_written = false;

	if (write_now(SPAN_LIT("\n"), p, &was_written) == READER_GONE)
		return READER_GONE;
	line_turn_set_torn(!was_written);
	return READER_BUSY;
}

/* With the turn nobody else of this process fills the pipe between the question and the write. It is not kept while the reader is
 * busy: others could not even give up meanwhile. */
static enum readiness
try_write(struct span line, const struct patience *p, bool *was_written)
{
	if (!line_turn_take(SLICE_MS * NS_PER_MS))
		return READER_BUSY;
	enum readiness reader = ask_reader(0);
	if (reader == READER_READY)
		reader = line_turn_is_torn() ? mend(p) : write_now(line, p, was_written);
	line_turn_give();
	return reader;
}

bool
line_out_stdout(struct span line, bool (*is_stopping)(const void *arg), const void *arg)
{
	const struct patience p = {.is_stopping = is_stopping, .arg = arg};
	bool was_written = false;

	if (line.n > PIPE_BUF)
		return false;
	while (try_write(line, &p, &was_written) == READER_BUSY) {
		if (is_stopping(arg))
			return false;
		(void)ask_reader(SLICE_MS);
	}
	return was_written;
}
