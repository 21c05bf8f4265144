/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading bundles: hashes against the published vectors, every refusal with its message and place,
 * merging, signatures, and the weak spots 20, 21 and 23 of the reference.
 */
#include <stdlib.h>

#include "bundle.h"
#include "policy_priv.h"
#include "support/policy_fixture.h"
#include "support/test.h"

#define RULE(members) "{\"version\":\"v1\",\"rules\":[{" members "}]}"
#define FULL                                                                                       \
	"\"id\":\"r\",\"action_type\":\"fs.read\",\"resource\":\"file://workspace/"                \
	"**\",\"decision\":\"ALLOW\""

static void
check_hash(const char *path, const char *text, const char *hash)
{
	struct policy *p = fixture_policy(path, text);

	if (p != NULL)
		CHECK_STR(policy_get_hash(p), hash);
	policy_unref(&p);
}

TEST(hash_vectors)
{
	check_hash("a.json", RULE(FULL),
		"0ae35c43a802becad5656e5b383cb3eb4d3d2e3f519b8efd7853fde85b53e39a");
	check_hash("a.json",
		RULE("\"decision\":\"ALLOW\",\"resource\":\"file://workspace/**\",\"id\":\"a\","
		     "\"action_type\":\"fs.read\",\"agents\":[],\"obligations\":{}"),
		"8c2e5f1b662f15cf3ff32daf969138bde1570056ded6578a8a8776f94caf01c0");
}

TEST(hash_is_the_same_in_yaml)
{
	check_hash("a.yaml",
		"# a comment\nversion: v1\nrules:\n  - id: r\n    action_type: fs.read\n"
		"    resource: 'file://workspace/**'\n    decision: ALLOW\n    principals: []\n",
		"0ae35c43a802becad5656e5b383cb3eb4d3d2e3f519b8efd7853fde85b53e39a");
	check_hash("A.YML",
		"{version: v1, rules: [{id: r, action_type: fs.read, resource: "
		"'file://workspace/**', decision: ALLOW}]}",
		"0ae35c43a802becad5656e5b383cb3eb4d3d2e3f519b8efd7853fde85b53e39a");
}

TEST(canonical_form_has_every_member)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct buf b;
	struct policy *p = fixture_policy("all.yaml",
		"version: v1\nrules:\n- id: all\n  action_type: process.exec\n  resource: "
		"file://workspace/\n"
		"  decision: REQUIRE_APPROVAL\n  principals: [p]\n  agents: ['*']\n  environments: "
		"[dev, ci]\n"
		"  risk_flags: [risk.exec]\n  exec_match: {argv_patterns: [[git, push, '**']]}\n"
		"  obligations: {sandbox_mode: local, reason: push}\n");

	buf_init_arena(&b, a, 65536);
	if (p != NULL)
		bundle_canonical(p->rules[0], 1, &b);
	CHECK_SPAN(buf_span(&b), "{\"rules\":[{\"action_type\":\"process.exec\",\"agents\":[\"*\"],"
				 "\"decision\":\"REQUIRE_APPROVAL\","
				 "\"environments\":[\"dev\",\"ci\"],\"exec_match\":{\"argv_"
				 "patterns\":[[\"git\",\"push\",\"**\"]]},"
				 "\"id\":\"all\",\"obligations\":{\"reason\":\"push\",\"sandbox_"
				 "mode\":\"local\"},\"principals\":[\"p\"],"
				 "\"resource\":\"file://workspace/"
				 "\",\"risk_flags\":[\"risk.exec\"]}],\"version\":\"v1\"}");
	policy_unref(&p);
	arena_free(&a);
}

/* What Go's encoding/json prints for the float64 of the input. */
TEST(numbers_print_as_go_prints_float64)
{
	static const struct {
		const char *text;
		const char *json;
		const char *yaml;
	} rows[] = {
		{"0", "0", "0"},
		{"-0", "0", "0"},
		{"1", "1", "1"},
		{"100", "100", "100"},
		{"1.0", "1", "1"},
		{"1.50", "1.5", "1.5"},
		{"1e2", "100", "100"},
		{"1e20", "100000000000000000000", "100000000000000000000"},
		{"1e21", "1e+21", "1e+21"},
		{"123456789e15", "1.23456789e+23", "1.23456789e+23"},
		{"1e-6", "0.000001", "0.000001"},
		{"1e-7", "1e-7", "1e-7"},
		{"1.5e-9", "1.5e-9", "1.5e-9"},
		{"1.5e-10", "1.5e-10", "1.5e-10"},
		{"1e100", "1e+100", "1e+100"},
		{"0.1", "0.1", "0.1"},
		{"0.30000000000000004", "0.30000000000000004", "0.30000000000000004"},
		{"-12.5", "-12.5", "-12.5"},
		{"9007199254740993", "9007199254740992", "9007199254740993"},
		{"18446744073709551615", "18446744073709552000", "18446744073709551615"},
		{"18446744073709551616", "18446744073709552000", "18446744073709552000"},
		{"5e-324", "5e-324", "5e-324"},
		{"1.7976931348623157e308", "1.7976931348623157e+308", "1.7976931348623157e+308"},
	};
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_SPAN(bundle_number_text(a, span_cstr(rows[i].text), false), rows[i].json);
		CHECK_SPAN(bundle_number_text(a, span_cstr(rows[i].text), true), rows[i].yaml);
	}
	CHECK_INT(bundle_number_text(a, SPAN_LIT("1e999"), false).n, 0);
	CHECK_INT(bundle_number_text(a, SPAN_LIT("nan"), true).n, 0);
	CHECK_INT(bundle_number_text(a, SPAN_LIT(".inf"), true).n, 0);
	arena_free(&a);
}

TEST(merged_hash_vectors)
{
	static const char base[] =
		"2c4b412a819cfa675161a0efb6e5ee0ff8de8911df169bd7101a5358742b1ddc";
	static const char repo[] =
		"08d8f5c85cf94a5eeded194c67b61eba585b2257bcb523941150c62c1c559ff8";
	static const char dev[] =
		"f21ae66c64190722fa21353873ccacb7c481d8bf7cce97e6644c43bf24b0c9dd";
	const char *one[] = {base, repo, dev};
	const char *two[] = {repo, base, dev};
	char hash[SHA256_HEX + 1];

	CHECK_INT(hash_init(NULL), OK);
	CHECK_INT(merge_hash(one, 3, hash, NULL), OK);
	CHECK_STR(hash, "930fefb606f9b5e6b69b0a6587c8ef6fcf954224a84f15a51653f47311a0dfe2");
	CHECK_INT(merge_hash(two, 3, hash, NULL), OK);
	CHECK_STR(hash, "96c9440e74efe521bcf2d79a5d774d8cf3fc76552fcba24b7eed937937476dc8");
}

/* Rows of the corpus: file name | text of the file (\n escaped) | the message. */
static void
unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++) {
		if (s[0] == '\\' && s[1] == 'n') {
			*to++ = '\n';
			s++;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static char *
cut_field(char **rest)
{
	char *field = *rest;
	char *bar = strstr(field, " | ");

	if (bar != NULL) {
		*bar = '\0';
		*rest = bar + 3;
	} else {
		*rest = field + strlen(field);
	}
	return field;
}

TEST(corpus_of_refusals)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	const char *text = fixture_file(a, "corpus/bundle/refused.cases");
	size_t n = 0;

	while (text != NULL && *text != '\0') {
		size_t len = strcspn(text, "\n");
		char *line = arena_dup_cstr(a, span_of(text, len));
		text += len + (text[len] == '\n');
		if (line == NULL || line[0] == '#' || line[0] == '\0')
			continue;
		char *rest = line;
		const char *path = cut_field(&rest);
		char *bundle = cut_field(&rest);
		const char *want = cut_field(&rest);
		unescape(bundle);
		const char *got = fixture_error(path, bundle, NULL);
		if (strcmp(got, want) != 0)
			FAIL("%s: %s\n  got  \"%s\"\n  want \"%s\"", path, bundle, got, want);
		n++;
	}
	CHECK(n >= 50);
	arena_free(&a);
}

/* Weak spot 20: in the reference a null in a YAML list becomes no list at all, which is anybody. */
TEST(weak_spot_20_yaml_null_principal_is_refused)
{
	static const char *const keys[] = {"principals", "agents", "environments", "risk_flags"};
	char text[512];

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		for (int form = 0; form < 3; form++) {
			static const char *const forms[] = {"[~]", "[null]", "~"};
			snprintf(text, sizeof(text),
				"version: v1\nrules:\n- {id: r, action_type: fs.read, resource: "
				"'**', decision: "
				"ALLOW, %s: %s}\n",
				keys[i], forms[form]);
			CHECK(fixture_error("n.yaml", text, NULL)[0] != '\0');
		}
		snprintf(text, sizeof(text),
			"{\"version\":\"v1\",\"rules\":[{" FULL ",\"%s\":[null]}]}", keys[i]);
		CHECK(fixture_error("n.json", text, NULL)[0] != '\0');
		snprintf(text, sizeof(text),
			"{\"version\":\"v1\",\"rules\":[{" FULL ",\"%s\":null}]}", keys[i]);
		CHECK(fixture_error("n.json", text, NULL)[0] != '\0');
	}
}

/*
 * Weak spot 21: the reference takes duplicates and other spellings of names, so that reviewer and
 * loader differ.
 */
TEST(weak_spot_21_duplicate_and_case_variant_members_are_refused)
{
	CHECK(strstr(fixture_error("d.json", RULE(FULL ",\"decision\":\"DENY\""), NULL),
		      "duplicate") != NULL);
	CHECK(strstr(fixture_error("d.json", RULE(FULL ",\"Decision\":\"DENY\""), NULL), "case") !=
		NULL);
	CHECK(strstr(fixture_error("d.json",
			     "{\"version\":\"v1\",\"rules\":[{" FULL "}],\"rules\":[{}]}", NULL),
		      "duplicate") != NULL);
	CHECK(strstr(fixture_error("d.json", "{\"VERSION\":\"v1\",\"rules\":[{" FULL "}]}", NULL),
		      "case") != NULL);
}

TEST(yaml_scalars_are_text_where_text_is_wanted)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct policy *p = fixture_policy("s.yaml", "version: v1\nrules:\n- {id: 5, action_type: "
						    "fs.read, resource: '**', decision: ALLOW,\n"
						    "   principals: [1, true, 1.5, on, 0x10]}\n");

	if (p != NULL) {
		const struct rule_list *list = &p->rules[0]->who[RULE_PRINCIPAL].text;
		CHECK_SPAN(p->rules[0]->id, "5");
		CHECK_INT(list->n, 5);
		CHECK_SPAN(list->v[0], "1");
		CHECK_SPAN(list->v[1], "true");
		CHECK_SPAN(list->v[2], "1.5");
		CHECK_SPAN(list->v[3], "on");
		CHECK_SPAN(list->v[4], "0x10");
	}
	policy_unref(&p);
	arena_free(&a);
}

static const char bundle_a[] =
	RULE("\"id\":\"a\",\"action_type\":\"fs.read\",\"resource\":\"**\",\"decision\":\"ALLOW\"");
static const char bundle_b[] =
	RULE("\"id\":\"b\",\"action_type\":\"fs.read\",\"resource\":\"**\",\"decision\":\"DENY\"");

TEST(several_bundles_merge)
{
	struct policy_options o = {0};
	struct policy_source s[2] = {
		{.path = SPAN_LIT("base.json"),
			.role = SPAN_LIT("baseline"),
			.bytes = span_cstr(bundle_a)},
		{.path = SPAN_LIT("dev.json"), .bytes = span_cstr(bundle_b)},
	};
	struct errinfo ei = {0};
	struct policy *p = NULL;
	struct policy *one = NULL;
	char want[512];

	CHECK_INT(hash_init(NULL), OK);
	CHECK_INT(policy_load(s, 2, &o, &p, &ei), OK);
	CHECK_INT(policy_load(s, 1, &o, &one, &ei), OK);
	if (p == NULL || one == NULL)
		return;
	CHECK_INT(policy_count_rules(p), 2);
	CHECK_INT(policy_count_sources(p), 2);
	CHECK(strcmp(policy_get_hash(p), policy_get_hash(one)) != 0);
	snprintf(want, sizeof(want), "[\"base.json#%s\",\"dev.json#%s\"]", p->sources[0].hash,
		p->sources[1].hash);
	CHECK_SPAN(policy_get_sources_json(p), want);
	snprintf(want, sizeof(want),
		"[{\"hash\":\"%s\",\"path\":\"base.json\",\"role\":\"baseline\"},{\"hash\":\"%s\","
		"\"path\":\"dev.json\"}]",
		p->sources[0].hash, p->sources[1].hash);
	CHECK_SPAN(policy_get_inputs_json(p), want);
	CHECK_SPAN(policy_get_sources_json(one), "");
	CHECK_STR(policy_get_hash(one), p->sources[0].hash);
	policy_unref(&one);
	policy_unref(&p);
}

TEST(merge_errors_name_their_bundles)
{
	struct policy_options o = {0};
	struct policy_source s[2] = {
		{.path = SPAN_LIT("x.json"), .bytes = span_cstr(bundle_a)},
		{.path = SPAN_LIT("y.json"), .bytes = span_cstr(bundle_a)},
	};
	struct errinfo ei = {0};
	struct policy *p = NULL;

	CHECK_INT(hash_init(NULL), OK);
	CHECK_INT(policy_load(s, 2, &o, &p, &ei), ERR_INVALID);
	CHECK_STR(ei.msg, "y.json:1:26: duplicate rule id \"a\" in bundles x.json and y.json");
	s[1].bytes = SPAN_LIT("{\"version\":\"v2\"}");
	CHECK_INT(policy_load(s, 2, &o, &p, &ei), ERR_INVALID);
	CHECK_STR(ei.msg, "load bundle y.json: y.json:1:12: bundle version must be v1");
	CHECK(p == NULL);
	CHECK_INT(policy_load(s, 0, &o, &p, &ei), ERR_INVALID);
	CHECK_STR(ei.msg, "at least one bundle path is required");
}

TEST(references_are_counted)
{
	struct policy *p = fixture_policy("a.json", bundle_a);
	if (p == NULL)
		return;
	struct policy *second = policy_ref(p);

	policy_unref(&p);
	CHECK(p == NULL);
	CHECK_INT(policy_count_rules(second), 1);
	policy_unref(&second);
	policy_unref(&second);
	CHECK(second == NULL);
}

SUITE("bundle", TEST_ROW(hash_vectors), TEST_ROW(hash_is_the_same_in_yaml),
	TEST_ROW(canonical_form_has_every_member), TEST_ROW(numbers_print_as_go_prints_float64),
	TEST_ROW(merged_hash_vectors), TEST_ROW(corpus_of_refusals),
	TEST_ROW(weak_spot_20_yaml_null_principal_is_refused),
	TEST_ROW(weak_spot_21_duplicate_and_case_variant_members_are_refused),
	TEST_ROW(yaml_scalars_are_text_where_text_is_wanted), TEST_ROW(several_bundles_merge),
	TEST_ROW(merge_errors_name_their_bundles), TEST_ROW(references_are_counted))
