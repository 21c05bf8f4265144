/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Marks in the starter files: all filled or nothing, values never searched again. */
#include "starter.h"

#include "base/buf.h"
#include "support/test.h"

static const struct starter_value values[] = {
	{"a", {"1", 1}}, {"bb", {"{{a}}", 5}}, {"none", {"", 0}}};

static const struct {
	const char *text;
	const char *want; /* NULL: refused */
} rows[] = {
	{"", ""},
	{"no mark", "no mark"},
	{"{{a}}", "1"},
	{"x{{a}}y{{a}}z", "x1y1z"},
	{"{{bb}}", "{{a}}"},
	{"[{{none}}]", "[]"},
	{"{a}", "{a}"},
	{"{{c}}", NULL},
	{"{{ a }}", NULL},
	{"{{a", NULL},
	{"{{", NULL},
	{"{{}}", NULL},
};

TEST(marks)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errinfo ei;
		struct buf b;

		buf_init(&b, 256);
		enum err rc =
			starter_fill(span_cstr(rows[i].text), values, ARRAY_LEN(values), &b, &ei);
		if ((rc == OK) != (rows[i].want != NULL))
			FAIL("%s: %s", rows[i].text, err_name(rc));
		else if (rc == OK && !span_eq_cstr(buf_span(&b), rows[i].want))
			FAIL("%s: %.*s", rows[i].text, SPAN_ARG(buf_span(&b)));
		buf_fini(&b);
	}
}

TEST(a_full_buffer_is_an_error)
{
	struct errinfo ei;
	struct buf b;

	buf_init(&b, 4);
	CHECK_INT(starter_fill(SPAN_LIT("longer than that"), NULL, 0, &b, &ei), ERR_NOMEM);
	buf_fini(&b);
}

SUITE("starter", TEST_ROW(marks), TEST_ROW(a_full_buffer_is_an_error))
