/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * See printer.h. Strings are JSON strings in both forms: YAML's double-quoted form reads them the
 * same, as long as what YAML holds to be unprintable is escaped.
 */
#include "printer.h"

#include "base/buf.h"
#include "base/utf8.h"

void
printer_init(struct printer *p, struct buf *out, bool yaml)
{
	*p = (struct printer){.out = out, .yaml = yaml, .is_first = true};
}

void
printer_end(struct printer *p)
{
	if (!p->yaml)
		buf_add_char(p->out, '\n');
}

/* Two blanks per level. The root of YAML has no level of its own. */
static void
indent(struct printer *p)
{
	unsigned levels = p->yaml && p->depth > 0 ? p->depth - 1 : p->depth;

	for (unsigned i = 0; i < levels; i++) {
		bool is_last = i + 1 == levels;
		buf_add_cstr(p->out, is_last && p->dash ? "- " : "  ");
	}
	p->dash = false;
}

static void
start_item(struct printer *p)
{
	if (!p->yaml)
		buf_add_cstr(p->out, p->is_first ? "\n" : ",\n");
	p->is_first = false;
	indent(p);
}

/* YAML 1.1, 5.1: bytes that may not stand in a stream; line separators and the BOM beside them. */
static bool
is_printable(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
		return false;
	return c != 0x2028 && c != 0x2029 && c != 0xfeff && c != 0xfffe && c != 0xffff;
}

/* s is valid UTF-8: every text of a configuration was checked when it was read. */
static void
put_quoted(struct buf *out, struct span s)
{
	size_t at = 0;

	buf_add_char(out, '"');
	while (at < s.n) {
		size_t from = at;
		uint32_t c = utf8_next(s, &at);
		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", (char)c);
		else if (is_printable(c))
			buf_add(out, s.p + from, at - from);
		else
			buf_printf(out, "\\u%04x", c);
	}
	buf_add_char(out, '"');
}

void
printer_key(struct printer *p, struct span name)
{
	start_item(p);
	if (p->yaml)
		buf_add_span(p->out, name);
	else
		put_quoted(p->out, name);
	buf_add_cstr(p->out, p->yaml ? ":" : ": ");
}

/* YAML 1.1, 9.2.2: what stands before ": " on one line has at most 1,024 characters. One byte becomes six at most. */
#define SIMPLE_KEY_BYTES_MAX (1000 / 6)

void
printer_key_text(struct printer *p, struct span text)
{
	bool is_long = p->yaml && text.n > SIMPLE_KEY_BYTES_MAX;

	start_item(p);
	if (is_long)
		BUF_ADD_LIT(p->out, "? ");
	put_quoted(p->out, text);
	if (is_long) {
		buf_add_char(p->out, '\n');
		indent(p);
	}
	buf_add_cstr(p->out, p->yaml ? ":" : ": ");
}

void
printer_open(struct printer *p, char bracket)
{
	if (!p->yaml)
		buf_add_char(p->out, bracket);
	else if (p->depth > 0 && !p->dash)
		buf_add_char(p->out, '\n');
	p->depth++;
	p->is_first = true;
}

void
printer_close(struct printer *p, char bracket)
{
	p->depth--;
	if (!p->yaml) {
		if (!p->is_first) {
			buf_add_char(p->out, '\n');
			indent(p);
		}
		buf_add_char(p->out, bracket);
	}
	p->is_first = false;
}

void
printer_element(struct printer *p)
{
	if (p->yaml)
		p->dash = true;
	else
		start_item(p);
}

static void
start_value(struct printer *p)
{
	if (p->yaml)
		buf_add_char(p->out, ' ');
}

static void
end_value(struct printer *p)
{
	if (p->yaml)
		buf_add_char(p->out, '\n');
}

void
printer_string(struct printer *p, struct span s)
{
	start_value(p);
	put_quoted(p->out, s);
	end_value(p);
}

void
printer_int(struct printer *p, int64_t v)
{
	start_value(p);
	buf_add_int(p->out, v);
	end_value(p);
}

void
printer_bool(struct printer *p, bool v)
{
	start_value(p);
	buf_add_cstr(p->out, v ? "true" : "false");
	end_value(p);
}

void
printer_strings(struct printer *p, const struct span *v, size_t n)
{
	start_value(p);
	buf_add_char(p->out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			BUF_ADD_LIT(p->out, ", ");
		put_quoted(p->out, v[i]);
	}
	buf_add_char(p->out, ']');
	end_value(p);
}

void
printer_empty(struct printer *p, const char *brackets)
{
	start_value(p);
	buf_add_cstr(p->out, brackets);
	end_value(p);
}
