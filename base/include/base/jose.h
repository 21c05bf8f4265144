/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed tokens in the compact form (RFC 7515, 7519) and the public keys that they are verified with (RFC 7517,
 * 8037): RS256, ES256 and EdDSA with Ed25519, nothing else. What a key may verify follows from its type; what a
 * token says of its algorithm has to agree, and no key is ever taken from a token. Pure; any thread. A set of keys does not
 * change once it is made.
 */
#ifndef BASE_JOSE_H
#define BASE_JOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/span.h"

struct arena;
struct json;

#define JOSE_TOKEN_BYTES_MAX ((size_t)8 * 1024)
#define JOSE_DOCUMENT_BYTES_MAX ((size_t)256 * 1024)
#define JOSE_KEYS_MAX 64
#define JOSE_KID_BYTES_MAX 256

enum jose_algorithm { JOSE_NONE = 0, JOSE_RS256, JOSE_ES256, JOSE_EDDSA };

/* A token that is well formed; nothing of it is true yet. Spans are in the token's text or in the arena. */
struct jose_token {
	struct span text;
	enum jose_algorithm algorithm;
	struct span kid;           /* p is NULL: none */
	struct span type;          /* the header typ; empty: none */
	const struct json *claims; /* an object */
	struct span signed_part;   /* what the signature is of */
	struct span signature;     /* decoded */
};

/*
 * Three parts, canonical base64url, header and claims read by the strict parser. ERR_TOO_LARGE; ERR_PARSE for
 * everything else that is refused: encrypted tokens, tokens in tokens, extensions that must be understood
 * (crit), keys in the header, algorithms of other families and none.
 */
MUSTCHECK enum err jose_token_parse(
	struct span text, struct arena *a, struct jose_token *out, struct errinfo *ei);
/* Whether a text could be a token at all: three parts with two dots. */
bool jose_looks_like_token(struct span text);

struct jose_keys;

/*
 * A PEM text of one public key or certificate, or a JWK set (an object with the array "keys"). Of a set, keys of other
 * kinds and for other uses are left out. ERR_PARSE, also for a set without one usable key, two keys that a token
 * could not tell apart, or private and secret keys; ERR_TOO_LARGE.
 */
MUSTCHECK enum err jose_keys_parse(struct span text, struct jose_keys **out, struct errinfo *ei);
struct jose_keys *jose_keys_ref(struct jose_keys *keys);
/* Accepts NULL. */
void jose_keys_unref(struct jose_keys **keys);
size_t jose_keys_count(const struct jose_keys *keys);
/* The same keys with the same ids in the same order. */
bool jose_keys_equal(const struct jose_keys *a, const struct jose_keys *b);

/* Which key it was: SHA-256 of its type and numbers. */
struct jose_thumb {
	uint8_t hash[SHA256_BYTES];
};
bool jose_keys_has(const struct jose_keys *keys, const struct jose_thumb *thumb);

/*
 * OK and *by, the key that the signature verifies with. The key is the one with the token's kid; a key without one (a PEM
 * text) serves any, and a token without one is verified if the set has just one key. ERR_NOT_FOUND: no such key;
 * ERR_FORBIDDEN: it does not verify, or the key is for another algorithm.
 */
MUSTCHECK enum err jose_keys_verify(const struct jose_keys *keys, const struct jose_token *token,
	struct jose_thumb *by, struct errinfo *ei);

#endif
