/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter: which requests get a place (trace_places.h), the thread that takes what has ended there, and how both begin and end. The
 * thread is woken once for a batch; what is less is taken within the tick. The lock is between the exporter and the main thread,
 * never on a request's way.
 */
#include "outbound/telemetry.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "action_counters.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "base/rand.h"
#include "line_sink.h"
#include "otlp_metric.h"
#include "otlp_sender.h"
#include "outbound/trace.h"
#include "trace_batch.h"
#include "trace_places.h"

#define TELEMETRY_MAGIC 0x74656c65u
#define TICK_NS NS_PER_SEC
#define METRICS_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define INSTANCE_BYTES 16
/* Beyond the time for flushing: a write of a line cannot be ended. */
#define STUCK_NS NS_PER_SEC

struct telemetry {
	unsigned magic;
	enum telemetry_sink sink;
	uint64_t sample_one_in;
	_Atomic uint64_t n_seen; /* requests whose caller has not decided */
	struct trace_places places;
	_Atomic uint64_t n_ended;
	uint64_t wake_every; /* of these one wakes the thread */
	struct action_counters counters;
	int64_t started_wall_ns;
	char instance_id[2 * INSTANCE_BYTES + 1];
	pthread_mutex_t lock; /* guards what follows, down to metrics */
	pthread_cond_t wake;
	pthread_cond_t ended;
	bool has_ended;
	struct buf metrics; /* the newest, not taken yet; empty: none */
	atomic_bool is_stopping;
	_Atomic int64_t deadline_ns; /* of stopping */
	pthread_t thread;
	bool has_thread;
	/* The thread's own. */
	struct otlp_sender *sender; /* NULL: lines */
	struct buf text;
};

/* ---- collecting: any thread ---- */

static bool
is_sampled(struct telemetry *t, const struct trace_parent *parent)
{
	bool is_wanted = parent != NULL && (parent->flags & TRACE_FLAG_SAMPLED) != 0;

	/* Who reads lines is not the one who reads the caller's traces. */
	if (parent != NULL && (is_wanted || t->sink == TELEMETRY_OTLP))
		return is_wanted;
	return t->sample_one_in == 1 ||
	       atomic_fetch_add_explicit(&t->n_seen, 1, memory_order_relaxed) % t->sample_one_in ==
		       0;
}

static struct trace *
begin(struct telemetry *t, const struct trace_parent *parent, size_t n_left_free)
{
	OBJ_CHECK(t, TELEMETRY_MAGIC);
	bool is_chosen = is_sampled(t, parent);
	/* Lines count what is not sampled, too. */
	if (!is_chosen && t->sink == TELEMETRY_OTLP)
		return NULL;
	struct trace *trace = trace_places_claim(&t->places, n_left_free);
	if (trace == NULL) {
		metric_add(METRIC_TELEMETRY_DROPPED, 1);
		return NULL;
	}
	trace->is_sampled = is_chosen;
	trace->has_parent = parent != NULL;
	if (parent != NULL)
		trace->parent = *parent;
	return trace;
}

struct trace *
telemetry_begin(struct telemetry *t, const struct trace_parent *parent)
{
	return begin(t, parent, 0);
}

struct trace *
telemetry_begin_refused(struct telemetry *t)
{
	return begin(t, NULL, t->places.n / 2);
}

void
telemetry_end(struct telemetry *t, struct trace **own_trace)
{
	struct trace *trace = *own_trace;

	*own_trace = NULL;
	if (trace == NULL)
		return;
	trace_places_submit(&t->places, trace);
	/* Without the lock a wake-up may be missed; the tick makes up for it. */
	if (atomic_fetch_add_explicit(&t->n_ended, 1, memory_order_relaxed) % t->wake_every ==
		t->wake_every - 1)
		pthread_cond_signal(&t->wake);
}

void
telemetry_count_action(struct telemetry *t, const char *decision, const char *result)
{
	OBJ_CHECK(t, TELEMETRY_MAGIC);
	action_counters_add(&t->counters, decision, result);
}

void
telemetry_count_limit(
	struct telemetry *t, const struct redactor *redactor, const struct telemetry_limit *limit)
{
	OBJ_CHECK(t, TELEMETRY_MAGIC);
	action_counters_add_limit(&t->counters, redactor, limit);
}

void
telemetry_collect(struct telemetry *t, void (*write)(struct metric_writer *w, void *arg), void *arg)
{
	static struct log_limiter limiter;
	struct otlp_metric_writer w;
	struct buf b;
	uint64_t n_held;

	OBJ_CHECK(t, TELEMETRY_MAGIC);
	if (t->sink != TELEMETRY_OTLP)
		return;
	buf_init(&b, METRICS_BYTES_MAX);
	otlp_metric_begin(&w, &b, t->instance_id, t->started_wall_ns, clock_wall_ns());
	write(&w.writer, arg);
	action_counters_write(&t->counters, &w.writer);
	otlp_metric_end(&w);
	if (buf_failed(&b)) {
		metric_add(METRIC_TELEMETRY_FAILURES, 1);
		if (log_limit(&limiter, &n_held))
			log_warn(NULL, "telemetry: the metrics are too large to be sent");
		buf_fini(&b);
		return;
	}
	pthread_mutex_lock(&t->lock);
	struct buf old = t->metrics;
	t->metrics = b;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	buf_fini(&old);
}

/* ---- the exporter's thread ---- */

static bool
is_stopping(const struct telemetry *t)
{
	return atomic_load(&t->is_stopping);
}

static bool
is_time_up(const void *arg)
{
	const struct telemetry *t = arg;

	return is_stopping(t) && clock_mono_ns() >= atomic_load(&t->deadline_ns);
}

static void
put_traces(struct telemetry *t)
{
	struct errinfo ei;
	size_t n;
	enum err rc = trace_batch_pack(&t->places, t->instance_id, &t->text, &n, &ei);

	if (rc == OK && n > 0)
		otlp_sender_put(t->sender, OTLP_TRACES, buf_span(&t->text), n);
	else
		metric_add(METRIC_TELEMETRY_DROPPED, (int64_t)n);
}

static void
put_metrics(struct telemetry *t)
{
	struct buf newest;

	pthread_mutex_lock(&t->lock);
	newest = t->metrics;
	buf_init(&t->metrics, METRICS_BYTES_MAX);
	pthread_mutex_unlock(&t->lock);
	if (newest.n > 0)
		otlp_sender_put(t->sender, OTLP_METRICS, buf_span(&newest), 0);
	buf_fini(&newest);
}

static void
export_otlp(struct telemetry *t)
{
	bool goes_on = true;

	while (goes_on) {
		put_metrics(t);
		if (otlp_sender_is_free(t->sender, OTLP_TRACES))
			put_traces(t);
		goes_on = otlp_sender_send(t->sender, clock_mono_ns()) &&
			  trace_places_count_waiting(&t->places) >=
				  (is_stopping(t) ? 1 : t->wake_every);
	}
	/* A burst's memory is not kept. */
	buf_fini(&t->text);
	buf_init(&t->text, TRACE_BATCH_BYTES_MAX);
}

static bool
has_nothing(struct telemetry *t)
{
	return trace_places_count_waiting(&t->places) == 0 &&
	       (t->sender == NULL || otlp_sender_due_ns(t->sender) == INT64_MAX);
}

/* was_stopping: what the caller knows; news of it is work. */
static void
wait_for_work(struct telemetry *t, bool was_stopping)
{
	int64_t until_ns = clock_mono_ns() + TICK_NS;

	if (t->sender != NULL && otlp_sender_due_ns(t->sender) < until_ns)
		until_ns = otlp_sender_due_ns(t->sender);
	pthread_mutex_lock(&t->lock);
	if (t->metrics.n == 0 && is_stopping(t) == was_stopping)
		(void)cond_wait_until(&t->wake, &t->lock, until_ns);
	pthread_mutex_unlock(&t->lock);
}

static void
export_all(struct telemetry *t)
{
	const struct line_sink lines = {.sink = t->sink, .is_time_up = is_time_up, .arg = t};

	if (t->sender != NULL)
		export_otlp(t);
	else
		line_sink_write_all(&lines, &t->places, &t->text);
}

static void *
run(void *arg)
{
	struct telemetry *t;

	OBJ_CAST(t, arg, TELEMETRY_MAGIC);
	while (!is_stopping(t)) {
		export_all(t);
		wait_for_work(t, false);
	}
	if (t->sender != NULL)
		otlp_sender_hurry(t->sender);
	export_all(t);
	while (!has_nothing(t) && !is_time_up(t)) {
		wait_for_work(t, true);
		export_all(t);
	}
	pthread_mutex_lock(&t->lock);
	t->has_ended = true;
	pthread_cond_signal(&t->ended);
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* ---- begin and end ---- */

static enum err
start_thread(struct telemetry *t, struct errinfo *ei)
{
	sigset_t all;
	sigset_t before;

	/* Signals are the main loop's, and a closed pipe is an error of write here. */
	sigfillset(&all);
	MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	t->has_thread = pthread_create(&t->thread, NULL, run, t) == 0;
	MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	return t->has_thread ? OK : ERR(ei, ERR_NOMEM, "no thread for telemetry");
}

enum err
telemetry_new(const struct telemetry_options *o, struct telemetry **out, struct errinfo *ei)
{
	struct telemetry *t = mem_zalloc(1, sizeof(*t));
	uint8_t id[INSTANCE_BYTES];

	*out = NULL;
	if (t == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	MUST(o->sample_one_in > 0);
	t->magic = TELEMETRY_MAGIC;
	t->sink = o->sink;
	t->sample_one_in = o->sample_one_in;
	t->wake_every = o->queue_max / 4 < TRACE_BATCH_MAX ? o->queue_max / 4 + 1 : TRACE_BATCH_MAX;
	t->started_wall_ns = clock_wall_ns();
	buf_init(&t->metrics, METRICS_BYTES_MAX);
	buf_init(&t->text, TRACE_BATCH_BYTES_MAX);
	pthread_mutex_init(&t->lock, NULL);
	cond_init(&t->wake);
	cond_init(&t->ended);
	enum err rc = rand_bytes(id, sizeof(id), ei);
	hash_hex(id, sizeof(id), t->instance_id);
	if (rc == OK && (!trace_places_init(&t->places, o->queue_max) ||
				!action_counters_init(&t->counters)))
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == OK && o->sink == TELEMETRY_OTLP)
		rc = otlp_sender_new(o, &t->sender, ei);
	if (rc == OK)
		rc = start_thread(t, ei);
	if (rc != OK)
		telemetry_free(&t);
	*out = t;
	return rc;
}

/* In time, or as soon as the call that is under way can be ended. False when it cannot be ended: the thread goes on, and has t. */
static bool
stop_thread(struct telemetry *t)
{
	int64_t deadline_ns = clock_mono_ns() + TELEMETRY_FLUSH_NS;
	int64_t until_ns = deadline_ns + (t->sender != NULL ? 0 : STUCK_NS);
	bool is_in_time = true;

	pthread_mutex_lock(&t->lock);
	atomic_store(&t->deadline_ns, deadline_ns);
	atomic_store(&t->is_stopping, true);
	pthread_cond_signal(&t->wake);
	while (!t->has_ended && is_in_time)
		is_in_time = cond_wait_until(&t->ended, &t->lock, until_ns);
	bool is_stuck = !t->has_ended && t->sender == NULL;
	pthread_mutex_unlock(&t->lock);
	if (is_stuck) {
		MUST(pthread_detach(t->thread) == 0);
		return false;
	}
	if (t->sender != NULL)
		otlp_sender_stop(t->sender);
	MUST(pthread_join(t->thread, NULL) == 0);
	return true;
}

void
telemetry_free(struct telemetry **tp)
{
	struct telemetry *t = *tp;

	if (t == NULL)
		return;
	OBJ_CHECK(t, TELEMETRY_MAGIC);
	*tp = NULL;
	if (t->has_thread && !stop_thread(t)) {
		log_warn(NULL, "telemetry: nobody reads stdout; what waits for it is lost");
		return;
	}
	metric_add(METRIC_TELEMETRY_DROPPED, (int64_t)trace_places_count_waiting(&t->places));
	otlp_sender_free(&t->sender);
	trace_places_fini(&t->places);
	action_counters_fini(&t->counters);
	buf_fini(&t->metrics);
	buf_fini(&t->text);
	pthread_cond_destroy(&t->wake);
	pthread_cond_destroy(&t->ended);
	pthread_mutex_destroy(&t->lock);
	t->magic = 0;
	mem_free(t);
}
