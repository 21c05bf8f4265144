/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Decisions: the rows of tests/corpus/policy, precedence, exec_match, and the weak spots 9 and 22
 * of the reference. A row reads
 *     type | resource | params | principal/agent/environment | verdict | ids | reason | obligations
 * over the bundle of the same name.
 */
#include <stdlib.h>

#include "policy_priv.h"
#include "support/policy_fixture.h"
#include "support/test.h"

#define FIELDS 8

/* Cuts a line at " | " into fields; false when there are not exactly FIELDS. */
static bool
cut_line(char *line, char *fields[FIELDS])
{
	for (int i = 0; i < FIELDS; i++) {
		fields[i] = line;
		char *bar = strstr(line, " | ");
		if (i == FIELDS - 1)
			return bar == NULL;
		if (bar == NULL)
			return false;
		*bar = '\0';
		line = bar + 3;
	}
	return false;
}

static const char *
shown(const char *s)
{
	return s[0] == '-' && s[1] == '\0' ? "" : s;
}

static void
check_row(const struct policy *p, char *line, const char *name)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	char *fields[FIELDS];
	char copy[2048];

	snprintf(copy, sizeof(copy), "%s", line);
	if (!cut_line(line, fields)) {
		FAIL("%s: malformed row: %s", name, copy);
		arena_free(&a);
		return;
	}
	char *agent = strchr(fields[3], '/');
	char *environment = agent != NULL ? strchr(agent + 1, '/') : NULL;
	if (environment != NULL) {
		*agent++ = '\0';
		*environment++ = '\0';
	}
	struct decision d = fixture_decide(p, a,
		(struct fixture_action){.type = fields[0],
			.resource = fields[1],
			.params = fields[2],
			.principal = fields[3],
			.agent = agent,
			.environment = environment});
	if (strcmp(verdict_name(d.verdict), fields[4]) != 0 ||
		strcmp(fixture_ids(&d, a), shown(fields[5])) != 0 ||
		strcmp(reason_name(d.reason), fields[6]) != 0 ||
		!span_eq_cstr(d.obligations.canonical, fields[7]))
		FAIL("%s: %s\n  got %s | %s | %s | %.*s", name, copy, verdict_name(d.verdict),
			fixture_ids(&d, a), reason_name(d.reason),
			SPAN_ARG(d.obligations.canonical));
	arena_free(&a);
}

static size_t
check_corpus(const char *name)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	char path[128];
	size_t n = 0;

	snprintf(path, sizeof(path), "corpus/policy/%s.yaml", name);
	const char *bundle = fixture_file(a, path);
	struct policy *p = bundle != NULL ? fixture_policy(path, bundle) : NULL;
	snprintf(path, sizeof(path), "corpus/policy/%s.cases", name);
	const char *text = fixture_file(a, path);
	while (p != NULL && text != NULL && *text != '\0') {
		size_t len = strcspn(text, "\n");
		char *line = arena_dup_cstr(a, span_of(text, len));
		text += len + (text[len] == '\n');
		if (line == NULL || line[0] == '#' || line[0] == '\0')
			continue;
		check_row(p, line, name);
		n++;
	}
	policy_unref(&p);
	arena_free(&a);
	return n;
}

TEST(corpus_precedence)
{
	CHECK(check_corpus("precedence") >= 15);
}

TEST(corpus_resource)
{
	CHECK(check_corpus("resource") >= 30);
}

TEST(corpus_identity)
{
	CHECK(check_corpus("identity") >= 15);
}

TEST(corpus_exec)
{
	CHECK(check_corpus("exec") >= 20);
}

TEST(corpus_obligations)
{
	CHECK(check_corpus("obligations") >= 15);
}

TEST(corpus_safe)
{
	CHECK(check_corpus("safe") >= 15);
}

static const char star_bundle[] = "{\"version\":\"v1\",\"rules\":["
				  "{\"id\":\"allow\",\"action_type\":\"fs.read\",\"resource\":"
				  "\"file://workspace/**\",\"decision\":\"ALLOW\"},"
				  "{\"id\":\"deny\",\"action_type\":\"fs.read\",\"resource\":"
				  "\"file://workspace/**/*.pem\",\"decision\":\"DENY\"}]}";

/* Weak spot 9: a literal star in a file name dodged "*.pem". */
TEST(weak_spot_9_star_in_value_does_not_dodge_a_deny)
{
	static const char *const names[] = {"file://workspace/*x.pem", "file://workspace/*.pem",
		"file://workspace/a/**.pem", "file://workspace/%2A%2A/x.pem",
		"file://workspace/*.pem*.pem"};
	struct policy *p = fixture_policy("star.json", star_bundle);

	for (size_t i = 0; i < ARRAY_LEN(names) && p != NULL; i++) {
		struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
		struct decision d = fixture_decide(
			p, a, (struct fixture_action){.type = "fs.read", .resource = names[i]});
		CHECK_INT(d.verdict, VERDICT_DENY);
		CHECK_STR(fixture_ids(&d, a), "deny");
		arena_free(&a);
	}
	policy_unref(&p);
}

/* A process.exec whose params are unusable: no exec_match rule holds, whatever its decision. */
TEST(unusable_params_match_no_exec_rule)
{
	struct policy *p = fixture_policy("exec.yaml",
		"version: v1\nrules:\n"
		"- {id: allow, action_type: process.exec, resource: '**', decision: ALLOW}\n"
		"- {id: deny, action_type: process.exec, resource: '**', decision: DENY,\n"
		"   exec_match: {argv_patterns: [['**']]}}\n");
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);

	if (p == NULL)
		return;
	struct action *action = fixture_action(a, (struct fixture_action){.type = "process.exec",
							  .resource = "file://workspace/",
							  .params = "{\"argv\":\"ls\"}"});
	struct decision d;
	CHECK(action != NULL && action->params_err != OK);
	CHECK_INT(policy_eval(p, action, a, &d), OK);
	CHECK_INT(d.verdict, VERDICT_ALLOW);
	/* That ALLOW is turned down by the caller, with the rules kept and no obligation left. */
	decision_deny(&d, REASON_INVALID_PARAMS);
	CHECK_INT(d.verdict, VERDICT_DENY);
	CHECK_STR(reason_name(d.reason), "invalid_params");
	CHECK_STR(fixture_ids(&d, a), "allow");
	CHECK_SPAN(d.obligations.canonical, "{}");
	d = fixture_decide(p, a,
		(struct fixture_action){.type = "process.exec",
			.resource = "file://workspace/",
			.params = "{\"argv\":[\"ls\"]}"});
	CHECK_INT(d.verdict, VERDICT_DENY);
	/* Also when the parameters failed behind a readable argv. */
	struct span argv[] = {SPAN_LIT("ls")};
	struct action half = *action;
	half.params.argv = argv;
	half.params.n_argv = 1;
	CHECK_INT(policy_eval(p, &half, a, &d), OK);
	CHECK_STR(fixture_ids(&d, a), "allow");
	policy_unref(&p);
	arena_free(&a);
}

/* Lists whose product is too large for an index entry each. */
TEST(long_lists_are_found)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct buf b;

	buf_init_arena(&b, a, 1 << 20);
	BUF_ADD_LIT(&b,
		"{\"version\":\"v1\",\"rules\":[{\"id\":\"r\",\"action_type\":\"process.exec\","
		"\"resource\":\"**\",\"decision\":\"ALLOW\",\"principals\":[\"p1\"");
	for (int i = 0; i < 200; i++)
		buf_printf(&b, ",\"user%d\"", i);
	BUF_ADD_LIT(&b, "],\"agents\":[\"a1\"");
	for (int i = 0; i < 20; i++)
		buf_printf(&b, ",\"bot%d\"", i);
	BUF_ADD_LIT(&b,
		"],\"environments\":[\"dev\",\"ci\"],\"exec_match\":{\"argv_patterns\":[[\"ls\"]");
	for (int i = 0; i < 100; i++)
		buf_printf(&b, ",[\"tool%d\",\"**\"]", i);
	BUF_ADD_LIT(&b, "]}}]}");
	buf_add_char(&b, '\0');
	struct policy *p = fixture_policy("long.json", buf_span(&b).p);
	for (int i = 0; i < 200; i += 33) {
		char user[16];
		char params[64];
		snprintf(user, sizeof(user), "user%d", i);
		snprintf(params, sizeof(params), "{\"argv\":[\"tool%d\",\"x\"]}", i / 2);
		struct fixture_action f = {.type = "process.exec",
			.resource = "file://workspace/",
			.params = params,
			.principal = user,
			.agent = "bot19",
			.environment = "ci"};
		CHECK_INT(fixture_decide(p, a, f).verdict, VERDICT_ALLOW);
		f.environment = "prod";
		CHECK_INT(fixture_decide(p, a, f).verdict, VERDICT_DENY);
		f.environment = "dev";
		f.principal = "bot19";
		CHECK_INT(fixture_decide(p, a, f).verdict, VERDICT_DENY);
	}
	policy_unref(&p);
	arena_free(&a);
}

/* A full arena is a deny, at every size that is too small. */
TEST(full_arena_denies)
{
	struct policy *p =
		fixture_policy("o.yaml", "version: v1\nrules:\n"
					 "- {id: a, action_type: fs.read, resource: '**', "
					 "decision: ALLOW, obligations: {output_max_bytes: 9}}\n"
					 "- {id: b, action_type: fs.read, resource: '**', "
					 "decision: ALLOW, obligations: {output_max_bytes: 8}}\n");
	struct arena *whole = arena_new(FIXTURE_ARENA_BYTES);
	const struct action *action = fixture_action(whole,
		(struct fixture_action){.type = "fs.read", .resource = "file://workspace/a"});
	bool has_failed = false;
	bool has_worked = false;

	for (size_t cap = 1; cap < 8192 && p != NULL && action != NULL; cap += 16) {
		struct arena *a = arena_new(cap);
		struct decision d;
		memset(&d, 0xff, sizeof(d)); /* nothing of it may survive */
		enum err rc = policy_eval(p, action, a, &d);
		if (rc == OK) {
			CHECK_INT(d.verdict, VERDICT_ALLOW);
			CHECK_INT(d.obligations.output_max_bytes, 8);
			has_worked = true;
		} else {
			CHECK_INT(rc, ERR_TOO_LARGE);
			CHECK_INT(d.verdict, VERDICT_DENY);
			CHECK_INT(d.reason, REASON_DENY_BY_DEFAULT);
			CHECK_INT(d.n_rule_ids, 0);
			has_failed = true;
		}
		arena_free(&a);
	}
	CHECK(has_failed && has_worked);
	policy_unref(&p);
	arena_free(&whole);
}

/* More rules that match than the first block of numbers holds. */
TEST(many_matches_are_sorted)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct buf b;

	buf_init_arena(&b, a, 1 << 20);
	BUF_ADD_LIT(&b, "{\"version\":\"v1\",\"rules\":[");
	for (int i = 0; i < 300; i++)
		buf_printf(&b,
			"%s{\"id\":\"r%03d\",\"action_type\":\"%s\",\"resource\":\"%s\","
			"\"decision\":\"ALLOW\"}",
			i > 0 ? "," : "", (i * 7) % 300, i % 3 == 0 ? "*" : "fs.read",
			i % 2 == 0 ? "**" : "file://workspace/**");
	BUF_ADD_LIT(&b, "]}");
	buf_add_char(&b, '\0');
	struct policy *p = fixture_policy("many.json", buf_span(&b).p);
	struct decision d = fixture_decide(
		p, a, (struct fixture_action){.type = "fs.read", .resource = "file://workspace/a"});
	CHECK_INT(d.n_rule_ids, 300);
	for (size_t i = 1; i < d.n_rule_ids; i++)
		CHECK(span_cmp(d.rule_ids[i - 1], d.rule_ids[i]) < 0);
	policy_unref(&p);
	arena_free(&a);
}

SUITE("eval", TEST_ROW(corpus_precedence), TEST_ROW(corpus_resource), TEST_ROW(corpus_identity),
	TEST_ROW(corpus_exec), TEST_ROW(corpus_obligations), TEST_ROW(corpus_safe),
	TEST_ROW(weak_spot_9_star_in_value_does_not_dodge_a_deny),
	TEST_ROW(unusable_params_match_no_exec_rule), TEST_ROW(long_lists_are_found),
	TEST_ROW(full_arena_denies), TEST_ROW(many_matches_are_sorted))
