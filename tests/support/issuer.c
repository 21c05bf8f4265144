/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
#include "support/issuer.h"

#include <stdint.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/sign.h"

#define SIGNATURE_MAX 1024
#define NUMBER_MAX 1100

struct issuer_key {
	EVP_PKEY *key;
	bool is_rsa;
	bool is_ed25519;
	size_t n_coordinate; /* EC */
	const char *curve;
};

struct issuer_key *
issuer_key_new(const char *type, unsigned bits)
{
	struct issuer_key *k = mem_zalloc(1, sizeof(*k));

	MUST(k != NULL);
	k->is_rsa = strcmp(type, "RSA") == 0;
	k->is_ed25519 = strcmp(type, "ED25519") == 0;
	k->curve = type;
	k->n_coordinate = strcmp(type, "P-384") == 0 ? 48 : 32;
	if (k->is_rsa)
		k->key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);
	else if (k->is_ed25519)
		k->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else
		k->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", type);
	MUST(k->key != NULL);
	return k;
}

void
issuer_key_free(struct issuer_key **k)
{
	if (*k == NULL)
		return;
	EVP_PKEY_free((*k)->key);
	mem_free(*k);
	*k = NULL;
}

void
issuer_base64url(struct span bytes, struct buf *out)
{
	struct buf text;

	buf_init(&text, BUF_CAP_FILE);
	sign_base64_encode(bytes, &text);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '=')
			buf_add_char(out, text.p[i] == '+'   ? '-'
					  : text.p[i] == '/' ? '_'
							     : text.p[i]);
	buf_fini(&text);
}

static void
add_number(const struct issuer_key *k, const char *member, const char *name, size_t n_min,
	struct buf *out)
{
	uint8_t bytes[NUMBER_MAX];
	BIGNUM *number = NULL;

	MUST(EVP_PKEY_get_bn_param(k->key, name, &number) == 1);
	int n = BN_num_bytes(number);
	n = n < (int)n_min ? (int)n_min : n;
	MUST(n <= NUMBER_MAX && BN_bn2binpad(number, bytes, n) == n);
	BN_free(number);
	buf_printf(out, ",\"%s\":\"", member);
	issuer_base64url(span_of((const char *)bytes, (size_t)n), out);
	BUF_ADD_LIT(out, "\"");
}

void
issuer_key_jwk(const struct issuer_key *k, const char *kid, const char *more, struct buf *out)
{
	buf_reset(out);
	if (k->is_rsa) {
		BUF_ADD_LIT(out, "{\"kty\":\"RSA\"");
		add_number(k, "n", OSSL_PKEY_PARAM_RSA_N, 0, out);
		add_number(k, "e", OSSL_PKEY_PARAM_RSA_E, 0, out);
	} else if (k->is_ed25519) {
		uint8_t raw[32];
		size_t n = sizeof(raw);

		MUST(EVP_PKEY_get_raw_public_key(k->key, raw, &n) == 1);
		BUF_ADD_LIT(out, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
		issuer_base64url(span_of((const char *)raw, n), out);
		BUF_ADD_LIT(out, "\"");
	} else {
		buf_printf(out, "{\"kty\":\"EC\",\"crv\":\"%s\"", k->curve);
		add_number(k, "x", OSSL_PKEY_PARAM_EC_PUB_X, k->n_coordinate, out);
		add_number(k, "y", OSSL_PKEY_PARAM_EC_PUB_Y, k->n_coordinate, out);
	}
	if (kid != NULL)
		buf_printf(out, ",\"kid\":\"%s\"", kid);
	buf_printf(out, "%s}", more != NULL ? more : "");
}

void
issuer_key_pem(const struct issuer_key *k, struct buf *out)
{
	BIO *pem = BIO_new(BIO_s_mem());
	char *text = NULL;

	MUST(pem != NULL && PEM_write_bio_PUBKEY(pem, k->key) == 1);
	long n = BIO_get_mem_data(pem, &text);
	buf_reset(out);
	buf_add(out, text, (size_t)n);
	BIO_free(pem);
}

/* r and s one behind the other (RFC 7518 3.4). */
static size_t
flatten(const struct issuer_key *k, uint8_t *signature, size_t n)
{
	const unsigned char *at = signature;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)n);

	MUST(pair != NULL);
	MUST(BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, (int)k->n_coordinate) > 0);
	MUST(BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + k->n_coordinate,
		     (int)k->n_coordinate) > 0);
	ECDSA_SIG_free(pair);
	return 2 * k->n_coordinate;
}

void
issuer_join(const char *header, const char *claims, struct span signature, struct buf *out)
{
	buf_reset(out);
	issuer_base64url(span_cstr(header), out);
	BUF_ADD_LIT(out, ".");
	issuer_base64url(span_cstr(claims), out);
	if (signature.p == NULL)
		return;
	BUF_ADD_LIT(out, ".");
	issuer_base64url(signature, out);
}

void
issuer_sign(const struct issuer_key *k, const char *header, const char *claims, struct buf *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[SIGNATURE_MAX];
	size_t n = sizeof(signature);

	issuer_join(header, claims, SPAN_NONE, out);
	MUST(ctx != NULL && EVP_DigestSignInit(ctx, NULL, k->is_ed25519 ? NULL : EVP_sha256(), NULL,
				    k->key) == 1);
	MUST(EVP_DigestSign(ctx, signature, &n, (const unsigned char *)out->p, out->n) == 1);
	EVP_MD_CTX_free(ctx);
	if (!k->is_rsa && !k->is_ed25519)
		n = flatten(k, signature, n);
	issuer_join(header, claims, span_of((const char *)signature, n), out);
}

void
issuer_sign_hmac(struct span secret, const char *header, const char *claims, struct buf *out)
{
	uint8_t mac[SHA256_BYTES];

	issuer_join(header, claims, SPAN_NONE, out);
	hash_hmac_sha256(secret, buf_span(out), mac);
	issuer_join(header, claims, span_of((const char *)mac, sizeof(mac)), out);
}
