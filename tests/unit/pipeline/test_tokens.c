/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Callers by signed tokens, with keys of a file: who they are, what they may, how long, and the sessions that begin with one. */
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/must.h"
#include "identity/identity_table.h"
#include "identity/token_holder.h"
#include "pipeline/key_ring.h"
#include "pipeline/session.h"
#include "snapshot_parts.h"
#include "support/issuer.h"
#include "support/test.h"

#define NOW_S 1000000
#define HEADER "{\"alg\":\"ES256\"}"
#define TEXT_MAX ((size_t)64 * 1024)

struct world {
	struct issuer_key *key;
	struct session_table *sessions;
	struct snapshot snapshot;
	char path[256];
	struct span admins[1];
	struct span viewers[1];
	struct span listed[1];
	struct config_entry group_roles[2];
	struct config_entry roles[1];
	struct config_pair api_keys[1];
	struct config_pair agents[1];
	struct identity_section options;
	struct buf token;
};

static void
load(struct world *w)
{
	struct errinfo ei = {OK, ""};

	identity_table_free(&w->snapshot.identities);
	MUST(identity_table_new(&w->options, NULL, &w->snapshot.identities, NULL) == OK);
	if (identity_open_tokens(w->snapshot.identities, &w->options.oidc, NULL, &ei) != OK)
		FAIL("%s", ei.msg);
}

static void
write_key(struct world *w, const struct issuer_key *key)
{
	struct buf pem;
	FILE *file = fopen(w->path, "wb");

	buf_init(&pem, TEXT_MAX);
	issuer_key_pem(key, &pem);
	MUST(file != NULL && fwrite(pem.p, 1, pem.n, file) == pem.n && fclose(file) == 0);
	buf_fini(&pem);
}

static void
world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	clock_fake_set(NOW_S * NS_PER_SEC, NOW_S * NS_PER_SEC);
	w->key = issuer_key_new("P-256", 0);
	w->sessions = session_table_new();
	snprintf(w->path, sizeof(w->path), "%s/key.pem", test_tmpdir());
	write_key(w, w->key);
	w->admins[0] = SPAN_LIT("admins");
	w->viewers[0] = SPAN_LIT("staff");
	w->listed[0] = SPAN_LIT("oidc:alice");
	w->group_roles[0] = (struct config_entry){SPAN_LIT("operator"), {w->admins, 1}};
	w->group_roles[1] = (struct config_entry){SPAN_LIT("viewer"), {w->viewers, 1}};
	w->roles[0] = (struct config_entry){SPAN_LIT("approver"), {w->listed, 1}};
	w->api_keys[0] = (struct config_pair){SPAN_LIT("key-of-bob"), SPAN_LIT("bob")};
	w->agents[0] = (struct config_pair){SPAN_LIT("bot"), SPAN_LIT("bot-secret")};
	w->options = (struct identity_section){
		.environment = SPAN_LIT("dev"),
		.api_keys = {w->api_keys, 1},
		.agent_secrets = {w->agents, 1},
		.roles = {w->roles, 1},
		.oidc = {.enabled = true,
			.issuer = SPAN_LIT("https://id.example"),
			.audience = SPAN_LIT("nomos"),
			.public_key_path = span_cstr(w->path),
			.principal_claim = SPAN_LIT("sub"),
			.principal_prefix = SPAN_LIT("oidc:"),
			.groups_claim = SPAN_LIT("groups"),
			.roles = {w->group_roles, 2},
			.leeway_seconds = 30,
			.max_lifetime_seconds = 86400},
	};
	buf_init(&w->token, TEXT_MAX);
	load(w);
}

static void
world_fini(struct world *w)
{
	session_table_free(&w->sessions);
	identity_table_free(&w->snapshot.identities);
	issuer_key_free(&w->key);
	buf_fini(&w->token);
	clock_fake_off();
}

/* A token that ends in so many seconds; more are claims behind a comma. */
static void
sign(struct world *w, const struct issuer_key *key, const char *sub, int life_s, const char *more)
{
	char claims[1024];

	snprintf(claims, sizeof(claims),
		"{\"iss\":\"https://id.example\",\"aud\":\"nomos\",\"iat\":%d,\"exp\":%d,"
		"\"sub\":\"%s\"%s}",
		NOW_S - 10, NOW_S + life_s, sub, more);
	issuer_sign(key, HEADER, claims, &w->token);
}

static enum err
find(struct world *w, struct caller *out)
{
	struct buf line;
	enum err rc;

	buf_init(&line, TEXT_MAX);
	BUF_ADD_LIT(&line, "Bearer ");
	buf_add_span(&line, buf_span(&w->token));
	struct req_credentials c = {.authorization = buf_span(&line)};
	rc = identity_find_caller(w->snapshot.identities, &c, out);
	buf_fini(&line);
	return rc;
}

static enum err
look(struct world *w)
{
	struct caller who;
	enum err rc = find(w, &who);

	CHECK_INT(who.principal.n > 0, rc == OK);
	caller_drop(&who);
	return rc;
}

TEST(a_token_names_principal_groups_and_roles)
{
	struct caller who;
	struct world w;

	world_init(&w);
	sign(&w, w.key, "alice", 300, "");
	CHECK_INT(find(&w, &who), OK);
	CHECK_SPAN(who.principal, "oidc:alice");
	CHECK(caller_has_role(&who, ROLE_APPROVER) && !caller_has_role(&who, ROLE_OPERATOR));
	CHECK(!who.is_ambient);
	caller_drop(&who);
	sign(&w, w.key, "carol", 300, ",\"groups\":[\"x\",\"admins\"]");
	CHECK_INT(find(&w, &who), OK);
	CHECK_SPAN(who.principal, "oidc:carol");
	CHECK_INT(who.n_groups, 2);
	CHECK_SPAN(who.groups[1], "admins");
	CHECK(caller_has_role(&who, ROLE_OPERATOR) && caller_has_role(&who, ROLE_VIEWER));
	CHECK(!caller_has_role(&who, ROLE_APPROVER));
	caller_drop(&who);
	/* Without a role, and not everybody is a viewer where there are roles. */
	sign(&w, w.key, "dave", 300, ",\"groups\":[\"Admins\"]");
	CHECK_INT(find(&w, &who), OK);
	CHECK(caller_has_role(&who, ROLE_ANYONE) && !caller_has_role(&who, ROLE_VIEWER));
	caller_drop(&who);
	world_fini(&w);
}

TEST(an_api_key_comes_first_and_has_no_groups)
{
	struct caller who;
	struct world w;

	world_init(&w);
	buf_add_cstr(&w.token, "key-of-bob");
	CHECK_INT(find(&w, &who), OK);
	CHECK_SPAN(who.principal, "bob");
	CHECK_INT(who.n_groups, 0);
	CHECK(who.holder == NULL);
	caller_drop(&who);
	world_fini(&w);
}

/* Remembered or not, it is refused from the same second on. */
TEST(a_remembered_token_ends_when_it_ends)
{
	struct world w;

	world_init(&w);
	sign(&w, w.key, "alice", 300, "");
	CHECK_INT(look(&w), OK);
	clock_fake_advance(329 * NS_PER_SEC);
	CHECK_INT(look(&w), OK);
	clock_fake_advance(NS_PER_SEC);
	CHECK_INT(look(&w), ERR_AUTH);
	CHECK_INT(look(&w), ERR_AUTH);
	world_fini(&w);
}

/* A refusal is remembered for a moment only. */
TEST(a_token_that_was_too_early_is_taken_later)
{
	struct world w;

	world_init(&w);
	sign(&w, w.key, "alice", 300, ",\"nbf\":1000060");
	CHECK_INT(look(&w), ERR_AUTH);
	clock_fake_advance(30 * NS_PER_SEC);
	CHECK_INT(look(&w), OK);
	world_fini(&w);
}

TEST(tokens_that_are_refused)
{
	struct issuer_key *other = issuer_key_new("P-256", 0);
	struct world w;

	world_init(&w);
	sign(&w, other, "alice", 300, "");
	CHECK_INT(look(&w), ERR_AUTH);
	sign(&w, w.key, "alice", -31, "");
	CHECK_INT(look(&w), ERR_AUTH);
	sign(&w, w.key, "alice", 100000, "");
	CHECK_INT(look(&w), ERR_AUTH);
	sign(&w, w.key, "", 300, "");
	CHECK_INT(look(&w), ERR_AUTH);
	/* Switched off, and by rules for somebody else. */
	sign(&w, w.key, "alice", 300, "");
	CHECK_INT(look(&w), OK);
	w.options.oidc.audience = SPAN_LIT("other");
	load(&w);
	CHECK_INT(look(&w), ERR_AUTH);
	w.options.oidc.enabled = false;
	load(&w);
	CHECK_INT(look(&w), ERR_AUTH);
	issuer_key_free(&other);
	world_fini(&w);
}

TEST(without_a_ring_no_fetched_key_exists)
{
	struct world w;
	struct key_source_state state;

	world_init(&w);
	w.options.oidc.public_key_path = SPAN_NONE;
	load(&w);
	sign(&w, w.key, "alice", 300, "");
	CHECK_INT(look(&w), ERR_AUTH);
	CHECK(!identity_get_key_state(w.snapshot.identities, &state));
	world_fini(&w);
}

TEST(a_key_file_that_is_none_is_an_error)
{
	struct errinfo ei;
	struct world w;

	world_init(&w);
	FILE *file = fopen(w.path, "wb");
	MUST(file != NULL && fputs("{\"keys\":[]}", file) >= 0 && fclose(file) == 0);
	identity_table_free(&w.snapshot.identities);
	MUST(identity_table_new(&w.options, NULL, &w.snapshot.identities, NULL) == OK);
	CHECK_INT(
		identity_open_tokens(w.snapshot.identities, &w.options.oidc, NULL, &ei), ERR_PARSE);
	world_fini(&w);
}

static enum err
sign_in(struct world *w, char cookie[SESSION_TOKEN_BYTES + 1])
{
	struct session s;
	enum err rc =
		session_open(w->sessions, &w->snapshot, buf_span(&w->token), SPAN_NONE, cookie, &s);

	caller_drop(&s.caller);
	return rc;
}

static enum err
use(struct world *w, const char *cookie)
{
	struct session s;
	enum err rc = session_find(w->sessions, &w->snapshot, span_cstr(cookie), SPAN_NONE, &s);

	CHECK_INT(s.caller.principal.n > 0, rc == OK);
	caller_drop(&s.caller);
	return rc;
}

TEST(a_session_of_a_token_ends_with_it)
{
	char cookie[SESSION_TOKEN_BYTES + 1];
	struct world w;

	world_init(&w);
	sign(&w, w.key, "alice", 300, "");
	CHECK_INT(sign_in(&w, cookie), OK);
	clock_fake_advance(299 * NS_PER_SEC);
	CHECK_INT(use(&w, cookie), OK);
	clock_fake_advance(NS_PER_SEC);
	CHECK_INT(use(&w, cookie), ERR_AUTH);
	/* Within the leeway it is still accepted, and begins no session. */
	CHECK_INT(look(&w), OK);
	CHECK_INT(sign_in(&w, cookie), ERR_AUTH);
	world_fini(&w);
}

TEST(a_session_of_a_token_has_its_groups)
{
	char cookie[SESSION_TOKEN_BYTES + 1];
	struct session s;
	struct world w;

	world_init(&w);
	sign(&w, w.key, "dave", 300, "");
	CHECK_INT(sign_in(&w, cookie), ERR_FORBIDDEN);
	sign(&w, w.key, "dave", 300, ",\"groups\":[\"staff\"]");
	CHECK_INT(sign_in(&w, cookie), OK);
	CHECK_INT(session_find(w.sessions, &w.snapshot, span_cstr(cookie), SPAN_NONE, &s), OK);
	CHECK_SPAN(s.caller.principal, "oidc:dave");
	CHECK_INT(s.caller.n_groups, 1);
	CHECK(caller_has_role(&s.caller, ROLE_VIEWER));
	caller_drop(&s.caller);
	/* The role of its group is gone. */
	w.options.oidc.roles.n = 1;
	load(&w);
	CHECK_INT(use(&w, cookie), ERR_AUTH);
	world_fini(&w);
}

TEST(a_session_ends_with_the_key_and_the_rules)
{
	struct issuer_key *next = issuer_key_new("P-256", 0);
	char cookie[SESSION_TOKEN_BYTES + 1];
	struct world w;

	world_init(&w);
	sign(&w, w.key, "alice", 300, "");
	CHECK_INT(sign_in(&w, cookie), OK);
	load(&w);
	CHECK_INT(use(&w, cookie), OK);
	write_key(&w, next);
	load(&w);
	CHECK_INT(use(&w, cookie), ERR_AUTH);
	write_key(&w, w.key);
	load(&w);
	CHECK_INT(sign_in(&w, cookie), OK);
	w.options.oidc.principal_prefix = SPAN_NONE;
	load(&w);
	CHECK_INT(use(&w, cookie), ERR_AUTH);
	issuer_key_free(&next);
	world_fini(&w);
}

/* One limit for a person, however many tokens there are. */
TEST(sessions_of_a_person_are_bounded)
{
	char first[SESSION_TOKEN_BYTES + 1];
	char cookie[SESSION_TOKEN_BYTES + 1];
	struct world w;

	world_init(&w);
	for (int i = 0; i <= SESSIONS_PER_KEY_MAX; i++) {
		sign(&w, w.key, "alice", 300 + i, "");
		CHECK_INT(sign_in(&w, i == 0 ? first : cookie), OK);
		clock_fake_advance(NS_PER_MS);
	}
	CHECK_INT(use(&w, cookie), OK);
	CHECK_INT(use(&w, first), ERR_AUTH);
	session_close(w.sessions, span_cstr(cookie));
	CHECK_INT(use(&w, cookie), ERR_AUTH);
	world_fini(&w);
}

SUITE("tokens", TEST_ROW(a_token_names_principal_groups_and_roles),
	TEST_ROW(an_api_key_comes_first_and_has_no_groups),
	TEST_ROW(a_remembered_token_ends_when_it_ends),
	TEST_ROW(a_token_that_was_too_early_is_taken_later), TEST_ROW(tokens_that_are_refused),
	TEST_ROW(without_a_ring_no_fetched_key_exists),
	TEST_ROW(a_key_file_that_is_none_is_an_error), TEST_ROW(a_session_of_a_token_ends_with_it),
	TEST_ROW(a_session_of_a_token_has_its_groups),
	TEST_ROW(a_session_ends_with_the_key_and_the_rules),
	TEST_ROW(sessions_of_a_person_are_bounded))
