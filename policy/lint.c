/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that can never match, and patterns that surely were not meant. Resources are judged in
 * their normal form (nomos-policy.md 4.4), so a pattern outside of it is dead; a dead DENY does
 * nothing in silence.
 *
 * Codes, for the policy guide:
 *   dead_backslash           a backslash in the pattern; an error for DENY and REQUIRE_APPROVAL
 *   dead_case                upper-case scheme or host; anywhere in repo:// and secret://
 *   dead_default_port        host ends in :80 or :443, which the normal form drops
 *   dead_trailing_slash      a path that ends in "/" below the root
 *   dead_dot_segment         "." or ".." as a segment
 *   dead_empty_segment       "//" inside the path
 *   dead_risk_flag           a flag that does not exist, or risk.high_fanout, which is never set
 *   dead_risk_flag_for_type  a flag that actions of this type never have
 *   dead_action_type         neither "*" nor a well-formed action type
 *   exact_length_flag_pattern  an argv pattern ends in a flag and no twin goes on with "**"
 * All but the first stay warnings, since the reference's own example bundle has such a rule and
 * must load. Runs on the thread that loads.
 */
#include "lint.h"

#include "base/arena.h"
#include "base/id.h"

/* scheme: "" host "" : the four segments of a root resource. */
#define ROOT_SEGMENTS 4

static bool
has_upper(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] >= 'A' && s.p[i] <= 'Z')
			return true;
	}
	return false;
}

/* The pattern cut into scheme, host and path; false when it has no "://". */
static bool
split_pattern(struct span pattern, struct span *scheme, struct span *host, struct span *path)
{
	size_t colon = span_find(pattern, ':');

	if (!span_starts(span_from(pattern, colon), SPAN_LIT("://")))
		return false;
	struct span rest = span_from(pattern, colon + 3);
	size_t slash = span_find(rest, '/');
	*scheme = span_of(pattern.p, colon);
	*host = span_of(rest.p, slash);
	*path = span_from(rest, slash);
	return true;
}

/*
 * The code and text of why segments of the path never occur in a normal form; NULL when they may.
 */
static const char *
find_dead_segment(struct span path, bool has_dots, const char **why)
{
	size_t n_fixed = 3; /* scheme, empty, host */
	struct span rest = path;

	while (rest.n > 0) {
		rest = span_from(rest, 1);
		size_t n = span_find(rest, '/');
		struct span segment = span_of(rest.p, n);
		rest = span_from(rest, n);
		if (!span_eq_cstr(segment, "**"))
			n_fixed++;
		if (has_dots && (span_eq_cstr(segment, ".") || span_eq_cstr(segment, ".."))) {
			*why = "a segment \".\" or \"..\" never occurs in a resource";
			return "dead_dot_segment";
		}
		if (segment.n > 0)
			continue;
		if (rest.n > 0) {
			*why = "an empty segment never occurs inside a resource's path";
			return "dead_empty_segment";
		}
		if (n_fixed > ROOT_SEGMENTS) {
			*why = "no resource but a root ends in \"/\"";
			return "dead_trailing_slash";
		}
	}
	return NULL;
}

static const char *
find_dead_resource(struct span pattern, const char **why)
{
	struct span scheme;
	struct span host;
	struct span path;

	if (!split_pattern(pattern, &scheme, &host, &path))
		return NULL;
	bool is_name = span_eq_cstr(scheme, "repo") || span_eq_cstr(scheme, "secret");
	if (has_upper(scheme) || has_upper(host) || (is_name && has_upper(path))) {
		*why = "resources are compared in lower case here";
		return "dead_case";
	}
	if (!is_name && (span_ends(host, SPAN_LIT(":80")) || span_ends(host, SPAN_LIT(":443")))) {
		*why = "the ports 80 and 443 are not part of a resource";
		return "dead_default_port";
	}
	return find_dead_segment(path, !is_name, why);
}

static enum err
lint_resource(const struct bundle_reader *r, const struct rule *rule)
{
	const char *why = NULL;

	if (span_find(rule->resource, '\\') < rule->resource.n) {
		struct json at = {.line = rule->place.line, .column = rule->place.column};
		struct span id = span_of(rule->id.p, rule->id.n < 64 ? rule->id.n : 64);
		if (rule->verdict != VERDICT_ALLOW)
			return bundle_fault(r, &at, ERR_INVALID,
				"rule %.*s resource holds a backslash and never matches; a %s rule "
				"that does nothing is refused",
				SPAN_ARG(id), verdict_name(rule->verdict));
		return bundle_warn(r, rule, NULL, "dead_backslash",
			"resource holds a backslash and never matches");
	}
	const char *code = find_dead_resource(rule->resource, &why);
	if (code == NULL)
		return OK;
	return bundle_warn(r, rule, NULL, code, "resource can never match: %s", why);
}

/* Flags that an action of that type can have. */
static uint32_t
flags_of_type(struct span action_type)
{
	enum action_kind kind = action_kind_of(action_type);

	switch (kind) {
	case ACTION_PROCESS_EXEC:
		return RISK_EXEC | RISK_LARGE_IO;
	case ACTION_NET_HTTP_REQUEST:
		return RISK_NET | RISK_LARGE_IO;
	case ACTION_FS_WRITE:
	case ACTION_REPO_APPLY_PATCH:
		return RISK_WRITE | RISK_LARGE_IO;
	case ACTION_SECRETS_CHECKOUT:
		return RISK_SECRETS | RISK_LARGE_IO;
	case ACTION_FS_READ:
	case ACTION_CUSTOM:
	case ACTION_KIND__MAX:
		break;
	}
	return RISK_LARGE_IO;
}

static bool
is_single_flag(uint32_t bits)
{
	return (bits & (bits - 1)) == 0;
}

static enum err
lint_risk(const struct bundle_reader *r, const struct rule *rule)
{
	uint32_t possible = flags_of_type(rule->action_type);

	for (uint32_t i = 0; i < rule->risk_flags.n; i++) {
		struct span name = rule->risk_flags.v[i];
		uint32_t bit = action_risk_parse(name);
		if (bit == 0)
			return bundle_warn(r, rule, NULL, "dead_risk_flag",
				"risk flag \"%.*s\" does not exist, so the rule never matches",
				SPAN_ARG(name));
		if (bit == RISK_HIGH_FANOUT)
			return bundle_warn(r, rule, NULL, "dead_risk_flag",
				"risk.high_fanout is never set, so the rule never matches");
	}
	uint32_t typed = rule->risk & ~(uint32_t)RISK_LARGE_IO;
	bool is_dead = span_eq_cstr(rule->action_type, "*") ? !is_single_flag(typed)
							    : (rule->risk & ~possible) != 0;
	if (!is_dead)
		return OK;
	return bundle_warn(r, rule, NULL, "dead_risk_flag_for_type",
		"no action of type %.*s has all these risk flags, so the rule never matches",
		SPAN_ARG(rule->action_type));
}

static bool
has_wildcard(struct span token)
{
	return span_find(token, '*') < token.n || span_find(token, '?') < token.n;
}

/* Whether `longer` is `shorter` with "**" behind it. */
static bool
is_open_twin(const struct rule_list *shorter, const struct rule_list *longer)
{
	if (longer->n != shorter->n + 1 || !span_eq_cstr(longer->v[shorter->n], "**"))
		return false;
	for (uint32_t i = 0; i < shorter->n; i++) {
		if (!span_eq(shorter->v[i], longer->v[i]))
			return false;
	}
	return true;
}

static enum err
lint_argv(const struct bundle_reader *r, const struct rule *rule)
{
	for (uint32_t i = 0; i < rule->n_patterns; i++) {
		const struct rule_list *tokens = &rule->patterns[i].tokens;
		struct span last = tokens->v[tokens->n - 1];
		bool has_twin = false;
		if (tokens->n < 2 || last.p[0] != '-' || has_wildcard(last))
			continue;
		for (uint32_t k = 0; k < rule->n_patterns && !has_twin; k++)
			has_twin = is_open_twin(tokens, &rule->patterns[k].tokens);
		if (has_twin)
			continue;
		enum err rc = bundle_warn(r, rule, NULL, "exact_length_flag_pattern",
			"argv_patterns[%u] ends in \"%.*s\" and matches only that exact length; "
			"add a "
			"twin that ends in \"**\" to match more arguments",
			i, SPAN_ARG(last));
		if (rc != OK)
			return rc;
	}
	return OK;
}

enum err
lint_rule(const struct bundle_reader *r, const struct rule *rule)
{
	enum err rc = lint_resource(r, rule);

	if (rc == OK)
		rc = lint_risk(r, rule);
	if (rc == OK && !span_eq_cstr(rule->action_type, "*") &&
		!id_is_action_type(rule->action_type))
		rc = bundle_warn(r, rule, NULL, "dead_action_type",
			"\"%.*s\" is no well-formed action type, so the rule never matches",
			SPAN_ARG(rule->action_type));
	if (rc == OK)
		rc = lint_argv(r, rule);
	return rc;
}
