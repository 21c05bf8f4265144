/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One line for each answer, in JSON or in the combined format that web servers write (gateway.access_log). The query is left out, since it
 * may hold what a log must not; the rest is redacted. A line may be dropped, and is counted then, when nobody
 * reads fast enough: this is no audit. Worker's thread.
 */
#include "access_log.h"

#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/redact.h"
#include "net/http_server.h"
#include "net/peer.h"

#define TEXT_BYTES_MAX 512

/* Redacted and not too long, in out, which is emptied first. */
static void
clean(struct span text, struct buf *out)
{
	buf_reset(out);
	/* A cut could halve a secret. */
	if (text.n > TEXT_BYTES_MAX)
		text = SPAN_LIT("(too long)");
	(void)redact(redactor_default(), text, out);
}

static void
add_json_text(struct buf *out, const char *name, struct span text, struct buf *scratch)
{
	if (text.n == 0)
		return;
	clean(text, scratch);
	buf_printf(out, ",\"%s\":", name);
	json_quote(out, buf_span(scratch));
}

static void
build_json(const struct access_line *a, struct buf *out, struct buf *scratch)
{
	char time[CLOCK_TEXT_MAX];

	clock_format(clock_wall_ns(), time);
	buf_printf(out, "{\"time\":\"%s\",\"level\":\"access\"", time);
	add_json_text(out, "request_id", a->request_id, scratch);
	add_json_text(out, "client", a->client, scratch);
	buf_printf(out, ",\"method\":\"%s\"", a->method);
	add_json_text(out, "path", a->path, scratch);
	buf_printf(out, ",\"status\":%u,\"bytes\":%zu,\"took_us\":%lld", a->status, a->n_bytes,
		(long long)(a->took_ns / 1000));
	add_json_text(out, "user_agent", a->user_agent, scratch);
	BUF_ADD_LIT(out, "}\n");
}

/* As Apache writes it: quotes, backslashes and what does not print as \xhh. */
static void
add_escaped(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			buf_printf(out, "\\x%02x", c);
		else
			buf_add_char(out, (char)c);
	}
}

static void
build_combined(const struct access_line *a, struct buf *out, struct buf *scratch)
{
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = (time_t)(clock_wall_ns() / NS_PER_SEC);
	struct tm t = {0};

	(void)gmtime_r(&now, &t);
	add_escaped(out, a->client.n > 0 ? a->client : SPAN_LIT("-"));
	buf_printf(out, " - - [%02d/%s/%d:%02d:%02d:%02d +0000] \"%s ", t.tm_mday, months[t.tm_mon],
		t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec, a->method);
	clean(a->path, scratch);
	add_escaped(out, buf_span(scratch));
	buf_printf(out, " HTTP/1.1\" %u %zu \"-\" \"", a->status, a->n_bytes);
	clean(a->user_agent.n > 0 ? a->user_agent : SPAN_LIT("-"), scratch);
	add_escaped(out, buf_span(scratch));
	BUF_ADD_LIT(out, "\"\n");
}

void
access_log_put(enum access_log format, const struct access_line *a)
{
	struct buf line;
	struct buf scratch;

	if (format == ACCESS_LOG_OFF)
		return;
	buf_init(&line, BUF_CAP_LOG_LINE);
	buf_init(&scratch, BUF_CAP_LOG_LINE);
	if (format == ACCESS_LOG_JSON)
		build_json(a, &line, &scratch);
	else
		build_combined(a, &line, &scratch);
	if (buf_failed(&line) || buf_failed(&scratch))
		log_count_dropped();
	else
		log_put_line(buf_span(&line));
	buf_fini(&scratch);
	buf_fini(&line);
}
