/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The blocking client against a server of ours in another thread. */
#define _GNU_SOURCE /* setenv */

#include "rig.h"

#include <pthread.h>
#include <stdlib.h>

#include "net/http_client.h"

#define LONG_REPLY 100000

static struct rig rig;
static pthread_t thread;
static char url[128];
static struct http_request *kept;

/* Answers by path; /wait is never answered while the server runs. */
static void
on_post(struct http_request *req, void *arg)
{
	static char text[LONG_REPLY];
	static const struct http_header location = {{"Location", 8}, {"/ok", 3}};
	struct span path = http_request_get_path(req);

	(void)arg;
	memset(text, 'x', sizeof(text));
	if (span_eq_cstr(path, "/wait")) {
		http_request_defer(req);
		kept = req;
	} else if (span_eq_cstr(path, "/moved")) {
		http_request_reply(req, 307, &location, 1, SPAN_NONE);
	} else if (span_eq_cstr(path, "/long")) {
		http_request_reply(req, 200, NULL, 0, span_of(text, sizeof(text)));
	} else if (span_eq_cstr(path, "/echo")) {
		int n = snprintf(text, sizeof(text), "%s %.*s",
			http_method_text(http_request_get_method(req)),
			SPAN_ARG(http_request_get_body(req)));
		http_request_reply(req, 200, NULL, 0, span_of(text, (size_t)n));
	} else if (span_eq_cstr(path, "/check")) {
		bool is_good = http_request_get_method(req) == HTTP_METHOD_POST &&
			       span_eq_cstr(http_request_get_body(req), "{\"a\":1}") &&
			       span_eq_cstr(http_request_find_header(req, SPAN_LIT("Content-Type")),
				       "application/json") &&
			       span_eq_cstr(http_request_find_header(req, SPAN_LIT("X-Sig")),
				       "t=1,v1=ab") &&
			       http_request_count_header(req, SPAN_LIT("Expect")) == 0 &&
			       http_request_count_header(req, SPAN_LIT("Authorization")) == 0;
		http_request_reply(req, is_good ? 202 : 400, NULL, 0, SPAN_NONE);
	} else {
		http_request_reply(req, span_eq_cstr(path, "/ok") ? 200 : 503, NULL, 0, SPAN_NONE);
	}
}

static void *
run(void *arg)
{
	(void)arg;
	loop_run(rig.loop);
	if (kept != NULL)
		http_request_reply(kept, 503, NULL, 0, SPAN_NONE);
	kept = NULL;
	rig_stop(&rig);
	return NULL;
}

static void
start(void)
{
	rig_options(&rig);
	rig.handler = on_post;
	rig_start(&rig);
	CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
}

static void
stop(void)
{
	loop_stop(rig.loop);
	pthread_join(thread, NULL);
}

static struct span
url_of(const char *path)
{
	int n = snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", (unsigned)rig.addr.port, path);

	return span_of(url, (size_t)n);
}

static struct http_client *
new_client(int64_t total_ns)
{
	struct http_client_options o;
	struct http_client *c = NULL;
	struct errinfo ei;

	http_client_options_init(&o);
	o.total_timeout_ns = total_ns;
	CHECK_INT(http_client_new(&o, &c, &ei), OK);
	return c;
}

static enum err
post(struct http_client *c, const char *path, unsigned *status)
{
	struct errinfo ei = {0};

	return http_client_post(c, url_of(path), NULL, 0, SPAN_LIT("{}"), status, &ei);
}

TEST(statuses_and_connection_reuse)
{
	static const struct http_header headers[] = {
		{{"Content-Type", 12}, {"application/json", 16}}, {{"X-Sig", 5}, {"t=1,v1=ab", 9}}};
	unsigned status = 0;
	struct errinfo ei;

	start();
	struct http_client *c = new_client(10 * NS_PER_SEC);
	for (int i = 0; i < 10; i++) {
		CHECK_INT(post(c, "/ok", &status), OK);
		CHECK_INT(status, 200);
	}
	CHECK_INT(http_client_post(
			  c, url_of("/check"), headers, 2, SPAN_LIT("{\"a\":1}"), &status, &ei),
		OK);
	CHECK_INT(status, 202);
	CHECK_INT(post(c, "/other", &status), OK);
	CHECK_INT(status, 503);
	/* A redirect is an answer, not an order. */
	CHECK_INT(post(c, "/moved", &status), OK);
	CHECK_INT(status, 307);
	http_client_free(&c);
	CHECK(c == NULL);
	stop();
}

TEST(answers_are_read_when_asked_for)
{
	struct errinfo ei;
	struct buf reply;

	start();
	struct http_client *c = new_client(10 * NS_PER_SEC);
	struct http_call call = {.body = SPAN_LIT("abc"), .reply = &reply};
	buf_init(&reply, 16);
	for (int i = 0; i < 4; i++) {
		call.url = url_of("/echo");
		call.is_get = i % 2 == 1;
		buf_reset(&reply);
		CHECK_INT(http_client_call(c, &call, &ei), OK);
		CHECK_INT(call.status, 200);
		CHECK_SPAN(buf_span(&reply), call.is_get ? "GET " : "POST abc");
	}
	/* Over the buffer's own cap. */
	call.is_get = false;
	call.body = SPAN_LIT("0123456789abcdef");
	buf_reset(&reply);
	CHECK_INT(http_client_call(c, &call, &ei), ERR_TOO_LARGE);
	CHECK_INT(call.status, 0);
	call.reply = NULL;
	CHECK_INT(http_client_call(c, &call, &ei), OK);
	http_client_free(&c);
	buf_fini(&reply);
	stop();
}

TEST(proxies_of_the_environment_are_ignored)
{
	unsigned status = 0;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	start();
	struct http_client *c = new_client(10 * NS_PER_SEC);
	CHECK_INT(post(c, "/ok", &status), OK);
	CHECK_INT(status, 200);
	http_client_free(&c);
	stop();
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

TEST(answer_that_does_not_come)
{
	unsigned status = 7;

	start();
	struct http_client *c = new_client(50 * NS_PER_MS);
	CHECK_INT(post(c, "/wait", &status), ERR_TIMEOUT);
	CHECK_INT(status, 0);
	http_client_free(&c);
	stop();
}

static void *
stop_client(void *arg)
{
	http_client_stop(arg);
	return NULL;
}

TEST(stopped_from_another_thread)
{
	unsigned status = 0;
	pthread_t stopper;

	start();
	struct http_client *c = new_client(60 * NS_PER_SEC);
	CHECK(pthread_create(&stopper, NULL, stop_client, c) == 0);
	CHECK_INT(post(c, "/wait", &status), ERR_STOPPED);
	pthread_join(stopper, NULL);
	CHECK_INT(post(c, "/ok", &status), ERR_STOPPED);
	http_client_free(&c);
	stop();
}

TEST(answer_that_is_too_long)
{
	unsigned status = 0;

	start();
	struct http_client *c = new_client(10 * NS_PER_SEC);
	CHECK_INT(post(c, "/long", &status), ERR_TOO_LARGE);
	CHECK_INT(post(c, "/ok", &status), OK);
	http_client_free(&c);
	stop();
}

TEST(nobody_listens)
{
	unsigned status = 0;

	start();
	stop();
	struct http_client *c = new_client(10 * NS_PER_SEC);
	CHECK_INT(post(c, "/ok", &status), ERR_IO);
	http_client_free(&c);
}

TEST(link_local_addresses_are_not_dialled)
{
	static const char *const urls[] = {"http://169.254.169.254/latest", "https://[fe80::1]/",
		"http://[::ffff:169.254.169.254]/", "http://0xa9fea9fe/", "http://2852039166/"};
	struct http_client *c = new_client(10 * NS_PER_SEC);
	unsigned status = 0;
	struct errinfo ei;

	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		enum err rc =
			http_client_post(c, span_cstr(urls[i]), NULL, 0, SPAN_NONE, &status, &ei);
		if (rc != ERR_FORBIDDEN)
			FAIL("%s: %s", urls[i], err_name(rc));
	}
	http_client_free(&c);
}

TEST(bad_urls_and_headers)
{
	static const char *const urls[] = {"", "ftp://h/", "file:///etc/passwd", "gopher://h/",
		"http://u:p@h/", "http://u@h/", "http:///x", "h/x", "http://h:99999/",
		"http://a b/"};
	static const struct http_header bad[] = {{{"X-A", 3}, {"b\r\nX-Evil: c", 12}},
		{{"X A", 3}, {"b", 1}}, {{"X-A", 3}, {"", 0}}};
	unsigned status = 0;
	struct errinfo ei;

	start();
	struct http_client *c = new_client(10 * NS_PER_SEC);
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		struct span text = span_cstr(urls[i]);
		if (http_client_check_url(text, &ei) != ERR_INVALID ||
			http_client_post(c, text, NULL, 0, SPAN_NONE, &status, &ei) != ERR_INVALID)
			FAIL("\"%s\" is taken", urls[i]);
	}
	CHECK_INT(http_client_check_url(span_of("http://h\0.evil/", 15), &ei), ERR_INVALID);
	CHECK_INT(http_client_check_url(SPAN_LIT("https://example.com:8443/a?b"), &ei), OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(http_client_post(c, url_of("/ok"), &bad[i], 1, SPAN_NONE, &status, &ei),
			ERR_INVALID);
	http_client_free(&c);
	stop();
}

SUITE("net/http_client", TEST_ROW(statuses_and_connection_reuse),
	TEST_ROW(answers_are_read_when_asked_for), TEST_ROW(proxies_of_the_environment_are_ignored),
	TEST_ROW(answer_that_does_not_come), TEST_ROW(stopped_from_another_thread),
	TEST_ROW(answer_that_is_too_long), TEST_ROW(nobody_listens),
	TEST_ROW(link_local_addresses_are_not_dialled), TEST_ROW(bad_urls_and_headers))
