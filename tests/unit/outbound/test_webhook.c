/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The webhook sink against a receiver. What the ledger does with a failure (offering the record again) is
 * played by the test.
 */
#include <pthread.h>

#include "audit/chain.h"
#include "audit/sink.h"
#include "outbound/webhook.h"
#include "receiver.h"

#define CHAIN "00112233445566778899aabbccddeeff"
#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct sink *
new_sink(const struct server *s, int64_t timeout_ns)
{
	char url[64];
	struct sink *sink = NULL;
	struct errinfo ei;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook", s->port);
	struct webhook_options o = {.to.url = span_cstr(url),
		.to.secret = SPAN_LIT(SECRET),
		.to.timeout_ns = timeout_ns};
	if (webhook_sink_new(&o, &sink, &ei) != OK)
		FAIL("%s", ei.msg);
	return sink;
}

static struct span
record_body(uint64_t seq)
{
	static char text[256];
	int n = snprintf(text, sizeof(text),
		"{\"chain_id\":\"" CHAIN "\",\"event_type\":\"e\",\"seq\":%llu}",
		(unsigned long long)seq);

	return span_of(text, (size_t)n);
}

#define BATCH_MAX 4

/* One POST of up to BATCH_MAX records. */
static enum err
deliver_batch(const struct server *s, size_t *n_taken)
{
	char url[64];
	char bodies[BATCH_MAX][128];
	struct sink_record r[BATCH_MAX];
	struct sink *sink = NULL;
	struct errinfo ei;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook", s->port);
	struct webhook_options o = {.to.url = span_cstr(url),
		.to.secret = SPAN_LIT(SECRET),
		.to.timeout_ns = 10 * NS_PER_SEC,
		.batch_max = BATCH_MAX};
	for (uint64_t i = 0; i < BATCH_MAX; i++) {
		struct span body = record_body(i + 1);
		memcpy(bodies[i], body.p, body.n);
		r[i] = (struct sink_record){.seq = i + 1,
			.body = span_of(bodies[i], body.n),
			.event_hash = SPAN_LIT(HASH)};
	}
	if (webhook_sink_new(&o, &sink, &ei) != OK)
		FAIL("%s", ei.msg);
	CHECK_INT(sink->batch_max, BATCH_MAX);
	*n_taken = 0;
	enum err rc = sink->ops->deliver(sink, r, BATCH_MAX, n_taken, &ei);
	sink->ops->free(sink);
	return rc;
}

/* A refusal of many says nothing of one: halves are sent, at once, until it is about one. */
TEST(a_refused_batch_is_halved_until_it_is_about_one_record)
{
	static struct server s = {.status = {413, 413, 200, 422}};
	static const char *const first[] = {"1", "1", "1", "2"};
	static const char *const last[] = {"4", "2", "1", "3"};
	static struct server s2 = {.status = {400, 200, 200}};
	size_t n = 0;

	server_start(&s);
	/* 1 to 4, 1 to 2, 1, then two again: 2 to 3, of which the first is the bad one. */
	s.status[4] = 422;
	CHECK_INT(deliver_batch(&s, &n), ERR_INVALID);
	server_stop(&s);
	CHECK_INT(n, 1);
	CHECK_INT(s.n, 5);
	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		CHECK_SPAN(header(s.request[i], "X-Nomos-Seq"), first[i]);
		CHECK_SPAN(header(s.request[i], "X-Nomos-Seq-Last"), last[i]);
		CHECK_SPAN(header(s.request[i], "Content-Type"), "application/x-ndjson");
		CHECK(is_signed(s.request[i]));
	}
	CHECK_SPAN(header(s.request[4], "X-Nomos-Seq"), "2");
	CHECK_SPAN(header(s.request[4], "X-Nomos-Seq-Last"), "2");

	server_start(&s2);
	CHECK_INT(deliver_batch(&s2, &n), OK);
	server_stop(&s2);
	CHECK_INT(n, 4);
	CHECK_INT(s2.n, 3);
}

/* A door that is shut is no word about a record, nor is a fault of the receiver; a batch is not halved for them. */
TEST(only_a_4xx_about_the_record_refuses_it)
{
	static const struct {
		unsigned status;
		enum err want;
	} rows[] = {{400, ERR_INVALID}, {409, ERR_INVALID}, {413, ERR_INVALID}, {415, ERR_INVALID},
		{422, ERR_INVALID}, {401, ERR_IO}, {403, ERR_IO}, {404, ERR_IO}, {405, ERR_IO},
		{407, ERR_IO}, {408, ERR_IO}, {410, ERR_IO}, {425, ERR_IO}, {429, ERR_IO},
		{301, ERR_IO}, {307, ERR_IO}, {500, ERR_IO}, {503, ERR_IO}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct server s = {.status = {rows[i].status, rows[i].status, rows[i].status}};
		size_t n = 0;
		server_start(&s);
		enum err rc = deliver_batch(&s, &n);
		server_stop(&s);
		if (rc != rows[i].want || n != 0 || s.n != (rc == ERR_INVALID ? 3 : 1))
			FAIL("%u: %s, %zu requests", rows[i].status, err_name(rc), s.n);
	}
}

static enum err
deliver(struct sink *sink, uint64_t seq, size_t *n_taken)
{
	const struct sink_record r = {
		.seq = seq, .body = record_body(seq), .event_hash = SPAN_LIT(HASH)};
	struct errinfo ei;

	*n_taken = 0;
	return sink->ops->deliver(sink, &r, 1, n_taken, &ei);
}

TEST(each_record_is_posted_in_order_and_signed)
{
	static struct server s = {.status = {200, 204, 202}};
	char seq[8];
	size_t n = 0;

	server_start(&s);
	struct sink *sink = new_sink(&s, 10 * NS_PER_SEC);
	for (uint64_t i = 1; i <= 3; i++) {
		CHECK_INT(deliver(sink, i, &n), OK);
		CHECK_INT(n, 1);
	}
	sink->ops->free(sink);
	server_stop(&s);
	CHECK_INT(s.n, 3);
	for (size_t i = 0; i < 3; i++) {
		struct buf line;
		buf_init(&line, BUF_CAP_RECORD);
		CHECK(chain_build_line(record_body(i + 1), SPAN_LIT(HASH), &line));
		CHECK(strncmp(s.request[i], "POST /hook HTTP/1.1\r\n", 21) == 0);
		CHECK_SPAN(buf_span(&line), body_of(s.request[i]));
		snprintf(seq, sizeof(seq), "%zu", i + 1);
		CHECK_SPAN(header(s.request[i], "X-Nomos-Seq"), seq);
		CHECK_SPAN(header(s.request[i], "X-Nomos-Chain"), CHAIN);
		CHECK_SPAN(header(s.request[i], "Content-Type"), "application/json");
		CHECK(is_signed(s.request[i]));
		buf_fini(&line);
	}
}

/* Anything but 2xx takes nothing, so that the same record comes again, and the next one never
 * before it. */
TEST(a_refused_record_is_not_taken)
{
	static struct server s = {.status = {500, 429, 404, 301, 200}};
	size_t n = 0;

	server_start(&s);
	struct sink *sink = new_sink(&s, 10 * NS_PER_SEC);
	for (unsigned i = 0; i < 4; i++) {
		CHECK_INT(deliver(sink, 1, &n), ERR_IO);
		CHECK_INT(n, 0);
	}
	CHECK_INT(deliver(sink, 1, &n), OK);
	CHECK_INT(n, 1);
	sink->ops->free(sink);
	server_stop(&s);
	CHECK_INT(s.n, 5); /* a redirect is not followed */
	for (size_t i = 0; i < s.n; i++)
		CHECK_SPAN(header(s.request[i], "X-Nomos-Seq"), "1");
}

/* Of a batch the records before the refused one are taken, none behind it is posted. */
TEST(a_batch_stops_at_the_first_refusal)
{
	static struct server s = {.status = {200, 503, 200}};
	char bodies[3][128];
	struct sink_record r[3];
	struct errinfo ei;
	size_t n = 0;

	for (uint64_t i = 0; i < 3; i++) {
		struct span body = record_body(i + 1);
		memcpy(bodies[i], body.p, body.n);
		r[i] = (struct sink_record){.seq = i + 1,
			.body = span_of(bodies[i], body.n),
			.event_hash = SPAN_LIT(HASH)};
	}
	server_start(&s);
	struct sink *sink = new_sink(&s, 10 * NS_PER_SEC);
	CHECK_INT(sink->ops->deliver(sink, r, 3, &n, &ei), ERR_IO);
	CHECK_INT(n, 1);
	sink->ops->free(sink);
	server_stop(&s);
	CHECK_INT(s.n, 2);
}

TEST(a_receiver_that_is_silent_is_a_time_out_and_then_works)
{
	static struct server s = {.status = {SILENT, 200}};
	size_t n = 0;

	server_start(&s);
	struct sink *sink = new_sink(&s, NS_PER_SEC / 5);
	CHECK_INT(deliver(sink, 1, &n), ERR_TIMEOUT);
	CHECK_INT(n, 0);
	sink->ops->free(sink);
	/* A time-out of its own length: the second answer may take a slow machine longer than the
	 * first was given. */
	sink = new_sink(&s, 60 * NS_PER_SEC);
	CHECK_INT(deliver(sink, 1, &n), OK);
	CHECK_INT(n, 1);
	sink->ops->free(sink);
	server_stop(&s);
}

TEST(nobody_listening_is_an_error)
{
	static struct server s = {.status = {200}};
	size_t n = 0;

	server_start(&s);
	struct sink *sink = new_sink(&s, 10 * NS_PER_SEC);
	server_stop(&s);
	CHECK_INT(deliver(sink, 1, &n), ERR_IO);
	CHECK_INT(n, 0);
	sink->ops->free(sink);
}

static enum err thread_rc;

static void *
deliver_on_a_thread(void *arg)
{
	size_t n = 0;

	thread_rc = deliver(arg, 1, &n);
	return NULL;
}

TEST(stop_ends_a_hang)
{
	static struct server s = {.status = {SILENT}};
	pthread_t thread;
	size_t n = 0;
	char c = 0;

	server_start(&s);
	struct sink *sink = new_sink(&s, 600 * NS_PER_SEC);
	CHECK(pthread_create(&thread, NULL, deliver_on_a_thread, sink) == 0);
	CHECK_INT(read(s.got_pipe[0], &c, 1), 1);
	sink->ops->stop(sink);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK_INT(thread_rc, ERR_STOPPED);
	CHECK_INT(deliver(sink, 1, &n), ERR_STOPPED);
	sink->ops->free(sink);
	server_stop(&s);
}

TEST(forbidden_addresses_and_bad_urls)
{
	static const char *const invalid[] = {"", "ftp://127.0.0.1/", "http://",
		"http://user:pw@127.0.0.1/", "file:///etc/passwd"};
	static const char *const forbidden[] = {
		"http://169.254.169.254/latest", "http://169.254.1.1/", "http://[fe80::1]/"};
	struct webhook_options o = {.to.timeout_ns = 10 * NS_PER_SEC};
	struct errinfo ei;

	for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
		struct sink *sink = NULL;
		o.to.url = span_cstr(invalid[i]);
		if (webhook_sink_new(&o, &sink, &ei) != ERR_INVALID || sink != NULL)
			FAIL("%s", invalid[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
		struct sink *sink = NULL;
		size_t n = 0;
		o.to.url = span_cstr(forbidden[i]);
		CHECK_INT(webhook_sink_new(&o, &sink, &ei), OK);
		enum err rc = deliver(sink, 1, &n);
		if (rc != ERR_FORBIDDEN || n != 0)
			FAIL("%s: %s", forbidden[i], err_name(rc));
		sink->ops->free(sink);
	}
}

/* The name keys the cursor and reaches logs and /readyz: a token in the URL must not be in it. */
TEST(the_name_gives_no_part_of_the_url_away)
{
	struct webhook_options o = {
		.to.url = SPAN_LIT("https://hooks.example.com/T0KEN"), .to.timeout_ns = NS_PER_SEC};
	struct webhook_options p = {.to.url = SPAN_LIT("https://hooks.example.com/T0KEN2"),
		.to.timeout_ns = NS_PER_SEC};
	struct sink *a = NULL;
	struct sink *b = NULL;

	CHECK_INT(webhook_sink_new(&o, &a, NULL), OK);
	CHECK_INT(webhook_sink_new(&p, &b, NULL), OK);
	CHECK(strstr(a->name, "T0KEN") == NULL && strstr(a->name, "example") == NULL);
	CHECK(strcmp(a->name, b->name) != 0);
	a->ops->free(a);
	b->ops->free(b);
}

SUITE("webhook", TEST_ROW(each_record_is_posted_in_order_and_signed),
	TEST_ROW(a_refused_record_is_not_taken),
	TEST_ROW(a_refused_batch_is_halved_until_it_is_about_one_record),
	TEST_ROW(only_a_4xx_about_the_record_refuses_it),
	TEST_ROW(a_batch_stops_at_the_first_refusal),
	TEST_ROW(a_receiver_that_is_silent_is_a_time_out_and_then_works),
	TEST_ROW(nobody_listening_is_an_error), TEST_ROW(stop_ends_a_hang),
	TEST_ROW(forbidden_addresses_and_bad_urls),
	TEST_ROW(the_name_gives_no_part_of_the_url_away))
