/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 and HMAC-SHA256 (FIPS 180-4, RFC 2104) through OpenSSL EVP, with a context per thread
 * that is made once and reused. Any thread. These calls cannot fail after hash_init: a failure
 * inside OpenSSL, also for lack of memory, aborts (MUST).
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

#define SHA256_BYTES 32
#define SHA256_HEX 64 /* lower-case, no NUL counted */

/* At start-up, to learn early that OpenSSL works; idempotent. The calls below run it when nobody
 * did. ERR_CRYPTO. */
MUSTCHECK enum err hash_init(struct errinfo *ei);

void hash_sha256(struct span data, uint8_t out[SHA256_BYTES]);
/* Of the parts one after the other. */
void hash_sha256_parts(const struct span *parts, size_t n_parts, uint8_t out[SHA256_BYTES]);
/* Lower-case hex with a NUL. */
void hash_sha256_hex(struct span data, char out[SHA256_HEX + 1]);
void hash_hmac_sha256(struct span key, struct span data, uint8_t out[SHA256_BYTES]);
/* Over the parts one after the other. */
void hash_hmac_sha256_parts(
	struct span key, const struct span *parts, size_t n_parts, uint8_t out[SHA256_BYTES]);

/* Lower-case hex of n bytes and a NUL: 2 n + 1 bytes at out. */
void hash_hex(const void *bytes, size_t n, char *out);
/* Strict lower-case hex of exactly n bytes; false and n zero bytes otherwise. Not constant time:
 * never for secrets. */
bool hash_unhex(struct span hex, void *out, size_t n);

/* Tests: OpenSSL takes its memory from mem.h. False when it has allocated already; first call of
 * the program. */
MUSTCHECK bool hash_hook_memory(void);

#endif
