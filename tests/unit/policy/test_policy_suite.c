/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Permission tests: passing, failing, and every way in which a suite itself is wrong. */
#include "policy/suite.h"
#include "support/policy_fixture.h"
#include "support/test.h"

static const char bundle[] =
	"version: v1\nrules:\n"
	"- {id: read, action_type: fs.read, resource: 'file://workspace/**', decision: ALLOW}\n"
	"- {id: read-b, action_type: fs.read, resource: 'file://workspace/b/**', decision: ALLOW}\n"
	"- {id: env, action_type: fs.read, resource: 'file://workspace/**/.env', decision: DENY}\n";

#define WHO "\"identity\":{\"principal\":\"p\",\"agent\":\"a\",\"environment\":\"dev\"}"
#define SUITE_OF(cases) "{\"schema_version\":\"v1\"," WHO ",\"cases\":[" cases "]}"
#define READ(path)                                                                                 \
	"\"action\":{\"action_type\":\"fs.read\",\"resource\":\"file://workspace/" path "\"}"

TEST(results_in_order)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct policy *p = fixture_policy("s.yaml", bundle);
	struct suite_report report;
	struct errinfo ei = {0};
	static const char text[] = SUITE_OF("{\"name\":\"plain\"," READ(
		"a") ",\"expect\":\"ALLOW\"},"
		     "{\"name\":\"set\"," READ(
			     "b/c") ",\"expect\":\"ALLOW\",\"rules\":[\"read-b\",\"read\",\"read\"]"
				    "},"
				    "{\"name\":\"subset\"," READ(
					    "b/c") ",\"expect\":\"ALLOW\",\"rules\":[\"read\"]},"
						   "{\"name\":\"verdict\"," READ(
							   ".env") ",\"expect\":\"ALLOW\"},"
								   "{\"name\":\"none\",\"action\":{"
								   "\"action_type\":\"x.y\","
								   "\"resource\":\"x://h/"
								   "r\",\"params\":{\"a\":1}},"
								   "\"expect\":\"DENY\",\"rules\":["
								   "]}");

	CHECK_INT(suite_run(p, SPAN_LIT(text), a, &report, &ei), OK);
	CHECK_STR(ei.msg, "");
	CHECK_INT(report.n_results, 5);
	CHECK_INT(report.n_passed, 3);
	for (size_t i = 0; i < report.n_results; i++)
		CHECK_INT(report.results[i].passed, i != 2 && i != 3);
	CHECK_SPAN(report.results[1].name, "set");
	CHECK_INT(report.results[1].n_wanted, 2);
	CHECK_INT(report.results[3].actual, VERDICT_DENY);
	CHECK_INT(report.results[3].n_matched, 1);
	CHECK_SPAN(report.results[3].matched[0], "env");
	CHECK(report.results[4].has_wanted && report.results[4].n_wanted == 0);
	policy_unref(&p);
	arena_free(&a);
}

TEST(wrong_suites)
{
	static const struct {
		const char *text;
		const char *message;
	} rows[] = {
		{"", ""},
		{"{}", "suite: schema_version is required"},
		{"[]", "suite must be an object"},
		{"{\"schema_version\":\"v2\"}", "suite: schema_version must be v1"},
		{"{\"schema_version\":\"v1\"}", "identity must be an object"},
		{"{\"schema_version\":\"v1\",\"identity\":{\"principal\":\"p\"}}",
			"identity: agent is required"},
		{"{\"schema_version\":\"v1\"," WHO "}", "suite: at least one case is required"},
		{"{\"schema_version\":\"v1\"," WHO ",\"x\":1}", "suite has unknown field \"x\""},
		{SUITE_OF(""), "suite: at least one case is required"},
		{SUITE_OF("7"), "case 1 must be an object"},
		{SUITE_OF("{}"), "case 1: name is required"},
		{SUITE_OF("{\"name\":\" \"}"), "case 1: name is required"},
		{SUITE_OF("{\"name\":\"n\"}"), "case 1 \"n\": expect must be"},
		{SUITE_OF("{\"name\":\"n\",\"expect\":\"allow\"}"), "case 1 \"n\": expect must be"},
		{SUITE_OF("{\"name\":\"n\",\"expect\":\"ALLOW\"}"),
			"case 1 \"n\" must be an object"},
		{SUITE_OF("{\"name\":\"n\",\"expect\":\"ALLOW\",\"rules\":\"r\"," READ("a") "}"),
			"rules must be a list"},
		{SUITE_OF("{\"name\":\"n\",\"expect\":\"ALLOW\",\"rules\":[1]," READ("a") "}"),
			"rules must be a list"},
		{SUITE_OF("{\"name\":\"n\",\"expect\":\"ALLOW\",\"action\":{\"action_type\":\"x."
			  "y\"}}"),
			"resource is required"},
		{SUITE_OF("{\"name\":\"n\",\"expect\":\"ALLOW\",\"action\":{\"action_type\":\"x."
			  "y\",\"resource\":\"x://h/r\","
			  "\"params\":null}}"),
			"case 1 \"n\": params must be an object"},
		{SUITE_OF("{\"name\":\"n\",\"expect\":\"ALLOW\"," READ("../a") "}"),
			"case 1 \"n\": file path traversal detected"},
		{SUITE_OF("{\"name\":\"n\",\"expect\":\"ALLOW\",\"action\":{\"action_type\":\"X\","
			  "\"resource\":\"x://h/r\"}}"),
			"case 1 \"n\": action_type has invalid format"},
		{SUITE_OF("{\"name\":\"n\",\"expect\":\"ALLOW\"," READ(
			 "a") "},{\"name\":\"n\",\"expect\":\"DENY\"," READ("a") "}"),
			"duplicate case name \"n\""},
		{SUITE_OF("{\"name\":\"n\",\"expect\":\"ALLOW\"," READ("a") "}") "x", ""},
	};
	struct policy *p = fixture_policy("s.yaml", bundle);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
		struct suite_report report;
		struct errinfo ei = {0};
		enum err rc = suite_run(p, span_cstr(rows[i].text), a, &report, &ei);
		CHECK(rc != OK && ei.msg[0] != '\0');
		CHECK_INT(report.n_results, 0);
		if (strstr(ei.msg, rows[i].message) == NULL)
			FAIL("%s: \"%s\"", rows[i].text, ei.msg);
		arena_free(&a);
	}
	policy_unref(&p);
}

SUITE("permission suites", TEST_ROW(results_in_order), TEST_ROW(wrong_suites))
