/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary bytes through the built-in redaction. The result is told truthfully, what is not
 * replaced stays in order, and a secret that is put on a line of its own behind the bytes never
 * comes through.
 */
#include <stdint.h>

#include "base/buf.h"
#include "base/must.h"
#include "base/redact.h"

#define REPLACEMENT "[REDACTED]"
#define SECRET "QkVFRkZFRUQ0MjQyNDI"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
contains(struct span text, struct span what)
{
	for (size_t i = 0; i + what.n <= text.n; i++) {
		if (memcmp(text.p + i, what.p, what.n) == 0)
			return true;
	}
	return false;
}

/* Whether out, its replacements left away, is made of bytes of `text` in their order. */
static bool
is_part(struct span out, struct span text)
{
	size_t at = 0;

	while (out.n > 0) {
		if (span_starts(out, SPAN_LIT(REPLACEMENT))) {
			out = span_from(out, strlen(REPLACEMENT));
			continue;
		}
		while (at < text.n && text.p[at] != out.p[0])
			at++;
		if (at == text.n)
			return false;
		at++;
		out = span_from(out, 1);
	}
	return true;
}

static void
check_pass(struct span text)
{
	const struct redactor *r = redactor_default();
	struct buf out;

	buf_init(&out, BUF_CAP_FILE);
	bool changed = redact(r, text, &out);
	MUST(!buf_failed(&out));
	MUST(changed == !span_eq(text, buf_span(&out)));
	MUST(changed == !redact_is_clean(r, text));
	MUST(is_part(buf_span(&out), text));
	buf_fini(&out);
}

/* Escaped quotes end nothing: those who look at many texts at once put none there. */
static bool
is_end(struct span text, size_t at)
{
	if (at == text.n || text.p[at] == '\n')
		return true;
	return text.p[at] == '"' && (at == 0 || text.p[at - 1] != '\\');
}

/* What one look finds nothing in is clean in each of its lines, and between its quotes. */
static void
check_inert(struct span text)
{
	size_t from = 0;

	if (!redact_is_inert(redactor_default(), text))
		return;
	for (size_t i = 0; i <= text.n; i++) {
		if (!is_end(text, i))
			continue;
		MUST(redact_is_clean(redactor_default(), span_of(text.p + from, i - from)));
		from = i + 1;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const heads[] = {"\nAuthorization: Bearer ", "\nx Bearer ",
		"\nCookie: s=", "\n-----BEGIN PRIVATE KEY-----\n"};
	struct span text = span_of((const char *)data, size);

	check_pass(text);
	check_inert(text);
	if (contains(text, SPAN_LIT(SECRET)))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		struct buf in;
		struct buf out;
		buf_init(&in, BUF_CAP_FILE);
		buf_init(&out, BUF_CAP_FILE);
		buf_add_span(&in, text);
		buf_add_cstr(&in, heads[i]);
		BUF_ADD_LIT(&in, SECRET "\n");
		MUST(redact(redactor_default(), buf_span(&in), &out));
		MUST(!contains(buf_span(&out), SPAN_LIT(SECRET)));
		buf_fini(&in);
		buf_fini(&out);
	}
	return 0;
}
