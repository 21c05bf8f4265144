/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* An issuer of tokens for tests: keys made when they are asked for, their public halves as JWK and PEM, tokens signed with them. A
 * failure ends the program. */
#ifndef TESTS_SUPPORT_ISSUER_H
#define TESTS_SUPPORT_ISSUER_H

#include "base/span.h"

struct buf;
struct issuer_key;

/* "RSA" with that many bits, "P-256", "P-384", "ED25519". */
struct issuer_key *issuer_key_new(const char *type, unsigned bits);
void issuer_key_free(struct issuer_key **k);
/* Replaces what is in out. more is put behind the other members, e.g. ",\"use\":\"enc\"". kid NULL: none. */
void issuer_key_jwk(const struct issuer_key *k, const char *kid, const char *more, struct buf *out);
void issuer_key_pem(const struct issuer_key *k, struct buf *out);

/* header.claims.signature, signed with the key in the way of its type (SHA-256 for RSA and EC); replaces what is in out. */
void issuer_sign(
	const struct issuer_key *k, const char *header, const char *claims, struct buf *out);
/* The same with HMAC-SHA256. */
void issuer_sign_hmac(struct span secret, const char *header, const char *claims, struct buf *out);
/* The two parts, and a signature of those bytes. */
void issuer_join(const char *header, const char *claims, struct span signature, struct buf *out);
void issuer_base64url(struct span bytes, struct buf *out);

#endif
