/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Signatures and base64: published vectors, round trips, and everything that must not verify. */
#include "base/sign.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/hash.h"
#include "base/mem.h"
#include "support/test.h"

/* A file of tests/corpus/sign; the buffer is the caller's. */
static struct span
load(struct buf *b, const char *name)
{
	char path[512];
	struct errinfo ei = {0};

	snprintf(path, sizeof(path), "%s/corpus/sign/%s", test_source_dir(), name);
	buf_init(b, BUF_CAP_FILE);
	if (fdio_read_file(path, 65536, b, &ei) != OK)
		FAIL("%s", ei.msg);
	return buf_span(b);
}

/* RFC 8032 7.1, test 1: an empty message. */
TEST(ed25519_vector)
{
	static const char want[] =
		"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
		"5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
	struct buf pem;
	struct sign_key *k;
	uint8_t signature[SIGN_ED25519_BYTES];
	char hex[2 * SIGN_ED25519_BYTES + 1];

	CHECK_INT(sign_key_parse_private(load(&pem, "ed25519_rfc8032_1.pem"), &k, NULL), OK);
	CHECK_INT(sign_ed25519(k, SPAN_NONE, signature, NULL), OK);
	hash_hex(signature, sizeof(signature), hex);
	CHECK_STR(hex, want);
	CHECK_INT(strlen(sign_key_id(k)), SIGN_KEY_ID_HEX);
	/* First 8 bytes of SHA-256 of d75a9801...f707511a. */
	CHECK_STR(sign_key_id(k), "21fe31dfa154a261");
	sign_key_free(&k);
	CHECK(k == NULL);
	buf_fini(&pem);
}

static struct span
span_of_signature(const uint8_t signature[SIGN_ED25519_BYTES])
{
	return span_of((const char *)signature, SIGN_ED25519_BYTES);
}

TEST(any_flipped_bit_is_noticed)
{
	struct sign_key *k;
	char text[] = "checkpoint 17";
	uint8_t signature[SIGN_ED25519_BYTES];
	struct span data = span_cstr(text);

	CHECK_INT(sign_key_new(&k, NULL), OK);
	CHECK_INT(sign_ed25519(k, data, signature, NULL), OK);
	CHECK(sign_ed25519_verify(k, data, span_of_signature(signature)));
	for (size_t bit = 0; bit < 8 * sizeof(signature); bit += 7) {
		signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(!sign_ed25519_verify(k, data, span_of_signature(signature)));
		signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	text[0] = 'C';
	CHECK(!sign_ed25519_verify(k, data, span_of_signature(signature)));
	text[0] = 'c';
	CHECK(sign_ed25519_verify(k, data, span_of_signature(signature)));
	CHECK(!sign_ed25519_verify(k, data, SPAN_NONE));
	CHECK(!sign_ed25519_verify(k, data, span_of((const char *)signature, 63)));
	sign_key_free(&k);
}

TEST(keys_survive_their_pem)
{
	struct sign_key *k;
	struct sign_key *private_copy;
	struct sign_key *public_copy;
	struct sign_key *other;
	struct buf pem;
	uint8_t signature[SIGN_ED25519_BYTES];

	CHECK_INT(sign_key_new(&k, NULL), OK);
	CHECK_INT(sign_key_new(&other, NULL), OK);
	CHECK(strcmp(sign_key_id(k), sign_key_id(other)) != 0);
	buf_init(&pem, 1000);
	CHECK_INT(sign_key_build_private(k, &pem, NULL), OK);
	CHECK(span_starts(buf_span(&pem), SPAN_LIT("-----BEGIN PRIVATE KEY-----\n")));
	CHECK_INT(sign_key_parse_private(buf_span(&pem), &private_copy, NULL), OK);
	buf_reset(&pem);
	CHECK_INT(sign_key_build_public(k, &pem, NULL), OK);
	CHECK(span_starts(buf_span(&pem), SPAN_LIT("-----BEGIN PUBLIC KEY-----\n")));
	CHECK_INT(sign_key_parse_public(buf_span(&pem), &public_copy, NULL), OK);
	CHECK_STR(sign_key_id(public_copy), sign_key_id(k));
	CHECK_INT(sign_ed25519(private_copy, SPAN_LIT("x"), signature, NULL), OK);
	CHECK(sign_ed25519_verify(public_copy, SPAN_LIT("x"), span_of_signature(signature)));
	CHECK(!sign_ed25519_verify(other, SPAN_LIT("x"), span_of_signature(signature)));
	buf_fini(&pem);
	sign_key_free(&k);
	sign_key_free(&private_copy);
	sign_key_free(&public_copy);
	sign_key_free(&other);
	sign_key_free(&other);
}

TEST(public_key_neither_signs_nor_exports_a_private_one)
{
	static const uint8_t zeros[SIGN_ED25519_BYTES];
	struct sign_key *k;
	struct sign_key *public_only;
	struct buf pem;
	struct errinfo ei = {0};
	uint8_t signature[SIGN_ED25519_BYTES] = {1};

	CHECK_INT(sign_key_new(&k, NULL), OK);
	buf_init(&pem, 1000);
	CHECK_INT(sign_key_build_public(k, &pem, NULL), OK);
	CHECK_INT(sign_key_parse_public(buf_span(&pem), &public_only, NULL), OK);
	buf_reset(&pem);
	CHECK_INT(sign_ed25519(public_only, SPAN_LIT("x"), signature, &ei), ERR_CRYPTO);
	CHECK(memcmp(signature, zeros, sizeof(zeros)) == 0);
	CHECK_INT(sign_key_build_private(public_only, &pem, &ei), ERR_CRYPTO);
	CHECK_INT(pem.n, 0);
	buf_fini(&pem);
	sign_key_free(&k);
	sign_key_free(&public_only);
}

TEST(build_without_room_fails)
{
	struct sign_key *k;
	struct buf pem;

	CHECK_INT(sign_key_new(&k, NULL), OK);
	buf_init(&pem, 20);
	CHECK_INT(sign_key_build_public(k, &pem, NULL), ERR_TOO_LARGE);
	buf_fini(&pem);
	sign_key_free(&k);
}

TEST(other_keys_are_refused)
{
	static const char *const names[] = {
		"rsa.pub.pem", "p256.pub.pem", "ed25519_encrypted.pem", "message"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct buf pem;
		struct errinfo ei = {0};
		struct sign_key *k = NULL;
		struct span text = load(&pem, names[i]);
		CHECK_INT(sign_key_parse_private(text, &k, &ei), ERR_PARSE);
		CHECK(k == NULL);
		CHECK_INT(sign_key_parse_public(text, &k, &ei), ERR_PARSE);
		CHECK(k == NULL);
		buf_fini(&pem);
	}
	struct sign_key *k = NULL;
	CHECK_INT(sign_key_parse_private(SPAN_NONE, &k, NULL), ERR_PARSE);
}

static enum err
verify_rsa(const char *key_name, const char *signature_name, struct span data, struct errinfo *ei)
{
	struct buf pem;
	struct buf text;
	struct buf signature;
	struct span key = load(&pem, key_name);

	buf_init(&signature, 1024);
	CHECK_INT(sign_base64_decode(load(&text, signature_name), &signature, NULL), OK);
	enum err rc = sign_rsa_verify(key, data, buf_span(&signature), ei);
	buf_fini(&pem);
	buf_fini(&text);
	buf_fini(&signature);
	return rc;
}

TEST(rsa_signature_of_the_openssl_tool)
{
	struct errinfo ei = {0};
	struct buf message;
	struct span data = load(&message, "message");

	CHECK_INT(verify_rsa("rsa.pub.pem", "message.sig", data, &ei), OK);
	CHECK_INT(verify_rsa("rsa.pub.pem", "message.sig", SPAN_LIT("policy: v2\n"), &ei),
		ERR_FORBIDDEN);
	CHECK_INT(verify_rsa("rsa.pub.pem", "message.sig", SPAN_NONE, &ei), ERR_FORBIDDEN);
	CHECK_INT(verify_rsa("rsa.pub.pem", "message.pss.sig", data, &ei), ERR_FORBIDDEN);
	CHECK_INT(verify_rsa("rsa.pub.pem", "message.sha1.sig", data, &ei), ERR_FORBIDDEN);
	buf_fini(&message);
}

TEST(rsa_keys_that_are_none)
{
	static const struct {
		const char *name;
		const char *want;
	} rows[] = {
		{"message", "invalid public key pem"},
		{"rsa_pkcs1.pub.pem", "invalid public key pem"},
		{"p256.pub.pem", "public key is not rsa"},
		{"rsa1024.pub.pem", "rsa public key is under 2048 bits"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errinfo ei = {0};
		CHECK_INT(verify_rsa(rows[i].name, "message.sig", SPAN_LIT("x"), &ei), ERR_PARSE);
		CHECK_STR(ei.msg, rows[i].want);
	}
	struct errinfo ei = {0};
	struct span broken =
		SPAN_LIT("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
	CHECK_INT(sign_rsa_verify(broken, SPAN_NONE, SPAN_NONE, &ei), ERR_PARSE);
	CHECK_STR(ei.msg, "invalid rsa public key");
	CHECK_INT(sign_rsa_verify(SPAN_NONE, SPAN_NONE, SPAN_NONE, &ei), ERR_PARSE);
}

/* RFC 4648 10. */
TEST(base64_vectors)
{
	static const char *const rows[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
		{"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"}, {"\xfb\xff\xfe", "+//+"}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;
		buf_init(&b, 100);
		sign_base64_encode(span_cstr(rows[i][0]), &b);
		CHECK_SPAN(buf_span(&b), rows[i][1]);
		buf_reset(&b);
		CHECK_INT(sign_base64_decode(span_cstr(rows[i][1]), &b, NULL), OK);
		CHECK_SPAN(buf_span(&b), rows[i][0]);
		buf_fini(&b);
	}
}

TEST(base64_is_strict)
{
	static const char *const bad[] = {"Z", "Zg",
		"Zg=", "Zg===", "Zg==Zg==", "Z===", "====", "=Zg=", "Zm8=\n",
		"Zm\n8=", " Zm8=", "Zm9-", "Zm9_", "Zh==", "Zm9=", "Z=g=", "Zm9vZ=m8", "Zm8\xc3"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buf b;
		buf_init(&b, 100);
		BUF_ADD_LIT(&b, "old");
		if (sign_base64_decode(span_cstr(bad[i]), &b, NULL) != ERR_PARSE)
			FAIL("\"%s\" was taken", bad[i]);
		CHECK_SPAN(buf_span(&b), "old");
		buf_fini(&b);
	}
	struct buf b;
	buf_init(&b, 2);
	CHECK_INT(sign_base64_decode(SPAN_LIT("Zm9v"), &b, NULL), ERR_TOO_LARGE);
	CHECK_INT(b.n, 0);
	buf_fini(&b);
}

SUITE("sign", TEST_ROW(ed25519_vector), TEST_ROW(any_flipped_bit_is_noticed),
	TEST_ROW(keys_survive_their_pem),
	TEST_ROW(public_key_neither_signs_nor_exports_a_private_one),
	TEST_ROW(build_without_room_fails), TEST_ROW(other_keys_are_refused),
	TEST_ROW(rsa_signature_of_the_openssl_tool), TEST_ROW(rsa_keys_that_are_none),
	TEST_ROW(base64_vectors), TEST_ROW(base64_is_strict))
