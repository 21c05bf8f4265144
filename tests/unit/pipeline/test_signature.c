/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Request signatures: the published vectors, what they cover, which versions count, secrets that are being replaced, and that a
 * good one counts once. Another implementation made the vectors.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "identity/identity_table.h"
#include "pipeline/signed_form.h"
#include "support/cases.h"
#include "support/signing.h"
#include "support/test.h"

#define NOW_S INT64_C(1700000000)
#define BODY "{\"a\":1}"
#define NONCE "bm9uY2Utbm9uY2Ut"
#define PUBLIC_KEY                                                                                 \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"                           \
	"-----END PUBLIC KEY-----\n"
/* Of another key. */
#define OTHER_KEY                                                                                  \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n"                           \
	"-----END PUBLIC KEY-----\n"
#define FROM_ALICE "Bearer key-of-alice"
#define FAILED "agent authentication failed"

struct world {
	struct config_pair api_keys[1];
	struct config_pair secrets[4];
	struct config_pair keys[2];
	struct config_pair services[1];
	struct identity_section options;
	struct identity_table *table;
	struct nonce_table *nonces;
	const char *why;
};

static void
load(struct world *w)
{
	identity_table_free(&w->table);
	MUST(identity_table_new(&w->options, NULL, &w->table, NULL) == OK);
}

static void
init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	MUST(hash_init(NULL) == OK);
	clock_fake_set(NOW_S * NS_PER_SEC, NOW_S * NS_PER_SEC);
	w->nonces = nonce_table_new();
	MUST(w->nonces != NULL);
	w->api_keys[0] = (struct config_pair){SPAN_LIT("key-of-alice"), SPAN_LIT("alice")};
	w->secrets[0] = (struct config_pair){SPAN_LIT("bot"), SPAN_LIT("agent-secret")};
	w->secrets[1] = (struct config_pair){SPAN_LIT("other"), SPAN_LIT("new-secret")};
	w->secrets[2] = (struct config_pair){SPAN_LIT("other"), SPAN_LIT("old-secret")};
	w->keys[0] = (struct config_pair){SPAN_LIT("bot"), SPAN_LIT(OTHER_KEY)};
	w->keys[1] = (struct config_pair){SPAN_LIT("bot"), SPAN_LIT(PUBLIC_KEY)};
	w->services[0] = (struct config_pair){SPAN_LIT("svc"), SPAN_LIT("service-secret")};
	w->options = (struct identity_section){
		.environment = SPAN_LIT("dev"),
		SIGNING_DEFAULTS,
		.api_keys = {w->api_keys, 1},
		.agent_secrets = {w->secrets, 3},
		.agent_public_keys = {w->keys, 2},
		.service_secrets = {w->services, 1},
	};
	load(w);
}

static void
fini(struct world *w)
{
	identity_table_free(&w->table);
	nonce_table_free(&w->nonces);
	clock_fake_off();
}

/* A POST of BODY to /action at NOW_S. */
static struct req_credentials
request(const char *agent, const char *signature)
{
	return (struct req_credentials){
		.authorization = SPAN_LIT(FROM_ALICE),
		.agent_id = span_cstr(agent),
		.agent_signature = span_cstr(signature),
		.method = SPAN_LIT("POST"),
		.target = SPAN_LIT("/action"),
		.timestamp = SPAN_LIT("1700000000"),
		.nonce = SPAN_LIT(NONCE),
	};
}

/* "v2=" and the MAC that belongs to c. */
static void
sign(const struct req_credentials *c, const char *secret, struct span body, char out[80])
{
	struct signed_form form = {
		c->method, c->target, c->timestamp, c->nonce, c->idempotency_key, {0}};
	uint8_t mac[SHA256_BYTES];

	signed_form_set_body(&form, body);
	signed_form_mac(&form, span_cstr(secret), mac);
	memcpy(out, "v2=", 3);
	hash_hex(mac, sizeof(mac), out + 3);
}

static enum err
ask(struct world *w, const struct req_credentials *c, struct span body)
{
	struct identity who;
	struct caller by;
	struct errinfo ei;
	enum err rc = identity_authenticate(w->table, w->nonces, c, body, &who, &by, &w->why, &ei);

	if (rc != OK)
		CHECK(strcmp(ei.msg, FAILED) == 0 ||
			strcmp(ei.msg, "principal authentication failed") == 0);
	CHECK_INT(who.agent.n > 0, rc == OK);
	return rc;
}

static void
check_vector(const struct cases_row *row, void *arg)
{
	struct world *w = arg;
	char header[200] = "";
	struct req_credentials c = request("bot", header);
	size_t blank = span_find(row->field[1], ' ');
	struct identity who;
	struct caller by;

	snprintf(header, sizeof(header), "%.*s", SPAN_ARG(row->field[6]));
	c.agent_signature = row->field[6];
	c.method = span_of(row->field[1].p, blank);
	c.target = span_from(row->field[1], blank + 1);
	c.timestamp = row->field[2];
	c.nonce = row->field[3];
	c.idempotency_key = row->field[5];
	nonce_table_free(&w->nonces);
	w->nonces = nonce_table_new();
	c.keeps_nonce = true;
	if (ask(w, &c, row->field[4]) != OK)
		FAIL("%s:%d: %s", row->file, row->line, w->why);
	c.keeps_nonce = false;
	if (row->field[4].n == 0 && identity_find_reader(w->table, w->nonces, &c, &who, &by) != OK)
		FAIL("%s:%d: not for reading", row->file, row->line);
	/* A request that is not quite the same. */
	c.target = SPAN_LIT("/run");
	if (ask(w, &c, row->field[4]) != ERR_AUTH)
		FAIL("%s:%d: of another target", row->file, row->line);
}

TEST(published_vectors)
{
	struct world w;

	init(&w);
	CHECK_INT(cases_each("identity/vectors.cases", check_vector, &w), 8);
	fini(&w);
}

TEST(everything_around_the_body_is_covered)
{
	struct world w;
	char header[80] = "";
	struct req_credentials good = request("bot", header);
	struct span *const members[] = {&good.method, &good.target, &good.timestamp, &good.nonce,
		&good.idempotency_key, &good.agent_id};
	const struct span others[] = {SPAN_LIT("PUT"), SPAN_LIT("/action?"), SPAN_LIT("1700000001"),
		SPAN_LIT("bm9uY2Utbm9uY2UT"), SPAN_LIT("k"), SPAN_LIT("other")};

	init(&w);
	sign(&good, "agent-secret", SPAN_LIT(BODY), header);
	good.agent_signature = span_cstr(header);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		struct span was = *members[i];

		*members[i] = others[i];
		CHECK_INT(ask(&w, &good, SPAN_LIT(BODY)), ERR_AUTH);
		*members[i] = was;
	}
	CHECK_INT(ask(&w, &good, SPAN_LIT("{\"a\":1} ")), ERR_AUTH);
	/* None of them used the nonce up. */
	CHECK_INT(nonce_table_count(w.nonces), 0);
	CHECK_INT(ask(&w, &good, SPAN_LIT(BODY)), OK);
	fini(&w);
}

TEST(a_good_one_counts_once)
{
	struct world w;
	char header[80] = "";
	char others[80] = "";
	struct req_credentials c = request("bot", header);
	struct req_credentials of_other = request("other", others);

	init(&w);
	sign(&c, "agent-secret", SPAN_LIT(BODY), header);
	c.agent_signature = span_cstr(header);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), OK);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	CHECK_STR(w.why, "the nonce was used before");
	/* The same request goes on, after a wait. */
	c.keeps_nonce = true;
	clock_fake_advance(1000 * NS_PER_SEC);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), OK);
	clock_fake_advance(-1000 * NS_PER_SEC);
	/* Another agent may use the same nonce, once. */
	sign(&of_other, "old-secret", SPAN_LIT(BODY), others);
	of_other.agent_signature = span_cstr(others);
	CHECK_INT(ask(&w, &of_other, SPAN_LIT(BODY)), OK);
	CHECK_INT(ask(&w, &of_other, SPAN_LIT(BODY)), ERR_AUTH);
	CHECK_INT(nonce_table_count(w.nonces), 2);
	/* Under the agent's other secret it is the same nonce. */
	sign(&of_other, "new-secret", SPAN_LIT(BODY), others);
	CHECK_INT(ask(&w, &of_other, SPAN_LIT(BODY)), ERR_AUTH);
	fini(&w);
}

TEST(a_service_s_nonce_is_its_own_and_used_up_with_the_agent_s)
{
	struct world w;
	char header[80] = "";
	char services[80] = "";
	struct req_credentials c = request("bot", header);

	init(&w);
	c.authorization = SPAN_NONE;
	c.service_id = SPAN_LIT("svc");
	sign(&c, "service-secret", SPAN_LIT(BODY), services);
	c.service_signature = span_cstr(services);
	sign(&c, "wrong", SPAN_LIT(BODY), header);
	c.agent_signature = span_cstr(header);
	CHECK(identity_is_known(w.table, &c, SPAN_LIT(BODY)));
	CHECK(!identity_is_known(w.table, &c, SPAN_LIT("another")));
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	CHECK_INT(nonce_table_count(w.nonces), 0);
	sign(&c, "agent-secret", SPAN_LIT(BODY), header);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), OK);
	CHECK_INT(nonce_table_count(w.nonces), 2);
	/* Its signature is of no use beside another agent's. */
	c.agent_id = SPAN_LIT("other");
	sign(&c, "new-secret", SPAN_LIT(BODY), header);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	CHECK_STR(w.why, "the nonce was used before");
	fini(&w);
}

TEST(versions_that_are_off_do_not_count)
{
	struct world w;
	struct span only = SPAN_LIT("v2");
	char header[80] = "";
	char v1[SHA256_HEX + 1] = "";
	uint8_t mac[SHA256_BYTES];
	struct req_credentials c = request("bot", v1);

	init(&w);
	hash_hmac_sha256(SPAN_LIT("agent-secret"), SPAN_LIT(BODY), mac);
	hash_hex(mac, sizeof(mac), v1);
	c.agent_signature = span_cstr(v1);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), OK);
	CHECK_INT(identity_find_flaw(w.table, &c).n, 0);
	w.options.signature_versions = (struct config_strings){&only, 1};
	load(&w);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	CHECK_SPAN(identity_find_flaw(w.table, &c), FAILED);
	only = SPAN_LIT("v1");
	load(&w);
	sign(&c, "agent-secret", SPAN_LIT(BODY), header);
	c.agent_signature = span_cstr(header);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	CHECK_SPAN(identity_find_flaw(w.table, &c), FAILED);
	fini(&w);
}

TEST(forms_that_are_not_exactly_right)
{
	static const struct {
		const char *timestamp;
		const char *nonce;
	} wrong[] = {
		{"", NONCE},
		{"1700000000", ""},
		{"01700000000", NONCE},
		{"+1700000000", NONCE},
		{"1700000000.0", NONCE},
		{"1700000000 ", NONCE},
		{"0x6553f100", NONCE},
		{"9999999999999", NONCE},
		{"-1", NONCE},
		{"1700000000", "bm9uY2Utbm9uY2U"},
		{"1700000000", "bm9uY2Utbm9uY2U="},
		{"1700000000", "bm9uY2Utbm9uY2 t"},
		{"1700000000", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0"},
	};
	struct world w;
	char header[80] = "";
	struct req_credentials c = request("bot", header);

	init(&w);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		c.timestamp = span_cstr(wrong[i].timestamp);
		c.nonce = span_cstr(wrong[i].nonce);
		sign(&c, "agent-secret", SPAN_LIT(BODY), header);
		c.agent_signature = span_cstr(header);
		CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
		CHECK_SPAN(identity_find_flaw(w.table, &c), FAILED);
	}
	c = request("bot", header);
	sign(&c, "agent-secret", SPAN_LIT(BODY), header);
	header[3 + 5] = header[3 + 5] == 'A' ? 'B' : 'A';
	c.agent_signature = span_cstr(header);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	memcpy(header, "V2=", 3);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	c.agent_signature = SPAN_LIT("v2=");
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	c.agent_signature = SPAN_LIT("v2ed=00");
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	fini(&w);
}

/* Each kind under a signer that has only the other, and under one that nobody has. */
TEST(a_kind_that_a_signer_has_no_key_for)
{
	struct world w;
	char header[80] = "";
	char ed[200] = "";
	struct req_credentials c = request("other", ed);

	init(&w);
	memset(ed, '0', sizeof(ed));
	memcpy(ed, "v2ed=", 5);
	ed[5 + 128] = '\0';
	c.agent_signature = span_cstr(ed);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	c.agent_id = SPAN_LIT("nobody");
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	/* The key that stands in for secrets that are not there. */
	struct signed_form form = {
		c.method, c.target, c.timestamp, c.nonce, c.idempotency_key, {0}};
	char zeros[SHA256_BYTES] = {0};
	uint8_t mac[SHA256_BYTES];
	signed_form_set_body(&form, SPAN_LIT(BODY));
	signed_form_mac(&form, span_of(zeros, sizeof(zeros)), mac);
	memcpy(header, "v2=", 3);
	hash_hex(mac, sizeof(mac), header + 3);
	c.agent_signature = span_cstr(header);
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	c.agent_id = SPAN_LIT("bot");
	CHECK_INT(ask(&w, &c, SPAN_LIT(BODY)), ERR_AUTH);
	fini(&w);
}

TEST(reading_by_signature)
{
	struct world w;
	struct identity who;
	struct caller by;
	char header[80] = "";
	char services[80] = "";
	struct req_credentials c = request("bot", header);

	init(&w);
	c.method = SPAN_LIT("GET");
	c.target = SPAN_LIT("/approvals/apr_1");
	c.agent_signature = SPAN_NONE;
	CHECK_INT(identity_find_reader(w.table, w.nonces, &c, &who, &by), OK);
	/* One of version 1 says nothing; one of version 2 has to be right. */
	c.agent_signature =
		SPAN_LIT("0000000000000000000000000000000000000000000000000000000000000000");
	CHECK_INT(identity_find_reader(w.table, w.nonces, &c, &who, &by), OK);
	sign(&c, "wrong", SPAN_NONE, header);
	c.agent_signature = span_cstr(header);
	CHECK_INT(identity_find_reader(w.table, w.nonces, &c, &who, &by), ERR_AUTH);
	sign(&c, "agent-secret", SPAN_NONE, header);
	CHECK_INT(identity_find_reader(w.table, w.nonces, &c, &who, &by), OK);
	CHECK_SPAN(who.agent, "bot");
	CHECK_INT(identity_find_reader(w.table, w.nonces, &c, &who, &by), ERR_AUTH);
	/* A service proves itself, and nothing of the agent beside it. */
	c.nonce = SPAN_LIT("another-nonce-16");
	c.authorization = SPAN_NONE;
	c.service_id = SPAN_LIT("svc");
	sign(&c, "service-secret", SPAN_NONE, services);
	c.service_signature = span_cstr(services);
	c.agent_signature = SPAN_NONE;
	CHECK_INT(identity_find_reader(w.table, w.nonces, &c, &who, &by), ERR_AUTH);
	sign(&c, "agent-secret", SPAN_NONE, header);
	c.agent_signature = span_cstr(header);
	CHECK_INT(identity_find_reader(w.table, w.nonces, &c, &who, &by), OK);
	CHECK_SPAN(who.principal, "svc");
	fini(&w);
}

TEST(memory_that_runs_out_leaves_nothing)
{
	struct world w;
	enum err rc = ERR_NOMEM;
	long live;

	init(&w);
	identity_table_free(&w.table);
	live = mem_live();
	for (unsigned long n = 1; rc != OK && n < 1000; n++) {
		mem_fail_at(n);
		rc = identity_table_new(&w.options, NULL, &w.table, NULL);
		mem_fail_at(0);
		CHECK(rc == OK || (w.table == NULL && mem_live() == live));
	}
	CHECK_INT(rc, OK);
	fini(&w);
}

SUITE("signature", TEST_ROW(published_vectors), TEST_ROW(everything_around_the_body_is_covered),
	TEST_ROW(a_good_one_counts_once),
	TEST_ROW(a_service_s_nonce_is_its_own_and_used_up_with_the_agent_s),
	TEST_ROW(versions_that_are_off_do_not_count), TEST_ROW(forms_that_are_not_exactly_right),
	TEST_ROW(a_kind_that_a_signer_has_no_key_for), TEST_ROW(reading_by_signature),
	TEST_ROW(memory_that_runs_out_leaves_nothing))
