/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* nomos audit sinks. It changes nothing. Exit 0: deliveries work, 1: those of one sink fail, 2: it cannot be
 * said. One thread. */
#include <inttypes.h>
#include <stdio.h>

#include "audit/sink_report.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/visible.h"
#include "cmd_audit.h"
#include "stream.h"

#define OUT_BYTES_MAX ((size_t)256 * 1024)

struct listing {
	struct buf out;
	bool is_json;
	bool is_bad;
	size_t n;
};

static void
add_json(struct buf *b, const struct sink_report *r)
{
	buf_printf(b, "{\"behind\":%" PRIu64 ",\"behind_seconds\":%" PRId64, r->n_behind,
		r->behind_ns / NS_PER_SEC);
	buf_printf(b, ",\"cursor\":%" PRIu64 ",\"dead_letters\":%" PRIu64 ",\"error\":", r->taken,
		r->n_dead);
	json_quote(b, span_cstr(r->error));
	buf_printf(b, ",\"last_dead_letter\":%" PRIu64 ",\"name\":", r->last_dead);
	json_quote(b, span_cstr(r->name));
	buf_printf(b, ",\"required\":%s,\"since\":", r->is_required ? "true" : "false");
	json_quote(b, span_cstr(r->since));
	BUF_ADD_LIT(b, ",\"target\":");
	json_quote(b, span_cstr(r->target));
	BUF_ADD_LIT(b, "}");
}

static void
add_text(struct buf *b, const struct sink_report *r)
{
	buf_printf(b, "%-32s %10" PRIu64 " %8" PRIu64 " %8" PRId64 " %5" PRIu64 "  %s%s%s\n",
		r->name, r->taken, r->n_behind, r->behind_ns / NS_PER_SEC, r->n_dead, r->target,
		r->target[0] != '\0' && r->is_required ? ", " : "",
		r->is_required ? "required" : "");
	if (r->error[0] != '\0')
		buf_printf(b, "  failing since %s: %s\n", r->since, r->error);
	if (r->n_dead > 0)
		buf_printf(
			b, "  dead letters, the last of them record %" PRIu64 "\n", r->last_dead);
}

static bool
add(const struct sink_report *r, void *arg)
{
	struct listing *l = arg;

	l->is_bad = l->is_bad || r->error[0] != '\0';
	if (!l->is_json && l->n == 0)
		buf_printf(&l->out, "%-32s %10s %8s %8s %5s  %s\n", "sink", "cursor", "behind",
			"seconds", "dead", "target");
	if (l->is_json && l->n > 0)
		buf_add_char(&l->out, ',');
	if (l->is_json)
		add_json(&l->out, r);
	else
		add_text(&l->out, r);
	l->n++;
	return true;
}

/* What a receiver answered may stand in a text: a terminal must not obey it. */
static bool
print_shown(const struct buf *text, bool is_json)
{
	struct buf shown;

	buf_init(&shown, 4 * OUT_BYTES_MAX);
	if (is_json)
		visible_add_json(&shown, buf_span(text));
	else
		stream_add_visible(&shown, buf_span(text));
	if (is_json)
		buf_add_char(&shown, '\n');
	bool is_whole = !buf_failed(&shown);
	if (is_whole)
		(void)fwrite(shown.p, 1, shown.n, stdout);
	buf_fini(&shown);
	return is_whole;
}

static int
list_sinks(const char *path, bool is_json)
{
	struct listing l = {.is_json = is_json};
	struct source *s = NULL;
	struct errinfo ei;
	enum err rc = source_open(path, SOURCE_SHARED, &s, &ei);

	buf_init(&l.out, OUT_BYTES_MAX);
	if (rc == OK && is_json)
		buf_printf(&l.out, "{\"head\":%" PRIu64 ",\"sinks\":[", source_get_head(s).seq);
	if (rc == OK)
		rc = sink_report_each(s, clock_wall_ns(), add, &l, &ei);
	if (rc == OK && is_json)
		BUF_ADD_LIT(&l.out, "]}");
	if (rc == OK && (buf_failed(&l.out) || !print_shown(&l.out, is_json)))
		rc = ERR(&ei, ERR_NOMEM, "out of memory");
	if (rc == OK && l.n == 0 && !is_json)
		printf("this ledger has fed no sink\n");
	buf_fini(&l.out);
	source_free(&s);
	if (rc != OK) {
		log_error(NULL, "%s", ei.msg);
		return EXIT_USAGE;
	}
	if (audit_finish_stdout() != EXIT_DONE)
		return EXIT_USAGE;
	return l.is_bad ? EXIT_FAILED : EXIT_DONE;
}

int
audit_run_sinks(const struct command *self, int argc, char **argv)
{
	struct audit_file f = {.config = NULL};
	const char *format = NULL;
	const struct flag flags[] = {
		{"format", NULL, FLAG_TEXT, &format, "FORMAT", NULL, "text or json"},
		AUDIT_CONFIG_FLAG(&f),
	};
	const char *arg = NULL;
	bool is_json = false;
	int status = EXIT_USAGE;

	if (!audit_parse(self, flags, ARRAY_LEN(flags), argc, argv, &arg, 1, &status))
		return status;
	status = EXIT_USAGE;
	if (audit_parse_format(format, &is_json) && audit_file_find(&f, self, arg, &status))
		status = list_sinks(f.path, is_json);
	audit_file_fini(&f);
	return status;
}
