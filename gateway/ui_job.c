/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The life of a job, and what jobs share: reading the ledger, rows as they may be shown, cursors. */
#include "ui_job.h"

#include <stdio.h>

#include "audit/store.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/redact.h"
#include "pipeline/redact_json.h"
#include "pipeline/snapshot.h"

#define ROW_ARENA_BYTES ((size_t)32 * 1024 * 1024)

void
ui_job_free(struct ui_job *job)
{
	snapshot_unref(&job->snapshot);
	buf_fini(&job->body);
	arena_free(&job->row_arena);
	arena_free(&job->arena);
	mem_free(job);
}

static void
reply_no_memory(struct http_request *http)
{
	reply_error(http, 503, "overloaded", SPAN_LIT("out of memory"), 1);
}

static void
process(struct workq_item *item)
{
	struct ui_job *job = (struct ui_job *)(void *)item;

	job->work(job);
}

void
ui_job_reply(struct ui_job *job)
{
	if (job->error_code != NULL)
		reply_error(job->http, job->status, job->error_code, span_cstr(job->error_text),
			job->status == 503 ? 1 : 0);
	else
		reply_private(job->http, job->status, NULL, 0, &job->body);
}

static void
on_done(struct workq_item *item)
{
	struct ui_job *job = (struct ui_job *)(void *)item;

	if (job->on_page != NULL) {
		job->on_page(job);
		return;
	}
	ui_job_reply(job);
	ui_job_free(job);
}

bool
ui_job_submit(struct ui_job *job)
{
	snapshot_unref(&job->snapshot);
	job->snapshot = snapshot_ref(worker_get_snapshot(job->worker));
	return workq_submit(runtime_get_readers(worker_get_runtime(job->worker)), &job->item) == OK;
}

struct ui_job *
ui_job_new_without_ledger(const struct exchange *x, void (*work)(struct ui_job *job))
{
	struct ui_job *job = mem_zalloc(1, sizeof(*job));

	if (job == NULL) {
		reply_no_memory(x->http);
		return NULL;
	}
	job->http = x->http;
	job->worker = x->worker;
	job->work = work;
	job->status = 200;
	job->ledger_path = runtime_get_ledger_path(worker_get_runtime(x->worker));
	job->item.loop = worker_get_loop(x->worker);
	job->item.process = process;
	job->item.done = on_done;
	job->snapshot = snapshot_ref(worker_get_snapshot(x->worker));
	job->arena = arena_new(UI_ARENA_BYTES);
	job->row_arena = arena_new(ROW_ARENA_BYTES);
	buf_init(&job->body, UI_REPLY_BYTES_MAX);
	if (job->arena == NULL || job->row_arena == NULL) {
		reply_no_memory(x->http);
		ui_job_free(job);
		return NULL;
	}
	job->id = arena_dup(job->arena, x->id);
	return job;
}

struct ui_job *
ui_job_new(const struct exchange *x, void (*work)(struct ui_job *job))
{
	if (runtime_get_ledger_path(worker_get_runtime(x->worker)) != NULL)
		return ui_job_new_without_ledger(x, work);
	reply_error(x->http, 404, "not_enabled",
		SPAN_LIT("there is no ledger to read (runtime.stateless_mode)"), 0);
	return NULL;
}

void
ui_job_refuse(struct ui_job *job, const struct errinfo *ei)
{
	if (ei->code == ERR_NOMEM)
		reply_no_memory(job->http);
	else
		reply_error(job->http, 400, "validation_error", span_cstr(ei->msg), 0);
	ui_job_free(job);
}

void
ui_job_start(struct ui_job *job)
{
	struct http_request *http = job->http;

	if (arena_failed(job->arena)) {
		reply_no_memory(http);
		ui_job_free(job);
		return;
	}
	http_request_defer(http);
	if (ui_job_submit(job))
		return;
	reply_error(http, 503, "overloaded", SPAN_LIT("too many questions at once"), 1);
	ui_job_free(job);
}

void
ui_job_fail(struct ui_job *job, unsigned status, const char *code, const char *text)
{
	job->status = status;
	job->error_code = code;
	snprintf(job->error_text, sizeof(job->error_text), "%s", text);
}

void
ui_job_fail_read(struct ui_job *job, enum err rc, const struct errinfo *ei)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;

	if (log_limit(&limiter, &dropped))
		log_warn(NULL, "the operator page cannot read the ledger: %s", ei->msg);
	if (rc == ERR_NOMEM || rc == ERR_BUSY)
		ui_job_fail(job, 503, "overloaded", "the ledger cannot be read now");
	else
		ui_job_fail(job, 500, "internal_error",
			"the ledger cannot be read; the log has the reason");
}

bool
ui_job_open_ledger(struct ui_job *job, struct store_reader **out)
{
	struct errinfo ei;
	enum err rc = store_reader_open(job->ledger_path, STORE_READ_LIVE, out, &ei);

	if (rc != OK)
		ui_job_fail_read(job, rc, &ei);
	return rc == OK;
}

/* ---- rows ---- */

struct ui_row
ui_row_parse(struct ui_job *job, struct span body)
{
	const struct redactor *redactor = snapshot_get_redactor(job->snapshot);
	struct ui_row row = {.arena = job->row_arena};

	arena_reset(job->row_arena);
	if (json_parse(body, row.arena, &row.root, NULL, NULL) != OK ||
		row.root->type != JSON_OBJECT) {
		row.root = NULL;
		return row;
	}
	if (!redact_is_clean(redactor, body))
		row.redactor = redactor;
	return row;
}

static void
add_shown(const struct ui_row *row, const struct json *v, struct buf *out)
{
	if (row->redactor == NULL)
		buf_add_span(out, v->source);
	else
		redact_json(row->redactor, v, row->arena, out);
}

void
ui_row_add_tree(const struct ui_row *row, struct buf *out)
{
	add_shown(row, row->root, out);
}

void
ui_row_add_value(const struct ui_row *row, const char *name, struct buf *out)
{
	const struct json *v = json_find_cstr(row->root, name);

	if (v == NULL)
		BUF_ADD_LIT(out, "null");
	else
		add_shown(row, v, out);
}

void
ui_row_add_member(const struct ui_row *row, const char *name, struct buf *out)
{
	BUF_ADD_LIT(out, ",\"");
	buf_add_cstr(out, name);
	BUF_ADD_LIT(out, "\":");
	ui_row_add_value(row, name, out);
}

void
ui_row_add_present(const struct ui_row *row, const char *name, struct buf *out)
{
	if (json_find_cstr(row->root, name) != NULL)
		ui_row_add_member(row, name, out);
}

void
ui_add_clean(const struct redactor *redactor, struct span text, struct buf *out)
{
	struct buf clean;

	if (redact_is_clean(redactor, text)) {
		json_quote(out, text);
		return;
	}
	buf_init(&clean, BUF_CAP_RECORD);
	(void)redact(redactor, text, &clean);
	json_quote(out, buf_failed(&clean) ? SPAN_LIT("[REDACTED]") : buf_span(&clean));
	buf_fini(&clean);
}

struct span
ui_row_get_text(const struct ui_row *row, const char *name)
{
	const struct json *v = json_find_cstr(row->root, name);

	return v != NULL && v->type == JSON_STRING ? v->text : SPAN_NONE;
}

/* ---- parameters ---- */

enum err
ui_read_seq(struct span text, uint64_t *out, struct errinfo *ei)
{
	*out = 0;
	if (text.n == 0)
		return OK;
	if (!parse_uint(text, INT64_MAX, out) || *out == 0)
		return ERR(ei, ERR_INVALID, "not a record's number");
	return OK;
}

enum err
ui_read_limit(struct span text, size_t max, size_t def, size_t *out, struct errinfo *ei)
{
	uint64_t n = def;

	*out = def;
	if (text.n > 0 && (!parse_uint(text, max, &n) || n == 0))
		return ERR(ei, ERR_INVALID, "limit is outside 1..%zu", max);
	*out = (size_t)n;
	return OK;
}

void
ui_end_page(struct buf *b, uint64_t next)
{
	if (next == 0) {
		BUF_ADD_LIT(b, "],\"next_cursor\":null}\n");
		return;
	}
	BUF_ADD_LIT(b, "],\"next_cursor\":\"");
	buf_add_uint(b, next);
	BUF_ADD_LIT(b, "\"}\n");
}
