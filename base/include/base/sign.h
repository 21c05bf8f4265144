/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures through OpenSSL EVP: Ed25519 (RFC 8032) for checkpoints, RSA PKCS#1 v1.5 with SHA-256
 * (RFC 8017) for policy bundles. Keys are immutable after loading; any thread.
 */
#ifndef BASE_SIGN_H
#define BASE_SIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

#define SIGN_ED25519_BYTES 64
#define SIGN_KEY_ID_HEX 16

struct sign_key;

/* A new Ed25519 private key. ERR_CRYPTO. */
MUSTCHECK enum err sign_key_new(struct sign_key **out, struct errinfo *ei);
void sign_key_free(struct sign_key **k);
/* PEM text, not encrypted, of a private (PKCS#8) or public (SubjectPublicKeyInfo) Ed25519 key.
 * ERR_PARSE, ERR_CRYPTO. */
MUSTCHECK enum err sign_key_parse_private(
	struct span pem, struct sign_key **out, struct errinfo *ei);
MUSTCHECK enum err sign_key_parse_public(
	struct span pem, struct sign_key **out, struct errinfo *ei);
struct buf;
/* Appends PEM text. A private key's is the caller's to wipe: give a buf with room for it (a
 * grown one leaves copies). ERR_CRYPTO (also when k has no private half), ERR_TOO_LARGE. */
MUSTCHECK enum err sign_key_build_private(
	const struct sign_key *k, struct buf *out, struct errinfo *ei);
MUSTCHECK enum err sign_key_build_public(
	const struct sign_key *k, struct buf *out, struct errinfo *ei);
/* First 8 bytes of SHA-256 over the raw public key as hex; borrowed, NUL-terminated. */
const char *sign_key_id(const struct sign_key *k);

MUSTCHECK enum err sign_ed25519(const struct sign_key *k, struct span data,
	uint8_t out[SIGN_ED25519_BYTES], struct errinfo *ei);
bool sign_ed25519_verify(const struct sign_key *k, struct span data, struct span signature);

/*
 * Bundle signatures (nomos-policy.md 1.9). public_key_pem must hold an RSA SubjectPublicKeyInfo;
 * signature is raw bytes. ERR_PARSE for the key ("invalid public key pem", "invalid rsa public
 * key", "public key is not rsa", and for a modulus under 2,048 bits), ERR_FORBIDDEN when the
 * signature does not verify.
 */
MUSTCHECK enum err sign_rsa_verify(
	struct span public_key_pem, struct span data, struct span signature, struct errinfo *ei);

/* Standard base64 (RFC 4648 4), padding required, no white space or line ends, unused bits zero.
 * Appends to out, which is as before on failure. ERR_PARSE, ERR_TOO_LARGE. */
MUSTCHECK enum err sign_base64_decode(struct span text, struct buf *out, struct errinfo *ei);
/* The same for URLs and without padding (RFC 7515 2), as tokens are written. */
MUSTCHECK enum err sign_base64url_decode(struct span text, struct buf *out, struct errinfo *ei);
void sign_base64_encode(struct span bytes, struct buf *out);

#endif
