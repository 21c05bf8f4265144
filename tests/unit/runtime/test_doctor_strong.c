/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The strong guarantee, measured: over files of the kernel that a test makes, a host that is all that is asserted of it, and the same
 * host with one thing otherwise. What was typed never outweighs what is seen.
 */
#define _GNU_SOURCE /* statfs is Linux's own */

#include "doctor_place.h"

#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "unit/net/rig_tls.h"

#define OVERLAY 0x794c7630
#define TMPFS 0x01021994
#define HEADING                                                                                    \
	"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define ROUTE_OUT HEADING "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
#define ROOT_MOUNT "22 1 0:21 / / ro,relatime shared:1 - overlay overlay rw,lowerdir=/a\n"
#define STATUS(uid, caps, more)                                                                    \
	"Name:\tnomos\nUid:\t" uid "\nCapInh:\t0000000000000000\nCapPrm:\t" caps                   \
	"\nCapEff:\t" caps "\nCapBnd:\t00000000000004ff\nCapAmb:\t0000000000000000\n" more
#define QUIET "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"
#define USER "1000\t1000\t1000\t1000"
#define NO_CAPS "0000000000000000"

static const char strong_config[] =
	"gateway:\n  listen: 127.0.0.1:0\n"
	"  tls: {enabled: true, cert_file: own.pem, key_file: own.key, client_ca_file: own.pem, "
	"require_mtls: true}\n"
	"runtime:\n  deployment_mode: k8s\n  strong_guarantee: true\n"
	"  evidence: {container_backend_ready: true, rootless_or_non_privileged: true, "
	"read_only_fs: true, no_new_privileges: true, network_default_deny: true, "
	"workload_identity_verified: true, durable_audit_verified: true}\n"
	"policy:\n  policy_bundle_path: policy.yaml\n"
	"executor:\n  workspace_root: workspace\n  sandbox_enabled: true\n  sandbox_profile: "
	"container\n"
	"audit:\n  sink: \"\"\n"
	"identity:\n  principal: alice\n  agent: bot\n  environment: prod\n"
	"  spiffe: {enabled: true, trust_domain: example.org}\n"
	"  agent_secrets: {bot: 0f8a5c1e9b7d42636aa1b2c3d4e5f60718293a4b5c6d7e8f}\n"
	"  signature_versions: [v2]\n"
	"  roles: {operator: [olga]}\n"
	"  principal_agents: {alice: [bot]}\n";

struct host {
	struct place place;
	char root[192];
};

/* A file of the host, with its folders; NULL: none. */
static void
put_host(const struct host *h, const char *name, const char *text)
{
	char path[512];
	char folder[512];

	snprintf(path, sizeof(path), "%s/%s", h->root, name);
	(void)unlink(path);
	if (text == NULL)
		return;
	for (char *at = path + strlen(h->root); (at = strchr(at, '/')) != NULL; at++) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(at - path), path);
		(void)mkdir(folder, 0755);
	}
	if (strcmp(name, "proc/self/ns/pid") == 0)
		CHECK_INT(symlink(text, path), 0);
	else
		CHECK_INT(fdio_write_file(path, span_cstr(text), 0644, NULL), OK);
}

static void
put_good_host(const struct host *h)
{
	put_host(h, "proc/self/status", STATUS(USER, NO_CAPS, QUIET));
	put_host(h, "proc/self/uid_map", "         0          0 4294967295\n");
	put_host(h, "proc/self/ns/pid", "pid:[4026532200]");
	put_host(h, "proc/self/mountinfo", ROOT_MOUNT "23 22 0:22 / /proc rw - proc proc rw\n");
	put_host(h, "proc/net/dev", "Inter-|   Receive\n face |bytes\n    lo: 1 2 3\n");
	put_host(h, "proc/net/route", HEADING);
	put_host(h, "proc/net/ipv6_route", NULL);
	put_host(h, "proc/net/fib_trie", "Local:\n  |-- 127.0.0.1\n     /32 host LOCAL\n");
	put_host(h, "data/file", "x");
	put_host(h, "sys/class/net/eth0/device", NULL);
	put_host(h, "var/run/docker.sock", NULL);
}

static void
set_up_host(struct host *h)
{
	char path[256];
	EVP_PKEY *key = NULL;
	const struct rig_cert wanted = {
		.common_name = "own", .is_ca = true, .begins_s = -60, .ends_s = 90 * 86400};

	set_up(&h->place);
	put(&h->place, "nomos.yaml", strong_config, 0600);
	X509 *x = rig_make_cert(&wanted, &key);
	rig_write_pem(path_in(&h->place, "own.pem", path), x, NULL);
	rig_write_pem(path_in(&h->place, "own.key", path), NULL, key);
	CHECK_INT(chmod(path, 0600), 0);
	X509_free(x);
	EVP_PKEY_free(key);
	snprintf(h->root, sizeof(h->root), "%s/host", h->place.dir);
	CHECK_INT(mkdir(h->root, 0755), 0);
	h->place.root = h->root;
	(void)unsetenv("HOME");
	static const char *const tokens[] = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AZURE_CLIENT_SECRET", "GOOGLE_APPLICATION_CREDENTIALS", "GITHUB_TOKEN",
		"CI_JOB_TOKEN"};
	for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
		(void)unsetenv(tokens[i]);
	put_good_host(h);
}

/* Tests may run in a container's own layer, which doctor rightly calls no durable place. */
static bool
is_on_disk(const struct host *h)
{
	struct statfs st;

	CHECK_INT(statfs(h->place.dir, &st), 0);
	return st.f_type != OVERLAY && st.f_type != TMPFS;
}

static void
expect_strong(struct host *h, const char *what, const char *failing)
{
	char all[512];

	snprintf(all, sizeof(all), "%s%s%s", failing,
		is_on_disk(h) ? "" : " evidence.audit.durable_verified",
		failing[0] != '\0' || !is_on_disk(h) ? " strong.assurance_evidence_backed" : "");
	expect(&h->place, what, all, "");
	CHECK_STR(h->place.report.assurance, all[0] == '\0' ? "STRONG" : "GUARDED");
}

static bool
says(const struct host *h, const char *id, const char *text)
{
	const struct doctor_check *c = find(&h->place, id);

	return c != NULL && c->hint != NULL && strstr(c->hint, text) != NULL;
}

TEST(a_host_that_is_what_is_asserted)
{
	struct host h;

	set_up_host(&h);
	examine(&h.place);
	expect_strong(&h, "good", "");
	CHECK(says(&h, "evidence.runtime.network_default_deny", "measured: no route"));
	CHECK(says(&h, "evidence.runtime.rootless_or_non_privileged", "measured: user 1000"));
	CHECK(says(&h, "evidence.identity.workload_identity_verified", "measured: the bundle"));
	CHECK(says(&h, "strong.gateway_mtls", "take actions: 1"));
	tear_down(&h.place);
}

struct fact {
	const char *what;
	const char *file;
	const char *text;
	const char *failing;
};

static const struct fact facts[] = {
	{"root", "proc/self/status", STATUS("0\t0\t0\t0", NO_CAPS, QUIET),
		"evidence.runtime.rootless_or_non_privileged"},
	{"root that can be taken up again", "proc/self/status",
		STATUS("1000\t1000\t0\t1000", NO_CAPS, QUIET),
		"evidence.runtime.rootless_or_non_privileged"},
	{"a capability", "proc/self/status", STATUS(USER, "0000000000200000", QUIET),
		"evidence.runtime.rootless_or_non_privileged"},
	{"a port below 1024", "proc/self/status", STATUS(USER, "0000000000000400", QUIET), ""},
	{"new privileges", "proc/self/status",
		STATUS(USER, NO_CAPS, "NoNewPrivs:\t0\nSeccomp:\t2\n"),
		"evidence.runtime.no_new_privileges"},
	{"no filter", "proc/self/status", STATUS(USER, NO_CAPS, "NoNewPrivs:\t1\nSeccomp:\t0\n"),
		"strong.seccomp"},
	{"processes of the host", "proc/self/ns/pid", "pid:[4026531836]",
		"evidence.runtime.container_backend_ready"},
	{"root to be written", "proc/self/mountinfo", "22 1 0:21 / / rw - ext4 /dev/vda rw\n",
		"evidence.runtime.read_only_fs"},
	{"a read-only device", "proc/self/mountinfo", "22 1 0:21 / / rw - ext4 /dev/vda ro\n", ""},
	{"another mount on top", "proc/self/mountinfo",
		ROOT_MOUNT "40 22 0:33 / / rw - tmpfs tmpfs rw\n", "evidence.runtime.read_only_fs"},
	{"a folder of the host", "proc/self/mountinfo",
		ROOT_MOUNT "30 22 8:1 / /data rw - ext4 /dev/vdb rw\n", "strong.writable_mounts"},
	{"the same, read-only", "proc/self/mountinfo",
		ROOT_MOUNT "30 22 8:1 / /data ro - ext4 /dev/vdb rw\n", ""},
	{"a remote file system, which is not touched", "proc/self/mountinfo",
		ROOT_MOUNT "30 22 0:41 / /gone rw - nfs4 server:/x rw\n", "strong.writable_mounts"},
	{"another one", "proc/self/mountinfo",
		ROOT_MOUNT "30 22 0:41 / /gone rw - fuse.sshfs server:/x rw\n",
		"strong.writable_mounts"},
	{"one that is not there", "proc/self/mountinfo",
		ROOT_MOUNT "30 22 8:1 / /gone rw - ext4 /dev/vdb rw\n", ""},
	{"temporary files", "proc/self/mountinfo",
		ROOT_MOUNT "30 22 8:1 / /tmp rw - tmpfs tmpfs rw\n", ""},
	{"hardware in a pod", "sys/class/net/eth0/device", "x",
		"strong.network_boundary_controlled"},
	{"the socket of an engine", "var/run/docker.sock", "x", "strong.token_files"},
	{"a token of the platform", "var/run/secrets/kubernetes.io/serviceaccount/token", "x",
		"strong.token_files"},
};

TEST(each_fact_outweighs_what_was_typed)
{
	for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
		struct host h;

		set_up_host(&h);
		put_host(&h, "proc/net/dev", " face |bytes\n    lo: 1 2 3\n  eth0: 1 2 3\n");
		put_host(&h, facts[i].file, facts[i].text);
		examine(&h.place);
		expect_strong(&h, facts[i].what, facts[i].failing);
		tear_down(&h.place);
	}
}

/* A folder on a disk of its own that records go to is written for a reason. */
TEST(mounts_of_its_own_files_are_no_finding)
{
	static const struct row row = {"", "sink: \"\"", "sink: 'file:/data/trail.jsonl'", "", ""};
	char text[4096];
	struct host h;

	set_up_host(&h);
	put_host(&h, "proc/self/mountinfo", ROOT_MOUNT "30 22 8:1 / /data rw - ext4 /dev/vdb rw\n");
	examine(&h.place);
	CHECK(!find(&h.place, "strong.writable_mounts")->is_ok);
	CHECK(says(&h, "strong.writable_mounts", "the first is /data"));
	replace_in(strong_config, text, sizeof(text), &row);
	put(&h.place, "nomos.yaml", text, 0600);
	examine(&h.place);
	CHECK(find(&h.place, "strong.writable_mounts")->is_ok);
	tear_down(&h.place);
}

TEST(root_of_a_user_namespace_is_nobody_outside)
{
	struct host h;

	set_up_host(&h);
	put_host(&h, "proc/self/status", STATUS("0\t0\t0\t0", "000001ffffffffff", QUIET));
	put_host(&h, "proc/self/uid_map", "0 100000 65536\n");
	examine(&h.place);
	expect_strong(&h, "rootless", "");
	put_host(&h, "proc/self/uid_map", "0 0 65536\n");
	examine(&h.place);
	expect_strong(&h, "root outside too", "evidence.runtime.rootless_or_non_privileged");
	tear_down(&h.place);
}

/* A default route is no contradiction: something may close it. It is said that nobody looked. */
TEST(routes_are_told_and_nothing_is_sent)
{
	struct host h;

	set_up_host(&h);
	put_host(&h, "proc/net/route", ROUTE_OUT);
	examine(&h.place);
	expect_strong(&h, "a default route", "");
	CHECK(says(&h, "evidence.runtime.network_default_deny",
		"cannot be measured: there is a default route by eth0"));
	put_host(&h, "proc/net/route", HEADING);
	put_host(&h, "proc/net/ipv6_route",
		"fd000000000000000000000000000000 40 00000000000000000000000000000000 00 "
		"00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1\n");
	examine(&h.place);
	CHECK(says(&h, "evidence.runtime.network_default_deny", "networks are reached by eth1"));
	put_host(&h, "proc/net/ipv6_route",
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n");
	examine(&h.place);
	CHECK(says(&h, "evidence.runtime.network_default_deny", "measured: no route"));
	/* A route in another table than the main one. */
	put_host(&h, "proc/net/fib_trie", "Id 7:\n  |-- 10.1.2.3\n     /32 host LOCAL\n");
	examine(&h.place);
	CHECK(says(&h, "evidence.runtime.network_default_deny", "cannot be measured: the routes"));
	/* Without that file nobody knows of other tables. */
	put_host(&h, "proc/net/fib_trie", NULL);
	examine(&h.place);
	CHECK(says(&h, "evidence.runtime.network_default_deny", "cannot be measured"));
	tear_down(&h.place);
}

TEST(what_is_hidden_is_not_taken_for_good)
{
	static const char *const files[] = {"proc/self/status", "proc/self/uid_map",
		"proc/self/ns/pid", "proc/self/mountinfo", "proc/net/dev", "proc/net/route",
		"proc/net/fib_trie"};
	static const char *const asserted[] = {"evidence.runtime.container_backend_ready",
		"evidence.runtime.no_new_privileges", "evidence.runtime.read_only_fs",
		"evidence.runtime.network_default_deny"};
	struct host h;

	set_up_host(&h);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		put_host(&h, files[i], NULL);
	examine(&h.place);
	expect_strong(&h, "no /proc",
		"evidence.runtime.rootless_or_non_privileged strong.seccomp "
		"strong.writable_mounts");
	for (size_t i = 0; i < ARRAY_LEN(asserted); i++) {
		if (!says(&h, asserted[i], "asserted, cannot be measured"))
			FAIL("%s", asserted[i]);
	}
	tear_down(&h.place);
}

TEST(what_is_measured_has_to_be_asserted_too)
{
	static const struct row row = {"", "read_only_fs: true, ", "", "", ""};
	char text[4096];
	struct host h;

	set_up_host(&h);
	replace_in(strong_config, text, sizeof(text), &row);
	put(&h.place, "nomos.yaml", text, 0600);
	examine(&h.place);
	expect(&h.place, "not asserted",
		is_on_disk(&h) ? "evidence.runtime.read_only_fs strong.assurance_evidence_backed"
			       : "evidence.runtime.read_only_fs evidence.audit.durable_verified "
				 "strong.assurance_evidence_backed",
		"");
	CHECK(says(&h, "evidence.runtime.read_only_fs", "measured, but not asserted"));
	tear_down(&h.place);
}

#define LISTENERS(list) "gateway:\n  listeners:\n" list "  tls: {"
#define TWO_TLS                                                                                    \
	"  - {name: one, listen: '127.0.0.1:0', roles: [api]}\n"                                   \
	"  - {name: two, listen: '127.0.0.1:0', roles: [ui, api]}\n"

static const struct row rows[] = {
	{"two that ask", "gateway:\n  listen: 127.0.0.1:0\n  tls: {", LISTENERS(TWO_TLS), "", ""},
	{"one of them plain", "gateway:\n  listen: 127.0.0.1:0\n  tls: {",
		LISTENERS(TWO_TLS
			"  - {name: three, listen: '127.0.0.1:0', tls: off, roles: [api]}\n"),
		"strong.gateway_mtls", ""},
	{"a plain one for health", "gateway:\n  listen: 127.0.0.1:0\n  tls: {",
		LISTENERS(TWO_TLS
			"  - {name: three, listen: '127.0.0.1:0', tls: off, roles: [health]}\n"),
		"", ""},
	{"a plain one with all roles", "gateway:\n  listen: 127.0.0.1:0\n  tls: {",
		LISTENERS(TWO_TLS "  - {name: three, listen: '127.0.0.1:0', tls: off}\n"),
		"strong.gateway_mtls", ""},
	{"a unix socket", "gateway:\n  listen: 127.0.0.1:0\n  tls: {",
		LISTENERS(TWO_TLS
			"  - {name: three, listen: 'unix:/tmp/nomos-doctor-none', roles: [api]}\n"),
		"strong.gateway_mtls", ""},
	{"nobody takes actions", "gateway:\n  listen: 127.0.0.1:0\n  tls: {",
		LISTENERS("  - {name: one, listen: '127.0.0.1:0', roles: [ui]}\n"),
		"strong.gateway_mtls", ""},
	{"certificates by choice", "require_mtls: true", "require_mtls: false",
		"strong.gateway_mtls", ""},
	{"no CA there", "client_ca_file: own.pem", "client_ca_file: policy.yaml",
		"strong.gateway_mtls gateway.certificates "
		"evidence.identity.workload_identity_verified tls.ca_files",
		""},
	{"an API key", "  spiffe:",
		"  hashed_keys: [{id: a1, principal: alice, hash: "
		"\"sha256:0f8a5c1e9b7d42636aa1b2c3d4e5f60718293a4b5c6d7e8f0000111122223333\"}]\n  "
		"spiffe:",
		"strong.no_shared_api_keys evidence.identity.workload_identity_verified", ""},
	{"keys in place of identities", "  spiffe: {enabled: true, trust_domain: example.org}",
		"  hashed_keys: [{id: a1, principal: alice, hash: "
		"\"sha256:0f8a5c1e9b7d42636aa1b2c3d4e5f60718293a4b5c6d7e8f0000111122223333\"}]",
		"strong.no_shared_api_keys strong.workload_identity "
		"evidence.identity.workload_identity_verified",
		""},
	{"an environment of developers", "environment: prod", "environment: dev",
		"strong.environment_bound", ""},
	{"no sandbox", "sandbox_profile: container", "sandbox_profile: local",
		"strong.sandbox_container", ""},
	{"a laptop", "deployment_mode: k8s", "deployment_mode: unmanaged",
		"strong.controlled_runtime_mode strong.network_boundary_controlled", ""},
	{"keys of tokens that are none", "  spiffe: {enabled: true, trust_domain: example.org}",
		"  oidc: {enabled: true, issuer: 'https://issuer.example', audience: nomos, "
		"public_key_path: policy.yaml}",
		"evidence.identity.workload_identity_verified identity.token_keys "
		"gateway.snapshot_builds",
		""},
	{"no receiver has to have it", "runtime:\n", "runtime:\n  stateless_mode: true\n",
		"strong.audit_durable evidence.audit.durable_verified", "audit.stateless"},
};

TEST(each_setting_is_looked_at)
{
	char text[4096];
	char failing[512];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct host h;

		set_up_host(&h);
		replace_in(strong_config, text, sizeof(text), &rows[i]);
		if (strstr(text, "stateless_mode") != NULL) {
			static const struct row sink = {"", "sink: \"\"", "sink: stdout", "", ""};
			char before[4096];
			snprintf(before, sizeof(before), "%s", text);
			replace_in(before, text, sizeof(text), &sink);
		}
		put(&h.place, "nomos.yaml", text, 0600);
		examine(&h.place);
		bool is_good = rows[i].failing[0] == '\0' && is_on_disk(&h);
		snprintf(failing, sizeof(failing), "%s%s%s", rows[i].failing,
			is_on_disk(&h) || strstr(rows[i].failing, "evidence.audit") != NULL
				? ""
				: " evidence.audit.durable_verified",
			is_good ? "" : " strong.assurance_evidence_backed");
		expect(&h.place, rows[i].what, failing, rows[i].advising);
		CHECK(is_good == (strcmp(h.place.report.assurance, "STRONG") == 0));
		tear_down(&h.place);
	}
}

/* Where the machine has such a place. */
TEST(a_ledger_in_memory_is_not_durable)
{
	static const struct row row = {"", "audit:\n  sink: \"\"\n", "", "", ""};
	char text[4096];
	size_t n;
	struct host h;
	struct statfs st;

	set_up_host(&h);
	replace_in(strong_config, text, sizeof(text), &row);
	n = strlen(text);
	snprintf(text + n, sizeof(text) - n, "ledger: {path: %s/ledger.db}\n", test_ramdir());
	put(&h.place, "nomos.yaml", text, 0600);
	examine(&h.place);
	CHECK_INT(statfs(test_ramdir(), &st), 0);
	bool is_memory = st.f_type == TMPFS;
	CHECK(!is_memory ||
		says(&h, "evidence.audit.durable_verified", "the ledger lies on tmpfs"));
	CHECK(is_memory == (strcmp(h.place.report.assurance, "GUARDED") == 0) || !is_on_disk(&h));
	tear_down(&h.place);
}

SUITE("doctor_strong", TEST_ROW(a_ledger_in_memory_is_not_durable),
	TEST_ROW(a_host_that_is_what_is_asserted), TEST_ROW(each_fact_outweighs_what_was_typed),
	TEST_ROW(mounts_of_its_own_files_are_no_finding),
	TEST_ROW(root_of_a_user_namespace_is_nobody_outside),
	TEST_ROW(routes_are_told_and_nothing_is_sent),
	TEST_ROW(what_is_hidden_is_not_taken_for_good),
	TEST_ROW(what_is_measured_has_to_be_asserted_too), TEST_ROW(each_setting_is_looked_at))
