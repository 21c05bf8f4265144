/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Argv patterns (nomos-policy.md 2.5). As for the bytes of a token, only the last "**" is gone back
 * to, so that each token of the pattern meets each token of the value at most once. No recursion,
 * no memory. Pure; any thread.
 */
#include "base/glob.h"

#include <stdint.h>

#include "base/arena.h"

struct glob_argv {
	size_t n;
	struct span tokens[]; /* no two "**" in a row */
};

static bool
is_many(struct span token)
{
	return token.n == 2 && token.p[0] == '*' && token.p[1] == '*';
}

struct glob_argv *
glob_argv_new(struct arena *a, const struct span *tokens, size_t n)
{
	struct glob_argv *g = arena_zalloc(a, 1, sizeof(*g) + n * sizeof(struct span));

	if (g == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (is_many(tokens[i]) && g->n > 0 && is_many(g->tokens[g->n - 1]))
			continue;
		g->tokens[g->n] = arena_dup(a, tokens[i]);
		if (g->tokens[g->n].p == NULL)
			return NULL;
		g->n++;
	}
	return g;
}

bool
glob_argv_match(const struct glob_argv *g, const struct span *argv, size_t n)
{
	const size_t none = SIZE_MAX;
	size_t behind_star = none;
	size_t retry = 0;
	size_t p = 0;
	size_t v = 0;

	while (v < n) {
		if (p < g->n && is_many(g->tokens[p])) {
			behind_star = ++p;
			retry = v;
			if (p == g->n)
				return true;
		} else if (p < g->n && glob_token_match(g->tokens[p], argv[v])) {
			p++;
			v++;
		} else if (behind_star != none) {
			p = behind_star;
			v = ++retry;
		} else {
			return false;
		}
	}
	if (p < g->n && is_many(g->tokens[p]))
		p++;
	return p == g->n;
}
