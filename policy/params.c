/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed parameters: one strict reading per built-in kind, of the same tree whose canonical form the rules and hashes cover. Unknown
 * members, wrong types and case twins make the parameters unusable as a whole, so that no other reader can see another action
 * in them. Pure; any thread.
 */
#include "params.h"

#include "base/arena.h"
#include "params_text.h"
#include "policy/action.h"

typedef enum err (*params_read_fn)(
	const struct json *o, struct arena *a, struct action_params *out, struct errinfo *ei);

static enum err
read_fs_write(const struct json *o, struct arena *a, struct action_params *out, struct errinfo *ei)
{
	(void)a;
	return params_get_text(o, "content", true, TEXT_FREE, &out->content, ei);
}

static enum err
read_patch(const struct json *o, struct arena *a, struct action_params *out, struct errinfo *ei)
{
	enum err rc = params_get_path(o, "path", true, a, &out->path, ei);

	if (rc == OK)
		rc = params_get_text(o, "content", true, TEXT_FREE, &out->content, ei);
	return rc;
}

static enum err
read_exec(const struct json *o, struct arena *a, struct action_params *out, struct errinfo *ei)
{
	struct text_list argv;
	struct text_list env_keys;
	struct text_list lease_ids;

	enum err rc = params_get_list(o, "argv", TEXT_ARG, a, &argv, ei);
	if (rc != OK)
		return rc;
	if (argv.n == 0)
		return ERR(ei, ERR_INVALID, "argv is required");
	if (span_trim(argv.items[0]).n == 0)
		return ERR(ei, ERR_INVALID, "argv[0] must not be blank");
	rc = params_get_path(o, "cwd", false, a, &out->cwd, ei);
	if (rc == OK)
		rc = params_get_list(o, "env_allowlist_keys", TEXT_ENV_KEY, a, &env_keys, ei);
	if (rc == OK)
		rc = params_get_list(o, "credential_lease_ids", TEXT_NAME, a, &lease_ids, ei);
	if (rc != OK)
		return rc;
	out->argv = argv.items;
	out->n_argv = argv.n;
	out->env_keys = env_keys.items;
	out->n_env_keys = env_keys.n;
	out->lease_ids = lease_ids.items;
	out->n_lease_ids = lease_ids.n;
	return OK;
}

/* A second spelling of an earlier name, which an upstream may take for the same field; NULL when there is none. */
static const struct json *
find_header_twin(const struct json *headers)
{
	for (const struct json *h = headers->first; h != NULL; h = h->next) {
		for (const struct json *e = headers->first; e != h; e = e->next) {
			if (span_eq_nocase(h->name, e->name))
				return h;
		}
	}
	return NULL;
}

static enum err
read_headers(const struct json *o, const struct json **out, struct errinfo *ei)
{
	const char *why;
	const struct json *headers = json_find_cstr(o, "headers");

	if (headers == NULL || headers->type == JSON_NULL)
		return OK;
	if (headers->type != JSON_OBJECT)
		return ERR(ei, ERR_INVALID, "headers must be an object of strings");
	if (headers->n > PARAMS_HEADERS_MAX)
		return ERR(
			ei, ERR_INVALID, "headers holds more than %d members", PARAMS_HEADERS_MAX);
	for (const struct json *h = headers->first; h != NULL; h = h->next) {
		if (!params_text_is_ok(h->name, TEXT_TOKEN, &why))
			return ERR(ei, ERR_INVALID, "headers name \"%.*s\" %s", SPAN_ARG(h->name),
				why);
		if (h->type != JSON_STRING)
			return ERR(ei, ERR_INVALID, "headers.%.*s must be a string",
				SPAN_ARG(h->name));
		if (!params_text_is_ok(h->text, TEXT_FIELD, &why))
			return ERR(ei, ERR_INVALID, "headers.%.*s %s", SPAN_ARG(h->name), why);
	}
	const struct json *twin = find_header_twin(headers);
	if (twin != NULL)
		return ERR(ei, ERR_INVALID, "headers.%.*s differs only in case from another header",
			SPAN_ARG(twin->name));
	*out = headers;
	return OK;
}

static enum err
read_http(const struct json *o, struct arena *a, struct action_params *out, struct errinfo *ei)
{
	(void)a;
	enum err rc = params_get_text(o, "method", false, TEXT_FREE, &out->method, ei);
	if (rc != OK)
		return rc;
	const char *why;
	if (out->method.n == 0)
		out->method = SPAN_LIT("GET");
	else if (!params_text_is_ok(out->method, TEXT_TOKEN, &why))
		return ERR(ei, ERR_INVALID, "method %s", why);
	rc = params_get_text(o, "body", false, TEXT_FREE, &out->body, ei);
	if (rc == OK)
		rc = read_headers(o, &out->headers, ei);
	return rc;
}

static enum err
read_secret(const struct json *o, struct arena *a, struct action_params *out, struct errinfo *ei)
{
	(void)a;
	return params_get_text(o, "secret_id", true, TEXT_NAME, &out->secret_id, ei);
}

#define KNOWN_MAX 4

/* Kinds without a reader take any object: fs.read ignores its parameters, custom ones are the caller's affair. */
static const struct params_row {
	params_read_fn read;
	size_t n_known;
	const char *known[KNOWN_MAX];
} ROWS[ACTION_KIND__MAX] = {
	[ACTION_FS_WRITE] = {read_fs_write, 1, {"content"}},
	[ACTION_REPO_APPLY_PATCH] = {read_patch, 2, {"path", "content"}},
	[ACTION_PROCESS_EXEC] = {read_exec, 4,
		{"argv", "cwd", "env_allowlist_keys", "credential_lease_ids"}},
	[ACTION_NET_HTTP_REQUEST] = {read_http, 3, {"method", "body", "headers"}},
	[ACTION_SECRETS_CHECKOUT] = {read_secret, 1, {"secret_id"}},
};

static enum err
check_members(const struct json *o, const struct params_row *row, struct errinfo *ei)
{
	const char *twin = NULL;
	const struct json *unknown = json_find_unknown(o, row->known, row->n_known, true, &twin);

	if (unknown == NULL)
		return OK;
	if (twin != NULL)
		return ERR(ei, ERR_INVALID, "member \"%.*s\" differs only in case from \"%s\"",
			SPAN_ARG(unknown->name), twin);
	return ERR(ei, ERR_INVALID, "unknown member \"%.*s\"", SPAN_ARG(unknown->name));
}

enum err
params_set(struct action *action, struct arena *a, struct errinfo *ei)
{
	const struct params_row *row = &ROWS[action->kind];
	struct action_params params = {.argv = NULL};
	struct errinfo problem = {.code = OK};

	action->params = params;
	action->params_err = OK;
	action->params_problem = SPAN_NONE;
	if (row->read == NULL)
		return OK;
	enum err rc = check_members(action->params_json, row, &problem);
	if (rc == OK)
		rc = row->read(action->params_json, a, &params, &problem);
	if (rc == OK) {
		action->params = params;
		return OK;
	}
	/* Set before anything that can fail: the parameters are unusable either way. */
	action->params_err = rc;
	if (rc == ERR_INVALID)
		action->params_problem = arena_dup(a, span_cstr(problem.msg));
	if (action->params_problem.p == NULL)
		return ERR(ei, ERR_TOO_LARGE, "params need too much memory");
	return OK;
}
