/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The stream sink on pipes: readers that are slow, stuck, or gone, and lines that stay whole
 * through all of it. */
#define _GNU_SOURCE /* F_SETPIPE_SZ */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/sink.h"
#include "audit/sink_stream.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/line_turn.h"
#include "base/mem.h"
#include "support/terminal.h"
#include "support/test.h"

#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PIPE_BYTES 16384
#define BIG_BYTES 60000

struct pipe_rig {
	struct sink *sink;
	int from;
	int to;
	struct buf body; /* of a record larger than the pipe */
	struct buf line; /* the same as the sink writes it */
};

static void
rig_start_on(struct pipe_rig *r, int from, int to)
{
	struct errinfo ei;

	r->from = from;
	r->to = to;
	CHECK_INT(sink_stream_new("stdout", r->to, &r->sink, &ei), OK);
	buf_init(&r->body, BUF_CAP_RECORD);
	BUF_ADD_LIT(&r->body, "{\"event_type\":\"e\",\"x\":\"");
	for (unsigned i = 0; i < BIG_BYTES; i++)
		buf_add_char(&r->body, (char)('a' + i % 26));
	BUF_ADD_LIT(&r->body, "\"}");
	buf_init(&r->line, BUF_CAP_RECORD);
	BUF_ADD_LIT(&r->line, "{\"event_hash\":\"" HASH "\",");
	buf_add_span(&r->line, span_from(buf_span(&r->body), 1));
	BUF_ADD_LIT(&r->line, "\n");
}

static void
rig_start(struct pipe_rig *r)
{
	int ends[2];

	signal(SIGPIPE, SIG_IGN);
	CHECK(pipe(ends) == 0);
	CHECK(fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) >= 0);
	rig_start_on(r, ends[0], ends[1]);
}

static void
rig_start_on_terminal(struct pipe_rig *r)
{
	int ours = -1;
	int theirs = -1;

	open_terminal(&ours, &theirs);
	rig_start_on(r, ours, theirs);
}

static void
rig_stop(struct pipe_rig *r)
{
	r->sink->ops->free(r->sink);
	if (r->from >= 0)
		close(r->from);
	close(r->to);
	buf_fini(&r->body);
	buf_fini(&r->line);
}

static enum err
deliver(struct pipe_rig *r, uint64_t seq, struct span body, size_t *n_taken)
{
	const struct sink_record record = {.seq = seq, .body = body, .event_hash = SPAN_LIT(HASH)};
	struct errinfo ei;

	*n_taken = 0;
	return r->sink->ops->deliver(r->sink, &record, 1, n_taken, &ei);
}

/* Takes what the pipe holds, without waiting. */
static void
drain(struct pipe_rig *r, struct buf *out)
{
	char chunk[PIPE_BYTES];
	ssize_t n = 0;

	(void)fcntl(r->from, F_SETFL, O_NONBLOCK);
	while ((n = read(r->from, chunk, sizeof(chunk))) > 0)
		buf_add(out, chunk, (size_t)n);
}

TEST(records_become_lines_in_order)
{
	struct pipe_rig r;
	struct buf got;
	const struct sink_record two[] = {{.seq = 1,
						  .body = SPAN_LIT("{\"event_type\":\"a\"}"),
						  .event_hash = SPAN_LIT(HASH)},
		{.seq = 2,
			.body = SPAN_LIT("{\"action_id\":\"x\",\"event_type\":\"b\"}"),
			.event_hash = SPAN_LIT(HASH)}};
	size_t n = 0;

	rig_start(&r);
	CHECK_INT(r.sink->ops->deliver(r.sink, two, 2, &n, NULL), OK);
	CHECK_INT(n, 2);
	buf_init(&got, BUF_CAP_RECORD);
	drain(&r, &got);
	CHECK_SPAN(buf_span(&got),
		"{\"event_hash\":\"" HASH "\",\"event_type\":\"a\"}\n"
		"{\"action_id\":\"x\",\"event_hash\":\"" HASH "\",\"event_type\":\"b\"}\n");
	buf_fini(&got);
	rig_stop(&r);
}

/* The pipe takes a part of the line; the next deliveries go on where it ended, and nothing comes in
 * between. */
TEST(a_full_pipe_is_gone_on_with_later)
{
	struct pipe_rig r;
	struct buf got;
	size_t n = 0;
	unsigned n_tries = 0;
	enum err rc = OK;

	rig_start(&r);
	/* So that the wait for the reader that is not there ends at once. */
	r.sink->ops->stop(r.sink);
	buf_init(&got, BUF_CAP_RECORD);
	do {
		rc = deliver(&r, 5, buf_span(&r.body), &n);
		CHECK(rc == OK || rc == ERR_STOPPED);
		CHECK_INT(n, rc == OK ? 1 : 0);
		drain(&r, &got);
	} while (rc != OK && ++n_tries < 100);
	CHECK(n_tries > 2);
	CHECK_INT(deliver(&r, 6, SPAN_LIT("{\"event_type\":\"z\"}"), &n), OK);
	drain(&r, &got);
	buf_add_span(&r.line, SPAN_LIT("{\"event_hash\":\"" HASH "\",\"event_type\":\"z\"}\n"));
	CHECK(span_eq(buf_span(&got), buf_span(&r.line)));
	buf_fini(&got);
	rig_stop(&r);
}

TEST(a_reader_that_does_not_read_is_a_time_out)
{
	struct pipe_rig r;
	size_t n = 0;

	rig_start(&r);
	CHECK_INT(deliver(&r, 1, buf_span(&r.body), &n), ERR_TIMEOUT);
	CHECK_INT(n, 0);
	rig_stop(&r);
}

/* It polls as writable, and a write waits all the same. */
TEST(a_terminal_that_nobody_reads_is_a_time_out)
{
	struct pipe_rig r;
	size_t n = 0;

	rig_start_on_terminal(&r);
	CHECK_INT(deliver(&r, 1, buf_span(&r.body), &n), ERR_TIMEOUT);
	CHECK_INT(n, 0);
	rig_stop(&r);
}

static void *
deliver_on_a_thread(void *arg)
{
	struct pipe_rig *r = arg;
	static enum err rc;
	size_t n = 0;

	do {
		rc = deliver(r, 1, buf_span(&r->body), &n);
	} while (rc == ERR_TIMEOUT);
	return &rc;
}

static void
check_stop(struct pipe_rig *r)
{
	pthread_t thread;
	void *rc = NULL;
	char first = 0;

	CHECK(pthread_create(&thread, NULL, deliver_on_a_thread, r) == 0);
	CHECK_INT(read(r->from, &first, 1), 1); /* it is writing */
	r->sink->ops->stop(r->sink);
	CHECK(pthread_join(thread, &rc) == 0);
	CHECK_INT(*(enum err *)rc, ERR_STOPPED);
	rig_stop(r);
}

TEST(stop_ends_the_wait_for_a_stuck_reader)
{
	struct pipe_rig r;

	rig_start(&r);
	check_stop(&r);
}

TEST(stop_ends_the_wait_for_a_stuck_terminal)
{
	struct pipe_rig r;

	rig_start_on_terminal(&r);
	check_stop(&r);
}

TEST(a_closed_pipe_is_an_error_that_stays)
{
	struct pipe_rig r;
	size_t n = 0;

	rig_start(&r);
	CHECK_INT(deliver(&r, 1, SPAN_LIT("{\"event_type\":\"a\"}"), &n), OK);
	close(r.from);
	r.from = -1;
	for (unsigned i = 0; i < 3; i++) {
		CHECK_INT(deliver(&r, 2, SPAN_LIT("{\"event_type\":\"a\"}"), &n), ERR_IO);
		CHECK_INT(n, 0);
	}
	rig_stop(&r);
}

TEST(a_record_that_is_no_object_is_never_written)
{
	struct pipe_rig r;
	struct buf got;
	size_t n = 0;

	rig_start(&r);
	CHECK_INT(deliver(&r, 1, SPAN_LIT("{\"event_type\":\"a\""), &n), ERR_CORRUPT);
	CHECK_INT(n, 0);
	buf_init(&got, BUF_CAP_RECORD);
	drain(&r, &got);
	CHECK_INT(got.n, 0);
	buf_fini(&got);
	rig_stop(&r);
}

TEST(the_flags_of_the_descriptor_are_left_alone)
{
	struct pipe_rig r;

	rig_start(&r);
	CHECK_INT(fcntl(r.to, F_GETFL) & O_NONBLOCK, 0);
	rig_stop(&r);
}

TEST(no_memory_leaves_nothing_behind)
{
	long live = mem_live();
	struct sink *sink = NULL;
	struct errinfo ei;

	mem_fail_at(1);
	CHECK_INT(sink_stream_new("stdout", 1, &sink, &ei), ERR_NOMEM);
	CHECK(sink == NULL);
	CHECK_INT(mem_live(), live);
}

/* Another thread's line, on a disk that was full. */
TEST(a_record_after_a_torn_line_begins_a_line)
{
	static const char want[] =
		"\n{\"event_hash\":\"" HASH "\",\"event_type\":\"e\",\"x\":\"y\"}\n";
	const struct sink_record record = {.seq = 1,
		.body = SPAN_LIT("{\"event_type\":\"e\",\"x\":\"y\"}"),
		.event_hash = SPAN_LIT(HASH)};
	struct sink *sink = NULL;
	struct errinfo ei;
	char path[256];
	char got[sizeof(want)];
	size_t n_taken = 0;

	snprintf(path, sizeof(path), "%s/lines", test_tmpdir());
	fflush(stdout);
	int own = dup(STDOUT_FILENO);
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	CHECK(own >= 0 && fd >= 0 && dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
	CHECK_INT(sink_stream_new("stdout", STDOUT_FILENO, &sink, &ei), OK);
	CHECK(line_turn_take(0));
	line_turn_set_torn(true);
	line_turn_give();
	CHECK_INT(sink->ops->deliver(sink, &record, 1, &n_taken, &ei), OK);
	sink->ops->free(sink);
	CHECK(dup2(own, STDOUT_FILENO) == STDOUT_FILENO);
	close(own);
	CHECK_INT(pread(fd, got, sizeof(got), 0), sizeof(want) - 1);
	CHECK(strncmp(got, want, sizeof(want) - 1) == 0);
	close(fd);
}

SUITE("sink_stream", TEST_ROW(records_become_lines_in_order),
	TEST_ROW(a_full_pipe_is_gone_on_with_later),
	TEST_ROW(a_reader_that_does_not_read_is_a_time_out),
	TEST_ROW(a_terminal_that_nobody_reads_is_a_time_out),
	TEST_ROW(stop_ends_the_wait_for_a_stuck_reader),
	TEST_ROW(stop_ends_the_wait_for_a_stuck_terminal),
	TEST_ROW(a_closed_pipe_is_an_error_that_stays),
	TEST_ROW(a_record_that_is_no_object_is_never_written),
	TEST_ROW(the_flags_of_the_descriptor_are_left_alone),
	TEST_ROW(a_record_after_a_torn_line_begins_a_line),
	TEST_ROW(no_memory_leaves_nothing_behind))
