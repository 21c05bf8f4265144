/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See printer.h. Strings are JSON strings in both forms: YAML's double-quoted form reads them the
 * same. */
#include "printer.h"

#include "base/buf.h"
#include "base/json.h"

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

static bool
is_plain(struct span name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		if ((c < 'a' || c > 'z') && c != '_' && (c < '0' || c > '9' || i == 0))
			return false;
	}
	return name.n > 0;
}

void
printer_key(struct printer *p, struct span name)
{
	start_item(p);
	if (p->yaml && is_plain(name))
		buf_add_span(p->out, name);
	else
		json_quote(p->out, name);
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
	json_quote(p->out, s);
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
		json_quote(p->out, v[i]);
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
