/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Wildcards over the bytes of one segment or token. Goes back to the last star only: what stands
 * between two stars has a fixed length, so its leftmost place is never worse than a later one, and
 * each element of the pattern meets each byte of the value at most once. The star is tried before
 * the literal: a `*` in a value is only a byte. No recursion, no memory. Pure; any thread.
 */
#include "glob_bytes.h"

#include <stdint.h>

#include "base/glob.h"

/* One element of a byte pattern. */
struct element {
	bool is_star;
	bool is_any;
	char literal;
	size_t n; /* bytes of the pattern it takes */
};

/* The element at pattern.p[at], at < pattern.n. */
static struct element
read_element(struct span pattern, size_t at, bool has_escapes)
{
	struct element e = {.literal = pattern.p[at], .n = 1};

	if (e.literal == '*') {
		e.is_star = true;
	} else if (e.literal == '?') {
		e.is_any = true;
	} else if (e.literal == '\\' && has_escapes && at + 1 < pattern.n) {
		char next = pattern.p[at + 1];
		if (next == '*' || next == '?' || next == '\\') {
			e.literal = next;
			e.n = 2;
		}
	}
	return e;
}

static bool
match_bytes(struct span pattern, struct span value, bool has_escapes)
{
	const size_t none = SIZE_MAX;
	size_t behind_star = none; /* place in the pattern behind the last star, */
	size_t retry = 0;          /* place in the value where its run ends now */
	size_t p = 0;
	size_t v = 0;

	while (v < value.n) {
		struct element e = {.is_any = false};
		if (p < pattern.n)
			e = read_element(pattern, p, has_escapes);
		if (e.is_star) {
			p += e.n;
			behind_star = p;
			retry = v;
		} else if (e.n > 0 && (e.is_any || e.literal == value.p[v])) {
			p += e.n;
			v++;
		} else if (behind_star != none) {
			p = behind_star;
			v = ++retry;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

bool
glob_bytes_match(struct span pattern, struct span value)
{
	return match_bytes(pattern, value, false);
}

bool
glob_token_match(struct span pattern, struct span token)
{
	return match_bytes(pattern, token, true);
}
