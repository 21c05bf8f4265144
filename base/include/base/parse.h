/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Small strict parsers and checked arithmetic. Pure; any thread. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

/* Decimal digits only, no sign, no blank, no leading zero but "0"; false when not, or over max. */
MUSTCHECK bool parse_uint(struct span s, uint64_t max, uint64_t *out);
/* The same with an optional leading '-'. */
MUSTCHECK bool parse_int(struct span s, int64_t min, int64_t max, int64_t *out);
/* Go's ParseBool words: 1 t T TRUE true True 0 f F FALSE false False. */
MUSTCHECK bool parse_bool(struct span s, bool *out);

/* a + b and a * b, or false on overflow. */
MUSTCHECK bool size_add(size_t a, size_t b, size_t *out);
MUSTCHECK bool size_mul(size_t a, size_t b, size_t *out);

/* Number of single-byte edits between a and b, at most cap + 1 (for "did you mean"). Both at
 * most 64 bytes, else cap + 1. */
unsigned parse_edit_distance(struct span a, struct span b, unsigned cap);

#endif
