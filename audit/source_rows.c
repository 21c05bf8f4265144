/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of a ledger, one after the other. Beside a writer a page is gathered in one short transaction and shown behind
 * its end: it must never hold a transaction open while somebody else works. Blocking.
 */
#include <string.h>

#include "audit/store.h"
#include "base/mem.h"
#include "source_priv.h"

/* What is kept in memory of a page, beside its last row. */
#define PAGE_BYTES ((size_t)4 * 1024 * 1024)

struct page_row {
	uint64_t seq;
	int state;
	char hash[SHA256_HEX + 1];
	bool is_too_long;
	size_t at; /* of the body in the page's bytes */
	size_t n;
};

/* Rows that were read in one transaction. */
struct source_page {
	struct page_row rows[STORE_PAGE_MAX];
	size_t n;
	struct buf bytes;
	uint64_t last; /* newest seq that may be shown */
	bool is_over;
};

struct source_page *
source_page_new(void)
{
	struct source_page *p = mem_zalloc(1, sizeof(*p));

	if (p != NULL)
		buf_init(&p->bytes, PAGE_BYTES + SOURCE_LINE_BYTES_MAX);
	return p;
}

void
source_page_free(struct source_page **p)
{
	if (*p == NULL)
		return;
	buf_fini(&(*p)->bytes);
	mem_free(*p);
	*p = NULL;
}

static bool
collect_row(const struct store_row *row, void *arg)
{
	struct source_page *p = arg;
	struct page_row *to = &p->rows[p->n];
	bool is_too_long = row->body.n > SOURCE_LINE_BYTES_MAX;

	if (row->seq > p->last) {
		p->is_over = true;
		return false;
	}
	if (p->n > 0 && !is_too_long && p->bytes.n + row->body.n > PAGE_BYTES)
		return false;
	*to = (struct page_row){.seq = row->seq, .state = row->state, .is_too_long = is_too_long};
	memcpy(to->hash, row->hash, sizeof(to->hash));
	to->at = p->bytes.n;
	to->n = is_too_long ? 0 : row->body.n;
	buf_add(&p->bytes, row->body.p, to->n);
	p->n++;
	return p->n < STORE_PAGE_MAX && !buf_failed(&p->bytes);
}

static bool
show_page(const struct source_page *p, source_visit_fn visit, void *arg)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct page_row *row = &p->rows[i];
		struct source_record r = {
			.seq = row->seq,
			.body = span_of(buf_span(&p->bytes).p + row->at, row->n),
			.hash = span_cstr(row->hash),
			.state = row->state,
			.is_malformed = row->is_too_long,
		};
		if (!visit(&r, arg))
			return false;
	}
	return true;
}

/* Nobody waits for the end of a transaction on a private copy, so its rows need not be gathered first. */
struct showing {
	source_visit_fn visit;
	void *arg;
	uint64_t last; /* newest seq that may be shown */
	uint64_t after;
	bool is_over;
};

static bool
show_row(const struct store_row *row, void *arg)
{
	struct showing *w = arg;
	bool is_too_long = row->body.n > SOURCE_LINE_BYTES_MAX;
	struct source_record r = {
		.seq = row->seq,
		.body = is_too_long ? span_of(row->body.p, 0) : row->body,
		.hash = span_of(row->hash, SHA256_HEX),
		.state = row->state,
		.is_malformed = is_too_long,
	};

	w->after = row->seq;
	w->is_over = row->seq > w->last || !w->visit(&r, w->arg);
	return !w->is_over;
}

static enum err
each_row_of_copy(
	struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct showing w = {.visit = visit, .arg = arg, .last = s->head.seq, .after = after};
	size_t n = 1;
	enum err rc = OK;

	while (rc == OK && n > 0 && !w.is_over && w.after < w.last)
		rc = store_reader_page(s->reader, w.after, STORE_PAGE_MAX, show_row, &w, &n, ei);
	return w.is_over ? OK : rc;
}

static enum err
each_row(struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct source_page *p = s->page;

	p->last = s->head.seq;
	p->is_over = false;
	while (!p->is_over && after < p->last) {
		size_t n = 0;
		p->n = 0;
		buf_reset(&p->bytes);
		enum err rc =
			store_reader_page(s->reader, after, STORE_PAGE_MAX, collect_row, p, &n, ei);
		if (rc == OK && buf_failed(&p->bytes))
			rc = ERR(ei, ERR_NOMEM, "out of memory");
		/* What was read before a damaged row is shown, so that its fault is found behind
		 * theirs. */
		if (!show_page(p, visit, arg))
			return OK;
		if (rc != OK || p->n == 0)
			return rc;
		after = p->rows[p->n - 1].seq;
	}
	return OK;
}

enum err
source_each_row(
	struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei)
{
	return s->is_live ? each_row(s, after, visit, arg, ei)
			  : each_row_of_copy(s, after, visit, arg, ei);
}
