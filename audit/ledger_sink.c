/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread per sink: reads what comes next from the ring, or from the store when the sink has
 * fallen behind, delivers, and moves its mark. It must never skip a record while a copy of it
 * exists anywhere, and never touch the writer's connection. The sink's own thread.
 */
#include <inttypes.h>
#include <string.h>

#include "base/cond.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "base/rand.h"
#include "ledger_page.h"
#include "ledger_priv.h"

#define RETRY_FIRST_NS (50 * NS_PER_MS)
#define RETRY_LEAST_NS NS_PER_MS
#define RETRY_MAX_NS (30 * NS_PER_SEC)

/* What one sink's thread carries along. */
struct feed {
	struct ledger_sink *s;
	struct ledger_batch *batch;
	struct store_reader *reader; /* only while behind the ring */
	int64_t retry_ns;
	bool is_in_trouble;
	uint64_t refused_seq;
	int64_t refused_since_ns;
	unsigned n_refused; /* of that record, one after the other */
	struct log_limiter limiter;
};

static uint64_t
taken_of(const struct ledger_sink *s)
{
	return atomic_load_explicit(&s->taken, memory_order_acquire);
}

static void
log_trouble(struct feed *f, const char *what, const char *why)
{
	uint64_t held = 0;

	metric_add(METRIC_SINK_FAILURES, 1);
	f->is_in_trouble = true;
	ledger_sink_set_error(f->s, why);
	if (log_limit(&f->limiter, &held))
		log_warn(NULL, "audit sink %s: %s: %s (%" PRIu64 " lines like this held back)",
			f->s->sink->name, what, why, held);
}

/* Anywhere between nothing and all of it: gateways that lost one receiver must not come back to it all at once. */
static int64_t
jitter(int64_t ns)
{
	uint64_t r = 0;

	if (rand_bytes(&r, sizeof(r), NULL) != OK)
		return ns;
	return RETRY_LEAST_NS + (int64_t)(r % (uint64_t)ns);
}

/* False when the ledger closes. */
static bool
pause_and_grow(struct feed *f)
{
	int64_t max = f->s->sink->retry_max_ns > 0 ? f->s->sink->retry_max_ns : RETRY_MAX_NS;
	int64_t ns = f->retry_ns < max ? f->retry_ns : max;
	bool goes_on = ledger_ring_pause(f->s->l->ring, jitter(ns));

	f->retry_ns = ns * 2;
	return goes_on;
}

/* Records that only the store still has. Without a file they are gone for this sink, and that is
 * said. */
static bool
read_store(struct feed *f, uint64_t after, size_t max)
{
	struct ledger *l = f->s->l;
	struct errinfo ei;

	ledger_batch_reset(f->batch);
	if (l->o.store != LEDGER_STORE_SQLITE) {
		uint64_t first = ledger_ring_first(l->ring);
		log_error(NULL,
			"audit sink %s: records %" PRIu64 " to %" PRIu64
			" were not taken in time and are lost",
			f->s->sink->name, after + 1, first - 1);
		atomic_store_explicit(&f->s->taken, first - 1, memory_order_release);
		return true;
	}
	if (ledger_page_read(l->path, &f->reader, after, max, f->batch, &ei) == OK)
		return true;
	log_trouble(f, "reading the ledger", ei.msg);
	return pause_and_grow(f);
}

static void
move_mark(struct feed *f, uint64_t seq)
{
	atomic_store_explicit(&f->s->taken, seq, memory_order_release);
	ledger_wake_for_acks(f->s->l);
}

/* Whoever waits for the record must be turned back before the sink goes on behind it: it was not taken. */
static bool
is_awaited(const struct feed *f)
{
	const struct ledger *l = f->s->l;
	uint64_t waiting = atomic_load_explicit(&l->waiting_seq, memory_order_acquire);

	if (!ledger_sink_is_counted(f->s))
		return false;
	/* Twice: the wait begins only behind the commit, and the sink may have been there first. */
	return clock_mono_ns() - f->refused_since_ns < 2 * l->o.sink_deadline_ms * NS_PER_MS ||
	       (waiting != 0 && waiting <= f->refused_seq);
}

/* The record is refused once more: whether it was once too often, and the sink is behind it now. The pauses go on
 * growing: a receiver that refuses everything must not be run through. */
static bool
pass_refused(struct feed *f, const struct sink_record *r, const char *why)
{
	if (f->refused_seq != r->seq) {
		f->n_refused = 0;
		f->refused_since_ns = clock_mono_ns();
	}
	f->n_refused++;
	f->refused_seq = r->seq;
	if (f->n_refused < SINK_REFUSALS_MAX || is_awaited(f) || !ledger_sink_drop(f->s, r, why))
		return false;
	move_mark(f, r->seq);
	return true;
}

/* False when the ledger closes. */
static bool
deliver_batch(struct feed *f)
{
	struct sink *sink = f->s->sink;
	struct errinfo ei = {.msg = "not all was taken"};
	size_t n_taken = 0;

	if (f->batch->n == 0)
		return true;
	enum err rc = sink->ops->deliver(sink, f->batch->records, f->batch->n, &n_taken, &ei);
	MUST(n_taken <= f->batch->n);
	if (n_taken > 0) {
		f->retry_ns = RETRY_FIRST_NS;
		move_mark(f, f->batch->records[n_taken - 1].seq);
	}
	if (rc == OK && n_taken == f->batch->n) {
		if (f->is_in_trouble)
			ledger_sink_set_error(f->s, NULL);
		f->is_in_trouble = false;
		return true;
	}
	log_trouble(f, "delivery failed, it will be tried again", ei.msg);
	if (rc == ERR_INVALID && n_taken < f->batch->n)
		(void)pass_refused(f, &f->batch->records[n_taken], ei.msg);
	return pause_and_grow(f);
}

/* One batch; false when the ledger closes. */
static bool
feed_once(struct feed *f)
{
	size_t max = f->s->sink->batch_max == 0 ? SINK_BATCH_MAX : f->s->sink->batch_max;
	uint64_t after = taken_of(f->s);

	switch (ledger_ring_read(f->s->l->ring, after, max, f->batch)) {
	case RING_NOTHING:
		store_reader_free(&f->reader);
		return ledger_ring_wait(f->s->l->ring, after);
	case RING_TAKEN:
		store_reader_free(&f->reader);
		return deliver_batch(f);
	case RING_GONE:
		return read_store(f, after, max) && deliver_batch(f);
	case RING_NOMEM:
		log_trouble(f, "reading the ledger", "out of memory");
		return pause_and_grow(f);
	}
	UNREACHABLE("enum ring_result");
}

static void *
run_sink(void *arg)
{
	struct feed f = {.s = arg, .retry_ns = RETRY_FIRST_NS};

	f.batch = mem_need(sizeof(*f.batch));
	ledger_batch_init(f.batch);
	while (feed_once(&f))
		;
	store_reader_free(&f.reader);
	ledger_batch_fini(f.batch);
	mem_free(f.batch);
	return NULL;
}

/* ---- called by the ledger ---- */

bool
ledger_sinks_moved(const struct ledger *l, uint64_t by)
{
	for (size_t i = 0; i < l->n_sinks; i++) {
		const struct ledger_sink *s = &l->sinks[i];
		if (s->cursor == LEDGER_NO_CURSOR || taken_of(s) >= s->cursor + by ||
			(by == 1 && atomic_load_explicit(&s->has_news, memory_order_relaxed)))
			return true;
	}
	return false;
}

static enum err
check_behind_head(
	const struct ledger *l, const struct ledger_sink *s, uint64_t seq, struct errinfo *ei)
{
	if (seq <= l->head.seq)
		return OK;
	return ERR(ei, ERR_CORRUPT,
		"sink %s stands at record %" PRIu64 ", the ledger ends at %" PRIu64
		": it is an older copy, or was cut; see `nomos audit verify`",
		s->sink->name, seq, l->head.seq);
}

/* Where a sink stands that can tell by itself. */
static enum err
resume_sink(struct ledger *l, struct ledger_sink *s, uint64_t *seq, struct errinfo *ei)
{
	if (s->sink->ops->resume == NULL)
		return OK;
	enum err rc = s->sink->ops->resume(s->sink, l->chain_id, seq, ei);
	return rc == OK ? check_behind_head(l, s, *seq, ei)
			: ERR_WRAP(ei, rc, "audit sink %s", s->sink->name);
}

static enum err
load_cursor(struct ledger *l, struct ledger_sink *s, struct errinfo *ei)
{
	uint64_t seq = 0;
	enum err rc = l->store->ops->get_cursor(l->store, s->sink->name, &seq, ei);

	if (rc != OK && rc != ERR_NOT_FOUND)
		return rc;
	/* A chain that was just made is new to every sink, its first record included. */
	bool is_new = rc == ERR_NOT_FOUND;
	if (is_new && !s->sink->from_start && l->head.seq > 1)
		seq = l->head.seq;
	uint64_t stored = seq;
	rc = check_behind_head(l, s, seq, ei);
	if (rc == OK)
		rc = resume_sink(l, s, &seq, ei);
	if (rc != OK)
		return rc;
	is_new = is_new || seq != stored;
	/* A sink that was away while its records were archived finds them there. */
	if (seq < l->anchor_seq) {
		log_warn(NULL,
			"audit sink %s: records %" PRIu64 " to %" PRIu64
			" are in the archive and are not sent",
			s->sink->name, seq + 1, l->anchor_seq);
		seq = l->anchor_seq;
		is_new = true;
	}
	atomic_store_explicit(&s->taken, seq, memory_order_release);
	/* Where a new sink began is written before it takes anything: the next start would take it
	 * for a new one again, and skip what it has not taken by then. */
	s->cursor = is_new ? LEDGER_NO_CURSOR : seq;
	ledger_sink_load_status(l, s);
	return OK;
}

enum err
ledger_sinks_load(struct ledger *l, struct errinfo *ei)
{
	enum err rc = OK;

	for (size_t i = 0; rc == OK && i < l->n_sinks; i++)
		rc = load_cursor(l, &l->sinks[i], ei);
	return rc;
}

enum err
ledger_sinks_start(struct ledger *l, struct errinfo *ei)
{
	for (size_t i = 0; i < l->n_sinks; i++) {
		int rc = pthread_create(&l->sinks[i].thread, NULL, run_sink, &l->sinks[i]);
		if (rc != 0)
			return ERR(ei, ERR_IO, "ledger: no thread for sink %s: %s",
				l->sinks[i].sink->name, strerror(rc));
		l->sinks[i].is_running = true;
	}
	return OK;
}

static bool
all_caught_up(const struct ledger *l)
{
	for (size_t i = 0; i < l->n_sinks; i++) {
		if (l->sinks[i].is_running && taken_of(&l->sinks[i]) < l->head.seq)
			return false;
	}
	return true;
}

void
ledger_sinks_stop(struct ledger *l)
{
	int64_t until_ns = clock_mono_ns() + l->o.sink_deadline_ms * NS_PER_MS;
	bool is_in_time = true;

	MUST(pthread_mutex_lock(&l->mutex) == 0);
	while (is_in_time && !all_caught_up(l)) {
		l->is_idle = true; /* the writer has ended; this thread now waits in its place */
		l->wants_acks = true;
		is_in_time = cond_wait_until(&l->wake, &l->mutex, until_ns);
	}
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
	if (l->ring != NULL)
		ledger_ring_stop(l->ring);
	for (size_t i = 0; i < l->n_sinks; i++) {
		struct ledger_sink *s = &l->sinks[i];
		if (!s->is_running)
			continue;
		if (s->sink->ops->stop != NULL)
			s->sink->ops->stop(s->sink);
		MUST(pthread_join(s->thread, NULL) == 0);
		s->is_running = false;
	}
}

void
ledger_sinks_free(struct ledger *l)
{
	for (size_t i = 0; i < l->n_sinks; i++)
		l->sinks[i].sink->ops->free(l->sinks[i].sink);
	mem_free(l->sinks);
	l->sinks = NULL;
	l->n_sinks = 0;
}

uint64_t
ledger_get_head_seq(const struct ledger *l)
{
	return atomic_load_explicit(&l->head_seq, memory_order_relaxed);
}

void
ledger_view_commits(
	const struct ledger *l, struct histogram_view *times, struct histogram_view *sizes)
{
	OBJ_CHECK(l, LEDGER_MAGIC);
	*times = (struct histogram_view){0};
	*sizes = (struct histogram_view){0};
	histogram_collect(&l->commit_times, times);
	histogram_collect(&l->group_sizes, sizes);
}

size_t
ledger_view_sinks(struct ledger *l, struct ledger_sink_view *out, size_t max)
{
	size_t n = l->n_sinks < max ? l->n_sinks : max;

	MUST(pthread_mutex_lock(&l->mutex) == 0);
	for (size_t i = 0; i < n; i++) {
		const struct ledger_sink *s = &l->sinks[i];
		out[i] = (struct ledger_sink_view){.name = s->sink->name,
			.is_required = s->status.is_required,
			.is_failing = s->status.error[0] != '\0',
			.n_dead = s->status.n_dead,
			.taken_seq = taken_of(s)};
	}
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
	return n;
}
