/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead rules and doubtful patterns: weak spot 22 of the reference, row by row, and what must not be
 * reported.
 */
#include "policy_priv.h"
#include "support/policy_fixture.h"
#include "support/test.h"

struct row {
	const char *members; /* of the rule, besides id and decision, in YAML flow form */
	const char *codes;   /* comma separated, in order */
};

static void
check_codes(const struct row *row, const char *decision)
{
	char text[1024];
	char got[512] = "";
	size_t n = 0;

	snprintf(text, sizeof(text), "version: v1\nrules:\n- {id: r, decision: %s, %s}\n", decision,
		row->members);
	struct policy *p = fixture_policy("l.yaml", text);
	if (p == NULL)
		return;
	const struct policy_warning *w = policy_get_warnings(p, &n);
	for (size_t i = 0; i < n; i++) {
		size_t at = strlen(got);
		snprintf(got + at, sizeof(got) - at, "%s%.*s", at > 0 ? "," : "",
			SPAN_ARG(w[i].code));
		CHECK_SPAN(w[i].rule_id, "r");
		CHECK_SPAN(w[i].place, "l.yaml:3:3");
		CHECK(w[i].message.n > 0);
	}
	if (strcmp(got, row->codes) != 0)
		FAIL("%s: \"%s\", not \"%s\"", row->members, got, row->codes);
	policy_unref(&p);
}

static const struct row dead_rows[] = {
	{"action_type: fs.read, resource: 'file://Workspace/a'", "dead_case"},
	{"action_type: fs.read, resource: 'FILE://workspace/a'", "dead_case"},
	{"action_type: x.y, resource: 'url://Example.com/**'", "dead_case"},
	{"action_type: x.y, resource: 'repo://org/Service'", "dead_case"},
	{"action_type: x.y, resource: 'secret://vault/KEY'", "dead_case"},
	{"action_type: x.y, resource: 'url://example.com:443/**'", "dead_default_port"},
	{"action_type: x.y, resource: 'url://example.com:80/**'", "dead_default_port"},
	{"action_type: fs.read, resource: 'file://workspace/a/'", "dead_trailing_slash"},
	{"action_type: fs.read, resource: 'file://workspace/a/**/'", "dead_trailing_slash"},
	{"action_type: fs.read, resource: 'file://workspace/a/../b'", "dead_dot_segment"},
	{"action_type: fs.read, resource: 'file://workspace/./b'", "dead_dot_segment"},
	{"action_type: fs.read, resource: 'file://workspace//b'", "dead_empty_segment"},
	{"action_type: fs.read, resource: '**', risk_flags: [risk.bogus]", "dead_risk_flag"},
	{"action_type: fs.read, resource: '**', risk_flags: [risk.high_fanout]", "dead_risk_flag"},
	{"action_type: fs.read, resource: '**', risk_flags: [risk.secrets]",
		"dead_risk_flag_for_type"},
	{"action_type: process.exec, resource: '**', risk_flags: [risk.secrets]",
		"dead_risk_flag_for_type"},
	{"action_type: '*', resource: '**', risk_flags: [risk.net, risk.exec]",
		"dead_risk_flag_for_type"},
	{"action_type: x.y, resource: '**', risk_flags: [risk.net]", "dead_risk_flag_for_type"},
	{"action_type: 'fs.*', resource: '**'", "dead_action_type"},
	{"action_type: fs, resource: '**'", "dead_action_type"},
	{"action_type: FS.read, resource: '**'", "dead_action_type"},
};

TEST(weak_spot_22_dead_rules_are_reported)
{
	for (size_t i = 0; i < ARRAY_LEN(dead_rows); i++) {
		check_codes(&dead_rows[i], "DENY");
		check_codes(&dead_rows[i], "ALLOW");
	}
}

/*
 * What is reported as dead by its resource matches no normal form: tried on the forms that come
 * near.
 */
TEST(live_rules_are_not_reported)
{
	static const struct row rows[] = {
		{"action_type: fs.read, resource: 'file://workspace/**'", ""},
		{"action_type: process.exec, resource: 'file://workspace/'", ""},
		{"action_type: fs.read, resource: 'file://workspace/**/'", ""},
		{"action_type: fs.read, resource: 'file://workspace/README.MD'", ""},
		{"action_type: fs.read, resource: 'file://**'", ""},
		{"action_type: fs.read, resource: '**'", ""},
		{"action_type: fs.read, resource: 'file://workspace/..foo/...'", ""},
		{"action_type: x.y, resource: 'repo://org/..'", ""},
		{"action_type: x.y, resource: 'url://example.com:8080/Path'", ""},
		{"action_type: x.y, resource: 'url://[::1]/x'", ""},
		{"action_type: x.y, resource: 'mcp://retail/Refund.Request'", ""},
		{"action_type: fs.read, resource: '**', risk_flags: [RISK.LARGE_IO]", ""},
		{"action_type: '*', resource: '**', risk_flags: [risk.write, risk.large_io]", ""},
		{"action_type: secrets.checkout, resource: 'secret://**', risk_flags: "
		 "[risk.secrets]",
			""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_codes(&rows[i], "DENY");
}

/*
 * A dead DENY is fail-open. The one that can never be meant is refused, an ALLOW that does nothing
 * is not.
 */
TEST(backslash_is_an_error_unless_it_allows)
{
	static const struct row allow = {
		"action_type: fs.read, resource: 'file://workspace/a\\b'", "dead_backslash"};
	char text[512];

	check_codes(&allow, "ALLOW");
	for (int i = 0; i < 2; i++) {
		const char *decision = i == 0 ? "DENY" : "REQUIRE_APPROVAL";
		snprintf(text, sizeof(text), "version: v1\nrules:\n- {id: r, decision: %s, %s}\n",
			decision, allow.members);
		CHECK(strstr(fixture_error("l.yaml", text, NULL),
			      "l.yaml:3:3: rule r resource holds a backslash") != NULL);
	}
}

TEST(exact_length_flag_patterns)
{
	static const struct row rows[] = {
		{"action_type: process.exec, resource: '**', exec_match: {argv_patterns: [[git, "
		 "push, -f]]}",
			"exact_length_flag_pattern"},
		{"action_type: process.exec, resource: '**', exec_match: {argv_patterns: [[git, "
		 "push, -f], [git, push, -f, '**']]}",
			""},
		{"action_type: process.exec, resource: '**', exec_match: {argv_patterns: [[git, "
		 "push, -f], [git, push, -g, '**']]}",
			"exact_length_flag_pattern"},
		{"action_type: process.exec, resource: '**', exec_match: {argv_patterns: [[git, "
		 "'--force*']]}",
			""},
		{"action_type: process.exec, resource: '**', exec_match: {argv_patterns: [[-x]]}",
			""},
		{"action_type: process.exec, resource: '**', exec_match: {argv_patterns: [[a, -x], "
		 "[b, -y]]}",
			"exact_length_flag_pattern,exact_length_flag_pattern"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_codes(&rows[i], "DENY");
}

/* The reference's own example has rules that can never match; it must load. */
TEST(warnings_are_in_rule_order)
{
	struct policy *p =
		fixture_policy("w.yaml", "version: v1\nrules:\n"
					 "- {id: z, action_type: fs.read, resource: '**', "
					 "decision: DENY, risk_flags: [risk.secrets]}\n"
					 "- {id: a, action_type: process.exec, resource: '**', "
					 "decision: ALLOW, risk_flags: [risk.secrets],\n"
					 "   obligations: {ticket: 1}}\n");
	size_t n = 0;

	if (p == NULL)
		return;
	const struct policy_warning *w = policy_get_warnings(p, &n);
	CHECK_INT(n, 3);
	CHECK_SPAN(w[0].rule_id, "z");
	CHECK_SPAN(w[1].rule_id, "a");
	CHECK_SPAN(w[1].code, "unknown_obligation");
	CHECK_SPAN(w[1].place, "w.yaml:5:26");
	CHECK_SPAN(w[2].place, "w.yaml:4:3");
	policy_unref(&p);
}

SUITE("lint", TEST_ROW(weak_spot_22_dead_rules_are_reported), TEST_ROW(live_rules_are_not_reported),
	TEST_ROW(backslash_is_an_error_unless_it_allows), TEST_ROW(exact_length_flag_patterns),
	TEST_ROW(warnings_are_in_rule_order))
