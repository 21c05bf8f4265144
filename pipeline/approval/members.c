/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Writes members of JSON objects. */
#include "approval/members.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

static void
add_name(struct buf *b, const char *name)
{
	if (b->n > 0 && b->p[b->n - 1] != '{')
		buf_add_char(b, ',');
	buf_add_char(b, '"');
	buf_add_cstr(b, name);
	BUF_ADD_LIT(b, "\":");
}

void
member_add_text(struct buf *b, const char *name, struct span v)
{
	add_name(b, name);
	json_quote(b, v);
}

void
member_add_time(struct buf *b, const char *name, int64_t wall_ns)
{
	char text[CLOCK_TEXT_MAX];
	size_t n = clock_format(wall_ns, text);

	member_add_text(b, name, span_of(text, n));
}

void
member_add_int(struct buf *b, const char *name, int64_t v)
{
	add_name(b, name);
	buf_add_int(b, v);
}

void
member_add_bool(struct buf *b, const char *name, bool v)
{
	add_name(b, name);
	buf_add_cstr(b, v ? "true" : "false");
}

void
member_add_json(struct buf *b, const char *name, struct span json)
{
	add_name(b, name);
	buf_add_span(b, json);
}
