/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* One public key, as the libraries want it; for jose_keys.c alone. Does not change once it is made; any thread. */
#ifndef BASE_JOSE_KEY_H
#define BASE_JOSE_KEY_H

#include "base/jose.h"

struct jose_key {
	enum jose_algorithm algorithm;
	struct jose_thumb thumb;
	struct span kid; /* p is NULL: none */
	void *jwk;       /* of cjose, RS256 and ES256 */
	void *pkey;      /* of OpenSSL, EdDSA */
};

/* Numbers are big-endian bytes. ERR_PARSE; ERR_NOMEM. On failure there is nothing to clear. */
MUSTCHECK enum err jose_key_from_rsa(
	struct span modulus, struct span exponent, struct jose_key *out, struct errinfo *ei);
MUSTCHECK enum err jose_key_from_p256(
	struct span x, struct span y, struct jose_key *out, struct errinfo *ei);
MUSTCHECK enum err jose_key_from_ed25519(struct span x, struct jose_key *out, struct errinfo *ei);
/* One PUBLIC KEY or CERTIFICATE block. */
MUSTCHECK enum err jose_key_from_pem(struct span pem, struct jose_key *out, struct errinfo *ei);
void jose_key_clear(struct jose_key *k);

/* The token's algorithm is the key's. */
bool jose_key_verifies(const struct jose_key *k, const struct jose_token *token);

#endif
