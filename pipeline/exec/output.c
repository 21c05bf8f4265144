/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction before cutting. The text within the limits and the text with the look-ahead are redacted both; only what the two
 * agree on is shown. Where a secret straddles the limit they part at its first byte: the longer one has [REDACTED] there. (A
 * PEM block that does not end in what was read is the redactor's business.) Pure; any thread.
 */
#include "exec/output.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/redact.h"
#include "base/utf8.h"
#include "policy/decision.h"

enum { REDACTED_GROWTH = 10 }; /* one byte may become [REDACTED] */

size_t
output_line_cut(struct span text, int64_t max_lines)
{
	size_t at = 0;

	for (int64_t n = 0; n < max_lines && at < text.n; n++) {
		at += span_find(span_from(text, at), '\n');
		if (at < text.n)
			at++;
	}
	return at;
}

struct span
output_redact(const struct redactor *redactor, struct span text, struct arena *a)
{
	struct buf b;

	if (redact_is_clean(redactor, text))
		return text.p != NULL ? text : span_of("", 0);
	buf_init_arena(&b, a, text.n * REDACTED_GROWTH + 1);
	if (buf_reserve(&b, text.n) != NULL)
		(void)redact(redactor, text, &b);
	return buf_failed(&b) ? SPAN_NONE : buf_span(&b);
}

static struct span
make_valid(struct span text, struct arena *a)
{
	struct buf b;

	if (utf8_is_valid(text))
		return text.p != NULL ? text : span_of("", 0);
	buf_init_arena(&b, a, text.n * 3 + 1); /* one byte may become U+FFFD */
	if (buf_reserve(&b, text.n) != NULL)
		utf8_scrub(&b, text);
	return buf_failed(&b) ? SPAN_NONE : buf_span(&b);
}

static size_t
common_prefix(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	size_t i = 0;

	while (i < n && a.p[i] == b.p[i])
		i++;
	return i;
}

static int64_t
count_lines(struct span text)
{
	int64_t n = 0;

	for (size_t at = 0; at < text.n; n++)
		at += output_line_cut(span_from(text, at), 1);
	return n;
}

bool
output_limit(const struct redactor *redactor, struct span source, bool is_cut, int64_t max_bytes,
	int64_t max_lines, struct arena *a, struct output *out)
{
	struct span all = make_valid(source, a);
	struct span seen = span_of(all.p, 0);
	struct span redacted_all;
	struct span redacted_seen;
	size_t n;

	*out = (struct output){.text = span_of("", 0)};
	if (all.p == NULL)
		return false;
	seen.n = utf8_cut(all, (size_t)max_bytes);
	seen.n = output_line_cut(seen, max_lines);
	out->truncated = is_cut || seen.n < all.n;
	out->n_bytes = (int64_t)seen.n;
	out->n_lines = count_lines(seen);
	redacted_all = output_redact(redactor, all, a);
	if (redacted_all.p == NULL)
		return false;
	if (!out->truncated) {
		out->text = redacted_all;
		return true;
	}
	redacted_seen = output_redact(redactor, seen, a);
	if (redacted_seen.p == NULL)
		return false;
	n = common_prefix(redacted_seen, redacted_all);
	out->text = span_of(redacted_seen.p, utf8_cut(redacted_seen, n));
	return true;
}

void
output_apply_obligations(const struct obligations *obligations, struct output *out)
{
	size_t n = out->text.n;

	if (obligations->has_output_max_bytes) {
		int64_t max = obligations->output_max_bytes;

		n = utf8_cut(out->text, max > 0 ? (size_t)max : 0);
	}
	if (obligations->has_output_max_lines)
		n = output_line_cut(span_of(out->text.p, n), obligations->output_max_lines);
	if (n < out->text.n) {
		out->text.n = n;
		out->truncated = true;
	}
}
