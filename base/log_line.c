/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines as text. Each text is redacted on its own before it is cut or escaped: a redactor that
 * runs over the finished line would take the closing quotes with it, and one that runs behind the
 * cut would miss what the cut has halved. Must never let a control character through. Any thread.
 */
#include "log_line.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/redact.h"
#include "base/utf8.h"
#include "base/visible.h"

#define CLEAN_CAP ((size_t)512 * 1024)
#define FIELD_SCANNED_MAX 4096
#define FIELD_MAX 128
#define TEXT_MAX 7000
/* A text this long fits the line even when each of its bytes, and of the four fields, becomes
 * six. */
#define TEXT_MAX_ESCAPED 700

/* s redacted and as valid UTF-8 in out, which is emptied first. */
static bool
clean(struct span s, struct buf *out)
{
	struct buf redacted;

	buf_reset(out);
	buf_init(&redacted, CLEAN_CAP);
	redact(redactor_default(), s, &redacted);
	utf8_scrub(out, buf_span(&redacted));
	bool is_whole = !buf_failed(&redacted) && !buf_failed(out);
	buf_fini(&redacted);
	return is_whole;
}

/* Valid UTF-8 with at most max bytes of s, "..." for what is missing. */
static bool
add_quoted(struct buf *out, struct span s, size_t max)
{
	struct buf quoted;

	buf_init(&quoted, CLEAN_CAP);
	json_quote(&quoted, s.n <= max ? s : span_of(s.p, utf8_cut(s, max)));
	/* The closing quote moves behind the dots. */
	if (s.n > max && !buf_failed(&quoted)) {
		buf_truncate(&quoted, quoted.n - 1);
		BUF_ADD_LIT(&quoted, "...\"");
	}
	bool is_whole = !buf_failed(&quoted);
	if (is_whole)
		visible_add_json(out, buf_span(&quoted));
	buf_fini(&quoted);
	return is_whole;
}

static bool
add_field(struct buf *out, const char *name, struct span s)
{
	struct buf text;

	if (s.n == 0)
		return true;
	buf_init(&text, CLEAN_CAP);
	/* No identifier of ours is that long. */
	bool is_clean = clean(s.n <= FIELD_SCANNED_MAX ? s : SPAN_LIT("(too long)"), &text);
	buf_printf(out, ",\"%s\":", name);
	is_clean = add_quoted(out, buf_span(&text), FIELD_MAX) && is_clean;
	buf_fini(&text);
	return is_clean;
}

static void
add_lower(struct buf *out, const char *label)
{
	for (; *label != '\0'; label++)
		buf_add_char(
			out, (char)(*label >= 'A' && *label <= 'Z' ? *label - 'A' + 'a' : *label));
}

static bool
build_json(const struct log_line *line, struct span text, size_t text_max, struct buf *out)
{
	char time[CLOCK_TEXT_MAX];
	bool is_clean;

	buf_reset(out);
	clock_format(clock_wall_ns(), time);
	buf_printf(out, "{\"time\":\"%s\",\"level\":\"", time);
	add_lower(out, line->label);
	BUF_ADD_LIT(out, "\"");
	if (line->module != NULL)
		buf_printf(out, ",\"module\":\"%s\"", line->module);
	BUF_ADD_LIT(out, ",\"msg\":");
	is_clean = add_quoted(out, text, text_max);
	if (line->about != NULL) {
		is_clean = is_clean && add_field(out, "request_id", line->about->request_id) &&
			   add_field(out, "principal", line->about->principal) &&
			   add_field(out, "trace_id", line->about->trace_id) &&
			   add_field(out, "step", span_cstr(line->about->step));
	}
	BUF_ADD_LIT(out, "}\n");
	return is_clean && !buf_failed(out);
}

bool
log_line_json(const struct log_line *line, struct buf *out)
{
	struct buf text;

	buf_init(&text, CLEAN_CAP);
	bool is_built = clean(line->text, &text) &&
			(build_json(line, buf_span(&text), TEXT_MAX, out) ||
				build_json(line, buf_span(&text), TEXT_MAX_ESCAPED, out));
	buf_fini(&text);
	return is_built;
}

/* Valid UTF-8, with all shown that a terminal would obey or nobody would see. */
static void
add_visible(struct buf *out, struct span s)
{
	size_t at = 0;

	while (at < s.n) {
		size_t start = at;
		uint32_t c = utf8_next(s, &at);
		if (visible_is_hidden(c) && c != '\t')
			buf_printf(out, c <= 0xff ? "\\x%02x" : "\\u{%x}", (unsigned)c);
		else
			buf_add(out, s.p + start, at - start);
	}
}

static bool
build_text(const struct log_line *line, struct span text, size_t text_max, struct buf *out)
{
	struct span shown = span_of(text.p, text.n <= text_max ? text.n : utf8_cut(text, text_max));

	buf_reset(out);
	if (line->colour != NULL)
		buf_printf(out, "%s[%s]\033[0m ", line->colour, line->label);
	else
		buf_printf(out, "[%s] ", line->label);
	add_visible(out, shown);
	if (shown.n < text.n)
		BUF_ADD_LIT(out, "...");
	BUF_ADD_LIT(out, "\n");
	return !buf_failed(out);
}

bool
log_line_text(const struct log_line *line, struct buf *out)
{
	struct buf text;

	buf_init(&text, CLEAN_CAP);
	bool is_built = clean(line->text, &text) &&
			(build_text(line, buf_span(&text), TEXT_MAX, out) ||
				build_text(line, buf_span(&text), TEXT_MAX_ESCAPED, out));
	buf_fini(&text);
	return is_built;
}
