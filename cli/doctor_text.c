/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See doctor_text.h. What a check says is made visible: it may hold names of files. */
#include "doctor_text.h"

#include "base/buf.h"
#include "runtime/doctor.h"
#include "stream.h"

static void
add_colour(struct buf *b, bool has_colour, const char *code)
{
	if (has_colour)
		buf_printf(b, "\033[%sm", code);
}

void
doctor_text_label(const struct doctor_check *check, bool has_colour, struct buf *out)
{
	const char *code = check->is_ok ? (check->is_advice ? "1;33" : "1;32") : "1;31";

	add_colour(out, has_colour, code);
	buf_add_cstr(out, check->is_ok ? "[PASS]" : "[FAIL]");
	add_colour(out, has_colour, "0");
	buf_add_char(out, ' ');
}

static void
add_line(struct buf *b, const char *before, const char *text)
{
	buf_add_cstr(b, before);
	stream_add_visible(b, span_cstr(text));
	buf_add_char(b, '\n');
}

void
doctor_text_result(const struct doctor_report *r, bool has_colour, struct buf *out)
{
	BUF_ADD_LIT(out, "Result: ");
	add_colour(out, has_colour, r->is_ready ? "1;32" : "1;31");
	buf_add_cstr(out, r->is_ready ? "READY" : "NOT_READY");
	add_colour(out, has_colour, "0");
	buf_printf(out, " (assurance=%s)\n", r->assurance);
}

size_t
doctor_text_count_advice(const struct doctor_report *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_checks; i++)
		n += r->checks[i].is_ok && r->checks[i].is_advice ? 1 : 0;
	return n;
}

void
doctor_text_report(const struct doctor_report *r, bool has_colour, bool is_short, struct buf *out)
{
	size_t n_hidden = 0;

	add_colour(out, has_colour, "1");
	BUF_ADD_LIT(out, "nomos doctor");
	add_colour(out, has_colour, "0");
	BUF_ADD_LIT(out, "\n\n");
	for (size_t i = 0; i < r->n_checks; i++) {
		const struct doctor_check *check = &r->checks[i];
		bool is_fine = check->is_ok && !check->is_advice;

		if (is_fine && is_short) {
			n_hidden++;
			continue;
		}
		doctor_text_label(check, has_colour, out);
		add_line(out, "", check->message);
		if (!is_fine && check->hint != NULL)
			add_line(out, "       hint: ", check->hint);
	}
	if (n_hidden > 0)
		buf_printf(out, "%zu checks pass\n", n_hidden);
	buf_add_char(out, '\n');
	doctor_text_result(r, has_colour, out);
}
