/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The public side of a policy: signatures before decoding (weak spot 23), options, inputs, two
 * threads on one snapshot.
 */
#include <pthread.h>

#include "policy_priv.h"
#include "support/policy_fixture.h"
#include "support/test.h"

struct signed_case {
	const char *signature; /* file, or a text that starts with '=' */
	const char *key;       /* file, NULL: none */
	const char *bundle;
	enum err rc;
	const char *message;
};

static struct span
text_of(struct arena *a, const char *name)
{
	char path[128];

	if (name == NULL)
		return SPAN_NONE;
	if (name[0] == '=')
		return span_cstr(name + 1);
	snprintf(path, sizeof(path), "corpus/bundle/%s", name);
	return span_cstr(fixture_file(a, path));
}

TEST(weak_spot_23_signatures_are_verified_before_decoding)
{
	static const struct signed_case rows[] = {
		{"signed.sig", "signed.pub.pem", "signed.yaml", OK, ""},
		{"signed.sig", "other.pub.pem", "signed.yaml", ERR_FORBIDDEN,
			"policy bundle signature verification failed"},
		{"malformed.sig", "signed.pub.pem", "signed.yaml", ERR_FORBIDDEN,
			"policy bundle signature verification failed"},
		/* Malformed and wrongly signed: the signature speaks first. */
		{"signed.sig", "signed.pub.pem", "malformed.json", ERR_FORBIDDEN,
			"policy bundle signature verification failed"},
		{"malformed.sig", "signed.pub.pem", "malformed.json", ERR_PARSE,
			"malformed.json:1:26: decode bundle: unexpected end at $.rules[0] (byte "
			"25)"},
		{"=%%%", "signed.pub.pem", "signed.yaml", ERR_FORBIDDEN,
			"signature must be base64"},
		{"=", "signed.pub.pem", "signed.yaml", ERR_FORBIDDEN,
			"signature and public key paths are required"},
		{"signed.sig", NULL, "signed.yaml", ERR_FORBIDDEN,
			"signature and public key paths are required"},
		{"signed.sig", "=nonsense", "signed.yaml", ERR_PARSE, "invalid public key pem"},
		{"signed.sig", "other_kind.pub.pem", "signed.yaml", ERR_PARSE,
			"public key is not rsa"},
	};

	CHECK_INT(hash_init(NULL), OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
		struct policy_options o = {.public_key_pem = text_of(a, rows[i].key)};
		struct policy_source s = {
			.path = span_cstr(rows[i].bundle),
			.bytes = text_of(a, rows[i].bundle),
			.signature = text_of(a, rows[i].signature),
			.verify = true,
		};
		struct errinfo ei = {0};
		struct policy *p = NULL;
		CHECK_INT(policy_load(&s, 1, &o, &p, &ei), rows[i].rc);
		if (rows[i].rc != OK)
			CHECK_STR(ei.msg, rows[i].message);
		else if (p != NULL)
			CHECK(strstr(policy_get_inputs_json(p).p,
				      ",\"signature_verified\":true}]") != NULL);
		CHECK((p != NULL) == (rows[i].rc == OK));
		policy_unref(&p);
		arena_free(&a);
	}
}

/* A single changed byte, wherever it is. */
TEST(any_changed_byte_breaks_the_signature)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct policy_options o = {.public_key_pem = text_of(a, "signed.pub.pem")};
	struct span good = text_of(a, "signed.yaml");
	char *bytes = arena_dup_cstr(a, good);
	struct policy_source s = {.path = SPAN_LIT("s.yaml"),
		.bytes = span_of(bytes, good.n),
		.signature = text_of(a, "signed.sig"),
		.verify = true};

	struct policy *whole = NULL;

	CHECK_INT(hash_init(NULL), OK);
	CHECK_INT(policy_load(&s, 1, &o, &whole, NULL), OK);
	policy_unref(&whole);
	for (size_t i = 0; i < good.n; i++) {
		struct policy *p = NULL;
		bytes[i] = (char)(bytes[i] ^ 1);
		CHECK_INT(policy_load(&s, 1, &o, &p, NULL), ERR_FORBIDDEN);
		CHECK(p == NULL);
		bytes[i] = (char)(bytes[i] ^ 1);
	}
	arena_free(&a);
}

TEST(errors_without_errinfo)
{
	struct policy_options o = {0};
	struct policy_source s = {.path = SPAN_LIT("e.json"), .bytes = SPAN_LIT("{")};
	struct policy *p = NULL;

	CHECK_INT(hash_init(NULL), OK);
	CHECK_INT(policy_load(&s, 1, &o, &p, NULL), ERR_PARSE);
	s.path = SPAN_NONE;
	CHECK_INT(policy_load(&s, 1, &o, &p, NULL), ERR_INVALID);
	CHECK(p == NULL);
}

TEST(the_policy_keeps_copies)
{
	char text[] = "version: v1\nrules:\n- {id: mine, action_type: x.y, resource: '**', "
		      "decision: ALLOW,\n"
		      "   principals: [p1], obligations: {reason: because}}\n";
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct policy *p = fixture_policy("copy.yaml", text);

	memset(text, 'x', sizeof(text) - 1);
	struct decision d =
		fixture_decide(p, a, (struct fixture_action){.type = "x.y", .resource = "x://h/r"});
	CHECK_INT(d.verdict, VERDICT_ALLOW);
	CHECK_STR(fixture_ids(&d, a), "mine");
	CHECK_SPAN(d.obligations.canonical, "{\"reason\":\"because\"}");
	policy_unref(&p);
	arena_free(&a);
}

#define TURNS 2000

struct worker {
	struct policy *policy;
	size_t n_allowed;
};

static void *
decide_often(void *arg)
{
	struct worker *w = arg;
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);

	for (int i = 0; i < TURNS; i++) {
		struct policy *p = policy_ref(w->policy);
		struct action action = {
			.action_type = SPAN_LIT("x.y"), .resource = {.text = SPAN_LIT("x://h/r")}};
		struct decision d;
		arena_reset(a);
		if (policy_eval(p, &action, a, &d) == OK && d.verdict == VERDICT_ALLOW)
			w->n_allowed++;
		policy_unref(&p);
	}
	policy_unref(&w->policy);
	arena_free(&a);
	return NULL;
}

TEST(threads_share_a_snapshot)
{
	struct policy *p =
		fixture_policy("t.yaml", "version: v1\nrules:\n"
					 "- {id: a, action_type: x.y, resource: '**', decision: "
					 "ALLOW, obligations: {output_max_bytes: 1}}\n"
					 "- {id: b, action_type: '*', resource: 'x://**', "
					 "decision: ALLOW, obligations: {output_max_bytes: 2}}\n");
	struct worker workers[4];
	pthread_t threads[4];

	if (p == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		workers[i] = (struct worker){.policy = policy_ref(p)};
		CHECK_INT(pthread_create(&threads[i], NULL, decide_often, &workers[i]), 0);
	}
	policy_unref(&p);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], NULL);
		CHECK_INT(workers[i].n_allowed, TURNS);
	}
}

TEST(names_of_verdicts_and_reasons)
{
	CHECK_STR(verdict_name(VERDICT_DENY), "DENY");
	CHECK_STR(verdict_name(VERDICT_REQUIRE_APPROVAL), "REQUIRE_APPROVAL");
	CHECK_STR(verdict_name(VERDICT_ALLOW), "ALLOW");
	CHECK_STR(reason_name((enum reason)0), "deny_by_default");
	CHECK_STR(reason_name(REASON_RATE_LIMIT_EXCEEDED), "RATE_LIMIT_EXCEEDED");
	for (int r = 0; r < REASON__MAX; r++)
		CHECK(reason_name((enum reason)r)[0] != '\0');
	/* A zeroed decision is a default deny without permissions. */
	struct decision d = {0};
	CHECK_INT(d.verdict, VERDICT_DENY);
	CHECK_INT(d.reason, REASON_DENY_BY_DEFAULT);
	CHECK(!d.obligations.http_redirects && d.obligations.net_allowlist == NULL);
}

SUITE("policy", TEST_ROW(weak_spot_23_signatures_are_verified_before_decoding),
	TEST_ROW(any_changed_byte_breaks_the_signature), TEST_ROW(errors_without_errinfo),
	TEST_ROW(the_policy_keeps_copies), TEST_ROW(threads_share_a_snapshot),
	TEST_ROW(names_of_verdicts_and_reasons))
