/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages. An agent chooses most of what they show, so nothing of it may become a link, a mention or another order of the
 * letters: chats get plain text elements only, without the characters that change direction.
 */
#include "notice_text.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

#define VALUE_BYTES_MAX 300

static struct span
text_of(const struct json *root, const char *name)
{
	const struct json *v = json_find_cstr(root, name);

	return v != NULL && v->type == JSON_STRING ? v->text : SPAN_NONE;
}

bool
notice_read(struct span record, struct arena *a, struct notice *out)
{
	const struct json *root = NULL;
	const struct json *needed;

	*out = (struct notice){.needed = 1};
	if (json_parse(record, a, &root, NULL, NULL) != OK || root->type != JSON_OBJECT)
		return false;
	out->approval_id = text_of(root, "approval_id");
	out->expires_at = text_of(root, "approval_expires_at");
	out->fingerprint = text_of(root, "action_fingerprint");
	out->action_type = text_of(root, "action_type");
	out->resource = text_of(root, "resource_normalized");
	out->action_id = text_of(root, "action_id");
	out->trace_id = text_of(root, "trace_id");
	out->principal = text_of(root, "principal");
	out->agent = text_of(root, "agent");
	out->environment = text_of(root, "environment");
	needed = json_find_cstr(root, "approval_needed");
	if (needed != NULL && !json_get_int(needed, 1, INT32_MAX, &out->needed))
		out->needed = 1;
	return out->approval_id.n > 0 && clock_parse(out->expires_at, &out->expires_ns, NULL) == OK;
}

static bool
is_invisible(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

/* Appends v, cut, with a mark in place of what cannot be seen. */
static void
add_clean(struct buf *b, struct span v)
{
	size_t end = utf8_cut(v, VALUE_BYTES_MAX);
	size_t at = 0;

	while (at < end) {
		uint32_t c = utf8_next(v, &at);
		utf8_put(b, is_invisible(c) ? 0xfffd : c);
	}
	if (end < v.n)
		utf8_put(b, 0x2026);
}

static void
add_quoted(struct buf *b, struct span v)
{
	struct buf clean;

	buf_init(&clean, 4 * VALUE_BYTES_MAX);
	add_clean(&clean, v);
	json_quote(b, buf_span(&clean));
	buf_fini(&clean);
}

struct line {
	const char *title;
	struct span value;
};
#define LINES_MAX 8

static size_t
list_lines(const struct notice *n, struct span page, struct line out[LINES_MAX])
{
	const struct line lines[] = {
		{"Action", n->action_type},
		{"Resource", n->resource},
		{"Principal", n->principal},
		{"Agent", n->agent},
		{"Environment", n->environment},
		{"Approval", n->approval_id},
		{"Expires", n->expires_at},
		{"Decide at", page},
	};
	size_t n_lines = 0;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		if (lines[i].value.n > 0)
			out[n_lines++] = lines[i];
	}
	return n_lines;
}

#define HEADING "An action waits for approval"

/* All lines as one text, not quoted. */
static void
add_text(struct buf *b, const struct notice *n, struct span page)
{
	struct line lines[LINES_MAX];
	size_t n_lines = list_lines(n, page, lines);

	BUF_ADD_LIT(b, HEADING);
	for (size_t i = 0; i < n_lines; i++) {
		buf_printf(b, "\n%s: ", lines[i].title);
		add_clean(b, lines[i].value);
	}
}

/* As Slack's `text` wants it, which is markup: the three characters that begin something. */
static void
add_escaped(struct buf *b, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '&')
			BUF_ADD_LIT(b, "&amp;");
		else if (text.p[i] == '<')
			BUF_ADD_LIT(b, "&lt;");
		else if (text.p[i] == '>')
			BUF_ADD_LIT(b, "&gt;");
		else
			buf_add_char(b, text.p[i]);
	}
}

static void
build_slack(const struct notice *n, struct span page, struct buf *out)
{
	struct buf text;
	struct buf summary;

	buf_init(&text, BUF_CAP_LOG_LINE);
	add_text(&text, n, page);
	buf_init(&summary, BUF_CAP_LOG_LINE);
	BUF_ADD_LIT(&summary, HEADING ": ");
	add_escaped(&summary, n->approval_id);
	/* The block is shown, `text` where blocks are not; a plain_text element has no markup. */
	BUF_ADD_LIT(out, "{\"text\":");
	json_quote(out, buf_span(&summary));
	BUF_ADD_LIT(out, ",\"blocks\":[{\"type\":\"section\",\"text\":{\"type\":\"plain_text\","
			 "\"emoji\":false,\"text\":");
	json_quote(out, buf_span(&text));
	BUF_ADD_LIT(out, "}}]}");
	out->failed = out->failed || buf_failed(&text) || buf_failed(&summary);
	buf_fini(&text);
	buf_fini(&summary);
}

/* One line of the card; a TextRun has no markup. */
static void
add_run(struct buf *out, const char *title, struct span value)
{
	BUF_ADD_LIT(out, ",{\"type\":\"RichTextBlock\",\"inlines\":[{\"type\":\"TextRun\","
			 "\"weight\":\"Bolder\",\"text\":\"");
	buf_add_cstr(out, title);
	BUF_ADD_LIT(out, ": \"},{\"type\":\"TextRun\",\"text\":");
	add_quoted(out, value);
	BUF_ADD_LIT(out, "}]}");
}

static void
build_teams(const struct notice *n, struct span page, struct buf *out)
{
	struct line lines[LINES_MAX];
	size_t n_lines = list_lines(n, page, lines);

	BUF_ADD_LIT(out,
		"{\"type\":\"message\",\"attachments\":[{\"contentType\":"
		"\"application/vnd.microsoft.card.adaptive\",\"content\":{\"$schema\":"
		"\"http://adaptivecards.io/schemas/adaptive-card.json\",\"type\":\"AdaptiveCard\","
		"\"version\":\"1.2\",\"body\":[{\"type\":\"TextBlock\",\"weight\":\"Bolder\","
		"\"text\":\"" HEADING "\"}");
	for (size_t i = 0; i < n_lines; i++)
		add_run(out, lines[i].title, lines[i].value);
	BUF_ADD_LIT(out, "]}}]}");
}

static void
add_member(struct buf *out, const char *name, struct span value)
{
	if (value.n == 0)
		return;
	buf_printf(out, ",\"%s\":", name);
	json_quote(out, value);
}

static void
build_generic(const struct notice *n, struct span page, struct buf *out)
{
	BUF_ADD_LIT(out, "{\"event\":\"approval.requested\"");
	add_member(out, "approval_id", n->approval_id);
	add_member(out, "approval_expires_at", n->expires_at);
	add_member(out, "approval_fingerprint", n->fingerprint);
	add_member(out, "action_type", n->action_type);
	add_member(out, "resource", n->resource);
	add_member(out, "action_id", n->action_id);
	add_member(out, "trace_id", n->trace_id);
	add_member(out, "principal", n->principal);
	add_member(out, "agent", n->agent);
	add_member(out, "environment", n->environment);
	BUF_ADD_LIT(out, ",\"needed\":");
	buf_add_int(out, n->needed);
	add_member(out, "page", page);
	buf_add_char(out, '}');
}

void
notice_build(enum notice_kind kind, const struct notice *n, struct span page, struct buf *out)
{
	switch (kind) {
	case NOTICE_GENERIC:
		build_generic(n, page, out);
		return;
	case NOTICE_SLACK:
		build_slack(n, page, out);
		return;
	case NOTICE_TEAMS:
		build_teams(n, page, out);
		return;
	}
}
