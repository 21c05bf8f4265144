/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/ui/traces, /api/ui/traces/{id} (nomos-http.md 6.9): records put together by trace. Worker's thread up to ui_job_start, a
 * reader's in what it runs.
 */
#include <inttypes.h>

#include "audit/store.h"
#include "base/arena.h"
#include "ui_filter.h"

#define LIST_MAX 200
#define LIST_DEFAULT 50
#define EVENTS_MAX 500

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
	ui_end_page(&job->body, l->next != 0 ? l->next : s.next);
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

/* ---- one trace ---- */

struct trace_events {
	struct ui_job *job;
	struct ui_filter filter;
	size_t n;
	uint64_t next;
};

static void
add_event(struct trace_events *e, const struct store_row *row, const struct ui_row *shown)
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
	struct trace_events *e = arg;
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
	struct trace_events *e = job->input;
	struct ui_search s = {.terms = &e->filter.terms,
		.from = e->filter.cursor,
		.is_oldest_first = true,
		.max_read = UI_READ_MAX,
		.visit = visit_event,
		.arg = e};

	BUF_ADD_LIT(&job->body, "{\"trace_id\":");
	json_quote(&job->body, job->id);
	BUF_ADD_LIT(&job->body, ",\"events\":[");
	if (!ui_search_ledger(job, &s))
		return;
	if (e->n == 0 && s.next == 0 && e->filter.cursor == 0)
		ui_job_fail(job, 404, "not_found", "trace not found");
	ui_end_page(&job->body, e->next != 0 ? e->next : s.next);
}

void
api_ui_trace(const struct exchange *x)
{
	struct ui_job *job = ui_job_new(x, read_trace);
	struct errinfo ei;

	if (job == NULL)
		return;
	struct trace_events *e = ARENA_NEW(job->arena, struct trace_events);
	enum err rc = e != NULL ? ui_filter_read(job, LIST_MAX, LIST_DEFAULT, &e->filter, &ei)
				: ERR(&ei, ERR_NOMEM, "out of memory");
	if (rc != OK) {
		ui_job_refuse(job, &ei);
		return;
	}
	e->job = job;
	e->filter.terms.trace_prefix = job->id;
	job->input = e;
	ui_job_start(job);
}
