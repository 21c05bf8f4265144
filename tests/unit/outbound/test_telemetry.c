/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Collecting and sending: the bound and the order of the queue under many threads, series that have no room, what a collector
 * answers, the end. */
#include "outbound/telemetry.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/redact.h"
#include "line_out.h"
#include "outbound/trace.h"
#include "receiver.h"
#include "series.h"
#include "slot_ring.h"

#define THREADS 4
#define ROUNDS 20000
#define SLOTS 61

/* ---- the ring ---- */

TEST(a_ring_keeps_the_order_and_its_bound)
{
	struct slot_ring r;
	uint32_t slot = 0;

	CHECK(slot_ring_init(&r, 5));
	for (uint32_t round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < 8; i++)
			CHECK(slot_ring_put(&r, round + i));
		CHECK(!slot_ring_put(&r, 99));
		CHECK_INT(slot_ring_count(&r), 8);
		for (uint32_t i = 0; i < 8; i++) {
			CHECK(slot_ring_take(&r, &slot));
			CHECK_INT(slot, round + i);
		}
		CHECK(!slot_ring_take(&r, &slot));
	}
	slot_ring_fini(&r);
}

struct pair {
	struct slot_ring free;
	struct slot_ring used;
	atomic_bool has[SLOTS]; /* somebody has it: nobody else may */
	_Atomic uint64_t n_moved;
};

static void
move(struct pair *p, struct slot_ring *from, struct slot_ring *to)
{
	uint32_t slot;

	if (!slot_ring_take(from, &slot))
		return;
	if (slot >= SLOTS || atomic_exchange(&p->has[slot], true))
		FAIL("slot %u is about twice", slot);
	else
		atomic_store(&p->has[slot], false);
	slot_ring_put_soon(to, slot);
	atomic_fetch_add(&p->n_moved, 1);
}

static void *
move_many(void *arg)
{
	for (size_t i = 0; i < ROUNDS; i++) {
		struct pair *p = arg;

		move(p, &p->free, &p->used);
		move(p, &p->used, &p->free);
	}
	return NULL;
}

TEST(threads_share_a_ring_without_losing_or_doubling)
{
	static struct pair p;
	pthread_t threads[THREADS];
	size_t n = 0;
	uint32_t slot;

	CHECK(slot_ring_init(&p.free, SLOTS) && slot_ring_init(&p.used, SLOTS));
	for (uint32_t i = 0; i < SLOTS; i++)
		CHECK(slot_ring_put(&p.free, i));
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, move_many, &p) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	while (slot_ring_take(&p.free, &slot) || slot_ring_take(&p.used, &slot))
		n++;
	CHECK_INT(n, SLOTS);
	CHECK(atomic_load(&p.n_moved) > ROUNDS);
	slot_ring_fini(&p.free);
	slot_ring_fini(&p.used);
}

static void *
put_soon(void *arg)
{
	slot_ring_put_soon(arg, 7);
	return NULL;
}

/* Others go round meanwhile, and come to its cell: who puts there has to wait, and must not take the ring for broken. */
TEST(a_thread_that_stops_in_the_middle_of_taking_holds_its_cell)
{
	struct slot_ring r;
	uint32_t slot = 0;
	pthread_t thread;

	CHECK(slot_ring_init(&r, 8));
	CHECK(slot_ring_put(&r, 0));
	atomic_fetch_add(&r.n_taken, 1); /* it has claimed the cell, and no more */
	for (uint32_t i = 1; i < 8; i++) {
		CHECK(slot_ring_put(&r, i));
		CHECK(slot_ring_take(&r, &slot));
		CHECK_INT(slot, i);
	}
	CHECK(!slot_ring_put(&r, 7));
	CHECK(pthread_create(&thread, NULL, put_soon, &r) == 0);
	atomic_store(&r.cells[0].turn, 8); /* now it goes on */
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(slot_ring_take(&r, &slot));
	CHECK_INT(slot, 7);
	slot_ring_fini(&r);
}

/* ---- series ---- */

struct tally {
	struct metric_writer writer; /* first */
	size_t n_families;
	size_t n_samples;
	int64_t sum;
	int64_t overflow;
	char last[160];
};

static void
tally_family(struct metric_writer *w, const char *name, enum metric_kind kind, const char *help)
{
	(void)name;
	(void)help;
	CHECK_INT(kind, METRIC_KIND_COUNTER);
	((struct tally *)(void *)w)->n_families++;
}

static void
tally_integer(struct metric_writer *w, const struct metric_label *labels, size_t n, int64_t value)
{
	struct tally *t = (struct tally *)(void *)w;

	t->n_samples++;
	t->sum += value;
	if (n == 1 && strcmp(labels[0].name, "otel.metric.overflow") == 0)
		t->overflow += value;
	else
		snprintf(t->last, sizeof(t->last), "%s=%.*s", labels[0].name,
			SPAN_ARG(labels[0].value));
}

static const struct metric_writer_ops tally_ops = {
	.family = tally_family, .integer = tally_integer};

static struct tally
tally_of(struct series_table *t, const char *name)
{
	struct tally tally = {.writer.ops = &tally_ops};

	series_write(t, name, "help", &tally.writer);
	return tally;
}

static void *
add_series(void *arg)
{
	char value[32];

	for (unsigned i = 0; i < 3000; i++) {
		snprintf(value, sizeof(value), "v%u", i % 1500);
		const struct metric_label label = {"what", span_cstr(value)};
		series_add(arg, SPAN_NONE, NULL, "many", &label, 1);
	}
	return NULL;
}

TEST(series_without_room_are_added_up_in_one)
{
	struct series_table *t = series_new();
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, add_series, t) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	struct tally many = tally_of(t, "many");
	CHECK_INT(many.n_families, 1);
	CHECK_INT(many.sum, THREADS * 3000);
	CHECK(many.n_samples <= SERIES_MAX + 1 && many.n_samples > SERIES_MAX / 2);
	CHECK(many.overflow >= (1500 - SERIES_MAX) * 2 * THREADS);
	CHECK_INT(tally_of(t, "none").n_families, 0);
	series_free(&t);
}

/* Who makes up words takes only so much of what others need. */
TEST(an_owner_of_many_series_leaves_room_for_others)
{
	struct series_table *t = series_new();
	char value[32];

	for (unsigned i = 0; i < 4 * SERIES_MAX; i++) {
		snprintf(value, sizeof(value), "v%u", i);
		const struct metric_label label = {"what", span_cstr(value)};
		series_add(t, SPAN_LIT("busy"), redactor_default(), "many", &label, 1);
	}
	struct tally many = tally_of(t, "many");
	CHECK_INT(many.sum, 4 * SERIES_MAX);
	CHECK_INT(many.n_samples, SERIES_OWNER_MAX + 1);
	static const struct metric_label other = {"what", {"other", 5}};
	series_add(t, SPAN_LIT("quiet"), redactor_default(), "one", &other, 1);
	CHECK_STR(tally_of(t, "one").last, "what=other");
	static const struct metric_label first = {"what", {"v0", 2}};
	series_add(t, SPAN_LIT("busy"), redactor_default(), "many", &first, 1);
	CHECK_INT(tally_of(t, "many").overflow, many.overflow);
	series_free(&t);
}

struct race {
	struct series_table *table;
	pthread_barrier_t start;
};

static void *
add_the_same(void *arg)
{
	struct race *r = arg;
	char value[32];

	pthread_barrier_wait(&r->start);
	for (unsigned i = 0; i < 128; i++) {
		snprintf(value, sizeof(value), "v%u", i);
		const struct metric_label label = {"what", span_cstr(value)};
		series_add(r->table, SPAN_LIT("busy"), NULL, "many", &label, 1);
	}
	return NULL;
}

/* A row that another thread had first is not of the share of who came second. */
TEST(a_row_that_is_lost_to_another_thread_is_not_counted)
{
	for (unsigned round = 0; round < 100; round++) {
		struct race r = {.table = series_new()};
		pthread_t threads[THREADS];
		char value[32];

		CHECK(pthread_barrier_init(&r.start, NULL, THREADS) == 0);
		for (size_t i = 0; i < THREADS; i++)
			CHECK(pthread_create(&threads[i], NULL, add_the_same, &r) == 0);
		for (size_t i = 0; i < THREADS; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		for (unsigned i = 0; i < SERIES_MAX; i++) {
			snprintf(value, sizeof(value), "w%u", i);
			const struct metric_label label = {"what", span_cstr(value)};
			series_add(r.table, SPAN_LIT("busy"), NULL, "many", &label, 1);
		}
		/* And the one for the rest. */
		CHECK_INT(tally_of(r.table, "many").n_samples, SERIES_OWNER_MAX + 1);
		pthread_barrier_destroy(&r.start);
		series_free(&r.table);
	}
}

TEST(series_hold_no_secret_and_nothing_long)
{
	static const struct metric_label secret = {"what", {"AKIAABCDEFGHIJKLMNOP", 20}};
	struct series_table *t = series_new();
	char text[200];

	memset(text, 'x', sizeof(text));
	const struct metric_label longer = {"what", span_of(text, sizeof(text))};
	series_add(t, SPAN_NONE, redactor_default(), "a", &secret, 1);
	series_add(t, SPAN_NONE, redactor_default(), "a", &secret, 1);
	CHECK_STR(tally_of(t, "a").last, "what=[REDACTED]");
	CHECK_INT(tally_of(t, "a").sum, 2);
	series_add(t, SPAN_NONE, redactor_default(), "b", &longer, 1);
	CHECK_STR(tally_of(t, "b").last, "what=(too long)");
	series_free(&t);
}

/* ---- all of it, against a collector ---- */

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

/* ---- lines ---- */

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

SUITE("telemetry", TEST_ROW(a_ring_keeps_the_order_and_its_bound),
	TEST_ROW(threads_share_a_ring_without_losing_or_doubling),
	TEST_ROW(a_thread_that_stops_in_the_middle_of_taking_holds_its_cell),
	TEST_ROW(series_without_room_are_added_up_in_one),
	TEST_ROW(an_owner_of_many_series_leaves_room_for_others),
	TEST_ROW(a_row_that_is_lost_to_another_thread_is_not_counted),
	TEST_ROW(series_hold_no_secret_and_nothing_long),
	TEST_ROW(a_body_is_tried_again_and_sent_once_taken),
	TEST_ROW(a_body_that_is_refused_is_dropped),
	TEST_ROW(the_end_waits_for_no_answer_that_does_not_come),
	TEST_ROW(what_has_no_room_is_dropped_and_counted),
	TEST_ROW(of_metrics_that_wait_the_newest_are_sent),
	TEST_ROW(a_slow_collector_under_load_gets_metrics_too),
	TEST_ROW(metrics_that_are_too_large_count_as_a_failure),
	TEST_ROW(large_traces_are_sent_in_smaller_batches),
	TEST_ROW(what_is_refused_leaves_half_of_the_places),
	TEST_ROW(a_line_that_was_left_half_does_not_take_the_next_one_with_it),
	TEST_ROW(lines_on_stderr_leave_half_of_the_room_to_the_log),
	TEST_ROW(without_memory_it_does_not_begin))
