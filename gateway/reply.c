/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as JSON, members in the order clients of the reference see (nomos-http.md 1.2, 1.4): empty members are left out. No
 * host path, no secret: the pipeline has already chosen what may be said. Worker's thread.
 */
#include "routes.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/must.h"

#define ERROR_BYTES_MAX 4096
#define REPORT_PATH "/actions/report"
/* A byte of text may become \u00xx. */
#define QUOTED_GROWTH 6

static void
send_error(struct http_request *http, unsigned status, const struct http_header *extra,
	size_t n_extra, const char *code, struct span message, uint32_t retry_after_s)
{
	struct http_header headers[TRACE_HEADERS_MAX + REPLY_EXTRA_MAX + 3];
	size_t n = 0;
	char retry[16];
	struct buf b;

	for (; n < n_extra; n++)
		headers[n] = extra[n];
	if (retry_after_s > 0) {
		int len = snprintf(retry, sizeof(retry), "%u", retry_after_s);
		headers[n++] =
			(struct http_header){SPAN_LIT("Retry-After"), span_of(retry, (size_t)len)};
	}
	if (status == 401)
		headers[n++] =
			(struct http_header){SPAN_LIT("WWW-Authenticate"), SPAN_LIT("Bearer")};
	char reason[ERROR_BYTES_MAX / 2];
	int len = snprintf(reason, sizeof(reason), "%s: %.*s", code, SPAN_ARG(message));
	buf_init(&b, ERROR_BYTES_MAX * 4);
	BUF_ADD_LIT(&b, "{\"decision\":\"DENY\",\"reason\":");
	json_quote(
		&b, span_of(reason, len < (int)sizeof(reason) ? (size_t)len : sizeof(reason) - 1));
	buf_add_char(&b, '}');
	if (buf_failed(&b))
		http_request_reply(http, 503, NULL, 0,
			SPAN_LIT("{\"decision\":\"DENY\",\"reason\":\"overloaded: out of "
				 "memory\"}"));
	else
		http_request_reply(http, status, headers, n, buf_span(&b));
	buf_fini(&b);
}

void
reply_error(struct http_request *http, unsigned status, const char *code, struct span message,
	uint32_t retry_after_s)
{
	send_error(http, status, NULL, 0, code, message, retry_after_s);
}

static const struct http_header private_headers[] = {
	{{"Cache-Control", 13}, {"no-store", 8}}, {{"X-Content-Type-Options", 22}, {"nosniff", 7}}};

void
reply_json(struct http_request *http, unsigned status, struct span body)
{
	http_request_reply(http, status, private_headers, ARRAY_LEN(private_headers), body);
}

void
reply_built(struct http_request *http, unsigned status, const struct buf *body)
{
	if (buf_failed(body))
		reply_error(http, 503, "overloaded", SPAN_LIT("out of memory"), 1);
	else
		http_request_reply(http, status, NULL, 0, buf_span(body));
}

void
reply_private(struct http_request *http, unsigned status, const struct http_header *extra,
	size_t n_extra, const struct buf *body)
{
	struct http_header headers[REPLY_EXTRA_MAX + 2] = {private_headers[0], private_headers[1]};

	MUST(n_extra <= REPLY_EXTRA_MAX);
	for (size_t i = 0; i < n_extra; i++)
		headers[i + 2] = extra[i];
	if (buf_failed(body))
		reply_error(http, 503, "overloaded", SPAN_LIT("out of memory"), 1);
	else
		http_request_reply(http, status, headers, n_extra + 2, buf_span(body));
}

static void
add_text(struct buf *b, const char *name, struct span value)
{
	if (value.n == 0)
		return;
	buf_add_char(b, ',');
	buf_add_char(b, '"');
	buf_add_cstr(b, name);
	BUF_ADD_LIT(b, "\":");
	json_quote(b, value);
}

void
reply_build_decision(struct buf *b, const struct req_result *result)
{
	BUF_ADD_LIT(b, "{\"decision\":\"");
	buf_add_cstr(b, verdict_name(result->verdict));
	buf_add_char(b, '"');
	add_text(b, "reason", span_cstr(reason_name(result->reason)));
	add_text(b, "trace_id", result->action->trace_id);
	add_text(b, "action_id", result->action->action_id);
	if (result->is_external) {
		BUF_ADD_LIT(b, ",\"execution_mode\":\"external_authorized\"");
		BUF_ADD_LIT(b, ",\"report_path\":\"" REPORT_PATH "\"");
	}
	if (result->has_output)
		add_text(b, "output", result->output);
	if (result->truncated)
		BUF_ADD_LIT(b, ",\"truncated\":true");
	if (result->has_bytes_written && result->bytes_written > 0) {
		BUF_ADD_LIT(b, ",\"bytes_written\":");
		buf_add_int(b, result->bytes_written);
	}
	if (result->obligations != NULL && result->obligations->canonical.n > 2) {
		BUF_ADD_LIT(b, ",\"obligations\":");
		buf_add_span(b, result->obligations->canonical);
	}
	add_text(b, "approval_id", result->approval_id);
	if (result->has_fingerprint)
		add_text(b, "approval_fingerprint", span_cstr(result->action->fingerprint));
	if (result->approval_id.n > 0) {
		char expires[CLOCK_TEXT_MAX];
		size_t n = clock_format(result->approval_expires_wall_ns, expires);

		add_text(b, "approval_expires_at", span_of(expires, n));
		add_text(b, "approval_status", span_cstr(result->approval_status));
	}
	BUF_ADD_LIT(b, "}\n");
}

void
reply_decision(struct http_request *http, const struct http_header *extra, size_t n_extra,
	struct span body)
{
	struct http_header headers[TRACE_HEADERS_MAX + REPLY_EXTRA_MAX];
	size_t n = trace_context_echo(http, headers);

	MUST(n_extra <= REPLY_EXTRA_MAX);
	for (size_t i = 0; i < n_extra; i++)
		headers[n++] = extra[i];
	http_request_reply(http, 200, headers, n, body);
}

void
reply_result(struct http_request *http, struct arena *a, const struct req_result *result,
	const struct http_header *extra, size_t n_extra)
{
	struct http_header headers[TRACE_HEADERS_MAX + REPLY_EXTRA_MAX + 1];
	size_t n = trace_context_echo(http, headers);
	struct buf b;

	MUST(n_extra <= REPLY_EXTRA_MAX);
	for (size_t i = 0; i < n_extra; i++)
		headers[n++] = extra[i];
	if (result->is_replayed)
		headers[n++] =
			(struct http_header){SPAN_LIT("Idempotency-Replayed"), SPAN_LIT("true")};
	if (result->error != REQ_DECIDED) {
		send_error(http, req_error_status(result->error), headers, n,
			req_error_code(result->error), result->message, result->retry_after_s);
		return;
	}
	if (result->explain.n > 0 || result->report.n > 0) {
		http_request_reply(http, 200, headers, n,
			result->explain.n > 0 ? result->explain : result->report);
		return;
	}
	/* The request's arena costs nothing, but an effect may have filled it. */
	buf_init_arena(&b, a, BUF_CAP_REPLY + QUOTED_GROWTH * result->output.n);
	reply_build_decision(&b, result);
	if (buf_failed(&b)) {
		buf_init(&b, BUF_CAP_REPLY + QUOTED_GROWTH * result->output.n);
		reply_build_decision(&b, result);
	}
	if (buf_failed(&b))
		/* What was decided and done is recorded, so nobody is invited to try again. */
		send_error(http, req_error_status(REQ_ERROR_INTERNAL), headers, n,
			req_error_code(REQ_ERROR_INTERNAL),
			SPAN_LIT("out of memory for the reply; the action is recorded"), 0);
	else
		http_request_reply(http, 200, headers, n, buf_span(&b));
	buf_fini(&b);
}
