/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A question of an operator that needs the disk: put together on the worker's thread, answered by `work` on a reader thread, sent
 * on the worker's thread again. Readers are few and their queue is short: one question too many is a 503, and no action waits
 * for any of them.
 */
#ifndef GATEWAY_UI_JOB_H
#define GATEWAY_UI_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/workq.h"
#include "routes.h"

struct redactor;
struct snapshot;
struct store_reader;

#define UI_REPLY_BYTES_MAX ((size_t)4 * 1024 * 1024)
/* A page ends early behind so much. */
#define UI_PAGE_BYTES ((size_t)512 * 1024)
#define UI_ARENA_BYTES ((size_t)32 * 1024 * 1024)

struct ui_job {
	struct workq_item item; /* first */
	struct http_request *http;
	struct snapshot *snapshot; /* a reference: its redactor */
	struct worker *worker;
	const char *ledger_path; /* never NULL unless by ui_job_new_without_ledger */
	struct arena *arena;     /* what lives as long as the job: the input */
	struct arena *row_arena; /* emptied by ui_row_parse */
	struct span id;          /* {id} of the path */
	void *input;             /* of the route, in the arena */
	void (*work)(struct ui_job *job);
	/* The answer: the body, or the error. */
	struct buf body;
	unsigned status; /* 200 unless set */
	const char *error_code;
	char error_text[160];
	/* Instead of the answer, on the worker's thread: the answer comes in pages. The job is the receiver's then. */
	void (*on_page)(struct ui_job *job);
};

/* A job for this request, not started; NULL when it was answered already (out of memory, no ledger). */
MUSTCHECK struct ui_job *ui_job_new(const struct exchange *x, void (*work)(struct ui_job *job));
/* The same also without a ledger: ledger_path is NULL then. */
MUSTCHECK struct ui_job *ui_job_new_without_ledger(
	const struct exchange *x, void (*work)(struct ui_job *job));
/* Answers with 400 and frees it: the question makes no sense. */
void ui_job_refuse(struct ui_job *job, const struct errinfo *ei);
/* Defers the request and hands the job over; it answers when it is done. */
void ui_job_start(struct ui_job *job);

/* For on_page. Hands the job over, for the first page or the next, by the configuration of now; false when the readers have
 * too much to do. */
MUSTCHECK bool ui_job_submit(struct ui_job *job);
/* Answers with what the job came to, instead of pages. */
void ui_job_reply(struct ui_job *job);
void ui_job_free(struct ui_job *job);

/* For work: the answer is an error. */
void ui_job_fail(struct ui_job *job, unsigned status, const char *code, const char *text);
/* The same, of what reading the ledger came to; ei is logged, not shown: it may name a path. */
void ui_job_fail_read(struct ui_job *job, enum err rc, const struct errinfo *ei);
/* The ledger, to be freed by the caller; false when the job has failed by it. */
MUSTCHECK bool ui_job_open_ledger(struct ui_job *job, struct store_reader **out);

/* A stored record as it may be shown. */
struct ui_row {
	const struct json *root;         /* NULL: it is no record */
	const struct redactor *redactor; /* NULL: there is nothing to hide in all of it */
	struct arena *arena;
};
/* Valid until the next one of this job. */
struct ui_row ui_row_parse(struct ui_job *job, struct span body);
/* Appends the value of that member, redacted, or null. */
void ui_row_add_value(const struct ui_row *row, const char *name, struct buf *out);
/* Appends the whole record; root must be set. */
void ui_row_add_tree(const struct ui_row *row, struct buf *out);
/* Appends ,"name":value. */
void ui_row_add_member(const struct ui_row *row, const char *name, struct buf *out);
/* The same, unless it is absent. */
void ui_row_add_present(const struct ui_row *row, const char *name, struct buf *out);
/* The text of a string member; empty otherwise. Not redacted. */
struct span ui_row_get_text(const struct ui_row *row, const char *name);

/* "1" to 2^63-1; ERR_INVALID. Empty: 0. */
MUSTCHECK enum err ui_read_seq(struct span text, uint64_t *out, struct errinfo *ei);
/* 1 to max; out of range is an error, empty is def. */
MUSTCHECK enum err ui_read_limit(
	struct span text, size_t max, size_t def, size_t *out, struct errinfo *ei);
/* Appends a JSON string, redacted. */
void ui_add_clean(const struct redactor *redactor, struct span text, struct buf *out);
/* Ends an answer whose last member is a list that goes on at next: ],"next_cursor":"123"}, or null for 0. */
void ui_end_page(struct buf *b, uint64_t next);

#endif
