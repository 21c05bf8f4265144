/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Filters from a query string to a search. Reading is bounded; where it ends is where the next page begins. */
#include "ui_filter.h"

#include "audit/search.h"
#include "base/clock.h"
#include "query_string.h"

enum parameter {
	BY_TRACE = 0,
	BY_ACTION,
	BY_PRINCIPAL,
	BY_AGENT,
	BY_TYPE,
	BY_DECISION,
	BY_CLASS,
	BY_EVENT,
	BY_TEXT,
	SINCE,
	UNTIL,
	CURSOR,
	LIMIT,
	/* The original's names; those above came with records and exports, which it has not. */
	BY_TRACE_ID,
	BY_ACTION_TYPE,
	BY_ENVIRONMENT,
	N_PARAMETERS
};

static const char *const names[N_PARAMETERS] = {[BY_TRACE] = "trace",
	[BY_ACTION] = "action",
	[BY_PRINCIPAL] = "principal",
	[BY_AGENT] = "agent",
	[BY_TYPE] = "type",
	[BY_DECISION] = "decision",
	[BY_CLASS] = "class",
	[BY_EVENT] = "event",
	[BY_TEXT] = "text",
	[SINCE] = "since",
	[UNTIL] = "until",
	[CURSOR] = "cursor",
	[LIMIT] = "limit",
	[BY_TRACE_ID] = "trace_id",
	[BY_ACTION_TYPE] = "action_type",
	[BY_ENVIRONMENT] = "environment"};

/* Of two names of one filter one may be given, as a name may come once. */
static enum err
join_names(struct span *v, enum parameter name, enum parameter alias, struct errinfo *ei)
{
	if (v[alias].p == NULL)
		return OK;
	if (v[name].p != NULL)
		return ERR(ei, ERR_INVALID, "the parameters %s and %s are one", names[name],
			names[alias]);
	v[name] = v[alias];
	return OK;
}

static enum err
read_time(struct span text, bool *has, int64_t *out, struct errinfo *ei)
{
	*has = text.n > 0;
	return *has ? query_parse_time(text, clock_wall_ns(), out, ei) : OK;
}

enum err
ui_filter_read(struct ui_job *job, size_t max_limit, size_t def_limit, struct ui_filter *out,
	struct errinfo *ei)
{
	struct span v[N_PARAMETERS];
	enum err rc = query_string_read(
		http_request_get_query(job->http), names, N_PARAMETERS, v, job->arena, ei);

	*out = (struct ui_filter){.limit = def_limit};
	if (rc == OK)
		rc = join_names(v, BY_TRACE, BY_TRACE_ID, ei);
	if (rc == OK)
		rc = join_names(v, BY_TYPE, BY_ACTION_TYPE, ei);
	if (rc != OK)
		return rc;
	out->terms = (struct query_filter){.trace_prefix = v[BY_TRACE],
		.action_id = v[BY_ACTION],
		.principal = v[BY_PRINCIPAL],
		.agent = v[BY_AGENT],
		.environment = v[BY_ENVIRONMENT],
		.action_type = v[BY_TYPE],
		.decision = v[BY_DECISION],
		.class_name = v[BY_CLASS],
		.event_type = v[BY_EVENT],
		.contained = v[BY_TEXT]};
	rc = read_time(v[SINCE], &out->terms.has_since, &out->terms.since_wall_ns, ei);
	if (rc == OK)
		rc = read_time(v[UNTIL], &out->terms.has_until, &out->terms.until_wall_ns, ei);
	if (rc == OK)
		rc = ui_read_seq(v[CURSOR], &out->cursor, ei);
	if (rc == OK)
		rc = ui_read_limit(v[LIMIT], max_limit, def_limit, &out->limit, ei);
	return rc;
}

bool
ui_search_run(struct ui_job *job, struct store_reader *r, struct ui_search *s)
{
	struct query *query = NULL;
	struct chain_head head;
	struct search_result result = {0};
	struct errinfo ei;
	enum err rc = query_new(s->terms, &query, &ei);

	s->next = 0;
	if (rc == ERR_INVALID || rc == ERR_TOO_LARGE) {
		ui_job_fail(job, 400, "validation_error", ei.msg);
		return false;
	}
	if (rc == OK)
		rc = store_reader_head(r, &head, &ei);
	if (rc == OK && s->head == 0)
		s->head = head.seq;
	if (rc == OK) {
		struct search_options o = {
			.query = query,
			.path = job->ledger_path,
			.is_live = true,
			.is_newest_first = !s->is_oldest_first,
			.from = s->from,
			.head = s->head,
			.max_read = s->max_read,
			.max_ns = s->max_ns,
		};
		rc = search_run(r, &o, s->visit, s->arg, &result, &ei);
	}
	query_free(&query);
	if (rc != OK)
		ui_job_fail_read(job, rc, &ei);
	s->next = result.next;
	return rc == OK;
}

bool
ui_search_ledger(struct ui_job *job, struct ui_search *s)
{
	struct store_reader *r = NULL;
	bool is_good = ui_job_open_ledger(job, &r) && ui_search_run(job, r, s);

	store_reader_free(&r);
	return is_good;
}
