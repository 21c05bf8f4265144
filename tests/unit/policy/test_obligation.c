/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed obligations: what loads, what is refused and with which words, what is only warned about,
 * and how values join. The weak spots 11, 12 and 14 of the reference are tests of their own.
 */
#include "obligation.h"
#include "policy_priv.h"
#include "support/policy_fixture.h"
#include "support/test.h"

#define BUNDLE(type, decision, obligations)                                                        \
	"{\"version\":\"v1\",\"rules\":[{\"id\":\"r\",\"action_type\":\"" type                     \
	"\",\"resource\":\"**\",\"decision\":\"" decision "\",\"obligations\":{" obligations       \
	"}}]}"

static const char *
wrap(const char *obligations)
{
	static char text[1024];

	snprintf(text, sizeof(text),
		"{\"version\":\"v1\",\"rules\":[{\"id\":\"r\",\"action_type\":\"x.y\",\"resource\":"
		"\"**\","
		"\"decision\":\"ALLOW\",\"obligations\":{%s}}]}",
		obligations);
	return text;
}

TEST(wrong_types_and_values_are_refused)
{
	static const struct {
		const char *obligations;
		const char *message;
	} rows[] = {
		{"\"output_max_bytes\":\"100\"", "must be an integer of 0 or more"},
		{"\"output_max_bytes\":-1", "must be an integer of 0 or more"},
		{"\"output_max_bytes\":1.5", "must be an integer of 0 or more"},
		{"\"output_max_bytes\":null", "must be an integer of 0 or more"},
		{"\"output_max_bytes\":1e30", "must be an integer of 0 or more"},
		{"\"output_max_lines\":true", "must be an integer of 0 or more"},
		{"\"http_redirect_hop_limit\":0", "must be an integer from 1 to 100"},
		{"\"approval_ttl_seconds\":0", "must be an integer from 1 to 31536000"},
		{"\"approval_max_uses\":0", "must be an integer from 1 to 1000000"},
		{"\"http_redirects\":\"true\"", "must be true or false"},
		{"\"http_redirects\":1", "must be true or false"},
		{"\"sandbox_mode\":\"strict\"", "must be none, local, container"},
		{"\"sandbox_mode\":\"Local\"", "must be none, local, container"},
		{"\"sandbox_mode\":[]", "must be none, local, container"},
		{"\"sandbox_mode\":[\"local\",1]", "must be none, local, container"},
		{"\"sandbox_mode\":null", "must be none, local, container"},
		{"\"sandbox_mode\":{}", "must be none, local, container"},
		{"\"net_allowlist\":\"example.com\"", "must be a list of strings"},
		{"\"net_allowlist\":[1]", "must be a list of strings"},
		{"\"net_allowlist\":[\"\"]", "must be a list of strings"},
		{"\"net_allowlist\":{}", "must be a list of strings"},
		{"\"exec_allowlist\":[\"git\"]", "must be a list of lists of strings"},
		{"\"exec_allowlist\":[[]]", "must be a list of lists of strings"},
		{"\"exec_allowlist\":[[\"git\",7]]", "must be a list of lists of strings"},
		{"\"exec_constraints\":[[\"git\"]]", "must be an object with argv_patterns"},
		{"\"exec_constraints\":{}", "must be an object with argv_patterns"},
		{"\"exec_constraints\":{\"argv_patterns\":[]}",
			"must be an object with argv_patterns"},
		{"\"exec_constraints\":{\"argv_patterns\":[[\"a\"]],\"x\":1}",
			"must be an object with argv_patterns"},
		{"\"approval_scope_class\":\"everything\"", "must be \"action_type_resource\""},
		{"\"approval_scope_class\":1", "must be \"action_type_resource\""},
		{"\"approvers\":[\"ann\"]", "must be an object of principals"},
		{"\"approvers\":{}", "must be an object of principals"},
		{"\"approvers\":{\"principals\":\"ann\"}", "must be an object of principals"},
		{"\"approvers\":{\"min\":0}", "must be an object of principals"},
		{"\"approvers\":{\"people\":[\"ann\"]}", "must be an object of principals"},
		{"\"credential_lease_ids\":\"x\"", "must be a list of strings"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got = fixture_error("o.json", wrap(rows[i].obligations), NULL);
		if (strstr(got, rows[i].message) == NULL ||
			strstr(got, "rule r obligation ") == NULL ||
			strstr(got, "o.json:1:") != got)
			FAIL("%s: \"%s\"", rows[i].obligations, got);
	}
}

TEST(values_of_the_reference_load)
{
	static const char *const rows[] = {"\"output_max_bytes\":0", "\"output_max_bytes\":100.0",
		"\"output_max_bytes\":1e3", "\"sandbox_mode\":\"none\"",
		"\"sandbox_mode\":[\"none\",\"container\"]", "\"net_allowlist\":[]",
		"\"net_allowlist\":[\"a.example:8443\"]", "\"exec_allowlist\":[]",
		"\"http_redirects\":false",
		"\"exec_constraints\":{\"argv_patterns\":[[\"git\",\"**\"]]}",
		"\"approval_scope_class\":\"action_type_resource\"", "\"reason\":\"because\"",
		"\"breakglass\":true", "\"publish_channel\":\"structured\"",
		"\"approvers\":{\"roles\":[\"sec\"],\"min\":2}"};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy *p = fixture_policy("o.json", wrap(rows[i]));
		size_t n = 1;
		if (p != NULL)
			policy_get_warnings(p, &n);
		if (n != 0)
			FAIL("%s has %zu warnings", rows[i], n);
		policy_unref(&p);
	}
}

/* Weak spot 14: a slip in a name silently switches a control off in the reference. */
TEST(weak_spot_14_slips_of_known_names_are_refused)
{
	static const char *const rows[][2] = {{"net_allow_list", "net_allowlist"},
		{"output_max_byte", "output_max_bytes"}, {"outputMaxBytes", "output_max_bytes"},
		{"sandbox-mode", "sandbox_mode"}, {"SANDBOX_MODE", "sandbox_mode"},
		{"sandbx_mod", "sandbox_mode"}, {"http_redirect", "http_redirects"},
		{"approver", "approvers"}, {"exec_constraint", "exec_constraints"}};
	char text[128];
	char want[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text), "\"%s\":1", rows[i][0]);
		snprintf(want, sizeof(want),
			"rule r unknown obligation \"%s\" (did you mean \"%s\"?)", rows[i][0],
			rows[i][1]);
		const char *got = fixture_error("o.json", wrap(text), NULL);
		if (strstr(got, want) == NULL)
			FAIL("%s: \"%s\"", rows[i][0], got);
	}
}

TEST(unknown_names_warn_or_fail)
{
	struct policy_options strict = {.strict_obligations = true};
	const char *text = wrap("\"ticket_system\":\"jira\",\"region\":1");
	struct policy *p = fixture_policy("o.json", text);
	size_t n = 0;

	if (p == NULL)
		return;
	const struct policy_warning *w = policy_get_warnings(p, &n);
	CHECK_INT(n, 2);
	CHECK_SPAN(w[0].code, "unknown_obligation");
	CHECK_SPAN(w[0].rule_id, "r");
	CHECK_SPAN(w[0].place, "o.json:1:122");
	CHECK_SPAN(p->rules[0]->obligations.canonical, "{\"region\":1,\"ticket_system\":\"jira\"}");
	policy_unref(&p);
	CHECK(strstr(fixture_error("o.json", text, &strict),
		      "rule r unknown obligation \"ticket_system\"") != NULL);
	CHECK_STR(fixture_error("o.json", wrap("\"reason\":\"x\",\"output_max_lines\":1"), &strict),
		"");
}

TEST(sandbox_names_of_the_reference_count_as_local)
{
	static const char *const modes[] = {"\"ci\"", "\"controlled\"", "[\"none\",\"ci\"]"};
	char text[128];

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		size_t n = 0;
		snprintf(text, sizeof(text), "\"sandbox_mode\":%s", modes[i]);
		struct policy *p = fixture_policy("o.json", wrap(text));
		if (p == NULL)
			continue;
		const struct policy_warning *w = policy_get_warnings(p, &n);
		CHECK_INT(n, 1);
		CHECK_SPAN(n > 0 ? w[0].code : SPAN_NONE, "sandbox_mode_alias");
		CHECK_INT(p->rules[0]->obligations.sandbox_mode, SANDBOX_LOCAL);
		policy_unref(&p);
	}
}

TEST(net_allowlist_is_missed_at_load)
{
	size_t n = 0;
	struct policy *p =
		fixture_policy("o.json", BUNDLE("net.http_request", "ALLOW", "\"reason\":\"x\""));

	if (p == NULL)
		return;
	const struct policy_warning *w = policy_get_warnings(p, &n);
	CHECK_INT(n, 1);
	CHECK_SPAN(n > 0 ? w[0].code : SPAN_NONE, "net_allowlist_missing");
	policy_unref(&p);
	p = fixture_policy(
		"o.json", BUNDLE("net.http_request", "ALLOW", "\"net_allowlist\":[\"h\"]"));
	if (p == NULL)
		return;
	policy_get_warnings(p, &n);
	CHECK_INT(n, 0);
	policy_unref(&p);
	p = fixture_policy("o.json", BUNDLE("net.http_request", "DENY", ""));
	if (p == NULL)
		return;
	policy_get_warnings(p, &n);
	CHECK_INT(n, 0);
	policy_unref(&p);
}

TEST(strict_mode_refuses_the_legacy_allowlist)
{
	struct policy_options strict = {.exec_mode = POLICY_EXEC_STRICT};
	static const char want[] =
		"rule r uses legacy exec_allowlist but policy.exec_compatibility_mode=strict";

	CHECK(strstr(fixture_error("o.json",
			     BUNDLE("process.exec", "ALLOW", "\"exec_allowlist\":[[\"git\"]]"),
			     &strict),
		      want) != NULL);
	CHECK(strstr(fixture_error("o.json",
			     BUNDLE("*", "REQUIRE_APPROVAL", "\"exec_allowlist\":[[\"git\"]]"),
			     &strict),
		      want) != NULL);
	CHECK_STR(
		fixture_error("o.json",
			BUNDLE("process.exec", "DENY", "\"exec_allowlist\":[[\"git\"]]"), &strict),
		"");
	CHECK_STR(fixture_error("o.json",
			  BUNDLE("fs.read", "ALLOW", "\"exec_allowlist\":[[\"git\"]]"), &strict),
		"");
	CHECK_STR(fixture_error("o.json",
			  BUNDLE("process.exec", "ALLOW", "\"exec_allowlist\":[[\"git\"]]"), NULL),
		"");
}

TEST(typed_values_reach_the_struct)
{
	struct policy *p = fixture_policy("o.yaml",
		"version: v1\nrules:\n- id: r\n  action_type: x.y\n  resource: '**'\n  decision: "
		"REQUIRE_APPROVAL\n"
		"  obligations:\n    output_max_bytes: 0x10\n    output_max_lines: 7\n    "
		"sandbox_mode: [none, container]\n"
		"    net_allowlist: [a, b]\n    http_redirects: true\n    http_redirect_hop_limit: "
		"4\n"
		"    approval_scope_class: action_type_resource\n    approval_ttl_seconds: 60\n    "
		"approval_max_uses: 2\n"
		"    approvers: {principals: [ann], min: 1}\n    credential_lease_ids: [m, l]\n    "
		"exec_allowlist: [[git]]\n");

	if (p == NULL)
		return;
	const struct obligations *o = &p->rules[0]->obligations;
	CHECK(o->has_output_max_bytes && o->has_output_max_lines && o->http_redirects);
	CHECK_INT(o->output_max_bytes, 16);
	CHECK_INT(o->output_max_lines, 7);
	CHECK_INT(o->sandbox_mode, SANDBOX_CONTAINER);
	CHECK_INT(o->http_redirect_hop_limit, 4);
	CHECK_INT(o->approval_ttl_seconds, 60);
	CHECK_INT(o->approval_max_uses, 2);
	CHECK_SPAN(o->approval_scope_class, "action_type_resource");
	CHECK(o->net_allowlist != NULL && o->net_allowlist->n == 2);
	CHECK(o->exec_allowlist != NULL && o->exec_allowlist->n == 1);
	CHECK(o->approvers != NULL && json_find_cstr(o->approvers, "principals") != NULL);
	CHECK(o->credential_lease_ids != NULL && o->exec_constraints == NULL);
	CHECK_SPAN(o->credential_lease_ids->first->text, "l");
	policy_unref(&p);
}

/*
 * Weak spot 11: the reference takes the value of the first id, so renaming a rule changes a limit.
 */
TEST(weak_spot_11_renaming_a_rule_changes_nothing)
{
	static const char *const ids[2][2] = {{"a", "b"}, {"b", "a"}};
	char text[1024];

	for (size_t i = 0; i < 2; i++) {
		struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
		snprintf(text, sizeof(text),
			"version: v1\nrules:\n"
			"- {id: %s, action_type: x.y, resource: '**', decision: ALLOW, "
			"obligations: {output_max_bytes: "
			"1000000, sandbox_mode: none}}\n"
			"- {id: %s, action_type: x.y, resource: '**', decision: ALLOW, "
			"obligations: {output_max_bytes: 100, "
			"sandbox_mode: container}}\n",
			ids[i][0], ids[i][1]);
		struct policy *p = fixture_policy("o.yaml", text);
		struct decision d = fixture_decide(
			p, a, (struct fixture_action){.type = "x.y", .resource = "x://h/r"});
		CHECK_INT(d.obligations.output_max_bytes, 100);
		CHECK_INT(d.obligations.sandbox_mode, SANDBOX_CONTAINER);
		policy_unref(&p);
		arena_free(&a);
	}
}

/*
 * Weak spot 12: in the reference an approval removes the limits of the ALLOW rule that matches as
 * well.
 */
TEST(weak_spot_12_an_approval_keeps_the_limits_of_the_allow)
{
	struct policy *p = fixture_policy("o.yaml",
		"version: v1\nrules:\n"
		"- {id: allow, action_type: process.exec, resource: '**', decision: ALLOW,\n"
		"   exec_match: {argv_patterns: [[git, '**']]}, obligations: {sandbox_mode: local, "
		"output_max_bytes: 5}}\n"
		"- {id: push, action_type: process.exec, resource: '**', decision: "
		"REQUIRE_APPROVAL,\n"
		"   exec_match: {argv_patterns: [[git, push, '**']]}, obligations: {reason: "
		"push}}\n");
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct decision d = fixture_decide(p, a,
		(struct fixture_action){.type = "process.exec",
			.resource = "file://workspace/",
			.params = "{\"argv\":[\"git\",\"push\"]}"});

	CHECK_INT(d.verdict, VERDICT_REQUIRE_APPROVAL);
	CHECK_SPAN(d.obligations.canonical, "{\"exec_constraints\":{\"argv_patterns\":[[\"git\","
					    "\"push\",\"**\"]]},\"output_max_bytes\":5,"
					    "\"reason\":\"push\",\"sandbox_mode\":\"local\"}");
	CHECK_INT(d.obligations.sandbox_mode, SANDBOX_LOCAL);
	policy_unref(&p);
	arena_free(&a);
}

TEST(table_is_sorted_and_found)
{
	for (int i = 0; i < OBLIGATION__MAX; i++) {
		CHECK_INT(obligation_find(span_cstr(obligation_rows[i].key)), i);
		CHECK(i == 0 || strcmp(obligation_rows[i - 1].key, obligation_rows[i].key) < 0);
	}
	CHECK_INT(obligation_find(SPAN_LIT("nothing")), OBLIGATION__MAX);
	CHECK(obligation_find_nearest(SPAN_LIT("ticket")) == NULL);
}

SUITE("obligation", TEST_ROW(wrong_types_and_values_are_refused),
	TEST_ROW(values_of_the_reference_load),
	TEST_ROW(weak_spot_14_slips_of_known_names_are_refused),
	TEST_ROW(unknown_names_warn_or_fail),
	TEST_ROW(sandbox_names_of_the_reference_count_as_local),
	TEST_ROW(net_allowlist_is_missed_at_load),
	TEST_ROW(strict_mode_refuses_the_legacy_allowlist), TEST_ROW(typed_values_reach_the_struct),
	TEST_ROW(weak_spot_11_renaming_a_rule_changes_nothing),
	TEST_ROW(weak_spot_12_an_approval_keeps_the_limits_of_the_allow),
	TEST_ROW(table_is_sorted_and_found))
