/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler's view of a request, and the reply. What is borrowed points into the framing
 * machine, which keeps the request until its reply is written. Must never send a header that is
 * not one line, nor a second reply. Runs on the loop's thread.
 */
#include "base/metric.h"
#include "base/must.h"
#include "server.h"

/* Names that only the server may set. */
static const struct span own_names[] = {
	{"X-Request-Id", 12},
	{"Date", 4},
	{"Server", 6},
	{"Content-Length", 14},
	{"Transfer-Encoding", 17},
	{"Connection", 10},
	{"Keep-Alive", 10},
};

static const struct framing *
get_framing(const struct http_request *req)
{
	MUST(req->is_open);
	return &req->conn->framing;
}

enum http_method
http_request_get_method(const struct http_request *req)
{
	return get_framing(req)->method;
}

struct span
http_request_get_target(const struct http_request *req)
{
	return get_framing(req)->target;
}

struct span
http_request_get_path(const struct http_request *req)
{
	return get_framing(req)->path;
}

struct span
http_request_get_query(const struct http_request *req)
{
	const struct framing *f = get_framing(req);

	return f->has_query ? f->query : SPAN_NONE;
}

struct span
http_request_find_header(const struct http_request *req, struct span name)
{
	const struct framing *f = get_framing(req);

	for (size_t i = 0; i < f->n_headers; i++) {
		if (f->headers[i].name.n == name.n && span_eq_nocase(f->headers[i].name, name))
			return f->headers[i].value;
	}
	return SPAN_NONE;
}

size_t
http_request_count_header(const struct http_request *req, struct span name)
{
	const struct framing *f = get_framing(req);
	size_t n = 0;

	for (size_t i = 0; i < f->n_headers; i++)
		n += span_eq_nocase(f->headers[i].name, name) ? 1 : 0;
	return n;
}

size_t
http_request_get_headers(const struct http_request *req, const struct http_header **out)
{
	const struct framing *f = get_framing(req);

	*out = f->headers;
	return f->n_headers;
}

struct span
http_request_get_body(const struct http_request *req)
{
	const struct framing *f = get_framing(req);

	return req->is_early ? SPAN_NONE : buf_span(&f->body);
}

bool
http_request_limit_body(struct http_request *req, size_t max_bytes)
{
	MUST(req->is_open && req->is_early);
	return framing_limit_body(&req->conn->framing, max_bytes);
}

const char *
http_request_get_peer(const struct http_request *req)
{
	MUST(req->is_open);
	return req->conn->state != CONN_GONE ? req->conn->peer_address : "";
}

const struct net_peer *
http_request_view_peer(const struct http_request *req)
{
	MUST(req->is_open);
	return &req->conn->peer;
}

const char *
http_request_get_id(const struct http_request *req)
{
	MUST(req->is_open);
	return req->id;
}

int64_t
http_request_get_start_ns(const struct http_request *req)
{
	MUST(req->is_open);
	return req->start_ns;
}

struct http_queue_view
http_request_view_queue(const struct http_request *req)
{
	MUST(req->is_open);
	return serve_queue_view(req->conn, req->is_early ? 0 : req->whole_ns);
}

struct loop *
http_request_get_loop(const struct http_request *req)
{
	MUST(req->is_open);
	return req->conn->server->loop;
}

enum http_rank
http_request_get_rank(const struct http_request *req)
{
	MUST(req->is_open);
	return req->conn->place.rank;
}

void
http_request_pause_after(struct http_request *req)
{
	MUST(req->is_open && !req->is_early);
	req->conn->pauses = true;
}

void
http_request_set_user(struct http_request *req, void *user)
{
	MUST(req->is_open);
	req->user = user;
}

void *
http_request_get_user(const struct http_request *req)
{
	MUST(req->is_open);
	return req->user;
}

void
http_request_set_note(struct http_request *req, void *note)
{
	MUST(req->is_open);
	req->note = note;
}

void *
http_request_get_note(const struct http_request *req)
{
	return req->note;
}

void
http_request_set_label(struct http_request *req, unsigned label)
{
	MUST(req->is_open);
	req->label = label;
}

unsigned
http_request_get_label(const struct http_request *req)
{
	return req->label;
}

static void
note_answer(const struct http_request *req, unsigned status, size_t body_n)
{
	const struct http_server *s = req->conn->server;

	metric_add(METRIC_REQUESTS, 1);
	if (s->options.on_answer != NULL)
		s->options.on_answer(req, status, body_n, s->arg);
}

void
http_request_set_closed_fn(struct http_request *req, http_closed_fn fn, void *arg)
{
	MUST(req->is_open);
	req->closed_fn = fn;
	req->closed_arg = arg;
	/* It waits for something else than the ledger now: others need not wait behind it. */
	serve_queue_wake(req->conn->server);
	if (req->conn->state == CONN_GONE || req->conn->server->stop_deadline_ns != 0)
		server_add_work(req->conn, CONN_WORK_CLOSED);
}

bool
http_request_has_left(const struct http_request *req)
{
	MUST(req->is_open);
	return conn_is_peer_closed(req->conn);
}

void
http_request_defer(struct http_request *req)
{
	MUST(req->is_open && !req->is_early);
	req->is_deferred = true;
}

static bool
is_own_name(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(own_names); i++) {
		if (span_eq_nocase(own_names[i], name))
			return true;
	}
	return false;
}

static bool
are_headers_legal(const struct http_header *headers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!http_is_token(headers[i].name) || !http_is_header_value(headers[i].value) ||
			is_own_name(headers[i].name))
			return false;
	}
	return true;
}

static bool
has_header(const struct http_header *headers, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++) {
		if (span_eq_nocase(headers[i].name, name))
			return true;
	}
	return false;
}

/* Whether the connection ends with this reply. */
static bool
is_last(const struct conn *c)
{
	const struct http_server *s = c->server;
	size_t max = s->options.max_requests_per_connection;

	return c->framing.wants_close || s->is_draining || (max > 0 && c->n_served >= max);
}

/* All of the head into the scratch buffer; false when memory is out or it is too long. */
static bool
build_head(struct http_request *req, unsigned status, const struct http_header *headers, size_t n,
	size_t body_n)
{
	struct http_server *s = req->conn->server;
	struct span type = SPAN_LIT("Content-Type");
	struct buf *b = &s->scratch;

	reply_head_begin(b, s, status, req->id);
	if (body_n > 0 && !has_header(headers, n, type))
		reply_head_add(b, type, SPAN_LIT("application/json"));
	reply_head_add_all(b, headers, n);
	if (status != 204 && status != 304)
		reply_head_add_length(b, body_n);
	if (is_last(req->conn))
		BUF_ADD_LIT(b, "Connection: close\r\n");
	else if (req->conn->framing.is_http10)
		BUF_ADD_LIT(b, "Connection: keep-alive\r\n");
	BUF_ADD_LIT(b, "\r\n");
	return !buf_failed(b);
}

static bool
send_reply(struct http_request *req, unsigned status, const struct http_header *headers, size_t n,
	struct span body)
{
	bool is_head = req->conn->framing.method == HTTP_METHOD_HEAD;

	return build_head(req, status, headers, n, body.n) &&
	       engine_reply(req, buf_span(&req->conn->server->scratch), is_head ? SPAN_NONE : body,
		       is_last(req->conn));
}

void
http_request_reply(struct http_request *req, unsigned status, const struct http_header *headers,
	size_t n_headers, struct span body)
{
	struct conn *c = req->conn;
	struct http_server *s = c->server;

	MUST(req->is_open && !req->is_streaming && status >= 200 && status < 600);
	MUST(body.n == 0 || (status != 204 && status != 304));
	if (!are_headers_legal(headers, n_headers)) {
		status = 500;
		headers = NULL;
		n_headers = 0;
		body = SPAN_LIT(
			"{\"decision\":\"DENY\",\"reason\":\"internal_error: illegal header\"}");
	}
	note_answer(req, status, body.n);
	if (req->is_early) {
		req->is_open = false;
		conn_reply_early(c, status, headers, n_headers, body);
		return;
	}
	s->n_open--;
	serve_queue_wake(s);
	if (c->state == CONN_GONE) {
		req->is_open = false;
		conn_release(c);
		return;
	}
	if (!send_reply(req, status, headers, n_headers, body)) {
		/* Half an answer would be a wrong one. */
		conn_set_state(c, CONN_WRITING, INT64_MAX);
		server_add_work(c, CONN_WORK_CLOSE);
	}
	req->is_open = false;
	req->closed_fn = NULL;
	req->engine = NULL;
}

/* All of the head into the scratch buffer; false when memory is out or it is too long. */
static bool
build_stream_head(const struct http_request *req, unsigned status,
	const struct http_header *headers, size_t n)
{
	struct http_server *s = req->conn->server;
	struct buf *b = &s->scratch;
	bool has_body = req->conn->framing.method != HTTP_METHOD_HEAD;

	reply_head_begin(b, s, status, req->id);
	BUF_ADD_LIT(b, "Connection: close\r\n");
	if (has_body && !req->conn->framing.is_http10)
		BUF_ADD_LIT(b, "Transfer-Encoding: chunked\r\n");
	reply_head_add_all(b, headers, n);
	BUF_ADD_LIT(b, "\r\n");
	return !buf_failed(b);
}

void
http_request_stream_begin(struct http_request *req, unsigned status,
	const struct http_header *headers, size_t n_headers)
{
	struct conn *c = req->conn;

	MUST(req->is_open && !req->is_early && !req->is_streaming);
	MUST(status >= 200 && status < 600 && status != 204 && status != 304);
	MUST(are_headers_legal(headers, n_headers));
	note_answer(req, status, 0);
	metric_add(METRIC_STREAMS, 1);
	req->is_deferred = true;
	req->is_streaming = true;
	if (c->state == CONN_GONE)
		return;
	if (build_stream_head(req, status, headers, n_headers))
		conn_stream_begin(c, buf_span(&c->server->scratch));
	else
		server_add_work(c, CONN_WORK_CLOSE);
}
