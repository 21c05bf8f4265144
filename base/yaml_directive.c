/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds tag directives before libyaml does: it compares each with all before it, so that a file of
 * a megabyte of them would hold its reader for minutes. Tags are refused anyway. Must know every
 * line break that libyaml knows. Pure; any thread.
 */
#include "yaml_directive.h"

/* The length of the line break that s begins with (YAML 1.1, 4.1.4); 0: none. */
static size_t
measure_break(struct span s)
{
	if (span_starts(s, SPAN_LIT("\r\n")) || span_starts(s, SPAN_LIT("\xc2\x85")))
		return 2;
	if (span_starts(s, SPAN_LIT("\xe2\x80\xa8")) || span_starts(s, SPAN_LIT("\xe2\x80\xa9")))
		return 3;
	return s.p[0] == '\n' || s.p[0] == '\r' ? 1 : 0;
}

bool
yaml_find_tag_directive(struct span text, uint32_t *line)
{
	struct span rest = text;
	bool is_at_margin = true;

	*line = 0;
	if (span_starts(rest, SPAN_LIT("\xef\xbb\xbf")))
		rest = span_from(rest, 3);
	while (rest.n > 0) {
		if (is_at_margin && span_starts(rest, SPAN_LIT("%TAG")))
			return true;
		size_t n = measure_break(rest);
		is_at_margin = n > 0;
		*line += n > 0 ? 1 : 0;
		rest = span_from(rest, n > 0 ? n : 1);
	}
	return false;
}
