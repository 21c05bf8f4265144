/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Random bytes: filled, different, bounded. */
#include "base/rand.h"

#include <string.h>

#include "support/test.h"

TEST(draws_differ)
{
	unsigned char a[32] = {0};
	unsigned char b[32] = {0};

	CHECK_INT(rand_bytes(a, sizeof(a), NULL), OK);
	CHECK_INT(rand_bytes(b, sizeof(b), NULL), OK);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
}

TEST(only_the_bytes_asked_for_are_written)
{
	unsigned char a[16] = {0};

	CHECK_INT(rand_bytes(a, 0, NULL), OK);
	CHECK_INT(rand_bytes(a + 4, 8, NULL), OK);
	CHECK(memcmp(a, "\0\0\0", 4) == 0);
	CHECK(memcmp(a + 12, "\0\0\0", 4) == 0);
}

SUITE("rand", TEST_ROW(draws_differ), TEST_ROW(only_the_bytes_asked_for_are_written))
