/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the decision that a report is about: of all with its ids and its identity the newest that is open, or else how the newest
 * one was closed. It reads the ledger beside its writer and decides nothing: the state may have changed when the
 * report is applied, which looks again. On a pool thread; blocking.
 */
#include <string.h>

#include "audit/chain.h"
#include "audit/ledger.h"
#include "audit/query.h"
#include "audit/search.h"
#include "audit/store.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/parse.h"
#include "report.h"

enum {
	RECORDS_MAX = 256, /* with the same ids, looked at in one run */
	ARENA_BYTES = 4 * 1024 * 1024,
};

/* Effects use the same threads: without an index a run may have the whole ledger to read, so it stops and goes on at its next turn. */
#define SEARCH_NS (NS_PER_SEC / 2)

struct visit {
	struct report_search *s;
	struct arena *arena;
	size_t n_records;
	uint64_t next; /* not looked at any more; 0: none */
};

static struct span
text_of(const struct json *record, const char *name)
{
	const struct json *v = json_find_cstr(record, name);

	return v != NULL && v->type == JSON_STRING ? v->text : SPAN_NONE;
}

static bool
is_of_caller(const struct report_search *s, const struct json *record)
{
	return span_eq(text_of(record, "action_id"), s->action_id) &&
	       span_eq(text_of(record, "trace_id"), s->trace_id) &&
	       span_eq(text_of(record, "principal"), s->principal) &&
	       span_eq(text_of(record, "agent"), s->agent) &&
	       span_eq(text_of(record, "environment"), s->environment);
}

/* In the second look, one about a decision of the first: that was closed when it was seen, so this is what closed it. */
static void
keep_report(struct report_search *s, const struct json *record)
{
	const struct json *seq = json_find_cstr(record, "intent_seq");
	bool is_same = span_eq_cstr(text_of(record, "params_hash"), s->report->hash);
	int64_t intent_seq = 0;

	if (seq == NULL || !json_get_int(seq, 1, INT64_MAX, &intent_seq))
		return;
	if ((uint64_t)intent_seq <= s->floor && s->match == REPORT_UNMATCHED)
		s->match = is_same ? REPORT_REPEATED : REPORT_REPORTED;
	if (s->n_told < REPORT_TOLD_MAX)
		s->told[s->n_told++] = (struct report_told){
			.intent_seq = (uint64_t)intent_seq, .is_same = is_same};
}

static bool
is_in_time(const struct report_search *s, const struct json *record)
{
	int64_t wall_ns = 0;

	return clock_parse(text_of(record, "timestamp"), &wall_ns, NULL) == OK &&
	       wall_ns >= s->since_wall_ns;
}

/* The action is what was authorised; an approval is named only if it is the decision's. */
static bool
is_about(const struct report *r, const struct json *record)
{
	struct span approval = text_of(record, "approval_id");

	return span_eq(text_of(record, "action_type"), r->action_type) &&
	       span_eq(text_of(record, "resource_normalized"), r->resource.text) &&
	       (r->approval_id.n == 0 || span_eq(r->approval_id, approval)) &&
	       (r->approval_fingerprint.n == 0 ||
		       span_eq(r->approval_fingerprint, text_of(record, "action_fingerprint")));
}

static void
take_open(struct report_search *s, const struct store_row *row, const struct json *record)
{
	struct span approval = text_of(record, "approval_id");

	s->seq = row->seq;
	s->match = is_about(s->report, record) ? REPORT_OPEN : REPORT_OF_OTHERS;
	if (approval.n > 0 && approval.n < sizeof(s->approval_id))
		memcpy(s->approval_id, approval.p, approval.n);
}

/* The newest one that is not open counts when no older one is. */
static void
take_closed(struct report_search *s, uint64_t seq)
{
	s->has_closed = true;
	for (size_t i = 0; s->match == REPORT_UNMATCHED && i < s->n_told; i++)
		if (s->told[i].intent_seq == seq)
			s->match = s->told[i].is_same ? REPORT_REPEATED : REPORT_REPORTED;
}

static bool
see(const struct store_row *row, void *arg)
{
	struct visit *v = arg;
	const struct json *record = NULL;

	arena_reset(v->arena);
	if (row->seq <= v->s->floor)
		return false;
	if (++v->n_records > RECORDS_MAX) {
		v->next = row->seq;
		return false;
	}
	if (json_parse(row->body, v->arena, &record, NULL, NULL) != OK ||
		!is_of_caller(v->s, record))
		return true;
	struct span event = text_of(record, "event_type");
	if (span_eq_cstr(event, "action.external_reported"))
		keep_report(v->s, record);
	if (!span_eq_cstr(event, "action.decision"))
		return true;
	if (row->state == LEDGER_AUTHORIZED && is_in_time(v->s, record)) {
		take_open(v->s, row, record);
		return false;
	}
	take_closed(v->s, row->seq);
	return true;
}

/*
 * Whether there is more to look at. A report that comes between the look at the head and that at its decision closes it unseen:
 * then what came since is looked at too. A decision that was given back, or closed as unreported, is one without a report then.
 */
static bool
has_more(struct report_search *s, uint64_t next, uint64_t head)
{
	s->from = next > s->floor ? next : 0;
	if (s->from != 0)
		return true;
	if (s->floor != 0 || s->match != REPORT_UNMATCHED || !s->has_closed || head <= s->head)
		return false;
	s->floor = s->head;
	return true;
}

static enum err
run(struct report_search *s, struct visit *v, struct store_reader *reader,
	const struct query *query, struct errinfo *ei)
{
	struct search_options o = {.query = query,
		.path = s->ledger_path,
		.is_live = true,
		.is_newest_first = true,
		.from = s->from,
		.max_ns = SEARCH_NS};
	struct search_result found = {0};
	struct chain_head head;
	enum err rc = store_reader_head(reader, &head, ei);

	if (rc != OK)
		return rc;
	o.head = head.seq;
	s->head = s->head == 0 ? head.seq : s->head;
	/* About what the second look is for; the window that reaches below the floor is cut by what is seen. */
	if (s->floor != 0)
		o.max_read = (s->from != 0 ? s->from : head.seq) - s->floor;
	rc = search_run(reader, &o, see, v, &found, ei);
	if (rc == OK)
		rc = store_reader_head(reader, &head, ei);
	if (rc == OK)
		s->is_cut = has_more(s, v->next != 0 ? v->next : found.next, head.seq);
	return rc;
}

static enum err
search(struct report_search *s, struct visit *v, struct errinfo *ei)
{
	struct query_filter filter = {
		.trace_prefix = s->trace_id,
		.action_id = s->action_id,
		.principal = s->principal,
		.agent = s->agent,
		.has_since = true,
		/* A repeat may come when the window has closed in between. */
		.since_wall_ns = s->since_wall_ns - NS_PER_SEC * 3600,
	};
	struct store_reader *reader = NULL;
	struct query *query = NULL;
	enum err rc = query_new(&filter, &query, ei);

	if (rc == OK)
		rc = store_reader_open(s->ledger_path, STORE_READ_LIVE, &reader, ei);
	if (rc == OK)
		rc = run(s, v, reader, query, ei);
	store_reader_free(&reader);
	query_free(&query);
	return rc;
}

void
report_search_run(struct report_search *s)
{
	struct visit v = {.s = s, .arena = arena_new(ARENA_BYTES)};

	s->is_cut = false;
	s->result =
		v.arena != NULL ? search(s, &v, &s->ei) : ERR(&s->ei, ERR_NOMEM, "out of memory");
	arena_free(&v.arena);
}
