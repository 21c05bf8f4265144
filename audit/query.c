/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters over the stored bytes. A record is canonical, so a wanted text is brought into the same
 * form once and compared byte by byte; nothing is decoded for records that do not match. Pure.
 */
#define _GNU_SOURCE /* memmem */

#include "audit/query.h"

#include <string.h>

#include "audit/chain.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/parse.h"
#include "query_terms.h"

#define QUERY_MAGIC 0x51554552u
#define WANTED_MAX INDEX_N_FIELDS
#define WANTED_BYTES_MAX ((size_t)64 * 1024)

struct wanted {
	enum index_field field;
	struct span member;
	struct buf value; /* in quotes, or, of a prefix, without the closing one */
	bool is_prefix;
};

struct query {
	unsigned magic;
	struct wanted wanted[WANTED_MAX];
	size_t n_wanted;
	struct buf contained;      /* as it stands in a record; empty: anything */
	struct buf environment;    /* likewise; no index leads to it, a ledger has one or a few */
	struct query_filter times; /* only the times are used */
};

static void
want(struct query *q, enum index_field field, struct span text, bool is_prefix)
{
	if (text.n == 0)
		return;
	MUST(q->n_wanted < WANTED_MAX);
	struct wanted *w = &q->wanted[q->n_wanted++];
	w->field = field;
	w->member = span_cstr(index_field_member((int)field));
	w->is_prefix = is_prefix;
	buf_init(&w->value, WANTED_BYTES_MAX);
	json_quote(&w->value, text);
	if (is_prefix && w->value.n > 0)
		buf_truncate(&w->value, w->value.n - 1);
}

/* Decisions and classes are upper-case words. */
static void
want_word(struct query *q, enum index_field field, struct span text)
{
	char word[64];

	if (text.n == 0)
		return;
	size_t n = text.n < sizeof(word) ? text.n : sizeof(word);
	for (size_t i = 0; i < n; i++) {
		char c = text.p[i];
		word[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
	}
	want(q, field, span_of(word, n), false);
}

enum err
query_new(const struct query_filter *filter, struct query **out, struct errinfo *ei)
{
	*out = NULL;
	/* Nothing leads to a part of a text, so every record of the time has to be read. */
	if (filter->contained.n > 0 && !filter->has_since && !filter->has_until)
		return ERR(
			ei, ERR_INVALID, "to look for a part of a text, say since or until when");
	struct query *q = mem_zalloc(1, sizeof(*q));
	if (q == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	q->magic = QUERY_MAGIC;
	q->times = (struct query_filter){.has_since = filter->has_since,
		.has_until = filter->has_until,
		.since_wall_ns = filter->since_wall_ns,
		.until_wall_ns = filter->until_wall_ns};
	want(q, INDEX_ACTION_ID, filter->action_id, false);
	want(q, INDEX_TRACE_ID, filter->trace_prefix, true);
	want(q, INDEX_PRINCIPAL, filter->principal, false);
	want(q, INDEX_AGENT, filter->agent, false);
	want(q, INDEX_ACTION_TYPE, filter->action_type, false);
	want(q, INDEX_EVENT_TYPE, filter->event_type, false);
	want_word(q, INDEX_DECISION, filter->decision);
	want_word(q, INDEX_CLASS, filter->class_name);
	buf_init(&q->contained, WANTED_BYTES_MAX);
	buf_init(&q->environment, WANTED_BYTES_MAX);
	if (filter->contained.n > 0)
		json_quote(&q->contained, filter->contained);
	if (filter->environment.n > 0)
		json_quote(&q->environment, filter->environment);
	if (buf_failed(&q->contained) || buf_failed(&q->environment)) {
		query_free(&q);
		return ERR(ei, ERR_TOO_LARGE, "a filter is too long, or out of memory");
	}
	for (size_t i = 0; i < q->n_wanted; i++) {
		if (buf_failed(&q->wanted[i].value)) {
			query_free(&q);
			return ERR(ei, ERR_TOO_LARGE, "a filter is too long, or out of memory");
		}
	}
	*out = q;
	return OK;
}

void
query_free(struct query **q)
{
	if (*q == NULL)
		return;
	OBJ_CHECK(*q, QUERY_MAGIC);
	for (size_t i = 0; i < (*q)->n_wanted; i++)
		buf_fini(&(*q)->wanted[i].value);
	buf_fini(&(*q)->contained);
	buf_fini(&(*q)->environment);
	(*q)->magic = 0;
	mem_free(*q);
	*q = NULL;
}

static bool
is_in_time(const struct query_filter *f, struct span body)
{
	struct chain_fields fields;
	int64_t at = 0;

	if (!f->has_since && !f->has_until)
		return true;
	if (!chain_read_fields(body, &fields) || clock_parse(fields.timestamp, &at, NULL) != OK)
		return false;
	return (!f->has_since || at >= f->since_wall_ns) &&
	       (!f->has_until || at < f->until_wall_ns);
}

static bool
holds_text(const struct query *q, struct span body)
{
	return q->contained.n == 0 ||
	       memmem(body.p, body.n, q->contained.p + 1, q->contained.n - 2) != NULL;
}

static bool
is_of_environment(const struct query *q, struct span body)
{
	return q->environment.n == 0 ||
	       span_eq(chain_find_member(body, SPAN_LIT("environment")), buf_span(&q->environment));
}

bool
query_matches(const struct query *q, struct span body)
{
	OBJ_CHECK(q, QUERY_MAGIC);
	for (size_t i = 0; i < q->n_wanted; i++) {
		const struct wanted *w = &q->wanted[i];
		struct span value = chain_find_member(body, w->member);
		if (w->is_prefix ? !span_starts(value, buf_span(&w->value))
				 : !span_eq(value, buf_span(&w->value)))
			return false;
	}
	return is_of_environment(q, body) && is_in_time(&q->times, body) && holds_text(q, body);
}

size_t
query_get_terms(const struct query *q, struct query_term out[INDEX_N_FIELDS])
{
	OBJ_CHECK(q, QUERY_MAGIC);
	for (size_t i = 0; i < q->n_wanted; i++) {
		const struct wanted *w = &q->wanted[i];
		struct span inner = span_of(
			w->value.p + 1, w->value.n - (w->is_prefix ? 1 : 2)); /* without quotes */
		/* Of longer texts the index only has the beginning. */
		bool is_cut = inner.n >= INDEX_VALUE_MAX;
		out[i] = (struct query_term){.field = w->field,
			.value = is_cut ? span_of(inner.p, INDEX_VALUE_MAX) : inner,
			.is_prefix = w->is_prefix && !is_cut};
	}
	return q->n_wanted;
}

const struct query_filter *
query_get_times(const struct query *q)
{
	return &q->times;
}

enum err
query_parse_time(struct span text, int64_t now_wall_ns, int64_t *out, struct errinfo *ei)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	uint64_t n = 0;

	*out = 0;
	for (size_t i = 0; text.n > 1 && i < ARRAY_LEN(units); i++) {
		uint64_t max = (uint64_t)(now_wall_ns / NS_PER_SEC / units[i].seconds);
		if (text.p[text.n - 1] != units[i].unit)
			continue;
		if (!parse_uint(span_of(text.p, text.n - 1), max, &n))
			break;
		*out = now_wall_ns - (int64_t)n * units[i].seconds * NS_PER_SEC;
		return OK;
	}
	if (clock_parse(text, out, NULL) != OK)
		return ERR(ei, ERR_PARSE,
			"\"%.*s\" is neither an RFC 3339 time nor like 10m, 2h, 1d",
			SPAN_ARG(text));
	return OK;
}
