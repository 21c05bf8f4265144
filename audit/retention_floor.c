/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of retention. All of them only ever move towards the head: what is written after they
 * were read refers to records behind the head of that moment. Any doubt keeps everything. The
 * retention thread.
 */
#include "retention_floor.h"

#include "audit/ledger.h"
#include "audit/store.h"
#include "base/clock.h"

static void
lower(uint64_t *floor, uint64_t needed)
{
	uint64_t before = needed > 0 ? needed - 1 : 0;

	*floor = before < *floor ? before : *floor;
}

static bool
keep_seq(const struct store_row *row, void *arg)
{
	*(uint64_t *)arg = row->seq;
	return false;
}

static enum err
find_first(const struct retention_needs *n, int state, uint64_t after, uint64_t *seq,
	struct errinfo *ei)
{
	*seq = UINT64_MAX;
	return store_reader_page_state(n->reader, state, after, 1, keep_seq, seq, ei);
}

/* The next start looks for the checkpoint of the head file, and for the newest one. */
static enum err
read_head_file(const struct retention_needs *n, uint64_t *floor, struct errinfo *ei)
{
	struct checkpoint cp;
	enum err rc = checkpoint_read_head(n->head_file, &cp, ei);

	if (rc == ERR_NOT_FOUND) {
		*floor = 0;
		return OK;
	}
	if (rc == OK)
		lower(floor, cp.at.seq);
	return rc;
}

enum err
retention_find_floor(const struct retention_needs *n, uint64_t *out, struct errinfo *ei)
{
	uint64_t floor = UINT64_MAX;
	uint64_t seq = 0;
	enum err rc = read_head_file(n, &floor, ei);

	for (size_t i = 0; rc == OK && i < n->n_sinks; i++) {
		rc = store_reader_cursor(n->reader, n->sinks[i], &seq, ei);
		if (rc == OK || rc == ERR_NOT_FOUND) {
			floor = rc == OK && seq > floor ? floor : seq;
			rc = OK;
		}
	}
	/* The index is recognised by the last record it has. */
	if (n->indexed != UINT64_MAX)
		lower(&floor, n->indexed);
	if (rc == OK)
		rc = find_first(n, LEDGER_OPEN, 0, &seq, ei);
	if (rc == OK)
		lower(&floor, seq);
	if (rc == OK)
		rc = store_reader_min_claim(n->reader, n->now_wall_ns, &seq, ei);
	if (rc == OK)
		lower(&floor, seq);
	*out = rc == OK ? floor : 0;
	return rc;
}

/* ---- the end of a segment ---- */

struct look {
	struct checkpoint checkpoint; /* the first that was met */
	int64_t wall_ns;              /* of that record, or of the row that was asked for */
	uint64_t last;
	bool has_time;
};

static bool
read_time(struct look *k, const struct store_row *row)
{
	struct chain_fields f;

	k->last = row->seq;
	k->has_time = chain_read_fields(row->body, &f) &&
		      clock_parse(f.timestamp, &k->wall_ns, NULL) == OK;
	return false;
}

static bool
look_at_row(const struct store_row *row, void *arg)
{
	return read_time(arg, row);
}

static bool
look_for_checkpoint(const struct store_row *row, void *arg)
{
	struct look *k = arg;

	k->last = row->seq;
	if (!checkpoint_parse_record(row->body, &k->checkpoint))
		return true;
	return read_time(k, row);
}

static bool
is_old(const struct retention_needs *n, const struct ledger_retention_options *r,
	const struct look *k, uint64_t head)
{
	int64_t age_ns = r->days * INT64_C(86400) * NS_PER_SEC;

	if (r->records > 0 && head > r->records && k->last <= head - r->records)
		return true;
	return r->days > 0 && k->has_time && k->wall_ns <= n->now_wall_ns - age_ns;
}

/* A decision that may still be reported stays. */
static enum err
is_reportable(const struct retention_needs *n, const struct chain_head *from, const struct look *k,
	bool *is_so, struct errinfo *ei)
{
	uint64_t seq = 0;
	enum err rc = find_first(n, LEDGER_AUTHORIZED, from->seq, &seq, ei);

	*is_so = rc != OK ||
		 (seq <= k->checkpoint.at.seq &&
			 !(k->has_time && k->wall_ns <= n->now_wall_ns - n->report_window_ns));
	return rc;
}

enum err
retention_find_end(const struct retention_needs *n, const struct ledger_retention_options *r,
	const struct chain_head *from, uint64_t floor, struct checkpoint *out, struct errinfo *ei)
{
	uint64_t at = from->seq + r->segment_records;
	struct look k = {.last = 0};
	struct chain_head head;
	bool is_kept = true;

	*out = (struct checkpoint){.at = {0}};
	if (floor <= at)
		return OK;
	enum err rc = store_reader_head(n->reader, &head, ei);
	/* The first record beyond says whether it is worth looking. */
	if (rc == OK)
		rc = store_reader_page(n->reader, at, 1, look_at_row, &k, NULL, ei);
	if (rc != OK || k.last == 0 || !is_old(n, r, &k, head.seq))
		return rc;
	k = (struct look){.last = at};
	while (rc == OK && k.checkpoint.at.seq == 0 && k.last <= floor) {
		uint64_t before = k.last;
		rc = store_reader_page(
			n->reader, before, STORE_PAGE_MAX, look_for_checkpoint, &k, NULL, ei);
		if (k.last == before)
			break;
	}
	if (rc != OK || k.checkpoint.at.seq == 0 || k.checkpoint.at.seq > floor ||
		!is_old(n, r, &k, head.seq))
		return rc;
	rc = is_reportable(n, from, &k, &is_kept, ei);
	if (rc == OK && !is_kept)
		*out = k.checkpoint;
	return rc;
}
