/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The log: both formats, redaction before cutting, the queue that never blocks. Stderr is a file,
 * a pipe or a terminal here. */
#define _XOPEN_SOURCE 700 /* posix_openpt */

#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/json.h"
#include "base/utf8.h"
#include "base/visible.h"
#include "log_queue.h"
#include "support/terminal.h"
#include "support/test.h"

static int real_stderr = -1;
static char path[300];
static struct buf written;

static void
redirect(int fd)
{
	real_stderr = dup(STDERR_FILENO);
	CHECK(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
	close(fd);
}

static void
restore(void)
{
	CHECK(dup2(real_stderr, STDERR_FILENO) == STDERR_FILENO);
	close(real_stderr);
	log_set_format(LOG_JSON);
	log_set_level(LOG_INFO);
}

static void
capture(void)
{
	snprintf(path, sizeof(path), "%s/log", test_tmpdir());
	redirect(open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
}

/* What was logged since capture(); written is the caller's to finish. */
static struct span
captured(void)
{
	restore();
	buf_init(&written, BUF_CAP_FILE);
	CHECK_INT(fdio_read_file(path, BUF_CAP_FILE, &written, NULL), OK);
	return buf_span(&written);
}

/* The one captured line as an object in the arena. */
static const struct json *
captured_object(struct arena *a)
{
	struct span text = captured();
	const struct json *o = NULL;
	struct errinfo ei = {0};

	CHECK_INT(span_find(text, '\n'), text.n - 1);
	CHECK(text.n <= BUF_CAP_LOG_LINE);
	if (json_parse(arena_dup(a, text), a, &o, NULL, &ei) != OK)
		FAIL("%s in %.*s", ei.msg, SPAN_ARG(text));
	buf_fini(&written);
	return o;
}

static void
check_member(const struct json *o, const char *name, const char *want)
{
	const struct json *m = json_find_cstr(o, name);

	if (m == NULL)
		FAIL("no member %s", name);
	else
		CHECK_SPAN(m->text, want);
}

TEST(json_line_has_the_fields)
{
	struct arena *a = arena_new(BUF_CAP_FILE);
	struct log_subject about = {SPAN_LIT("req_1"), SPAN_LIT("ann"), SPAN_LIT("t1"), "DECIDE"};

	clock_fake_set(0, INT64_C(1772107200500000000));
	capture();
	log_warn(&about, "a \"quoted\" %s\n\x01", "word");
	const struct json *o = captured_object(a);
	clock_fake_off();
	check_member(o, "time", "2026-02-26T12:00:00.5Z");
	check_member(o, "level", "warn");
	check_member(o, "msg", "a \"quoted\" word\n\x01");
	check_member(o, "request_id", "req_1");
	check_member(o, "principal", "ann");
	check_member(o, "trace_id", "t1");
	check_member(o, "step", "DECIDE");
	arena_free(&a);
}

TEST(empty_fields_are_left_out)
{
	struct arena *a = arena_new(BUF_CAP_FILE);
	struct log_subject about = {.request_id = SPAN_LIT("req_1")};

	capture();
	log_error(&about, "x");
	const struct json *o = captured_object(a);
	CHECK_INT(o != NULL ? o->n : 0, 5);
	arena_free(&a);
	a = arena_new(BUF_CAP_FILE);
	capture();
	log_info(NULL, "x");
	o = captured_object(a);
	CHECK_INT(o != NULL ? o->n : 0, 4);
	arena_free(&a);
}

TEST(every_field_is_redacted_and_the_line_stays_whole)
{
	struct arena *a = arena_new(BUF_CAP_FILE);
	struct log_subject about = {
		.principal = SPAN_LIT("AKIAABCDEFGHIJKLMNOP"), .trace_id = SPAN_LIT("Cookie: a=b")};

	capture();
	log_info(&about, "got Authorization: Bearer abcdefghijklmnopqrstuvwxyz");
	const struct json *o = captured_object(a);
	check_member(o, "msg", "got [REDACTED]");
	check_member(o, "principal", "[REDACTED]");
	check_member(o, "trace_id", "[REDACTED]");
	arena_free(&a);
}

/* A private key whose end lies behind the cut must not be shown for lack of its last line. */
TEST(redaction_comes_before_the_cut)
{
	struct arena *a = arena_new(BUF_CAP_FILE);
	char body[20000];

	memset(body, 'K', sizeof(body));
	capture();
	log_info(NULL, "key -----BEGIN PRIVATE KEY-----\n%.*s\n-----END PRIVATE KEY-----",
		(int)sizeof(body), body);
	check_member(captured_object(a), "msg", "key [REDACTED]");
	arena_free(&a);
}

TEST(text_over_the_formatting_bound_is_left_out)
{
	struct arena *a = arena_new(BUF_CAP_FILE);
	static char body[100000];

	memset(body, 'K', sizeof(body));
	capture();
	log_info(NULL, "%.*s", (int)sizeof(body), body);
	check_member(captured_object(a), "msg", "(a text too long for the log was left out)");
	arena_free(&a);
}

/* Plain text, and bytes that take six characters each. */
TEST(long_lines_are_cut_and_stay_json)
{
	static const char fills[] = {'x', '\x01', '"', '\xff'};
	char body[9000];
	char id[200];

	for (size_t i = 0; i < sizeof(fills); i++) {
		struct arena *a = arena_new(BUF_CAP_FILE);
		memset(body, fills[i], sizeof(body));
		memset(id, fills[i], sizeof(id));
		struct span field = span_of(id, sizeof(id));
		struct log_subject about = {field, field, field, "STEP"};
		capture();
		log_info(&about, "%.*s", (int)sizeof(body), body);
		const struct json *m = json_find_cstr(captured_object(a), "msg");
		CHECK(m != NULL && m->text.n > 500);
		CHECK(m != NULL && span_ends(m->text, SPAN_LIT("...")));
		arena_free(&a);
	}
}

TEST(level_is_a_threshold)
{
	capture();
	log_debug(NULL, "hidden");
	log_set_level(LOG_WARN);
	log_info(NULL, "hidden");
	log_ok("hidden");
	log_warn(NULL, "shown");
	CHECK(span_ends(captured(), SPAN_LIT("\"msg\":\"shown\"}\n")));
	CHECK_INT(span_find(buf_span(&written), '\n'), written.n - 1);
	buf_fini(&written);
}

TEST(text_format_shows_control_characters)
{
	capture();
	log_set_format(LOG_TEXT);
	log_set_level(LOG_DEBUG);
	log_info(NULL, "plain \xc3\xa4 text");
	log_ok("fine");
	log_warn(NULL, "a\033[31mb\nc\x7f\xc2\x9b\xff");
	log_error(NULL, "token Bearer abcdefghijklmnopqrstuvwxyz");
	log_debug(NULL, "tab\there");
	log_info(NULL, "a\xe2\x80\xae"
		       "b\xe2\x80\x8b");
	CHECK_SPAN(captured(), "[INFO] plain \xc3\xa4 text\n"
			       "[OK] fine\n"
			       "[WARN] a\\x1b[31mb\\x0ac\\x7f\\x9b\xef\xbf\xbd\n"
			       "[ERROR] token [REDACTED]\n"
			       "[DEBUG] tab\there\n"
			       "[INFO] a\\u{202e}b\\u{200b}\n");
	buf_fini(&written);
}

/* Others look at it with less, or as it comes from a container. */
TEST(json_shows_nothing_that_a_terminal_obeys)
{
	capture();
	log_warn(NULL, "a\xc2\x9b"
		       "2J\x7f\xe2\x80\xaez");
	struct span text = captured();
	for (size_t at = 0; at < text.n;) {
		uint32_t c = utf8_next(text, &at);
		CHECK(c == '\n' || !visible_is_hidden(c));
	}
	CHECK(strstr(written.p, "\"msg\":\"a\\u009b2J\\u007f\\u202ez\"") != NULL);
	buf_fini(&written);
}

/* One line on a terminal, as it arrives there. */
static void
check_on_terminal(const char *want)
{
	char got[200];
	size_t n_got = 0;
	ssize_t n = 0;
	int terminal = -1;
	int theirs = -1;

	open_terminal(&terminal, &theirs);
	redirect(theirs);
	log_set_format(LOG_TEXT);
	log_ok("fine");
	restore();
	/* It may arrive in pieces; behind the last one reading fails, for nobody has the other end open. */
	do {
		n = read(terminal, got + n_got, sizeof(got) - n_got);
		n_got += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	CHECK_SPAN(span_of(got, n_got), want);
	close(terminal);
}

TEST(colour_on_terminals_only_and_not_when_unwanted)
{
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	check_on_terminal("\033[1;32m[OK]\033[0m fine\r\n");
	setenv("NO_COLOR", "", 1);
	check_on_terminal("\033[1;32m[OK]\033[0m fine\r\n");
	setenv("NO_COLOR", "1", 1);
	check_on_terminal("[OK] fine\r\n");
	unsetenv("NO_COLOR");
	setenv("TERM", "DUMB", 1);
	check_on_terminal("[OK] fine\r\n");
}

TEST(limiter_lets_one_through_and_counts_the_rest)
{
	struct log_limiter limiter = {0};
	uint64_t held = 9;

	clock_fake_set(NS_PER_SEC, 0);
	CHECK(log_limit(&limiter, &held));
	CHECK_INT(held, 0);
	for (int i = 0; i < 5; i++)
		CHECK(!log_limit(&limiter, &held));
	clock_fake_advance(NS_PER_SEC - 1);
	CHECK(!log_limit(&limiter, &held));
	clock_fake_advance(1);
	CHECK(log_limit(&limiter, &held));
	CHECK_INT(held, 6);
	CHECK(!log_limit(&limiter, &held));
	clock_fake_off();
}

TEST(stop_writes_out_what_is_queued)
{
	size_t n_lines = 0;

	capture();
	CHECK(log_start());
	CHECK(!log_start());
	for (int i = 0; i < 1000; i++)
		log_info(NULL, "line %d", i);
	log_stop();
	log_stop();
	log_info(NULL, "direct again");
	struct span text = captured();
	for (size_t i = 0; i < text.n; i++)
		n_lines += text.p[i] == '\n' ? 1 : 0;
	CHECK_INT(n_lines, 1001);
	CHECK(span_ends(text, SPAN_LIT("\"msg\":\"direct again\"}\n")));
	buf_fini(&written);
}

static void *
read_pipe(void *arg)
{
	const int *fd = arg;
	char *p;

	do {
		p = buf_reserve(&written, 4096);
		ssize_t n = p != NULL ? read(*fd, p, 4096) : 0;
		if (n <= 0)
			break;
		buf_commit(&written, (size_t)n);
	} while (p != NULL);
	return NULL;
}

static size_t
count_lines_with(struct span text, const char *part)
{
	size_t count = 0;

	while (text.n > 0) {
		size_t n = span_find(text, '\n');
		char line[512];
		snprintf(line, sizeof(line), "%.*s", (int)n, text.p);
		count += strstr(line, part) != NULL ? 1 : 0;
		text = span_from(text, n < text.n ? n + 1 : n);
	}
	return count;
}

/* What the reports of lost lines come to: the writer may make several. */
static uint64_t
sum_reports(struct span text)
{
	uint64_t sum = 0;

	while (text.n > 0) {
		size_t n = span_find(text, '\n');
		char line[512];
		unsigned long long n_lost = 0;
		snprintf(line, sizeof(line), "%.*s", (int)n, text.p);
		const char *at = strstr(line, "\"msg\":\"");
		if (strstr(line, " log lines were dropped") != NULL && at != NULL &&
			sscanf(at, "\"msg\":\"%llu", &n_lost) == 1)
			sum += n_lost;
		text = span_from(text, n < text.n ? n + 1 : n);
	}
	return sum;
}

/* Nobody reads: every call still returns. Then somebody does: each line has arrived or is
 * counted. */
TEST(full_pipe_blocks_nobody_and_the_loss_is_reported)
{
	enum { N = 3 * LOG_QUEUE_LINES_MAX };
	int fds[2];
	pthread_t reader;
	uint64_t before = log_dropped();

	CHECK_INT(pipe(fds), 0);
	redirect(fds[1]);
	buf_init(&written, BUF_CAP_FILE);
	CHECK(log_start());
	for (int i = 0; i < N; i++)
		log_info(NULL, "number %d", i);
	uint64_t n_dropped = log_dropped() - before;
	CHECK(n_dropped > 0 && n_dropped < N);
	CHECK_INT(pthread_create(&reader, NULL, read_pipe, &fds[0]), 0);
	log_stop();
	restore();
	CHECK_INT(pthread_join(reader, NULL), 0);
	close(fds[0]);
	CHECK_INT(log_dropped() - before, n_dropped);
	CHECK_INT(count_lines_with(buf_span(&written), "number ") + n_dropped, N);
	CHECK_INT(sum_reports(buf_span(&written)), n_dropped);
	buf_fini(&written);
}

/* Closes both. */
static void
check_stop_without_reader(int ours, int theirs)
{
	uint64_t before = log_dropped();

	redirect(theirs);
	CHECK(log_start());
	for (int i = 0; i < 2000; i++)
		log_info(NULL, "%0100d", i);
	log_stop();
	restore();
	CHECK(log_dropped() > before);
	close(ours);
}

TEST(stop_does_not_wait_for_ever_for_a_reader)
{
	int fds[2];

	CHECK_INT(pipe(fds), 0);
	check_stop_without_reader(fds[0], fds[1]);
}

/* It polls as writable, and a write waits all the same. */
TEST(stop_does_not_wait_for_ever_for_a_terminal)
{
	int ours = -1;
	int theirs = -1;

	open_terminal(&ours, &theirs);
	check_stop_without_reader(ours, theirs);
}

TEST(lines_to_a_closed_pipe_are_counted)
{
	int fds[2];
	uint64_t before = log_dropped();

	CHECK_INT(pipe(fds), 0);
	redirect(fds[1]);
	close(fds[0]);
	CHECK(log_start());
	log_info(NULL, "x");
	log_info(NULL, "y");
	log_stop();
	restore();
	CHECK_INT(log_dropped() - before, 2);
}

static void *
log_many(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_info(NULL, "thread %d line %d", *(const int *)arg, i);
	return NULL;
}

TEST(lines_of_many_threads_stay_apart)
{
	pthread_t threads[4];
	int numbers[4] = {0, 1, 2, 3};

	capture();
	CHECK(log_start());
	for (int i = 0; i < 4; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, log_many, &numbers[i]), 0);
	for (int i = 0; i < 4; i++)
		CHECK_INT(pthread_join(threads[i], NULL), 0);
	log_stop();
	struct span text = captured();
	CHECK_INT(count_lines_with(text, "\"msg\":\"thread "), 2000);
	CHECK_INT(count_lines_with(text, "\"}"), 2000);
	buf_fini(&written);
}

SUITE("log", TEST_ROW(json_line_has_the_fields), TEST_ROW(empty_fields_are_left_out),
	TEST_ROW(every_field_is_redacted_and_the_line_stays_whole),
	TEST_ROW(redaction_comes_before_the_cut),
	TEST_ROW(text_over_the_formatting_bound_is_left_out),
	TEST_ROW(long_lines_are_cut_and_stay_json), TEST_ROW(level_is_a_threshold),
	TEST_ROW(text_format_shows_control_characters),
	TEST_ROW(json_shows_nothing_that_a_terminal_obeys),
	TEST_ROW(colour_on_terminals_only_and_not_when_unwanted),
	TEST_ROW(limiter_lets_one_through_and_counts_the_rest),
	TEST_ROW(stop_writes_out_what_is_queued),
	TEST_ROW(full_pipe_blocks_nobody_and_the_loss_is_reported),
	TEST_ROW(stop_does_not_wait_for_ever_for_a_reader),
	TEST_ROW(stop_does_not_wait_for_ever_for_a_terminal),
	TEST_ROW(lines_to_a_closed_pipe_are_counted), TEST_ROW(lines_of_many_threads_stay_apart))
