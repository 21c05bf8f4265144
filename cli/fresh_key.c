/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Random texts for credentials. No copy of a secret is left but the caller's. */
#include "fresh_key.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/must.h"
#include "base/rand.h"

#define SECRET_BYTES 32
#define ID_BYTES 4

enum err
fresh_hex(size_t n, char *out, struct errinfo *ei)
{
	unsigned char bytes[SECRET_BYTES];
	enum err rc;

	MUST(n <= sizeof(bytes));
	rc = rand_bytes(bytes, n, ei);
	hash_hex(bytes, n, out);
	mem_wipe(bytes, sizeof(bytes));
	return rc;
}

enum err
fresh_key_make(const char *name, struct fresh_key *out, struct errinfo *ei)
{
	char id[2 * ID_BYTES + 1];
	char secret[2 * SECRET_BYTES + 1];
	enum err rc = fresh_hex(ID_BYTES, id, ei);

	if (rc == OK)
		rc = fresh_hex(SECRET_BYTES, secret, ei);
	if (rc != OK)
		return rc;
	snprintf(out->id, sizeof(out->id), "%.*s%s", FRESH_KEY_NAME_MAX, name, id);
	snprintf(out->text, sizeof(out->text), "nk_%s_%s", out->id, secret);
	hash_sha256_hex(span_cstr(out->text), out->hash);
	mem_wipe(secret, sizeof(secret));
	return OK;
}
