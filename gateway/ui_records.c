/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/ui/records, /api/ui/records/{seq}: the ledger's records, newest first, as they were recorded. Worker's
 * thread up to ui_job_start, a reader's in what it runs.
 */
#include <inttypes.h>

#include "base/arena.h"
#include "ui_filter.h"

#define LIST_MAX 200
#define LIST_DEFAULT 50

struct listing {
	struct ui_job *job;
	struct ui_filter filter;
	size_t n;
	uint64_t next; /* the record that the next page begins with */
};

static const char *
state_name(int state)
{
	switch (state) {
	case 1:
		return "open";
	case 2:
		return "authorized";
	default:
		return "complete";
	}
}

static void
add_row(struct listing *l, const struct store_row *row)
{
	static const char *const members[] = {"timestamp", "event_type", "decision", "reason",
		"principal", "agent", "environment", "action_type", "resource", "action_id",
		"trace_id", "approval_id", "result_classification"};
	struct buf *b = &l->job->body;
	struct ui_row shown = ui_row_parse(l->job, row->body);

	if (l->n > 0)
		buf_add_char(b, ',');
	buf_printf(b, "\n{\"seq\":%" PRIu64 ",\"state\":\"%s\"", row->seq, state_name(row->state));
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		ui_row_add_member(&shown, members[i], b);
	if (shown.root == NULL)
		BUF_ADD_LIT(b, ",\"is_malformed\":true");
	buf_add_char(b, '}');
}

static bool
visit_row(const struct store_row *row, void *arg)
{
	struct listing *l = arg;

	if (l->n == l->filter.limit || l->job->body.n > UI_PAGE_BYTES) {
		l->next = row->seq;
		return false;
	}
	add_row(l, row);
	l->n++;
	return true;
}

static void
list_records(struct ui_job *job)
{
	struct listing *l = job->input;
	struct ui_search s = {.terms = &l->filter.terms,
		.from = l->filter.cursor,
		.max_read = UI_READ_MAX,
		.max_ns = UI_SEARCH_NS,
		.visit = visit_row,
		.arg = l};

	BUF_ADD_LIT(&job->body, "{\"records\":[");
	if (!ui_search_ledger(job, &s))
		return;
	ui_end_page(&job->body, l->next != 0 ? l->next : s.next);
}

void
api_ui_records(const struct exchange *x)
{
	struct ui_job *job = ui_job_new(x, list_records);
	struct errinfo ei;

	if (job == NULL)
		return;
	struct listing *l = ARENA_NEW(job->arena, struct listing);
	enum err rc = l != NULL ? ui_filter_read(job, LIST_MAX, LIST_DEFAULT, &l->filter, &ei)
				: ERR(&ei, ERR_NOMEM, "out of memory");
	if (rc != OK) {
		ui_job_refuse(job, &ei);
		return;
	}
	l->job = job;
	job->input = l;
	ui_job_start(job);
}

/* ---- one record ---- */

struct one {
	struct ui_job *job;
	uint64_t seq;
	bool is_found;
};

static bool
show_record(const struct store_row *row, void *arg)
{
	struct one *o = arg;
	struct buf *b = &o->job->body;

	if (row->seq != o->seq)
		return false;
	o->is_found = true;
	struct ui_row shown = ui_row_parse(o->job, row->body);
	buf_printf(b, "{\"seq\":%" PRIu64 ",\"state\":\"%s\",\"event_hash\":\"%s\"", row->seq,
		state_name(row->state), row->hash);
	ui_row_add_member(&shown, "prev_event_hash", b);
	BUF_ADD_LIT(b, ",\"record\":");
	if (shown.root == NULL)
		BUF_ADD_LIT(b, "null");
	else
		ui_row_add_tree(&shown, b);
	BUF_ADD_LIT(b, ",\"canonical\":");
	/* The hash is of these bytes; with a part hidden they would only mislead. */
	if (shown.root != NULL && shown.redactor == NULL)
		json_quote(b, row->body);
	else
		BUF_ADD_LIT(b, "null");
	BUF_ADD_LIT(b, "}\n");
	return false;
}

static void
read_record(struct ui_job *job)
{
	struct one *o = job->input;
	struct store_reader *r = NULL;
	struct errinfo ei;
	size_t n;

	if (!ui_job_open_ledger(job, &r))
		return;
	enum err rc = store_reader_page(r, o->seq - 1, 1, show_record, o, &n, &ei);
	store_reader_free(&r);
	if (rc != OK)
		ui_job_fail_read(job, rc, &ei);
	else if (!o->is_found)
		ui_job_fail(job, 404, "not_found", "no such record in the ledger");
}

void
api_ui_record(const struct exchange *x)
{
	struct ui_job *job = ui_job_new(x, read_record);
	struct errinfo ei;

	if (job == NULL)
		return;
	struct one *o = ARENA_NEW(job->arena, struct one);
	enum err rc = o != NULL ? ui_read_seq(job->id, &o->seq, &ei)
				: ERR(&ei, ERR_NOMEM, "out of memory");
	if (rc != OK) {
		ui_job_refuse(job, &ei);
		return;
	}
	o->job = job;
	job->input = o;
	ui_job_start(job);
}
