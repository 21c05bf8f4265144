/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 and HMAC-SHA256. The algorithms are fetched once and each thread keeps one context of
 * each kind until it ends, because fetching and allocating cost more than hashing a record. Must
 * never return a wrong digest: what OpenSSL refuses here aborts. Any thread; a context is only
 * touched by the thread that made it.
 */
#include "base/hash.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/mem.h"
#include "base/must.h"

struct hasher {
	EVP_MD_CTX *digest;
	EVP_MAC_CTX *mac;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_ready;
static bool is_memory_hooked; /* by a test, before anything else */
static pthread_key_t thread_end;
static EVP_MD *sha256;
static EVP_MAC *hmac;
static _Thread_local struct hasher *own;

static void
free_hasher(void *arg)
{
	struct hasher *h = arg;

	EVP_MD_CTX_free(h->digest);
	EVP_MAC_CTX_free(h->mac);
	mem_free_held(h);
	own = NULL;
}

static void *
alloc_held(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return mem_alloc_held(n);
}

static void *
realloc_held(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return mem_realloc_held(p, n);
}

static void
free_held(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	mem_free_held(p);
}

/* Without memory a digest cannot be made, and nobody here could go on without it: so OpenSSL's memory is held too. */
static void
hold_memory(void)
{
	/* False when something has allocated before us; then such a failure ends the process by MUST. */
	if (!is_memory_hooked)
		(void)CRYPTO_set_mem_functions(alloc_held, realloc_held, free_held);
}

static void
fetch_algorithms(void)
{
	hold_memory();
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	is_ready =
		sha256 != NULL && hmac != NULL && pthread_key_create(&thread_end, free_hasher) == 0;
	if (!is_ready)
		ERR_clear_error();
}

enum err
hash_init(struct errinfo *ei)
{
	MUST(pthread_once(&once, fetch_algorithms) == 0);
	return is_ready ? OK : ERR(ei, ERR_CRYPTO, "SHA-256 and HMAC are not available");
}

static bool
set_up(struct hasher *h)
{
	char name[] = OSSL_DIGEST_NAME_SHA2_256;
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
		OSSL_PARAM_construct_end()};

	h->digest = EVP_MD_CTX_new();
	h->mac = EVP_MAC_CTX_new(hmac);
	return h->digest != NULL && h->mac != NULL && EVP_MAC_CTX_set_params(h->mac, params) == 1;
}

static struct hasher *
own_hasher(void)
{
	if (own != NULL)
		return own;
	MUST(hash_init(NULL) == OK);
	struct hasher *h = mem_alloc_held(sizeof(*h));
	*h = (struct hasher){0};
	MUST(set_up(h));
	MUST(pthread_setspecific(thread_end, h) == 0);
	own = h;
	return h;
}

void
hash_sha256_parts(const struct span *parts, size_t n_parts, uint8_t out[SHA256_BYTES])
{
	EVP_MD_CTX *digest = own_hasher()->digest;
	unsigned len = 0;

	/* Allocates the state anew each time in OpenSSL 3.0, whatever the arguments. */
	MUST(EVP_DigestInit_ex2(digest, sha256, NULL) == 1);
	for (size_t i = 0; i < n_parts; i++)
		MUST(EVP_DigestUpdate(digest, parts[i].p, parts[i].n) == 1);
	MUST(EVP_DigestFinal_ex(digest, out, &len) == 1 && len == SHA256_BYTES);
}

void
hash_sha256(struct span data, uint8_t out[SHA256_BYTES])
{
	hash_sha256_parts(&data, 1, out);
}

void
hash_sha256_hex(struct span data, char out[SHA256_HEX + 1])
{
	uint8_t digest[SHA256_BYTES];

	hash_sha256(data, digest);
	hash_hex(digest, sizeof(digest), out);
}

void
hash_hmac_sha256(struct span key, struct span data, uint8_t out[SHA256_BYTES])
{
	EVP_MAC_CTX *mac = own_hasher()->mac;
	size_t len = 0;
	/* A NULL key would mean the key of the call before. */
	const char *key_bytes = key.p != NULL ? key.p : "";

	MUST(EVP_MAC_init(mac, (const unsigned char *)key_bytes, key.n, NULL) == 1);
	MUST(EVP_MAC_update(mac, (const unsigned char *)data.p, data.n) == 1);
	MUST(EVP_MAC_final(mac, out, &len, SHA256_BYTES) == 1 && len == SHA256_BYTES);
}

void
hash_hex(const void *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = bytes;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
	out[2 * n] = '\0';
}

/* -1 when c is not a lower-case hex digit. */
static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
hash_unhex(struct span hex, void *out, size_t n)
{
	uint8_t *bytes = out;

	if (n > 0)
		memset(bytes, 0, n);
	if (hex.n / 2 != n || hex.n % 2 != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(hex.p[2 * i]);
		int low = hex_value(hex.p[2 * i + 1]);
		if (high < 0 || low < 0) {
			memset(bytes, 0, n);
			return false;
		}
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static void *
hooked_alloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return mem_alloc(n);
}

static void *
hooked_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return mem_realloc(p, n);
}

static void
hooked_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	mem_free(p);
}

bool
hash_hook_memory(void)
{
	is_memory_hooked = CRYPTO_set_mem_functions(hooked_alloc, hooked_realloc, hooked_free) == 1;
	return is_memory_hooked;
}
