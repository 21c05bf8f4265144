/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text in the places of a signature's headers: one line each for signature, timestamp, nonce, Idempotency-Key and agent; the rest is the
 * body. Whatever is read as a signature has the form that is published; and a text becomes a good one only by the agent's
 * secret: made for this request it is taken once, and of nothing else.
 */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/must.h"
#include "identity_table.h"
#include "signature.h"
#include "support/signing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_S INT64_C(1700000000)

static struct span
take_line(struct span *rest)
{
	size_t n = span_find(*rest, '\n');
	struct span line = span_of(rest->p, n);

	*rest = span_from(*rest, n < rest->n ? n + 1 : n);
	return line;
}

static const struct identity_table *
get_table(void)
{
	static struct identity_table *table;
	static struct config_pair key = {{"key", 3}, {"alice", 5}};
	static struct config_pair agent = {{"bot", 3}, {"agent-secret", 12}};
	const struct identity_section options = {
		.environment = SPAN_LIT("dev"),
		SIGNING_DEFAULTS,
		.api_keys = {&key, 1},
		.agent_secrets = {&agent, 1},
	};

	if (table == NULL) {
		MUST(hash_init(NULL) == OK);
		clock_fake_set(NOW_S * NS_PER_SEC, NOW_S * NS_PER_SEC);
		MUST(identity_table_new(&options, NULL, &table, NULL) == OK);
	}
	return table;
}

static void
check_read(struct span text)
{
	struct signature s = signature_read(text, SIGNATURE_ALLOW_V1 | SIGNATURE_ALLOW_V2);

	MUST(signature_read(text, 0).kind == SIGNATURE_NONE);
	if (s.kind == SIGNATURE_NONE)
		return;
	MUST(s.hex.n == (s.kind == SIGNATURE_V2_ED25519 ? 128 : 64));
	for (size_t i = 0; i < s.hex.n; i++)
		MUST(strchr("0123456789abcdef", s.hex.p[i]) != NULL && s.hex.p[i] != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct identity_table *table = get_table();
	struct nonce_table *nonces = nonce_table_new();
	struct span rest = span_of((const char *)data, size);
	struct req_credentials c = {
		.authorization = SPAN_LIT("Bearer key"),
		.method = SPAN_LIT("POST"),
		.target = SPAN_LIT("/action"),
		.agent_signature = take_line(&rest),
		.timestamp = take_line(&rest),
		.nonce = take_line(&rest),
		.idempotency_key = take_line(&rest),
		.agent_id = take_line(&rest),
	};
	struct identity who;
	struct caller by;
	const char *why;
	int64_t seconds;

	MUST(nonces != NULL);
	check_read(c.agent_signature);
	(void)identity_find_flaw(table, &c);
	if (identity_find_reader(table, nonces, &c, &who, &by) == OK)
		MUST(who.principal.n > 0);
	if (identity_authenticate(table, nonces, &c, rest, &who, &by, &why, NULL) == OK)
		MUST(span_eq_cstr(who.agent, "bot"));
	if (signature_read_moment(&c, &seconds)) {
		struct signed_form form = {
			c.method, c.target, c.timestamp, c.nonce, c.idempotency_key, {0}};
		uint8_t mac[SHA256_BYTES];
		char header[3 + SHA256_HEX + 1] = "v2=";
		bool is_in_time = seconds >= NOW_S && seconds <= NOW_S + 300;

		signed_form_set_body(&form, rest);
		signed_form_mac(&form, SPAN_LIT("agent-secret"), mac);
		hash_hex(mac, sizeof(mac), header + 3);
		c.agent_id = SPAN_LIT("bot");
		c.agent_signature = span_cstr(header);
		nonce_table_free(&nonces);
		nonces = nonce_table_new();
		MUST(nonces != NULL);
		enum err rc = identity_authenticate(table, nonces, &c, rest, &who, &by, &why, NULL);
		MUST(rc == (is_in_time ? OK : ERR_AUTH));
		MUST(identity_authenticate(table, nonces, &c, rest, &who, &by, &why, NULL) ==
			ERR_AUTH);
	}
	nonce_table_free(&nonces);
	return 0;
}
