/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The last line of an export has one form only, and its signature covers all that it says. */
#include <stdio.h>

#include "audit/trailer.h"
#include "base/buf.h"
#include "support/test.h"

#define CHAIN "00112233445566778899aabbccddeeff"
#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MARK "\"trailer\":\"nomos.export.v1\"}"

static struct trailer
sample(void)
{
	struct trailer t = {.count = 7, .head = {.seq = 7}};

	snprintf(t.chain_id, sizeof(t.chain_id), "%s", CHAIN);
	snprintf(t.head.hash, sizeof(t.head.hash), "%s", HASH);
	return t;
}

TEST(an_unsigned_one_has_the_documented_form)
{
	struct trailer t = sample();
	struct trailer back;
	struct buf b;

	CHECK_INT(trailer_sign(&t, NULL, NULL), OK);
	buf_init(&b, TRAILER_BYTES_MAX);
	trailer_build(&t, &b);
	CHECK_SPAN(buf_span(&b),
		"{\"chain_id\":\"" CHAIN "\",\"count\":7,\"head\":\"" HASH "\",\"seq\":7," MARK);
	CHECK(trailer_is_line(buf_span(&b)));
	CHECK_INT(trailer_parse(buf_span(&b), &back, NULL), OK);
	CHECK(!back.is_signed);
	CHECK_INT(back.count, 7);
	CHECK_STR(back.head.hash, HASH);
	buf_fini(&b);
}

TEST(a_signature_covers_each_member)
{
	struct trailer t = sample();
	struct trailer back;
	struct sign_key *key = NULL;
	struct sign_key *other = NULL;
	struct buf b;

	CHECK_INT(sign_key_new(&key, NULL), OK);
	CHECK_INT(sign_key_new(&other, NULL), OK);
	CHECK_INT(trailer_sign(&t, key, NULL), OK);
	buf_init(&b, TRAILER_BYTES_MAX);
	trailer_build(&t, &b);
	CHECK_INT(trailer_parse(buf_span(&b), &back, NULL), OK);
	CHECK(trailer_is_signed_by(&back, key));
	CHECK(!trailer_is_signed_by(&back, other));
	t = back;
	t.count++;
	CHECK(!trailer_is_signed_by(&t, key));
	t = back;
	t.head.seq++;
	CHECK(!trailer_is_signed_by(&t, key));
	t = back;
	t.head.hash[0] = 'b';
	CHECK(!trailer_is_signed_by(&t, key));
	t = back;
	t.chain_id[0] = '1';
	CHECK(!trailer_is_signed_by(&t, key));
	t = back;
	t.key_id[0] ^= 1;
	CHECK(!trailer_is_signed_by(&t, key));
	t = back;
	t.is_signed = false;
	CHECK(!trailer_is_signed_by(&t, key));
	buf_fini(&b);
	sign_key_free(&key);
	sign_key_free(&other);
}

static const char *const malformed[] = {
	"",
	"{}",
	"{" MARK,
	"{\"chain_id\":\"" CHAIN "\",\"count\":7,\"head\":\"" HASH "\",\"seq\":7," MARK " ",
	" {\"chain_id\":\"" CHAIN "\",\"count\":7,\"head\":\"" HASH "\",\"seq\":7," MARK,
	"{\"chain_id\": \"" CHAIN "\",\"count\":7,\"head\":\"" HASH "\",\"seq\":7," MARK,
	"{\"count\":7,\"chain_id\":\"" CHAIN "\",\"head\":\"" HASH "\",\"seq\":7," MARK,
	"{\"a\":1,\"chain_id\":\"" CHAIN "\",\"count\":7,\"head\":\"" HASH "\",\"seq\":7," MARK,
	"{\"chain_id\":\"" CHAIN "\",\"count\":7,\"count\":7,\"head\":\"" HASH "\",\"seq\":7," MARK,
	"{\"chain_id\":\"short\",\"count\":7,\"head\":\"" HASH "\",\"seq\":7," MARK,
	"{\"chain_id\":\"" CHAIN "\",\"count\":-7,\"head\":\"" HASH "\",\"seq\":7," MARK,
	"{\"chain_id\":\"" CHAIN "\",\"count\":7.0,\"head\":\"" HASH "\",\"seq\":7," MARK,
	"{\"chain_id\":\"" CHAIN "\",\"count\":\"7\",\"head\":\"" HASH "\",\"seq\":7," MARK,
	"{\"chain_id\":\"" CHAIN "\",\"count\":7,\"head\":\"" HASH
	"\",\"key_id\":\"0011223344556677\",\"seq\":7," MARK,
	"{\"chain_id\":\"" CHAIN "\",\"count\":7,\"head\":\"" HASH
	"\",\"seq\":7,\"signature\":\"AAAA\"," MARK,
};

TEST(any_other_form_is_refused)
{
	struct trailer t;
	struct errinfo ei;

	for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
		if (trailer_parse(span_cstr(malformed[i]), &t, &ei) != ERR_PARSE ||
			t.head.seq != 0 || t.is_signed)
			FAIL("taken: %s", malformed[i]);
	}
}

SUITE("trailer", TEST_ROW(an_unsigned_one_has_the_documented_form),
	TEST_ROW(a_signature_covers_each_member), TEST_ROW(any_other_form_is_refused))
