/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer that is kept beside an idempotency key: a line of JSON with all that the reply needs, then the bytes of the
 * output. It holds nothing that the reply did not show, and no secret: output comes redacted and capped, texts of the
 * caller are redacted here. Built on the ledger's thread or the request's loop, read on the loop; pure but for the arena.
 */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include "exec/output.h"
#include "idempotency.h"
#include "req_state.h"

static void
add_name(struct buf *b, const char *name)
{
	if (b->n > 1)
		buf_add_char(b, ',');
	buf_add_char(b, '"');
	buf_add_cstr(b, name);
	BUF_ADD_LIT(b, "\":");
}

static void
add_text(struct buf *b, const char *name, struct span value)
{
	add_name(b, name);
	json_quote(b, value);
}

static void
add_word(struct buf *b, const char *name, bool is_so)
{
	if (!is_so)
		return;
	add_name(b, name);
	BUF_ADD_LIT(b, "true");
}

/* The error that an outcome is answered with; REQ_DECIDED for one that went well. */
static enum req_error
outcome_error(const struct req *r)
{
	if (r->executor == NULL || r->job.status == EXEC_DONE)
		return REQ_DECIDED;
	return REQ_ERROR_EXECUTION;
}

static void
build_head(struct buf *b, const struct req *r, bool is_open, struct span output, bool is_cut,
	struct arena *a)
{
	const struct redactor *redactor = r->snapshot->redactor;
	const struct obligations *o = &r->decision.obligations;
	enum req_error error = outcome_error(r);

	buf_add_char(b, '{');
	add_text(b, "action_id", output_redact(redactor, r->action->action_id, a));
	add_text(b, "trace_id", output_redact(redactor, r->action->trace_id, a));
	if (is_open) {
		BUF_ADD_LIT(b, "}\n");
		return;
	}
	add_name(b, "status");
	buf_add_uint(b, req_error_status(error));
	if (error != REQ_DECIDED) {
		add_text(b, "code", span_cstr(req_error_code(error)));
		add_text(b, "message", output_redact(redactor, r->job.message, a));
	}
	add_text(b, "reason", span_cstr(reason_name(r->result.reason)));
	add_text(b, "fingerprint", span_cstr(r->action->fingerprint));
	if (r->approval.is_used) {
		add_text(b, "approval_id", span_cstr(r->approval.id));
		add_name(b, "approval_expires_ns");
		buf_add_int(b, r->approval.expires_wall_ns);
	}
	add_word(b, "external", r->result.is_external);
	add_word(b, "output", output.p != NULL);
	add_word(b, "truncated", r->job.truncated || is_cut);
	if (r->job.has_bytes_written) {
		add_name(b, "bytes_written");
		buf_add_int(b, r->job.bytes_written);
	}
	if (o->canonical.n > 0) {
		add_name(b, "obligations");
		buf_add_span(b, o->canonical);
	}
	BUF_ADD_LIT(b, "}\n");
}

struct span
stored_answer_build(const struct req *r, bool is_open, struct arena *a)
{
	struct span output = !is_open && r->job.has_output ? r->job.output : SPAN_NONE;
	struct buf b;

	if (output.n == 0 && output.p == NULL && !is_open && r->job.has_output)
		output = SPAN_LIT("");
	buf_init_arena(&b, a, LEDGER_CLAIM_BODY_MAX);
	build_head(&b, r, is_open, output, false, a);
	if (!buf_failed(&b) && output.n > LEDGER_CLAIM_BODY_MAX - 64 - b.n) {
		/* Said in the head, which may grow by that word. */
		output.n = utf8_cut(output, LEDGER_CLAIM_BODY_MAX - 64 - b.n);
		buf_reset(&b);
		build_head(&b, r, is_open, output, true, a);
	}
	buf_add_span(&b, output);
	return buf_failed(&b) ? SPAN_NONE : buf_span(&b);
}

/* ---- reading ---- */

static struct span
text_of(const struct json *head, const char *name)
{
	const struct json *v = json_find_cstr(head, name);

	return v != NULL && v->type == JSON_STRING ? v->text : SPAN_NONE;
}

static bool
is_true(const struct json *head, const char *name)
{
	const struct json *v = json_find_cstr(head, name);

	return v != NULL && v->type == JSON_BOOL && v->boolean;
}

static bool
find_error(const struct json *head, enum req_error *out)
{
	const struct json *v = json_find_cstr(head, "status");
	struct span code = text_of(head, "code");
	int64_t status = 0;

	if (v == NULL || !json_get_int(v, 100, 599, &status))
		return false;
	for (int e = REQ_DECIDED; e < REQ_ERROR__MAX; e++) {
		*out = (enum req_error)e;
		if (req_error_status(*out) == status && span_eq_cstr(code, req_error_code(*out)))
			return true;
	}
	return false;
}

static bool
find_reason(const struct json *head, enum reason *out)
{
	for (int i = 0; i < REASON__MAX; i++) {
		*out = (enum reason)i;
		if (span_eq_cstr(text_of(head, "reason"), reason_name(*out)))
			return true;
	}
	return false;
}

/* The action of then: its ids and fingerprint, the rest is the same by its binding. */
static struct action *
read_action(struct req *r, const struct json *head)
{
	struct action *action = ARENA_NEW(r->arena, struct action);
	struct span fingerprint = text_of(head, "fingerprint");

	if (action == NULL || fingerprint.n != SHA256_HEX)
		return NULL;
	*action = *r->action;
	action->action_id = text_of(head, "action_id");
	action->trace_id = text_of(head, "trace_id");
	memcpy(action->fingerprint, fingerprint.p, SHA256_HEX);
	return action;
}

static const struct obligations *
read_obligations(struct req *r, const struct json *head)
{
	const struct json *v = json_find_cstr(head, "obligations");
	struct obligations *o = v != NULL ? ARENA_NEW(r->arena, struct obligations) : NULL;

	if (o == NULL)
		return NULL;
	*o = (struct obligations){.canonical = v->source};
	return o;
}

bool
stored_answer_read(struct req *r, struct span stored, struct span *action_id)
{
	const char *end = stored.n > 0 ? memchr(stored.p, '\n', stored.n) : NULL;
	struct req_result result = {.error = REQ_DECIDED};
	const struct json *head = NULL;
	const struct json *v;

	*action_id = SPAN_NONE;
	if (end == NULL || json_parse(span_of(stored.p, (size_t)(end - stored.p)), r->arena, &head,
				   NULL, NULL) != OK)
		return false;
	*action_id = text_of(head, "action_id");
	struct action *action = read_action(r, head);
	if (action == NULL || !find_error(head, &result.error) ||
		!find_reason(head, &result.reason))
		return false;
	result.verdict = VERDICT_ALLOW;
	result.message = text_of(head, "message");
	result.has_fingerprint = true;
	result.is_external = is_true(head, "external");
	result.truncated = is_true(head, "truncated");
	result.has_output = is_true(head, "output");
	if (result.has_output)
		result.output = span_of(end + 1, stored.n - (size_t)(end + 1 - stored.p));
	result.approval_id = text_of(head, "approval_id");
	v = json_find_cstr(head, "approval_expires_ns");
	if (v != NULL && !json_get_int(v, 0, INT64_MAX, &result.approval_expires_wall_ns))
		return false;
	v = json_find_cstr(head, "bytes_written");
	result.has_bytes_written =
		v != NULL && json_get_int(v, 0, INT64_MAX, &result.bytes_written);
	result.obligations = read_obligations(r, head);
	r->result = result;
	r->action = action;
	return true;
}
