/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Credentials: the corpus of who gets in as whom, the published vector, roles, and that secrets leave nothing behind. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "identity/identity_table.h"
#include "support/cases.h"
#include "support/signing.h"
#include "support/test.h"

#define BODY "{\"a\":1}"
#define ROBOT_KEY "nk_ci1_s3cret"

struct identity_fixture {
	struct config_pair api_keys[1];
	struct config_pair services[1];
	struct config_pair agents[2];
	struct identity_key_section hashed[1];
	char hash[sizeof("sha256:") + SHA256_HEX];
	struct span alices[1];
	struct config_entry pairs[1];
	struct span operators[1];
	struct config_entry roles[1];
	struct identity_section options;
	struct identity_table *table;
};

static void
identity_options(struct identity_fixture *f)
{
	memset(f, 0, sizeof(*f));
	MUST(hash_init(NULL) == OK);
	f->api_keys[0] = (struct config_pair){SPAN_LIT("key-of-alice"), SPAN_LIT("alice")};
	f->services[0] = (struct config_pair){SPAN_LIT("svc"), SPAN_LIT("service-secret")};
	f->agents[0] = (struct config_pair){SPAN_LIT("bot"), SPAN_LIT("agent-secret")};
	f->agents[1] = (struct config_pair){SPAN_LIT("other"), SPAN_LIT("other-secret")};
	memcpy(f->hash, "sha256:", 7);
	hash_sha256_hex(SPAN_LIT(ROBOT_KEY), f->hash + 7);
	f->hashed[0] = (struct identity_key_section){
		.id = SPAN_LIT("ci1"), .principal = SPAN_LIT("robot"), .hash = span_cstr(f->hash)};
	f->alices[0] = SPAN_LIT("bot");
	f->pairs[0] = (struct config_entry){SPAN_LIT("alice"), {f->alices, 1}};
	f->options = (struct identity_section){
		.environment = SPAN_LIT("dev"),
		SIGNING_DEFAULTS,
		.api_keys = {f->api_keys, 1},
		.hashed_keys = {f->hashed, 1},
		.service_secrets = {f->services, 1},
		.agent_secrets = {f->agents, 2},
		.principal_agents = {f->pairs, 1},
	};
}

static void
identity_fixture_init(struct identity_fixture *f)
{
	identity_options(f);
	MUST(identity_table_new(&f->options, NULL, &f->table, NULL) == OK);
}

static struct span
sign(struct span word, const char *secret, char hex[SHA256_HEX + 1])
{
	bool is_other = span_eq_cstr(word, "other");
	struct span body = span_eq_cstr(word, "body") ? SPAN_LIT("{\"a\":2}") : SPAN_LIT(BODY);
	uint8_t mac[SHA256_BYTES];

	if (word.n == 0)
		return SPAN_NONE;
	hash_hmac_sha256(is_other ? SPAN_LIT("other-secret") : span_cstr(secret), body, mac);
	hash_hex(mac, sizeof(mac), hex);
	if (span_eq_cstr(word, "upper"))
		for (char *c = hex; *c != '\0'; c++)
			*c = *c >= 'a' && *c <= 'f' ? (char)(*c - 'a' + 'A') : *c;
	return span_of(hex, SHA256_HEX);
}

static void
check_row(const struct cases_row *row, void *arg)
{
	const struct identity_fixture *f = arg;
	char service_hex[SHA256_HEX + 1];
	char agent_hex[SHA256_HEX + 1];
	char got[ERRINFO_MAX];
	struct identity who;
	struct caller by;
	const char *why;
	struct errinfo ei;
	struct req_credentials c = {
		.authorization = row->field[1],
		.service_id = row->field[2],
		.service_signature = sign(row->field[3], "service-secret", service_hex),
		.agent_id = row->field[4],
		.agent_signature = sign(row->field[5], "agent-secret", agent_hex),
	};
	enum err rc =
		identity_authenticate(f->table, NULL, &c, SPAN_LIT(BODY), &who, &by, &why, &ei);

	if (rc == OK)
		snprintf(got, sizeof(got), "%.*s/%.*s", SPAN_ARG(who.principal),
			SPAN_ARG(who.agent));
	else
		snprintf(got, sizeof(got), "%s", ei.msg);
	if (!span_eq_cstr(row->field[6], got))
		FAIL("%s:%d: %.*s: %s", row->file, row->line, SPAN_ARG(row->field[0]), got);
	if (rc != OK && (rc != ERR_AUTH || who.principal.n + who.agent.n + who.environment.n != 0))
		FAIL("%s:%d: a refusal leaves an identity", row->file, row->line);
	if (rc == OK && !span_eq_cstr(who.environment, "dev"))
		FAIL("%s:%d: environment", row->file, row->line);
}

TEST(corpus)
{
	struct identity_fixture f;

	identity_fixture_init(&f);
	CHECK(cases_each("identity/authenticate.cases", check_row, &f) > 30);
	identity_table_free(&f.table);
}

/* nomos-http.md 11. */
TEST(published_vector)
{
	static const char body[] =
		"{\"schema_version\":\"v1\",\"action_id\":\"a1\",\"action_type\":\"fs.read\","
		"\"resource\":\"file://workspace/README.md\",\"params\":{},\"trace_id\":\"t1\","
		"\"context\":{\"extensions\":{}}}";
	struct identity_fixture f;
	struct identity who;
	struct caller by;
	const char *why;
	struct req_credentials c = {
		.authorization = SPAN_LIT("Bearer key-of-alice"),
		.agent_id = SPAN_LIT("bot"),
		.agent_signature = SPAN_LIT(
			"10e13d68c5164d40006adfbfa58cf293d59cbaf78006245fdd2ff0a8add691c9"),
	};

	identity_fixture_init(&f);
	CHECK_INT(sizeof(body) - 1, 160);
	CHECK_INT(identity_authenticate(f.table, NULL, &c, SPAN_LIT(body), &who, &by, &why, NULL),
		OK);
	identity_table_free(&f.table);
}

TEST(an_environment_is_required)
{
	struct identity_fixture f;
	struct identity who;
	struct caller by;
	const char *why;
	struct errinfo ei;
	char hex[SHA256_HEX + 1];
	struct req_credentials c = {.authorization = SPAN_LIT("Bearer key-of-alice"),
		.agent_id = SPAN_LIT("bot"),
		.agent_signature = sign(SPAN_LIT("ok"), "agent-secret", hex)};

	identity_options(&f);
	f.options.environment = SPAN_NONE;
	CHECK_INT(identity_table_new(&f.options, NULL, &f.table, NULL), OK);
	CHECK_INT(identity_authenticate(f.table, NULL, &c, SPAN_LIT(BODY), &who, &by, &why, &ei),
		ERR_AUTH);
	CHECK_STR(ei.msg, "environment is required");
	identity_table_free(&f.table);
}

TEST(roles_without_configuration)
{
	struct identity_fixture f;

	identity_fixture_init(&f);
	CHECK(!identity_has_role(f.table, SPAN_LIT("alice"), ROLE_NOBODY));
	CHECK(identity_has_role(f.table, SPAN_LIT("alice"), ROLE_ANYONE));
	CHECK(identity_has_role(f.table, SPAN_LIT("alice"), ROLE_VIEWER));
	CHECK(!identity_has_role(f.table, SPAN_LIT("alice"), ROLE_APPROVER));
	CHECK(!identity_has_role(f.table, SPAN_LIT("alice"), ROLE_OPERATOR));
	CHECK(!identity_has_role(f.table, SPAN_NONE, ROLE_ANYONE));
	identity_table_free(&f.table);
}

TEST(roles_as_configured)
{
	struct identity_fixture f;

	identity_options(&f);
	f.operators[0] = SPAN_LIT("root");
	f.roles[0] = (struct config_entry){SPAN_LIT("operator"), {f.operators, 1}};
	f.options.roles = (struct config_map_strings){f.roles, 1};
	CHECK_INT(identity_table_new(&f.options, NULL, &f.table, NULL), OK);
	CHECK(identity_has_role(f.table, SPAN_LIT("root"), ROLE_OPERATOR));
	CHECK(identity_has_role(f.table, SPAN_LIT("root"), ROLE_VIEWER));
	CHECK(!identity_has_role(f.table, SPAN_LIT("root"), ROLE_APPROVER));
	CHECK(!identity_has_role(f.table, SPAN_LIT("alice"), ROLE_VIEWER));
	CHECK(!identity_has_role(f.table, SPAN_LIT("ROOT"), ROLE_OPERATOR));
	identity_table_free(&f.table);
	f.roles[0].key = SPAN_LIT("admin");
	CHECK_INT(identity_table_new(&f.options, NULL, &f.table, NULL), ERR_INVALID);
}

static enum err
find_robot(const struct identity_fixture *f, const char *address, struct caller *caller)
{
	struct req_credentials c = {.authorization = SPAN_LIT("Bearer " ROBOT_KEY),
		.client_address = span_cstr(address)};

	return identity_find_caller(f->table, &c, caller);
}

static void
reload(struct identity_fixture *f)
{
	identity_table_free(&f->table);
	CHECK_INT(identity_table_new(&f->options, NULL, &f->table, NULL), OK);
}

TEST(a_key_is_known_until_it_expires)
{
	struct identity_fixture f;
	struct caller caller;
	int64_t end = 0;

	identity_options(&f);
	f.hashed[0].expires = SPAN_LIT("2026-11-21T12:00:00+02:00");
	CHECK_INT(clock_parse(SPAN_LIT("2026-11-21T10:00:00Z"), &end, NULL), OK);
	reload(&f);
	clock_fake_set(0, end - 1);
	CHECK_INT(find_robot(&f, "10.0.0.1", &caller), OK);
	CHECK_SPAN(caller.principal, "robot");
	clock_fake_advance(1);
	CHECK_INT(find_robot(&f, "10.0.0.1", &caller), ERR_AUTH);
	CHECK_INT(caller.principal.n, 0);
	CHECK_INT(caller.roles, 0);
	clock_fake_off();
	identity_table_free(&f.table);
	f.hashed[0].expires = SPAN_LIT("tomorrow");
	CHECK_INT(identity_table_new(&f.options, NULL, &f.table, NULL), ERR_INVALID);
}

TEST(a_key_is_known_from_its_networks)
{
	static const char *const good[] = {"10.1.2.3", "::ffff:10.1.2.3", "2001:db8::7"};
	static const char *const bad[] = {
		"11.1.2.3", "2001:db9::7", "", "localhost", "10.1.2.3:80"};
	const struct span networks[] = {SPAN_LIT("10.0.0.0/8"), SPAN_LIT("2001:db8::/32")};
	struct identity_fixture f;
	struct caller caller;

	identity_options(&f);
	f.hashed[0].networks = (struct config_strings){networks, ARRAY_LEN(networks)};
	reload(&f);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK_INT(find_robot(&f, good[i], &caller), OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(find_robot(&f, bad[i], &caller), ERR_AUTH);
	identity_table_free(&f.table);
}

TEST(roles_of_a_key_only_narrow)
{
	const struct span wanted[] = {SPAN_LIT("approver"), SPAN_LIT("operator")};
	struct identity_fixture f;
	struct caller caller;
	struct span robot = SPAN_LIT("robot");
	struct config_entry roles[] = {{SPAN_LIT("operator"), {&robot, 1}}};

	identity_options(&f);
	f.options.roles = (struct config_map_strings){roles, 1};
	reload(&f);
	CHECK_INT(find_robot(&f, "", &caller), OK);
	CHECK(caller_has_role(&caller, ROLE_OPERATOR) && caller_has_role(&caller, ROLE_VIEWER));
	/* It names a role that its principal has not, and not the one it has. */
	f.hashed[0].roles = (struct config_strings){wanted, 1};
	reload(&f);
	CHECK_INT(find_robot(&f, "", &caller), OK);
	CHECK(caller_has_role(&caller, ROLE_ANYONE) && caller_has_role(&caller, ROLE_VIEWER));
	CHECK(!caller_has_role(&caller, ROLE_APPROVER) && !caller_has_role(&caller, ROLE_OPERATOR));
	f.hashed[0].roles = (struct config_strings){wanted, 2};
	reload(&f);
	CHECK_INT(find_robot(&f, "", &caller), OK);
	CHECK(caller_has_role(&caller, ROLE_OPERATOR) && !caller_has_role(&caller, ROLE_APPROVER));
	identity_table_free(&f.table);
}

TEST(agents_of_a_key_only_narrow)
{
	const struct span agents[] = {SPAN_LIT("other")};
	struct identity_fixture f;
	struct identity who;
	struct caller by;
	const char *why;
	char hex[SHA256_HEX + 1];
	struct req_credentials c = {.authorization = SPAN_LIT("Bearer " ROBOT_KEY),
		.agent_id = SPAN_LIT("bot"),
		.agent_signature = sign(SPAN_LIT("ok"), "agent-secret", hex)};

	identity_options(&f);
	reload(&f);
	CHECK_INT(identity_authenticate(f.table, NULL, &c, SPAN_LIT(BODY), &who, &by, &why, NULL),
		OK);
	f.hashed[0].agents = (struct config_strings){agents, 1};
	reload(&f);
	CHECK_INT(identity_authenticate(f.table, NULL, &c, SPAN_LIT(BODY), &who, &by, &why, NULL),
		ERR_AUTH);
	CHECK_INT(identity_find_reader(f.table, NULL, &c, &who, &by), ERR_AUTH);
	c.agent_id = SPAN_LIT("other");
	c.agent_signature = sign(SPAN_LIT("other"), "", hex);
	CHECK_INT(identity_authenticate(f.table, NULL, &c, SPAN_LIT(BODY), &who, &by, &why, NULL),
		OK);
	CHECK_INT(identity_find_reader(f.table, NULL, &c, &who, &by), OK);
	identity_table_free(&f.table);
}

TEST(forms_of_hashed_keys)
{
	uint8_t hash[SHA256_BYTES];
	char text[sizeof("sha256:") + SHA256_HEX];

	CHECK(identity_key_id_is_valid(SPAN_LIT("aZ09")));
	CHECK(!identity_key_id_is_valid(SPAN_LIT("")));
	CHECK(!identity_key_id_is_valid(SPAN_LIT("a_b")));
	snprintf(text, sizeof(text), "sha256:%064d", 0);
	CHECK(identity_key_hash_parse(span_cstr(text), hash));
	CHECK(!identity_key_hash_parse(span_of(text, strlen(text) - 1), hash));
	text[10] = 'A';
	CHECK(!identity_key_hash_parse(span_cstr(text), hash));
	CHECK(!identity_key_hash_parse(SPAN_LIT("md5:00"), hash));
}

TEST(memory_that_runs_out_leaves_nothing)
{
	struct identity_fixture f;
	enum err rc = ERR_NOMEM;
	long live;

	identity_options(&f);
	live = mem_live();
	for (unsigned long n = 1; rc != OK && n < 1000; n++) {
		mem_fail_at(n);
		rc = identity_table_new(&f.options, NULL, &f.table, NULL);
		mem_fail_at(0);
		CHECK(rc == OK || (rc == ERR_NOMEM && f.table == NULL && mem_live() == live));
	}
	CHECK_INT(rc, OK);
	identity_table_free(&f.table);
	CHECK_INT(mem_live(), live);
}

SUITE("identity", TEST_ROW(corpus), TEST_ROW(published_vector),
	TEST_ROW(an_environment_is_required), TEST_ROW(roles_without_configuration),
	TEST_ROW(roles_as_configured), TEST_ROW(a_key_is_known_until_it_expires),
	TEST_ROW(a_key_is_known_from_its_networks), TEST_ROW(roles_of_a_key_only_narrow),
	TEST_ROW(agents_of_a_key_only_narrow), TEST_ROW(forms_of_hashed_keys),
	TEST_ROW(memory_that_runs_out_leaves_nothing))
