/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Building snapshots: what is refused and how it is said, signatures, names of bundles, memory that runs out. */
#include "base/mem.h"
#include "fixture.h"

static void
put_file(const struct fixture *f, const char *name, const char *text)
{
	char path[300];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	file = fopen(path, "wb");
	MUST(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void
check_refused(struct fixture *f, enum err want, const char *text)
{
	struct snapshot *s;
	struct errinfo ei = {OK, ""};
	enum err rc = snapshot_new(&f->options, &s, &ei);

	CHECK_INT(rc, want);
	CHECK(s == NULL);
	if (strstr(ei.msg, text) == NULL)
		FAIL("no \"%s\" in \"%s\"", text, ei.msg);
}

TEST(refuses_what_has_no_policy)
{
	struct fixture f;
	char missing[300];

	fixture_init(&f);
	snprintf(missing, sizeof(missing), "%s/missing/policy.json", f.folder);
	f.options.policy.policy_bundle_path = span_cstr(missing);
	check_refused(&f, ERR_NOT_FOUND, "policy bundle path invalid");
	f.options.policy.policy_bundle_path = SPAN_NONE;
	check_refused(&f, ERR_INVALID, "policy.policy_bundle_path or");
	put_file(&f, "bundle.json", "{\"version\":\"v1\",\"rules\":[{\"id\":\"a\"}]}");
	f.options.policy.policy_bundle_path = span_cstr(f.bundle);
	check_refused(&f, ERR_INVALID, "bundle.json:1:");
	fixture_fini(&f);
}

TEST(refuses_bad_patterns_and_folders)
{
	struct fixture f;
	struct span pattern = SPAN_LIT("(");
	char missing[300];

	fixture_init(&f);
	snprintf(missing, sizeof(missing), "%s/missing", f.folder);
	f.options.redaction.patterns = (struct config_strings){&pattern, 1};
	check_refused(&f, ERR_INVALID, "invalid redaction pattern");
	f.options.redaction.patterns.n = 0;
	f.options.executor.workspace_root = span_cstr(missing);
	check_refused(&f, ERR_NOT_FOUND, "executor.workspace_root");
	fixture_fini(&f);
}

/* 33: a bundle without its signature is never decoded, let alone used. */
TEST(signatures_are_required_when_asked_for)
{
	struct fixture f;
	char key[300];
	char signature[300];

	fixture_init(&f);
	snprintf(key, sizeof(key), "%s/key.pem", f.folder);
	snprintf(signature, sizeof(signature), "%s/bundle.sig", f.folder);
	f.options.policy.verify_signatures = true;
	check_refused(&f, ERR_INVALID, "signature");
	f.options.policy.signature_path = span_cstr(signature);
	f.options.policy.public_key_path = span_cstr(key);
	check_refused(&f, ERR_NOT_FOUND, "policy public key path invalid");
	put_file(&f, "key.pem", "no key");
	check_refused(&f, ERR_NOT_FOUND, "policy signature path invalid");
	put_file(&f, "bundle.sig", "AAAA\n");
	check_refused(&f, ERR_PARSE, "public key");
	fixture_fini(&f);
}

TEST(verifies_real_signatures)
{
	struct fixture f;
	char bundle[512];
	char key[512];
	char other[512];
	char signature[512];
	struct snapshot *s;

	fixture_init(&f);
	snprintf(bundle, sizeof(bundle), "%s/corpus/bundle/signed.yaml", test_source_dir());
	snprintf(key, sizeof(key), "%s/corpus/bundle/signed.pub.pem", test_source_dir());
	snprintf(other, sizeof(other), "%s/corpus/bundle/other.pub.pem", test_source_dir());
	snprintf(signature, sizeof(signature), "%s/corpus/bundle/signed.sig", test_source_dir());
	f.options.policy = (struct policy_section){.policy_bundle_path = span_cstr(bundle),
		.verify_signatures = true,
		.signature_path = span_cstr(signature),
		.public_key_path = span_cstr(key)};
	CHECK_INT(snapshot_new(&f.options, &s, NULL), OK);
	snapshot_unref(&s);
	f.options.policy.public_key_path = span_cstr(other);
	check_refused(&f, ERR_FORBIDDEN, "signature");
	fixture_fini(&f);
}

TEST(several_bundles_are_named_behind_their_common_folder)
{
	static const char one[] =
		"{\"version\":\"v1\",\"rules\":[{\"id\":\"one\",\"action_type\":\"a.b\","
		"\"resource\":\"x://y/**\",\"decision\":\"ALLOW\"}]}";
	static const char two[] =
		"{\"version\":\"v1\",\"rules\":[{\"id\":\"two\",\"action_type\":\"a.b\","
		"\"resource\":\"x://y/**\",\"decision\":\"ALLOW\"}]}";
	struct fixture f;
	char sub[300];
	char first[300];
	char second[300];
	struct span paths[2];
	struct span inputs;

	fixture_init(&f);
	snprintf(sub, sizeof(sub), "%s/sub", f.folder);
	MUST(mkdir(sub, 0755) == 0);
	put_file(&f, "base.json", one);
	put_file(&f, "sub/base.json", two);
	snprintf(first, sizeof(first), "%s/base.json", f.folder);
	snprintf(second, sizeof(second), "%s/sub/base.json", f.folder);
	paths[0] = span_cstr(first);
	paths[1] = span_cstr(second);
	f.options.policy = (struct policy_section){.policy_bundle_paths = {paths, 2}};
	fixture_reload(&f);
	inputs = policy_get_inputs_json(snapshot_get_policy(f.snapshot));
	CHECK(strstr(inputs.p, "\"path\":\"base.json\"") != NULL);
	CHECK(strstr(inputs.p, "\"path\":\"sub/base.json\"") != NULL);
	CHECK(strstr(inputs.p, f.folder) == NULL);
	fixture_fini(&f);
}

TEST(references_are_counted)
{
	struct fixture f;
	struct snapshot *second;

	fixture_init(&f);
	second = snapshot_ref(f.snapshot);
	snapshot_unref(&f.snapshot);
	CHECK(f.snapshot == NULL);
	CHECK_STR(snapshot_get_assurance(second), "BEST_EFFORT");
	CHECK(snapshot_get_redactor(second) != NULL);
	snapshot_unref(&second);
	snapshot_unref(&second);
	fixture_fini(&f);
}

TEST(memory_that_runs_out_leaves_nothing)
{
	struct fixture f;
	struct snapshot *s;
	enum err rc = ERR_NOMEM;
	long live;

	fixture_init(&f);
	live = mem_live();
	for (unsigned long n = 1; rc != OK && n < 3000; n++) {
		mem_fail_at(n);
		rc = snapshot_new(&f.options, &s, NULL);
		mem_fail_at(0);
		if (rc != OK && (s != NULL || mem_live() != live))
			FAIL("allocation %lu: %s, %ld blocks left", n, err_name(rc),
				mem_live() - live);
	}
	CHECK_INT(rc, OK);
	snapshot_unref(&s);
	CHECK_INT(mem_live(), live);
	fixture_fini(&f);
}

TEST(operators_are_known_by_their_key_and_role)
{
	struct fixture f;
	struct span who = SPAN_LIT("alice");
	struct config_entry roles = {SPAN_LIT("operator"), {&who, 1}};
	struct req_credentials key = {.authorization = SPAN_LIT("Bearer " FIXTURE_KEY)};
	struct req_credentials service = {
		.service_id = SPAN_LIT("svc"), .service_signature = SPAN_LIT("00")};
	struct caller caller;

	fixture_init(&f);
	CHECK_INT(req_authorize_operator(f.snapshot, &key, ROLE_VIEWER, &caller), OK);
	CHECK_SPAN(caller.principal, "alice");
	CHECK_INT(req_authorize_operator(f.snapshot, &key, ROLE_OPERATOR, &caller), ERR_FORBIDDEN);
	CHECK_INT(req_authorize_operator(f.snapshot, &service, ROLE_VIEWER, &caller), ERR_AUTH);
	f.options.identity.roles = (struct config_map_strings){&roles, 1};
	fixture_reload(&f);
	CHECK_INT(req_authorize_operator(f.snapshot, &key, ROLE_OPERATOR, &caller), OK);
	fixture_fini(&f);
}

SUITE("snapshot", TEST_ROW(refuses_what_has_no_policy), TEST_ROW(refuses_bad_patterns_and_folders),
	TEST_ROW(signatures_are_required_when_asked_for), TEST_ROW(verifies_real_signatures),
	TEST_ROW(several_bundles_are_named_behind_their_common_folder),
	TEST_ROW(references_are_counted), TEST_ROW(memory_that_runs_out_leaves_nothing),
	TEST_ROW(operators_are_known_by_their_key_and_role))
