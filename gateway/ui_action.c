/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/ui/actions/{id} (nomos-http.md 7): the records of one action put together. Worker's thread up to ui_job_start, a reader's in
 * what it runs.
 */
#include <inttypes.h>

#include "audit/store.h"
#include "base/arena.h"
#include "pipeline/approvals_read.h"
#include "pipeline/snapshot.h"
#include "ui_filter.h"

#define ROWS_MAX 20

struct action_events {
	struct ui_job *job;
	struct query_filter terms;
	/* Its records, newest first, copied. */
	struct kept_row {
		uint64_t seq;
		struct span body;
		struct span hash;
		struct span event_type;
	} rows[ROWS_MAX];
	size_t n;
};

static bool
visit_event(const struct store_row *row, void *arg)
{
	struct action_events *e = arg;
	struct ui_row shown = ui_row_parse(e->job, row->body);

	if (shown.root == NULL)
		return true;
	e->rows[e->n++] = (struct kept_row){
		.seq = row->seq,
		.body = arena_dup(e->job->arena, row->body),
		.hash = arena_dup(e->job->arena, span_cstr(row->hash)),
		.event_type = arena_dup(e->job->arena, ui_row_get_text(&shown, "event_type")),
	};
	return e->n < ROWS_MAX && !arena_failed(e->job->arena);
}

static const struct kept_row *
find_event(const struct action_events *e, const char *type)
{
	for (size_t i = 0; i < e->n; i++)
		if (span_eq_cstr(e->rows[i].event_type, type))
			return &e->rows[i];
	return NULL;
}

/* Each member of the first row that has it. */
static void
add_members(struct action_events *e, const struct kept_row *const rows[], size_t n)
{
	static const char *const members[] = {"action_id", "trace_id", "action_type", "resource",
		"resource_normalized", "params_hash", "decision", "reason", "matched_rule_ids",
		"obligations", "risk_level", "risk_flags", "sandbox_mode", "network_mode",
		"assurance_level", "policy_bundle_hash", "policy_bundle_sources",
		"result_classification", "params_redacted_summary", "result_redacted_summary",
		"executor_metadata", "principal", "agent", "environment", "approval_id",
		"action_fingerprint", "outcome", "duration_ms"};
	bool has[ARRAY_LEN(members)] = {false};

	for (size_t r = 0; r < n; r++) {
		if (rows[r] == NULL)
			continue;
		struct ui_row shown = ui_row_parse(e->job, rows[r]->body);
		for (size_t i = 0; i < ARRAY_LEN(members); i++) {
			if (has[i] || json_find_cstr(shown.root, members[i]) == NULL)
				continue;
			ui_row_add_member(&shown, members[i], &e->job->body);
			has[i] = true;
		}
	}
}

/* Where in the ledger it is told. */
static void
add_audit(struct action_events *e, const struct kept_row *row)
{
	struct ui_row shown = ui_row_parse(e->job, row->body);
	struct buf *b = &e->job->body;

	buf_printf(b, ",\"audit\":{\"seq\":%" PRIu64, row->seq);
	ui_row_add_member(&shown, "event_type", b);
	ui_row_add_member(&shown, "timestamp", b);
	buf_printf(b, ",\"event_hash\":\"%.*s\"", SPAN_ARG(row->hash));
	ui_row_add_present(&shown, "prev_event_hash", b);
	buf_add_char(b, '}');
}

/* Oldest first. */
static void
add_events(struct action_events *e)
{
	struct buf *b = &e->job->body;

	BUF_ADD_LIT(b, ",\"events\":[");
	for (size_t i = e->n; i > 0; i--) {
		buf_printf(b, "%s{\"seq\":%" PRIu64 ",\"event_type\":", i < e->n ? "," : "",
			e->rows[i - 1].seq);
		json_quote(b, e->rows[i - 1].event_type);
		buf_add_char(b, '}');
	}
	buf_add_char(b, ']');
}

/* The approval that the newest record which names one does, while it is still known (nomos-http.md 7). */
static bool
add_approval(struct action_events *e, struct store_reader *reader)
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
build_action(struct action_events *e)
{
	const struct kept_row *decision = find_event(e, "action.decision");
	const struct kept_row *completed = find_event(e, "action.completed");
	const struct kept_row *chosen = completed != NULL  ? completed
					: decision != NULL ? decision
							   : &e->rows[0];
	const struct kept_row *const sources[] = {chosen, decision};

	buf_printf(
		&e->job->body, "{\"seq\":%" PRIu64, decision != NULL ? decision->seq : chosen->seq);
	add_members(e, sources, ARRAY_LEN(sources));
	add_audit(e, chosen);
	add_events(e);
}

static void
answer(struct action_events *e, struct store_reader *reader, bool is_all_searched)
{
	if (e->n == 0 && !is_all_searched) {
		ui_job_fail(e->job, 503, "not_searched",
			"not among the newest records, and the search index is off or has "
			"not read the others yet");
	} else if (e->n == 0) {
		ui_job_fail(e->job, 404, "not_found", "action not found");
	} else {
		build_action(e);
		if (add_approval(e, reader))
			BUF_ADD_LIT(&e->job->body, "}\n");
	}
}

static void
read_action(struct ui_job *job)
{
	struct action_events *e = job->input;
	struct ui_search s = {
		.terms = &e->terms, .max_read = UI_READ_MAX, .visit = visit_event, .arg = e};
	struct store_reader *reader = NULL;

	if (!ui_job_open_ledger(job, &reader))
		return;
	if (ui_search_run(job, reader, &s))
		answer(e, reader, s.next == 0);
	store_reader_free(&reader);
}

void
api_ui_action(const struct exchange *x)
{
	struct ui_job *job = ui_job_new(x, read_action);
	struct errinfo ei;

	if (job == NULL)
		return;
	struct action_events *e = ARENA_NEW(job->arena, struct action_events);
	if (e == NULL) {
		(void)ERR(&ei, ERR_NOMEM, "out of memory");
		ui_job_refuse(job, &ei);
		return;
	}
	e->job = job;
	e->terms.action_id = job->id;
	job->input = e;
	ui_job_start(job);
}
