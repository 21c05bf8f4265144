/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/ui/traces, /api/ui/traces/{id}, /api/ui/actions/{id} (nomos-http.md 6.9, 7): records put together by trace and by action.
 * Worker's thread up to ui_job_start, a reader's in what it runs.
 */
#include <inttypes.h>

#include "audit/store.h"
#include "base/arena.h"
#include "pipeline/approvals_read.h"
#include "pipeline/snapshot.h"
#include "ui_filter.h"

#define LIST_MAX 200
#define LIST_DEFAULT 50
#define EVENTS_MAX 500
#define ACTION_ROWS 20

/* ---- the list ---- */

#define SUMMARY_MEMBERS 7
static const char *const summary_members[SUMMARY_MEMBERS] = {"action_id", "action_type", "decision",
	"principal", "agent", "environment", "assurance_level"};

struct trace {
	struct span id;
	struct span values[SUMMARY_MEMBERS]; /* JSON; empty until a record has it */
	struct span last_event_type;
	struct span last_timestamp;
	uint64_t n_events;
};

struct trace_listing {
	struct ui_job *job;
	struct ui_filter filter;
	struct trace *traces;
	size_t n;
	uint64_t next;
};

/* The value as it may be shown, kept in the job's arena; empty when it is absent. */
static struct span
keep_value(struct ui_job *job, const struct ui_row *row, const char *name)
{
	struct buf b;

	if (json_find_cstr(row->root, name) == NULL)
		return SPAN_NONE;
	buf_init(&b, BUF_CAP_RECORD * 2);
	ui_row_add_value(row, name, &b);
	struct span kept = buf_failed(&b) ? SPAN_NONE : arena_dup(job->arena, buf_span(&b));
	buf_fini(&b);
	return kept;
}

static struct trace *
find_trace(struct trace_listing *l, struct span id)
{
	/* Records of a trace stand close together. */
	for (size_t i = l->n; i > 0; i--)
		if (span_eq(l->traces[i - 1].id, id))
			return &l->traces[i - 1];
	return NULL;
}

static bool
visit_for_traces(const struct store_row *row, void *arg)
{
	struct trace_listing *l = arg;
	struct ui_row shown = ui_row_parse(l->job, row->body);
	struct span id = ui_row_get_text(&shown, "trace_id");

	if (id.n == 0)
		return true;
	struct trace *t = find_trace(l, id);
	if (t == NULL) {
		if (l->n == l->filter.limit || arena_used(l->job->arena) > UI_PAGE_BYTES) {
			l->next = row->seq;
			return false;
		}
		t = &l->traces[l->n++];
		*t = (struct trace){.id = arena_dup(l->job->arena, id)};
		t->last_event_type = keep_value(l->job, &shown, "event_type");
		t->last_timestamp = keep_value(l->job, &shown, "timestamp");
	}
	t->n_events++;
	for (size_t i = 0; i < SUMMARY_MEMBERS; i++)
		if (t->values[i].n == 0)
			t->values[i] = keep_value(l->job, &shown, summary_members[i]);
	return !arena_failed(l->job->arena);
}

static void
add_json(struct buf *b, const char *name, struct span json)
{
	buf_printf(b, ",\"%s\":", name);
	if (json.n > 0)
		buf_add_span(b, json);
	else
		BUF_ADD_LIT(b, "null");
}

static void
add_trace(struct buf *b, const struct trace *t, bool is_first)
{
	buf_add_cstr(b, is_first ? "\n{\"trace_id\":" : ",\n{\"trace_id\":");
	json_quote(b, t->id);
	for (size_t i = 0; i < SUMMARY_MEMBERS; i++)
		add_json(b, summary_members[i], t->values[i]);
	add_json(b, "last_event_type", t->last_event_type);
	add_json(b, "last_timestamp", t->last_timestamp);
	buf_printf(b, ",\"event_count\":%" PRIu64 "}", t->n_events);
}

static void
list_traces(struct ui_job *job)
{
	struct trace_listing *l = job->input;
	struct ui_search s = {.terms = &l->filter.terms,
		.from = l->filter.cursor,
		.max_read = UI_READ_MAX,
		.max_ns = UI_SEARCH_NS,
		.visit = visit_for_traces,
		.arg = l};

	if (!ui_search_ledger(job, &s))
		return;
	BUF_ADD_LIT(&job->body, "{\"traces\":[");
	for (size_t i = 0; i < l->n; i++)
		add_trace(&job->body, &l->traces[i], i == 0);
	BUF_ADD_LIT(&job->body, "],");
	ui_add_next_cursor(&job->body, l->next != 0 ? l->next : s.next);
	BUF_ADD_LIT(&job->body, "}\n");
}

void
api_ui_traces(const struct exchange *x)
{
	struct ui_job *job = ui_job_new(x, list_traces);
	struct errinfo ei;

	if (job == NULL)
		return;
	struct trace_listing *l = ARENA_NEW(job->arena, struct trace_listing);
	enum err rc = l != NULL ? ui_filter_read(job, LIST_MAX, LIST_DEFAULT, &l->filter, &ei)
				: ERR(&ei, ERR_NOMEM, "out of memory");
	if (rc != OK) {
		ui_job_refuse(job, &ei);
		return;
	}
	l->job = job;
	l->traces = ARENA_ARRAY(job->arena, struct trace, l->filter.limit);
	job->input = l;
	ui_job_start(job);
}

/* ---- one trace, one action ---- */

struct events {
	struct ui_job *job;
	struct query_filter terms;
	uint64_t cursor;
	size_t n;
	uint64_t next;
	/* of an action: its rows, newest first, copied */
	struct kept_row {
		uint64_t seq;
		struct span body;
		struct span hash;
		struct span event_type;
	} rows[ACTION_ROWS];
};

static void
add_event(struct events *e, const struct store_row *row, const struct ui_row *shown)
{
	static const char *const members[] = {"action_id", "action_type", "resource", "decision",
		"reason", "approval_id", "matched_rule_ids", "result_classification", "risk_level",
		"risk_flags", "sandbox_mode", "network_mode", "assurance_level", "action_summary",
		"executor_metadata", "outcome", "duration_ms", "principal", "agent"};
	struct buf *b = &e->job->body;

	buf_printf(b, "%s\n{\"seq\":%" PRIu64, e->n > 0 ? "," : "", row->seq);
	ui_row_add_member(shown, "timestamp", b);
	ui_row_add_member(shown, "event_type", b);
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		ui_row_add_present(shown, members[i], b);
	buf_add_char(b, '}');
}

static bool
visit_event(const struct store_row *row, void *arg)
{
	struct events *e = arg;
	struct ui_row shown = ui_row_parse(e->job, row->body);

	/* The search is for a prefix. */
	if (!span_eq(ui_row_get_text(&shown, "trace_id"), e->job->id))
		return true;
	if (e->n == EVENTS_MAX || e->job->body.n > UI_PAGE_BYTES) {
		e->next = row->seq;
		return false;
	}
	add_event(e, row, &shown);
	e->n++;
	return true;
}

static void
read_trace(struct ui_job *job)
{
	struct events *e = job->input;
	struct ui_search s = {.terms = &e->terms,
		.from = e->cursor,
		.is_oldest_first = true,
		.visit = visit_event,
		.arg = e};

	BUF_ADD_LIT(&job->body, "{\"trace_id\":");
	json_quote(&job->body, job->id);
	BUF_ADD_LIT(&job->body, ",\"events\":[");
	s.max_read = UI_READ_MAX;
	if (!ui_search_ledger(job, &s))
		return;
	if (e->n == 0 && s.next == 0 && e->cursor == 0)
		ui_job_fail(job, 404, "not_found", "trace not found");
	BUF_ADD_LIT(&job->body, "],");
	ui_add_next_cursor(&job->body, e->next != 0 ? e->next : s.next);
	BUF_ADD_LIT(&job->body, "}\n");
}

static bool
visit_action(const struct store_row *row, void *arg)
{
	struct events *e = arg;
	struct ui_row shown = ui_row_parse(e->job, row->body);

	if (shown.root == NULL)
		return true;
	e->rows[e->n++] = (struct kept_row){
		.seq = row->seq,
		.body = arena_dup(e->job->arena, row->body),
		.hash = arena_dup(e->job->arena, span_cstr(row->hash)),
		.event_type = arena_dup(e->job->arena, ui_row_get_text(&shown, "event_type")),
	};
	return e->n < ACTION_ROWS && !arena_failed(e->job->arena);
}

static const struct kept_row *
find_event(const struct events *e, const char *type)
{
	for (size_t i = 0; i < e->n; i++)
		if (span_eq_cstr(e->rows[i].event_type, type))
			return &e->rows[i];
	return NULL;
}

/* The approval that the newest record which names one does, while it is still known (nomos-http.md 7). */
static bool
add_approval(struct events *e, struct store_reader *reader)
{
	struct ui_job *job = e->job;
	struct approvals_file f = {
		.reader = reader,
		.redactor = snapshot_get_redactor(job->snapshot),
		.arena = job->row_arena,
	};
	struct span id = SPAN_NONE;
	struct errinfo ei;

	for (size_t i = 0; i < e->n && id.n == 0; i++) {
		struct ui_row row = ui_row_parse(job, e->rows[i].body);

		id = arena_dup(job->arena, ui_row_get_text(&row, "approval_id"));
	}
	if (id.n == 0)
		return true;
	size_t before = job->body.n;
	BUF_ADD_LIT(&job->body, ",\"approval\":");
	enum err rc = approvals_read_brief(&f, id, &job->body, &ei);
	if (rc == ERR_NOT_FOUND)
		buf_truncate(&job->body, before);
	else if (rc != OK)
		ui_job_fail_read(job, rc, &ei);
	return rc == OK || rc == ERR_NOT_FOUND;
}

/* Of the outcome; what it does not say, of the decision. */
static void
build_action(struct events *e)
{
	static const char *const members[] = {"action_id", "trace_id", "action_type", "resource",
		"resource_normalized", "params_hash", "decision", "reason", "matched_rule_ids",
		"obligations", "risk_level", "risk_flags", "sandbox_mode", "network_mode",
		"assurance_level", "policy_bundle_hash", "policy_bundle_sources",
		"result_classification", "params_redacted_summary", "result_redacted_summary",
		"executor_metadata", "principal", "agent", "environment", "approval_id",
		"action_fingerprint", "outcome", "duration_ms"};
	const struct kept_row *decision = find_event(e, "action.decision");
	const struct kept_row *completed = find_event(e, "action.completed");
	const struct kept_row *chosen = completed != NULL  ? completed
					: decision != NULL ? decision
							   : &e->rows[0];
	const struct kept_row *sources[] = {chosen, decision};
	bool has[ARRAY_LEN(members)] = {false};
	struct buf *b = &e->job->body;

	buf_printf(b, "{\"seq\":%" PRIu64, decision != NULL ? decision->seq : chosen->seq);
	for (size_t s = 0; s < ARRAY_LEN(sources); s++) {
		if (sources[s] == NULL)
			continue;
		struct ui_row shown = ui_row_parse(e->job, sources[s]->body);
		for (size_t i = 0; i < ARRAY_LEN(members); i++) {
			if (has[i] || json_find_cstr(shown.root, members[i]) == NULL)
				continue;
			ui_row_add_member(&shown, members[i], b);
			has[i] = true;
		}
	}
	struct ui_row shown = ui_row_parse(e->job, chosen->body);
	buf_printf(b, ",\"audit\":{\"seq\":%" PRIu64, chosen->seq);
	ui_row_add_member(&shown, "event_type", b);
	ui_row_add_member(&shown, "timestamp", b);
	buf_printf(b, ",\"event_hash\":\"%.*s\"", SPAN_ARG(chosen->hash));
	ui_row_add_present(&shown, "prev_event_hash", b);
	BUF_ADD_LIT(b, "},\"events\":[");
	for (size_t i = e->n; i > 0; i--) {
		buf_printf(b, "%s{\"seq\":%" PRIu64 ",\"event_type\":", i < e->n ? "," : "",
			e->rows[i - 1].seq);
		json_quote(b, e->rows[i - 1].event_type);
		buf_add_char(b, '}');
	}
	buf_add_char(b, ']');
}

static void
read_action(struct ui_job *job)
{
	struct events *e = job->input;
	struct ui_search s = {
		.terms = &e->terms, .max_read = UI_READ_MAX, .visit = visit_action, .arg = e};

	struct store_reader *reader = NULL;

	if (!ui_job_open_ledger(job, &reader))
		return;
	if (ui_search_run(job, reader, &s)) {
		if (e->n == 0 && s.next != 0) {
			ui_job_fail(job, 503, "not_searched",
				"not among the newest records, and the search index is off or has "
				"not read the others yet");
		} else if (e->n == 0) {
			ui_job_fail(job, 404, "not_found", "action not found");
		} else {
			build_action(e);
			if (add_approval(e, reader))
				BUF_ADD_LIT(&job->body, "}\n");
		}
	}
	store_reader_free(&reader);
}

static struct events *
new_events(struct ui_job *job)
{
	struct events *e = ARENA_NEW(job->arena, struct events);

	if (e == NULL)
		return NULL;
	e->job = job;
	job->input = e;
	return e;
}

void
api_ui_trace(const struct exchange *x)
{
	struct ui_job *job = ui_job_new(x, read_trace);
	struct ui_filter filter;
	struct errinfo ei;

	if (job == NULL)
		return;
	struct events *e = new_events(job);
	enum err rc = e != NULL ? ui_filter_read(job, LIST_MAX, LIST_DEFAULT, &filter, &ei)
				: ERR(&ei, ERR_NOMEM, "out of memory");
	if (rc != OK) {
		ui_job_refuse(job, &ei);
		return;
	}
	e->terms = filter.terms;
	e->terms.trace_prefix = job->id;
	e->cursor = filter.cursor;
	ui_job_start(job);
}

void
api_ui_action(const struct exchange *x)
{
	struct ui_job *job = ui_job_new(x, read_action);
	struct events *e;
	struct errinfo ei;

	if (job == NULL)
		return;
	e = new_events(job);
	if (e == NULL) {
		(void)ERR(&ei, ERR_NOMEM, "out of memory");
		ui_job_refuse(job, &ei);
		return;
	}
	e->terms.action_id = job->id;
	ui_job_start(job);
}
