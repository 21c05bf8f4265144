/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Keys of claims. The bytes that are hashed are part of the ledger's format: they never change. Pure. */
#include "claims.h"

#include <string.h>

#include "audit/ledger.h"
#include "base/hash.h"
#include "base/must.h"

_Static_assert(CLAIM_KEY_BYTES == LEDGER_CLAIM_KEY && CLAIM_KEY_BYTES == LEDGER_CLAIM_OWNER,
	"one hash serves as key and as owner");

enum {
	PARTS_MAX = 6,
	NUMBER_BYTES = 8,
	KIND_OWNER = 0, /* of no claim */
};

/* Big-endian, whatever the machine. */
static struct span
write_number(uint64_t v, char out[NUMBER_BYTES])
{
	for (int i = 0; i < NUMBER_BYTES; i++)
		out[i] = (char)(uint8_t)(v >> (8 * (NUMBER_BYTES - 1 - i)));
	return span_of(out, NUMBER_BYTES);
}

static void
hash_parts(uint64_t kind, const struct span *parts, size_t n, uint8_t out[CLAIM_KEY_BYTES])
{
	char numbers[PARTS_MAX + 1][NUMBER_BYTES];
	struct span all[2 * PARTS_MAX + 1];
	uint8_t hash[SHA256_BYTES];

	MUST(n <= PARTS_MAX);
	all[0] = write_number(kind, numbers[PARTS_MAX]);
	for (size_t i = 0; i < n; i++) {
		all[1 + 2 * i] = write_number(parts[i].n, numbers[i]);
		all[2 + 2 * i] = parts[i];
	}
	hash_sha256_parts(all, 1 + 2 * n, hash);
	memcpy(out, hash, CLAIM_KEY_BYTES);
}

void
claim_key(enum claim_kind kind, const struct span *parts, size_t n, uint8_t out[CLAIM_KEY_BYTES])
{
	hash_parts(kind, parts, n, out);
}

void
claim_owner(const struct span identity[3], uint8_t out[CLAIM_KEY_BYTES])
{
	hash_parts(KIND_OWNER, identity, 3, out);
}
