/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The signature of what goes out. Any thread. */
#include "signature.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/secret.h"

bool
signature_build(const struct secret *secret, struct span body, char out[SIGNATURE_MAX])
{
	int64_t now = clock_wall_ns() / NS_PER_SEC;
	char hex[SHA256_HEX + 1];
	uint8_t mac[SHA256_BYTES];
	struct buf text;

	buf_init(&text, body.n + 32);
	buf_add_int(&text, now);
	buf_add_char(&text, '.');
	buf_add_span(&text, body);
	bool is_built = !buf_failed(&text);
	if (is_built) {
		hash_hmac_sha256(secret_get_bytes(secret), buf_span(&text), mac);
		hash_hex(mac, sizeof(mac), hex);
		snprintf(out, SIGNATURE_MAX, "t=%" PRId64 ",v1=%s", now, hex);
	}
	buf_fini(&text);
	return is_built;
}
