/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, HMAC and hex against published vectors, from one thread and from many. */
#include "base/hash.h"

#include <pthread.h>
#include <string.h>

#include "support/test.h"

TEST(init_is_idempotent)
{
	struct errinfo ei = {0};

	CHECK_INT(hash_init(&ei), OK);
	CHECK_INT(hash_init(&ei), OK);
}

/* FIPS 180-4 examples. */
TEST(sha256_vectors)
{
	static const struct {
		const char *text;
		const char *want;
	} rows[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char hex[SHA256_HEX + 1];
		hash_sha256_hex(span_cstr(rows[i].text), hex);
		CHECK_STR(hex, rows[i].want);
	}
	char hex[SHA256_HEX + 1];
	hash_sha256_hex(SPAN_NONE, hex);
	CHECK_STR(hex, rows[0].want);
}

TEST(parts_are_one_text)
{
	struct span parts[] = {SPAN_LIT("a"), SPAN_NONE, SPAN_LIT("b"), SPAN_LIT("c")};
	uint8_t whole[SHA256_BYTES];
	uint8_t in_parts[SHA256_BYTES];

	hash_sha256(SPAN_LIT("abc"), whole);
	hash_sha256_parts(parts, ARRAY_LEN(parts), in_parts);
	CHECK(memcmp(whole, in_parts, sizeof(whole)) == 0);
	hash_sha256_parts(NULL, 0, in_parts);
	hash_sha256(SPAN_NONE, whole);
	CHECK(memcmp(whole, in_parts, sizeof(whole)) == 0);
}

static void
check_hmac(struct span key, struct span text, const char *want)
{
	uint8_t mac[SHA256_BYTES];
	char hex[SHA256_HEX + 1];

	hash_hmac_sha256(key, text, mac);
	hash_hex(mac, sizeof(mac), hex);
	CHECK_STR(hex, want);
}

/* RFC 4231, cases 1, 2 and 6. */
TEST(hmac_vectors)
{
	char key[131];

	memset(key, 0x0b, 20);
	check_hmac(span_of(key, 20), SPAN_LIT("Hi There"),
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	check_hmac(SPAN_LIT("Jefe"), SPAN_LIT("what do ya want for nothing?"),
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	check_hmac(span_of(key, sizeof(key)),
		SPAN_LIT("Test Using Larger Than Block-Size Key - Hash Key First"),
		"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* As Python's hmac has them. */
TEST(hmac_keys_around_a_block)
{
	char key[65];

	memset(key, 0x0c, sizeof(key));
	check_hmac(span_of(key, 63), SPAN_LIT("block"),
		"326aea4e5b5fdd2beb89d6df89c9aecd21cd90908d8dede31c8ca95cdc3ef9fb");
	check_hmac(span_of(key, 64), SPAN_LIT("block"),
		"9cb91753d14846c25df155c94007d8675d4a4d48b7b420a626ef2c6f343b8688");
	check_hmac(span_of(key, 65), SPAN_LIT("block"),
		"35a8c075507f25035041680a2e23d5fc916a0364316c6bcccbeb74882503a4d1");
}

/* An empty key must not be taken for the key of the call before. */
TEST(empty_hmac_key_is_a_key)
{
	static const char want[] =
		"b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";

	check_hmac(SPAN_NONE, SPAN_NONE, want);
	check_hmac(SPAN_LIT("Jefe"), SPAN_LIT("what do ya want for nothing?"),
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	check_hmac(SPAN_NONE, SPAN_NONE, want);
	check_hmac(span_of("", 0), SPAN_NONE, want);
}

/* nomos-http.md 11: what an agent of the reference sends. */
TEST(agent_signature_vector)
{
	static const char body[] =
		"{\"schema_version\":\"v1\",\"action_id\":\"a1\",\"action_type\":\"fs.read\","
		"\"resource\":\"file://workspace/README.md\",\"params\":{},\"trace_id\":\"t1\","
		"\"context\":{\"extensions\":{}}}";

	CHECK_INT(sizeof(body) - 1, 160);
	check_hmac(SPAN_LIT("agent-secret"), SPAN_LIT(body),
		"10e13d68c5164d40006adfbfa58cf293d59cbaf78006245fdd2ff0a8add691c9");
}

TEST(hex_there_and_back)
{
	uint8_t bytes[256];
	uint8_t back[256];
	char hex[513];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	hash_hex(bytes, sizeof(bytes), hex);
	CHECK_INT(strlen(hex), 512);
	CHECK(hash_unhex(span_cstr(hex), back, sizeof(back)));
	CHECK(memcmp(bytes, back, sizeof(bytes)) == 0);
	CHECK(hash_unhex(SPAN_NONE, back, 0));
}

TEST(unhex_is_strict)
{
	static const char *const bad[] = {
		"", "0", "000", "00000", "00AB", "0g00", "00 0", "0x00", "00:0"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t out[2] = {9, 9};
		if (hash_unhex(span_cstr(bad[i]), out, sizeof(out)) || out[0] != 0 || out[1] != 0)
			FAIL("\"%s\" was taken", bad[i]);
	}
	CHECK(!hash_unhex(span_of("0\0"
				  "00",
				  4),
		(uint8_t[2]){0}, 2));
}

static void *
hash_many(void *arg)
{
	bool *is_right = arg;
	char hex[SHA256_HEX + 1];
	uint8_t mac[SHA256_BYTES];

	*is_right = true;
	for (int i = 0; i < 200; i++) {
		hash_sha256_hex(SPAN_LIT("abc"), hex);
		hash_hmac_sha256(SPAN_LIT("Jefe"), SPAN_LIT("what do ya want for nothing?"), mac);
		if (strncmp(hex, "ba7816bf", 8) != 0 || mac[0] != 0x5b || mac[31] != 0x43)
			*is_right = false;
	}
	return NULL;
}

TEST(threads_do_not_mix)
{
	pthread_t threads[4];
	bool is_right[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK_INT(pthread_create(&threads[i], NULL, hash_many, &is_right[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		CHECK_INT(pthread_join(threads[i], NULL), 0);
		CHECK(is_right[i]);
	}
}

SUITE("hash", TEST_ROW(init_is_idempotent), TEST_ROW(sha256_vectors), TEST_ROW(parts_are_one_text),
	TEST_ROW(hmac_vectors), TEST_ROW(hmac_keys_around_a_block),
	TEST_ROW(empty_hmac_key_is_a_key), TEST_ROW(agent_signature_vector),
	TEST_ROW(hex_there_and_back), TEST_ROW(unhex_is_strict), TEST_ROW(threads_do_not_mix))
