/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Doctor over a folder that is fine, and over the same folder with one thing wrong at a time: only
 * the checks that are about it may change. The reference believes what the configuration says;
 * here each fault is a real one.
 */
#define _GNU_SOURCE /* RLIMIT_NOFILE and sockets under strict C11 */

#include "doctor_place.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/ledger_options.h"
#include "base/clock.h"
#include "doctor_checks.h"

TEST(a_good_folder_is_ready)
{
	struct place p;

	set_up(&p);
	examine(&p);
	expect(&p, "good", "", "");
	CHECK(p.report.is_ready);
	CHECK_INT(strlen(p.report.policy_hash), 64);
	CHECK_STR(p.report.assurance, "BEST_EFFORT");
	CHECK_STR(find(&p, "mcp.enabled")->hint, "not configured");
	for (size_t i = 1; i < p.report.n_checks; i++)
		CHECK(strcmp(p.report.checks[i - 1].id, p.report.checks[i].id) < 0);
	tear_down(&p);
}

static const struct row rows[] = {
	{"unknown environment", "environment: dev", "environment: qa",
		"config.environment_recognized identity.environment_derivation", ""},
	{"environment in capitals", "environment: dev", "environment: PROD", "", ""},
	{"no bundle there", "policy.yaml", "missing.yaml",
		"policy.bundle_exists policy.bundle_parses policy.bundle_hash "
		"policy.deny_by_default_probe",
		""},
	{"no workspace there", "workspace_root: workspace", "workspace_root: nowhere",
		"fs.workspace_exists fs.workspace_canonicalizes gateway.snapshot_builds "
		"workspace.writable",
		""},
	{"workspace is a file", "workspace_root: workspace", "workspace_root: policy.yaml",
		"fs.workspace_exists gateway.snapshot_builds workspace.writable", ""},
	{"no workspace named", "executor:\n  workspace_root: workspace\n", "", "",
		"fs.workspace_non_empty"},
	{"plain off loopback", "127.0.0.1:0", "0.0.0.0:0", "gateway.plain_listener", ""},
	{"the default address is off loopback", "listen: 127.0.0.1:0", "listen: \":0\"",
		"gateway.plain_listener", ""},
	{"plain off loopback for health alone", "listen: 127.0.0.1:0",
		"listeners: [{name: one, listen: '127.0.0.1:0'}, {name: probe, listen: "
		"'0.0.0.0:0', roles: [health]}]",
		"", ""},
	{"plain off loopback for health and more", "listen: 127.0.0.1:0",
		"listeners: [{name: one, listen: '127.0.0.1:0'}, {name: probe, listen: "
		"'0.0.0.0:0', "
		"roles: [health, metrics]}]",
		"gateway.plain_listener", ""},
	{"plain for a proxy that ends TLS", "listen: 127.0.0.1:0",
		"trusted_proxies: [192.0.2.1]\n  listeners: [{name: one, listen: '0.0.0.0:0', "
		"proxy_protocol: true}]",
		"gateway.plain_listener", ""},
	{"a unix socket", "listen: 127.0.0.1:0", "listen: 'unix:/tmp/nomos-doctor-none'", "", ""},
	{"an agent with a public key alone", "agent_secrets: {bot: " SECRET "}",
		"agent_public_keys: {bot: \"-----BEGIN PUBLIC KEY-----\\n"
		"MCowBQYDK2VwAyEAKwnTRt+vJyYLM8uxJaMwM1V8Sr0ZgwPUAXw+hDiVqSs=\\n"
		"-----END PUBLIC KEY-----\\n\"}",
		"", ""},
	{"key of an example", "hashed_keys: [{id: a1",
		"api_keys: {dev-api-key: alice}\n  hashed_keys: [{id: a1", "identity.key_strength",
		""},
	{"short key", "hashed_keys: [{id: a1",
		"api_keys: {x8a5c1e9b7d4263: alice}\n  hashed_keys: [{id: a1",
		"identity.key_strength", ""},
	{"long key in clear", "hashed_keys: [{id: a1",
		"api_keys: {" SECRET ": alice}\n  hashed_keys: [{id: a1", "",
		"identity.key_strength"},
	{"secret of an example", "{bot: " SECRET "}", "{bot: agent-secret}",
		"identity.key_strength", ""},
	{"example with a number", "{bot: " SECRET "}", "{bot: ChangeMe-2026-please-do-it}",
		"identity.key_strength", ""},
	{"short secret", "{bot: " SECRET "}", "{bot: x8a5c1e9b7d}", "identity.key_strength", ""},
	{"short service secret",
		"roles:", "service_secrets: {svc: x8a5}\n  roles:", "identity.key_strength", ""},
	{"agent without secret", "{bot: " SECRET "}", "{other: " SECRET "}",
		"identity.required_secrets_present", ""},
	{"version 1", "signature_versions: [v2]", "signature_versions: [v1, v2]", "",
		"identity.request_signatures"},
	{"no roles", "roles: {operator: [olga]}", "roles: {}", "", "identity.roles_configured"},
	{"no pairs", "principal_agents: {alice: [bot]}", "principal_agents: {}", "",
		"identity.principal_agents_configured"},
	{"ledger in no folder", "sink: \"\"", "sink: \"sqlite:no/such/ledger.db\"",
		"ledger.opens ledger.disk_space ledger.file_system", ""},
	{"ledger is a policy", "sink: \"\"", "sink: \"sqlite:policy.yaml\"",
		"ledger.opens ledger.key_mode", ""},
	{"key that is over", "hashed_keys: [{id: a1,",
		"hashed_keys: [{id: a1, expires: '2020-01-01T00:00:00Z',", "",
		"identity.key_expiry"},
	{"key without an early end", "hashed_keys: [{id: a1,",
		"hashed_keys: [{id: a1, expires: '2099-01-01T00:00:00Z',", "", ""},
	{"key of a standard's tests", "agent_secrets: {",
		"agent_public_keys: {other: \"-----BEGIN PUBLIC KEY-----\\n"
		"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\\n"
		"-----END PUBLIC KEY-----\\n\"}\n  agent_secrets: {",
		"identity.key_strength", ""},
	{"webhook secret of an example", "sink: \"\"",
		"sink: \"\"\n  webhook: {secret: replace-me-before-the-first-start}",
		"secrets.strength", ""},
	{"short token of a relay", "identity:",
		"approvals: {enabled: true, slack_token: x8a5, approver_principals: "
		"[slack]}\nidentity:",
		"secrets.strength", ""},
	{"short secret of a receiver", "identity:",
		"approvals: {enabled: true, approver_principals: [olga], notify: [{name: chat, "
		"url: 'https://192.0.2.1/', secret: x8a5}]}\nidentity:",
		"secrets.strength", ""},
	{"records into no folder", "sink: \"\"", "sink: \"file:no/such/out.jsonl\"", "audit.sinks",
		""},
	{"records into a folder", "sink: \"\"", "sink: \"file:workspace\"", "audit.sinks", ""},
	{"records into a file", "sink: \"\"", "sink: \"file:workspace/out.jsonl\"", "", ""},
	{"records in clear", "sink: \"\"", "sink: \"webhook:http://192.0.2.1/\"", "",
		"audit.sinks"},
	{"records to this host", "sink: \"\"",
		"sink: \"webhook:http://127.0.0.1/\"\n  webhook: {secret: " SECRET "}", "", ""},
	{"records unsigned", "sink: \"\"", "sink: \"webhook:https://192.0.2.1/\"", "",
		"audit.sinks"},
	{"everybody is a proxy", "listen: 127.0.0.1:0",
		"listen: 127.0.0.1:0\n  trusted_proxies: [10.0.0.0/8, '::/0']", "",
		"gateway.trusted_proxies"},
	{"one proxy", "listen: 127.0.0.1:0", "listen: 127.0.0.1:0\n  trusted_proxies: [10.0.0.1]",
		"", ""},
	{"CA that is none", "sink: \"\"", "sink: \"\"\n  webhook: {ca_file: policy.yaml}",
		"tls.ca_files", ""},
	{"CA that is not there", "sink: \"\"", "sink: \"\"\n  webhook: {ca_file: gone.pem}",
		"tls.ca_files", ""},
	{"users of a unix socket alone",
		"hashed_keys: [{id: a1, principal: alice, hash: \"sha256:" SECRET
		"0000111122223333\"}]",
		"unix: {users: {'1000': alice}}", "", ""},
	{"a collector in clear", "identity:",
		"telemetry: {enabled: true, sink: 'otlp:http://192.0.2.1:4318', headers: "
		"{Authorization: Bearer-0f8a5c1e9b7d4263}}\nidentity:",
		"", "telemetry.collector"},
	{"a collector on this host", "identity:",
		"telemetry: {enabled: true, sink: 'otlp:http://127.0.0.1:4318', headers: "
		"{Authorization: Bearer-0f8a5c1e9b7d4263}}\nidentity:",
		"", ""},
	{"a collector's credential of an example", "identity:",
		"telemetry: {enabled: true, sink: 'otlp:https://192.0.2.1:4318', headers: "
		"{X-Scope: default, Authorization: Bearer replace-me-with-a-token}}\nidentity:",
		"", "secrets.strength"},
	{"a collector's key that is short", "identity:",
		"telemetry: {enabled: true, sink: 'otlp:https://192.0.2.1:4318', headers: "
		"{X-Api-Key: Bearer0f8a5c1}}\nidentity:",
		"", "secrets.strength"},
	/* user:0f8a5c1e9b, which is short though its base64 is not */
	{"a collector's password that is short", "identity:",
		"telemetry: {enabled: true, sink: 'otlp:https://192.0.2.1:4318', headers: "
		"{Authorization: Basic dXNlcjowZjhhNWMxZTli}}\nidentity:",
		"", "secrets.strength"},
	/* user:0f8a5c1e9b7d42636aa1 */
	{"a collector's password", "identity:",
		"telemetry: {enabled: true, sink: 'otlp:https://192.0.2.1:4318', headers: "
		"{Authorization: Basic dXNlcjowZjhhNWMxZTliN2Q0MjYzNmFhMQ==, X-Scope: "
		"default}}\nidentity:",
		"", ""},
	{"a credential that is not sent",
		"identity:", "telemetry: {headers: {Authorization: Bearer x}}\nidentity:", "", ""},
	{"a collector whose CA is none", "identity:",
		"telemetry: {enabled: true, sink: 'otlp:https://192.0.2.1:4318', ca_file: "
		"policy.yaml}\nidentity:",
		"tls.ca_files", ""},
	{"telemetry that is off", "identity:", "telemetry: {ca_file: gone.pem}\nidentity:", "", ""},
	{"a client certificate that is none", "sink: \"\"",
		"sink: \"\"\n  webhook: {cert_file: policy.yaml, key_file: policy.yaml}",
		"tls.ca_files", ""},
	{"bad pattern", "identity:", "redaction: {patterns: [\"(\"]}\nidentity:",
		"gateway.snapshot_builds", ""},
};

TEST(each_fault_is_found_and_no_other)
{
	char text[4096];
	struct place p;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		set_up(&p);
		replace(text, sizeof(text), &rows[i]);
		put(&p, "nomos.yaml", text, 0600);
		examine(&p);
		expect(&p, rows[i].what, rows[i].failing, rows[i].advising);
		tear_down(&p);
	}
}

TEST(a_controlled_network_makes_the_plain_listener_advice)
{
	static const struct row row = {"",
		"listen: 127.0.0.1:0\nruntime:\n  deployment_mode: unmanaged",
		"listen: 0.0.0.0:0\nruntime:\n  deployment_mode: k8s", "", ""};
	char text[4096];
	struct place p;

	set_up(&p);
	replace(text, sizeof(text), &row);
	put(&p, "nomos.yaml", text, 0600);
	examine(&p);
	expect(&p, "k8s", "", "gateway.plain_listener");
	CHECK(p.report.is_ready);
	CHECK_STR(p.report.assurance, "GUARDED");
	CHECK(strncmp(find(&p, "gateway.plain_listener")->message, "advice: ", 8) == 0);
	tear_down(&p);
}

TEST(a_policy_that_allows_anything_is_found)
{
	struct place p;

	set_up(&p);
	put(&p, "policy.yaml",
		"version: v1\nrules:\n- {id: r, action_type: '*', resource: '**', decision: "
		"ALLOW}\n",
		0644);
	examine(&p);
	expect(&p, "allows anything", "policy.deny_by_default_probe", "");
	CHECK_STR(find(&p, "policy.deny_by_default_probe")->message, "deny by default failed");
	tear_down(&p);
}

TEST(modes_that_give_others_too_much)
{
	struct place p;
	char path[256];

	set_up(&p);
	put(&p, "nomos.yaml", good_config, 0640);
	examine(&p);
	expect(&p, "group reads", "", "files.modes");
	put(&p, "nomos.yaml", good_config, 0644);
	examine(&p);
	expect(&p, "all read", "files.modes", "");
	put(&p, "nomos.yaml", good_config, 0600);
	put(&p, "policy.yaml", good_policy, 0666);
	examine(&p);
	expect(&p, "all write the policy", "files.modes", "");
	put(&p, "policy.yaml", good_policy, 0644);
	CHECK_INT(mkdir(path_in(&p, "keys", path), 0700), 0);
	put(&p, "keys/agent", "nk_x_y\n", 0640);
	examine(&p);
	expect(&p, "group reads a key", "files.modes", "");
	put(&p, "keys/agent", "nk_x_y\n", 0600);
	put(&p, "nomos-ledger.db", "", 0602);
	examine(&p);
	/* It has no key, which is another matter. */
	expect(&p, "all write the ledger", "files.modes ledger.key_mode", "");
	put(&p, "nomos-ledger.db", "", 0600);
	CHECK_INT(chmod(p.dir, 0777), 0);
	examine(&p);
	expect(&p, "all replace the files", "files.modes ledger.key_mode", "");
	CHECK_INT(chmod(p.dir, 01777), 0);
	examine(&p);
	expect(&p, "all add files", "ledger.key_mode", "");
	tear_down(&p);
}

/* A file without blocks has a size all the same. */
TEST(a_ledger_that_only_grows_gets_advice)
{
	char path[256];
	struct place p;

	set_up(&p);
	put(&p, "nomos-ledger.db", "", 0600);
	examine(&p);
	CHECK(find(&p, "ledger.growth")->is_ok);
	CHECK(!find(&p, "ledger.growth")->is_advice);
	CHECK_INT(truncate(path_in(&p, "nomos-ledger.db", path), INT64_C(5) << 30), 0);
	examine(&p);
	CHECK(find(&p, "ledger.growth")->is_advice);
	CHECK(strstr(find(&p, "ledger.growth")->hint, "audit.retention") != NULL);
	tear_down(&p);
}

TEST(a_configuration_that_does_not_load)
{
	static const struct row row = {"", "listen:", "listne:", "", ""};
	char text[4096];
	struct place p;

	set_up(&p);
	replace(text, sizeof(text), &row);
	put(&p, "nomos.yaml", text, 0600);
	examine(&p);
	CHECK(!p.report.is_ready);
	CHECK(!find(&p, "config.load")->is_ok);
	CHECK(strstr(find(&p, "config.load")->hint, "listne") != NULL);
	CHECK(find(&p, "config.path_resolves")->is_ok);
	CHECK(find(&p, "policy.bundle_parses") == NULL);
	CHECK_STR(p.report.assurance, "NONE");
	CHECK_STR(p.report.policy_hash, "");
	tear_down(&p);
}

TEST(no_configuration_named)
{
	struct doctor_input in = {.config_error = "--config/-c is required"};
	struct doctor_report report;
	struct errinfo ei;

	CHECK_INT(doctor_run(&in, &report, &ei), OK);
	CHECK(!report.is_ready);
	for (size_t i = 0; i < report.n_checks; i++) {
		bool is_about_it = strncmp(report.checks[i].id, "config.", 7) == 0;
		if (report.checks[i].is_ok == is_about_it)
			FAIL("%s", report.checks[i].id);
	}
	doctor_report_fini(&report);
}

TEST(no_secret_gets_into_the_report)
{
	struct place p;

	set_up(&p);
	put(&p, "nomos.yaml", good_config, 0644);
	examine(&p);
	for (size_t i = 0; i < p.report.n_checks; i++) {
		const struct doctor_check *c = &p.report.checks[i];
		CHECK(strstr(c->message, SECRET) == NULL);
		CHECK(c->hint == NULL || strstr(c->hint, SECRET) == NULL);
	}
	tear_down(&p);

	struct doctor_input in = {
		.config_path = "x", .config_error = "bad: Bearer abcdefghijklmnopqrstuvwxyz"};
	CHECK_INT(doctor_run(&in, &p.report, &p.ei), OK);
	CHECK(strstr(find(&p, "config.load")->hint, "abcdefghij") == NULL);
	CHECK(strstr(find(&p, "config.load")->hint, "[REDACTED]") != NULL);
	doctor_report_fini(&p.report);
}

TEST(strong_checks_only_when_asked_for)
{
	static const struct row row = {"", "deployment_mode: unmanaged",
		"deployment_mode: ci\n  strong_guarantee: true\n  evidence: {read_only_fs: true}",
		"", ""};
	char text[4096];
	struct place p;

	set_up(&p);
	examine(&p);
	CHECK(find(&p, "strong.gateway_mtls") == NULL);
	replace(text, sizeof(text), &row);
	put(&p, "nomos.yaml", text, 0600);
	examine(&p);
	CHECK(!p.report.is_ready);
	CHECK(!find(&p, "strong.gateway_mtls")->is_ok);
	CHECK(!find(&p, "strong.no_shared_api_keys")->is_ok);
	CHECK(find(&p, "strong.controlled_runtime_mode")->is_ok);
	CHECK(find(&p, "strong.audit_durable")->is_ok);
	CHECK(!find(&p, "strong.environment_bound")->is_ok);
	CHECK(!find(&p, "strong.assurance_evidence_backed")->is_ok);
	/* Typed in, but not so: tests run on a writable file system. */
	CHECK(!find(&p, "evidence.runtime.read_only_fs")->is_ok ||
		strstr(find(&p, "evidence.runtime.read_only_fs")->hint, "measured") != NULL);
	CHECK(!find(&p, "evidence.audit.durable_verified")->is_ok);
	tear_down(&p);
}

TEST(clock_and_descriptors_are_measured)
{
	struct rlimit before;
	struct rlimit few;
	struct place p;
	int status = 0;

	set_up(&p);
	clock_fake_set(1, 1);
	examine(&p);
	clock_fake_off();
	expect(&p, "clock in 1970", "clock.sane", "");
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 100;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
	examine(&p);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
	expect(&p, "few descriptors, which serve makes more", "", "");
	/* There is no way back from a lower hard limit. */
	few.rlim_max = few.rlim_cur;
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		if (setrlimit(RLIMIT_NOFILE, &few) != 0)
			_exit(1);
		examine(&p);
		_exit(find(&p, "limits.open_files")->is_ok ? 2 : 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 0);
	tear_down(&p);
}

/* A listening socket of another program; its port in *port. */
static int
occupy(unsigned *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_INT(listen(fd, 4), 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

TEST(an_address_in_use_by_another_program)
{
	char new[64];
	char text[4096];
	struct row row = {"", "127.0.0.1:0", new, "", ""};
	unsigned port = 0;
	struct place p;
	int fd = occupy(&port);

	set_up(&p);
	snprintf(new, sizeof(new), "127.0.0.1:%u", port);
	replace(text, sizeof(text), &row);
	put(&p, "nomos.yaml", text, 0600);
	examine(&p);
	expect(&p, "in use", "gateway.address_free", "");
	close(fd);
	examine(&p);
	expect(&p, "free again", "", "");
	tear_down(&p);
}

static struct ledger *
open_ledger(const struct place *p)
{
	static char path[256];
	struct ledger_options o;
	struct ledger *l = NULL;
	struct errinfo ei;

	ledger_options_init(&o);
	o.path = path_in(p, "nomos-ledger.db", path);
	if (ledger_open(&o, &l, &ei) != OK)
		FAIL("ledger: %s", ei.msg);
	return l;
}

TEST(a_ledger_is_looked_at_but_not_touched)
{
	struct ledger *l = NULL;
	struct place p;
	char path[256];

	set_up(&p);
	p.is_deep = true;
	examine(&p);
	expect(&p, "no ledger yet", "", "");
	CHECK(access(path_in(&p, "nomos-ledger.db", path), F_OK) != 0);
	CHECK(access(path_in(&p, "nomos-ledger.db.lock", path), F_OK) != 0);
	CHECK(access(path_in(&p, "nomos-ledger.db.key", path), F_OK) != 0);
	l = open_ledger(&p);
	examine(&p);
	expect(&p, "a gateway holds it", "", "");
	ledger_close(&l);
	examine(&p);
	expect(&p, "nobody holds it", "", "");
	CHECK(strstr(find(&p, "ledger.chain")->hint, "whole: ") != NULL);
	/* Nothing is left behind that would keep a gateway from starting. */
	l = open_ledger(&p);
	CHECK(l != NULL);
	ledger_close(&l);
	CHECK_INT(chmod(path_in(&p, "nomos-ledger.db.key", path), 0644), 0);
	examine(&p);
	expect(&p, "others read the key", "ledger.key_mode", "");
	CHECK_INT(unlink(path), 0);
	examine(&p);
	expect(&p, "the key is gone", "ledger.key_mode", "");
	tear_down(&p);
}

TEST(a_head_file_without_its_ledger)
{
	struct place p;

	set_up(&p);
	put(&p, "nomos-ledger.db.head", "{}", 0600);
	examine(&p);
	expect(&p, "ledger gone", "ledger.opens", "");
	tear_down(&p);
}

/* What a configuration that loads never is, and what no test may do to the machine. */
TEST(what_cannot_be_brought_about)
{
	struct pipeline_options options = {.engine_version = SPAN_LIT("0")};
	struct doctor_input in = {.pipeline = &options};
	struct doctor d = {.in = &in};

	buf_init(&d.detail, 4096);
	CHECK_INT(check_auth_mode(&d), FINDING_FAIL);
	options.identity.spiffe.enabled = true;
	CHECK_INT(check_auth_mode(&d), FINDING_PASS);
	CHECK_INT(check_bundle_path(&d), FINDING_FAIL);
	options.policy.policy_bundle_path = SPAN_LIT("policy.yaml");
	CHECK_INT(check_bundle_path(&d), FINDING_PASS);
	CHECK_INT(doctor_judge_clock(&d, TIME_OK, STA_PLL), FINDING_PASS);
	CHECK_INT(doctor_judge_clock(&d, TIME_OK, STA_UNSYNC), FINDING_ADVICE);
	CHECK_INT(doctor_judge_clock(&d, TIME_ERROR, 0), FINDING_ADVICE);
	CHECK_INT(doctor_judge_clock(&d, -1, STA_UNSYNC), FINDING_PASS);
	CHECK(strstr(d.detail.p, "does not tell") != NULL);
	buf_fini(&d.detail);
}

SUITE("doctor", TEST_ROW(what_cannot_be_brought_about), TEST_ROW(a_good_folder_is_ready),
	TEST_ROW(each_fault_is_found_and_no_other),
	TEST_ROW(a_controlled_network_makes_the_plain_listener_advice),
	TEST_ROW(a_policy_that_allows_anything_is_found), TEST_ROW(modes_that_give_others_too_much),
	TEST_ROW(a_ledger_that_only_grows_gets_advice),
	TEST_ROW(a_configuration_that_does_not_load), TEST_ROW(no_configuration_named),
	TEST_ROW(no_secret_gets_into_the_report), TEST_ROW(strong_checks_only_when_asked_for),
	TEST_ROW(clock_and_descriptors_are_measured),
	TEST_ROW(an_address_in_use_by_another_program),
	TEST_ROW(a_ledger_is_looked_at_but_not_touched), TEST_ROW(a_head_file_without_its_ledger))
