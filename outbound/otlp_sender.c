/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See otlp_sender.h. Must never log the URL, a header or what the collector says. */
#include "otlp_sender.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/gzip.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "base/parse.h"
#include "base/rand.h"
#include "base/secret.h"
#include "net/http_client.h"
#include "outbound/telemetry.h"

#define SENDER_MAGIC 0x4f544c50u
#define BODY_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define URL_BYTES_MAX 4096
/* What a try that failed is followed by at least and at most; and the longest wait that a collector may ask for. */
#define PAUSE_MIN_NS (250 * NS_PER_MS)
#define PAUSE_MAX_NS (5 * NS_PER_SEC)
#define RETRY_AFTER_MAX_S 300
/* Of an answer that says what was left out. */
#define ANSWER_BYTES_MAX ((size_t)64 * 1024)
#define ANSWER_ARENA_BYTES ((size_t)1024 * 1024)

struct parcel {
	struct secret *url;
	struct buf body; /* as it is sent; empty: nothing waits */
	size_t n_items;
	int64_t due_ns;
	int64_t pause_ns; /* before the next try, if this one fails */
};

struct otlp_sender {
	unsigned magic;
	struct http_client *client;
	struct secret *names[TELEMETRY_HEADERS_MAX];
	struct secret *values[TELEMETRY_HEADERS_MAX];
	size_t n_headers;
	bool gzip;
	bool has_warned; /* since it last went well */
	struct buf answer;
	struct parcel parcels[OTLP_PATH__MAX];
};

static const char *const paths[OTLP_PATH__MAX] = {
	[OTLP_TRACES] = "/v1/traces", [OTLP_METRICS] = "/v1/metrics"};

static enum err
make_url(struct span base, const char *path, struct secret **out, struct errinfo *ei)
{
	struct buf url;

	while (base.n > 0 && base.p[base.n - 1] == '/')
		base.n--;
	buf_init(&url, URL_BYTES_MAX);
	buf_add_span(&url, base);
	buf_add_cstr(&url, path);
	enum err rc = buf_failed(&url) ? ERR(ei, ERR_INVALID, "the URL is too long")
				       : http_client_check_url(buf_span(&url), ei);
	if (rc == OK)
		*out = secret_new(buf_span(&url));
	if (rc == OK && *out == NULL)
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	buf_fini(&url);
	return rc;
}

static enum err
keep_headers(struct otlp_sender *s, const struct telemetry_options *o, struct errinfo *ei)
{
	MUST(o->n_headers <= TELEMETRY_HEADERS_MAX);
	for (size_t i = 0; i < o->n_headers; i++) {
		s->names[i] = secret_new(o->headers[i].name);
		s->values[i] = secret_new(o->headers[i].value);
		s->n_headers++;
		if (s->names[i] == NULL || s->values[i] == NULL)
			return ERR(ei, ERR_NOMEM, "out of memory");
	}
	return OK;
}

static enum err
fill(struct otlp_sender *s, const struct telemetry_options *o, struct errinfo *ei)
{
	struct http_client_options client;
	enum err rc = keep_headers(s, o, ei);

	for (size_t i = 0; i < OTLP_PATH__MAX && rc == OK; i++)
		rc = make_url(o->base_url, paths[i], &s->parcels[i].url, ei);
	if (rc != OK)
		return rc;
	http_client_options_init(&client);
	client.connect_timeout_ns = o->timeout_ns;
	client.total_timeout_ns = o->timeout_ns;
	client.max_reply_bytes = ANSWER_BYTES_MAX;
	client.ca_file = o->ca_file;
	client.cert_file = o->cert_file;
	client.key_file = o->key_file;
	return http_client_new(&client, &s->client, ei);
}

enum err
otlp_sender_new(const struct telemetry_options *o, struct otlp_sender **out, struct errinfo *ei)
{
	struct otlp_sender *s = mem_zalloc(1, sizeof(*s));

	*out = s;
	if (s == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	s->magic = SENDER_MAGIC;
	s->gzip = o->gzip;
	buf_init(&s->answer, ANSWER_BYTES_MAX + 1);
	for (size_t i = 0; i < OTLP_PATH__MAX; i++)
		buf_init(&s->parcels[i].body, BODY_BYTES_MAX);
	enum err rc = fill(s, o, ei);
	if (rc != OK)
		otlp_sender_free(out);
	return rc;
}

/* The memory, too: a burst must not be kept for ever. */
static void
empty(struct parcel *p)
{
	buf_fini(&p->body);
	buf_init(&p->body, BODY_BYTES_MAX);
	p->n_items = 0;
}

static void
give_up(struct parcel *p)
{
	metric_add(METRIC_TELEMETRY_DROPPED, (int64_t)p->n_items);
	empty(p);
}

void
otlp_sender_free(struct otlp_sender **sp)
{
	struct otlp_sender *s = *sp;

	if (s == NULL)
		return;
	OBJ_CHECK(s, SENDER_MAGIC);
	for (size_t i = 0; i < OTLP_PATH__MAX; i++) {
		give_up(&s->parcels[i]);
		secret_free(&s->parcels[i].url);
	}
	for (size_t i = 0; i < s->n_headers; i++) {
		secret_free(&s->names[i]);
		secret_free(&s->values[i]);
	}
	http_client_free(&s->client);
	buf_fini(&s->answer);
	s->magic = 0;
	mem_free(s);
	*sp = NULL;
}

bool
otlp_sender_is_free(const struct otlp_sender *s, enum otlp_path path)
{
	return s->parcels[path].body.n == 0;
}

void
otlp_sender_put(struct otlp_sender *s, enum otlp_path path, struct span text, size_t n_items)
{
	struct parcel *p = &s->parcels[path];
	struct errinfo ei;
	bool was_free = p->body.n == 0;

	if (!was_free)
		give_up(p);
	p->n_items = n_items;
	if (!s->gzip)
		buf_add_span(&p->body, text);
	if (buf_failed(&p->body) || (s->gzip && gzip_pack(text, &p->body, &ei) != OK)) {
		give_up(p);
		return;
	}
	/* One in the place of another that waits for its next try waits as long. */
	if (was_free) {
		p->due_ns = 0;
		p->pause_ns = PAUSE_MIN_NS;
	}
}

static bool
may_try_again(enum err rc, unsigned status)
{
	if (rc != OK)
		/* Too long an answer is one, and trying again would bring another. */
		return rc != ERR_TOO_LARGE;
	return status == 429 || status == 502 || status == 503 || status == 504;
}

/* A quarter more or less, so that not all who lost a collector come back at once. */
static int64_t
spread(int64_t ns)
{
	struct errinfo ei;
	uint32_t r;

	if (rand_bytes(&r, sizeof(r), &ei) != OK)
		return ns;
	return ns - ns / 4 + ns / 2 / 1024 * (int64_t)(r % 1024);
}

static void
warn(struct otlp_sender *s, const char *why, bool tries_again)
{
	if (!s->has_warned)
		log_warn(NULL, "telemetry: %s; %s", why,
			tries_again ? "it is tried again, and what has no room meanwhile is dropped"
				    : "this is not sent again");
	s->has_warned = true;
}

static void
put_off(struct parcel *p, int64_t now_ns, int64_t retry_after_s)
{
	int64_t wait_ns = spread(p->pause_ns);

	if (retry_after_s > RETRY_AFTER_MAX_S)
		retry_after_s = RETRY_AFTER_MAX_S;
	if (retry_after_s * NS_PER_SEC > wait_ns)
		wait_ns = retry_after_s * NS_PER_SEC;
	p->due_ns = now_ns + wait_ns;
	p->pause_ns = p->pause_ns * 2 < PAUSE_MAX_NS ? p->pause_ns * 2 : PAUSE_MAX_NS;
}

static bool
is_positive(const struct json *v)
{
	uint64_t n = 0;

	return v != NULL && parse_uint(v->text, INT64_MAX, &n) && n > 0;
}

/* Whether the collector took the body and rejected some of it (partialSuccess), which is not to be tried again. What it means is its
 * own affair; an answer that cannot be read says nothing. */
static bool
has_rejected(struct span answer)
{
	struct arena *a = answer.n > 2 ? arena_new(ANSWER_ARENA_BYTES) : NULL;
	const struct json *root = NULL;
	struct errinfo ei;
	bool is_partial = false;

	if (a != NULL && json_parse(answer, a, &root, NULL, &ei) == OK) {
		const struct json *partial = json_find_cstr(root, "partialSuccess");

		is_partial = is_positive(json_find_cstr(partial, "rejectedSpans")) ||
			     is_positive(json_find_cstr(partial, "rejectedDataPoints"));
	}
	arena_free(&a);
	return is_partial;
}

static void
note_taken(struct otlp_sender *s, bool is_partial)
{
	if (is_partial) {
		metric_add(METRIC_TELEMETRY_FAILURES, 1);
		warn(s, "the collector rejected a part", false);
		return;
	}
	if (s->has_warned)
		log_info(NULL, "telemetry: the collector takes it again");
	s->has_warned = false;
}

/* True when the parcel is done with. */
static bool
judge(struct otlp_sender *s, struct parcel *p, enum err rc, const struct http_call *call,
	const char *problem)
{
	char why[64];

	if (rc == OK && call->status >= 200 && call->status <= 299) {
		metric_add(METRIC_TELEMETRY_SENT, (int64_t)p->n_items);
		empty(p);
		note_taken(s, has_rejected(buf_span(call->reply)));
		return true;
	}
	metric_add(METRIC_TELEMETRY_FAILURES, 1);
	snprintf(why, sizeof(why), "the collector answered %u", call->status);
	bool tries_again = may_try_again(rc, call->status);
	if (rc != ERR_STOPPED)
		warn(s, rc == OK ? why : problem, tries_again);
	if (tries_again)
		put_off(p, clock_mono_ns(), call->retry_after_s);
	else
		give_up(p);
	return !tries_again;
}

static bool
post(struct otlp_sender *s, struct parcel *p)
{
	struct http_header headers[TELEMETRY_HEADERS_MAX + 2];
	size_t n = 0;
	struct errinfo ei = {OK, ""};

	headers[n++] = (struct http_header){SPAN_LIT("Content-Type"), SPAN_LIT("application/json")};
	if (s->gzip)
		headers[n++] = (struct http_header){SPAN_LIT("Content-Encoding"), SPAN_LIT("gzip")};
	for (size_t i = 0; i < s->n_headers; i++)
		headers[n++] = (struct http_header){
			secret_get_bytes(s->names[i]), secret_get_bytes(s->values[i])};
	struct http_call call = {.url = secret_get_bytes(p->url),
		.headers = headers,
		.n_headers = n,
		.body = buf_span(&p->body),
		.reply = &s->answer};
	buf_reset(&s->answer);
	enum err rc = http_client_call(s->client, &call, &ei);
	return judge(s, p, rc, &call, ei.msg);
}

bool
otlp_sender_send(struct otlp_sender *s, int64_t now_ns)
{
	bool has_room = false;

	OBJ_CHECK(s, SENDER_MAGIC);
	for (size_t i = 0; i < OTLP_PATH__MAX; i++) {
		struct parcel *p = &s->parcels[i];

		if (p->body.n > 0 && p->due_ns <= now_ns && post(s, p))
			has_room = true;
	}
	return has_room;
}

void
otlp_sender_hurry(struct otlp_sender *s)
{
	for (size_t i = 0; i < OTLP_PATH__MAX; i++)
		s->parcels[i].due_ns = 0;
}

int64_t
otlp_sender_due_ns(const struct otlp_sender *s)
{
	int64_t due_ns = INT64_MAX;

	for (size_t i = 0; i < OTLP_PATH__MAX; i++)
		if (s->parcels[i].body.n > 0 && s->parcels[i].due_ns < due_ns)
			due_ns = s->parcels[i].due_ns;
	return due_ns;
}

void
otlp_sender_stop(struct otlp_sender *s)
{
	http_client_stop(s->client);
}
