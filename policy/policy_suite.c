/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs permission tests. Each case becomes an ordinary action, parsed and normalised by the code
 * that serves requests, so that a suite cannot pass with an action that the gateway would read
 * differently. Pure; any thread.
 */
#include "policy/suite.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "policy/action.h"

struct run {
	const struct policy *policy;
	struct arena *arena;
	struct errinfo *ei;
	struct identity identity;
};

static enum err
full(const struct run *r)
{
	return ERR(r->ei, ERR_TOO_LARGE, "the suite does not fit into memory");
}

/* An object with these members only. */
static enum err
check_object(const struct run *r, const struct json *v, const char *what, const char *const known[],
	size_t n_known)
{
	const char *twin = NULL;

	if (v == NULL || v->type != JSON_OBJECT)
		return ERR(r->ei, ERR_INVALID, "%s must be an object", what);
	const struct json *m = json_find_unknown(v, known, n_known, true, &twin);
	if (m != NULL)
		return ERR(r->ei, ERR_INVALID, "%u:%u: %s has unknown field \"%.*s\"", m->line,
			m->column, what, SPAN_ARG(m->name));
	return OK;
}

static enum err
take_text(const struct run *r, const struct json *o, const char *name, const char *what,
	struct span *out)
{
	const struct json *v = json_find_cstr(o, name);

	*out = SPAN_NONE;
	if (v == NULL || v->type != JSON_STRING || span_trim(v->text).n == 0)
		return ERR(r->ei, ERR_INVALID, "%s: %s is required", what, name);
	*out = v->text;
	return OK;
}

static enum err
parse_identity(struct run *r, const struct json *top)
{
	static const char *const known[] = {"principal", "agent", "environment"};
	const struct json *v = json_find_cstr(top, "identity");

	enum err rc = check_object(r, v, "identity", known, ARRAY_LEN(known));
	if (rc == OK)
		rc = take_text(r, v, "principal", "identity", &r->identity.principal);
	if (rc == OK)
		rc = take_text(r, v, "agent", "identity", &r->identity.agent);
	if (rc == OK)
		rc = take_text(r, v, "environment", "identity", &r->identity.environment);
	return rc;
}

static int
compare_spans(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static enum err
parse_rules(const struct run *r, const struct json *c, const char *what, struct suite_result *out)
{
	const struct json *list = json_find_cstr(c, "rules");

	if (list == NULL)
		return OK;
	if (list->type != JSON_ARRAY)
		return ERR(r->ei, ERR_INVALID, "%s: rules must be a list of strings", what);
	struct span *ids = ARENA_ARRAY(r->arena, struct span, list->n + 1u);
	size_t n = 0;
	if (ids == NULL)
		return full(r);
	for (const struct json *e = list->first; e != NULL; e = e->next) {
		if (e->type != JSON_STRING)
			return ERR(r->ei, ERR_INVALID, "%s: rules must be a list of strings", what);
		ids[n++] = e->text;
	}
	qsort(ids, n, sizeof(*ids), compare_spans);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || !span_eq(ids[i], ids[i - 1]))
			ids[out->n_wanted++] = ids[i];
	}
	out->wanted = ids;
	out->has_wanted = true;
	return OK;
}

static bool
parse_verdict(const struct json *v, enum verdict *out)
{
	for (int i = 0; i < VERDICT__MAX && v != NULL && v->type == JSON_STRING; i++) {
		if (span_eq_cstr(v->text, verdict_name((enum verdict)i))) {
			*out = (enum verdict)i;
			return true;
		}
	}
	return false;
}

/* The case's action as the body of a request. */
static enum err
build_action(const struct run *r, const struct json *v, size_t number, const char *what,
	struct action **out)
{
	static const char *const known[] = {"action_type", "resource", "params"};
	const struct json *params = json_find_cstr(v, "params");
	struct span type;
	struct span resource;
	struct buf b;

	*out = NULL;
	enum err rc = check_object(r, v, what, known, ARRAY_LEN(known));
	if (rc == OK)
		rc = take_text(r, v, "action_type", what, &type);
	if (rc == OK)
		rc = take_text(r, v, "resource", what, &resource);
	if (rc != OK)
		return rc;
	if (params != NULL && params->type != JSON_OBJECT)
		return ERR(r->ei, ERR_INVALID, "%s: params must be an object", what);
	buf_init_arena(&b, r->arena, ACTION_BODY_BYTES_MAX + 1024);
	buf_printf(&b,
		"{\"schema_version\":\"v1\",\"action_id\":\"test-%zu\",\"trace_id\":\"permission-"
		"test\","
		"\"context\":{},\"action_type\":",
		number);
	json_quote(&b, type);
	BUF_ADD_LIT(&b, ",\"resource\":");
	json_quote(&b, resource);
	BUF_ADD_LIT(&b, ",\"params\":");
	buf_add_span(&b, params != NULL ? params->source : SPAN_LIT("{}"));
	buf_add_char(&b, '}');
	if (buf_failed(&b))
		return full(r);
	rc = action_parse(buf_span(&b), r->arena, out, r->ei);
	if (rc == OK)
		rc = action_normalize(*out, &r->identity, r->arena, r->ei);
	return rc == OK ? OK : ERR_WRAP(r->ei, rc, "%s", what);
}

static bool
is_wanted(const struct suite_result *result)
{
	if (!result->has_wanted)
		return true;
	if (result->n_wanted != result->n_matched)
		return false;
	for (size_t i = 0; i < result->n_wanted; i++) {
		if (!span_eq(result->wanted[i], result->matched[i]))
			return false;
	}
	return true;
}

static enum err
run_case(const struct run *r, const struct json *c, size_t number, struct suite_result *out)
{
	static const char *const known[] = {"name", "action", "expect", "rules"};
	char what[160];
	struct action *action = NULL;
	struct decision d;

	*out = (struct suite_result){0};
	snprintf(what, sizeof(what), "case %zu", number);
	enum err rc = check_object(r, c, what, known, ARRAY_LEN(known));
	if (rc == OK)
		rc = take_text(r, c, "name", what, &out->name);
	if (rc != OK)
		return rc;
	snprintf(what, sizeof(what), "case %zu \"%.*s\"", number,
		(int)(out->name.n < 100 ? out->name.n : 100), out->name.p);
	if (!parse_verdict(json_find_cstr(c, "expect"), &out->expected))
		return ERR(r->ei, ERR_INVALID, "%s: expect must be ALLOW, DENY or REQUIRE_APPROVAL",
			what);
	rc = parse_rules(r, c, what, out);
	if (rc == OK)
		rc = build_action(r, json_find_cstr(c, "action"), number, what, &action);
	if (rc != OK)
		return rc;
	rc = policy_eval(r->policy, action, r->arena, &d);
	if (rc != OK)
		return full(r);
	out->actual = d.verdict;
	out->matched = d.rule_ids;
	out->n_matched = d.n_rule_ids;
	out->passed = out->actual == out->expected && is_wanted(out);
	return OK;
}

static enum err
check_names(const struct run *r, const struct suite_result *results, size_t n)
{
	struct span *names = ARENA_ARRAY(r->arena, struct span, n);

	if (names == NULL)
		return full(r);
	for (size_t i = 0; i < n; i++)
		names[i] = results[i].name;
	qsort(names, n, sizeof(*names), compare_spans);
	for (size_t i = 1; i < n; i++) {
		if (span_eq(names[i], names[i - 1]))
			return ERR(r->ei, ERR_INVALID, "duplicate case name \"%.*s\"",
				SPAN_ARG(names[i]));
	}
	return OK;
}

static enum err
check_top(struct run *r, const struct json *top)
{
	static const char *const known[] = {"schema_version", "identity", "cases"};
	const struct json *cases = json_find_cstr(top, "cases");
	struct span version;

	enum err rc = check_object(r, top, "suite", known, ARRAY_LEN(known));
	if (rc == OK)
		rc = take_text(r, top, "schema_version", "suite", &version);
	if (rc == OK && !span_eq_cstr(version, "v1"))
		rc = ERR(r->ei, ERR_INVALID, "suite: schema_version must be v1");
	if (rc == OK)
		rc = parse_identity(r, top);
	if (rc == OK && (cases == NULL || cases->type != JSON_ARRAY || cases->n == 0))
		rc = ERR(r->ei, ERR_INVALID, "suite: at least one case is required");
	return rc;
}

enum err
suite_run(const struct policy *p, struct span text, struct arena *a, struct suite_report *out,
	struct errinfo *ei)
{
	struct run r = {.policy = p, .arena = a, .ei = ei};
	const struct json *top = NULL;
	size_t n = 0;

	*out = (struct suite_report){0};
	enum err rc = json_parse(text, a, &top, NULL, ei);
	if (rc != OK)
		return rc;
	rc = check_top(&r, top);
	if (rc != OK)
		return rc;
	const struct json *cases = json_find_cstr(top, "cases");
	struct suite_result *results = ARENA_ARRAY(a, struct suite_result, cases->n);
	if (results == NULL)
		return full(&r);
	size_t n_passed = 0;
	for (const struct json *c = cases->first; c != NULL; c = c->next) {
		rc = run_case(&r, c, n + 1, &results[n]);
		if (rc != OK)
			return rc;
		n_passed += results[n].passed ? 1 : 0;
		n++;
	}
	rc = check_names(&r, results, n);
	if (rc == OK)
		*out = (struct suite_report){results, n, n_passed};
	return rc;
}
