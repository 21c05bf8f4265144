/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Secrets: content, comparison, lifetime. */
#include "base/secret.h"

#include <string.h>

#include "base/mem.h"
#include "support/test.h"

TEST(keeps_a_copy)
{
	long before = mem_live();
	char text[] = "key\0x";
	struct secret *s = secret_new(span_of(text, 5));

	CHECK(s != NULL);
	memset(text, 0, sizeof(text));
	CHECK_INT(secret_length(s), 5);
	CHECK(memcmp(secret_get_bytes(s).p, "key\0x", 5) == 0);
	secret_free(&s);
	CHECK(s == NULL);
	secret_free(&s);
	CHECK_INT(mem_live(), before);
}

TEST(empty_secret)
{
	struct secret *s = secret_new(SPAN_NONE);

	CHECK_INT(secret_length(s), 0);
	secret_free(&s);
}

TEST(comparison)
{
	CHECK(secret_eq(SPAN_LIT("abc"), SPAN_LIT("abc")));
	CHECK(!secret_eq(SPAN_LIT("abc"), SPAN_LIT("abd")));
	CHECK(!secret_eq(SPAN_LIT("abc"), SPAN_LIT("Abc")));
	CHECK(!secret_eq(SPAN_LIT("abc"), SPAN_LIT("ab")));
	CHECK(!secret_eq(SPAN_LIT("abc"), SPAN_NONE));
	CHECK(secret_eq(SPAN_NONE, SPAN_LIT("")));
	CHECK(!secret_eq(span_of("a\0b", 3), span_of("a\0c", 3)));
}

SUITE("secret", TEST_ROW(keeps_a_copy), TEST_ROW(empty_secret), TEST_ROW(comparison))
