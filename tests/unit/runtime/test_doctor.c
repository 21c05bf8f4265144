/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Doctor over a folder that is fine, and over the same folder with one thing wrong at a time: only
 * the checks that are about it may change. The reference believes what the configuration says;
 * here each fault is a real one.
 */
#define _GNU_SOURCE /* RLIMIT_NOFILE and sockets under strict C11 */

#include "runtime/doctor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/ledger_options.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "config/load.h"
#include "runtime/options.h"
#include "support/test.h"

#define ROOT(ROW, T)                                                                               \
	RUNTIME_SECTIONS(ROW, T)                                                                   \
	PIPELINE_SECTIONS(ROW, T)

struct doctor_root {
	ROOT(CONFIG_MEMBER, doctor_root)
};

static void
settle(void *options, struct config_scope *scope)
{
	struct doctor_root *o = options;

	runtime_check_options(&o->ledger, &o->audit, o->runtime.stateless_mode, scope);
}

static const config_check_fn checks[] = {settle, NULL};
CONFIG_OBJECT(doctor_root, ROOT, .prose = "All sections.", .checks = checks);

#define SECRET "0f8a5c1e9b7d42636aa1b2c3d4e5f60718293a4b5c6d7e8f"

static const char good_config[] =
	"gateway:\n  listen: 127.0.0.1:0\n"
	"runtime:\n  deployment_mode: unmanaged\n"
	"policy:\n  policy_bundle_path: policy.yaml\n"
	"executor:\n  workspace_root: workspace\n"
	"audit:\n  sink: \"\"\n"
	"identity:\n  principal: alice\n  agent: bot\n  environment: dev\n"
	"  hashed_keys: [{id: a1, principal: alice, hash: \"sha256:" SECRET "0000111122223333\"}]\n"
	"  agent_secrets: {bot: " SECRET "}\n"
	"  signature_versions: [v2]\n"
	"  roles: {operator: [olga]}\n"
	"  principal_agents: {alice: [bot]}\n";
static const char good_policy[] =
	"version: v1\nrules:\n"
	"- {id: r, action_type: fs.read, resource: 'file://workspace/**', decision: ALLOW}\n";

struct place {
	char dir[128];
	char config[160];
	struct arena *arena;
	struct doctor_root options;
	struct pipeline_options pipeline;
	struct doctor_report report;
	struct errinfo ei;
	bool is_deep;
};

static const char *
path_in(const struct place *p, const char *name, char out[256])
{
	snprintf(out, 256, "%s/%s", p->dir, name);
	return out;
}

static void
put(const struct place *p, const char *name, const char *text, unsigned mode)
{
	char path[256];

	CHECK_INT(fdio_write_file(path_in(p, name, path), span_cstr(text), mode, NULL), OK);
	CHECK_INT(chmod(path, mode), 0);
}

static void
set_up(struct place *p)
{
	char path[256];

	memset(p, 0, sizeof(*p));
	snprintf(p->dir, sizeof(p->dir), "%s", test_tmpdir());
	snprintf(p->config, sizeof(p->config), "%s/nomos.yaml", p->dir);
	CHECK_INT(mkdir(path_in(p, "workspace", path), 0755), 0);
	put(p, "policy.yaml", good_policy, 0644);
	put(p, "nomos.yaml", good_config, 0600);
}

/* Reads what stands in the folder and examines it. */
static void
examine(struct place *p)
{
	struct config_report issues;
	struct buf text;

	arena_free(&p->arena);
	doctor_report_fini(&p->report);
	p->arena = arena_new(8 * 1024 * 1024);
	CHECK_INT(config_read(p->config, &text, &p->ei), OK);
	struct config_input in = {.file = p->config, .text = buf_span(&text)};
	enum err rc = config_load(&doctor_root_config, &in, p->arena, &p->options, &issues, &p->ei);
	p->pipeline = (struct pipeline_options){.engine_version = SPAN_LIT("0.0.0")};
	PIPELINE_OPTIONS_FROM(&p->pipeline, &p->options);
	struct doctor_input doctor = {
		.config_path = p->config,
		.config_error = rc == OK ? NULL : p->ei.msg,
		.n_file_secrets = 1,
		.gateway = &p->options.gateway,
		.ledger = &p->options.ledger,
		.audit = &p->options.audit,
		.pipeline = &p->pipeline,
		.is_deep = p->is_deep,
	};
	CHECK_INT(doctor_run(&doctor, &p->report, &p->ei), OK);
	config_wipe_text(&text);
}

static void
tear_down(struct place *p)
{
	arena_free(&p->arena);
	doctor_report_fini(&p->report);
}

static const struct doctor_check *
find(const struct place *p, const char *id)
{
	for (size_t i = 0; i < p->report.n_checks; i++) {
		if (strcmp(p->report.checks[i].id, id) == 0)
			return &p->report.checks[i];
	}
	return NULL;
}

static bool
is_listed(const char *list, const char *id)
{
	struct span rest = span_cstr(list);

	while (rest.n > 0) {
		size_t at = span_find(rest, ' ');
		if (span_eq_cstr(span_of(rest.p, at), id))
			return true;
		rest = span_from(rest, at < rest.n ? at + 1 : at);
	}
	return false;
}

/* Exactly these fail and these advise, by blank separated ids. */
static void
expect(const struct place *p, const char *what, const char *failing, const char *advising)
{
	size_t n_failing = 0;

	for (size_t i = 0; i < p->report.n_checks; i++) {
		const struct doctor_check *c = &p->report.checks[i];
		n_failing += c->is_ok ? 0 : 1;
		if (c->is_ok == is_listed(failing, c->id))
			FAIL("%s: %s is %s (%s)", what, c->id, c->is_ok ? "PASS" : "FAIL",
				c->hint != NULL ? c->hint : "-");
		if (c->is_advice != is_listed(advising, c->id))
			FAIL("%s: advice of %s: %s", what, c->id, c->message);
		if (!c->is_ok && c->hint == NULL)
			FAIL("%s: %s fails without a hint", what, c->id);
	}
	if (p->report.is_ready != (n_failing == 0))
		FAIL("%s: ready does not follow the checks", what);
	if (n_failing == 0 && failing[0] != '\0')
		FAIL("%s: nothing fails", what);
}

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

struct row {
	const char *what;
	const char *old; /* a text of the good configuration ... */
	const char *new; /* ... and what stands there instead */
	const char *failing;
	const char *advising;
};

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
	{"plain off loopback", "127.0.0.1:0", "0.0.0.0:0", "gateway.plain_listener", ""},
	{"the default address is off loopback", "listen: 127.0.0.1:0", "listen: \":0\"",
		"gateway.plain_listener", ""},
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
	{"bad pattern", "identity:", "redaction: {patterns: [\"(\"]}\nidentity:",
		"gateway.snapshot_builds", ""},
};

static void
replace(char *out, size_t size, const struct row *r)
{
	const char *at = strstr(good_config, r->old);

	CHECK(at != NULL);
	snprintf(out, size, "%.*s%s%s", (int)(at - good_config), good_config, r->new,
		at + strlen(r->old));
}

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

SUITE("doctor", TEST_ROW(a_good_folder_is_ready), TEST_ROW(each_fault_is_found_and_no_other),
	TEST_ROW(a_controlled_network_makes_the_plain_listener_advice),
	TEST_ROW(a_policy_that_allows_anything_is_found), TEST_ROW(modes_that_give_others_too_much),
	TEST_ROW(a_ledger_that_only_grows_gets_advice),
	TEST_ROW(a_configuration_that_does_not_load), TEST_ROW(no_configuration_named),
	TEST_ROW(no_secret_gets_into_the_report), TEST_ROW(strong_checks_only_when_asked_for),
	TEST_ROW(clock_and_descriptors_are_measured),
	TEST_ROW(an_address_in_use_by_another_program),
	TEST_ROW(a_ledger_is_looked_at_but_not_touched), TEST_ROW(a_head_file_without_its_ledger))
