/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Explanations (nomos-policy.md 3, nomos-http.md 1.5). They come from the same matches as the
 * decision and change nothing. The members are rows of a table, so the two forms differ in their
 * order only. The provenance keys are rule_id, decision and bundle_source, as the reference
 * documents them, not the capitalised ones that it sends. Pure; any thread.
 */
#include "explain.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/must.h"
#include "obligation.h"

typedef void (*put_fn)(const struct explanation *x, struct buf *b);
typedef bool (*shown_fn)(const struct explanation *x);

struct member {
	const char *name;
	shown_fn is_shown; /* NULL: always */
	put_fn put;
};

/* A sentence as a JSON string. */
static void
put_sentence(const struct explanation *x, put_fn put, struct buf *b)
{
	struct buf text;

	buf_init_arena(&text, x->arena, BUF_CAP_REPLY);
	put(x, &text);
	json_quote(b, buf_span(&text));
	b->failed = b->failed || buf_failed(&text);
}

static void
put_action_id(const struct explanation *x, struct buf *b)
{
	json_quote(b, x->action->action_id);
}

static void
put_trace_id(const struct explanation *x, struct buf *b)
{
	json_quote(b, x->action->trace_id);
}

static void
put_decision(const struct explanation *x, struct buf *b)
{
	json_quote(b, span_cstr(verdict_name(x->decision.verdict)));
}

static void
put_reason(const struct explanation *x, struct buf *b)
{
	json_quote(b, span_cstr(reason_name(x->decision.reason)));
}

static void
put_rule_ids(const struct explanation *x, struct buf *b)
{
	buf_add_char(b, '[');
	for (size_t i = 0; i < x->decision.n_rule_ids; i++) {
		if (i > 0)
			buf_add_char(b, ',');
		json_quote(b, x->decision.rule_ids[i]);
	}
	buf_add_char(b, ']');
}

static void
put_hash(const struct explanation *x, struct buf *b)
{
	json_quote(b, span_cstr(x->policy->hash));
}

static bool
has_sources(const struct explanation *x)
{
	return x->policy->n_sources > 1;
}

static void
put_sources(const struct explanation *x, struct buf *b)
{
	buf_add_span(b, x->policy->sources_json);
}

static void
put_inputs(const struct explanation *x, struct buf *b)
{
	buf_add_span(b, x->policy->inputs_json);
}

static void
put_version(const struct explanation *x, struct buf *b)
{
	json_quote(b, x->options->engine_version);
}

static void
put_assurance(const struct explanation *x, struct buf *b)
{
	json_quote(b, x->options->assurance_level);
}

static void
put_preview(const struct explanation *x, struct buf *b)
{
	buf_add_span(b, x->preview.canonical);
}

static bool
has_matches(const struct explanation *x)
{
	return x->matches.n[VERDICT_DENY] + x->matches.n[VERDICT_REQUIRE_APPROVAL] +
		       x->matches.n[VERDICT_ALLOW] >
	       0;
}

static void
put_bundle_source(const struct explanation *x, const struct rule *r, struct buf *b)
{
	BUF_ADD_LIT(b, "\"bundle_source\":");
	json_quote(b, x->policy->sources[r->place.source].label);
	buf_add_char(b, ',');
}

static void
put_origin(const struct explanation *x, const struct rule *r, struct buf *b)
{
	buf_add_char(b, '{');
	if (has_sources(x))
		put_bundle_source(x, r, b);
	buf_printf(b, "\"decision\":\"%s\",\"rule_id\":", verdict_name(r->verdict));
	json_quote(b, r->id);
	buf_add_char(b, '}');
}

/* All matched rules of all classes, ascending by id: a merge of three sorted lists. */
static void
put_provenance(const struct explanation *x, struct buf *b)
{
	size_t at[VERDICT__MAX] = {0};
	const struct rule *next;

	buf_add_char(b, '[');
	for (bool is_first = true;; is_first = false) {
		int least = -1;
		next = NULL;
		for (int v = 0; v < VERDICT__MAX; v++) {
			if (at[v] == x->matches.n[v])
				continue;
			const struct rule *r = x->matches.heads[v][at[v]]->rule;
			if (next == NULL || span_cmp(r->id, next->id) < 0) {
				next = r;
				least = v;
			}
		}
		if (next == NULL)
			break;
		at[least]++;
		if (!is_first)
			buf_add_char(b, ',');
		put_origin(x, next, b);
	}
	buf_add_char(b, ']');
}

static bool
is_not_allowed(const struct explanation *x)
{
	return x->decision.verdict != VERDICT_ALLOW;
}

static void
put_deny_rule(const struct explanation *x, const struct rule *r, struct buf *b)
{
	buf_add_char(b, '{');
	if (has_sources(x))
		put_bundle_source(x, r, b);
	BUF_ADD_LIT(b,
		"\"matched_conditions\":{\"action_type\":true,\"agent\":true,\"environment\":true,"
		"\"exec_match\":true,\"principal\":true,\"resource\":true,\"risk_flags\":true},"
		"\"reason_code\":\"deny_by_rule\",\"rule_id\":");
	json_quote(b, r->id);
	buf_add_char(b, '}');
}

static void
put_why(const struct explanation *x, struct buf *b)
{
	const char *condition = "{\"matching_allow_rule\":false}";

	BUF_ADD_LIT(b, "{\"deny_rules\":[");
	for (size_t i = 0; i < x->matches.n[VERDICT_DENY]; i++) {
		if (i > 0)
			buf_add_char(b, ',');
		put_deny_rule(x, x->matches.heads[VERDICT_DENY][i]->rule, b);
	}
	if (x->matches.n[VERDICT_DENY] > 0)
		condition = "{\"deny_rule_match\":true}";
	else if (x->decision.verdict == VERDICT_REQUIRE_APPROVAL)
		condition = "{\"approval_rule_match\":true}";
	buf_printf(b, "],\"matched_conditions\":%s,\"reason_code\":\"%s\",\"remediation_hint\":",
		condition, reason_name(x->decision.reason));
	put_sentence(x, explain_put_hint, b);
	buf_add_char(b, '}');
}

static bool
has_change(const struct explanation *x)
{
	return is_not_allowed(x) && x->options->suggestions;
}

static void
put_change(const struct explanation *x, struct buf *b)
{
	put_sentence(x, explain_put_change, b);
}

static bool
has_near(const struct explanation *x)
{
	return x->options->with_near_misses;
}

static void
put_near(const struct explanation *x, struct buf *b)
{
	buf_add_char(b, '[');
	for (size_t i = 0; i < x->n_near; i++) {
		const struct near_miss *m = &x->near[i];
		struct buf detail;
		buf_init_arena(&detail, x->arena, BUF_CAP_REPLY);
		explain_put_detail(x, m, &detail);
		buf_printf(b, "%s{\"decision\":\"%s\",\"detail\":", i > 0 ? "," : "",
			verdict_name(m->rule->verdict));
		json_quote(b, buf_span(&detail));
		b->failed = b->failed || buf_failed(&detail);
		buf_printf(b,
			",\"failed_condition\":\"%s\",\"rule_id\":", rule_outcome_name(m->outcome));
		json_quote(b, m->rule->id);
		buf_add_char(b, '}');
	}
	buf_add_char(b, ']');
}

static bool
has_warnings(const struct explanation *x)
{
	return x->options->with_exec_authorization && x->policy->warnings.n > 0;
}

static void
put_warnings(const struct explanation *x, struct buf *b)
{
	buf_add_char(b, '[');
	for (size_t i = 0; i < x->policy->warnings.n; i++) {
		const struct policy_warning *w = &x->policy->warnings.v[i];
		buf_add_cstr(b, i > 0 ? ",{\"code\":" : "{\"code\":");
		json_quote(b, w->code);
		BUF_ADD_LIT(b, ",\"message\":");
		json_quote(b, w->message);
		BUF_ADD_LIT(b, ",\"rule_id\":");
		json_quote(b, w->rule_id);
		buf_add_char(b, '}');
	}
	buf_add_char(b, ']');
}

static bool
has_exec(const struct explanation *x)
{
	return x->options->with_exec_authorization && x->action->kind == ACTION_PROCESS_EXEC;
}

/* How the permitting rules that match authorise the command (nomos-policy.md 2.10). */
static void
put_exec(const struct explanation *x, struct buf *b)
{
	static const char *const classes[2][2] = {
		{"none", "legacy_prefix_allowlist"}, {"argv_pattern_match", "mixed_exec_models"}};
	static const char *const hints[2][2] = {{"policy_only", "legacy_exec_allowlist_fallback"},
		{"derived_exec_constraints", "conflict"}};
	bool has_match = false;
	bool has_list = false;

	for (int v = VERDICT_REQUIRE_APPROVAL; v < VERDICT__MAX; v++) {
		for (size_t i = 0; i < x->matches.n[v]; i++) {
			has_match = has_match || x->matches.heads[v][i]->has_exec_match;
			has_list = has_list || x->matches.heads[v][i]->has_exec_allowlist;
		}
	}
	buf_printf(b,
		"{\"compatibility_mode\":\"%s\",\"condition_class\":\"%s\",\"conflict\":%s,"
		"\"runtime_enforcement_hint\":\"%s\"}",
		x->policy->exec_mode == POLICY_EXEC_STRICT ? "strict" : "legacy_allowlist_fallback",
		classes[has_match][has_list], has_match && has_list ? "true" : "false",
		hints[has_match][has_list]);
}

/* The order of nomos-http.md 1.5, ours last. */
static const struct member http_members[] = {
	{"action_id", NULL, put_action_id},
	{"trace_id", NULL, put_trace_id},
	{"decision", NULL, put_decision},
	{"reason_code", NULL, put_reason},
	{"matched_rule_ids", NULL, put_rule_ids},
	{"policy_bundle_hash", NULL, put_hash},
	{"policy_bundle_sources", has_sources, put_sources},
	{"policy_bundle_inputs", NULL, put_inputs},
	{"engine_version", NULL, put_version},
	{"assurance_level", NULL, put_assurance},
	{"obligations_preview", NULL, put_preview},
	{"matched_rule_provenance", has_matches, put_provenance},
	{"why_denied", is_not_allowed, put_why},
	{"minimal_allowing_change", has_change, put_change},
	{"near_misses", has_near, put_near},
};

/* Ascending. */
static const struct member cli_members[] = {
	{"assurance_level", NULL, put_assurance},
	{"bundle_warnings", has_warnings, put_warnings},
	{"decision", NULL, put_decision},
	{"engine_version", NULL, put_version},
	{"exec_authorization", has_exec, put_exec},
	{"matched_rule_ids", NULL, put_rule_ids},
	{"matched_rule_provenance", has_matches, put_provenance},
	{"minimal_allowing_change", has_change, put_change},
	{"near_misses", has_near, put_near},
	{"obligations_preview", NULL, put_preview},
	{"policy_bundle_hash", NULL, put_hash},
	{"policy_bundle_inputs", NULL, put_inputs},
	{"policy_bundle_sources", has_sources, put_sources},
	{"reason_code", NULL, put_reason},
	{"why_denied", is_not_allowed, put_why},
};

static void
put_members(const struct explanation *x, const struct member *members, size_t n, struct buf *b)
{
	bool is_first = true;

	buf_add_char(b, '{');
	for (size_t i = 0; i < n; i++) {
		if (members[i].is_shown != NULL && !members[i].is_shown(x))
			continue;
		buf_printf(b, "%s\"%s\":", is_first ? "" : ",", members[i].name);
		members[i].put(x, b);
		is_first = false;
	}
	buf_add_char(b, '}');
}

/*
 * What would apply: the approval's obligations, else those of the ALLOW rules, also when a DENY
 * outweighs them.
 */
static bool
preview(struct explanation *x)
{
	struct obligation_input in = {.winners = x->matches.heads[VERDICT_ALLOW],
		.n_winners = x->matches.n[VERDICT_ALLOW]};

	x->preview = x->decision.obligations;
	if (x->decision.verdict != VERDICT_DENY)
		return true;
	return obligation_join(&in, x->arena, &x->preview);
}

enum err
policy_explain(const struct policy *p, const struct action *action, struct arena *a,
	const struct policy_explain_options *options, struct buf *out, struct errinfo *ei)
{
	struct explanation x = {.policy = p, .action = action, .options = options, .arena = a};

	OBJ_CHECK(p, POLICY_MAGIC);
	if (!eval_match(p, action, a, &x.matches) || !eval_decide(&x.matches, a, &x.decision) ||
		!preview(&x))
		return ERR(ei, ERR_TOO_LARGE,
			"the explanation does not fit into the request's memory");
	if (options->with_near_misses || has_change(&x))
		explain_find_near(&x);
	if (options->with_exec_authorization)
		put_members(&x, cli_members, ARRAY_LEN(cli_members), out);
	else
		put_members(&x, http_members, ARRAY_LEN(http_members), out);
	if (buf_failed(out))
		return ERR(ei, ERR_TOO_LARGE, "the explanation does not fit into the reply");
	return OK;
}
