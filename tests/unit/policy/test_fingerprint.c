/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Hashes: the published vectors, what a fingerprint covers and what it must tell apart; risk, which stands on the canonical form. */
#include <stdio.h>

#include "base/arena.h"
#include "base/hash.h"
#include "policy/action.h"
#include "support/test.h"

#define ARENA_BYTES (1024 * 1024)

static const struct identity ID = {{"p", 1}, {"g", 1}, {"dev", 3}};

struct wire {
	const char *type;
	const char *resource;
	const char *params;
	const char *ids; /* for action_id and trace_id */
};

static char body[ACTION_BODY_BYTES_MAX + 1];

/* A copy, without the trees and texts that are gone when it returns. */
static struct action
normalize(struct wire w, const struct identity *id)
{
	static struct arena *arena;
	struct action none = {.params_err = ERR_INVALID};
	struct action *act;
	struct errinfo ei = {.code = OK};

	if (arena == NULL)
		arena = arena_new(ARENA_BYTES);
	arena_reset(arena);
	snprintf(body, sizeof(body),
		"{\"schema_version\":\"v1\",\"action_id\":\"%s\",\"action_type\":\"%s\","
		"\"resource\":\"%s\",\"params\":%s,\"trace_id\":\"%s\",\"context\":{}}",
		w.ids, w.type, w.resource, w.params, w.ids);
	enum err rc = action_parse(span_cstr(body), arena, &act, &ei);
	if (rc == OK)
		rc = action_normalize(act, id, arena, &ei);
	if (rc != OK) {
		FAIL("%s: %s", err_name(rc), ei.msg);
		return none;
	}
	return *act;
}

static struct action
with_params(const char *params)
{
	return normalize((struct wire){"pay.refund", "pay://h/x", params, "a1"}, &ID);
}

TEST(gives_the_published_fingerprints)
{
	static const struct identity nomos = {{"system", 6}, {"nomos", 5}, {"dev", 3}};

	struct action act = with_params("{\"amount\":10}");
	CHECK_STR(act.fingerprint,
		"bf906b118b823ae93094a18fa2bf187234730ce9b8316dc58099d5fcd7609faa");
	CHECK_STR(act.binding_hash, act.fingerprint);
	act = normalize((struct wire){"fs.read", "file://workspace/README.md", "{}", "a1"}, &nomos);
	CHECK_STR(act.fingerprint,
		"38d02275e2043567f6afaaf2ec93410387e0806dea19d980c01030e5111e617e");
	CHECK_STR(act.params_hash,
		"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

TEST(gives_the_published_params_hash)
{
	struct action act =
		with_params("{\"d\":1E5,\"a\":1.50,\"c\":12345678901234567890123,\"b\":-0}");

	CHECK_SPAN(act.params_canonical,
		"{\"a\":\"1.50\",\"b\":0,\"c\":12345678901234567890123,\"d\":\"1E5\"}");
	CHECK_STR(act.params_hash,
		"7c3ab3656b87327c4c4f09f6e4e3183d94e1a0c0da4b82f0d9c897aba868b96c");
}

/* The hash is made of parts; here the object is written out whole. */
TEST(hashes_the_documented_object)
{
	static const struct identity id = {{"p\"q", 3}, {"<g>", 3}, {"\xc3\xa9", 2}};
	char want[SHA256_HEX + 1];

	struct action act =
		normalize((struct wire){"pay.refund", "pay://h/a\\\"b", "{\"v\":1.5}", "a1"}, &id);
	hash_sha256_hex(SPAN_LIT("{\"agent\":\"\\u003cg\\u003e\",\"environment\":\"\xc3\xa9\","
				 "\"normalized_action\":{\"action_type\":\"pay.refund\","
				 "\"params\":{\"v\":\"1.5\"},\"resource\":\"pay://h/a\\\"b\","
				 "\"schema_version\":\"v1\"},\"principal\":\"p\\\"q\"}"),
		want);
	CHECK_STR(act.fingerprint, want);
	hash_sha256_hex(SPAN_LIT("{\"agent\":\"\\u003cg\\u003e\",\"environment\":\"\xc3\xa9\","
				 "\"normalized_action\":{\"action_type\":\"pay.refund\","
				 "\"params\":{\"v\":1.5},\"resource\":\"pay://h/a\\\"b\","
				 "\"schema_version\":\"v1\"},\"principal\":\"p\\\"q\"}"),
		want);
	CHECK_STR(act.binding_hash, want);
}

/* Weak spot 9.A.8 of the reference: an approval for the one held for the other. */
TEST(binds_numbers_apart_from_strings)
{
	static const char *const pairs[][2] = {
		{"{\"a\":1.50}", "{\"a\":\"1.50\"}"},
		{"{\"a\":1e2}", "{\"a\":\"1e2\"}"},
		{"{\"a\":[{\"b\":1.0}]}", "{\"a\":[{\"b\":\"1.0\"}]}"},
		{"{\"a\":1E5,\"b\":\"1E5\"}", "{\"a\":\"1E5\",\"b\":1E5}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct action number = with_params(pairs[i][0]);
		struct action text = with_params(pairs[i][1]);
		CHECK_STR(number.fingerprint, text.fingerprint);
		CHECK_STR(number.params_hash, text.params_hash);
		CHECK(strcmp(number.binding_hash, text.binding_hash) != 0);
	}
	CHECK(strcmp(with_params("{\"a\":1}").fingerprint,
		      with_params("{\"a\":\"1\"}").fingerprint) != 0);
}

TEST(covers_who_what_and_how)
{
	static const struct identity others[] = {
		{{"q", 1}, {"g", 1}, {"dev", 3}},
		{{"p", 1}, {"h", 1}, {"dev", 3}},
		{{"p", 1}, {"g", 1}, {"prod", 4}},
		{{"g", 1}, {"p", 1}, {"dev", 3}},
	};
	static const struct wire base = {"pay.refund", "pay://h/x", "{\"a\":1}", "a1"};
	static const struct wire changed[] = {
		{"pay.refunds", "pay://h/x", "{\"a\":1}", "a1"},
		{"pay.refund", "pay://h/X", "{\"a\":1}", "a1"},
		{"pay.refund", "pay://h/x", "{\"a\":2}", "a1"},
	};
	static const struct wire same[] = {
		{"pay.refund", "pay://h/x", "{\"a\":1}", "other"},
		{"pay.refund", " PAY://H//x/ ", "{ \"\\u0061\" : 1 }", "a1"},
	};

	struct action act = normalize(base, &ID);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct action other = normalize(base, &others[i]);
		CHECK(strcmp(other.fingerprint, act.fingerprint) != 0);
		CHECK(strcmp(other.binding_hash, act.binding_hash) != 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
		struct action other = normalize(changed[i], &ID);
		CHECK(strcmp(other.fingerprint, act.fingerprint) != 0);
		CHECK(strcmp(other.binding_hash, act.binding_hash) != 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		struct action other = normalize(same[i], &ID);
		CHECK_STR(other.fingerprint, act.fingerprint);
		CHECK_STR(other.binding_hash, act.binding_hash);
	}
}

TEST(does_not_depend_on_member_order)
{
	CHECK_STR(with_params("{\"a\":{\"x\":1,\"y\":[1.5]},\"b\":2}").binding_hash,
		with_params("{\"b\":2,\"a\":{\"y\":[1.5],\"x\":1}}").binding_hash);
	CHECK(strcmp(with_params("{\"a\":[1,2]}").binding_hash,
		      with_params("{\"a\":[2,1]}").binding_hash) != 0);
}

TEST(needs_a_whole_identity)
{
	static const struct identity holes[] = {
		{{"", 0}, {"g", 1}, {"dev", 3}},
		{{"p", 1}, {NULL, 0}, {"dev", 3}},
		{{"p", 1}, {"g", 1}, {" ", 1}},
	};
	struct arena *a = arena_new(ARENA_BYTES);
	struct action *act;
	struct errinfo ei;

	CHECK_INT(action_parse(SPAN_LIT("{\"schema_version\":\"v1\",\"action_id\":\"a\","
					"\"action_type\":\"fs.read\",\"resource\":\"file:///a\","
					"\"params\":{},\"trace_id\":\"t\",\"context\":{}}"),
			  a, &act, &ei),
		OK);
	for (size_t i = 0; i < ARRAY_LEN(holes); i++) {
		CHECK_INT(action_normalize(act, &holes[i], a, &ei), ERR_INVALID);
		CHECK_STR(ei.msg, "verified identity is required");
		CHECK_STR(act->fingerprint, "");
	}
	CHECK_INT(action_normalize(act, &ID, a, &ei), OK);
	CHECK_SPAN(act->identity.principal, "p");
	arena_free(&a);
}

TEST(refuses_what_has_no_normal_form)
{
	struct arena *a = arena_new(ARENA_BYTES);
	struct action *act;
	struct errinfo ei;

	CHECK_INT(action_parse(SPAN_LIT("{\"schema_version\":\"v1\",\"action_id\":\"a\","
					"\"action_type\":\"fs.read\",\"resource\":\"file:///../a\","
					"\"params\":{},\"trace_id\":\"t\",\"context\":{}}"),
			  a, &act, &ei),
		OK);
	CHECK_INT(action_normalize(act, &ID, a, &ei), ERR_NORMALIZE);
	CHECK_STR(ei.msg, "file path traversal detected");
	CHECK_STR(act->fingerprint, "");
	CHECK(act->resource.text.n == 0);
	arena_free(&a);
}

/* A built-in type may name any built-in scheme; the scheme tells the executor. */
TEST(keeps_the_scheme_beside_the_type)
{
	struct action act = normalize((struct wire){"fs.read", "repo://O/N", "{}", "a1"}, &ID);

	CHECK_INT(act.kind, ACTION_FS_READ);
	CHECK_INT(act.resource.scheme, RESOURCE_REPO);
}

TEST(flags_risk)
{
	static const struct {
		const char *type;
		uint32_t risk;
	} rows[] = {
		{"fs.read", 0},
		{"fs.write", RISK_WRITE},
		{"repo.apply_patch", RISK_WRITE},
		{"process.exec", RISK_EXEC},
		{"net.http_request", RISK_NET},
		{"secrets.checkout", RISK_SECRETS},
		{"pay.refund", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct action act = normalize(
			(struct wire){rows[i].type, "file://workspace/a", "{}", "a1"}, &ID);
		CHECK_INT(act.risk, rows[i].risk);
	}
}

/* risk.large_io stands on the canonical length, not on the length as sent. */
TEST(flags_large_io_by_the_canonical_form)
{
	static char params[ACTION_PARAMS_BYTES_MAX + 1];
	size_t canonical = strlen("{\"a\":\"\"}");

	for (size_t n = 32767; n <= 32768; n++) {
		memset(params, 'x', sizeof(params));
		memcpy(params, "{\"a\":\"", 6);
		memcpy(params + n - 2, "\"}", 3);
		struct action act = with_params(params);
		CHECK_INT(act.params_canonical.n, n);
		CHECK_INT(act.risk, n < 32768 ? 0 : RISK_LARGE_IO);
	}
	/* Escapes that the canonical form writes long: six bytes for one. */
	size_t n = (32768 - canonical + 5) / 6;
	memset(params, '&', sizeof(params));
	memcpy(params, "{\"a\":\"", 6);
	memcpy(params + 6 + n, "\"}", 3);
	CHECK_INT(with_params(params).risk, RISK_LARGE_IO);
	memcpy(params + 6 + n - 1, "\"}", 3);
	CHECK_INT(with_params(params).risk, 0);
	/* And the longest that fits. */
	memset(params, '<', sizeof(params));
	memcpy(params, "{\"a\":\"", 6);
	memcpy(params + ACTION_PARAMS_BYTES_MAX - 2, "\"}", 3);
	CHECK_INT(with_params(params).params_canonical.n,
		canonical + (ACTION_PARAMS_BYTES_MAX - canonical) * 6);
}

SUITE("policy.fingerprint", TEST_ROW(gives_the_published_fingerprints),
	TEST_ROW(gives_the_published_params_hash), TEST_ROW(hashes_the_documented_object),
	TEST_ROW(binds_numbers_apart_from_strings), TEST_ROW(covers_who_what_and_how),
	TEST_ROW(does_not_depend_on_member_order), TEST_ROW(needs_a_whole_identity),
	TEST_ROW(refuses_what_has_no_normal_form), TEST_ROW(keeps_the_scheme_beside_the_type),
	TEST_ROW(flags_risk), TEST_ROW(flags_large_io_by_the_canonical_form))
