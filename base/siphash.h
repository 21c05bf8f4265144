/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 (Aumasson and Bernstein, 2012), the keyed hash of map.c. Pure; any thread. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stdint.h>

#include "base/span.h"

#define SIPHASH_KEY_BYTES 16

/* The 64-bit hash of s under the key. */
uint64_t siphash(const uint8_t key[SIPHASH_KEY_BYTES], struct span s);

#endif
