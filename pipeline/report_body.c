/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the body of a report. As strict as that of an action: unknown members, names that differ only in case, other types
 * are refused. Pure.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "report.h"

enum {
	TYPE_BYTES_MAX = 256,
	REFERENCE_BYTES_MAX = 1024,
	MESSAGE_BYTES_MAX = 16384,
	STATUS_CODE_MAX = 999999,
};

static const char *const MEMBERS[] = {"schema_version", "action_id", "trace_id", "action_type",
	"resource", "outcome", "message", "external_reference", "approval_id",
	"approval_fingerprint", "status_code"};

static enum err
check_members(const struct json *root, struct errinfo *ei)
{
	const char *twin = NULL;

	if (root->type != JSON_OBJECT)
		return ERR(ei, ERR_PARSE, "the report must be an object");
	const struct json *odd = json_find_unknown(root, MEMBERS, ARRAY_LEN(MEMBERS), true, &twin);
	if (odd != NULL && twin != NULL)
		return ERR(ei, ERR_PARSE, "member \"%.*s\" differs only in case from \"%s\"",
			SPAN_ARG(odd->name), twin);
	if (odd != NULL)
		return ERR(ei, ERR_PARSE, "json: unknown field \"%.*s\"", SPAN_ARG(odd->name));
	return OK;
}

/* Absent and null: the empty span. */
static enum err
get_text(const struct json *root, const char *name, struct span *out, struct errinfo *ei)
{
	const struct json *v = json_find_cstr(root, name);

	*out = SPAN_NONE;
	if (v == NULL || v->type == JSON_NULL)
		return OK;
	if (v->type != JSON_STRING)
		return ERR(ei, ERR_INVALID, "%s must be a string", name);
	*out = v->text;
	return OK;
}

static enum err
get_status_code(const struct json *root, struct report *r, struct errinfo *ei)
{
	const struct json *v = json_find_cstr(root, "status_code");

	if (v == NULL || v->type == JSON_NULL)
		return OK;
	if (!json_get_int(v, -STATUS_CODE_MAX, STATUS_CODE_MAX, &r->status_code))
		return ERR(ei, ERR_INVALID, "status_code must be an integer");
	r->has_status_code = true;
	return OK;
}

static const char *
find_problem(const struct report *r, struct span version)
{
	if (!span_eq_cstr(span_trim(version), "v1"))
		return "schema_version must be v1";
	if (span_trim(r->action_id).n == 0)
		return "action_id is required";
	if (span_trim(r->trace_id).n == 0)
		return "trace_id is required";
	if (r->action_type.n == 0)
		return "action_type is required";
	if (r->action_type.n > TYPE_BYTES_MAX || !id_is_action_type(r->action_type))
		return "action_type has invalid format";
	if (action_kind_of(r->action_type) != ACTION_CUSTOM)
		return "built-in action types do not support external outcome reporting";
	if (r->resource_raw.n == 0)
		return "resource is required";
	if (r->resource_raw.n > ACTION_RESOURCE_BYTES_MAX)
		return "resource exceeds 8192 bytes";
	if (!span_eq_cstr(r->outcome, "SUCCEEDED") && !span_eq_cstr(r->outcome, "FAILED"))
		return "outcome must be SUCCEEDED or FAILED";
	if (r->message.n > MESSAGE_BYTES_MAX)
		return "message exceeds 16384 bytes";
	if (r->external_reference.n > REFERENCE_BYTES_MAX)
		return "external_reference exceeds 1024 bytes";
	return NULL;
}

/* Each part behind its length. */
static bool
set_hash(struct report *r, struct arena *a)
{
	const struct span parts[] = {r->outcome, r->message, r->external_reference};
	struct buf b;

	buf_init_arena(&b, a, BUF_CAP_RECORD);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		buf_add_uint(&b, parts[i].n);
		buf_add_char(&b, ':');
		buf_add_span(&b, parts[i]);
	}
	if (r->has_status_code)
		buf_add_int(&b, r->status_code);
	hash_sha256_hex(buf_span(&b), r->hash);
	return !buf_failed(&b);
}

enum err
report_parse(struct span body, struct arena *a, struct report **out, struct errinfo *ei)
{
	struct report *r = ARENA_NEW(a, struct report);
	const struct json *root = NULL;
	struct span version = SPAN_NONE;
	enum err rc = r != NULL ? OK : ERR(ei, ERR_TOO_LARGE, "no room for the report");

	*out = NULL;
	if (rc == OK && body.n > ACTION_BODY_BYTES_MAX)
		rc = ERR(ei, ERR_TOO_LARGE, "request exceeds %d bytes", ACTION_BODY_BYTES_MAX);
	if (rc == OK)
		rc = json_parse(body, a, &root, NULL, ei);
	if (rc == OK)
		rc = check_members(root, ei);
	if (rc != OK)
		return rc;
	*r = (struct report){.has_status_code = false};
	const struct {
		const char *name;
		struct span *out;
	} texts[] = {
		{"schema_version", &version},
		{"action_id", &r->action_id},
		{"trace_id", &r->trace_id},
		{"action_type", &r->action_type},
		{"resource", &r->resource_raw},
		{"outcome", &r->outcome},
		{"message", &r->message},
		{"external_reference", &r->external_reference},
		{"approval_id", &r->approval_id},
		{"approval_fingerprint", &r->approval_fingerprint},
	};
	for (size_t i = 0; rc == OK && i < ARRAY_LEN(texts); i++)
		rc = get_text(root, texts[i].name, texts[i].out, ei);
	if (rc == OK)
		rc = get_status_code(root, r, ei);
	if (rc != OK)
		return rc;
	r->action_type = span_trim(r->action_type);
	r->resource_raw = span_trim(r->resource_raw);
	r->outcome = span_trim(r->outcome);
	const char *problem = find_problem(r, version);
	if (problem != NULL)
		return ERR(ei, ERR_INVALID, "%s", problem);
	if (!set_hash(r, a))
		return ERR(ei, ERR_TOO_LARGE, "no room for the report");
	*out = r;
	return OK;
}
