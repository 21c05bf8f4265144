/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A secret: bytes that are wiped when freed, compared in constant time, and that no function of
 * this header gives out for printing. Immutable after secret_new; reading it from several threads
 * is fine.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/span.h"

struct secret;

/* Copies the bytes; the caller wipes its own copy. NULL when memory is out. */
MUSTCHECK struct secret *secret_new(struct span bytes);
/* Wipes and frees; accepts NULL. */
void secret_free(struct secret **s);
/* Borrowed, for HMAC keys only; never log it. */
struct span secret_get_bytes(const struct secret *s);
size_t secret_length(const struct secret *s);

/* Constant time in the content; the lengths are not secret. */
bool secret_eq(struct span a, struct span b);

#endif
