/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-2-4 as its paper defines it: little-endian words, two rounds per word, four at the end.
 * It protects hash tables against chosen keys; it must never stand in for SHA-256 or HMAC. Pure;
 * any thread.
 */
#include "siphash.h"

struct sip {
	uint64_t v0;
	uint64_t v1;
	uint64_t v2;
	uint64_t v3;
};

static uint64_t
rotate_left(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

/* Spelled out, a compiler sees one load in it. */
static uint64_t
load_word(const uint8_t *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
	       (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
	       (uint64_t)p[7] << 56;
}

/* Fewer bytes than a word has. */
static uint64_t
load_tail(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void
mix(struct sip *s, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		s->v0 += s->v1;
		s->v1 = rotate_left(s->v1, 13) ^ s->v0;
		s->v0 = rotate_left(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotate_left(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotate_left(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotate_left(s->v1, 17) ^ s->v2;
		s->v2 = rotate_left(s->v2, 32);
	}
}

static void
take_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	mix(s, 2);
	s->v0 ^= word;
}

uint64_t
siphash(const uint8_t key[SIPHASH_KEY_BYTES], struct span s)
{
	uint64_t k0 = load_word(key);
	uint64_t k1 = load_word(key + 8);
	struct sip sip = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
	const uint8_t *p = (const uint8_t *)s.p;
	size_t at = 0;

	for (; s.n - at >= 8; at += 8)
		take_word(&sip, load_word(p + at));
	uint64_t tail = s.n > at ? load_tail(p + at, s.n - at) : 0;
	take_word(&sip, (uint64_t)s.n << 56 | tail);
	sip.v2 ^= 0xff;
	mix(&sip, 4);
	return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}
