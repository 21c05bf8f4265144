/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Ed25519 keys and signatures, and RSA verification for policy bundles, through OpenSSL. Must never
 * ask for a pass phrase, never leave an error in OpenSSL's queue and never take a doubtful
 * signature for a good one. Any thread; a key does not change once it is made.
 */
#include "base/sign.h"

#include <limits.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/must.h"

#define KEY_MAGIC 0x7369676eu
#define PUBLIC_BYTES 32
#define RSA_BITS_MIN 2048

struct sign_key {
	unsigned magic;
	EVP_PKEY *key;
	char id[SIGN_KEY_ID_HEX + 1];
};

static enum err
crypto_error(struct errinfo *ei, const char *what)
{
	ERR_clear_error();
	return ERR(ei, ERR_CRYPTO, "%s failed", what);
}

/* Takes own_key, also on failure. */
static enum err
wrap_key(EVP_PKEY *own_key, struct sign_key **out, struct errinfo *ei)
{
	uint8_t raw[PUBLIC_BYTES];
	uint8_t digest[SHA256_BYTES];
	size_t n = sizeof(raw);
	struct sign_key *k = NULL;
	enum err rc = OK;

	/* Not by hash.h, which aborts when memory is out. */
	if (EVP_PKEY_get_raw_public_key(own_key, raw, &n) != 1 || n != sizeof(raw) ||
		EVP_Digest(raw, n, digest, NULL, EVP_sha256(), NULL) != 1)
		rc = crypto_error(ei, "reading the public key");
	if (rc == OK) {
		k = mem_zalloc(1, sizeof(*k));
		if (k == NULL)
			rc = ERR(ei, ERR_NOMEM, "out of memory");
	}
	if (rc != OK) {
		EVP_PKEY_free(own_key);
		return rc;
	}
	k->magic = KEY_MAGIC;
	k->key = own_key;
	hash_hex(digest, SIGN_KEY_ID_HEX / 2, k->id);
	*out = k;
	return OK;
}

enum err
sign_key_new(struct sign_key **out, struct errinfo *ei)
{
	*out = NULL;
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (key == NULL)
		return crypto_error(ei, "making an Ed25519 key");
	return wrap_key(key, out, ei);
}

void
sign_key_free(struct sign_key **k)
{
	if (*k == NULL)
		return;
	OBJ_CHECK(*k, KEY_MAGIC);
	EVP_PKEY_free((*k)->key);
	mem_wipe(*k, sizeof(**k));
	mem_free(*k);
	*k = NULL;
}

const char *
sign_key_id(const struct sign_key *k)
{
	OBJ_CHECK(k, KEY_MAGIC);
	return k->id;
}

/* An encrypted key is refused: OpenSSL would otherwise ask for the pass phrase on the terminal. */
static int
refuse_pass_phrase(char *phrase, int size, int is_writing, void *arg)
{
	(void)phrase;
	(void)size;
	(void)is_writing;
	(void)arg;
	return -1;
}

static enum err
parse_key(struct span pem, bool is_private, struct sign_key **out, struct errinfo *ei)
{
	EVP_PKEY *key = NULL;

	*out = NULL;
	BIO *in = pem.n <= INT_MAX ? BIO_new_mem_buf(pem.n > 0 ? pem.p : "", (int)pem.n) : NULL;
	if (in == NULL)
		return crypto_error(ei, "reading a PEM text");
	if (is_private)
		key = PEM_read_bio_PrivateKey(in, NULL, refuse_pass_phrase, NULL);
	else
		key = PEM_read_bio_PUBKEY(in, NULL, refuse_pass_phrase, NULL);
	BIO_free(in);
	ERR_clear_error();
	if (key == NULL || EVP_PKEY_is_a(key, "ED25519") != 1) {
		EVP_PKEY_free(key);
		return ERR(ei, ERR_PARSE, "not a PEM text of an Ed25519 %s key",
			is_private ? "private" : "public");
	}
	return wrap_key(key, out, ei);
}

enum err
sign_key_parse_private(struct span pem, struct sign_key **out, struct errinfo *ei)
{
	return parse_key(pem, true, out, ei);
}

enum err
sign_key_parse_public(struct span pem, struct sign_key **out, struct errinfo *ei)
{
	return parse_key(pem, false, out, ei);
}

static bool
has_private_half(const struct sign_key *k)
{
	size_t n = 0;
	bool has = EVP_PKEY_get_raw_private_key(k->key, NULL, &n) == 1;

	ERR_clear_error();
	return has;
}

static enum err
build_key(const struct sign_key *k, bool is_private, struct buf *out, struct errinfo *ei)
{
	char *text = NULL;
	int written = 0;

	OBJ_CHECK(k, KEY_MAGIC);
	/* Memory that OpenSSL wipes when it is freed. */
	BIO *pem = BIO_new(BIO_s_secmem());
	if (pem == NULL)
		return crypto_error(ei, "building a PEM text");
	if (!is_private)
		written = PEM_write_bio_PUBKEY(pem, k->key);
	else if (has_private_half(k))
		written = PEM_write_bio_PKCS8PrivateKey(pem, k->key, NULL, NULL, 0, NULL, NULL);
	long n = written == 1 ? BIO_get_mem_data(pem, &text) : 0;
	enum err rc = n > 0 ? OK : crypto_error(ei, "building a PEM text");
	if (rc == OK) {
		buf_add(out, text, (size_t)n);
		if (buf_failed(out))
			rc = ERR(ei, ERR_TOO_LARGE, "no room for a PEM text");
	}
	BIO_free(pem);
	return rc;
}

enum err
sign_key_build_private(const struct sign_key *k, struct buf *out, struct errinfo *ei)
{
	return build_key(k, true, out, ei);
}

enum err
sign_key_build_public(const struct sign_key *k, struct buf *out, struct errinfo *ei)
{
	return build_key(k, false, out, ei);
}

enum err
sign_ed25519(const struct sign_key *k, struct span data, uint8_t out[SIGN_ED25519_BYTES],
	struct errinfo *ei)
{
	size_t n = SIGN_ED25519_BYTES;

	OBJ_CHECK(k, KEY_MAGIC);
	memset(out, 0, SIGN_ED25519_BYTES);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool is_signed = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->key) == 1 &&
			 EVP_DigestSign(ctx, out, &n, (const unsigned char *)data.p, data.n) == 1 &&
			 n == SIGN_ED25519_BYTES;
	EVP_MD_CTX_free(ctx);
	if (is_signed)
		return OK;
	memset(out, 0, SIGN_ED25519_BYTES);
	return crypto_error(ei, "signing");
}

/* With md NULL the key's own algorithm. Only the answer 1 is a good signature; 0 and negative
 * ones are not. */
static bool
verify(EVP_PKEY *key, const EVP_MD *md, struct span data, struct span signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool is_good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
		       EVP_DigestVerify(ctx, (const unsigned char *)signature.p, signature.n,
			       (const unsigned char *)data.p, data.n) == 1;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return is_good;
}

bool
sign_ed25519_verify(const struct sign_key *k, struct span data, struct span signature)
{
	OBJ_CHECK(k, KEY_MAGIC);
	return signature.n == SIGN_ED25519_BYTES && verify(k->key, NULL, data, signature);
}

/* The DER bytes of the first PEM block, which must be a plain PUBLIC KEY; freed with
 * OPENSSL_free. NULL if not. */
static unsigned char *
read_public_pem(struct span pem, long *n)
{
	BIO *in = pem.n <= INT_MAX ? BIO_new_mem_buf(pem.n > 0 ? pem.p : "", (int)pem.n) : NULL;
	char *name = NULL;
	char *header = NULL;
	unsigned char *der = NULL;

	if (in == NULL)
		return NULL;
	bool is_plain = PEM_read_bio(in, &name, &header, &der, n) == 1 && header[0] == '\0' &&
			strcmp(name, PEM_STRING_PUBLIC) == 0;
	BIO_free(in);
	OPENSSL_free(name);
	OPENSSL_free(header);
	if (is_plain)
		return der;
	OPENSSL_free(der);
	return NULL;
}

static enum err
parse_rsa_public(struct span pem, EVP_PKEY **out, struct errinfo *ei)
{
	long n = 0;

	*out = NULL;
	unsigned char *der = read_public_pem(pem, &n);
	if (der == NULL)
		return ERR(ei, ERR_PARSE, "invalid public key pem");
	const unsigned char *at = der;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, n);
	bool is_whole = key != NULL && at == der + n;
	OPENSSL_free(der);
	enum err rc = OK;
	if (!is_whole)
		rc = ERR(ei, ERR_PARSE, "invalid rsa public key");
	else if (EVP_PKEY_is_a(key, "RSA") != 1)
		rc = ERR(ei, ERR_PARSE, "public key is not rsa");
	else if (EVP_PKEY_get_bits(key) < RSA_BITS_MIN)
		rc = ERR(ei, ERR_PARSE, "rsa public key is under %d bits", RSA_BITS_MIN);
	if (rc != OK) {
		EVP_PKEY_free(key);
		return rc;
	}
	*out = key;
	return OK;
}

enum err
sign_rsa_verify(
	struct span public_key_pem, struct span data, struct span signature, struct errinfo *ei)
{
	EVP_PKEY *key = NULL;
	enum err rc = parse_rsa_public(public_key_pem, &key, ei);

	ERR_clear_error();
	if (rc != OK)
		return rc;
	/* PKCS#1 v1.5 is the default padding of an RSA key. */
	if (!verify(key, EVP_sha256(), data, signature))
		rc = ERR(ei, ERR_FORBIDDEN, "signature does not verify");
	EVP_PKEY_free(key);
	return rc;
}
