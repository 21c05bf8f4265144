/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Fills the marks of the starter files. A value is put in as it is and never searched for
 * marks. One thread. */
#include "starter.h"

#include "base/buf.h"

static const struct span mark_open = {"{{", 2};
static const struct span mark_close = {"}}", 2};

/* The text up to what; the rest begins with what, or is empty. */
static struct span
take_until(struct span *rest, struct span what)
{
	struct span all = *rest;
	size_t at = 0;

	while (at < all.n && !span_starts(span_from(all, at), what))
		at++;
	*rest = span_from(all, at);
	return span_of(all.p, at);
}

enum err
starter_fill(struct span text, const struct starter_value *values, size_t n, struct buf *out,
	struct errinfo *ei)
{
	while (text.n > 0) {
		buf_add_span(out, take_until(&text, mark_open));
		if (text.n == 0)
			break;
		text = span_from(text, mark_open.n);
		struct span name = take_until(&text, mark_close);
		size_t i = 0;
		while (i < n && !span_eq_cstr(name, values[i].name))
			i++;
		if (i == n || text.n == 0)
			return ERR(ei, ERR_INVALID, "there is no value for the mark \"%.*s\"",
				SPAN_ARG(name));
		buf_add_span(out, values[i].text);
		text = span_from(text, mark_close.n);
	}
	return buf_failed(out) ? ERR(ei, ERR_NOMEM, "out of memory") : OK;
}
