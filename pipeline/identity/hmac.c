/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of services and agents, version 1 (nomos-http.md 2.4): lower-case hex of HMAC-SHA256 over the exact bytes of
 * the body. An unknown signer is checked against a key nobody has, so that names cannot be told apart by time. Any loop.
 */
#include "identity/identity_rows.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/secret.h"

bool
signature_is_wellformed(struct span signature)
{
	struct span hex = span_trim(signature);

	for (size_t i = 0; i < hex.n; i++) {
		bool is_digit = hex.p[i] >= '0' && hex.p[i] <= '9';
		if (!is_digit && (hex.p[i] < 'a' || hex.p[i] > 'f'))
			return false;
	}
	return hex.n == SHA256_HEX;
}

bool
signature_is_valid(const struct map *signers, struct span id, struct span signature,
	struct span body, const struct signer **found)
{
	static const char nobody[SHA256_BYTES] = {0};
	const struct signer *signer = map_find(signers, span_trim(id));
	struct span key =
		signer != NULL ? secret_get_bytes(signer->secret) : span_of(nobody, sizeof(nobody));
	uint8_t mac[SHA256_BYTES];
	char hex[SHA256_HEX + 1];
	bool is_equal;

	hash_hmac_sha256(key, body, mac);
	hash_hex(mac, sizeof(mac), hex);
	is_equal = secret_eq(span_of(hex, SHA256_HEX), span_trim(signature));
	mem_wipe(mac, sizeof(mac));
	mem_wipe(hex, sizeof(hex));
	if (signer == NULL || !is_equal)
		return false;
	*found = signer;
	return true;
}
