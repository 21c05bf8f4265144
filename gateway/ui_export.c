/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/ui/export: any number of records as lines, page by page. A reader thread makes a page, the worker's thread sends it, and the
 * next one is not read before the client has room for it; so an export holds one page, whatever it comes to. It begins with the
 * first page, so that what is wrong is told by a status; what goes wrong later cuts it, visibly. Right and redaction are looked at anew
 * for each page.
 */
#include <inttypes.h>

#include "audit/chain.h"
#include "audit/trailer.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metric.h"
#include "ui_filter.h"

/* Both readers may be busy with these, a page at a time; more would keep others from their turn. */
#define EXPORTS_MAX 4
#define LIMIT_MAX 1000000000
#define PAGE_BYTES ((size_t)64 * 1024)
#define PIECE_BYTES ((size_t)64 * 1024)
/* When the readers' queue is full. */
#define RETRY_NS (NS_PER_SEC / 10)

struct export
{
	struct ui_job *job;
	struct ui_filter filter;
	struct loop_timer *timer;
	bool has_turn;
	bool is_chain; /* no filter: all of it in order, with a trailer */
	bool is_streaming;
	bool is_reading; /* the job is with a reader */
	bool has_left;   /* the client, or the server stops */
	/* The reader's while is_reading. */
	uint64_t next;  /* record to go on with */
	uint64_t head;  /* of the ledger when the export began */
	bool is_last;   /* nothing follows this page */
	bool is_broken; /* it cannot be gone on with */
	size_t n;       /* lines so far */
	size_t n_hidden;
	struct trailer trailer;
	size_t n_sent; /* of the page's bytes */
};

/* ---- a page; reader's thread ---- */

/* What a pattern of today hides cannot be checked against its hash any more. */
static void
add_hidden(struct export *x, const struct store_row *row, const struct ui_row *shown)
{
	static const char *const members[] = {
		"timestamp", "event_type", "decision", "action_id", "trace_id"};
	struct buf *b = &x->job->body;

	buf_printf(b, "{\"seq\":%" PRIu64 ",\"event_hash\":\"%s\",\"is_redacted\":true", row->seq,
		row->hash);
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		ui_row_add_present(shown, members[i], b);
	BUF_ADD_LIT(b, "}\n");
	x->n_hidden++;
}

/* Retention may have taken what was to come next. */
static bool
continues_chain(struct export *x, const struct store_row *row)
{
	struct chain_fields f;

	if (x->n > 0 && row->seq != x->trailer.head.seq + 1)
		return false;
	if (x->n == 0 && chain_read_fields(row->body, &f) && f.chain_id.n == CHAIN_ID_HEX)
		memcpy(x->trailer.chain_id, f.chain_id.p, CHAIN_ID_HEX);
	x->trailer.head.seq = row->seq;
	memcpy(x->trailer.head.hash, row->hash, sizeof(x->trailer.head.hash));
	return true;
}

static bool
visit_line(const struct store_row *row, void *arg)
{
	struct export *x = arg;
	struct buf *b = &x->job->body;

	if (x->n == x->filter.limit || b->n >= PAGE_BYTES) {
		x->is_last = x->n == x->filter.limit;
		x->next = row->seq;
		return false;
	}
	if (x->is_chain && !continues_chain(x, row)) {
		x->is_broken = true;
		return false;
	}
	struct ui_row shown = ui_row_parse(x->job, row->body);
	if (shown.root == NULL || shown.redactor != NULL)
		add_hidden(x, row, &shown);
	else if (chain_build_line(row->body, span_cstr(row->hash), b))
		buf_add_char(b, '\n');
	x->n++;
	return true;
}

static void
add_trailer(struct export *x)
{
	struct errinfo ei;

	x->trailer.count = x->n;
	if (x->trailer.chain_id[0] == '\0' || x->n_hidden > 0)
		return;
	/* The key is the ledger's; without it this cannot fail. */
	if (trailer_sign(&x->trailer, NULL, &ei) != OK)
		return;
	trailer_build(&x->trailer, &x->job->body);
	buf_add_char(&x->job->body, '\n');
}

static void
read_page(struct ui_job *job)
{
	struct export *x = job->input;
	struct ui_search s = {.terms = &x->filter.terms,
		.from = x->next,
		.head = x->head,
		.is_oldest_first = x->is_chain,
		.max_read = UI_READ_MAX,
		.visit = visit_line,
		.arg = x};

	x->next = 0;
	if (!ui_search_ledger(job, &s))
		return;
	if (x->is_broken) {
		ui_job_fail(job, 503, "overloaded", "records were archived while they were read");
		return;
	}
	x->head = s.head;
	if (x->next == 0)
		x->next = s.next;
	x->is_last = x->is_last || x->next == 0;
	if (x->is_chain && x->is_last)
		add_trailer(x);
	if (buf_failed(&job->body))
		ui_job_fail(job, 503, "overloaded", "out of memory");
}

/* ---- sending; worker's thread ---- */

static void
end(struct export *x)
{
	loop_timer_free(&x->timer);
	if (x->has_turn)
		metric_add(METRIC_EXPORTS, -1);
	ui_job_free(x->job); /* and x with its arena */
}

static void
cut(struct export *x)
{
	http_request_stream_abort(x->job->http);
	end(x);
}

static void
on_closed(struct http_request *http, void *arg)
{
	struct export *x = arg;

	(void)http;
	x->has_left = true;
	if (!x->is_reading && x->is_streaming)
		cut(x);
}

static void send_page(struct export *x);

static void
on_drained(struct http_request *http, void *arg)
{
	struct export *x = arg;

	(void)http;
	if (!x->is_reading)
		send_page(x);
}

static void
begin(struct export *x)
{
	static const struct http_header headers[] = {
		{{"Content-Type", 12}, {"application/x-ndjson", 20}},
		{{"Content-Disposition", 19},
			{"attachment; filename=\"nomos-records.ndjson\"", 43}},
		{{"Cache-Control", 13}, {"no-store", 8}},
		{{"X-Content-Type-Options", 22}, {"nosniff", 7}},
	};

	x->is_streaming = true;
	http_request_stream_begin(x->job->http, 200, headers, ARRAY_LEN(headers));
	http_request_stream_set_drained_fn(x->job->http, on_drained, x);
}

static void
read_next(struct export *x)
{
	if (!exchange_may_stay(x->job->http, x->job->worker, ROLE_VIEWER)) {
		cut(x);
		return;
	}
	buf_reset(&x->job->body);
	x->is_reading = ui_job_submit(x->job);
	if (!x->is_reading)
		loop_timer_arm(x->timer, RETRY_NS);
}

static void
on_timer(void *arg)
{
	struct export *x = arg;

	if (!x->is_reading)
		read_next(x);
}

static void
send_page(struct export *x)
{
	struct span body = buf_span(&x->job->body);

	while (x->n_sent < body.n) {
		struct span piece = span_from(body, x->n_sent);

		if (piece.n > PIECE_BYTES)
			piece.n = PIECE_BYTES;
		if (!http_request_stream_write(x->job->http, piece))
			return; /* drained, or closed, goes on */
		x->n_sent += piece.n;
	}
	if (x->is_last || http_request_get_method(x->job->http) == HTTP_METHOD_HEAD) {
		http_request_stream_end(x->job->http);
		end(x);
		return;
	}
	x->n_sent = 0;
	read_next(x);
}

static void
on_page(struct ui_job *job)
{
	struct export *x = job->input;
	bool is_bad = job->error_code != NULL;

	x->is_reading = false;
	if (is_bad && !x->is_streaming) {
		ui_job_reply(job);
		end(x);
		return;
	}
	if (is_bad && !x->has_left)
		log_warn(NULL, "an export of records was cut behind %zu lines", x->n);
	if (!x->is_streaming)
		begin(x);
	if (is_bad || x->has_left)
		cut(x);
	else
		send_page(x);
}

/* Each worker asks for itself: some at the same moment may be one too many. */
static bool
take_turn(struct export *x)
{
	x->has_turn = metric_get(METRIC_EXPORTS) < EXPORTS_MAX;
	if (x->has_turn)
		metric_add(METRIC_EXPORTS, 1);
	return x->has_turn;
}

static struct export *
new_export(struct ui_job *job, struct errinfo *ei)
{
	struct export *x = ARENA_NEW(job->arena, struct export);

	if (x == NULL) {
		(void)ERR(ei, ERR_NOMEM, "out of memory");
		return NULL;
	}
	x->job = job;
	job->input = x;
	job->on_page = on_page;
	/* Part of a chain cannot be verified, so only all of it is one. */
	x->is_chain = http_request_get_query(job->http).n == 0;
	if (ui_filter_read(job, LIMIT_MAX, LIMIT_MAX, &x->filter, ei) != OK)
		return NULL;
	x->next = x->filter.cursor;
	x->timer = loop_timer_new(worker_get_loop(job->worker), on_timer, x);
	if (x->timer == NULL || arena_failed(job->arena)) {
		(void)ERR(ei, ERR_NOMEM, "out of memory");
		loop_timer_free(&x->timer);
		return NULL;
	}
	return x;
}

void
api_ui_export(const struct exchange *exchange)
{
	struct ui_job *job = ui_job_new(exchange, read_page);
	struct errinfo ei;

	if (job == NULL)
		return;
	struct export *x = new_export(job, &ei);
	if (x == NULL) {
		ui_job_refuse(job, &ei);
		return;
	}
	http_request_defer(job->http);
	http_request_set_closed_fn(job->http, on_closed, x);
	x->is_reading = take_turn(x) && ui_job_submit(job);
	if (x->is_reading)
		return;
	ui_job_fail(job, 503, "overloaded", "too many questions at once");
	ui_job_reply(job);
	end(x);
}
