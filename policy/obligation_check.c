/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The types of a rule's obligations. A value that an executor could not read is an error of the
 * load, since an obligation that is dropped in silence is a limit that does not exist. Runs on the
 * thread that loads.
 */
#include "obligation.h"

#include <stdio.h>

#include "base/arena.h"

static enum err
fault(const struct bundle_reader *r, const struct rule *rule, const struct json *v,
	const char *must)
{
	struct span id = span_of(rule->id.p, rule->id.n < 64 ? rule->id.n : 64);

	return bundle_fault(r, v, ERR_INVALID, "rule %.*s obligation %.*s must be %s", SPAN_ARG(id),
		SPAN_ARG(v->name), must);
}

static bool
is_text(const struct json *v)
{
	return v->type == JSON_STRING && v->text.n > 0;
}

/* No coercion here: an obligation is hashed with its own types. */
static bool
is_text_list(const struct json *v)
{
	if (v->type != JSON_ARRAY)
		return false;
	for (const struct json *e = v->first; e != NULL; e = e->next) {
		if (!is_text(e))
			return false;
	}
	return true;
}

/* A list of non-empty lists of non-empty strings. */
static bool
is_argv_list(const struct json *v)
{
	if (v->type != JSON_ARRAY)
		return false;
	for (const struct json *e = v->first; e != NULL; e = e->next) {
		if (!is_text_list(e) || e->n == 0)
			return false;
	}
	return true;
}

static enum err
check_sandbox(const struct bundle_reader *r, const struct rule *rule, const struct json *v)
{
	enum sandbox_mode mode;
	const struct json *e = v->type == JSON_ARRAY ? v->first : v;

	if (e == NULL)
		return fault(r, rule, v, "none, local, container or a list of these");
	for (; e != NULL; e = v->type == JSON_ARRAY ? e->next : NULL) {
		if (e->type != JSON_STRING || !obligation_parse_sandbox(e->text, &mode))
			return fault(r, rule, v, "none, local, container or a list of these");
		if (span_eq_cstr(e->text, obligation_sandbox_name(mode)))
			continue;
		enum err rc = bundle_warn(r, rule, v, "sandbox_mode_alias",
			"sandbox_mode \"%.*s\" is no mode; it counts as \"local\"",
			SPAN_ARG(e->text));
		if (rc != OK)
			return rc;
	}
	return OK;
}

static enum err
check_constraints(const struct bundle_reader *r, const struct rule *rule, const struct json *v)
{
	const struct json *list = json_find_cstr(v, "argv_patterns");

	if (list == NULL || v->n != 1 || list->n == 0 || !is_argv_list(list))
		return fault(
			r, rule, v, "an object with argv_patterns, a list of lists of strings");
	return OK;
}

static enum err
check_approvers(const struct bundle_reader *r, const struct rule *rule, const struct json *v)
{
	static const char *const must =
		"an object of principals, roles, groups (lists of strings) and "
		"min (1 to 100)";
	int64_t min;

	if (v->type != JSON_OBJECT || v->n == 0)
		return fault(r, rule, v, must);
	for (const struct json *m = v->first; m != NULL; m = m->next) {
		bool ok = span_eq_cstr(m->name, "min") ? json_get_int(m, 1, 100, &min)
						       : is_text_list(m);
		if (!ok)
			return fault(r, rule, v, must);
		if (!span_eq_cstr(m->name, "min") && !span_eq_cstr(m->name, "principals") &&
			!span_eq_cstr(m->name, "roles") && !span_eq_cstr(m->name, "groups"))
			return fault(r, rule, v, must);
	}
	return OK;
}

static enum err
check_int(const struct bundle_reader *r, const struct rule *rule, const struct json *v,
	const struct obligation_row *row)
{
	char range[96];
	int64_t n;

	if (v->type == JSON_NUMBER && json_get_int(v, row->min, row->max, &n))
		return OK;
	if (row->max == INT64_MAX)
		snprintf(range, sizeof(range), "an integer of %lld or more", (long long)row->min);
	else
		snprintf(range, sizeof(range), "an integer from %lld to %lld", (long long)row->min,
			(long long)row->max);
	return fault(r, rule, v, range);
}

static enum err
check_known(const struct bundle_reader *r, const struct rule *rule, const struct json *v,
	const struct obligation_row *row)
{
	switch (row->kind) {
	case KIND_CARRIED:
		return OK;
	case KIND_INT:
		return check_int(r, rule, v, row);
	case KIND_BOOL:
		return v->type == JSON_BOOL ? OK : fault(r, rule, v, "true or false");
	case KIND_SANDBOX:
		return check_sandbox(r, rule, v);
	case KIND_SET:
		return is_text_list(v) ? OK : fault(r, rule, v, "a list of strings");
	case KIND_PREFIXES:
		return is_argv_list(v) ? OK : fault(r, rule, v, "a list of lists of strings");
	case KIND_CONSTRAINTS:
		return check_constraints(r, rule, v);
	case KIND_SCOPE:
		if (v->type == JSON_STRING && (span_eq_cstr(v->text, "action_type_resource") ||
						      span_eq_cstr(v->text, "fingerprint")))
			return OK;
		return fault(r, rule, v, "\"action_type_resource\" or \"fingerprint\"");
	case KIND_APPROVERS:
		return check_approvers(r, rule, v);
	}
	return fault(r, rule, v, "of a known kind");
}

static enum err
check_unknown(const struct bundle_reader *r, const struct rule *rule, const struct json *v)
{
	const char *nearest = obligation_find_nearest(v->name);
	struct span id = span_of(rule->id.p, rule->id.n < 64 ? rule->id.n : 64);
	struct span key = span_of(v->name.p, v->name.n < 64 ? v->name.n : 64);

	if (nearest != NULL)
		return bundle_fault(r, v, ERR_INVALID,
			"rule %.*s unknown obligation \"%.*s\" (did you mean \"%s\"?)",
			SPAN_ARG(id), SPAN_ARG(key), nearest);
	if (r->options->strict_obligations)
		return bundle_fault(r, v, ERR_INVALID, "rule %.*s unknown obligation \"%.*s\"",
			SPAN_ARG(id), SPAN_ARG(key));
	return bundle_warn(r, rule, v, "unknown_obligation",
		"obligation \"%.*s\" is carried to the answer but nothing enforces it",
		SPAN_ARG(key));
}

static enum err
check_map(const struct bundle_reader *r, const struct rule *rule, const struct json *map)
{
	enum err rc = OK;

	for (const struct json *m = map->first; m != NULL && rc == OK; m = m->next) {
		enum obligation_id id = obligation_find(m->name);
		rc = id == OBLIGATION__MAX ? check_unknown(r, rule, m)
					   : check_known(r, rule, m, &obligation_rows[id]);
	}
	return rc;
}

/* A net.http_request ALLOW without net_allowlist is turned down at execution for every host. */
static enum err
check_missing(const struct bundle_reader *r, const struct rule *rule)
{
	if (rule->verdict != VERDICT_ALLOW ||
		!span_eq_cstr(rule->action_type, "net.http_request") ||
		json_find_cstr(rule->written, "net_allowlist") != NULL)
		return OK;
	return bundle_warn(r, rule, NULL, "net_allowlist_missing",
		"without the obligation net_allowlist every request that this rule allows is "
		"turned down "
		"at execution");
}

/*
 * Strict mode: the legacy allowlist is refused where it could authorise a command (nomos-policy.md
 * 1.10).
 */
static enum err
check_exec_mode(const struct bundle_reader *r, const struct rule *rule)
{
	struct span id = span_of(rule->id.p, rule->id.n < 64 ? rule->id.n : 64);

	if (r->options->exec_mode != POLICY_EXEC_STRICT || !rule->has_exec_allowlist ||
		rule->verdict == VERDICT_DENY ||
		(!span_eq_cstr(rule->action_type, "process.exec") &&
			!span_eq_cstr(rule->action_type, "*")))
		return OK;
	return bundle_fault(r, json_find_cstr(rule->written, "exec_allowlist"), ERR_INVALID,
		"rule %.*s uses legacy exec_allowlist but policy.exec_compatibility_mode=strict",
		SPAN_ARG(id));
}

/*
 * The map that counts: what is written, with exec_constraints derived from the rule's own patterns.
 */
static bool
make_map(const struct bundle_reader *r, struct rule *rule)
{
	rule->map = rule->written;
	if (!rule->has_exec_match || rule->verdict == VERDICT_DENY)
		return true;
	struct json *map = json_new(r->arena, JSON_OBJECT);
	struct json *derived = obligation_derive(rule, r->arena);
	if (map == NULL || derived == NULL)
		return false;
	for (const struct json *m = rule->written != NULL ? rule->written->first : NULL; m != NULL;
		m = m->next) {
		if (span_eq_cstr(m->name, "exec_constraints"))
			continue;
		struct json *copy = json_new(r->arena, m->type);
		if (copy == NULL)
			return false;
		*copy = *m;
		copy->next = NULL;
		if (!json_add_member(r->arena, map, m->name, copy))
			return false;
	}
	rule->map = map;
	return json_add_member(r->arena, map, SPAN_LIT("exec_constraints"), derived);
}

enum err
obligation_parse(const struct bundle_reader *r, const struct json *v, struct rule *rule)
{
	enum err rc = OK;

	if (v != NULL && v->type != JSON_OBJECT)
		return bundle_fault(r, v, ERR_INVALID,
			"decode bundle: obligations must be an object, not %s",
			json_type_name(v->type));
	if (v != NULL && v->n > 0) {
		struct json *copy = bundle_clone_value(r, v);
		if (copy == NULL)
			return r->ei->code;
		rule->written = copy;
		rc = check_map(r, rule, copy);
	}
	rule->has_exec_allowlist = json_find_cstr(rule->written, "exec_allowlist") != NULL;
	if (rc == OK)
		rc = check_missing(r, rule);
	if (rc == OK)
		rc = check_exec_mode(r, rule);
	if (rc == OK &&
		(!make_map(r, rule) || !obligation_read(rule->map, r->arena, &rule->obligations)))
		rc = bundle_full(r);
	return rc;
}
