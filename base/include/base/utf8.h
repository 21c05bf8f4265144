/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing over U+10FFFF. Pure; any
 * thread.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct buf;

/* Index of the first byte that is not part of valid UTF-8, or s.n. */
size_t utf8_valid_prefix(struct span s);
bool utf8_is_valid(struct span s);
/*
 * Reads the code point at s.p[*at], *at < s.n, and moves *at behind it; an invalid byte reads as
 * U+FFFD.
 */
uint32_t utf8_next(struct span s, size_t *at);
/*
 * Writes the 1 to 4 bytes of a scalar value (no surrogate, at most U+10FFFF) and returns how many.
 */
size_t utf8_encode(uint32_t code_point, char out[4]);
/* Appends one code point, which must be a scalar value. */
void utf8_put(struct buf *b, uint32_t code_point);
/*
 * Appends s with each code point lower-cased by Unicode's simple mapping (generated table); invalid
 * bytes stay.
 */
void utf8_lower(struct buf *b, struct span s);
/* Appends s with each invalid byte replaced by U+FFFD. */
void utf8_scrub(struct buf *b, struct span s);
/* The largest n <= max at which valid UTF-8 text s can be cut without splitting a sequence. */
size_t utf8_cut(struct span s, size_t max);

#endif
