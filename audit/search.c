/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A search is a walk over sequence numbers in one direction: through the part that the index knows
 * by its candidates, each read again from the ledger and judged by the query itself, and through the
 * rest window by window. Whatever the index does, the walk goes on without it from where it stands.
 */
#include "audit/search.h"

#include <string.h>

#include "anchor.h"
#include "audit/query.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "index_scan.h"
#include "query_terms.h"

#define WINDOW_ROWS 32
#define BODY_MAX (2 * (size_t)BUF_CAP_RECORD)
#define PROGRESS_EVERY 4096

struct kept {
	uint64_t seq;
	int state;
	char hash[SHA256_HEX + 1];
	size_t at;
	size_t n;
};

struct search {
	struct store_reader *reader;
	const struct search_options *o;
	struct search_result *out;
	struct index_scan *index; /* NULL: none, or of no more use */
	store_visit_fn visit;
	void *arg;
	int64_t begun_ns;
	bool is_over; /* visit wants no more */
	/* one window */
	struct kept kept[WINDOW_ROWS];
	size_t n_kept;
	struct buf bytes;
	uint64_t window_end;
};

/* ---- rows ---- */

static bool
keep_match(const struct store_row *row, void *arg)
{
	struct search *s = arg;

	if (row->seq > s->window_end)
		return false;
	s->out->n_read++;
	if (row->body.n > BODY_MAX) {
		s->out->n_malformed++;
		return true;
	}
	if (!query_matches(s->o->query, row->body))
		return true;
	struct kept *k = &s->kept[s->n_kept++];
	*k = (struct kept){
		.seq = row->seq, .state = row->state, .at = s->bytes.n, .n = row->body.n};
	memcpy(k->hash, row->hash, sizeof(k->hash));
	buf_add_span(&s->bytes, row->body);
	return !buf_failed(&s->bytes);
}

static void
show_kept(struct search *s)
{
	for (size_t i = 0; i < s->n_kept && !s->is_over; i++) {
		const struct kept *k = &s->kept[s->o->is_newest_first ? s->n_kept - 1 - i : i];
		struct store_row row = {.seq = k->seq,
			.state = k->state,
			.body = span_of(s->bytes.p + k->at, k->n)};
		memcpy(row.hash, k->hash, sizeof(row.hash));
		s->is_over = !s->visit(&row, s->arg);
	}
}

static bool
is_enough(const struct search *s)
{
	const struct search_options *o = s->o;

	return (o->max_read != 0 && s->out->n_read >= o->max_read) ||
	       (o->max_ns != 0 && clock_mono_ns() - s->begun_ns >= o->max_ns);
}

/* Shows the matches from first to last, at most WINDOW_ROWS numbers. */
static enum err
read_window(struct search *s, uint64_t first, uint64_t last, struct errinfo *ei)
{
	uint64_t before = s->out->n_read / PROGRESS_EVERY;
	size_t n = 0;

	MUST(last - first < WINDOW_ROWS);
	s->n_kept = 0;
	s->window_end = last;
	buf_reset(&s->bytes);
	enum err rc = store_reader_page(
		s->reader, first - 1, (size_t)(last - first) + 1, keep_match, s, &n, ei);
	if (rc == OK && buf_failed(&s->bytes))
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	/* What was read before a damaged row is shown. */
	if (rc == OK || !s->o->is_newest_first)
		show_kept(s);
	if (s->o->progress != NULL && s->out->n_read / PROGRESS_EVERY != before)
		s->o->progress(s->o->progress_arg, s->out->n_read);
	if (!s->is_over && is_enough(s)) {
		s->is_over = true;
		s->out->next = s->o->is_newest_first ? first - 1 : last + 1;
	}
	return rc;
}

/* ---- the walk ---- */

static enum err
walk_rows(struct search *s, uint64_t first, uint64_t last, struct errinfo *ei)
{
	enum err rc = OK;

	while (rc == OK && !s->is_over && first <= last) {
		uint64_t n = last - first < WINDOW_ROWS ? last - first + 1 : WINDOW_ROWS;
		if (s->o->is_newest_first) {
			rc = read_window(s, last - n + 1, last, ei);
			last -= n;
		} else {
			rc = read_window(s, first, first + n - 1, ei);
			first += n;
		}
	}
	return rc;
}

static void
drop_index(struct search *s, const struct errinfo *why)
{
	log_debug(NULL, "the search index is not used: %s", why->msg);
	index_scan_free(&s->index);
}

static enum err
walk_index(struct search *s, uint64_t first, uint64_t last, struct errinfo *ei)
{
	bool is_down = s->o->is_newest_first;
	enum err rc = OK;

	while (rc == OK && !s->is_over && first <= last && s->index != NULL) {
		struct errinfo why;
		uint64_t seq = 0;
		if (index_scan_next(s->index, is_down ? last : first, is_down ? first : last, &seq,
			    &why) != OK) {
			drop_index(s, &why);
			break;
		}
		if (seq == 0)
			return OK;
		rc = read_window(s, seq, seq, ei);
		if (is_down)
			last = seq - 1;
		else
			first = seq + 1;
	}
	if (rc == OK && !s->is_over && s->index == NULL)
		rc = walk_rows(s, first, last, ei);
	return rc;
}

/* An index of another chain, or of a later state of this one, leads nowhere. */
static enum err
check_index(struct search *s, struct errinfo *ei)
{
	const struct index_header *h = index_scan_header(s->index);
	struct buf id;

	buf_init(&id, CHAIN_ID_HEX);
	enum err rc = store_reader_meta(s->reader, "chain_id", &id, ei);
	if (rc == OK)
		rc = index_check_ledger(h, buf_span(&id), s->reader, ei);
	buf_fini(&id);
	if (rc == OK && h->at.seq == 0)
		rc = ERR(ei, ERR_NOT_FOUND, "it is empty");
	return rc;
}

/* Without anything to look up every record is a candidate. */
static bool
has_conditions(const struct query *q)
{
	struct query_term terms[INDEX_N_FIELDS];
	const struct query_filter *times = query_get_times(q);

	return query_get_terms(q, terms) > 0 || times->has_since || times->has_until;
}

static void
open_index(struct search *s)
{
	struct errinfo why;

	if (s->o->path == NULL || !has_conditions(s->o->query))
		return;
	if (index_scan_new(s->o->path, s->o->is_live, s->o->query, &s->index, &why) != OK ||
		check_index(s, &why) != OK) {
		drop_index(s, &why);
		return;
	}
	s->out->index_head = index_scan_header(s->index)->at.seq;
}

static bool
keep_seq(const struct store_row *row, void *arg)
{
	*(uint64_t *)arg = row->seq;
	return false;
}

/* *first: 0 when there is no record. Rows up to the anchor are in the archive, and nothing vouches for
 * what stands in their place. */
static enum err
find_first(struct search *s, uint64_t *first, struct errinfo *ei)
{
	struct checkpoint anchor;
	enum err rc = anchor_read(s->reader, &anchor, ei);

	*first = 0;
	if (rc == ERR_CORRUPT)
		rc = OK; /* a damaged ledger can be searched */
	return rc == OK ? store_reader_page(s->reader, anchor.at.seq, 1, keep_seq, first, NULL, ei)
			: rc;
}

static enum err
walk(struct search *s, struct errinfo *ei)
{
	const struct search_options *o = s->o;
	uint64_t first = 0;
	uint64_t last = o->head;
	uint64_t known = s->out->index_head;
	enum err rc = find_first(s, &first, ei);

	if (rc != OK || first == 0)
		return rc;
	if (o->from != 0 && !o->is_newest_first && o->from > first)
		first = o->from;
	if (o->from != 0 && o->is_newest_first && o->from < last)
		last = o->from;
	if (known > last)
		known = last;
	/* The part behind the index, the part it knows, or the other way round. */
	if (known < first)
		return walk_rows(s, first, last, ei);
	if (o->is_newest_first) {
		rc = walk_rows(s, known + 1, last, ei);
		return rc == OK ? walk_index(s, first, known, ei) : rc;
	}
	rc = walk_index(s, first, known, ei);
	return rc == OK ? walk_rows(s, known + 1, last, ei) : rc;
}

enum err
search_run(struct store_reader *r, const struct search_options *o, store_visit_fn visit, void *arg,
	struct search_result *out, struct errinfo *ei)
{
	struct search s = {.reader = r, .o = o, .out = out, .visit = visit, .arg = arg};

	*out = (struct search_result){0};
	s.begun_ns = clock_mono_ns();
	buf_init(&s.bytes, WINDOW_ROWS * BODY_MAX);
	open_index(&s);
	enum err rc = walk(&s, ei);
	if (rc == OK && s.index != NULL && !index_scan_is_current(s.index))
		rc = ERR(ei, ERR_BUSY,
			"a gateway began to write while the ledger was searched; "
			"try again");
	index_scan_free(&s.index);
	buf_fini(&s.bytes);
	return rc;
}
