/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The sections read from text: tables that are sound, defaults, checks over several keys, environment, parts not built. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/must.h"
#include "config/load.h"
#include "config/print.h"
#include "pipeline/options.h"
#include "pipeline/policy_files.h"
#include "support/test.h"

#define TEST_GATEWAY_OPTIONS(ROW, T)                                                               \
	ROW(T, STRING, listen, .def = ":8080", .prose = "As the listener's module has it.")        \
	GATEWAY_LIMIT_ROWS(ROW, T)

struct test_gateway_options {
	TEST_GATEWAY_OPTIONS(CONFIG_MEMBER, test_gateway_options)
};
CONFIG_OBJECT(test_gateway_options, TEST_GATEWAY_OPTIONS, .prose = "The listener.");

#define TEST_ROOT(ROW, T)                                                                          \
	ROW(T, OBJECT(test_gateway_options), gateway, .prose = "The listener.")                    \
	PIPELINE_SECTIONS(ROW, T)

struct test_root {
	TEST_ROOT(CONFIG_MEMBER, test_root)
};

static void
check_root(void *options, struct config_scope *scope)
{
	struct pipeline_options p = {.has_durable_sink = false};

	PIPELINE_OPTIONS_FROM(&p, (const struct test_root *)options);
	pipeline_check_options(&p, scope);
}

static const config_check_fn root_checks[] = {check_root, NULL};
CONFIG_OBJECT(test_root, TEST_ROOT, .prose = "All of it.", .checks = root_checks);

#define GOOD_POLICY "\"policy\":{\"policy_bundle_path\":\"p.json\"}"
#define GOOD_IDENTITY                                                                              \
	"\"identity\":{\"principal\":\"p\",\"agent\":\"a\",\"environment\":\"dev\","               \
	"\"api_keys\":{\"0123456789\":\"p\"},\"agent_secrets\":{\"a\":\"0123456789\"}}"

struct loaded {
	struct arena *arena;
	struct test_root root;
	struct config_report report;
	struct errinfo ei;
	enum err rc;
};

static const char *const *environment; /* name, value, ... NULL */

static const char *
find_env(const char *name, void *arg)
{
	(void)arg;
	for (size_t i = 0; environment != NULL && environment[i] != NULL; i += 2)
		if (strcmp(environment[i], name) == 0)
			return environment[i + 1];
	return NULL;
}

static void
load(struct loaded *l, const char *text)
{
	struct config_input in = {
		.file = "/etc/nomos/nomos.json", .text = span_cstr(text), .env = find_env};

	memset(l, 0, sizeof(*l));
	l->arena = arena_new(8 * 1024 * 1024);
	MUST(l->arena != NULL);
	l->rc = config_load(&test_root_config, &in, l->arena, &l->root, &l->report, &l->ei);
}

/* "" expects success; otherwise some issue must hold the text. */
static void
check_load(const char *text, const char *want)
{
	struct loaded l;
	bool found = false;

	load(&l, text);
	if ((l.rc == OK) != (want[0] == '\0'))
		FAIL("%s: %s", text, l.ei.msg);
	for (size_t i = 0; i < l.report.n_issues; i++)
		found = found || strstr(l.report.issues[i].text.p, want) != NULL;
	if (want[0] != '\0' && !found)
		FAIL("%s: no \"%s\" but %s", text, want, l.ei.msg);
	arena_free(&l.arena);
}

TEST(tables_are_sound)
{
	struct buf faults;

	buf_init(&faults, 1 << 16);
	config_verify(&test_root_config, &faults);
	CHECK_SPAN(buf_span(&faults), "");
	buf_fini(&faults);
}

TEST(defaults)
{
	struct loaded l;
	struct pipeline_options o = {.has_durable_sink = true};

	load(&l, "{" GOOD_POLICY "," GOOD_IDENTITY "}");
	CHECK_INT(l.rc, OK);
	PIPELINE_OPTIONS_FROM(&o, &l.root);
	CHECK_INT(o.gateway.concurrency_limit, 32);
	CHECK_INT(o.gateway.rate_limit_per_minute, 120);
	CHECK_INT(o.gateway.circuit_breaker_failures, 5);
	CHECK_INT(o.gateway.circuit_breaker_cooldown_seconds, 60);
	CHECK_INT(o.executor.max_output_bytes, 65536);
	CHECK_INT(o.executor.max_output_lines, 200);
	CHECK_INT(o.rate_limits.evict_after_seconds, 3600);
	CHECK(!o.rate_limits.enabled);
	CHECK(o.policy.explain_suggestions);
	CHECK_INT(o.policy.exec_compatibility_mode, POLICY_EXEC_LEGACY_FALLBACK);
	CHECK_SPAN(o.policy.policy_bundle_path, "/etc/nomos/p.json");
	CHECK_STR(assurance_level(&o), "BEST_EFFORT");
	CHECK(o.has_durable_sink);
	arena_free(&l.arena);
}

/* As the original: neither case nor blanks around it count. */
TEST(exec_mode_is_folded)
{
	struct loaded l;
	struct pipeline_options o = {.has_durable_sink = true};

	load(&l, "{\"policy\":{\"policy_bundle_path\":\"p\",\"exec_compatibility_mode\":\" Strict "
		 "\"}," GOOD_IDENTITY "}");
	CHECK_INT(l.rc, OK);
	PIPELINE_OPTIONS_FROM(&o, &l.root);
	CHECK_INT(o.policy.exec_compatibility_mode, POLICY_EXEC_STRICT);
	arena_free(&l.arena);
}

TEST(rules_over_several_keys)
{
	check_load("{" GOOD_POLICY "," GOOD_IDENTITY "}", "");
	check_load("{" GOOD_IDENTITY "}",
		"policy.policy_bundle_path or policy.policy_bundle_paths is required");
	check_load("{\"policy\":{\"policy_bundle_path\":\"a\",\"policy_bundle_paths\":[\"b\"]}"
		   "," GOOD_IDENTITY "}",
		"policy.policy_bundle_path and policy.policy_bundle_paths are mutually exclusive");
	check_load("{\"policy\":{\"policy_bundle_paths\":[\"b\",\"c\"],\"policy_bundle_roles\":"
		   "[\"org\"]}," GOOD_IDENTITY "}",
		"must have one role for each bundle");
	check_load("{\"policy\":{\"policy_bundle_path\":\"a\",\"verify_signatures\":true}"
		   "," GOOD_IDENTITY "}",
		"policy.public_key_path is required");
	check_load("{\"policy\":{\"policy_bundle_paths\":[\"b\",\"c\"],\"verify_signatures\":true,"
		   "\"public_key_path\":\"k\",\"signature_paths\":[\"s\"]}," GOOD_IDENTITY "}",
		"policy.signature_paths must match");
	check_load("{" GOOD_POLICY ",\"identity\":{\"principal\":\"p\",\"agent\":\"a\","
		   "\"environment\":\"dev\",\"agent_secrets\":{\"a\":\"s\"}}}",
		"identity.api_keys or identity.service_secrets or identity.oidc.enabled");
	check_load("{" GOOD_POLICY ",\"identity\":{\"principal\":\"p\",\"agent\":\"a\","
		   "\"environment\":\"dev\",\"service_secrets\":{\"s\":\"s\"}}}",
		"identity.agent_secrets is required");
	check_load("{" GOOD_POLICY ",\"identity\":{\"principal\":\"p\",\"agent\":\"a\","
		   "\"environment\":\"dev\",\"hashed_keys\":[{\"id\":\"k\",\"principal\":\"p\","
		   "\"hash\":\"sha256:00\"}],\"agent_secrets\":{\"a\":\"s\"}}}",
		"is not sha256: and 64 lower-case hex digits");
	check_load("{" GOOD_POLICY ",\"identity\":{\"principal\":\"p\",\"agent\":\"a\","
		   "\"environment\":\"dev\",\"api_keys\":{\"k\":\"p\"},\"agent_secrets\":{\"a\":"
		   "\"s\"},"
		   "\"roles\":{\"admin\":[\"p\"]}}}",
		"\"admin\" is no role; there are viewer, approver and operator");
}

#define IDENTITY_OF(principal, agent, environment, more)                                           \
	"{" GOOD_POLICY ",\"identity\":{\"principal\":\"" principal "\",\"agent\":\"" agent        \
	"\",\"environment\":\"" environment "\"," more "}}"
#define KEYS_OF(key, principal) "\"api_keys\":{\"" key "\":\"" principal "\"}"
#define AGENTS_OF(agent, secret) "\"agent_secrets\":{\"" agent "\":\"" secret "\"}"
#define KEYS KEYS_OF("0123456789", "p")
#define AGENTS AGENTS_OF("a", "0123456789")
#define HASH "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Blank credentials let everybody in or nobody; blanks at an end never match what is presented, which is trimmed. */
TEST(blanks_are_no_identity)
{
	static const char *const rows[][2] = {
		{IDENTITY_OF("p", "a", "dev", KEYS "," AGENTS), ""},
		{IDENTITY_OF("p p", "a\\ta", "d e v", KEYS "," AGENTS), ""},
		{IDENTITY_OF(" ", "a", "dev", KEYS "," AGENTS), "identity.principal is blank"},
		{IDENTITY_OF("p", "\\t\\n", "dev", KEYS "," AGENTS), "identity.agent is blank"},
		{IDENTITY_OF("p", "a", "\\u00a0", KEYS "," AGENTS),
			"identity.environment is blank"},
		{IDENTITY_OF("p", "a", "", KEYS "," AGENTS), "identity.environment"},
		{IDENTITY_OF("p", "a", "dev ", KEYS "," AGENTS),
			"identity.environment begins or ends with white space"},
		{IDENTITY_OF("p", "a", "dev", KEYS "," AGENTS_OF("a", "  ")),
			"an agent needs an id and a secret"},
		{IDENTITY_OF("p", "a", "dev", KEYS "," AGENTS_OF(" ", "s")),
			"an agent needs an id and a secret"},
		{IDENTITY_OF("p", "a", "dev", KEYS "," AGENTS_OF("a", "s\\n")),
			"an agent needs an id and a secret, without white space at either end "
			"(entry 1)"},
		{IDENTITY_OF("p", "a", "dev", KEYS "," AGENTS_OF(" a", "s")),
			"an agent needs an id and a secret, without white space at either end "
			"(entry 1)"},
		{IDENTITY_OF("p", "a", "dev", AGENTS "," KEYS_OF("  ", "p")),
			"an API key needs a key and a principal"},
		{IDENTITY_OF("p", "a", "dev", AGENTS "," KEYS_OF("k ", "p")),
			"an API key needs a key and a principal, without white space at either end "
			"(entry 1)"},
		{IDENTITY_OF("p", "a", "dev", AGENTS "," KEYS_OF("k", " ")),
			"an API key needs a key and a principal"},
		{IDENTITY_OF("p", "a", "dev", AGENTS ",\"service_secrets\":{\"s\":\" \"}"),
			"a service needs an id and a secret"},
		{IDENTITY_OF("p", "a", "dev", AGENTS ",\"service_secrets\":{\"s \":\"s\"}"),
			"a service needs an id and a secret, without white space at either end "
			"(entry 1)"},
		{IDENTITY_OF("p", "a", "dev",
			 AGENTS ",\"hashed_keys\":[{\"id\":\"k\",\"principal\":\" \",\"hash\":"
				"\"" HASH "\"}]"),
			"the principal of key k is blank"},
		{IDENTITY_OF(
			 "p", "a", "dev", AGENTS "," KEYS ",\"principal_agents\":{\"p \":[\"a\"]}"),
			"the principal of entry 1 is blank, or begins or ends with white space"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_load(rows[i][0], rows[i][1]);
}

/* No message holds a key or a secret. */
TEST(what_is_wrong_with_a_secret_is_said_without_it)
{
	struct loaded l;

	load(&l, IDENTITY_OF(
			 "p", "a", "dev", KEYS_OF("hunter1 ", "p") "," AGENTS_OF("a", " hunter2")));
	CHECK_INT(l.report.n_issues, 2);
	for (size_t i = 0; i < l.report.n_issues; i++)
		CHECK(strstr(l.report.issues[i].text.p, "hunter") == NULL);
	arena_free(&l.arena);
}

TEST(local_override_is_for_development)
{
	check_load("{\"policy\":{\"policy_bundle_path\":\"a\",\"policy_bundle_roles\":"
		   "[\" Local_Override\"]}," GOOD_IDENTITY "}",
		"");
	check_load("{\"policy\":{\"policy_bundle_path\":\"a\",\"policy_bundle_roles\":"
		   "[\"local_override\"]},\"runtime\":{\"deployment_mode\":\"ci\"}," GOOD_IDENTITY
		   "}",
		"local_override is only allowed when runtime.deployment_mode is unmanaged");
	environment = (const char *const[]){"NOMOS_IDENTITY_ENVIRONMENT", "prod", NULL};
	check_load("{\"policy\":{\"policy_bundle_path\":\"a\",\"policy_bundle_roles\":"
		   "[\"local_override\"]}," GOOD_IDENTITY "}",
		"local_override is only allowed when identity.environment is dev or local");
	environment = NULL;
}

static void
check_rate_rule(const char *list, const char *rule, const char *want)
{
	char text[1024];

	snprintf(text, sizeof(text), "{%s,%s,\"rate_limits\":{\"%s\":[%s]}}", GOOD_POLICY,
		GOOD_IDENTITY, list, rule);
	check_load(text, want);
}

TEST(rate_rules)
{
	struct loaded l;

	check_rate_rule("principal_action",
		"{\"id\":\"r\",\"action_type\":\"*\",\"burst\":1,\"refill_per_minute\":1}", "");
	check_rate_rule("principal_action",
		"{\"id\":\" \",\"action_type\":\"*\",\"burst\":1,\"refill_per_minute\":1}",
		"rate limit rule id is required");
	check_rate_rule("principal_action", "{\"id\":\"r\",\"burst\":1,\"refill_per_minute\":1}",
		"principal_action rate limit rules require action_type");
	check_rate_rule("global_tool", "{\"id\":\"r\",\"burst\":1,\"refill_per_minute\":1}",
		"global_tool rate limit rules require action_type");
	check_rate_rule("principal_resource", "{\"id\":\"r\",\"burst\":1,\"refill_per_minute\":1}",
		"principal_resource rate limit rules require resource");
	check_rate_rule("principal_action",
		"{\"id\":\"r\",\"action_type\":\"*\",\"refill_per_minute\":1}",
		"rate limit rule burst must be > 0");
	check_rate_rule("principal_action", "{\"id\":\"r\",\"action_type\":\"*\",\"burst\":1}",
		"rate limit rule refill_per_minute must be > 0");
	check_rate_rule("principal_action",
		"{\"id\":\"r\",\"action_type\":\"*\",\"burst\":1,\"refill_per_minute\":1},"
		"{\"id\":\" r\",\"action_type\":\"*\",\"burst\":1,\"refill_per_minute\":1}",
		"rate limit rule ids must be unique");
	check_load("{" GOOD_POLICY "," GOOD_IDENTITY ",\"rate_limits\":{\"enabled\":true,"
		   "\"evict_after_seconds\":0}}",
		"rate_limits.evict_after_seconds must be > 0 when rate limits are enabled");
	load(&l, "{" GOOD_POLICY "," GOOD_IDENTITY
		 ",\"rate_limits\":{\"global_tool\":[{\"id\":\"g\","
		 "\"action_type\":\"x.y\",\"burst\":1,\"refill_per_minute\":1}]}}");
	CHECK_INT(l.rc, OK);
	CHECK(l.root.rate_limits.enabled);
	arena_free(&l.arena);
}

TEST(the_environment_wins_and_keys_follow_the_principal)
{
	struct loaded l;

	environment = (const char *const[]){"NOMOS_IDENTITY_PRINCIPAL", "envp",
		"NOMOS_IDENTITY_API_KEY", "envkey0123", "NOMOS_IDENTITY_AGENT_SECRET", "envsecret",
		"NOMOS_POLICY_BUNDLE_PATHS", "x.json, y.json", "NOMOS_RUNTIME_EVIDENCE_ROOTLESS",
		"t", "NOMOS_GATEWAY_CONCURRENCY_LIMIT", "7", NULL};
	load(&l, "{" GOOD_POLICY "," GOOD_IDENTITY "}");
	environment = NULL;
	CHECK_INT(l.rc, OK);
	CHECK_SPAN(l.root.identity.principal, "envp");
	CHECK_SPAN(config_map_find(&l.root.identity.api_keys, SPAN_LIT("envkey0123")), "envp");
	CHECK_SPAN(config_map_find(&l.root.identity.agent_secrets, SPAN_LIT("a")), "envsecret");
	CHECK_INT(l.root.policy.policy_bundle_path.n, 0);
	CHECK_INT(l.root.policy.policy_bundle_paths.n, 2);
	CHECK(l.root.runtime.evidence.rootless_or_non_privileged);
	CHECK_INT(l.root.gateway.concurrency_limit, 7);
	arena_free(&l.arena);
}

/* Decisions 34. */
TEST(parts_that_are_not_built)
{
	static const char *const refused[] = {
		"\"policy\":{\"policy_bundle_path\":\"p\",\"opa\":{\"enabled\":true}}",
		"\"tenancy\":{\"enabled\":true}",
		"\"upstream\":{\"routes\":[\"https://a\"]}",
	};
	static const char *const accepted[] = {
		"\"credentials\":{\"enabled\":true,\"secrets\":[]}",
		"\"mcp\":{\"enabled\":true}",
		"\"tenancy\":{\"enabled\":false}",
	};
	char text[1024];

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		snprintf(text, sizeof(text), "{%s,%s%s%s}", refused[i], GOOD_IDENTITY,
			strstr(refused[i], "\"policy\"") != NULL ? "" : ",",
			strstr(refused[i], "\"policy\"") != NULL ? "" : GOOD_POLICY);
		check_load(text, "built");
	}
	for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
		snprintf(text, sizeof(text), "{%s,%s,%s}", accepted[i], GOOD_IDENTITY, GOOD_POLICY);
		check_load(text, "");
	}
	check_load("{\"approvals\":{\"enabled\":true},\"runtime\":{\"stateless_mode\":true}"
		   "," GOOD_IDENTITY "," GOOD_POLICY "}",
		"approvals must be disabled in runtime.stateless_mode");
}

TEST(approvals)
{
	struct loaded l;

	load(&l, "{\"approvals\":{\"enabled\":true,\"ttl_seconds\":60,\"approver_principals\":["
		 "\"a\"],"
		 "\"slack_token\":\"0123456789abcdef\",\"relay\":{\"teams\":{\"token\":"
		 "\"0123456789abcdef\",\"users\":{\"U1\":\"alice\"}}}}," GOOD_IDENTITY
		 "," GOOD_POLICY "}");
	CHECK_INT(l.rc, OK);
	CHECK(l.root.approvals.enabled);
	CHECK_INT(l.root.approvals.ttl_seconds, 60);
	CHECK_INT(l.root.approvals.max_pending, 1000);
	CHECK_SPAN(config_map_find(&l.root.approvals.relay.teams.users, SPAN_LIT("U1")), "alice");
	arena_free(&l.arena);
#define CHECK_APPROVALS(text, want)                                                                \
	check_load("{\"approvals\":{" text "}," GOOD_IDENTITY "," GOOD_POLICY "}", want)
	CHECK_APPROVALS("\"store_path\":\"x.db\",\"backend\":\"sqlite\"", "");
	CHECK_APPROVALS("\"ttl_seconds\":0", "ttl_seconds");
	CHECK_APPROVALS("\"approver_principals\":[\" a\"]", "approver 1 is blank");
	CHECK_APPROVALS("\"slack_token\":\"a \"", "white space");
	CHECK_APPROVALS("\"slack_token\":\"0123456789abcdef\",\"relay\":{\"slack\":{\"token\":"
			"\"0123456789abcdeX\"}}",
		"differ");
	CHECK_APPROVALS("\"relay\":{\"slack\":{\"principal\":\" \"}}", "principal is blank");
	CHECK_APPROVALS("\"relay\":{\"slack\":{\"users\":{\"U\":\" x\"}}}", "entry 1");
#undef CHECK_APPROVALS
}

TEST(assurance_levels)
{
	struct pipeline_options o = {.has_durable_sink = true};

	CHECK_STR(assurance_level(&o), "BEST_EFFORT");
	o.runtime.deployment_mode = DEPLOYMENT_REMOTE_DEV;
	CHECK_STR(assurance_level(&o), "BEST_EFFORT");
	o.runtime.deployment_mode = DEPLOYMENT_K8S;
	CHECK_STR(assurance_level(&o), "GUARDED");
	o.runtime.strong_guarantee = true;
	o.runtime.evidence =
		(struct runtime_evidence_section){true, true, true, true, true, true, true};
	o.executor.sandbox_enabled = true;
	o.executor.sandbox_profile = PROFILE_CONTAINER;
	CHECK_STR(assurance_level(&o), "GUARDED"); /* no workload identity */
	o.identity.spiffe.enabled = true;
	CHECK_STR(assurance_level(&o), "STRONG");
	o.has_durable_sink = false;
	CHECK_STR(assurance_level(&o), "GUARDED");
	o.has_durable_sink = true;
	o.identity.hashed_keys.n = 1;
	CHECK_STR(assurance_level(&o), "GUARDED");
}

SUITE("options", TEST_ROW(tables_are_sound), TEST_ROW(defaults), TEST_ROW(exec_mode_is_folded),
	TEST_ROW(rules_over_several_keys), TEST_ROW(blanks_are_no_identity),
	TEST_ROW(what_is_wrong_with_a_secret_is_said_without_it),
	TEST_ROW(local_override_is_for_development), TEST_ROW(rate_rules),
	TEST_ROW(the_environment_wins_and_keys_follow_the_principal),
	TEST_ROW(parts_that_are_not_built), TEST_ROW(approvals), TEST_ROW(assurance_levels))
