/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The table of what does not stand for itself. Pure. */
#include "base/visible.h"

#include "base/buf.h"
#include "base/must.h"
#include "base/utf8.h"

struct range {
	uint32_t first;
	uint32_t last;
};

/* What does not stand for itself on a terminal: controls, blanks that are no space, invisible and
 * bidirectional marks, variation selectors, tags, private use. Sorted. */
static const struct range hidden[] = {
	{0x0000, 0x001f},
	{0x007f, 0x00a0},
	{0x00ad, 0x00ad},
	{0x034f, 0x034f},
	{0x061c, 0x061c},
	{0x115f, 0x1160},
	{0x1680, 0x1680},
	{0x17b4, 0x17b5},
	{0x180b, 0x180f},
	{0x2000, 0x200f},
	{0x2028, 0x202f},
	{0x205f, 0x206f},
	{0x2800, 0x2800},
	{0x3000, 0x3000},
	{0x3164, 0x3164},
	{0xe000, 0xf8ff},
	{0xfe00, 0xfe0f},
	{0xfeff, 0xfeff},
	{0xffa0, 0xffa0},
	{0xfff0, 0xfffc},
	{0xfffe, 0xffff},
	{0xe0000, 0x10ffff},
};

bool
visible_is_hidden(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
		if (c <= hidden[i].last)
			return c >= hidden[i].first;
	}
	return true;
}

static void
add_escape(uint32_t c, struct buf *out)
{
	if (c > 0xffff) {
		uint32_t rest = c - 0x10000;
		buf_printf(out, "\\u%04x", (unsigned)(0xd800 | rest >> 10));
		c = 0xdc00 | (rest & 0x3ff);
	}
	buf_printf(out, "\\u%04x", (unsigned)c);
}

/* Of the blanks that JSON may have between its tokens. */
static bool
is_control_blank(uint32_t c)
{
	return c == '\n' || c == '\r' || c == '\t';
}

void
visible_add_json(struct buf *out, struct span json)
{
	size_t at = 0;
	bool is_in_string = false;
	bool is_escaped = false;

	while (at < json.n) {
		size_t from = at;
		uint32_t c = utf8_next(json, &at);
		bool is_invalid = c == 0xfffd && at - from == 1;
		if (!is_in_string && is_control_blank(c))
			buf_add_char(out, c == '\r' ? ' ' : (char)c);
		else if (visible_is_hidden(c) || is_invalid)
			add_escape(c, out);
		else
			buf_add(out, json.p + from, at - from);
		if (c == '"' && !is_escaped)
			is_in_string = !is_in_string;
		is_escaped = is_in_string && c == '\\' && !is_escaped;
	}
}
