/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Wildcards, matched in time linear in the value for a given pattern: each element of the pattern
 * meets each one of the value at most once. Star is tried before literal, so a `*` in the value is
 * only a byte. Grammars: nomos-policy.md 2.3 (resources) and 2.5 (argv). Patterns are compiled once
 * into an arena and are immutable then; any thread may match.
 */
#ifndef BASE_GLOB_H
#define BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/span.h"

struct arena;
struct glob;
struct glob_argv;

/*
 * A resource pattern: segments between '/', `**` any number of segments, `*` inside a segment any
 * bytes, `?` one byte. The text is copied into the arena. NULL when the arena is full. A pattern
 * with a backslash never matches (glob_is_dead).
 */
MUSTCHECK struct glob *glob_new(struct arena *a, struct span pattern);
/* Whether the whole value matches. A value with a backslash never does. */
bool glob_match(const struct glob *g, struct span value);
/* Whether no value can match. */
bool glob_is_dead(const struct glob *g);
/*
 * The bytes before the first wildcard segment or wildcard byte: every match starts with them, but
 * for a trailing "/" before a "**" that may match nothing. For indexes. Borrowed from g.
 */
struct span glob_get_literal_prefix(const struct glob *g);
/* Whether it has no wildcard at all. */
bool glob_is_literal(const struct glob *g);

/*
 * An argv pattern: token `**` any number of tokens, other tokens as glob_token_match. The tokens
 * are copied into the arena. NULL when the arena is full.
 */
MUSTCHECK struct glob_argv *glob_argv_new(struct arena *a, const struct span *tokens, size_t n);
/* Whether all n tokens of the command match, in order. */
bool glob_argv_match(const struct glob_argv *g, const struct span *argv, size_t n);

/* One whole token: `*` any bytes ('/' too), `?` one byte, backslash escapes only * ? and itself. */
bool glob_token_match(struct span pattern, struct span token);

#endif
