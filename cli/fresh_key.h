/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A new API key nk_ID_SECRET with 256 random bits (decisions 40), and what the configuration keeps of it. The caller wipes it.
 * Any thread.
 */
#ifndef CLI_FRESH_KEY_H
#define CLI_FRESH_KEY_H

#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"

#define FRESH_KEY_NAME_MAX 48

struct fresh_key {
	char id[FRESH_KEY_NAME_MAX + 16];
	char text[FRESH_KEY_NAME_MAX + 128];
	char hash[SHA256_HEX + 1]; /* without "sha256:" */
};

/* The id is name, letters and digits, with random ones behind it. ERR_CRYPTO. */
MUSTCHECK enum err fresh_key_make(const char *name, struct fresh_key *out, struct errinfo *ei);
/* Lower-case hex of n random bytes, at most 32, and a NUL. ERR_CRYPTO. */
MUSTCHECK enum err fresh_hex(size_t n, char *out, struct errinfo *ei);

#endif
