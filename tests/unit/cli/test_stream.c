/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a hostile answer could make a terminal do is shown as what it is; the rest stays. */
#include "stream.h"

#include "base/buf.h"
#include "support/test.h"

#define TEXT(s)                                                                                    \
	{                                                                                          \
		(s), sizeof(s) - 1                                                                 \
	}

static const struct {
	struct span text;
	const char *want;
} rows[] = {
	{TEXT(""), ""},
	{TEXT("plain\ttext\n"), "plain\ttext\n"},
	{TEXT("\033[2Jx"), "\\u{1b}[2Jx"},
	{TEXT("a\0b"), "a\\u{0}b"},
	{TEXT("a\rb\b\a\177"), "a\\u{d}b\\u{8}\\u{7}\\u{7f}"},
	{TEXT("\302\23331m"), "\\u{9b}31m"},
	{TEXT("\303\251\342\202\254"), "\303\251\342\202\254"},
	{TEXT("pay \342\200\256x\342\200\213"), "pay \\u{202e}x\\u{200b}"},
	{TEXT("\302"), "\357\277\275"},
};

TEST(controls_are_shown_not_obeyed)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;

		buf_init(&b, 256);
		stream_add_visible(&b, rows[i].text);
		if (!span_eq_cstr(buf_span(&b), rows[i].want))
			FAIL("row %zu: %.*s", i, SPAN_ARG(buf_span(&b)));
		buf_fini(&b);
	}
}

SUITE("stream", TEST_ROW(controls_are_shown_not_obeyed))
