/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of finished lines to stderr. With the writer running, log_queue_put never waits: not for
 * a full pipe, not for a slow terminal; a line that finds no room is dropped and counted, and the
 * writer says so when there is room again. Must never be used for the audit. Any thread; write_all
 * runs on the writer, or on the caller without one.
 */
#define _DEFAULT_SOURCE /* PIPE_BUF */

#include "log_queue.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "base/terminal.h"

#define SLICE_MS 100
#define SLICES_AT_STOP                                                                             \
	20 /* how long a reader that does not read may hold up the end of the process */

struct line {
	struct line *next;
	size_t n;
	char text[];
};

static struct {
	pthread_mutex_t mutex; /* guards the members down to oldest_end */
	pthread_cond_t has_line;
	bool is_running;
	size_t n_lines; /* queued or being written */
	size_t n_bytes;
	struct line *oldest;
	struct line **oldest_end;
	pthread_mutex_t direct; /* one line at a time on stderr while no writer runs; taken alone */
	pthread_t thread;
	log_queue_lost_fn lost;
	atomic_bool is_stopping;
	_Atomic uint64_t n_dropped;
	uint64_t n_reported; /* writer only */
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER,
	.has_line = PTHREAD_COND_INITIALIZER,
	.direct = PTHREAD_MUTEX_INITIALIZER};

void
log_queue_count_dropped(void)
{
	atomic_fetch_add_explicit(&queue.n_dropped, 1, memory_order_relaxed);
	metric_add(METRIC_LOG_DROPPED, 1);
}

uint64_t
log_queue_dropped(void)
{
	return atomic_load_explicit(&queue.n_dropped, memory_order_relaxed);
}

/* One try: how much was written, 0 when nobody read for a slice, -1 for an error. No more than a pipe that polls as writable takes
 * without blocking. */
static ssize_t
try_write(struct span left)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (poll(&p, 1, SLICE_MS) <= 0)
		return 0;
	ssize_t n = terminal_write(
		STDERR_FILENO, span_of(left.p, left.n < PIPE_BUF ? left.n : PIPE_BUF));
	return n < 0 && (errno == EINTR || errno == EAGAIN) ? 0 : n;
}

/* False when the line is lost: after an error, or when the process ends and nobody has read for long. */
static bool
write_all(struct span left)
{
	unsigned n_slices = 0;

	while (left.n > 0) {
		ssize_t n = try_write(left);
		if (n < 0)
			return false;
		left = span_from(left, (size_t)n);
		if (n > 0)
			n_slices = 0;
		else if (atomic_load_explicit(&queue.is_stopping, memory_order_acquire))
			n_slices++;
		if (n_slices >= SLICES_AT_STOP)
			return false;
	}
	return true;
}

static void
report_dropped(void)
{
	uint64_t n = log_queue_dropped();
	struct buf text;

	if (n == queue.n_reported)
		return;
	buf_init(&text, BUF_CAP_LOG_LINE);
	if (queue.lost(n - queue.n_reported, &text) && write_all(buf_span(&text)))
		queue.n_reported = n;
	buf_fini(&text);
}

/* Waits for a line; NULL when the writer has to end. *has_room: the queue is at most half full. */
static struct line *
take_line(bool *has_room)
{
	pthread_mutex_lock(&queue.mutex);
	while (queue.oldest == NULL &&
		!atomic_load_explicit(&queue.is_stopping, memory_order_acquire))
		pthread_cond_wait(&queue.has_line, &queue.mutex);
	struct line *l = queue.oldest;
	if (l == NULL) {
		/* From here on lines are written by their callers. */
		queue.is_running = false;
	} else {
		queue.oldest = l->next;
		if (queue.oldest == NULL)
			queue.oldest_end = &queue.oldest;
	}
	*has_room = queue.n_lines <= LOG_QUEUE_LINES_MAX / 2 &&
		    queue.n_bytes <= LOG_QUEUE_BYTES_MAX / 2;
	pthread_mutex_unlock(&queue.mutex);
	return l;
}

/* Gives the line's share of the bound back. */
static void
release_line(struct line *l)
{
	pthread_mutex_lock(&queue.mutex);
	queue.n_lines--;
	queue.n_bytes -= l->n;
	pthread_mutex_unlock(&queue.mutex);
	mem_free(l);
}

static void *
write_lines(void *arg)
{
	bool has_room = false;
	bool has_reader = true;

	(void)arg;
	for (struct line *l = take_line(&has_room); l != NULL; l = take_line(&has_room)) {
		/* After one line that found no reader at the end, the rest would only wait as
		 * long again. */
		bool was_written = has_reader && write_all(span_of(l->text, l->n));
		if (!was_written)
			log_queue_count_dropped();
		if (atomic_load_explicit(&queue.is_stopping, memory_order_acquire))
			has_reader = was_written;
		release_line(l);
		if (has_room && was_written)
			report_dropped();
	}
	return NULL;
}

bool
log_queue_start(log_queue_lost_fn lost)
{
	sigset_t all;
	sigset_t before;

	pthread_mutex_lock(&queue.mutex);
	bool can_start = !queue.is_running;
	if (can_start) {
		queue.oldest = NULL;
		queue.oldest_end = &queue.oldest;
		queue.lost = lost;
		queue.n_reported = log_queue_dropped();
		atomic_store_explicit(&queue.is_stopping, false, memory_order_release);
		/* Signals are the loop's; a SIGPIPE of this thread stays pending and the write
		 * says EPIPE. */
		sigfillset(&all);
		MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
		can_start = pthread_create(&queue.thread, NULL, write_lines, NULL) == 0;
		MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
		queue.is_running = can_start;
	}
	pthread_mutex_unlock(&queue.mutex);
	return can_start;
}

void
log_queue_stop(void)
{
	pthread_mutex_lock(&queue.mutex);
	bool was_running = queue.is_running;
	if (was_running)
		atomic_store_explicit(&queue.is_stopping, true, memory_order_release);
	pthread_cond_signal(&queue.has_line);
	pthread_mutex_unlock(&queue.mutex);
	if (was_running)
		MUST(pthread_join(queue.thread, NULL) == 0);
}

/* With the mutex held and the writer running. */
static bool
enqueue(struct span text)
{
	if (queue.n_lines >= LOG_QUEUE_LINES_MAX || text.n > LOG_QUEUE_BYTES_MAX - queue.n_bytes)
		return false;
	struct line *l = mem_alloc(sizeof(*l) + text.n);
	if (l == NULL)
		return false;
	l->next = NULL;
	l->n = text.n;
	memcpy(l->text, text.p, text.n);
	*queue.oldest_end = l;
	queue.oldest_end = &l->next;
	queue.n_lines++;
	queue.n_bytes += l->n;
	pthread_cond_signal(&queue.has_line);
	return true;
}

static bool
write_direct(struct span line)
{
	pthread_mutex_lock(&queue.direct);
	bool was_written = write_all(line);
	pthread_mutex_unlock(&queue.direct);
	return was_written;
}

/* share: 1 of all the room, 2 of half of it. */
static bool
put(struct span line, size_t share)
{
	pthread_mutex_lock(&queue.mutex);
	bool is_queued = queue.is_running;
	bool was_taken = is_queued && queue.n_lines < LOG_QUEUE_LINES_MAX / share &&
			 line.n <= LOG_QUEUE_BYTES_MAX / share &&
			 queue.n_bytes <= LOG_QUEUE_BYTES_MAX / share - line.n && enqueue(line);
	pthread_mutex_unlock(&queue.mutex);
	return is_queued ? was_taken : write_direct(line);
}

void
log_queue_put(struct span line)
{
	if (!put(line, 1))
		log_queue_count_dropped();
}

bool
log_queue_put_spare(struct span line)
{
	return put(line, 2);
}
