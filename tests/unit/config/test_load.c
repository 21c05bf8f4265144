/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Precedence, environment rules, paths, checks and secrets of config_load, where the corpus of
 * messages does not reach; among them the weak spots of the reference: environment values that do
 * not parse, default paths relative to the working directory, one error at a time.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "config/load.h"
#include "sample.h"
#include "support/test.h"

#include <stdio.h>
#include <unistd.h>

#define ARENA_BYTES ((size_t)1024 * 1024)
#define WHO                                                                                        \
	"\"identity\": {\"principal\": \"alice\", \"agent\": \"coder\","                           \
	" \"agent_secrets\": {\"coder\": \"file-secret\"}}"

static struct arena *arena;
static struct config_report report;
static struct errinfo failure;
static struct span env;

static enum err
load(const char *text, const char *variables, size_t n_variables,
	const struct config_override *overrides, struct sample *out)
{
	env = span_of(variables, n_variables);
	struct config_input in = {.file = "conf/nomos.json",
		.text = span_cstr(text),
		.env = sample_getenv,
		.env_arg = &env,
		.overrides = overrides,
		.n_overrides = overrides != NULL ? 1 : 0};
	arena_free(&arena);
	arena = arena_new(ARENA_BYTES);
	failure.msg[0] = '\0';
	return config_load(&sample_config, &in, arena, out, &report, &failure);
}

#define LOAD(text, env, out) load((text), (env), sizeof(env), NULL, (out))

TEST(file_beats_default_and_environment_beats_file)
{
	struct sample o;

	CHECK_INT(LOAD("{" WHO "}", "", &o), OK);
	CHECK_INT(o.gateway.concurrency_limit, 32);
	CHECK_INT(LOAD("{" WHO ", \"gateway\": {\"concurrency_limit\": 5}}", "", &o), OK);
	CHECK_INT(o.gateway.concurrency_limit, 5);
	CHECK_INT(LOAD("{" WHO ", \"gateway\": {\"concurrency_limit\": 5}}",
			  "NOMOS_GATEWAY_CONCURRENCY_LIMIT=6", &o),
		OK);
	CHECK_INT(o.gateway.concurrency_limit, 6);
	CHECK_INT(LOAD("{" WHO ", \"gateway\": {\"concurrency_limit\": 5}}",
			  "NOMOS_GATEWAY_CONCURRENCY_LIMIT=", &o),
		OK);
	CHECK_INT(o.gateway.concurrency_limit, 5);
}

TEST(environment_value_of_the_file_out_of_range_is_mended_by_the_environment)
{
	struct sample o;

	CHECK_INT(LOAD("{" WHO ", \"gateway\": {\"concurrency_limit\": 0}}",
			  "NOMOS_GATEWAY_CONCURRENCY_LIMIT=6", &o),
		OK);
	CHECK_INT(o.gateway.concurrency_limit, 6);
}

TEST(environment_of_one_form_clears_the_other)
{
	struct sample o;

	CHECK_INT(LOAD("{" WHO ", \"policy\": {\"policy_bundle_paths\": [\"a\", \"b\"]}}",
			  "NOMOS_POLICY_BUNDLE_PATH=one.yaml", &o),
		OK);
	CHECK_SPAN(o.policy.policy_bundle_path, "conf/one.yaml");
	CHECK_INT(o.policy.policy_bundle_paths.n, 0);
	CHECK_INT(LOAD("{" WHO ", \"policy\": {\"policy_bundle_path\": \"one.yaml\"}}",
			  "NOMOS_POLICY_BUNDLE_PATHS=/x/a.yaml ,, b.yaml", &o),
		OK);
	CHECK_INT(o.policy.policy_bundle_path.n, 0);
	CHECK_INT(o.policy.policy_bundle_paths.n, 2);
	CHECK_SPAN(o.policy.policy_bundle_paths.v[0], "/x/a.yaml");
	CHECK_SPAN(o.policy.policy_bundle_paths.v[1], "conf/b.yaml");
}

TEST(override_beats_environment_and_clears)
{
	struct sample o;
	const struct span values[] = {SPAN_LIT("x,1.yaml"), SPAN_LIT("y.yaml")};
	struct config_override cli = {.key = "policy.policy_bundle_paths",
		.origin = "--policy-bundle",
		.values = values,
		.n_values = 2};
	static const char vars[] = "NOMOS_POLICY_BUNDLE_PATH=env.yaml";

	CHECK_INT(load("{" WHO "}", vars, sizeof(vars), &cli, &o), OK);
	CHECK_INT(o.policy.policy_bundle_path.n, 0);
	CHECK_INT(o.policy.policy_bundle_paths.n, 2);
	CHECK_SPAN(o.policy.policy_bundle_paths.v[0], "conf/x,1.yaml");
}

TEST(override_of_unknown_key_or_object_is_refused)
{
	struct sample o;
	const struct span value = SPAN_LIT("1");
	struct config_override cli = {
		.key = "gateway.nothing", .origin = "--set", .values = &value, .n_values = 1};

	CHECK_INT(load("{" WHO "}", "", 0, &cli, &o), ERR_INVALID);
	CHECK_STR(failure.msg, "--set: unknown key gateway.nothing");
	cli.key = "gateway.tls";
	CHECK_INT(load("{" WHO "}", "", 0, &cli, &o), ERR_INVALID);
	CHECK_STR(failure.msg, "--set: gateway.tls: can be set in the file only");
	cli.key = "gateway.concurrency_limit";
	cli.n_values = 0;
	CHECK_INT(load("{" WHO "}", "", 0, &cli, &o), ERR_INVALID);
	CHECK_STR(failure.msg, "--set: gateway.concurrency_limit: takes one value, got 0");
}

TEST(environment_adds_api_key_and_replaces_agent_secret)
{
	struct sample o;

	CHECK_INT(LOAD("{\"identity\": {\"principal\": \"alice\", \"agent\": \"coder\","
		       " \"api_keys\": {\"key-b\": \"bob\", \"key-z\": \"zoe\"},"
		       " \"agent_secrets\": {\"coder\": \"old-secret\", \"x\": \"y-secret\"}}}",
			  "NOMOS_IDENTITY_API_KEY=key-m\0NOMOS_IDENTITY_AGENT_SECRET=new-secret"
			  "\0NOMOS_IDENTITY_PRINCIPAL=carol",
			  &o),
		OK);
	CHECK_INT(o.identity.api_keys.n, 3);
	CHECK_SPAN(config_map_find(&o.identity.api_keys, SPAN_LIT("key-m")), "carol");
	CHECK_SPAN(config_map_find(&o.identity.api_keys, SPAN_LIT("key-b")), "bob");
	CHECK_SPAN(config_map_find(&o.identity.api_keys, SPAN_LIT("key-z")), "zoe");
	CHECK(config_map_find(&o.identity.api_keys, SPAN_LIT("key")).p == NULL);
	CHECK_INT(o.identity.agent_secrets.n, 2);
	CHECK_SPAN(config_map_find(&o.identity.agent_secrets, SPAN_LIT("coder")), "new-secret");
}

TEST(a_name_may_have_a_list_of_values)
{
	struct sample o;

	CHECK_INT(
		LOAD("{\"identity\": {\"principal\": \"alice\", \"agent\": \"m\","
		     " \"agent_secrets\": {\"m\": \"m-secret\"}, \"peer_secrets\":"
		     " {\"z\": \"z1\", \"m\": [\"m1\", \"m2\"], \"b\": [\"b1\", \"b0\", \"b2\"]}}}",
			"", &o),
		OK);
	CHECK_INT(o.identity.peer_secrets.n, 6);
	CHECK_SPAN(o.identity.peer_secrets.v[1].key, "b");
	CHECK_SPAN(o.identity.peer_secrets.v[1].value, "b0");
	CHECK_SPAN(config_map_find(&o.identity.peer_secrets, SPAN_LIT("m")), "m1");
	CHECK_SPAN(config_map_find(&o.identity.peer_secrets, SPAN_LIT("z")), "z1");
	CHECK_INT(LOAD("{\"identity\": {\"principal\": \"alice\", \"agent\": \"m\","
		       " \"agent_secrets\": {\"m\": \"m-secret\"}, \"peer_secrets\":"
		       " {\"z\": \"z1\", \"m\": [\"m1\", \"m2\"], \"b\": [\"b1\", \"b0\"]}}}",
			  "NOMOS_PEER_SECRET=new", &o),
		OK);
	CHECK_INT(o.identity.peer_secrets.n, 4);
	CHECK_SPAN(o.identity.peer_secrets.v[2].key, "m");
	CHECK_SPAN(o.identity.peer_secrets.v[2].value, "new");
	CHECK_SPAN(o.identity.peer_secrets.v[3].value, "z1");
}

TEST(lists_of_values_are_bounded_and_never_shown)
{
	static const char *const wrong[] = {"[]", "[\"hunter2\", {}]", "[\"hunter2\", \"\"]",
		"[[\"hunter2\"]]", "[\"hunter2\", \"b\", \"c\", \"d\", \"e\"]"};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		char text[512];
		struct sample o;

		snprintf(text, sizeof(text),
			"{\"identity\": {\"principal\": \"p\", \"agent\": \"a\", "
			"\"agent_secrets\": "
			"{\"a\": \"12345678\"}, \"peer_secrets\": {\"a\": %s}}}",
			wrong[i]);
		CHECK_INT(LOAD(text, "", &o), ERR_INVALID);
		CHECK(strstr(failure.msg, "hunter2") == NULL);
		CHECK(strstr(failure.msg, "peer_secrets") != NULL);
	}
}

TEST(default_paths_are_relative_to_the_file)
{
	struct sample o;

	CHECK_INT(LOAD("{" WHO "}", "", &o), OK);
	CHECK_SPAN(o.rate_limits.state_path, "conf/rates.db");
}

TEST(texts_end_in_nul_and_zero_is_empty_not_null)
{
	struct sample o;

	CHECK_INT(LOAD("{" WHO "}", "", &o), OK);
	CHECK_STR(o.gateway.listen.p, ":8080");
	CHECK(o.gateway.mode.p != NULL);
	CHECK_STR(o.gateway.tls.cert_file.p, "");
	CHECK_STR(o.identity.agent_secrets.v[0].value.p, "file-secret");
}

TEST(lists_take_their_defaults_per_element)
{
	struct sample o;

	CHECK_INT(LOAD("{" WHO ", \"rate_limits\": {\"principal_action\": [{\"id\": \"x\"},"
		       " {\"id\": \"y\", \"burst\": 9, \"tags\": []}]}}",
			  "NOMOS_RATE_LIMITS_PRINCIPAL_ACTION=1", &o),
		OK);
	CHECK_INT(o.rate_limits.principal_action.n, 2);
	CHECK_INT(o.rate_limits.principal_action.v[0].burst, 1);
	CHECK_INT(o.rate_limits.principal_action.v[0].tags.n, 2);
	CHECK_INT(o.rate_limits.principal_action.v[1].burst, 9);
	CHECK_INT(o.rate_limits.principal_action.v[1].tags.n, 0);
}

TEST(without_a_file_the_environment_alone_serves)
{
	struct sample o;
	static const char vars[] = "NOMOS_IDENTITY_PRINCIPAL=a\0NOMOS_IDENTITY_AGENT=b"
				   "\0NOMOS_IDENTITY_AGENT_SECRET=12345678";
	struct config_input in = {.env = sample_getenv, .env_arg = &env};

	env = span_of(vars, sizeof(vars));
	arena_free(&arena);
	arena = arena_new(ARENA_BYTES);
	CHECK_INT(config_load(&sample_config, &in, arena, &o, &report, NULL), OK);
	CHECK_SPAN(o.rate_limits.state_path, "rates.db");
}

TEST(every_error_is_counted_and_the_first_leads)
{
	struct sample o;

	CHECK_INT(LOAD("{\"gateway\": {\"listen\": 1,\n \"concurrency_limit\": 0}}", "", &o),
		ERR_INVALID);
	CHECK_INT(report.n_errors, 5);
	CHECK_STR(failure.msg, "conf/nomos.json: identity.principal: is required (and 4 more)");
	CHECK_INT(report.issues[4].line, 2);
	CHECK_INT(report.issues[4].column, 23);
}

TEST(no_message_holds_a_secret)
{
	struct sample o;

	CHECK_INT(LOAD("{\"identity\": {\"api_keys\": {\"hunter2-key\": 5, \"hunter2-b\": \"\"},"
		       " \"agent_secrets\": {\"a\": [\"hunter2\"]}}, \"upstream\": {\"token\": "
		       "\"hunter2\"}}",
			  "NOMOS_IDENTITY_API_KEY=hunter2-env", &o),
		ERR_INVALID);
	CHECK(report.n_errors >= 5);
	for (size_t i = 0; i < report.n_issues; i++)
		CHECK(strstr(report.issues[i].text.p, "hunter2") == NULL);
	CHECK_INT(LOAD("{\"identity\": {\"api_keys\": {\"hunter2\": \"a\", \"hunter2\": \"b\"}}}",
			  "", &o),
		ERR_PARSE);
	CHECK(strstr(failure.msg, "hunter2") == NULL);
	CHECK_INT(LOAD("{\"identity\": {\"api_keys\": {\"hunter2\": \"\\ud800\"}}}", "", &o),
		ERR_PARSE);
	CHECK(strstr(failure.msg, "hunter2") == NULL);
}

TEST(no_message_of_the_yaml_reader_holds_a_secret)
{
	static const char *const texts[] = {
		"identity:\n  api_keys:\n    hunter2: a\n    hunter2: b\n",
		"identity:\n  api_keys:\n    hunter2: !!binary x\n",
		"identity:\n  api_keys:\n    hunter2: [a, ~]\n",
		"identity:\n  api_keys:\n    a: *hunter2\n",
		"identity:\n  api_keys: {hunter2: {hunter2: {hunter2: [}}}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct config_input in = {.file = "c.yaml", .text = span_cstr(texts[i])};
		struct sample o;
		arena_free(&arena);
		arena = arena_new(ARENA_BYTES);
		enum err rc = config_load(&sample_config, &in, arena, &o, &report, &failure);
		if (rc != ERR_PARSE || strstr(failure.msg, "hunter2") != NULL ||
			strncmp(failure.msg, "decode config: c.yaml:", 22) != 0)
			FAIL("%s: %s %s", texts[i], err_name(rc), failure.msg);
	}
}

TEST(yaml_gives_strings_the_text_as_written)
{
	static const char text[] = "identity:\n  principal: 1.50\n  agent: yes\n"
				   "  agent_secrets: {yes: 0123}\n"
				   "  principal_agents: {a: [0x10, true, ~]}\n";
	struct config_input in = {.file = "c.yml", .text = span_of(text, sizeof(text) - 1)};
	struct sample o;

	arena_free(&arena);
	arena = arena_new(ARENA_BYTES);
	/* A null in a list is refused by the reader itself. */
	CHECK_INT(config_load(&sample_config, &in, arena, &o, &report, &failure), ERR_PARSE);
	in.text.n = (size_t)(strstr(text, "  principal_agents") - text);
	CHECK_INT(config_load(&sample_config, &in, arena, &o, &report, &failure), OK);
	CHECK_SPAN(o.identity.principal, "1.50");
	CHECK_SPAN(o.identity.agent, "yes");
	CHECK_SPAN(config_map_find(&o.identity.agent_secrets, SPAN_LIT("yes")), "0123");
}

TEST(wipe_overwrites_secrets_only)
{
	struct sample o;

	CHECK_INT(LOAD("{\"identity\": {\"principal\": \"alice\", \"agent\": \"coder\","
		       " \"api_keys\": {\"api-key-1\": \"alice\"},"
		       " \"agent_secrets\": {\"coder\": \"file-secret\"}},"
		       " \"upstream\": {\"token\": \"upstream-token\"}}",
			  "", &o),
		OK);
	config_wipe(&sample_config, &o);
	CHECK_SPAN(o.identity.principal, "alice");
	CHECK_SPAN(o.identity.api_keys.v[0].value, "alice");
	CHECK_SPAN(o.identity.agent_secrets.v[0].key, "coder");
	CHECK(o.identity.api_keys.v[0].key.p[0] == '\0');
	CHECK(o.identity.agent_secrets.v[0].value.p[10] == '\0');
	CHECK(o.upstream.token.p[0] == '\0');
}

TEST(file_is_read_with_its_errors_named)
{
	char path[512];
	struct buf text;
	struct errinfo ei;

	snprintf(path, sizeof(path), "%s/missing/nomos.json", test_tmpdir());
	CHECK_INT(config_read(path, &text, &ei), ERR_NOT_FOUND);
	CHECK(strncmp(ei.msg, "read config: ", 13) == 0);
	CHECK_INT(config_read(test_tmpdir(), &text, &ei), ERR_INVALID);
	snprintf(path, sizeof(path), "%s/nomos.json", test_tmpdir());
	CHECK_INT(fdio_write_file(path, SPAN_LIT("{}"), 0600, NULL), OK);
	CHECK_INT(config_read(path, &text, &ei), OK);
	CHECK_SPAN(buf_span(&text), "{}");
	config_wipe_text(&text);
	CHECK(text.p == NULL);
}

TEST(folder_is_absolute)
{
	char cwd[4096];
	char want[5000];

	arena_free(&arena);
	arena = arena_new(ARENA_BYTES);
	CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
	CHECK_STR(config_folder("nomos.json", arena), cwd);
	snprintf(want, sizeof(want), "%s/conf", cwd);
	CHECK_STR(config_folder("x/../conf/nomos.json", arena), want);
	CHECK_STR(config_folder("/etc/nomos/nomos.json", arena), "/etc/nomos");
	CHECK_STR(config_folder("/nomos.json", arena), "/");
}

TEST(arena_too_small_is_no_memory_and_no_options)
{
	struct sample o;
	static const struct sample zero;
	struct config_input in = {.file = "a.json", .text = span_cstr("{" WHO "}")};
	struct arena *small = arena_new(1000);

	CHECK_INT(config_load(&sample_config, &in, small, &o, &report, &failure), ERR_NOMEM);
	CHECK(memcmp(&o, &zero, sizeof(o)) == 0);
	arena_free(&small);
	arena_free(&arena);
}

SUITE("config load", TEST_ROW(file_beats_default_and_environment_beats_file),
	TEST_ROW(environment_value_of_the_file_out_of_range_is_mended_by_the_environment),
	TEST_ROW(environment_of_one_form_clears_the_other),
	TEST_ROW(override_beats_environment_and_clears),
	TEST_ROW(override_of_unknown_key_or_object_is_refused),
	TEST_ROW(environment_adds_api_key_and_replaces_agent_secret),
	TEST_ROW(a_name_may_have_a_list_of_values),
	TEST_ROW(lists_of_values_are_bounded_and_never_shown),
	TEST_ROW(default_paths_are_relative_to_the_file),
	TEST_ROW(texts_end_in_nul_and_zero_is_empty_not_null),
	TEST_ROW(lists_take_their_defaults_per_element),
	TEST_ROW(without_a_file_the_environment_alone_serves),
	TEST_ROW(every_error_is_counted_and_the_first_leads), TEST_ROW(no_message_holds_a_secret),
	TEST_ROW(no_message_of_the_yaml_reader_holds_a_secret),
	TEST_ROW(yaml_gives_strings_the_text_as_written), TEST_ROW(wipe_overwrites_secrets_only),
	TEST_ROW(file_is_read_with_its_errors_named), TEST_ROW(folder_is_absolute),
	TEST_ROW(arena_too_small_is_no_memory_and_no_options))
