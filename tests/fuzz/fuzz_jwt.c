/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What strangers may call a token, what an issuer may call its keys, and SPIFFE IDs. The first byte says which: t a token's text,
 * c header and claims divided by a line end, which are signed here, k a set of keys, s an ID. Whatever is accepted has the one form
 * that it may have, and nothing verifies but with the key that signed it.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/jose.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/utf8.h"
#include "spiffe.h"
#include "support/issuer.h"
#include "token_rules.h"

#define ARENA_BYTES (64 * JOSE_TOKEN_BYTES_MAX)
#define TEXT_MAX ((size_t)1024 * 1024)
#define NOW_S 1000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct issuer_key *signer;
static struct jose_keys *own;   /* the signer's */
static struct jose_keys *other; /* of somebody else */

static struct jose_keys *
load(const struct issuer_key *k, struct buf *text)
{
	struct jose_keys *keys = NULL;

	issuer_key_pem(k, text);
	MUST(jose_keys_parse(buf_span(text), &keys, NULL) == OK);
	return keys;
}

static void
set_up(void)
{
	struct issuer_key *stranger = issuer_key_new("ED25519", 0);
	struct buf text;

	buf_init(&text, TEXT_MAX);
	signer = issuer_key_new("ED25519", 0);
	own = load(signer, &text);
	other = load(stranger, &text);
	issuer_key_free(&stranger);
	buf_fini(&text);
}

static void
check_name(struct span s)
{
	MUST(s.n > 0 && s.n <= PRINCIPAL_BYTES_MAX && utf8_is_valid(s) && span_trim(s).n == s.n);
	for (size_t i = 0; i < s.n; i++)
		MUST((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7f);
}

static void
check_claims(const struct jose_token *token)
{
	const struct token_rules rules = {
		.issuer = SPAN_LIT("i"),
		.audience = SPAN_LIT("a"),
		.principal_claim = SPAN_LIT("sub"),
		.groups_claim = SPAN_LIT("g.r"),
		.leeway_s = 30,
		.max_lifetime_s = 3600,
	};
	struct token_facts *facts = malloc(sizeof(*facts));
	struct errinfo ei = {OK, ""};

	MUST(facts != NULL);
	if (token_judge(&rules, token, NOW_S, facts, &ei) == OK) {
		MUST(token_is_of_issuer(&rules, token));
		check_name(facts->subject);
		MUST(facts->n_groups <= TOKEN_GROUPS_MAX);
		for (size_t i = 0; i < facts->n_groups; i++)
			check_name(facts->groups[i]);
		MUST(facts->expires_s > NOW_S - 30 && facts->expires_s <= NOW_S + 30 + 3600);
	} else {
		MUST(ei.code == ERR_AUTH && ei.msg[0] != '\0');
	}
	free(facts);
}

/* There is one text for each token. */
static void
check_form(const struct jose_token *token)
{
	struct buf text;

	buf_init(&text, TEXT_MAX);
	buf_add_span(&text, token->signed_part);
	buf_add_char(&text, '.');
	issuer_base64url(token->signature, &text);
	MUST(span_eq(buf_span(&text), token->text));
	MUST(token->text.n <= JOSE_TOKEN_BYTES_MAX && token->claims->type == JSON_OBJECT);
	MUST(token->algorithm != JOSE_NONE && token->kid.n <= JOSE_KID_BYTES_MAX);
	MUST(jose_looks_like_token(token->text));
	buf_fini(&text);
}

static void
check_token(struct span text, bool is_signed)
{
	struct arena *a = arena_new(ARENA_BYTES);
	struct jose_token token;
	struct jose_thumb by;

	MUST(a != NULL);
	if (jose_token_parse(text, a, &token, NULL) == OK) {
		bool is_ours = is_signed && token.algorithm == JOSE_EDDSA;

		check_form(&token);
		check_claims(&token);
		MUST((jose_keys_verify(own, &token, &by, NULL) == OK) == is_ours);
		MUST(!is_ours || jose_keys_has(own, &by));
		MUST(jose_keys_verify(other, &token, &by, NULL) != OK);
	}
	arena_free(&a);
}

static void
check_signed(struct span input)
{
	size_t line = span_find(input, '\n');
	char *header = mem_dup_span(span_of(input.p, line));
	char *claims = mem_dup_span(line < input.n ? span_from(input, line + 1) : SPAN_LIT("{}"));
	struct buf token;

	MUST(header != NULL && claims != NULL);
	buf_init(&token, TEXT_MAX);
	issuer_sign(signer, header, claims, &token);
	check_token(buf_span(&token), true);
	buf_fini(&token);
	mem_free(header);
	mem_free(claims);
}

static void
check_keys(struct span text)
{
	struct jose_keys *keys = NULL;

	if (jose_keys_parse(text, &keys, NULL) != OK) {
		MUST(keys == NULL);
		return;
	}
	MUST(jose_keys_count(keys) >= 1 && jose_keys_count(keys) <= JOSE_KEYS_MAX);
	MUST(jose_keys_equal(keys, keys));
	jose_keys_unref(&keys);
}

static void
check_id(struct span text)
{
	struct spiffe_id id;

	if (!spiffe_id_parse(text, &id)) {
		MUST(id.path.n == 0 && id.trust_domain.n == 0);
		return;
	}
	MUST(text.n == 9 + id.trust_domain.n + id.path.n && text.n <= SPIFFE_ID_BYTES_MAX);
	MUST(spiffe_trust_domain_is_valid(id.trust_domain) && spiffe_path_is_valid(id.path));
	MUST(id.path.p[0] == '/' && id.path.p[id.path.n - 1] != '/');
	for (size_t i = 0; i < text.n; i++)
		MUST(text.p[i] > 0x20 && text.p[i] < 0x7f && text.p[i] != '%' && text.p[i] != '?' &&
			text.p[i] != '#' && text.p[i] != '@');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_of((const char *)data, size);

	if (own == NULL)
		set_up();
	if (size == 0 || size > JOSE_DOCUMENT_BYTES_MAX)
		return 0;
	switch (data[0]) {
	case 't':
		check_token(span_from(input, 1), false);
		break;
	case 'c':
		check_signed(span_from(input, 1));
		break;
	case 'k':
		check_keys(span_from(input, 1));
		break;
	case 's':
		check_id(span_from(input, 1));
		break;
	default:
		break;
	}
	return 0;
}
