/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A set of ASCII bytes; to ask for a member takes a shift, whatever the set holds. Private to base. */
#ifndef BASE_BYTE_SET_H
#define BASE_BYTE_SET_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes below 64 (digits, most punctuation), and those from 64 on (letters, @ [ \ ] ^ _ ` { | } ~). */
struct byte_set {
	uint64_t low;
	uint64_t high;
};

#define BYTE_SET_BIT(c) (UINT64_C(1) << ((c) % 64))
#define BYTE_SET_DIGITS UINT64_C(0x03ff000000000000)
#define BYTE_SET_LETTERS UINT64_C(0x07fffffe07fffffe)

static inline bool
byte_set_has(const struct byte_set *s, char c)
{
	unsigned char byte = (unsigned char)c;

	return byte < 128 && ((byte < 64 ? s->low : s->high) >> (byte % 64) & 1) != 0;
}

#endif
