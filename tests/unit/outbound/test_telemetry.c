/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Collecting and sending: what a collector answers, what has no room, lines that find no reader, the end. */
#include "outbound/telemetry.h"

#include <sched.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "outbound/trace.h"
#include "receiver.h"

static struct telemetry *
new_telemetry(const struct server *s, size_t queue_max)
{
	static const struct http_header header = {{"Authorization", 13}, {"Bearer collector", 16}};
	struct telemetry *t = NULL;
	struct errinfo ei;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/base/", s->port);
	const struct telemetry_options o = {
		.sink = TELEMETRY_OTLP,
		.base_url = span_cstr(url),
		.headers = &header,
		.n_headers = 1,
		.timeout_ns = 2 * NS_PER_SEC,
		.queue_max = queue_max,
		.sample_one_in = 1,
	};
	if (telemetry_new(&o, &t, &ei) != OK)
		FAIL("%s", ei.msg);
	return t;
}

static bool
tell(struct telemetry *t)
{
	struct trace *trace = telemetry_begin(t, NULL);

	if (trace == NULL)
		return false;
	trace->method = "POST";
	trace->route = "/action";
	trace->end_ns = trace->start_ns;
	trace_go_on(trace, "decide", 10);
	telemetry_end(t, &trace);
	return true;
}

static int64_t
grown(enum metric m, int64_t *before)
{
	int64_t now = metric_get(m);
	int64_t n = now - *before;

	*before = now;
	return n;
}

static int64_t sent;
static int64_t dropped;
static int64_t failures;

static void
note_counts(void)
{
	(void)grown(METRIC_TELEMETRY_SENT, &sent);
	(void)grown(METRIC_TELEMETRY_DROPPED, &dropped);
	(void)grown(METRIC_TELEMETRY_FAILURES, &failures);
}

TEST(a_body_is_tried_again_and_sent_once_taken)
{
	struct server s = {.status = {503, 429, 200}};

	note_counts();
	server_start(&s);
	struct telemetry *t = new_telemetry(&s, 16);
	CHECK(tell(t));
	telemetry_free(&t);
	server_stop(&s);
	CHECK_INT(s.n, 3);
	CHECK_STR(body_of(s.request[0]), body_of(s.request[2]));
	CHECK(strncmp(s.request[0], "POST /base/v1/traces HTTP/1.1", 29) == 0);
	CHECK_SPAN(header(s.request[0], "Authorization"), "Bearer collector");
	CHECK_SPAN(header(s.request[0], "Content-Type"), "application/json");
	CHECK_INT(grown(METRIC_TELEMETRY_SENT, &sent), 1);
	CHECK_INT(grown(METRIC_TELEMETRY_DROPPED, &dropped), 0);
	CHECK_INT(grown(METRIC_TELEMETRY_FAILURES, &failures), 2);
}

TEST(a_body_that_is_refused_is_dropped)
{
	struct server s = {.status = {400, 200}};

	note_counts();
	server_start(&s);
	struct telemetry *t = new_telemetry(&s, 16);
	CHECK(tell(t));
	telemetry_free(&t);
	server_stop(&s);
	CHECK_INT(s.n, 1);
	CHECK_INT(grown(METRIC_TELEMETRY_SENT, &sent), 0);
	CHECK_INT(grown(METRIC_TELEMETRY_DROPPED, &dropped), 1);
}

TEST(the_end_waits_for_no_answer_that_does_not_come)
{
	struct server s = {.status = {SILENT}};

	note_counts();
	server_start(&s);
	struct telemetry *t = new_telemetry(&s, 4);
	for (size_t i = 0; i < 4; i++)
		CHECK(tell(t));
	telemetry_free(&t);
	server_stop(&s);
	CHECK_INT(grown(METRIC_TELEMETRY_SENT, &sent), 0);
	CHECK_INT(grown(METRIC_TELEMETRY_DROPPED, &dropped), 4);
}

TEST(what_has_no_room_is_dropped_and_counted)
{
	struct server s = {.status = {200, 200, 200}};
	struct trace *under_way[3];

	note_counts();
	server_start(&s);
	struct telemetry *t = new_telemetry(&s, 3);
	for (size_t i = 0; i < 3; i++) {
		under_way[i] = telemetry_begin(t, NULL);
		CHECK(under_way[i] != NULL);
	}
	CHECK(!tell(t));
	CHECK_INT(grown(METRIC_TELEMETRY_DROPPED, &dropped), 1);
	for (size_t i = 0; i < 3; i++) {
		under_way[i]->method = "POST";
		under_way[i]->route = "/action";
		telemetry_end(t, &under_way[i]);
	}
	telemetry_free(&t);
	server_stop(&s);
	CHECK_INT(grown(METRIC_TELEMETRY_SENT, &sent), 3);
}

static void
write_one(struct metric_writer *w, void *arg)
{
	w->ops->family(w, "one_total", METRIC_KIND_COUNTER, "one");
	w->ops->integer(w, NULL, 0, *(const int64_t *)arg);
}

TEST(of_metrics_that_wait_the_newest_are_sent)
{
	struct server s = {.status = {503, 200}};
	int64_t value = 41;

	server_start(&s);
	struct telemetry *t = new_telemetry(&s, 4);
	telemetry_collect(t, write_one, &value);
	char c;
	CHECK_INT(read(s.got_pipe[0], &c, 1), 1);
	value = 42;
	telemetry_count_action(t, "ALLOW", "SUCCESS");
	telemetry_collect(t, write_one, &value);
	telemetry_free(&t);
	server_stop(&s);
	CHECK_INT(s.n, 2);
	CHECK(strncmp(s.request[1], "POST /base/v1/metrics HTTP/1.1", 30) == 0);
	CHECK(strstr(s.request[0], "\"asInt\":\"41\"") != NULL);
	CHECK(strstr(s.request[1], "\"asInt\":\"42\"") != NULL);
	CHECK(strstr(s.request[1], "\"name\":\"nomos.decisions\"") != NULL);
}

static void
wait_for_request(struct server *s)
{
	char c;

	CHECK_INT(read(s->got_pipe[0], &c, 1), 1);
}

static void
tell_three(struct telemetry *t)
{
	for (size_t i = 0; i < 3; i++)
		CHECK(tell(t));
}

/* While it answers, as many requests come as are worth a body of their own. */
TEST(a_slow_collector_under_load_gets_metrics_too)
{
	struct server s = {.status = {HELD, HELD, 200, 200}};
	int64_t value = 41;

	server_start(&s);
	struct telemetry *t = new_telemetry(&s, 8);
	tell_three(t);
	wait_for_request(&s);
	telemetry_collect(t, write_one, &value);
	tell_three(t);
	CHECK_INT(write(s.go_pipe[1], "g", 1), 1);
	wait_for_request(&s);
	tell_three(t);
	CHECK_INT(write(s.go_pipe[1], "g", 1), 1);
	wait_for_request(&s);
	telemetry_free(&t);
	server_stop(&s);
	CHECK(strncmp(s.request[1], "POST /base/v1/traces", 20) == 0);
	CHECK(strncmp(s.request[2], "POST /base/v1/metrics", 21) == 0);
	CHECK(strstr(s.request[2], "\"asInt\":\"41\"") != NULL);
}

static const struct trace_parent caller = {
	.trace_id = {1}, .span_id = {1}, .flags = TRACE_FLAG_SAMPLED};

/* As large as a request's spans get: its tracestate is in each. */
static void
tell_large(struct telemetry *t)
{
	struct trace *trace = telemetry_begin(t, &caller);
	char state[510];

	memset(state, '"', sizeof(state));
	CHECK(trace != NULL);
	trace->method = "POST";
	trace->route = "/action";
	trace_set_text(trace, TRACE_STATE, span_of(state, sizeof(state)));
	for (size_t i = 0; i < TRACE_SPANS_MAX; i++)
		trace_go_on(trace,
			"a_step_with_a_name_that_is_as_long_as_no_step_of_the_pipeline_is_and_as_"
			"none_will_be_in_any_version_of_it",
			10);
	telemetry_end(t, &trace);
}

/* The receiver does not read so much: what is sent fails, and what is not sent is dropped at once. */
TEST(large_traces_are_sent_in_smaller_batches)
{
	struct server s = {.status = {HELD}};

	server_start(&s);
	struct telemetry *t = new_telemetry(&s, 512);
	CHECK(tell(t));
	wait_for_request(&s);
	for (size_t i = 0; i < 256; i++)
		tell_large(t);
	note_counts();
	CHECK_INT(write(s.go_pipe[1], "g", 1), 1);
	while (metric_get(METRIC_TELEMETRY_FAILURES) == failures &&
		metric_get(METRIC_TELEMETRY_DROPPED) == dropped)
		sched_yield();
	CHECK_INT(grown(METRIC_TELEMETRY_DROPPED, &dropped), 0);
	telemetry_free(&t);
	server_stop(&s);
}

TEST(what_is_refused_leaves_half_of_the_places)
{
	struct server s = {.status = {200, 200}};
	struct trace *under_way[3];

	note_counts();
	server_start(&s);
	struct telemetry *t = new_telemetry(&s, 4);
	under_way[0] = telemetry_begin(t, NULL);
	under_way[1] = telemetry_begin_refused(t);
	CHECK(under_way[0] != NULL && under_way[1] != NULL);
	CHECK(telemetry_begin_refused(t) == NULL);
	CHECK_INT(grown(METRIC_TELEMETRY_DROPPED, &dropped), 1);
	under_way[2] = telemetry_begin(t, NULL);
	CHECK(under_way[2] != NULL);
	for (size_t i = 0; i < 3; i++) {
		under_way[i]->method = "POST";
		under_way[i]->route = "/action";
		telemetry_end(t, &under_way[i]);
	}
	telemetry_free(&t);
	server_stop(&s);
}

/* stderr is a pipe that nobody reads. */
TEST(lines_on_stderr_leave_half_of_the_room_to_the_log)
{
	enum { N = 4000 };
	const struct telemetry_options o = {
		.sink = TELEMETRY_STDERR, .queue_max = N, .sample_one_in = 1};
	struct telemetry *t = NULL;
	struct errinfo ei;
	int fds[2];

	note_counts();
	CHECK_INT(pipe(fds), 0);
	int own = dup(STDERR_FILENO);
	CHECK(own >= 0 && dup2(fds[1], STDERR_FILENO) == STDERR_FILENO);
	close(fds[1]);
	CHECK(log_start());
	CHECK_INT(telemetry_new(&o, &t, &ei), OK);
	for (size_t i = 0; i < N; i++)
		CHECK(tell(t));
	telemetry_free(&t);
	uint64_t n_log_dropped = log_dropped();
	for (size_t i = 0; i < 1000; i++)
		log_warn(NULL, "number %zu", i);
	CHECK_INT(log_dropped(), n_log_dropped);
	close(fds[0]);
	log_stop();
	CHECK(dup2(own, STDERR_FILENO) == STDERR_FILENO);
	close(own);
	int64_t n_dropped = grown(METRIC_TELEMETRY_DROPPED, &dropped);
	CHECK(n_dropped > 1000);
	CHECK_INT(grown(METRIC_TELEMETRY_SENT, &sent), N - n_dropped);
}

static void
write_too_much(struct metric_writer *w, void *arg)
{
	static char text[64 * 1024];
	const struct metric_label label = {"what", span_of(text, sizeof(text))};

	memset(text, 'x', sizeof(text));
	w->ops->family(w, "one_total", METRIC_KIND_COUNTER, "one");
	for (size_t i = 0; i < 200; i++)
		w->ops->integer(w, &label, 1, *(const int64_t *)arg);
}

TEST(metrics_that_are_too_large_count_as_a_failure)
{
	struct server s = {.status = {200}};
	int64_t value = 1;

	note_counts();
	server_start(&s);
	struct telemetry *t = new_telemetry(&s, 4);
	telemetry_collect(t, write_too_much, &value);
	CHECK_INT(grown(METRIC_TELEMETRY_FAILURES, &failures), 1);
	telemetry_free(&t);
	server_stop(&s);
	CHECK_INT(s.n, 0);
}

/* Whatever allocation fails at its begin, nothing is left behind. */
TEST(without_memory_it_does_not_begin)
{
	const struct telemetry_options o = {
		.sink = TELEMETRY_STDERR, .queue_max = 8, .sample_one_in = 1};
	long live = mem_live();
	struct telemetry *t = NULL;
	struct errinfo ei;

	for (unsigned long n = 1; t == NULL && n < 100; n++) {
		mem_fail_at(n);
		enum err rc = telemetry_new(&o, &t, &ei);
		mem_fail_at(0);
		if (rc != OK)
			CHECK(rc == ERR_NOMEM && t == NULL && mem_live() == live);
	}
	CHECK(t != NULL);
	telemetry_free(&t);
	CHECK_INT(mem_live(), live);
}

SUITE("telemetry", TEST_ROW(a_body_is_tried_again_and_sent_once_taken),
	TEST_ROW(a_body_that_is_refused_is_dropped),
	TEST_ROW(the_end_waits_for_no_answer_that_does_not_come),
	TEST_ROW(what_has_no_room_is_dropped_and_counted),
	TEST_ROW(of_metrics_that_wait_the_newest_are_sent),
	TEST_ROW(a_slow_collector_under_load_gets_metrics_too),
	TEST_ROW(metrics_that_are_too_large_count_as_a_failure),
	TEST_ROW(large_traces_are_sent_in_smaller_batches),
	TEST_ROW(what_is_refused_leaves_half_of_the_places),
	TEST_ROW(lines_on_stderr_leave_half_of_the_room_to_the_log),
	TEST_ROW(without_memory_it_does_not_begin))
