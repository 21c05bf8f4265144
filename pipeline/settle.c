/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Settling an unknown outcome: what happened is looked up beside the writer (pool), the settlement is recorded with a claim that
 * makes it the only one (ledger's thread). Both looks are needed: a claim does not outlive its day, and the search
 * does not see what is being written.
 */
#include "pipeline/settle.h"

#include <inttypes.h>
#include <stdio.h>

#include "audit/query.h"
#include "audit/search.h"
#include "audit/store.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "claims.h"
#include "req_state.h"

enum {
	ARENA_BYTES = 4 * 1024 * 1024,
	CLAIM_SECONDS = 86400,
};

/* What the record of a settlement has from that of the outcome, byte by byte. */
static const enum record_member copied[] = {RECORD_ACTION_FINGERPRINT, RECORD_ACTION_ID,
	RECORD_ACTION_TYPE, RECORD_AGENT, RECORD_APPROVAL_ID, RECORD_BINDING_HASH,
	RECORD_ENVIRONMENT, RECORD_PRINCIPAL, RECORD_RESOURCE, RECORD_RESOURCE_NORMALIZED,
	RECORD_TRACE_ID};

struct settlement {
	struct ledger_entry entry;
	struct workq_item item;
	struct settle_request request;
	struct pipeline *pipeline;
	struct snapshot *snapshot;
	struct arena *arena; /* what lives to the end */
	struct arena *look;  /* one record at a time */
	struct span action_id;
	struct span outcome_body; /* of the record that says `unknown` */
	uint64_t intent_seq;
	bool is_settled;
	enum err result;
	struct record_text record;
};

static void
end(struct settlement *s, enum err result)
{
	struct settle_request request = s->request;
	uint64_t seq = s->intent_seq;
	bool is_doubtful = s->entry.is_doubtful;

	snapshot_unref(&s->snapshot);
	arena_free(&s->arena);
	arena_free(&s->look);
	mem_free(s);
	request.done(request.arg, result, seq, is_doubtful);
}

/* ---- looking ---- */

static struct span
text_of(const struct json *record, const char *name)
{
	const struct json *v = json_find_cstr(record, name);

	return v != NULL && v->type == JSON_STRING ? v->text : SPAN_NONE;
}

static uint64_t
intent_of(const struct json *record)
{
	const struct json *v = json_find_cstr(record, "intent_seq");
	int64_t seq = 0;

	return v != NULL && json_get_int(v, 1, INT64_MAX, &seq) ? (uint64_t)seq : 0;
}

static const struct json *
parse_row(struct settlement *s, const struct store_row *row)
{
	const struct json *record = NULL;

	arena_reset(s->look);
	return json_parse(row->body, s->look, &record, NULL, NULL) == OK ? record : NULL;
}

/* The row that was named: an intent, or an outcome that is unknown. */
static bool
see_named(const struct store_row *row, void *arg)
{
	struct settlement *s = arg;
	const struct json *record = parse_row(s, row);

	if (row->seq != s->request.seq || record == NULL)
		return false;
	bool is_intent = span_eq_cstr(text_of(record, "event_type"), "action.decision");
	s->intent_seq = is_intent ? row->seq : intent_of(record);
	s->action_id = arena_dup(s->arena, text_of(record, "action_id"));
	return false;
}

/* Outcome and settlements of that intent, among the records of its action id. */
static bool
see_later(const struct store_row *row, void *arg)
{
	struct settlement *s = arg;
	const struct json *record = parse_row(s, row);

	if (record == NULL || intent_of(record) != s->intent_seq)
		return true;
	struct span event = text_of(record, "event_type");
	if (span_eq_cstr(event, "action.settled"))
		s->is_settled = true;
	if (span_eq_cstr(event, "action.completed") &&
		span_eq_cstr(text_of(record, "outcome"), "unknown"))
		s->outcome_body = arena_dup(s->arena, row->body);
	return true;
}

static enum err
look_up(struct settlement *s, struct store_reader *reader, const char *path, struct errinfo *ei)
{
	struct query *query = NULL;
	struct search_result found;
	struct chain_head head;
	enum err rc = store_reader_page(reader, s->request.seq - 1, 1, see_named, s, NULL, ei);

	if (rc == OK && (s->intent_seq == 0 || s->action_id.n == 0))
		return ERR(ei, ERR_NOT_FOUND, "no such action");
	if (rc == OK)
		rc = store_reader_head(reader, &head, ei);
	if (rc == OK)
		rc = query_new(&(struct query_filter){.action_id = s->action_id}, &query, ei);
	if (rc == OK) {
		struct search_options o = {.query = query,
			.path = path,
			.is_live = true,
			.from = s->intent_seq,
			.head = head.seq};
		rc = search_run(reader, &o, see_later, s, &found, ei);
	}
	query_free(&query);
	if (rc != OK)
		return rc;
	if (arena_failed(s->arena))
		return ERR(ei, ERR_NOMEM, "out of memory");
	if (s->outcome_body.n == 0)
		return ERR(ei, ERR_NOT_FOUND, "its outcome is known");
	return s->is_settled ? ERR(ei, ERR_CONFLICT, "settled before") : OK;
}

/* ---- the record ---- */

static enum err
build_record(struct settlement *s, struct errinfo *ei)
{
	struct record *rec = record_new(s->arena, "action.settled");
	struct buf b;

	if (rec == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_LEN(copied); i++)
		record_set_json(rec, copied[i],
			chain_find_member(
				s->outcome_body, span_cstr(record_member_name(copied[i]))));
	buf_init_arena(&b, s->arena, BUF_CAP_RECORD);
	BUF_ADD_LIT(&b, "{\"settled_by\":");
	json_quote(&b, s->request.principal);
	buf_add_char(&b, '}');
	record_set_text(rec, RECORD_SCHEMA_VERSION, SPAN_LIT("v1"));
	record_set_int(rec, RECORD_INTENT_SEQ, (int64_t)s->intent_seq);
	record_set_text(rec, RECORD_OUTCOME,
		s->request.is_success ? SPAN_LIT("succeeded") : SPAN_LIT("failed"));
	record_set_text(rec, RECORD_REASON, s->request.reason);
	record_set_json(rec, RECORD_EXECUTOR_METADATA, buf_span(&b));
	return record_render(rec, s->snapshot->redactor, s->arena, &s->record, ei);
}

static void
process(struct workq_item *item)
{
	struct settlement *s = CONTAINER_OF(item, struct settlement, item);
	const char *path = ledger_get_path(s->pipeline->ledger);
	struct store_reader *reader = NULL;
	struct errinfo ei;

	s->result = store_reader_open(path, STORE_READ_LIVE, &reader, &ei);
	if (s->result == OK)
		s->result = look_up(s, reader, path, &ei);
	if (s->result == OK)
		s->result = build_record(s, &ei);
	store_reader_free(&reader);
	if (s->result != OK && s->result != ERR_NOT_FOUND && s->result != ERR_CONFLICT)
		log_error(NULL, "settle: record %" PRIu64 ": %s", s->request.seq, ei.msg);
}

/* ---- the transaction ---- */

static enum err
apply(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct settlement *s = CONTAINER_OF(e, struct settlement, entry);
	struct ledger_claim c = {
		.kind = CLAIM_SETTLEMENT,
		.expires_wall_ns = clock_wall_ns() + CLAIM_SECONDS * NS_PER_SEC,
	};
	char number[24];
	int n = snprintf(number, sizeof(number), "%" PRIu64, s->intent_seq);
	struct span part = span_of(number, (size_t)n);
	enum err rc = ledger_tx_append(tx, &s->record, LEDGER_COMPLETE, &c.seq, ei);

	claim_key(CLAIM_SETTLEMENT, &part, 1, c.key);
	return rc == OK ? ledger_tx_put_claim(tx, &c, ei) : rc;
}

static void
applied(struct ledger_entry *e)
{
	struct settlement *s = CONTAINER_OF(e, struct settlement, entry);

	/* With a number it is in the ledger. */
	if (e->result != OK && e->seq == 0)
		s->intent_seq = 0;
	end(s, e->result);
}

static void
processed(struct workq_item *item)
{
	struct settlement *s = CONTAINER_OF(item, struct settlement, item);
	struct errinfo ei;
	enum err rc = s->result;

	s->entry = (struct ledger_entry){.loop = s->request.loop, .apply = apply, .done = applied};
	if (rc == OK)
		rc = ledger_submit(s->pipeline->ledger, &s->entry, &ei);
	if (s->result != OK || rc != OK) {
		s->intent_seq = 0;
		end(s, rc);
	}
}

static struct settlement *
new_settlement(struct pipeline *p, struct snapshot *snapshot, const struct settle_request *request)
{
	struct settlement *s = mem_zalloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->pipeline = p;
	s->arena = arena_new(ARENA_BYTES);
	s->look = arena_new(ARENA_BYTES);
	s->request = *request;
	if (s->arena != NULL) {
		s->request.reason = arena_dup(s->arena, request->reason);
		s->request.principal = arena_dup(s->arena, request->principal);
	}
	if (s->arena == NULL || s->look == NULL || arena_failed(s->arena)) {
		arena_free(&s->arena);
		arena_free(&s->look);
		mem_free(s);
		return NULL;
	}
	s->snapshot = snapshot_ref(snapshot);
	return s;
}

enum err
settle_start(struct pipeline *p, struct snapshot *snapshot, const struct settle_request *request,
	struct errinfo *ei)
{
	OBJ_CHECK(p, PIPELINE_MAGIC);
	if (ledger_get_path(p->ledger) == NULL)
		return ERR(ei, ERR_UNSUPPORTED, "there is no ledger");
	struct settlement *s = new_settlement(p, snapshot, request);
	if (s == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	s->item = (struct workq_item){.loop = request->loop, .process = process, .done = processed};
	enum err rc = workq_submit(p->pool, &s->item);
	if (rc == OK)
		return OK;
	snapshot_unref(&s->snapshot);
	arena_free(&s->arena);
	arena_free(&s->look);
	mem_free(s);
	return ERR(ei, ERR_OVERLOAD, "the pool is full");
}
