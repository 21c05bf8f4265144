/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a sink beside its cursor: why it fails, and which records it has refused for good. A record
 * that is passed over must be in the chain as a dead letter before the mark moves beyond it, and the next
 * sink to be fed learns of it there. Whose thread calls stands at each function.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "base/redact.h"
#include "ledger_priv.h"

#define DROP_ARENA_BYTES ((size_t)64 * 1024)
#define DROP_LOOK_NS (5 * NS_PER_MS)

static void
meta_key(const struct ledger_sink *s, char out[SINK_TEXT_MAX])
{
	snprintf(out, SINK_TEXT_MAX, SINK_STATUS_META "%s", s->sink->name);
}

static bool
is_counted_as_required(const struct ledger_sink *s)
{
	const struct ledger_options *o = &s->l->o;

	return !s->sink->is_advisory &&
	       (o->required == LEDGER_REQUIRED_ALL ||
		       (o->required == LEDGER_REQUIRED_NAMED && s->sink->is_required));
}

void
ledger_sink_load_status(struct ledger *l, struct ledger_sink *s)
{
	struct sink_status old = {.is_required = false};
	char key[SINK_TEXT_MAX];
	struct buf text;

	meta_key(s, key);
	buf_init(&text, SINK_STATUS_BYTES_MAX);
	if (l->store->ops->get_meta(l->store, key, &text, NULL) != OK || buf_failed(&text) ||
		sink_status_parse(buf_span(&text), &old, NULL) != OK)
		old = (struct sink_status){.is_required = false};
	buf_fini(&text);
	s->status = old;
	s->status.is_required = is_counted_as_required(s);
	sink_status_set_text(
		s->status.target, s->sink->target != NULL ? s->sink->target : s->sink->name);
	/* Until it is tried again nothing is known. */
	s->status.error[0] = '\0';
	s->status.since[0] = '\0';
	atomic_store(&s->has_news, memcmp(&old, &s->status, sizeof(old)) != 0);
}

static void
lock(struct ledger_sink *s)
{
	MUST(pthread_mutex_lock(&s->l->mutex) == 0);
}

static void
unlock(struct ledger_sink *s)
{
	MUST(pthread_mutex_unlock(&s->l->mutex) == 0);
}

void
ledger_sink_set_error(struct ledger_sink *s, const char *why)
{
	char text[SINK_TEXT_MAX];

	sink_status_set_text(text, why != NULL ? why : "");
	lock(s);
	bool is_new = strcmp(s->status.error, text) != 0;
	if (is_new) {
		if (text[0] == '\0')
			s->status.since[0] = '\0';
		else if (s->status.since[0] == '\0')
			(void)clock_format(clock_wall_ns(), s->status.since);
		memcpy(s->status.error, text, sizeof(text));
	}
	unlock(s);
	if (!is_new)
		return;
	atomic_store(&s->has_news, true);
	ledger_wake_for_acks(s->l);
}

enum err
ledger_tx_put_statuses(struct ledger_tx *tx, struct errinfo *ei)
{
	struct ledger *l = tx->l;
	struct errinfo detail;
	enum err rc = OK;

	for (size_t i = 0; rc == OK && i < l->n_sinks; i++) {
		struct ledger_sink *s = &l->sinks[i];
		struct sink_status now;
		char key[SINK_TEXT_MAX];
		struct buf text;
		if (!atomic_exchange(&s->has_news, false))
			continue;
		lock(s);
		now = s->status;
		unlock(s);
		meta_key(s, key);
		buf_init(&text, SINK_STATUS_BYTES_MAX);
		sink_status_build(&now, &text);
		if (!buf_failed(&text))
			rc = l->store->ops->put_meta(l->store, key, buf_span(&text), &detail);
		buf_fini(&text);
		/* If the commit fails the next change writes it. */
		if (rc != OK)
			atomic_store(&s->has_news, true);
	}
	return rc == OK ? OK : ledger_tx_store_failed(tx, &detail, ei);
}

/* ---- dead letters ---- */

struct drop {
	struct ledger_entry entry; /* first */
	const struct record_text *text;
	_Atomic bool is_done;
};

static enum err
append_drop(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	const struct drop *d = (const struct drop *)(const void *)e;
	uint64_t seq = 0;

	return ledger_tx_append(tx, d->text, LEDGER_COMPLETE, &seq, ei);
}

static void
end_drop(struct ledger_entry *e)
{
	struct drop *d = (struct drop *)(void *)e;

	atomic_store(&d->is_done, true);
}

/* Whether it is in the chain. */
static bool
write_drop(struct ledger *l, const struct record_text *text)
{
	struct drop d = {
		.entry = {.apply = append_drop,
			.done = end_drop,
			/* Without a store it must not wait for room that this sink has to make. */
			.must_write = l->o.store != LEDGER_STORE_NONE,
			.needs_no_sink = true},
		.text = text};

	if (ledger_submit(l, &d.entry, NULL) != OK)
		return false;
	/* A closing ledger gives all back before it ends its sinks. */
	while (!atomic_load(&d.is_done)) {
		if (!ledger_ring_pause(l->ring, DROP_LOOK_NS))
			(void)sched_yield();
	}
	return d.entry.result == OK;
}

/* What the receiver does not get, in so few words that it can hardly be refused as well: without a store nobody else has it. */
static void
set_refused(struct record *r, struct span body)
{
	static const struct {
		enum record_member member;
		const char *name;
	} copied[] = {
		{RECORD_REFUSED_EVENT, "event_type"},
		{RECORD_REFUSED_INTENT_SEQ, "intent_seq"},
		{RECORD_REFUSED_OUTCOME, "outcome"},
	};

	for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
		struct span v = chain_find_member(body, span_cstr(copied[i].name));
		if (v.n > 0)
			record_set_json(r, copied[i].member, v);
	}
}

static bool
record_drop(struct ledger_sink *s, const struct sink_record *refused, const char *why)
{
	struct arena *a = arena_new(DROP_ARENA_BYTES);
	struct record_text text;
	bool is_written = false;

	if (a == NULL)
		return false;
	struct record *r = record_new(a, SINK_DEAD_LETTER_EVENT);
	if (r != NULL) {
		record_set_text(r, RECORD_SINK, span_cstr(s->sink->name));
		set_refused(r, refused->body);
		record_set_int(r, RECORD_REFUSED_SEQ, (int64_t)refused->seq);
		record_set_text(r, RECORD_REASON, span_cstr(why));
		if (record_render(r, redactor_default(), a, &text, NULL) == OK)
			is_written = write_drop(s->l, &text);
	}
	arena_free(&a);
	return is_written;
}

bool
ledger_sink_drop(struct ledger_sink *s, const struct sink_record *r, const char *why)
{
	struct chain_fields f = {.seq = 0};
	/* One about such a record would be refused as well, and so on. */
	bool is_about_itself = chain_read_fields(r->body, &f) &&
			       span_eq_cstr(f.event_type, SINK_DEAD_LETTER_EVENT);
	bool is_recorded = !is_about_itself && record_drop(s, r, why);

	/* Without a store the record that has to be passed may be what fills the memory for others. */
	if (!is_recorded && !is_about_itself && s->l->o.store != LEDGER_STORE_NONE)
		return false;
	metric_add(METRIC_SINK_DEAD_LETTERS, 1);
	log_error(NULL,
		"audit sink %s: record %" PRIu64
		" is a dead letter, the sink goes on behind it: %s",
		s->sink->name, r->seq, why);
	lock(s);
	s->status.n_dead++;
	s->status.last_dead = r->seq;
	unlock(s);
	atomic_store(&s->has_news, true);
	return true;
}
