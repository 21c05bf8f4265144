/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Tokens and the keys that verify them: each kind of key, and everything that must not verify. */
#include "base/jose.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"
#include "support/issuer.h"
#include "support/test.h"

#define CLAIMS "{\"sub\":\"alice\"}"
#define TEXT_MAX ((size_t)512 * 1024)

struct world {
	struct issuer_key *rsa;
	struct issuer_key *ec;
	struct issuer_key *ed;
	struct jose_keys *keys; /* the three, by the ids "rsa", "ec" and "ed" */
	struct arena *arena;
	struct buf jwk;
	struct buf text;
	struct buf token;
};

static enum err
load(struct world *w)
{
	struct errinfo ei;

	jose_keys_unref(&w->keys);
	return jose_keys_parse(buf_span(&w->text), &w->keys, &ei);
}

static void
add_key(struct world *w, const struct issuer_key *k, const char *kid, const char *more)
{
	issuer_key_jwk(k, kid, more, &w->jwk);
	buf_add_cstr(&w->text, w->text.n == 0 ? "{\"keys\":[" : ",");
	buf_add_span(&w->text, buf_span(&w->jwk));
}

/* Making one takes longer than everything else here. */
static struct issuer_key *shared_rsa;

static void
world_init(struct world *w)
{
	if (shared_rsa == NULL)
		shared_rsa = issuer_key_new("RSA", 2048);
	*w = (struct world){
		.rsa = shared_rsa,
		.ec = issuer_key_new("P-256", 0),
		.ed = issuer_key_new("ED25519", 0),
		.arena = arena_new(4 * TEXT_MAX),
	};
	MUST(w->arena != NULL);
	buf_init(&w->jwk, TEXT_MAX);
	buf_init(&w->text, TEXT_MAX);
	buf_init(&w->token, TEXT_MAX);
	add_key(w, w->rsa, "rsa", ",\"use\":\"sig\",\"alg\":\"RS256\"");
	add_key(w, w->ec, "ec", ",\"key_ops\":[\"verify\"]");
	add_key(w, w->ed, "ed", NULL);
	BUF_ADD_LIT(&w->text, "]}");
	MUST(load(w) == OK);
}

static void
world_fini(struct world *w)
{
	jose_keys_unref(&w->keys);
	issuer_key_free(&w->ec);
	issuer_key_free(&w->ed);
	buf_fini(&w->jwk);
	buf_fini(&w->text);
	buf_fini(&w->token);
	arena_free(&w->arena);
}

/* What becomes of the token in w->token. */
static enum err
judge(struct world *w)
{
	struct jose_token token;
	struct jose_thumb by;
	struct errinfo ei;
	enum err rc;

	arena_reset(w->arena);
	rc = jose_token_parse(buf_span(&w->token), w->arena, &token, &ei);
	if (rc == OK)
		rc = jose_keys_verify(w->keys, &token, &by, &ei);
	if (rc == OK)
		CHECK(jose_keys_has(w->keys, &by));
	return rc;
}

static enum err
judge_signed(struct world *w, const struct issuer_key *k, const char *header)
{
	issuer_sign(k, header, CLAIMS, &w->token);
	return judge(w);
}

TEST(each_kind_of_key_verifies)
{
	struct world w;

	world_init(&w);
	CHECK_INT(jose_keys_count(w.keys), 3);
	CHECK_INT(judge_signed(&w, w.rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"), OK);
	CHECK_INT(judge_signed(&w, w.ec, "{\"alg\":\"ES256\",\"kid\":\"ec\"}"), OK);
	CHECK_INT(judge_signed(&w, w.ed, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}"), OK);
	world_fini(&w);
}

TEST(another_key_or_id_does_not)
{
	struct issuer_key *other = issuer_key_new("RSA", 2048);
	struct world w;

	world_init(&w);
	CHECK_INT(judge_signed(&w, other, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"), ERR_FORBIDDEN);
	CHECK_INT(judge_signed(&w, w.rsa, "{\"alg\":\"RS256\",\"kid\":\"RSA\"}"), ERR_NOT_FOUND);
	/* Which of three it is nobody says. */
	CHECK_INT(judge_signed(&w, w.rsa, "{\"alg\":\"RS256\"}"), ERR_NOT_FOUND);
	issuer_key_free(&other);
	world_fini(&w);
}

/* The algorithm is the key's, whatever a header says. */
TEST(algorithms_are_not_confused)
{
	static const char *const headers[] = {
		"{\"alg\":\"none\",\"kid\":\"rsa\"}",
		"{\"alg\":\"None\",\"kid\":\"rsa\"}",
		"{\"alg\":\"\",\"kid\":\"rsa\"}",
		"{\"kid\":\"rsa\"}",
		"{\"alg\":[\"RS256\"],\"kid\":\"rsa\"}",
		"{\"alg\":\"HS256\",\"kid\":\"rsa\"}",
		"{\"alg\":\"PS256\",\"kid\":\"rsa\"}",
		"{\"alg\":\"RS512\",\"kid\":\"rsa\"}",
		"{\"alg\":\"rs256\",\"kid\":\"rsa\"}",
	};
	struct buf pem;
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		CHECK_INT(judge_signed(&w, w.rsa, headers[i]), ERR_PARSE);
	CHECK_INT(judge_signed(&w, w.rsa, "{\"alg\":\"ES256\",\"kid\":\"rsa\"}"), ERR_FORBIDDEN);
	CHECK_INT(judge_signed(&w, w.ec, "{\"alg\":\"RS256\",\"kid\":\"ec\"}"), ERR_FORBIDDEN);
	CHECK_INT(judge_signed(&w, w.rsa, "{\"alg\":\"RS256\",\"kid\":\"ec\"}"), ERR_FORBIDDEN);
	/* The public key as the secret of an HMAC. */
	buf_init(&pem, TEXT_MAX);
	issuer_key_pem(w.rsa, &pem);
	issuer_sign_hmac(buf_span(&pem), "{\"alg\":\"HS256\",\"kid\":\"rsa\"}", CLAIMS, &w.token);
	CHECK_INT(judge(&w), ERR_PARSE);
	issuer_sign_hmac(buf_span(&pem), "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", CLAIMS, &w.token);
	CHECK_INT(judge(&w), ERR_FORBIDDEN);
	buf_fini(&pem);
	world_fini(&w);
}

TEST(headers_that_ask_for_more_are_refused)
{
	static const char *const more[] = {
		"\"crit\":[\"exp\"]",
		"\"crit\":[]",
		"\"b64\":false",
		"\"enc\":\"A128GCM\"",
		"\"zip\":\"DEF\"",
		"\"cty\":\"JWT\"",
		"\"jwk\":{\"kty\":\"RSA\"}",
		"\"jku\":\"https://x.example/keys\"",
		"\"x5u\":\"https://x.example/cert\"",
		"\"kid\":\"rsa\"", /* twice */
		"\"typ\":7",
		"\"typ\":\"\"",
	};
	char header[256];
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		snprintf(header, sizeof(header), "{\"alg\":\"RS256\",\"kid\":\"rsa\",%s}", more[i]);
		if (judge_signed(&w, w.rsa, header) != ERR_PARSE)
			FAIL("taken: %s", header);
	}
	CHECK_INT(judge_signed(&w, w.rsa, "{\"alg\":\"RS256\",\"kid\":7}"), ERR_PARSE);
	world_fini(&w);
}

TEST(parts_and_their_forms)
{
	static const char *const texts[] = {"", ".", "..", "a", "a.b", "a..b", ".a.b", "a.b.",
		"a.b.c.d", "a.b.c.d.e", "e30.e30.=", "e30=.e30.AA", "e30.e30.A", "e30.e30.AA\n",
		"W10.e30.AA", "e30.bnVsbA.AA", "e30.e30.A_B"};
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		buf_reset(&w.token);
		buf_add_cstr(&w.token, texts[i]);
		if (judge(&w) != ERR_PARSE)
			FAIL("taken: %s", texts[i]);
	}
	/* Duplicate claims; a token in a token; something behind the object. */
	issuer_sign(w.rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}",
		"{\"sub\":\"alice\",\"sub\":\"bob\"}", &w.token);
	CHECK_INT(judge(&w), ERR_PARSE);
	issuer_sign(w.rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", "eyJhbGciOiJub25lIn0.e30.AA",
		&w.token);
	CHECK_INT(judge(&w), ERR_PARSE);
	issuer_sign(w.rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", CLAIMS "{}", &w.token);
	CHECK_INT(judge(&w), ERR_PARSE);
	world_fini(&w);
}

TEST(a_token_is_bounded)
{
	struct buf claims;
	struct world w;

	world_init(&w);
	buf_init(&claims, TEXT_MAX);
	BUF_ADD_LIT(&claims, "{\"a\":\"");
	for (size_t i = 0; i < JOSE_TOKEN_BYTES_MAX; i++)
		buf_add_char(&claims, 'a');
	BUF_ADD_LIT(&claims, "\"}");
	issuer_sign(w.rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", claims.p, &w.token);
	CHECK_INT(judge(&w), ERR_TOO_LARGE);
	buf_fini(&claims);
	world_fini(&w);
}

TEST(any_changed_byte_is_noticed)
{
	struct world w;

	world_init(&w);
	CHECK_INT(judge_signed(&w, w.ed, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}"), OK);
	for (size_t i = 0; i < w.token.n; i++) {
		w.token.p[i] ^= 1;
		CHECK(judge(&w) != OK);
		w.token.p[i] ^= 1;
	}
	CHECK_INT(judge(&w), OK);
	world_fini(&w);
}

/* The signature's bytes with one more behind them, or without the last. */
static enum err
judge_resized(struct world *w, const struct issuer_key *k, const char *header, int change)
{
	struct jose_token token;
	char bytes[1024] = {0};

	issuer_sign(k, header, CLAIMS, &w->token);
	arena_reset(w->arena);
	MUST(jose_token_parse(buf_span(&w->token), w->arena, &token, NULL) == OK);
	MUST(token.signature.n + 1 < sizeof(bytes));
	memcpy(bytes, token.signature.p, token.signature.n);
	issuer_join(header, CLAIMS, span_of(bytes, token.signature.n + (size_t)change), &w->token);
	return judge(w);
}

TEST(a_signature_has_its_length)
{
	struct world w;

	world_init(&w);
	for (int change = -1; change <= 1; change++) {
		enum err want = change == 0 ? OK : ERR_FORBIDDEN;

		CHECK_INT(judge_resized(&w, w.ec, "{\"alg\":\"ES256\",\"kid\":\"ec\"}", change),
			want);
		CHECK_INT(judge_resized(&w, w.ed, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", change),
			want);
		CHECK_INT(judge_resized(&w, w.rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", change),
			want);
	}
	world_fini(&w);
}

TEST(a_pem_text_is_one_key_for_any_id)
{
	struct world w;

	world_init(&w);
	issuer_key_pem(w.ec, &w.text);
	CHECK_INT(load(&w), OK);
	CHECK_INT(judge_signed(&w, w.ec, "{\"alg\":\"ES256\",\"kid\":\"any\"}"), OK);
	CHECK_INT(judge_signed(&w, w.ec, "{\"alg\":\"ES256\"}"), OK);
	CHECK_INT(judge_signed(&w, w.rsa, "{\"alg\":\"RS256\"}"), ERR_FORBIDDEN);
	issuer_key_pem(w.ed, &w.text);
	CHECK_INT(load(&w), OK);
	CHECK_INT(judge_signed(&w, w.ed, "{\"alg\":\"EdDSA\"}"), OK);
	issuer_key_pem(w.rsa, &w.text);
	CHECK_INT(load(&w), OK);
	CHECK_INT(judge_signed(&w, w.rsa, "{\"alg\":\"RS256\"}"), OK);
	buf_truncate(&w.text, w.text.n / 2);
	CHECK_INT(load(&w), ERR_PARSE);
	world_fini(&w);
}

static enum err
load_one(struct world *w, const char *type, unsigned bits, const char *kid, const char *more)
{
	struct issuer_key *k = issuer_key_new(type, bits);

	buf_reset(&w->text);
	add_key(w, k, kid, more);
	BUF_ADD_LIT(&w->text, "]}");
	issuer_key_free(&k);
	return load(w);
}

TEST(keys_that_are_not_for_this_are_left_out)
{
	struct world w;

	world_init(&w);
	CHECK_INT(load_one(&w, "P-384", 0, "a", NULL), ERR_PARSE);
	CHECK_INT(load_one(&w, "P-256", 0, "a", ",\"use\":\"enc\""), ERR_PARSE);
	CHECK_INT(load_one(&w, "P-256", 0, "a", ",\"key_ops\":[\"sign\"]"), ERR_PARSE);
	CHECK_INT(load_one(&w, "P-256", 0, "a", ",\"alg\":\"ECDH-ES\""), ERR_PARSE);
	CHECK_INT(load_one(&w, "RSA", 2048, "a", ",\"alg\":\"RS512\""), ERR_PARSE);
	/* Beside a good one they do no harm. */
	CHECK_INT(load_one(&w, "P-256", 0, "a",
			  "},{\"kty\":\"new\"},{\"kty\":\"EC\",\"crv\":\"P-521\""),
		OK);
	CHECK_INT(jose_keys_count(w.keys), 1);
	world_fini(&w);
}

TEST(sets_that_are_refused)
{
	static const char *const texts[] = {"", "{}", "{\"keys\":{}}", "{\"keys\":[]}",
		"{\"keys\":[7]}", "{\"keys\":[],\"keys\":[]}",
		"{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
		"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"};
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		buf_reset(&w.text);
		buf_add_cstr(&w.text, texts[i]);
		if (load(&w) != ERR_PARSE)
			FAIL("taken: %s", texts[i]);
	}
	CHECK_INT(load_one(&w, "RSA", 1024, "a", NULL), ERR_PARSE);
	CHECK_INT(load_one(&w, "P-256", 0, "a", ",\"d\":\"AA\""), ERR_PARSE);
	CHECK_INT(load_one(&w, "P-256", 0, "", NULL), ERR_PARSE);
	buf_reset(&w.text);
	add_key(&w, w.ec, "a", NULL);
	add_key(&w, w.ec, "a", NULL);
	BUF_ADD_LIT(&w.text, "]}");
	CHECK_INT(load(&w), ERR_PARSE);
	/* A point off the curve. */
	buf_reset(&w.text);
	BUF_ADD_LIT(&w.text, "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
			     "\"x\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\","
			     "\"y\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"}]}");
	CHECK_INT(load(&w), ERR_PARSE);
	world_fini(&w);
}

TEST(a_set_is_bounded)
{
	struct world w;

	world_init(&w);
	buf_reset(&w.text);
	BUF_ADD_LIT(&w.text, "{\"keys\":[{}");
	for (size_t i = 0; i < JOSE_KEYS_MAX; i++)
		BUF_ADD_LIT(&w.text, ",{}");
	BUF_ADD_LIT(&w.text, "]}");
	CHECK_INT(load(&w), ERR_TOO_LARGE);
	buf_reset(&w.text);
	for (size_t i = 0; i <= JOSE_DOCUMENT_BYTES_MAX; i++)
		buf_add_char(&w.text, ' ');
	CHECK_INT(load(&w), ERR_TOO_LARGE);
	world_fini(&w);
}

TEST(a_token_without_id_needs_a_set_of_one)
{
	struct world w;

	world_init(&w);
	buf_reset(&w.text);
	add_key(&w, w.ec, "ec", NULL);
	BUF_ADD_LIT(&w.text, "]}");
	CHECK_INT(load(&w), OK);
	CHECK_INT(judge_signed(&w, w.ec, "{\"alg\":\"ES256\"}"), OK);
	CHECK_INT(judge_signed(&w, w.ec, "{\"alg\":\"ES256\",\"kid\":\"other\"}"), ERR_NOT_FOUND);
	world_fini(&w);
}

SUITE("jose", TEST_ROW(each_kind_of_key_verifies), TEST_ROW(another_key_or_id_does_not),
	TEST_ROW(algorithms_are_not_confused), TEST_ROW(headers_that_ask_for_more_are_refused),
	TEST_ROW(parts_and_their_forms), TEST_ROW(a_token_is_bounded),
	TEST_ROW(any_changed_byte_is_noticed), TEST_ROW(a_signature_has_its_length),
	TEST_ROW(a_pem_text_is_one_key_for_any_id),
	TEST_ROW(keys_that_are_not_for_this_are_left_out), TEST_ROW(sets_that_are_refused),
	TEST_ROW(a_set_is_bounded), TEST_ROW(a_token_without_id_needs_a_set_of_one))
