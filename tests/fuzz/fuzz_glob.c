/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Pattern and value, divided by a line end. Short ones are compared with the matcher that tries
 * everything; long ones only have to end.
 */
#include <stdint.h>

#include "base/arena.h"
#include "base/glob.h"
#include "base/must.h"
#include "support/glob_model.h"

enum { TOKENS_MAX = 24, MODEL_PATTERN_MAX = 16, MODEL_VALUE_MAX = 24, MODEL_STARS_MAX = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The model tries every way to share the value out among the stars, so there must be few. */
static bool
is_for_model(struct span pattern, struct span value)
{
	size_t n_stars = 0;

	for (size_t i = 0; i < pattern.n; i++)
		n_stars += pattern.p[i] == '*';
	return pattern.n <= MODEL_PATTERN_MAX && value.n <= MODEL_VALUE_MAX &&
	       n_stars <= MODEL_STARS_MAX;
}

static size_t
split(struct span text, char at, struct span out[TOKENS_MAX])
{
	size_t n = 0;

	for (;;) {
		size_t end = span_find(text, at);
		out[n++] = span_of(text.p, end);
		if (end == text.n || n == TOKENS_MAX)
			return n;
		text = span_from(text, end + 1);
	}
}

static void
check_resource(struct arena *a, struct span pattern, struct span value, bool is_short)
{
	struct glob *g = glob_new(a, pattern);

	MUST(g != NULL);
	bool got = glob_match(g, value);
	MUST(!is_short || got == model_resource(pattern, value));
	MUST(!got || !glob_is_dead(g));
	MUST(!got || !glob_is_literal(g) || span_eq(pattern, value));
	struct span prefix = glob_get_literal_prefix(g);
	if (span_ends(prefix, SPAN_LIT("/")) && prefix.n == value.n + 1)
		prefix.n--;
	MUST(!got || span_starts(value, prefix));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size);
	size_t line = span_find(text, '\n');
	struct span pattern = span_of(text.p, line);
	struct span value = line < text.n ? span_from(text, line + 1) : SPAN_NONE;
	bool is_short = is_for_model(pattern, value);
	struct arena *a = arena_new(16UL * 1024 * 1024);
	struct span tokens[TOKENS_MAX];
	struct span argv[TOKENS_MAX];

	MUST(a != NULL);
	check_resource(a, pattern, value, is_short);
	bool got = glob_token_match(pattern, value);
	MUST(!is_short || got == model_token(pattern, value, true));
	size_t n_tokens = split(pattern, ' ', tokens);
	size_t n = split(value, ' ', argv);
	struct glob_argv *g = glob_argv_new(a, tokens, n_tokens);
	MUST(g != NULL);
	got = glob_argv_match(g, argv, n);
	MUST(!is_short || got == model_argv(tokens, n_tokens, argv, n));
	arena_free(&a);
	return 0;
}
