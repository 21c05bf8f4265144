/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Identifiers: the ones we make and the form of the ones we take. Request ids name log lines and
 * records; they are no secret and must never serve as one. Any thread; the counter is atomic.
 */
#include "base/id.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "base/must.h"
#include "base/rand.h"

#define HALF_BYTES 6

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint8_t prefix[HALF_BYTES];
static _Atomic uint64_t last;

static void
make_prefix(void)
{
	MUST(rand_bytes(prefix, sizeof(prefix), NULL) == OK);
}

void
id_request(char out[ID_MAX])
{
	uint8_t bytes[2 * HALF_BYTES];
	uint64_t number = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;

	MUST(pthread_once(&once, make_prefix) == 0);
	memcpy(bytes, prefix, sizeof(prefix));
	for (unsigned i = 0; i < HALF_BYTES; i++)
		bytes[2 * HALF_BYTES - 1 - i] = (uint8_t)(number >> (8 * i));
	memcpy(out, "req_", 4);
	hash_hex(bytes, sizeof(bytes), out + 4);
}

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(char c)
{
	return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

bool
id_is_valid(struct span s)
{
	if (s.n == 0 || s.n > 128 || !is_alnum(s.p[0]))
		return false;
	for (size_t i = 1; i < s.n; i++) {
		char c = s.p[i];
		if (!is_alnum(c) && c != '.' && c != '_' && c != ':' && c != '-')
			return false;
	}
	return true;
}

bool
id_is_action_type(struct span s)
{
	bool at_start = true; /* of a part between dots */
	bool has_dot = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (at_start) {
			if (!is_lower(c))
				return false;
			at_start = false;
		} else if (c == '.') {
			has_dot = true;
			at_start = true;
		} else if (!is_lower(c) && !is_digit(c) && c != '_') {
			return false;
		}
	}
	return has_dot && !at_start;
}
