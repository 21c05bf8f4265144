/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* X-Nomos-Signature, by which a receiver knows that a body comes from here and is not old (decisions 22). */
#ifndef OUTBOUND_SIGNATURE_H
#define OUTBOUND_SIGNATURE_H

#include "base/attr.h"
#include "base/hash.h"
#include "base/span.h"

struct secret;

/* Of "t=<unix seconds>,v1=<64 hex digits>" with a NUL. */
#define SIGNATURE_MAX (SHA256_HEX + 40)

/* The HMAC-SHA256 of "t.body" with the secret, at the time of now. False when memory is out. */
MUSTCHECK bool signature_build(
	const struct secret *secret, struct span body, char out[SIGNATURE_MAX]);

#endif
