/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One rule object: types, then the checks of nomos-policy.md 1.6 in their order, then compilation
 * and lint. Nulls are refused wherever a rule is typed: a null list would otherwise mean "anybody".
 * Runs on the thread that loads.
 */
#include "bundle.h"

#include <stdio.h>

#include "base/arena.h"
#include "lint.h"
#include "obligation.h"

/* Longest part of an id that a message repeats. */
#define ID_SHOWN_MAX 64

static enum err
parse_list(const struct bundle_reader *r, const struct json *v, const char *what,
	struct rule_list *out)
{
	*out = (struct rule_list){0};
	if (v->type != JSON_ARRAY)
		return bundle_fault(r, v, ERR_INVALID,
			"decode bundle: %s must be a list of strings, not %s", what,
			json_type_name(v->type));
	if (v->n == 0)
		return OK;
	struct span *texts = ARENA_ARRAY(r->arena, struct span, v->n);
	if (texts == NULL)
		return bundle_full(r);
	uint32_t n = 0;
	for (const struct json *e = v->first; e != NULL; e = e->next) {
		char name[64];
		snprintf(name, sizeof(name), "%s[%u]", what, n);
		enum err rc = bundle_parse_text(r, e, name, &texts[n]);
		if (rc != OK)
			return rc;
		n++;
	}
	*out = (struct rule_list){texts, n};
	return OK;
}

static enum err
parse_optional_text(
	const struct bundle_reader *r, const struct json *rule, const char *name, struct span *out)
{
	const struct json *v = json_find_cstr(rule, name);

	*out = SPAN_NONE;
	return v != NULL ? bundle_parse_text(r, v, name, out) : OK;
}

static enum err
parse_optional_list(const struct bundle_reader *r, const struct json *rule, const char *name,
	struct rule_list *out)
{
	const struct json *v = json_find_cstr(rule, name);

	*out = (struct rule_list){0};
	return v != NULL ? parse_list(r, v, name, out) : OK;
}

static enum err
parse_patterns(const struct bundle_reader *r, const struct json *list, struct rule *out)
{
	struct rule_argv *patterns = ARENA_ARRAY(r->arena, struct rule_argv, list->n);
	uint32_t n = 0;

	if (patterns == NULL)
		return bundle_full(r);
	for (const struct json *e = list->first; e != NULL; e = e->next) {
		char name[64];
		snprintf(name, sizeof(name), "exec_match.argv_patterns[%u]", n);
		enum err rc = parse_list(r, e, name, &patterns[n].tokens);
		if (rc != OK)
			return rc;
		n++;
	}
	out->patterns = patterns;
	out->n_patterns = n;
	return OK;
}

static enum err
parse_exec_match(const struct bundle_reader *r, const struct json *rule, struct rule *out)
{
	static const char *const known[] = {"argv_patterns"};
	const struct json *v = json_find_cstr(rule, "exec_match");

	if (v == NULL)
		return OK;
	if (v->type != JSON_OBJECT)
		return bundle_fault(r, v, ERR_INVALID,
			"decode bundle: exec_match must be an object, not %s",
			json_type_name(v->type));
	enum err rc = bundle_check_members(r, v, SPAN_LIT("exec_match: "), known, ARRAY_LEN(known));
	if (rc != OK)
		return rc;
	out->has_exec_match = true;
	const struct json *list = json_find_cstr(v, "argv_patterns");
	if (list == NULL)
		return OK;
	if (list->type != JSON_ARRAY)
		return bundle_fault(r, list, ERR_INVALID,
			"decode bundle: exec_match.argv_patterns must be a list of lists of "
			"strings");
	return list->n > 0 ? parse_patterns(r, list, out) : OK;
}

/* Types only. decision is kept as text until the checks. */
static enum err
decode(const struct bundle_reader *r, const struct json *v, struct rule *out, struct span *decision)
{
	static const char *const known[] = {"id", "action_type", "resource", "decision",
		"principals", "agents", "environments", "risk_flags", "exec_match", "obligations"};
	static const char *const who[RULE_WHO__MAX] = {"principals", "agents", "environments"};

	enum err rc = bundle_check_members(r, v, SPAN_NONE, known, ARRAY_LEN(known));
	if (rc == OK)
		rc = parse_optional_text(r, v, "id", &out->id);
	if (rc == OK)
		rc = parse_optional_text(r, v, "action_type", &out->action_type);
	if (rc == OK)
		rc = parse_optional_text(r, v, "resource", &out->resource);
	if (rc == OK)
		rc = parse_optional_text(r, v, "decision", decision);
	for (int w = 0; w < RULE_WHO__MAX && rc == OK; w++)
		rc = parse_optional_list(r, v, who[w], &out->who[w].text);
	if (rc == OK)
		rc = parse_optional_list(r, v, "risk_flags", &out->risk_flags);
	if (rc == OK)
		rc = parse_exec_match(r, v, out);
	return rc;
}

static bool
parse_decision(struct span text, enum verdict *out)
{
	for (int v = 0; v < VERDICT__MAX; v++) {
		if (span_eq_cstr(text, verdict_name((enum verdict)v))) {
			*out = (enum verdict)v;
			return true;
		}
	}
	*out = VERDICT_DENY;
	return false;
}

/* The place of member `name`, or of the rule when it is absent. */
static const struct json *
place_of(const struct json *v, const char *name)
{
	const struct json *m = json_find_cstr(v, name);

	return m != NULL ? m : v;
}

static struct span
shown_id(const struct rule *rule)
{
	return span_of(rule->id.p, rule->id.n < ID_SHOWN_MAX ? rule->id.n : ID_SHOWN_MAX);
}

static enum err
check_exec_match(const struct bundle_reader *r, const struct json *v, const struct rule *rule)
{
	const struct json *at = place_of(v, "exec_match");
	struct span id = shown_id(rule);

	if (!rule->has_exec_match)
		return OK;
	if (!span_eq_cstr(rule->action_type, "process.exec") &&
		!span_eq_cstr(rule->action_type, "*"))
		return bundle_fault(r, at, ERR_INVALID,
			"rule %.*s exec_match requires action_type process.exec or *",
			SPAN_ARG(id));
	if (json_find_cstr(json_find_cstr(v, "obligations"), "exec_allowlist") != NULL)
		return bundle_fault(r, at, ERR_INVALID,
			"rule %.*s must not declare both exec_match and exec_allowlist",
			SPAN_ARG(id));
	if (rule->n_patterns == 0)
		return bundle_fault(r, at, ERR_INVALID,
			"rule %.*s exec_match.argv_patterns is required", SPAN_ARG(id));
	for (uint32_t i = 0; i < rule->n_patterns; i++) {
		const struct rule_list *tokens = &rule->patterns[i].tokens;
		if (tokens->n == 0)
			return bundle_fault(r, at, ERR_INVALID,
				"rule %.*s exec_match.argv_patterns[%u] must not be empty",
				SPAN_ARG(id), i);
		for (uint32_t j = 0; j < tokens->n; j++) {
			if (tokens->v[j].n == 0)
				return bundle_fault(r, at, ERR_INVALID,
					"rule %.*s exec_match.argv_patterns[%u][%u] must not be "
					"empty",
					SPAN_ARG(id), i, j);
		}
	}
	return OK;
}

static enum err
check(const struct bundle_reader *r, const struct json *v, struct rule *rule, struct span decision)
{
	struct span id = shown_id(rule);

	if (rule->id.n == 0)
		return bundle_fault(r, place_of(v, "id"), ERR_INVALID, "rule id is required");
	if (rule->action_type.n == 0)
		return bundle_fault(r, place_of(v, "action_type"), ERR_INVALID,
			"rule %.*s missing action_type", SPAN_ARG(id));
	if (rule->resource.n == 0)
		return bundle_fault(r, place_of(v, "resource"), ERR_INVALID,
			"rule %.*s missing resource", SPAN_ARG(id));
	if (!parse_decision(decision, &rule->verdict))
		return bundle_fault(r, place_of(v, "decision"), ERR_INVALID,
			"rule %.*s has invalid decision", SPAN_ARG(id));
	return check_exec_match(r, v, rule);
}

enum err
bundle_parse_rule(const struct bundle_reader *r, const struct json *v, struct rule *out)
{
	struct span decision = SPAN_NONE;

	*out = (struct rule){.place = {r->source, v->line, v->column}};
	enum err rc = decode(r, v, out, &decision);
	if (rc == OK)
		rc = check(r, v, out, decision);
	if (rc == OK)
		rc = obligation_parse(r, json_find_cstr(v, "obligations"), out);
	if (rc != OK)
		return rc;
	rule_settle(out);
	return lint_rule(r, out);
}
