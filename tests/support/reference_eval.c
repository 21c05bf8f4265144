/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The second evaluator (reference_eval.h). Correct before anything else; slow on purpose. */
#include "support/reference_eval.h"

#include <string.h>

/* Whether `*` and `?` of the pattern can be filled so that it becomes the text. */
static bool
wild(struct span pattern, struct span text)
{
	if (pattern.n == 0)
		return text.n == 0;
	if (pattern.p[0] == '*')
		return wild(span_from(pattern, 1), text) ||
		       (text.n > 0 && wild(pattern, span_from(text, 1)));
	if (text.n == 0)
		return false;
	if (pattern.p[0] != '?' && pattern.p[0] != text.p[0])
		return false;
	return wild(span_from(pattern, 1), span_from(text, 1));
}

/*
 * Cuts the first segment off; false when nothing is left. *more tells whether another one follows.
 */
static struct span
first_segment(struct span s, bool *more, struct span *rest)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != '/')
		n++;
	*more = n < s.n;
	*rest = *more ? span_from(s, n + 1) : SPAN_NONE;
	return span_of(s.p, n);
}

static bool
segments(struct span pattern, bool has_pattern, struct span value, bool has_value)
{
	bool more_pattern;
	bool more_value = false;
	struct span pattern_rest;
	struct span value_rest = SPAN_NONE;
	struct span value_first = SPAN_NONE;

	if (!has_pattern)
		return !has_value;
	struct span first = first_segment(pattern, &more_pattern, &pattern_rest);
	if (has_value)
		value_first = first_segment(value, &more_value, &value_rest);
	if (span_eq_cstr(first, "**"))
		return segments(pattern_rest, more_pattern, value, has_value) ||
		       (has_value && segments(pattern, true, value_rest, more_value));
	return has_value && wild(first, value_first) &&
	       segments(pattern_rest, more_pattern, value_rest, more_value);
}

static bool
has_byte(struct span s, char c)
{
	return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

bool
reference_glob(struct span pattern, struct span value)
{
	if (has_byte(pattern, '\\') || has_byte(value, '\\'))
		return false;
	return segments(pattern, true, value, true);
}

/* One token: `*` any bytes, `?` one byte, a backslash makes * ? and itself literal. */
static bool
token(struct span pattern, struct span text)
{
	if (pattern.n == 0)
		return text.n == 0;
	char c = pattern.p[0];
	if (c == '*')
		return token(span_from(pattern, 1), text) ||
		       (text.n > 0 && token(pattern, span_from(text, 1)));
	if (text.n == 0)
		return false;
	if (c == '?')
		return token(span_from(pattern, 1), span_from(text, 1));
	if (c == '\\' && pattern.n > 1 && strchr("*?\\", pattern.p[1]) != NULL &&
		pattern.p[1] != '\0')
		return pattern.p[1] == text.p[0] &&
		       token(span_from(pattern, 2), span_from(text, 1));
	return c == text.p[0] && token(span_from(pattern, 1), span_from(text, 1));
}

static bool
tokens(const struct json *pattern, const struct span *argv, size_t n)
{
	if (pattern == NULL)
		return n == 0;
	if (span_eq_cstr(pattern->text, "**"))
		return tokens(pattern->next, argv, n) ||
		       (n > 0 && tokens(pattern, argv + 1, n - 1));
	return n > 0 && token(pattern->text, argv[0]) && tokens(pattern->next, argv + 1, n - 1);
}

bool
reference_argv(const struct json *pattern, const struct span *argv, size_t n)
{
	return tokens(pattern->first, argv, n);
}

static bool
is_listed(const struct json *rule, const char *key, struct span name)
{
	const struct json *list = json_find_cstr(rule, key);

	if (list == NULL || list->n == 0)
		return true;
	for (const struct json *e = list->first; e != NULL; e = e->next) {
		if (span_eq_cstr(e->text, "*") || span_eq(e->text, name))
			return true;
	}
	return false;
}

static bool
has_flag(const struct reference_action *action, struct span name)
{
	for (size_t i = 0; i < action->n_risk_flags; i++) {
		if (span_eq_nocase(span_cstr(action->risk_flags[i]), name))
			return true;
	}
	return false;
}

static bool
has_flags(const struct json *rule, const struct reference_action *action)
{
	const struct json *list = json_find_cstr(rule, "risk_flags");

	for (const struct json *e = list != NULL ? list->first : NULL; e != NULL; e = e->next) {
		if (!has_flag(action, e->text))
			return false;
	}
	return true;
}

static bool
has_exec(const struct json *rule, const struct reference_action *action)
{
	const struct json *exec = json_find_cstr(rule, "exec_match");
	const struct json *list = json_find_cstr(exec, "argv_patterns");

	if (exec == NULL)
		return true;
	if (!span_eq_cstr(action->action_type, "process.exec") || action->n_argv == 0)
		return false;
	for (const struct json *e = list->first; e != NULL; e = e->next) {
		if (reference_argv(e, action->argv, action->n_argv))
			return true;
	}
	return false;
}

static bool
matches(const struct json *rule, const struct reference_action *action)
{
	struct span type = json_find_cstr(rule, "action_type")->text;

	return (span_eq_cstr(type, "*") || span_eq(type, action->action_type)) &&
	       reference_glob(json_find_cstr(rule, "resource")->text, action->resource) &&
	       is_listed(rule, "principals", action->principal) &&
	       is_listed(rule, "agents", action->agent) &&
	       is_listed(rule, "environments", action->environment) && has_flags(rule, action) &&
	       has_exec(rule, action);
}

static void
add_sorted(struct span *list, size_t *n, size_t max, struct span s)
{
	size_t at = *n;

	if (*n == max)
		return;
	while (at > 0 && span_cmp(s, list[at - 1]) < 0) {
		list[at] = list[at - 1];
		at--;
	}
	list[at] = s;
	(*n)++;
}

static bool
is_in(const struct json *list, struct span s)
{
	for (const struct json *e = list->first; e != NULL; e = e->next) {
		if (span_eq(e->text, s))
			return true;
	}
	return false;
}

static int
sandbox_of(struct span s)
{
	if (span_eq_cstr(s, "container"))
		return 2;
	return span_eq_cstr(s, "none") ? 0 : 1;
}

static void
join_hosts(const struct json *list, struct reference_decision *out)
{
	size_t kept = 0;

	if (out->has_hosts) {
		for (size_t i = 0; i < out->n_hosts; i++) {
			if (is_in(list, out->hosts[i]))
				out->hosts[kept++] = out->hosts[i];
		}
		out->n_hosts = kept;
		return;
	}
	out->has_hosts = true;
	for (const struct json *e = list->first; e != NULL; e = e->next) {
		bool is_new = true;
		for (size_t i = 0; i < out->n_hosts; i++)
			is_new = is_new && !span_eq(out->hosts[i], e->text);
		if (is_new)
			add_sorted(out->hosts, &out->n_hosts, REFERENCE_HOSTS_MAX, e->text);
	}
}

struct joined {
	bool states_redirects;
};

static void
join(const struct json *rule, struct joined *j, struct reference_decision *out)
{
	const struct json *map = json_find_cstr(rule, "obligations");
	const struct json *bytes = json_find_cstr(map, "output_max_bytes");
	const struct json *sandbox = json_find_cstr(map, "sandbox_mode");
	const struct json *redirects = json_find_cstr(map, "http_redirects");
	const struct json *hosts = json_find_cstr(map, "net_allowlist");
	int64_t n = 0;

	if (bytes != NULL && json_get_int(bytes, 0, INT64_MAX, &n) &&
		(out->output_max_bytes < 0 || n < out->output_max_bytes))
		out->output_max_bytes = n;
	if (sandbox != NULL && sandbox_of(sandbox->text) > out->sandbox)
		out->sandbox = sandbox_of(sandbox->text);
	if (redirects != NULL) {
		out->http_redirects =
			redirects->boolean && (out->http_redirects || !j->states_redirects);
		j->states_redirects = true;
	}
	if (hosts != NULL)
		join_hosts(hosts, out);
}

struct found {
	const struct json *rules[REFERENCE_RULES_MAX];
	size_t n;
};

static bool
any_has(const struct found *f, const char *outer, const char *inner)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct json *v = json_find_cstr(f->rules[i], outer);
		if (v != NULL && (inner == NULL || json_find_cstr(v, inner) != NULL))
			return true;
	}
	return false;
}

static void
settle(const char *verdict, const char *reason, const struct found *f,
	struct reference_decision *out)
{
	out->verdict = verdict;
	out->reason = reason;
	for (size_t i = 0; i < f->n; i++)
		add_sorted(out->ids, &out->n_ids, REFERENCE_RULES_MAX,
			json_find_cstr(f->rules[i], "id")->text);
}

void
reference_decide(const struct json *bundle, const struct reference_action *action,
	struct reference_decision *out)
{
	struct found deny = {.n = 0};
	struct found ask = {.n = 0};
	struct found allow = {.n = 0};
	struct joined j = {false};

	*out = (struct reference_decision){
		.verdict = "DENY", .reason = "deny_by_default", .output_max_bytes = -1};
	for (const struct json *r = json_find_cstr(bundle, "rules")->first; r != NULL;
		r = r->next) {
		if (!matches(r, action))
			continue;
		struct span decision = json_find_cstr(r, "decision")->text;
		struct found *f = span_eq_cstr(decision, "DENY")    ? &deny
				  : span_eq_cstr(decision, "ALLOW") ? &allow
								    : &ask;
		f->rules[f->n++] = r;
	}
	bool is_exec = span_eq_cstr(action->action_type, "process.exec");
	bool has_match = any_has(&ask, "exec_match", NULL) || any_has(&allow, "exec_match", NULL);
	bool has_list = any_has(&ask, "obligations", "exec_allowlist") ||
			any_has(&allow, "obligations", "exec_allowlist");
	if (deny.n > 0) {
		settle("DENY", "deny_by_rule", &deny, out);
		for (size_t i = 0; i < deny.n; i++)
			join(deny.rules[i], &j, out);
		return;
	}
	if (is_exec && has_match && has_list) {
		settle("DENY", "deny_by_exec_model_conflict", &ask, out);
		settle("DENY", "deny_by_exec_model_conflict", &allow, out);
		return;
	}
	if (ask.n + allow.n == 0)
		return;
	if (ask.n > 0)
		settle("REQUIRE_APPROVAL", "require_approval_by_rule", &ask, out);
	else
		settle("ALLOW", "allow_by_rule", &allow, out);
	for (size_t i = 0; i < ask.n; i++)
		join(ask.rules[i], &j, out);
	for (size_t i = 0; i < allow.n; i++)
		join(allow.rules[i], &j, out);
}
