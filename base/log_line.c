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
static void
add_quoted(struct buf *out, struct span s, size_t max)
{
	if (s.n <= max) {
		json_quote(out, s);
		return;
	}
	json_quote(out, span_of(s.p, utf8_cut(s, max)));
	/* The closing quote moves behind the dots. */
	if (!buf_failed(out))
		buf_truncate(out, out->n - 1);
	BUF_ADD_LIT(out, "...\"");
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
	add_quoted(out, buf_span(&text), FIELD_MAX);
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
	bool is_clean = true;

	buf_reset(out);
	clock_format(clock_wall_ns(), time);
	buf_printf(out, "{\"time\":\"%s\",\"level\":\"", time);
	add_lower(out, line->label);
	BUF_ADD_LIT(out, "\"");
	if (line->module != NULL)
		buf_printf(out, ",\"module\":\"%s\"", line->module);
	BUF_ADD_LIT(out, ",\"msg\":");
	add_quoted(out, text, text_max);
	if (line->about != NULL) {
		is_clean = add_field(out, "request_id", line->about->request_id) &&
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

/* Valid UTF-8, with C0 and C1 controls and DEL shown: a terminal would obey them. */
static void
add_visible(struct buf *out, struct span s)
{
	size_t at = 0;

	while (at < s.n) {
		size_t start = at;
		uint32_t c = utf8_next(s, &at);
		bool is_control = (c < 0x20 && c != '\t') || (c >= 0x7f && c <= 0x9f);
		if (is_control)
			buf_printf(out, "\\x%02x", (unsigned)c);
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
