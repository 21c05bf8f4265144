/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes from OpenSSL's generator, which is seeded by the kernel and kept per thread. Must
 * never give out bytes of a failed call. Any thread.
 */
#include "base/rand.h"

#include <limits.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "base/must.h"

enum err
rand_bytes(void *out, size_t n, struct errinfo *ei)
{
	MUST(n <= INT_MAX);
	if (RAND_bytes(out, (int)n) == 1)
		return OK;
	ERR_clear_error();
	if (n > 0)
		memset(out, 0, n);
	return ERR(ei, ERR_CRYPTO, "the random generator failed");
}
