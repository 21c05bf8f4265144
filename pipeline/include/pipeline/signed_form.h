/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request signature of version 2 covers (decisions 39), for those who make one and those who check it: seven lines joined by
 * LF, none at the end: v2, method, path with query as on the request line, timestamp, nonce, lower-case hex SHA-256 of
 * the body, Idempotency-Key or nothing. docs/integration.md has vectors. Pure; any thread.
 */
#ifndef PIPELINE_SIGNED_FORM_H
#define PIPELINE_SIGNED_FORM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/hash.h"
#include "base/span.h"

#define SIGNED_FORM_NONCE_MIN 16
#define SIGNED_FORM_NONCE_MAX 64
/* Of the whole form, for those who need it in one piece. */
#define SIGNED_FORM_BYTES_MAX 12288

struct signed_form {
	struct span method;
	struct span target;
	struct span timestamp; /* decimal seconds since 1970-01-01 UTC */
	struct span nonce;
	struct span idempotency_key;
	char body_hash[SHA256_HEX + 1]; /* of signed_form_set_body */
};

void signed_form_set_body(struct signed_form *f, struct span body);
void signed_form_mac(const struct signed_form *f, struct span key, uint8_t mac[SHA256_BYTES]);
/* The form itself, in room; empty when it is longer than that. */
MUSTCHECK struct span signed_form_write(
	const struct signed_form *f, char room[SIGNED_FORM_BYTES_MAX]);

/* 1 to 12 digits, no sign, no zero in front. */
MUSTCHECK bool signed_form_read_time(struct span text, int64_t *seconds);
/* 16 to 64 of A-Z a-z 0-9 _ -. */
bool signed_form_is_nonce(struct span text);

#endif
