/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file that knows cjose, which verifies RS256 and ES256; Ed25519 it does not know, so OpenSSL verifies that. Must
 * never leave an error in OpenSSL's queue and never take a doubtful signature for a good one. Any thread.
 */
#include "jose_key.h"

#include <limits.h>
#include <string.h>

#include <cjose/cjose.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/sign.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define EXPONENT_BYTES_MAX 4
#define COORDINATE_BYTES 32
#define NUMBER_BYTES_MAX (RSA_BITS_MAX / 8 + 1)

static enum err
key_error(struct errinfo *ei, const char *what)
{
	ERR_clear_error();
	return ERR(ei, ERR_PARSE, "%s", what);
}

static void
mark(enum jose_algorithm algorithm, struct span one, struct span two, struct jose_key *out)
{
	uint8_t parts[2 * SHA256_BYTES + 1];

	parts[0] = (uint8_t)algorithm;
	hash_sha256(one, parts + 1);
	hash_sha256(two, parts + 1 + SHA256_BYTES);
	hash_sha256(span_of((const char *)parts, sizeof(parts)), out->thumb.hash);
	out->algorithm = algorithm;
}

static struct span
strip_zeros(struct span number)
{
	while (number.n > 0 && number.p[0] == '\0')
		number = span_from(number, 1);
	return number;
}

static size_t
count_bits(struct span number)
{
	size_t n = number.n * 8;

	for (unsigned bit = 0x80; number.n > 0 && bit != 0; bit >>= 1, n--)
		if (((unsigned char)number.p[0] & bit) != 0)
			return n;
	return 0;
}

static bool
is_odd(struct span number)
{
	return number.n > 0 && ((unsigned char)number.p[number.n - 1] & 1) != 0;
}

enum err
jose_key_from_rsa(
	struct span modulus, struct span exponent, struct jose_key *out, struct errinfo *ei)
{
	struct span n = strip_zeros(modulus);
	struct span e = strip_zeros(exponent);
	cjose_err why;

	*out = (struct jose_key){.algorithm = JOSE_NONE};
	if (count_bits(n) < RSA_BITS_MIN || count_bits(n) > RSA_BITS_MAX || !is_odd(n))
		return ERR(
			ei, ERR_PARSE, "an RSA key is %d to %d bits", RSA_BITS_MIN, RSA_BITS_MAX);
	if (e.n > EXPONENT_BYTES_MAX || !is_odd(e) || (e.n == 1 && e.p[0] == 1))
		return ERR(ei, ERR_PARSE, "the exponent of an RSA key is odd, 3 to 4294967295");
	cjose_jwk_rsa_keyspec spec = {
		.e = (uint8_t *)(uintptr_t)e.p,
		.elen = e.n,
		.n = (uint8_t *)(uintptr_t)n.p,
		.nlen = n.n,
	};
	out->jwk = cjose_jwk_create_RSA_spec(&spec, &why);
	if (out->jwk == NULL)
		return key_error(ei, "not an RSA key");
	mark(JOSE_RS256, n, e, out);
	return OK;
}

enum err
jose_key_from_p256(struct span x, struct span y, struct jose_key *out, struct errinfo *ei)
{
	cjose_err why;

	*out = (struct jose_key){.algorithm = JOSE_NONE};
	if (x.n != COORDINATE_BYTES || y.n != COORDINATE_BYTES)
		return ERR(ei, ERR_PARSE, "coordinates of a P-256 key have 32 bytes");
	cjose_jwk_ec_keyspec spec = {
		.crv = CJOSE_JWK_EC_P_256,
		.x = (uint8_t *)(uintptr_t)x.p,
		.xlen = x.n,
		.y = (uint8_t *)(uintptr_t)y.p,
		.ylen = y.n,
	};
	/* A point that is not on the curve is refused. */
	out->jwk = cjose_jwk_create_EC_spec(&spec, &why);
	if (out->jwk == NULL)
		return key_error(ei, "not a P-256 key");
	mark(JOSE_ES256, x, y, out);
	return OK;
}

enum err
jose_key_from_ed25519(struct span x, struct jose_key *out, struct errinfo *ei)
{
	*out = (struct jose_key){.algorithm = JOSE_NONE};
	if (x.n != COORDINATE_BYTES)
		return ERR(ei, ERR_PARSE, "an Ed25519 key has 32 bytes");
	out->pkey = EVP_PKEY_new_raw_public_key(
		EVP_PKEY_ED25519, NULL, (const unsigned char *)x.p, x.n);
	if (out->pkey == NULL)
		return key_error(ei, "not an Ed25519 key");
	mark(JOSE_EDDSA, x, SPAN_NONE, out);
	return OK;
}

void
jose_key_clear(struct jose_key *k)
{
	if (k->jwk != NULL)
		cjose_jwk_release(k->jwk);
	EVP_PKEY_free(k->pkey);
	*k = (struct jose_key){.algorithm = JOSE_NONE};
}

/* ---- PEM ---- */

/* What is in the key as a big-endian number of at least n_min bytes; empty when it has none. */
static struct span
read_number(const EVP_PKEY *key, const char *name, size_t n_min, uint8_t out[NUMBER_BYTES_MAX])
{
	BIGNUM *number = NULL;
	int n = -1;

	if (EVP_PKEY_get_bn_param(key, name, &number) == 1 &&
		BN_num_bytes(number) <= NUMBER_BYTES_MAX) {
		n = BN_num_bytes(number);
		n = n < (int)n_min ? (int)n_min : n;
		n = BN_bn2binpad(number, out, n);
	}
	BN_free(number);
	return n > 0 ? span_of((const char *)out, (size_t)n) : SPAN_NONE;
}

static bool
is_p256(const EVP_PKEY *key)
{
	char name[32];
	size_t n = 0;

	return EVP_PKEY_is_a(key, "EC") == 1 &&
	       EVP_PKEY_get_utf8_string_param(
		       key, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof(name), &n) == 1 &&
	       strcmp(name, "prime256v1") == 0;
}

static enum err
from_pkey(const EVP_PKEY *key, struct jose_key *out, struct errinfo *ei)
{
	uint8_t one[NUMBER_BYTES_MAX];
	uint8_t two[NUMBER_BYTES_MAX];
	size_t n = COORDINATE_BYTES;

	if (EVP_PKEY_is_a(key, "RSA") == 1)
		return jose_key_from_rsa(read_number(key, OSSL_PKEY_PARAM_RSA_N, 0, one),
			read_number(key, OSSL_PKEY_PARAM_RSA_E, 0, two), out, ei);
	if (is_p256(key))
		return jose_key_from_p256(
			read_number(key, OSSL_PKEY_PARAM_EC_PUB_X, COORDINATE_BYTES, one),
			read_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, COORDINATE_BYTES, two), out, ei);
	if (EVP_PKEY_is_a(key, "ED25519") == 1 && EVP_PKEY_get_raw_public_key(key, one, &n) == 1)
		return jose_key_from_ed25519(span_of((const char *)one, n), out, ei);
	return key_error(ei, "the key is none of RSA, P-256, Ed25519");
}

/* NULL unless the bytes are one whole object of that kind. */
static EVP_PKEY *
read_der(const char *name, const unsigned char *der, long n)
{
	const unsigned char *at = der;
	EVP_PKEY *key = NULL;

	if (strcmp(name, PEM_STRING_PUBLIC) == 0) {
		key = d2i_PUBKEY(NULL, &at, n);
	} else if (strcmp(name, PEM_STRING_X509) == 0) {
		X509 *certificate = d2i_X509(NULL, &at, n);

		if (certificate != NULL)
			key = X509_get_pubkey(certificate);
		X509_free(certificate);
	}
	if (key == NULL || at == der + n)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

enum err
jose_key_from_pem(struct span pem, struct jose_key *out, struct errinfo *ei)
{
	BIO *in = pem.n > 0 && pem.n <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	unsigned char *der = NULL;
	EVP_PKEY *key = NULL;
	char *header = NULL;
	char *name = NULL;
	long n = 0;
	enum err rc;

	*out = (struct jose_key){.algorithm = JOSE_NONE};
	if (in != NULL && PEM_read_bio(in, &name, &header, &der, &n) == 1 && header[0] == '\0')
		key = read_der(name, der, n);
	BIO_free(in);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	if (key == NULL)
		return key_error(ei, "not a PEM text of a public key or a certificate");
	rc = from_pkey(key, out, ei);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return rc;
}

/* ---- signatures ---- */

static bool
cjose_verifies(const struct jose_key *k, const struct jose_token *token)
{
	cjose_err why;
	cjose_jws_t *jws = cjose_jws_import(token->text.p, token->text.n, &why);
	bool is_good = jws != NULL && cjose_jws_verify(jws, k->jwk, &why);

	cjose_jws_release(jws);
	ERR_clear_error();
	return is_good;
}

static bool
ed25519_verifies(const struct jose_key *k, const struct jose_token *token)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool is_good =
		ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
		EVP_DigestVerify(ctx, (const unsigned char *)token->signature.p, token->signature.n,
			(const unsigned char *)token->signed_part.p, token->signed_part.n) == 1;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return is_good;
}

bool
jose_key_verifies(const struct jose_key *k, const struct jose_token *token)
{
	switch (k->algorithm) {
	case JOSE_RS256:
		return cjose_verifies(k, token);
	case JOSE_ES256:
		/* The library halves what it is given, so a byte more would be left out. */
		return token->signature.n == 2 * COORDINATE_BYTES && cjose_verifies(k, token);
	case JOSE_EDDSA:
		return token->signature.n == SIGN_ED25519_BYTES && ed25519_verifies(k, token);
	case JOSE_NONE:
		break;
	}
	return false;
}
