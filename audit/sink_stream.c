/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes export lines to a descriptor that may be a pipe nobody reads. The descriptor's flags are
 * shared with other processes, so it stays blocking: poll says when a pipe has room for PIPE_BUF
 * bytes, and no more is written at once; what a terminal does not take at once comes back
 * (base/terminal.h). A line that was begun is finished by the next call, so that lines never mix.
 * The sink's thread.
 */
#include "audit/sink_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "audit/chain.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/line_turn.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/terminal.h"

#define SINK_STREAM_MAGIC 0x5354524du
/* What one delivery waits for at most before it reports that nothing was taken. */
#define WAIT_MS 1000

struct sink_stream {
	struct sink sink; /* first */
	unsigned magic;
	int fd;
	int stop_pipe[2];
	struct buf line;   /* being written */
	size_t n_written;  /* bytes of it that are out */
	uint64_t line_seq; /* whose line it is; 0: none */
	bool has_turn;     /* on stdout, from a line's first byte to its last */
};

static struct sink_stream *
stream_of(struct sink *s)
{
	struct sink_stream *stream = (struct sink_stream *)(void *)s;

	OBJ_CHECK(stream, SINK_STREAM_MAGIC);
	return stream;
}

static enum err
wait_writable(struct sink_stream *s, struct errinfo *ei)
{
	struct pollfd fds[2] = {
		{.fd = s->fd, .events = POLLOUT}, {.fd = s->stop_pipe[0], .events = POLLIN}};
	int n = -1;

	do {
		n = poll(fds, 2, WAIT_MS);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return ERR(ei, ERR_IO, "%s: %s", s->sink.name, strerror(errno));
	if ((fds[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
		return ERR(ei, ERR_IO, "%s: the reader is gone", s->sink.name);
	/* A reader that keeps up gets what there is, also while the ledger closes. */
	if ((fds[0].revents & POLLOUT) != 0)
		return OK;
	if (fds[1].revents != 0)
		return ERR(ei, ERR_STOPPED, "%s: stopped", s->sink.name);
	return ERR(ei, ERR_TIMEOUT, "%s: the reader does not take records", s->sink.name);
}

/* Others write lines to stdout, too, and each of them fits one write: a turn is never long in coming. */
static enum err
take_turn(struct sink_stream *s, struct errinfo *ei)
{
	if (s->fd != STDOUT_FILENO || s->has_turn)
		return OK;
	s->has_turn = line_turn_take(WAIT_MS * NS_PER_MS);
	return s->has_turn ? OK
			   : ERR(ei, ERR_TIMEOUT, "%s: another line is under way", s->sink.name);
}

static void
give_turn(struct sink_stream *s)
{
	if (s->has_turn)
		line_turn_give();
	s->has_turn = false;
}

/* Somebody else's line was left half: without an end it would become one with this. */
static enum err
mend(struct sink_stream *s, struct errinfo *ei)
{
	if (!s->has_turn || !line_turn_is_torn())
		return OK;
	enum err rc = wait_writable(s, ei);
	if (rc != OK)
		return rc;
	if (terminal_write(s->fd, SPAN_LIT("\n")) != 1)
		return ERR(ei, ERR_IO, "%s: %s", s->sink.name, strerror(errno));
	line_turn_set_torn(false);
	return OK;
}

static bool
is_stopped(const struct sink_stream *s)
{
	struct pollfd p = {.fd = s->stop_pipe[0], .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

/* A terminal may poll as writable and take nothing all the same. OK with nothing taken: to be tried again. */
static enum err
write_piece(struct sink_stream *s, int64_t *taken_ns, struct errinfo *ei)
{
	enum err rc = wait_writable(s, ei);

	if (rc != OK)
		return rc;
	size_t n = s->line.n - s->n_written;
	ssize_t done = terminal_write(
		s->fd, span_of(s->line.p + s->n_written, n < PIPE_BUF ? n : PIPE_BUF));
	if (done < 0 && errno != EINTR && errno != EAGAIN)
		return ERR(ei, ERR_IO, "%s: %s", s->sink.name, strerror(errno));
	if (done > 0) {
		s->n_written += (size_t)done;
		*taken_ns = clock_mono_ns();
		return OK;
	}
	if (is_stopped(s))
		return ERR(ei, ERR_STOPPED, "%s: stopped", s->sink.name);
	if (clock_mono_ns() - *taken_ns >= WAIT_MS * NS_PER_MS)
		return ERR(ei, ERR_TIMEOUT, "%s: the reader does not take records", s->sink.name);
	return OK;
}

static enum err
write_line(struct sink_stream *s, struct errinfo *ei)
{
	enum err turn = take_turn(s, ei);
	if (turn == OK)
		turn = mend(s, ei);
	if (turn != OK)
		return turn;
	int64_t taken_ns = clock_mono_ns();
	while (s->n_written < s->line.n) {
		enum err rc = write_piece(s, &taken_ns, ei);
		if (rc != OK)
			return rc;
	}
	s->line_seq = 0;
	give_turn(s);
	return OK;
}

static enum err
begin_line(struct sink_stream *s, const struct sink_record *r, struct errinfo *ei)
{
	if (s->line_seq == r->seq)
		return OK;
	buf_reset(&s->line);
	s->n_written = 0;
	if (!chain_build_line(r->body, r->event_hash, &s->line))
		return ERR(ei, ERR_CORRUPT, "%s: record %llu is malformed", s->sink.name,
			(unsigned long long)r->seq);
	buf_add_char(&s->line, '\n');
	if (buf_failed(&s->line))
		return ERR(ei, ERR_NOMEM, "%s: out of memory", s->sink.name);
	s->line_seq = r->seq;
	return OK;
}

static enum err
deliver(struct sink *sink, const struct sink_record *r, size_t n, size_t *n_taken,
	struct errinfo *ei)
{
	struct sink_stream *s = stream_of(sink);

	for (size_t i = 0; i < n; i++) {
		enum err rc = begin_line(s, &r[i], ei);
		if (rc == OK)
			rc = FAULT_AROUND(SINK_DELIVER, ei, write_line(s, ei));
		if (rc != OK)
			return rc;
		*n_taken = i + 1;
	}
	return OK;
}

static void
stop(struct sink *sink)
{
	struct sink_stream *s = stream_of(sink);
	ssize_t done = write(s->stop_pipe[1], "", 1);

	(void)done; /* the pipe is empty before the only write */
}

static void
free_stream(struct sink *sink)
{
	struct sink_stream *s = stream_of(sink);

	if (s->has_turn && s->n_written > 0 && s->n_written < s->line.n)
		line_turn_set_torn(true);
	give_turn(s);
	close(s->stop_pipe[0]);
	close(s->stop_pipe[1]);
	buf_fini(&s->line);
	s->magic = 0;
	mem_free(s);
}

static const struct sink_ops ops = {.deliver = deliver, .stop = stop, .free = free_stream};

enum err
sink_stream_new(const char *name, int fd, struct sink **out, struct errinfo *ei)
{
	*out = NULL;
	struct sink_stream *s = mem_zalloc(1, sizeof(*s));
	if (s == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	if (pipe(s->stop_pipe) != 0) {
		mem_free(s);
		return ERR(ei, ERR_IO, "%s: %s", name, strerror(errno));
	}
	for (int i = 0; i < 2; i++)
		(void)fcntl(s->stop_pipe[i], F_SETFD, FD_CLOEXEC);
	s->magic = SINK_STREAM_MAGIC;
	s->fd = fd;
	s->sink = (struct sink){.ops = &ops, .name = name};
	buf_init(&s->line, 2 * (size_t)BUF_CAP_RECORD);
	*out = &s->sink;
	return OK;
}
