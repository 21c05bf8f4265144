/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Claims of tokens, row by row: which are taken, for whom, and why the others are not. */
#include "identity/token_rules.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"
#include "support/test.h"

#define NOW 1000000

static const struct token_rules rules = {
	.issuer = {"https://id.example", 18},
	.audience = {"nomos", 5},
	.principal_claim = {"sub", 3},
	.groups_claim = {"groups", 6},
	.leeway_s = 30,
	.max_lifetime_s = 3600,
};

struct row {
	const char *claims; /* beside iss, or instead of it when it begins with a brace */
	const char *want;   /* the subject, or why not */
};

static const char *
judge(const struct token_rules *r, const char *claims, const char *type, struct token_facts *facts)
{
	static char got[ERRINFO_MAX];
	struct arena *a = arena_new((size_t)1024 * 1024);
	struct span text = span_cstr(claims);
	struct jose_token token = {.type = span_cstr(type)};
	struct errinfo ei;

	MUST(a != NULL);
	if (claims[0] != '{')
		text = arena_printf(a, "{\"iss\":\"https://id.example\",%s}", claims);
	MUST(json_parse(text, a, &token.claims, NULL, NULL) == OK);
	enum err rc = token_judge(r, &token, NOW, facts, &ei);
	if (rc == OK)
		snprintf(got, sizeof(got), "%.*s", SPAN_ARG(facts->subject));
	else
		snprintf(got, sizeof(got), "%s", ei.msg);
	CHECK(rc == OK || rc == ERR_AUTH);
	arena_free(&a);
	return got;
}

static void
check_rows(const struct token_rules *r, const struct row *rows, size_t n)
{
	struct token_facts facts;

	for (size_t i = 0; i < n; i++) {
		const char *got = judge(r, rows[i].claims, NULL, &facts);
		if (strcmp(got, rows[i].want) != 0)
			FAIL("%s: \"%s\", not \"%s\"", rows[i].claims, got, rows[i].want);
	}
}

#define GOOD "\"aud\":\"nomos\",\"exp\":1000300,\"iat\":999900"

TEST(issuer_and_audience)
{
	static const struct row rows[] = {
		{GOOD ",\"sub\":\"alice\"", "alice"},
		{"{" GOOD ",\"sub\":\"alice\"}", "iss is another"},
		{"{\"iss\":\"https://id.example/\"," GOOD ",\"sub\":\"alice\"}", "iss is another"},
		{"{\"iss\":[\"https://id.example\"]," GOOD ",\"sub\":\"alice\"}", "iss is another"},
		{"\"exp\":1000300,\"iat\":999900,\"sub\":\"alice\"", "aud is another"},
		{"\"aud\":\"Nomos\",\"exp\":1000300,\"iat\":999900,\"sub\":\"alice\"",
			"aud is another"},
		{"\"aud\":\"\",\"exp\":1000300,\"iat\":999900,\"sub\":\"alice\"", "aud is another"},
		{"\"aud\":[],\"exp\":1000300,\"iat\":999900,\"sub\":\"alice\"", "aud is another"},
		{"\"aud\":[\"a\",\"nomos\"],\"exp\":1000300,\"iat\":999900,\"sub\":\"alice\"",
			"alice"},
		{"\"aud\":[\"nomos\",7],\"exp\":1000300,\"iat\":999900,\"sub\":\"alice\"",
			"aud is another"},
		{"\"aud\":{\"nomos\":1},\"exp\":1000300,\"iat\":999900,\"sub\":\"alice\"",
			"aud is another"},
		{GOOD ",\"sub\":\"alice\",\"cnf\":{\"jkt\":\"x\"}",
			"it is bound to a key, and no bearer token"},
	};

	check_rows(&rules, rows, ARRAY_LEN(rows));
}

#define AUD "\"aud\":\"nomos\",\"sub\":\"alice\","
#define EXPIRED "it has expired"
#define EARLY "it is not valid yet"
#define LONG "it lives longer than identity.oidc.max_lifetime_seconds"

/* Each edge, and one second beyond it. */
TEST(times_and_their_leeway)
{
	static const struct row rows[] = {
		{AUD "\"exp\":999971,\"iat\":999900", "alice"},
		{AUD "\"exp\":999970,\"iat\":999900", EXPIRED},
		{AUD "\"exp\":1000300,\"iat\":1000030", "alice"},
		{AUD "\"exp\":1000300,\"iat\":1000031", EARLY},
		{AUD "\"exp\":1000300,\"iat\":999900,\"nbf\":1000030", "alice"},
		{AUD "\"exp\":1000300,\"iat\":999900,\"nbf\":1000031", EARLY},
		{AUD "\"exp\":1000300,\"iat\":996700", "alice"},
		{AUD "\"exp\":1000300,\"iat\":996699", LONG},
		{AUD "\"exp\":1000010,\"iat\":1000010", LONG},
		{AUD "\"iat\":999900", "exp is missing or no whole number of seconds"},
		{AUD "\"exp\":1000300", "iat is missing or no whole number of seconds"},
		{AUD "\"exp\":\"1000300\",\"iat\":999900",
			"exp is missing or no whole number of seconds"},
		{AUD "\"exp\":1000300.5,\"iat\":999900",
			"exp is missing or no whole number of seconds"},
		{AUD "\"exp\":1e9,\"iat\":999900", "exp is missing or no whole number of seconds"},
		{AUD "\"exp\":9223372036854775807,\"iat\":999900",
			"exp is missing or no whole number of seconds"},
		{AUD "\"exp\":1000300,\"iat\":-1", "iat is missing or no whole number of seconds"},
		{AUD "\"exp\":1000300,\"iat\":999900,\"nbf\":\"0\"",
			"nbf is no whole number of seconds"},
		{AUD "\"exp\":1000300,\"iat\":999900,\"nbf\":null",
			"nbf is no whole number of seconds"},
	};

	check_rows(&rules, rows, ARRAY_LEN(rows));
}

#define NO_NAME "the principal's claim is missing, or no name"

TEST(the_principal_is_a_name)
{
	static const struct row rows[] = {
		{GOOD, NO_NAME},
		{GOOD ",\"sub\":\"\"", NO_NAME},
		{GOOD ",\"sub\":\" alice\"", NO_NAME},
		{GOOD ",\"sub\":7", NO_NAME},
		{GOOD ",\"sub\":[\"alice\"]", NO_NAME},
		{GOOD ",\"sub\":\"a\\u0000b\"", NO_NAME},
		{GOOD ",\"sub\":\"a\\nb\"", NO_NAME},
		{GOOD ",\"Sub\":\"alice\"", NO_NAME},
		{GOOD ",\"sub\":\"\\u00e9l\\u00e8ne\"", "\xc3\xa9l\xc3\xa8ne"},
	};
	static const struct row others[] = {
		{GOOD ",\"sub\":\"x\",\"https://x.example/user\":\"alice\"", "alice"},
	};
	static const struct row nested[] = {
		{GOOD ",\"sub\":\"x\",\"act\":{\"user\":{\"id\":\"alice\"}}", "alice"},
		{GOOD ",\"sub\":\"x\",\"act\":{\"user\":\"alice\"}", NO_NAME},
		{GOOD ",\"sub\":\"x\",\"act\":7", NO_NAME},
		{GOOD ",\"act.user.id\":\"bob\",\"act\":{\"user\":{\"id\":\"alice\"}}", "bob"},
	};
	static const struct row email[] = {
		{GOOD ",\"email\":\"a@x.example\",\"email_verified\":true", "a@x.example"},
		{GOOD ",\"email\":\"a@x.example\",\"email_verified\":false",
			"email_verified is not true"},
		{GOOD ",\"email\":\"a@x.example\",\"email_verified\":\"true\"",
			"email_verified is not true"},
		{GOOD ",\"email\":\"a@x.example\"", "email_verified is not true"},
	};
	struct token_rules r = rules;

	check_rows(&rules, rows, ARRAY_LEN(rows));
	r.principal_claim = SPAN_LIT("https://x.example/user");
	check_rows(&r, others, ARRAY_LEN(others));
	r.principal_claim = SPAN_LIT("act.user.id");
	check_rows(&r, nested, ARRAY_LEN(nested));
	r.principal_claim = SPAN_LIT("email");
	check_rows(&r, email, ARRAY_LEN(email));
}

static void
fill(char *claims, size_t size, const char *begin, size_t n, const char *one, const char *end)
{
	size_t at = (size_t)snprintf(claims, size, "%s", begin);

	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(claims + at, size - at, "%s", one);
	MUST(at + strlen(end) < size);
	snprintf(claims + at, size - at, "%s", end);
}

TEST(names_are_bounded)
{
	struct token_facts facts;
	char claims[4096];

	fill(claims, sizeof(claims), GOOD ",\"sub\":\"", 256, "a", "\"");
	CHECK_INT(strlen(judge(&rules, claims, NULL, &facts)), 256);
	fill(claims, sizeof(claims), GOOD ",\"sub\":\"", 257, "a", "\"");
	CHECK_STR(judge(&rules, claims, NULL, &facts), NO_NAME);
	/* With what is put in front of it, too. */
	struct token_rules r = rules;
	r.principal_prefix = SPAN_LIT("oidc:");
	fill(claims, sizeof(claims), GOOD ",\"sub\":\"", 252, "a", "\"");
	CHECK_STR(judge(&r, claims, NULL, &facts), NO_NAME);
	fill(claims, sizeof(claims), GOOD ",\"sub\":\"alice\",\"groups\":[\"a\"", 255, ",\"b\"",
		"]");
	CHECK_STR(judge(&rules, claims, NULL, &facts), "alice");
	CHECK_INT(facts.n_groups, 256);
	fill(claims, sizeof(claims), GOOD ",\"sub\":\"alice\",\"groups\":[\"a\"", 256, ",\"b\"",
		"]");
	CHECK_STR(judge(&rules, claims, NULL, &facts), "there are too many groups");
}

TEST(groups)
{
	static const struct row rows[] = {
		{GOOD ",\"sub\":\"alice\",\"groups\":[\"a\",7]", "a group is no name"},
		{GOOD ",\"sub\":\"alice\",\"groups\":[\"\"]", "a group is no name"},
		{GOOD ",\"sub\":\"alice\",\"groups\":{}", "a group is no name"},
		{GOOD ",\"sub\":\"alice\",\"groups\":[[\"a\"]]", "a group is no name"},
		{GOOD ",\"sub\":\"alice\",\"groups\":null", "a group is no name"},
	};
	struct token_rules r = rules;
	struct token_facts facts;

	check_rows(&rules, rows, ARRAY_LEN(rows));
	(void)judge(&rules, GOOD ",\"sub\":\"alice\",\"groups\":[\"a\",\"b\"]", NULL, &facts);
	CHECK_INT(facts.n_groups, 2);
	(void)judge(&rules, GOOD ",\"sub\":\"alice\",\"groups\":\"a\"", NULL, &facts);
	CHECK_INT(facts.n_groups, 1);
	(void)judge(&rules, GOOD ",\"sub\":\"alice\",\"groups\":[]", NULL, &facts);
	CHECK_INT(facts.n_groups, 0);
	r.groups_claim = SPAN_LIT("realm_access.roles");
	(void)judge(
		&r, GOOD ",\"sub\":\"alice\",\"realm_access\":{\"roles\":[\"a\"]}", NULL, &facts);
	CHECK_INT(facts.n_groups, 1);
	r.groups_claim = SPAN_NONE;
	(void)judge(&r, GOOD ",\"sub\":\"alice\",\"groups\":[\"a\"]", NULL, &facts);
	CHECK_INT(facts.n_groups, 0);
}

TEST(tokens_for_other_ends_are_refused)
{
	static const char *const good[] = {"", "JWT", "jwt", "at+jwt", "application/at+jwt"};
	static const char *const bad[] = {
		"logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "application/", "x"};
	struct token_facts facts;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK_STR(judge(&rules, GOOD ",\"sub\":\"alice\"", good[i], &facts), "alice");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_STR(judge(&rules, GOOD ",\"sub\":\"alice\"", bad[i], &facts),
			"typ is none of JWT, at+jwt");
}

SUITE("token_rules", TEST_ROW(issuer_and_audience), TEST_ROW(times_and_their_leeway),
	TEST_ROW(the_principal_is_a_name), TEST_ROW(names_are_bounded), TEST_ROW(groups),
	TEST_ROW(tokens_for_other_ends_are_refused))
