/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reading Prefer. A comma or semicolon inside a quoted string ends nothing. */
#include "prefer.h"

#include "base/parse.h"

/* Up to the first byte of `ends` that is not inside quotes; the rest, behind that byte, stays in *s. */
static struct span
cut(struct span *s, char end)
{
	bool is_quoted = false;
	size_t i = 0;

	for (; i < s->n && (is_quoted || s->p[i] != end); i++) {
		if (is_quoted && s->p[i] == '\\')
			i++;
		else if (s->p[i] == '"')
			is_quoted = !is_quoted;
	}
	if (i > s->n)
		i = s->n;
	struct span part = span_of(s->p, i);
	*s = span_from(*s, i < s->n ? i + 1 : i);
	return span_trim(part);
}

static struct span
unquote(struct span v)
{
	bool is_quoted = v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"';

	return is_quoted ? span_of(v.p + 1, v.n - 2) : v;
}

/* Whether it is `wait`, and its seconds. */
static bool
read_preference(struct span preference, uint32_t *seconds)
{
	struct span value = cut(&preference, ';');
	struct span name = cut(&value, '=');
	uint64_t n = 0;

	if (!span_eq_nocase(name, SPAN_LIT("wait")))
		return false;
	*seconds = parse_uint(unquote(span_trim(value)), PREFER_WAIT_MAX, &n) ? (uint32_t)n : 0;
	return true;
}

uint32_t
prefer_read_wait(const struct http_header *headers, size_t n)
{
	uint32_t seconds = 0;

	for (size_t i = 0; i < n; i++) {
		struct span rest = headers[i].value;
		if (!span_eq_nocase(headers[i].name, SPAN_LIT("Prefer")))
			continue;
		while (rest.n > 0) {
			if (read_preference(cut(&rest, ','), &seconds))
				return seconds;
		}
	}
	return 0;
}
