/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Keys of claims: their bytes stand in ledgers, so they never change, and no two lists of parts have one. */
#include "base/hash.h"
#include "claims.h"
#include "support/test.h"

static void
check_key(const uint8_t key[CLAIM_KEY_BYTES], const char *expected)
{
	char hex[2 * CLAIM_KEY_BYTES + 1];

	hash_hex(key, CLAIM_KEY_BYTES, hex);
	CHECK_STR(hex, expected);
}

/* python3: sha256(struct.pack(">Q", kind) + b"".join(struct.pack(">Q", len(p)) + p for p in parts))[:16] */
TEST(the_bytes_of_a_key_are_fixed)
{
	const struct span parts[] = {SPAN_LIT("alice"), SPAN_LIT("agent-1"), SPAN_LIT("prod")};
	uint8_t key[CLAIM_KEY_BYTES];

	claim_key(CLAIM_IDEMPOTENCY, parts, ARRAY_LEN(parts), key);
	check_key(key, "e0cf6fb4db649b5da710cf2be95d1cb5");
	claim_owner(parts, key);
	check_key(key, "f8ba421a7601b12ed982be32f4415e00");
}

TEST(lists_of_parts_are_told_apart)
{
	const struct span lists[][2] = {
		{SPAN_LIT("a"), SPAN_LIT("b")},
		{SPAN_LIT("ab"), SPAN_LIT("")},
		{SPAN_LIT(""), SPAN_LIT("ab")},
		{SPAN_LIT("a\0"), SPAN_LIT("b")},
		{SPAN_LIT("b"), SPAN_LIT("a")},
	};
	uint8_t keys[2 * ARRAY_LEN(lists)][CLAIM_KEY_BYTES];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		claim_key(CLAIM_APPROVAL, lists[i], 2, keys[n++]);
		claim_key(CLAIM_IDEMPOTENCY, lists[i], 2, keys[n++]);
	}
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			CHECK(memcmp(keys[i], keys[j], sizeof(keys[i])) != 0);
}

SUITE("claims", TEST_ROW(the_bytes_of_a_key_are_fixed), TEST_ROW(lists_of_parts_are_told_apart))
