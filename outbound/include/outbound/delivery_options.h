/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Where and how something is posted to: what the webhook sink and the notices have in common. */
#ifndef OUTBOUND_DELIVERY_OPTIONS_H
#define OUTBOUND_DELIVERY_OPTIONS_H

#include <stdint.h>

#include "base/span.h"

struct delivery_options {
	struct span url;       /* never logged: a token may be in it */
	struct span secret;    /* key of the HMAC; empty: no signature header */
	int64_t timeout_ns;    /* for one call */
	const char *ca_file;   /* PEM; NULL: the system's */
	const char *cert_file; /* PEM, shown to a receiver that asks for one; NULL: none */
	const char *key_file;  /* its key; NULL: in cert_file */
};

#endif
