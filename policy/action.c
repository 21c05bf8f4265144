/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the request body of one action (nomos-http.md 1.4). Strict where the reference is lax: duplicate members and names that
 * differ only in case are refused, so that no other parser can see another action in the same bytes. It never takes an
 * identity from a request; only the file form of the command line has one. Pure; any thread.
 */
#include "policy/action.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"

#define PROBLEMS_MAX 10
#define N_WIRE_MEMBERS 7

/* No cap in the reference. Types become keys of limits and metrics, so they are kept short here. */
#define ACTION_TYPE_BYTES_MAX 256

static const char *const MEMBERS[] = {"schema_version", "action_id", "action_type", "resource",
	"params", "trace_id", "context", "principal", "agent", "environment"};

/* Field problems in the order in which they are reported; static texts. */
struct problems {
	const char *text[PROBLEMS_MAX];
	size_t n;
};

/* The word that Go's decoder has for a value. */
static const char *
get_go_word(enum json_type type)
{
	switch (type) {
	case JSON_NULL:
		return "null";
	case JSON_BOOL:
		return "bool";
	case JSON_NUMBER:
		return "number";
	case JSON_STRING:
		return "string";
	case JSON_ARRAY:
		return "array";
	case JSON_OBJECT:
		return "object";
	}
	return "value";
}

static enum err
parse_text(struct span text, struct arena *a, const struct json **root, struct errinfo *ei)
{
	struct json_error je = {.fault = JSON_FAULT_NONE};

	if (text.n > ACTION_BODY_BYTES_MAX)
		return ERR(ei, ERR_TOO_LARGE, "request exceeds %d bytes", ACTION_BODY_BYTES_MAX);
	enum err rc = json_parse(text, a, root, &je, ei);
	if (rc == OK)
		return OK;
	if (je.fault == JSON_FAULT_EMPTY)
		return ERR(ei, ERR_PARSE, "EOF");
	if (je.fault == JSON_FAULT_CUT)
		return ERR(ei, ERR_PARSE, "unexpected EOF");
	if (je.fault == JSON_FAULT_TRAILING)
		return ERR(ei, ERR_PARSE, "unexpected trailing data");
	return rc;
}

static enum err
refuse_twin(const struct json *member, const char *twin, struct errinfo *ei)
{
	return ERR(ei, ERR_PARSE, "member \"%.*s\" differs only in case from \"%s\"",
		SPAN_ARG(member->name), twin);
}

/* null has no members, as in the reference: all required ones are missing then. */
static enum err
check_members(const struct json *root, size_t n_known, struct errinfo *ei)
{
	const char *twin = NULL;

	if (root->type == JSON_NULL)
		return OK;
	if (root->type != JSON_OBJECT)
		return ERR(ei, ERR_PARSE,
			"json: cannot unmarshal %s into Go value of type action.requestPayload",
			get_go_word(root->type));
	const struct json *unknown = json_find_unknown(root, MEMBERS, n_known, true, &twin);
	if (unknown == NULL)
		return OK;
	if (twin != NULL)
		return refuse_twin(unknown, twin, ei);
	return ERR(ei, ERR_PARSE, "json: unknown field \"%.*s\"", SPAN_ARG(unknown->name));
}

struct text_member {
	const char *name;
	struct span *out;
};

/* Absent and null members give the empty span. */
static enum err
get_texts(const struct json *root, const struct text_member members[], size_t n, struct errinfo *ei)
{
	for (size_t i = 0; i < n; i++) {
		const struct json *v = json_find_cstr(root, members[i].name);
		if (v == NULL || v->type == JSON_NULL)
			continue;
		if (v->type != JSON_STRING)
			return ERR(ei, ERR_PARSE,
				"json: cannot unmarshal %s into Go struct field "
				"requestPayload.%s of type string",
				get_go_word(v->type), members[i].name);
		*members[i].out = v->text;
	}
	return OK;
}

static bool
is_blank(struct span s)
{
	return span_trim(s).n == 0;
}

/* text NULL: no problem. */
static void
add_problem(struct problems *p, const char *text)
{
	if (text != NULL && p->n < PROBLEMS_MAX)
		p->text[p->n++] = text;
}

static const char *
judge_params(const struct json *params)
{
	if (params == NULL)
		return "params is required";
	if (params->source.n > ACTION_PARAMS_BYTES_MAX)
		return "params exceeds 32768 bytes";
	return params->type == JSON_OBJECT ? NULL : "params must be an object";
}

static void
judge_fields(const struct action *act, const struct json *context, struct problems *p)
{
	if (is_blank(act->schema_version))
		add_problem(p, "schema_version is required");
	else if (!span_eq(act->schema_version, SPAN_LIT("v1")))
		add_problem(p, "schema_version must be v1");
	if (is_blank(act->action_id))
		add_problem(p, "action_id is required");
	else if (!id_is_valid(act->action_id))
		add_problem(p, "action_id has invalid format");
	if (act->action_type.n == 0)
		add_problem(p, "action_type is required");
	else if (act->action_type.n > ACTION_TYPE_BYTES_MAX || !id_is_action_type(act->action_type))
		add_problem(p, "action_type has invalid format");
	if (act->resource_raw.n == 0)
		add_problem(p, "resource is required");
	else if (act->resource_raw.n > ACTION_RESOURCE_BYTES_MAX)
		add_problem(p, "resource exceeds 8192 bytes");
	if (is_blank(act->trace_id))
		add_problem(p, "trace_id is required");
	else if (!id_is_valid(act->trace_id))
		add_problem(p, "trace_id has invalid format");
	add_problem(p, judge_params(act->params_json));
	if (context == NULL || context->type == JSON_NULL)
		add_problem(p, "context is required");
}

static void
judge_identity(const struct identity *identity, struct problems *p)
{
	if (is_blank(identity->principal))
		add_problem(p, "principal is required");
	if (is_blank(identity->agent))
		add_problem(p, "agent is required");
	if (is_blank(identity->environment))
		add_problem(p, "environment is required");
}

static enum err
report(const struct problems *p, struct arena *a, struct errinfo *ei)
{
	struct buf text;

	if (p->n == 0)
		return OK;
	buf_init_arena(&text, a, ERRINFO_MAX);
	for (size_t i = 0; i < p->n; i++) {
		if (i > 0)
			BUF_ADD_LIT(&text, "; ");
		buf_add_cstr(&text, p->text[i]);
	}
	if (buf_failed(&text))
		return ERR(ei, ERR_TOO_LARGE, "request needs too much memory");
	return ERR(ei, ERR_INVALID, "%.*s", SPAN_ARG(buf_span(&text)));
}

/* Free members but for the one that is known, which must not have a second spelling; nor may its own member. */
static enum err
check_extensions(const struct json *extensions, struct errinfo *ei)
{
	static const char *const KNOWN[] = {"approval"};
	static const char *const APPROVAL_KNOWN[] = {"approval_id"};
	const char *twin = NULL;

	const struct json *found =
		json_find_unknown(extensions, KNOWN, ARRAY_LEN(KNOWN), false, &twin);
	if (found != NULL)
		return refuse_twin(found, twin, ei);
	const struct json *approval = json_find_cstr(extensions, KNOWN[0]);
	if (approval == NULL || approval->type != JSON_OBJECT)
		return OK;
	found = json_find_unknown(
		approval, APPROVAL_KNOWN, ARRAY_LEN(APPROVAL_KNOWN), false, &twin);
	return found != NULL ? refuse_twin(found, twin, ei) : OK;
}

static enum err
refuse_no_map(const struct json *v, struct errinfo *ei)
{
	return ERR(ei, ERR_INVALID,
		"json: cannot unmarshal %s into Go value of type map[string]json.RawMessage",
		get_go_word(v->type));
}

static enum err
read_context(const struct json *context, struct action *act, struct errinfo *ei)
{
	static const char *const KNOWN[] = {"extensions"};
	const char *twin = NULL;

	if (context->source.n > ACTION_CONTEXT_BYTES_MAX)
		return ERR(ei, ERR_INVALID, "context exceeds %d bytes", ACTION_CONTEXT_BYTES_MAX);
	if (context->type != JSON_OBJECT)
		return refuse_no_map(context, ei);
	const struct json *unknown =
		json_find_unknown(context, KNOWN, ARRAY_LEN(KNOWN), true, &twin);
	if (unknown != NULL && twin != NULL)
		return refuse_twin(unknown, twin, ei);
	if (unknown != NULL)
		return ERR(
			ei, ERR_INVALID, "unknown context field \"%.*s\"", SPAN_ARG(unknown->name));
	const struct json *extensions = json_find_cstr(context, KNOWN[0]);
	if (extensions == NULL || extensions->type == JSON_NULL)
		return OK;
	if (extensions->type != JSON_OBJECT) {
		enum err rc = refuse_no_map(extensions, ei);
		return ERR_WRAP(ei, rc, "invalid context.extensions");
	}
	act->extensions = extensions;
	return check_extensions(extensions, ei);
}

/* identity: NULL for the wire form. */
static enum err
read_action(const struct json *root, struct arena *a, struct identity *identity, struct action *act,
	struct errinfo *ei)
{
	struct problems problems = {.n = 0};
	const struct text_member texts[] = {
		{"schema_version", &act->schema_version},
		{"action_id", &act->action_id},
		{"action_type", &act->action_type},
		{"resource", &act->resource_raw},
		{"trace_id", &act->trace_id},
	};

	enum err rc = get_texts(root, texts, ARRAY_LEN(texts), ei);
	if (rc != OK)
		return rc;
	act->action_type = span_trim(act->action_type);
	act->resource_raw = span_trim(act->resource_raw);
	act->params_json = json_find_cstr(root, "params");
	const struct json *context = json_find_cstr(root, "context");
	judge_fields(act, context, &problems);
	if (identity != NULL) {
		const struct text_member who[] = {
			{"principal", &identity->principal},
			{"agent", &identity->agent},
			{"environment", &identity->environment},
		};
		rc = get_texts(root, who, ARRAY_LEN(who), ei);
		if (rc != OK)
			return rc;
		judge_identity(identity, &problems);
	}
	rc = report(&problems, a, ei);
	if (rc != OK)
		return rc;
	act->params_raw = act->params_json->source;
	act->kind = action_kind_of(act->action_type);
	return read_context(context, act, ei);
}

static enum err
parse(struct span text, struct arena *a, struct action **out, struct identity *identity,
	struct errinfo *ei)
{
	const struct json *root = NULL;

	*out = NULL;
	if (identity != NULL)
		*identity = (struct identity){.principal = SPAN_NONE};
	enum err rc = parse_text(text, a, &root, ei);
	if (rc == OK)
		rc = check_members(
			root, identity != NULL ? ARRAY_LEN(MEMBERS) : N_WIRE_MEMBERS, ei);
	if (rc != OK)
		return rc;
	struct action *act = ARENA_NEW(a, struct action);
	if (act == NULL)
		return ERR(ei, ERR_TOO_LARGE, "request needs too much memory");
	rc = read_action(root, a, identity, act, ei);
	if (rc == OK)
		*out = act;
	else if (identity != NULL)
		*identity = (struct identity){.principal = SPAN_NONE};
	return rc;
}

enum err
action_parse(struct span body, struct arena *a, struct action **out, struct errinfo *ei)
{
	return parse(body, a, out, NULL, ei);
}

enum err
action_parse_file(struct span text, struct arena *a, struct action **out, struct identity *identity,
	struct errinfo *ei)
{
	return parse(text, a, out, identity, ei);
}
