/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Approvals over HTTP (nomos-http.md 1.7, 5, 7; decisions 26 to 30): people and relays decide, operators look, an agent asks after
 * its own. Bodies and credentials are read here; all else is pipeline/approvals.h. Worker's thread.
 */
#include "routes.h"

#include "base/arena.h"
#include "base/parse.h"
#include "json_fields.h"
#include "pipeline/approvals.h"
#include "query_string.h"

#define BODY_ARENA_BYTES ((size_t)2 * 1024 * 1024)
#define PAGE_DEFAULT 25

static void
on_done(const struct approvals_answer *answer, void *arg)
{
	struct http_request *http = arg;

	if (answer->status == 200)
		reply_json(http, 200, answer->text);
	else
		reply_error(
			http, answer->status, answer->code, answer->text, answer->retry_after_s);
}

static struct approvals_call
make_call(const struct exchange *x)
{
	http_request_defer(x->http);
	return (struct approvals_call){
		.pipeline = worker_get_pipeline(x->worker),
		.snapshot = worker_get_snapshot(x->worker),
		.loop = worker_get_loop(x->worker),
		.done = on_done,
		.arg = x->http,
	};
}

/* ---- decisions ---- */

struct body {
	struct approvals_ballot ballot;
	struct span user;
	struct span
		place; /* where the relay's user said so: asked for, as clients of the reference send it */
};

static void
decide(const struct exchange *x, const struct json_field *fields, size_t n, const char *missing,
	struct body *body)
{
	struct arena *a = arena_new(BODY_ARENA_BYTES);
	struct errinfo ei;
	enum err rc;

	if (a == NULL) {
		reply_error(x->http, 503, "overloaded", SPAN_LIT("out of memory"), 1);
		return;
	}
	rc = json_fields_read(http_request_get_body(x->http), fields, n, missing, a, &ei);
	if (rc == OK) {
		struct approvals_call call = make_call(x);

		if (body->ballot.channel != CHANNEL_API && body->ballot.channel != CHANNEL_UI)
			body->ballot.relayed_user = body->user;
		approvals_decide(&call, &body->ballot);
	} else {
		reply_error(x->http, 400, "validation_error", span_cstr(ei.msg), 0);
	}
	arena_free(&a);
}

static bool
check_media_type(const struct exchange *x)
{
	if (req_is_json(http_request_find_header(x->http, SPAN_LIT("Content-Type"))))
		return true;
	reply_error(x->http, 415, "validation_error", REQ_TEXT_MEDIA_TYPE, 0);
	return false;
}

static void
decide_as_principal(const struct exchange *x, enum approval_channel channel)
{
	struct body b = {.ballot = {.channel = channel, .caller = x->caller}};
	const struct json_field fields[] = {
		{"approval_id", &b.ballot.approval_id, NULL, true},
		{"decision", &b.ballot.decision, NULL, true},
		{"reason", &b.ballot.reason, NULL, false},
		{"ack_redacted", NULL, &b.ballot.ack_redacted, false},
	};

	if (check_media_type(x))
		decide(x, fields, ARRAY_LEN(fields), "approval_id and decision are required", &b);
}

void
api_approvals_decide(const struct exchange *x)
{
	decide_as_principal(x, CHANNEL_API);
}

void
api_ui_approvals_decide(const struct exchange *x)
{
	decide_as_principal(x, CHANNEL_UI);
}

void
api_webhook(const struct exchange *x)
{
	struct body b = {.ballot = {.channel = CHANNEL_WEBHOOK}};
	const struct json_field fields[] = {
		{"approval_id", &b.ballot.approval_id, NULL, true},
		{"decision", &b.ballot.decision, NULL, true},
		{"reason", &b.ballot.reason, NULL, false},
		{"ack_redacted", NULL, &b.ballot.ack_redacted, false},
		{"user_id", &b.user, NULL, false},
	};

	decide(x, fields, ARRAY_LEN(fields), "approval_id and decision are required", &b);
}

void
api_webhook_slack(const struct exchange *x)
{
	struct body b = {.ballot = {.channel = CHANNEL_SLACK}};
	const struct json_field fields[] = {
		{"approval_id", &b.ballot.approval_id, NULL, true},
		{"decision", &b.ballot.decision, NULL, true},
		{"user_id", &b.user, NULL, true},
		{"channel_id", &b.place, NULL, true},
		{"comment", &b.ballot.reason, NULL, false},
		{"ack_redacted", NULL, &b.ballot.ack_redacted, false},
	};

	decide(x, fields, ARRAY_LEN(fields),
		"approval_id, decision, user_id, and channel_id are required", &b);
}

void
api_webhook_teams(const struct exchange *x)
{
	struct body b = {.ballot = {.channel = CHANNEL_TEAMS}};
	const struct json_field fields[] = {
		{"approval_id", &b.ballot.approval_id, NULL, true},
		{"decision", &b.ballot.decision, NULL, true},
		{"user_aad_id", &b.user, NULL, true},
		{"conversation_id", &b.place, NULL, true},
		{"comment", &b.ballot.reason, NULL, false},
		{"ack_redacted", NULL, &b.ballot.ack_redacted, false},
	};

	decide(x, fields, ARRAY_LEN(fields),
		"approval_id, decision, user_aad_id, and conversation_id are required", &b);
}

/* ---- looking ---- */

/* An absent parameter leaves *v. */
static bool
parse_number(struct span text, uint64_t min, uint64_t max, uint64_t *v)
{
	return text.n == 0 || (parse_uint(text, max, v) && *v >= min);
}

static bool
parse_page(struct span query, struct arena *a, struct approvals_page *page)
{
	static const char *const names[] = {"limit", "cursor", "status"};
	struct span values[ARRAY_LEN(names)];
	uint64_t limit = PAGE_DEFAULT;
	struct errinfo ei;

	if (query_string_read(query, names, ARRAY_LEN(names), values, a, &ei) != OK ||
		!parse_number(values[0], 1, APPROVALS_PAGE_MAX, &limit) ||
		!parse_number(values[1], 1, INT64_MAX, &page->before_seq))
		return false;
	page->limit = (size_t)limit;
	page->is_all = span_eq_nocase(values[2], SPAN_LIT("all"));
	/* Rows have PENDING. */
	return page->is_all || values[2].n == 0 || span_eq_nocase(values[2], SPAN_LIT("pending"));
}

void
api_ui_approvals(const struct exchange *x)
{
	struct approvals_page page = {.principal = x->caller.principal};
	struct arena *a = arena_new(BODY_ARENA_BYTES);

	if (a == NULL) {
		reply_error(x->http, 503, "overloaded", SPAN_LIT("out of memory"), 1);
	} else if (!parse_page(http_request_get_query(x->http), a, &page)) {
		reply_error(x->http, 400, "validation_error",
			SPAN_LIT("limit is 1 to 200, status is pending or all, cursor is what the "
				 "page before said"),
			0);
	} else {
		struct approvals_call call = make_call(x);

		approvals_list(&call, &page);
	}
	arena_free(&a);
}

void
api_ui_approval(const struct exchange *x)
{
	struct approvals_call call = make_call(x);

	approvals_show(&call, x->id, &x->caller);
}

void
api_approval(const struct exchange *x)
{
	struct approvals_call call = make_call(x);

	approvals_look(&call, x->id, &x->identity);
}
