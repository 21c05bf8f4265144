/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* nomos audit export and query. They change nothing and show what is stored; verify says whether it
 * is whole. One thread. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/checkpoint.h"
#include "audit/export.h"
#include "audit/query.h"
#include "audit/search.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "cmd_audit.h"

/* ---- export ---- */

/* Without a usable key the trailer is unsigned; one that was asked for must work. */
static enum err
load_signing_key(
	const struct audit_file *f, const char *asked, struct sign_key **out, struct errinfo *ei)
{
	char name[AUDIT_PATH_MAX];
	const char *path = f->key_path[0] != '\0' ? f->key_path : name;
	int n = snprintf(name, sizeof(name), "%s.key", f->path);

	*out = NULL;
	if (asked != NULL)
		return checkpoint_load_key(asked, "", false, out, ei);
	if (n < 0 || (size_t)n >= sizeof(name))
		return ERR(ei, ERR_INVALID, "the path is too long");
	if (checkpoint_load_key(path, "", false, out, ei) != OK)
		log_warn(NULL, "the trailer is not signed: %s", ei->msg);
	return OK;
}

static int
export_file(const struct audit_file *f, const char *key_path)
{
	struct audit_progress progress = {.what = "exported"};
	struct export_options o = {
		.fd = STDOUT_FILENO, .progress = audit_progress_show, .progress_arg = &progress};
	struct export_result result = {0};
	struct sign_key *key = NULL;
	struct source *s = NULL;
	struct errinfo ei;
	enum err rc = source_open(f->path, SOURCE_SHARED, &s, &ei);

	if (rc == OK)
		rc = load_signing_key(f, key_path, &key, &ei);
	if (rc == OK) {
		o.key = key;
		progress.total = source_get_head(s).seq;
		rc = export_write(s, &o, &result, &ei);
		audit_progress_end(&progress);
	}
	source_free(&s);
	sign_key_free(&key);
	if (rc != OK)
		return command_fail("%s", ei.msg);
	if (result.bad_seq > 0)
		return command_fail(
			"the chain is broken at record %llu; all was written, nothing was signed",
			(unsigned long long)result.bad_seq);
	log_ok("%llu records", (unsigned long long)result.n_records);
	return EXIT_DONE;
}

int
audit_run_export(const struct command *self, int argc, char **argv)
{
	struct audit_file f = {.config = NULL};
	const char *key = NULL;
	const struct flag flags[] = {
		{"key", NULL, FLAG_TEXT, &key, "KEY", NULL,
			"private key that signs the trailer, PEM; FILE.key when readable"},
		AUDIT_CONFIG_FLAG(&f),
	};
	const char *arg = NULL;
	int status = EXIT_USAGE;

	if (!audit_parse(self, flags, ARRAY_LEN(flags), argc, argv, &arg, 1, &status))
		return status;
	if (audit_file_find(&f, self, arg, &status))
		status = export_file(&f, key);
	audit_file_fini(&f);
	return status;
}

/* ---- query ---- */

struct query_flags {
	struct audit_file file;
	const char *trace;
	const char *action;
	const char *principal;
	const char *agent;
	const char *action_type;
	const char *decision;
	const char *class_name;
	const char *type;
	const char *since;
	const char *until;
	const char *contains;
	const char *limit;
	const char *from;
	const char *format;
	bool is_newest_first;
	bool is_scan;
};

struct query_run {
	struct query *query;
	uint64_t limit; /* 0: none */
	uint64_t n_shown;
	uint64_t n_seen;
	uint64_t n_malformed;
	uint64_t from; /* 0: from the beginning, or the newest */
	bool is_json;
	bool has_colour;
	struct audit_progress progress;
};

static bool
show_match(const struct source_record *r, void *arg)
{
	struct query_run *q = arg;

	q->n_seen++;
	if (q->n_seen % 4096 == 0 && isatty(STDOUT_FILENO) == 0)
		audit_progress_show(&q->progress, q->n_seen);
	if (r->is_malformed) {
		q->n_malformed++;
		return true;
	}
	if (!query_matches(q->query, r->body))
		return true;
	q->n_shown++;
	return audit_print_record(r, q->is_json, q->has_colour) && q->n_shown != q->limit;
}

static bool
show_row(const struct store_row *row, void *arg)
{
	struct query_run *q = arg;
	const struct source_record r = {.seq = row->seq,
		.body = row->body,
		.hash = span_of(row->hash, SHA256_HEX),
		.state = row->state};

	q->n_shown++;
	return audit_print_record(&r, q->is_json, q->has_colour) && q->n_shown != q->limit;
}

static bool
parse_count(const char *flag, const char *text, uint64_t *out)
{
	if (text == NULL || (parse_uint(span_cstr(text), INT64_MAX, out) && *out != 0))
		return true;
	log_error(NULL, "%s is a number from 1", flag);
	return false;
}

static bool
fill_filter(const struct query_flags *f, struct query_filter *filter, struct query_run *q)
{
	struct errinfo ei;
	enum err rc = OK;
	int64_t now = clock_wall_ns();

	*filter = (struct query_filter){
		.trace_prefix = span_cstr(f->trace),
		.action_id = span_cstr(f->action),
		.principal = span_cstr(f->principal),
		.agent = span_cstr(f->agent),
		.action_type = span_cstr(f->action_type),
		.contained = span_cstr(f->contains),
		.decision = span_cstr(f->decision),
		.class_name = span_cstr(f->class_name),
		.event_type = span_cstr(f->type),
		.has_since = f->since != NULL,
		.has_until = f->until != NULL,
	};
	if (f->since != NULL)
		rc = query_parse_time(span_cstr(f->since), now, &filter->since_wall_ns, &ei);
	if (rc == OK && f->until != NULL)
		rc = query_parse_time(span_cstr(f->until), now, &filter->until_wall_ns, &ei);
	if (rc != OK) {
		log_error(NULL, "%s", ei.msg);
		return false;
	}
	return parse_count("--limit", f->limit, &q->limit) &&
	       parse_count("--from", f->from, &q->from) &&
	       audit_parse_format(f->format, &q->is_json);
}

static enum err
search_ledger(
	const struct query_flags *f, struct query_run *q, struct source *s, struct errinfo *ei)
{
	struct search_result result;
	const struct search_options o = {.query = q->query,
		.path = f->is_scan ? NULL : f->file.path,
		.is_live = source_is_live(s),
		.is_newest_first = f->is_newest_first,
		.from = q->from,
		.head = source_get_head(s).seq,
		.progress = isatty(STDOUT_FILENO) == 0 ? audit_progress_show : NULL,
		.progress_arg = &q->progress};
	enum err rc = search_run(source_get_reader(s), &o, show_row, q, &result, ei);

	q->n_malformed = result.n_malformed;
	return rc;
}

static enum err
search_file(const struct query_flags *f, struct query_run *q, struct source *s, struct errinfo *ei)
{
	if (source_get_kind(s) == SOURCE_LEDGER)
		return search_ledger(f, q, s, ei);
	if (f->is_newest_first)
		return ERR(
			ei, ERR_INVALID, "an export is read from its first line: without --newest");
	return source_each(s, q->from > 0 ? q->from - 1 : 0, show_match, q, ei);
}

static int
query_file(const struct query_flags *f, struct query_run *q, const struct query_filter *filter)
{
	struct source *s = NULL;
	struct errinfo ei;
	enum err rc = query_new(filter, &q->query, &ei);

	if (rc == OK)
		rc = source_open(f->file.path, SOURCE_SHARED, &s, &ei);
	if (rc == OK) {
		q->has_colour = command_has_colour(STDOUT_FILENO);
		q->progress = (struct audit_progress){
			.what = "searched", .total = source_get_head(s).seq};
		rc = search_file(f, q, s, &ei);
		audit_progress_end(&q->progress);
	}
	source_free(&s);
	query_free(&q->query);
	int status = audit_finish_stdout();
	if (rc != OK)
		return command_fail("%s", ei.msg);
	if (q->n_malformed > 0)
		log_warn(NULL, "%llu lines are no records; see `nomos audit verify`",
			(unsigned long long)q->n_malformed);
	return status;
}

int
audit_run_query(const struct command *self, int argc, char **argv)
{
	struct query_flags f = {.trace = NULL};
	const struct flag flags[] = {
		{"trace", NULL, FLAG_TEXT, &f.trace, "PREFIX", NULL, "trace_id begins with this"},
		{"action", NULL, FLAG_TEXT, &f.action, "ID", NULL, "action_id"},
		{"principal", NULL, FLAG_TEXT, &f.principal, "P", NULL, "principal"},
		{"agent", NULL, FLAG_TEXT, &f.agent, "A", NULL, "agent"},
		{"action-type", NULL, FLAG_TEXT, &f.action_type, "TYPE", NULL,
			"type of the action, e.g. fs.read"},
		{"decision", NULL, FLAG_TEXT, &f.decision, "D", NULL,
			"allow, deny or require_approval"},
		{"class", NULL, FLAG_TEXT, &f.class_name, "C", NULL, "result classification"},
		{"type", NULL, FLAG_TEXT, &f.type, "EVENT", NULL,
			"event type, e.g. action.decision"},
		{"since", NULL, FLAG_TEXT, &f.since, "T", NULL,
			"at or after; RFC 3339, or 10m, 2h, 1d ago"},
		{"until", NULL, FLAG_TEXT, &f.until, "T", NULL, "before"},
		{"contains", NULL, FLAG_TEXT, &f.contains, "TEXT", NULL,
			"anywhere in the record; needs --since or --until"},
		{"newest", NULL, FLAG_SWITCH, &f.is_newest_first, NULL, NULL,
			"the newest first, of a ledger"},
		{"from", NULL, FLAG_TEXT, &f.from, "SEQ", NULL,
			"begin with this record: the next page"},
		{"limit", NULL, FLAG_TEXT, &f.limit, "N", NULL,
			"at most N records, the oldest first without --newest"},
		{"scan", NULL, FLAG_SWITCH, &f.is_scan, NULL, NULL,
			"read every record, without the search index"},
		{"format", NULL, FLAG_TEXT, &f.format, "FORMAT", NULL, "text or json"},
		AUDIT_CONFIG_FLAG(&f.file),
	};
	struct query_run q = {.limit = 0};
	struct query_filter filter;
	const char *arg = NULL;
	int status = EXIT_USAGE;

	if (!audit_parse(self, flags, ARRAY_LEN(flags), argc, argv, &arg, 1, &status))
		return status;
	status = EXIT_USAGE;
	if (fill_filter(&f, &filter, &q) && audit_file_find(&f.file, self, arg, &status))
		status = query_file(&f, &q, &filter);
	audit_file_fini(&f.file);
	return status;
}
