/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The reader behind cases.h. Test programs only; not thread-safe: one static buffer holds the file. */
#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/test.h"

static char text[1024 * 1024];

static void
give_up(const char *name, int line, const char *why)
{
	fprintf(stderr, "%s:%d: %s\n", name, line, why);
	exit(2);
}

static size_t
load(const char *name)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/corpus/%s", test_source_dir(), name);
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		give_up(path, 0, "cannot be opened");
	size_t n = fread(text, 1, sizeof(text), f);
	if (ferror(f) != 0 || n == sizeof(text))
		give_up(path, 0, "cannot be read or is too large");
	fclose(f);
	return n;
}

static bool
read_hex(const char *p, size_t n, unsigned *out)
{
	static const char digits[] = "0123456789abcdef";

	*out = 0;
	for (size_t i = 0; i < n; i++) {
		const char *d = p[i] != '\0' ? strchr(digits, p[i] | 0x20) : NULL;
		if (d == NULL)
			return false;
		*out = *out * 16 + (unsigned)(d - digits);
	}
	return true;
}

static size_t
put_code_point(char *to, unsigned c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	to[0] = (char)(0xe0 | c >> 12);
	to[1] = (char)(0x80 | (c >> 6 & 0x3f));
	to[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

/* Reads the escape behind a backslash at from[0..n), writes its bytes to to; the bytes consumed, 0 when malformed. */
static size_t
unescape(const char *from, size_t n, char *to, size_t *n_to)
{
	static const char names[] = "\\\"nrt";
	static const char values[] = "\\\"\n\r\t";
	unsigned code;

	const char *name = n > 0 && from[0] != '\0' ? strchr(names, from[0]) : NULL;
	*n_to = 1;
	if (name != NULL) {
		to[0] = values[name - names];
		return 1;
	}
	if (n >= 3 && from[0] == 'x' && read_hex(from + 1, 2, &code)) {
		to[0] = (char)code;
		return 3;
	}
	if (n >= 5 && from[0] == 'u' && read_hex(from + 1, 4, &code)) {
		*n_to = put_code_point(to, code);
		return 5;
	}
	return 0;
}

/* Takes the quotes and escapes of a field away, in place; false when malformed. */
static bool
unquote(struct span *field, char *p)
{
	size_t n = field->n;
	size_t to = 0;

	if (n == 0 || p[0] != '"')
		return true;
	if (n < 2 || p[n - 1] != '"')
		return false;
	for (size_t i = 1; i < n - 1;) {
		size_t wrote = 1;
		size_t took = 1;
		if (p[i] == '\\') {
			took = unescape(p + i + 1, n - 2 - i, p + to, &wrote);
			if (took == 0)
				return false;
			i++;
		} else {
			p[to] = p[i];
		}
		i += took;
		to += wrote;
	}
	field->n = to;
	return true;
}

static void
split(const char *name, struct cases_row *row, char *line, size_t n)
{
	row->n = 0;
	for (size_t at = 0; at <= n;) {
		size_t end = at + span_find(span_of(line + at, n - at), '\t');
		if (row->n == CASES_FIELDS_MAX)
			give_up(name, row->line, "too many fields");
		row->field[row->n] = span_of(line + at, end - at);
		if (!unquote(&row->field[row->n], line + at))
			give_up(name, row->line, "malformed text");
		row->n++;
		at = end + 1;
	}
	for (size_t i = row->n; i < CASES_FIELDS_MAX; i++)
		row->field[i] = SPAN_NONE;
}

size_t
cases_each(const char *name, cases_row_fn fn, void *arg)
{
	struct cases_row row = {.file = name};
	size_t n = load(name);
	size_t n_rows = 0;

	for (size_t at = 0; at < n;) {
		size_t end = at + span_find(span_of(text + at, n - at), '\n');
		row.line++;
		if (end > at && text[at] != '#') {
			split(name, &row, text + at, end - at);
			fn(&row, arg);
			n_rows++;
		}
		at = end + 1;
	}
	return n_rows;
}
