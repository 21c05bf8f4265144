/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: the signed text, records and head files both ways, keys and their rights. */
#include "audit/checkpoint.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/must.h"
#include "support/test.h"

#define CHAIN "00112233445566778899aabbccddeeff"
#define HASH "04ae64afdfb5b314211c7e14ef9fbd243fe5d43e9464755b183a54b8a043ba6c"

static struct checkpoint
signed_checkpoint(const struct sign_key *key)
{
	struct checkpoint cp = {.chain_id = CHAIN, .at = {.seq = 41, .hash = HASH}};
	struct errinfo ei;

	MUST(checkpoint_sign(key, &cp, &ei) == OK);
	return cp;
}

static struct sign_key *
new_key(void)
{
	struct sign_key *key = NULL;
	struct errinfo ei;

	MUST(sign_key_new(&key, &ei) == OK);
	return key;
}

TEST(the_signed_text_is_fixed)
{
	const struct checkpoint cp = {.chain_id = CHAIN, .at = {.seq = 41, .hash = HASH}};
	struct buf b;

	buf_init(&b, 1024);
	checkpoint_build_text(&cp, &b);
	CHECK_SPAN(buf_span(&b), "nomos.checkpoint.v1\n" CHAIN "\n41\n" HASH);
	buf_fini(&b);
}

TEST(any_change_breaks_the_signature)
{
	struct sign_key *key = new_key();
	struct sign_key *other = new_key();
	const struct checkpoint good = signed_checkpoint(key);
	struct checkpoint bad = good;

	CHECK(checkpoint_is_signed_by(&good, key));
	CHECK(!checkpoint_is_signed_by(&good, other));
	bad.chain_id[0] = 'f';
	CHECK(!checkpoint_is_signed_by(&bad, key));
	bad = good;
	bad.at.seq++;
	CHECK(!checkpoint_is_signed_by(&bad, key));
	bad = good;
	bad.at.hash[63] = '0';
	CHECK(!checkpoint_is_signed_by(&bad, key));
	bad = good;
	bad.key_id[0] = bad.key_id[0] == '0' ? '1' : '0';
	CHECK(!checkpoint_is_signed_by(&bad, key));
	bad = good;
	bad.signature[17] ^= 1;
	CHECK(!checkpoint_is_signed_by(&bad, key));
	sign_key_free(&key);
	sign_key_free(&other);
}

static void
build_record(const struct checkpoint *cp, const char *type, struct buf *b)
{
	buf_printf(b,
		"{\"chain_id\":\"%s\",\"checkpoint_hash\":\"%s\",\"checkpoint_seq\":41,\"event_"
		"type\":\"%s\","
		"\"key_id\":\"%s\",\"seq\":42,\"signature\":\"",
		cp->chain_id, cp->at.hash, type, cp->key_id);
	sign_base64_encode(span_of((const char *)cp->signature, sizeof(cp->signature)), b);
	buf_add_cstr(b, "\",\"timestamp\":\"2026-01-01T00:00:00Z\"}");
}

TEST(records_are_read_back)
{
	struct sign_key *key = new_key();
	const struct checkpoint cp = signed_checkpoint(key);
	struct checkpoint back;
	struct buf b;

	buf_init(&b, 4096);
	build_record(&cp, CHECKPOINT_EVENT, &b);
	CHECK(checkpoint_parse_record(buf_span(&b), &back));
	CHECK(memcmp(&back, &cp, sizeof(cp)) == 0);
	CHECK(!checkpoint_parse_record(span_of(b.p, b.n - 90), &back));
	CHECK_INT(back.at.seq, 0);
	buf_reset(&b);
	build_record(&cp, "action.decision", &b);
	CHECK(!checkpoint_parse_record(buf_span(&b), &back));
	buf_fini(&b);
	sign_key_free(&key);
}

TEST(head_files_are_read_back)
{
	struct sign_key *key = new_key();
	const struct checkpoint cp = signed_checkpoint(key);
	struct checkpoint back;
	struct errinfo ei;
	char path[256];

	snprintf(path, sizeof(path), "%s/head", test_tmpdir());
	CHECK_INT(checkpoint_read_head(path, &back, &ei), ERR_NOT_FOUND);
	CHECK_INT(checkpoint_write_head(path, &cp, &ei), OK);
	CHECK_INT(checkpoint_read_head(path, &back, &ei), OK);
	CHECK(memcmp(&back, &cp, sizeof(cp)) == 0);
	sign_key_free(&key);
}

TEST(malformed_heads_are_refused)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[]",
		"null",
		"{\"chain_id\":\"" CHAIN "\",\"hash\":\"" HASH
		"\",\"key_id\":\"0011223344556677\",\"seq\":41}",
		"{\"chain_id\":\"" CHAIN "\",\"hash\":\"" HASH
		"\",\"key_id\":\"0011223344556677\",\"seq\":41,\"signature\":\"AAAA\"}",
		"{\"chain_id\":\"" CHAIN "\",\"hash\":\"" HASH
		"\",\"key_id\":\"0011223344556677\",\"seq\":\"41\",\"signature\":\"\"}",
		"{\"chain_id\":\"" CHAIN "\",\"hash\":\"" HASH
		"\",\"key_id\":\"0011223344556677\",\"seq\":0,\"signature\":\"\"}",
		"{\"chain_id\":\"ZZ\",\"hash\":\"" HASH
		"\",\"key_id\":\"0011223344556677\",\"seq\":1,\"signature\":\"\"}",
	};
	struct checkpoint cp;
	struct errinfo ei;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (checkpoint_parse_head(span_cstr(texts[i]), &cp, &ei) != ERR_PARSE)
			FAIL("accepted: %s", texts[i]);
		CHECK_INT(cp.at.seq, 0);
	}
}

/* In place of the C library's: counts the folders that are made durable while `watched` exists. */
static const char *watched;
static int n_folder_syncs;

int
fsync(int fd)
{
	struct stat st;

	if (watched != NULL && access(watched, F_OK) == 0 && fstat(fd, &st) == 0 &&
		S_ISDIR(st.st_mode))
		n_folder_syncs++;
	return fdatasync(fd);
}

/* A durable chain whose key was lost to a power cut could not go on. */
TEST(a_new_key_is_durable_with_its_name)
{
	struct sign_key *key = NULL;
	struct errinfo ei;
	const char *dir = test_tmpdir();
	char path[256];
	char pub_path[256];

	snprintf(path, sizeof(path), "%s/key", dir);
	snprintf(pub_path, sizeof(pub_path), "%s/pub", dir);
	watched = path;
	CHECK_INT(checkpoint_load_key(path, pub_path, true, &key, &ei), OK);
	watched = NULL;
	CHECK_INT(n_folder_syncs, 1);
	sign_key_free(&key);
}

TEST(a_key_is_made_once_and_kept)
{
	struct sign_key *key = NULL;
	struct sign_key *again = NULL;
	struct sign_key *pub = NULL;
	struct errinfo ei;
	const char *dir = test_tmpdir();
	char path[256];
	char pub_path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/key", dir);
	snprintf(pub_path, sizeof(pub_path), "%s/pub", dir);
	CHECK_INT(checkpoint_load_key(path, pub_path, false, &key, &ei), ERR_NOT_FOUND);
	CHECK(key == NULL);
	CHECK_INT(checkpoint_load_key(path, pub_path, true, &key, &ei), OK);
	CHECK_INT(checkpoint_load_key(path, pub_path, true, &again, &ei), OK);
	CHECK_STR(sign_key_id(key), sign_key_id(again));
	CHECK_INT(checkpoint_load_public_key(pub_path, &pub, &ei), OK);
	CHECK_STR(sign_key_id(key), sign_key_id(pub));
	const struct checkpoint cp = signed_checkpoint(key);
	CHECK(checkpoint_is_signed_by(&cp, pub));
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	sign_key_free(&key);
	sign_key_free(&again);
	sign_key_free(&pub);
}

TEST(a_key_that_others_can_use_is_refused)
{
	static const mode_t modes[] = {0640, 0604, 0610, 0601, 0660, 0666};
	struct sign_key *key = NULL;
	struct errinfo ei;
	char path[256];

	snprintf(path, sizeof(path), "%s/key", test_tmpdir());
	CHECK_INT(checkpoint_load_key(path, "/dev/null/no", true, &key, &ei), ERR_IO);
	CHECK(key == NULL);
	CHECK(access(path, F_OK) != 0);
	CHECK_INT(fdio_write_file(path, SPAN_LIT("not a key"), 0600, &ei), OK);
	CHECK_INT(checkpoint_load_key(path, "/none", true, &key, &ei), ERR_PARSE);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		CHECK_INT(chmod(path, modes[i]), 0);
		CHECK_INT(checkpoint_load_key(path, "/none", true, &key, &ei), ERR_FORBIDDEN);
		CHECK(key == NULL);
	}
}

TEST(seals_are_read_back)
{
	static const char *const bad[] = {"", "{}",
		"{\"chain_id\":\"\",\"hash\":\"\",\"reason\":\"x\"}",
		"{\"chain_id\":\"\\\"}\",\"hash\":\"\",\"reason\":\"x\",\"seq\":1}",
		"{\"chain_id\":\"\",\"hash\":\"00\",\"reason\":\"x\",\"seq\":1}",
		"{\"chain_id\":1,\"hash\":\"\",\"reason\":\"x\",\"seq\":1}",
		"{\"chain_id\":\"\",\"hash\":\"\",\"reason\":\"x\",\"seq\":-1}"};
	struct checkpoint_seal seal = {
		.chain_id = CHAIN, .at = {.seq = 9, .hash = HASH}, .reason = "lost \"it\"\n"};
	struct checkpoint_seal back;
	struct errinfo ei;
	char path[256];

	snprintf(path, sizeof(path), "%s/seal", test_tmpdir());
	CHECK_INT(checkpoint_read_seal(path, &back, &ei), ERR_NOT_FOUND);
	CHECK_INT(checkpoint_write_seal(path, &seal, &ei), OK);
	CHECK_INT(checkpoint_read_seal(path, &back, &ei), OK);
	CHECK(memcmp(&back, &seal, sizeof(seal)) == 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_INT(fdio_write_file(path, span_cstr(bad[i]), 0600, &ei), OK);
		CHECK_INT(checkpoint_read_seal(path, &back, &ei), ERR_PARSE);
	}
}

SUITE("checkpoint", TEST_ROW(the_signed_text_is_fixed), TEST_ROW(any_change_breaks_the_signature),
	TEST_ROW(records_are_read_back), TEST_ROW(head_files_are_read_back),
	TEST_ROW(malformed_heads_are_refused), TEST_ROW(a_new_key_is_durable_with_its_name),
	TEST_ROW(a_key_is_made_once_and_kept), TEST_ROW(a_key_that_others_can_use_is_refused),
	TEST_ROW(seals_are_read_back))
