/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The model behind glob_model.h. Recurses on its input: test programs only. */
#include "support/glob_model.h"

enum { SEGMENTS_MAX = 64 };

bool
model_token(struct span p, struct span v, bool has_escapes)
{
	if (p.n == 0)
		return v.n == 0;
	if (p.p[0] == '*')
		return model_token(span_from(p, 1), v, has_escapes) ||
		       (v.n > 0 && model_token(p, span_from(v, 1), has_escapes));
	if (v.n == 0)
		return false;
	if (p.p[0] == '?')
		return model_token(span_from(p, 1), span_from(v, 1), has_escapes);
	if (has_escapes && p.n > 1 && p.p[0] == '\\' &&
		(p.p[1] == '*' || p.p[1] == '?' || p.p[1] == '\\'))
		p = span_from(p, 1);
	return p.p[0] == v.p[0] && model_token(span_from(p, 1), span_from(v, 1), has_escapes);
}

static bool
is_many(struct span s)
{
	return span_eq(s, SPAN_LIT("**"));
}

static bool
match_list(const struct span *p, size_t n_p, const struct span *v, size_t n_v, bool has_escapes)
{
	if (n_p == 0)
		return n_v == 0;
	if (is_many(p[0]))
		return match_list(p + 1, n_p - 1, v, n_v, has_escapes) ||
		       (n_v > 0 && match_list(p, n_p, v + 1, n_v - 1, has_escapes));
	return n_v > 0 && model_token(p[0], v[0], has_escapes) &&
	       match_list(p + 1, n_p - 1, v + 1, n_v - 1, has_escapes);
}

bool
model_argv(const struct span *pattern, size_t n_pattern, const struct span *argv, size_t n)
{
	return match_list(pattern, n_pattern, argv, n, true);
}

static size_t
split(struct span text, struct span out[SEGMENTS_MAX])
{
	size_t n = 0;

	for (;;) {
		size_t end = span_find(text, '/');
		out[n++] = span_of(text.p, end);
		if (end == text.n || n == SEGMENTS_MAX)
			return n;
		text = span_from(text, end + 1);
	}
}

bool
model_resource(struct span pattern, struct span value)
{
	struct span p[SEGMENTS_MAX];
	struct span v[SEGMENTS_MAX];

	if (span_find(pattern, '\\') < pattern.n || span_find(value, '\\') < value.n)
		return false;
	return match_list(p, split(pattern, p), v, split(value, v), false);
}
