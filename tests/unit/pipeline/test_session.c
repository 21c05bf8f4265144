/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Sessions of the operator page: how they begin, how they end, and that the table stays within its bounds. */
#include "pipeline/session.h"

#include <stdio.h>

#include "base/must.h"
#include "identity/identity_table.h"
#include "snapshot_parts.h"
#include "support/test.h"

#define START_NS (1000 * NS_PER_SEC)

struct world {
	struct session_table *table;
	struct snapshot snapshot;
	struct config_pair keys[SESSIONS_MAX / SESSIONS_PER_KEY_MAX + 2];
	char key_texts[SESSIONS_MAX / SESSIONS_PER_KEY_MAX + 2][16];
	struct identity_key_section hashed[1];
	char hash[7 + SHA256_HEX + 1];
	struct span viewers[2];
	struct span operators[1];
	struct config_entry roles[2];
	struct identity_section options;
};

static void
load(struct world *w)
{
	identity_table_free(&w->snapshot.identities);
	MUST(identity_table_new(&w->options, NULL, &w->snapshot.identities, NULL) == OK);
}

static void
world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	clock_fake_set(START_NS, START_NS);
	w->table = session_table_new();
	MUST(w->table != NULL);
	for (size_t i = 0; i < ARRAY_LEN(w->keys); i++) {
		snprintf(w->key_texts[i], sizeof(w->key_texts[i]), "key-%zu", i);
		w->keys[i] = (struct config_pair){span_cstr(w->key_texts[i]), SPAN_LIT("alice")};
	}
	w->keys[1].value = SPAN_LIT("nobody");
	memcpy(w->hash, "sha256:", 7);
	hash_sha256_hex(SPAN_LIT("nk_ops_0123"), w->hash + 7);
	w->hashed[0] = (struct identity_key_section){
		.id = SPAN_LIT("ops"), .principal = SPAN_LIT("olga"), .hash = span_cstr(w->hash)};
	w->viewers[0] = SPAN_LIT("alice");
	w->viewers[1] = SPAN_LIT("olga");
	w->operators[0] = SPAN_LIT("olga");
	w->roles[0] = (struct config_entry){SPAN_LIT("viewer"), {w->viewers, 2}};
	w->roles[1] = (struct config_entry){SPAN_LIT("operator"), {w->operators, 1}};
	w->options = (struct identity_section){
		.environment = SPAN_LIT("dev"),
		.api_keys = {w->keys, ARRAY_LEN(w->keys)},
		.hashed_keys = {w->hashed, 1},
		.roles = {w->roles, 2},
	};
	load(w);
}

static void
world_fini(struct world *w)
{
	session_table_free(&w->table);
	identity_table_free(&w->snapshot.identities);
	clock_fake_off();
}

static enum err
sign_in(struct world *w, const char *key, char token[SESSION_TOKEN_BYTES + 1], struct session *s)
{
	return session_open(w->table, &w->snapshot, span_cstr(key), SPAN_LIT("10.0.0.1"), token, s);
}

static enum err
look(struct world *w, const char *token)
{
	struct session s;
	enum err rc =
		session_find(w->table, &w->snapshot, span_cstr(token), SPAN_LIT("10.0.0.1"), &s);

	CHECK_INT(s.caller.principal.n > 0, rc == OK);
	return rc;
}

TEST(a_key_opens_a_session_and_closing_ends_it)
{
	struct world w;
	struct session s;
	struct session again;
	char token[SESSION_TOKEN_BYTES + 1];
	char other[SESSION_TOKEN_BYTES + 1];

	world_init(&w);
	CHECK_INT(sign_in(&w, "nk_ops_0123", token, &s), OK);
	CHECK_SPAN(s.caller.principal, "olga");
	CHECK_INT(s.expires_wall_ns, START_NS + SESSION_LIFE_NS);
	CHECK_INT(
		session_find(w.table, &w.snapshot, span_cstr(token), SPAN_LIT("10.0.0.1"), &again),
		OK);
	CHECK_STR(again.csrf, s.csrf);
	CHECK_INT(sign_in(&w, "key-0", other, &again), OK);
	CHECK(strcmp(token, other) != 0 && strcmp(s.csrf, again.csrf) != 0);
	session_close(w.table, span_cstr(token));
	CHECK_INT(look(&w, token), ERR_AUTH);
	CHECK_INT(look(&w, other), OK);
	world_fini(&w);
}

TEST(no_key_and_no_role_open_nothing)
{
	struct world w;
	struct session s;
	char token[SESSION_TOKEN_BYTES + 1] = "stale";

	world_init(&w);
	CHECK_INT(sign_in(&w, "key-0x", token, &s), ERR_AUTH);
	CHECK_STR(token, "");
	CHECK_INT(sign_in(&w, "", token, &s), ERR_AUTH);
	CHECK_INT(sign_in(&w, "nk_ops_0124", token, &s), ERR_AUTH);
	CHECK_INT(sign_in(&w, "nk_ops_", token, &s), ERR_AUTH);
	CHECK_INT(sign_in(&w, "key-1", token, &s), ERR_FORBIDDEN);
	CHECK_INT(look(&w, ""), ERR_AUTH);
	/* What a row that never was used would match. */
	CHECK_INT(look(&w, "0000000000000000000000000000000000000000000000000000000000000000"),
		ERR_AUTH);
	world_fini(&w);
}

TEST(a_session_ends_when_it_is_idle)
{
	struct world w;
	struct session s;
	char token[SESSION_TOKEN_BYTES + 1];

	world_init(&w);
	CHECK_INT(sign_in(&w, "key-0", token, &s), OK);
	clock_fake_advance(SESSION_IDLE_NS - 1);
	CHECK_INT(look(&w, token), OK);
	clock_fake_advance(SESSION_IDLE_NS - 1);
	CHECK_INT(look(&w, token), OK);
	clock_fake_advance(SESSION_IDLE_NS);
	CHECK_INT(look(&w, token), ERR_AUTH);
	/* It does not come back. */
	clock_fake_set(START_NS, START_NS);
	CHECK_INT(look(&w, token), ERR_AUTH);
	world_fini(&w);
}

TEST(a_session_ends_after_its_life_by_either_clock)
{
	struct world w;
	struct session s;
	char token[SESSION_TOKEN_BYTES + 1];

	world_init(&w);
	CHECK_INT(sign_in(&w, "key-0", token, &s), OK);
	for (int64_t t = 0; t < SESSION_LIFE_NS - SESSION_IDLE_NS; t += SESSION_IDLE_NS / 2) {
		clock_fake_set(START_NS + t, START_NS + t);
		CHECK_INT(look(&w, token), OK);
	}
	clock_fake_set(START_NS + SESSION_LIFE_NS, START_NS);
	CHECK_INT(look(&w, token), ERR_AUTH);
	clock_fake_set(START_NS, START_NS);
	CHECK_INT(sign_in(&w, "key-0", token, &s), OK);
	/* The machine slept: the monotonic clock did not go on. */
	clock_fake_set(START_NS, START_NS + SESSION_LIFE_NS);
	CHECK_INT(look(&w, token), ERR_AUTH);
	world_fini(&w);
}

TEST(a_session_dies_with_its_key)
{
	struct world w;
	struct session s;
	char token[SESSION_TOKEN_BYTES + 1];
	char hashed[SESSION_TOKEN_BYTES + 1];

	world_init(&w);
	CHECK_INT(sign_in(&w, "key-0", token, &s), OK);
	CHECK_INT(sign_in(&w, "nk_ops_0123", hashed, &s), OK);
	load(&w);
	CHECK_INT(look(&w, token), OK);
	CHECK_INT(look(&w, hashed), OK);
	w.keys[0].key = SPAN_LIT("another");
	hash_sha256_hex(SPAN_LIT("nk_ops_4567"), w.hash + 7);
	load(&w);
	CHECK_INT(look(&w, token), ERR_AUTH);
	CHECK_INT(look(&w, hashed), ERR_AUTH);
	/* Nor when the key comes back. */
	w.keys[0].key = span_cstr(w.key_texts[0]);
	load(&w);
	CHECK_INT(look(&w, token), ERR_AUTH);
	world_fini(&w);
}

TEST(a_session_dies_with_a_role)
{
	struct world w;
	struct session s;
	char token[SESSION_TOKEN_BYTES + 1];
	char viewer[SESSION_TOKEN_BYTES + 1];

	world_init(&w);
	CHECK_INT(sign_in(&w, "nk_ops_0123", token, &s), OK);
	CHECK_INT(sign_in(&w, "key-0", viewer, &s), OK);
	w.options.roles.n = 1; /* nobody operates; both may still view */
	load(&w);
	CHECK_INT(look(&w, token), ERR_AUTH);
	CHECK_INT(look(&w, viewer), OK);
	world_fini(&w);
}

TEST(the_key_and_the_table_have_their_limits)
{
	struct world w;
	struct session s;
	char first[SESSION_TOKEN_BYTES + 1];
	char second[SESSION_TOKEN_BYTES + 1];
	char token[SESSION_TOKEN_BYTES + 1];

	world_init(&w);
	CHECK_INT(sign_in(&w, "key-0", first, &s), OK);
	clock_fake_advance(1);
	CHECK_INT(sign_in(&w, "key-0", second, &s), OK);
	for (int i = 2; i < SESSIONS_PER_KEY_MAX; i++) {
		clock_fake_advance(1);
		CHECK_INT(sign_in(&w, "key-0", token, &s), OK);
	}
	CHECK_INT(look(&w, first), OK); /* used last, now */
	clock_fake_advance(1);
	CHECK_INT(sign_in(&w, "key-0", token, &s), OK);
	CHECK_INT(look(&w, second), ERR_AUTH);
	CHECK_INT(look(&w, first), OK);
	CHECK_INT(look(&w, token), OK);
	/* The rest of the table, and one more. */
	for (size_t i = SESSIONS_PER_KEY_MAX; i < SESSIONS_MAX; i++) {
		clock_fake_advance(1);
		CHECK_INT(look(&w, first), OK);
		CHECK_INT(look(&w, token), OK);
		CHECK_INT(sign_in(&w, w.key_texts[1 + i / SESSIONS_PER_KEY_MAX], second, &s), OK);
	}
	clock_fake_advance(1);
	CHECK_INT(look(&w, first), OK);
	clock_fake_advance(1);
	CHECK_INT(sign_in(&w, w.key_texts[ARRAY_LEN(w.keys) - 1], second, &s), OK);
	CHECK_INT(look(&w, second), OK);
	CHECK_INT(look(&w, first), OK);
	world_fini(&w);
}

TEST(failures_of_an_address_run_out_and_come_back)
{
	struct world w;
	uint32_t wait_s = 0;
	size_t n = 0;

	world_init(&w);
	while (n < 1000 && session_note_failure(w.table, SPAN_LIT("192.0.2.1"), &wait_s))
		n++;
	CHECK_INT(n, 10);
	CHECK(wait_s >= 1 && wait_s <= 7);
	clock_fake_advance((int64_t)wait_s * NS_PER_SEC);
	CHECK(session_note_failure(w.table, SPAN_LIT("192.0.2.1"), &wait_s));
	CHECK(!session_note_failure(w.table, SPAN_LIT("192.0.2.1"), &wait_s));
	world_fini(&w);
}

SUITE("session", TEST_ROW(a_key_opens_a_session_and_closing_ends_it),
	TEST_ROW(no_key_and_no_role_open_nothing), TEST_ROW(a_session_ends_when_it_is_idle),
	TEST_ROW(a_session_ends_after_its_life_by_either_clock),
	TEST_ROW(a_session_dies_with_its_key), TEST_ROW(a_session_dies_with_a_role),
	TEST_ROW(the_key_and_the_table_have_their_limits),
	TEST_ROW(failures_of_an_address_run_out_and_come_back))
