/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /api/ui/actions/{seq}/settle for the role operator: what became of an action whose outcome the ledger does not know.
 * Reads the request and words the answer; pipeline/settle.c decides. Worker's thread.
 */
#include "routes.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/parse.h"
#include "pipeline/settle.h"

#define SETTLE_ARENA_BYTES ((size_t)2 * 1024 * 1024)

static const char *
read_outcome(struct span text, bool *is_success)
{
	*is_success = span_eq_cstr(text, "succeeded");
	return *is_success || span_eq_cstr(text, "failed") ? NULL
							   : "outcome must be succeeded or failed";
}

static struct span
text_of(const struct json *root, const char *name)
{
	const struct json *v = json_find_cstr(root, name);

	return v != NULL && v->type == JSON_STRING ? v->text : SPAN_NONE;
}

/* NULL, or what is wrong with the body. */
static const char *
read_body(struct span body, struct arena *a, struct settle_request *out)
{
	static const char *const known[] = {"outcome", "reason"};
	const struct json *root = NULL;

	if (json_parse(body, a, &root, NULL, NULL) != OK || root->type != JSON_OBJECT)
		return "the body must be a JSON object";
	if (json_find_unknown(root, known, ARRAY_LEN(known), true, NULL) != NULL)
		return "only outcome and reason are known";
	out->reason = span_trim(text_of(root, "reason"));
	if (out->reason.n == 0)
		return "reason is required";
	if (out->reason.n > SETTLE_REASON_BYTES_MAX)
		return "reason exceeds 4096 bytes";
	return read_outcome(text_of(root, "outcome"), &out->is_success);
}

static void
reply_failure(struct http_request *http, enum err result, bool stands, bool is_doubtful)
{
	switch ((int)result) {
	case ERR_NOT_FOUND:
		reply_error(http, 404, "not_found",
			SPAN_LIT("there is no action with an unknown outcome"), 0);
		return;
	case ERR_CONFLICT:
		reply_error(http, 409, "already_settled",
			SPAN_LIT("the outcome of this action was settled before"), 0);
		return;
	case ERR_UNSUPPORTED:
		reply_error(http, 404, "not_enabled", SPAN_LIT("there is no ledger"), 0);
		return;
	case ERR_NOMEM:
	case ERR_OVERLOAD:
	case ERR_BUSY:
		reply_error(http, 503, "overloaded", SPAN_LIT("no room for the request"), 1);
		return;
	default:
		break;
	}
	if (is_doubtful)
		reply_error(http, 503, "outcome_unknown",
			SPAN_LIT("the ledger failed while this was written, so it may stand or "
				 "not; settle it again once the ledger works: what stands is "
				 "answered 409"),
			1);
	else
		reply_error(http, 503, "audit_error",
			stands ? SPAN_LIT("it is recorded and stands, but the ledger or a required "
					  "sink has not confirmed it; do not settle it again")
			       : SPAN_LIT("the ledger cannot take this now; nothing was recorded"),
			stands ? 0 : 1);
}

static void
on_done(void *arg, enum err result, uint64_t intent_seq, bool is_doubtful)
{
	struct http_request *http = arg;
	struct buf b;

	if (result != OK) {
		reply_failure(http, result, intent_seq != 0, is_doubtful);
		return;
	}
	buf_init(&b, 128);
	BUF_ADD_LIT(&b, "{\"settled\":true,\"intent_seq\":");
	buf_add_uint(&b, intent_seq);
	BUF_ADD_LIT(&b, "}\n");
	reply_built(http, 200, &b);
	buf_fini(&b);
}

void
api_settle(const struct exchange *x)
{
	struct settle_request request = {
		.principal = x->caller.principal,
		.loop = worker_get_loop(x->worker),
		.done = on_done,
		.arg = x->http,
	};
	struct arena *a = arena_new(SETTLE_ARENA_BYTES);
	struct errinfo ei;
	enum err rc = ERR_NOMEM;
	const char *problem = NULL;

	if (!parse_uint(x->id, INT64_MAX, &request.seq) || request.seq == 0)
		problem = "a record has a number";
	else if (a != NULL)
		problem = read_body(http_request_get_body(x->http), a, &request);
	if (problem != NULL) {
		reply_error(x->http, 400, "validation_error", span_cstr(problem), 0);
	} else {
		http_request_defer(x->http);
		if (a != NULL)
			rc = settle_start(worker_get_pipeline(x->worker),
				worker_get_snapshot(x->worker), &request, &ei);
		if (rc != OK)
			reply_failure(x->http, rc, false, false);
	}
	arena_free(&a);
}
