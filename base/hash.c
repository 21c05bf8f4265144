/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 and HMAC-SHA256 with the state on the stack: OpenSSL's own interface for any digest allocates
 * a state for each hash, which costs as much as hashing a short text and can fail; its older one for this
 * digest alone does neither and runs the same code. Any thread.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "base/hash.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/mem.h"
#include "base/must.h"

#define BLOCK_BYTES 64

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_ready;
static bool is_memory_hooked; /* by a test, before anything else */

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

/* Digests need no memory here; what else OpenSSL does cannot go on without: so its memory is held too. */
static void
hold_memory(void)
{
	/* False when something has allocated before us; then such a failure ends the process by MUST. */
	if (!is_memory_hooked)
		(void)CRYPTO_set_mem_functions(alloc_held, realloc_held, free_held);
}

static void
begin(void)
{
	/* FIPS 180-2, B.1 */
	static const char known[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	char hex[SHA256_HEX + 1];

	hold_memory();
	hash_sha256_hex(SPAN_LIT("abc"), hex);
	is_ready = strcmp(hex, known) == 0;
}

enum err
hash_init(struct errinfo *ei)
{
	MUST(pthread_once(&once, begin) == 0);
	return is_ready ? OK : ERR(ei, ERR_CRYPTO, "SHA-256 does not work");
}

static void
add(SHA256_CTX *state, struct span data)
{
	if (data.n > 0)
		MUST(SHA256_Update(state, data.p, data.n) == 1);
}

void
hash_sha256_parts(const struct span *parts, size_t n_parts, uint8_t out[SHA256_BYTES])
{
	SHA256_CTX state;

	MUST(SHA256_Init(&state) == 1);
	for (size_t i = 0; i < n_parts; i++)
		add(&state, parts[i]);
	MUST(SHA256_Final(out, &state) == 1);
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

/* RFC 2104: a key of at most a block, with each byte xored. */
static void
add_key(SHA256_CTX *state, const uint8_t key[BLOCK_BYTES], uint8_t mask)
{
	uint8_t pad[BLOCK_BYTES];

	for (size_t i = 0; i < BLOCK_BYTES; i++)
		pad[i] = key[i] ^ mask;
	MUST(SHA256_Update(state, pad, sizeof(pad)) == 1);
	mem_wipe(pad, sizeof(pad));
}

void
hash_hmac_sha256(struct span key, struct span data, uint8_t out[SHA256_BYTES])
{
	hash_hmac_sha256_parts(key, &data, 1, out);
}

void
hash_hmac_sha256_parts(
	struct span key, const struct span *parts, size_t n_parts, uint8_t out[SHA256_BYTES])
{
	uint8_t block[BLOCK_BYTES] = {0};
	uint8_t inner[SHA256_BYTES];
	SHA256_CTX state;

	if (key.n > BLOCK_BYTES)
		hash_sha256(key, block);
	else if (key.n > 0)
		memcpy(block, key.p, key.n);
	MUST(SHA256_Init(&state) == 1);
	add_key(&state, block, 0x36);
	for (size_t i = 0; i < n_parts; i++)
		add(&state, parts[i]);
	MUST(SHA256_Final(inner, &state) == 1);
	MUST(SHA256_Init(&state) == 1);
	add_key(&state, block, 0x5c);
	MUST(SHA256_Update(&state, inner, sizeof(inner)) == 1);
	MUST(SHA256_Final(out, &state) == 1);
	mem_wipe(block, sizeof(block));
	mem_wipe(inner, sizeof(inner));
}

void
hash_hex(const void *bytes, size_t n, char *out)
{
/* The digits of every byte. */
#define ROW(h)                                                                                     \
	h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" h      \
	  "e" h "f"
	static const char pairs[] = ROW("0") ROW("1") ROW("2") ROW("3") ROW("4") ROW("5") ROW("6")
		ROW("7") ROW("8") ROW("9") ROW("a") ROW("b") ROW("c") ROW("d") ROW("e") ROW("f");
#undef ROW
	const uint8_t *b = bytes;

	for (size_t i = 0; i < n; i++)
		memcpy(out + 2 * i, pairs + 2 * (size_t)b[i], 2);
	out[2 * n] = '\0';
}

/* One more than what a lower-case hex digit stands for; 0: it is none. */
static const uint8_t hex_values[256] = {['0'] = 1,
	['1'] = 2,
	['2'] = 3,
	['3'] = 4,
	['4'] = 5,
	['5'] = 6,
	['6'] = 7,
	['7'] = 8,
	['8'] = 9,
	['9'] = 10,
	['a'] = 11,
	['b'] = 12,
	['c'] = 13,
	['d'] = 14,
	['e'] = 15,
	['f'] = 16};

bool
hash_unhex(struct span hex, void *out, size_t n)
{
	uint8_t *bytes = out;
	bool is_good = hex.n / 2 == n && hex.n % 2 == 0;

	for (size_t i = 0; is_good && i < n; i++) {
		unsigned high = hex_values[(uint8_t)hex.p[2 * i]];
		unsigned low = hex_values[(uint8_t)hex.p[2 * i + 1]];
		is_good = high != 0 && low != 0;
		bytes[i] = (uint8_t)((high - 1) << 4 | ((low - 1) & 15));
	}
	if (!is_good && n > 0)
		memset(bytes, 0, n);
	return is_good;
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
