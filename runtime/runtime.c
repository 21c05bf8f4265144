/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Start and end of the running gateway. Start: ledger, what a crash left, address, pool, workers, the record that says
 * which policy is in force; only then the listeners answer. End: drain.c's work, then the ledger closes behind the
 * last request. Main thread.
 */
#include "runtime.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "audit/ledger.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "descriptors.h"
#include "net/address_cap.h"
#include "net/tls.h"
#include "outbound/telemetry.h"
#include "pipeline/pipeline.h"
#include "pipeline/snapshot.h"
#include "plain_keys.h"
#include "policy/policy.h"

/* Threads for blocking file work, and how much may wait for them. */
#define POOL_THREADS 4
#define POOL_QUEUE 1024
#define READER_THREADS 2
#define READER_QUEUE 8
#define WORKERS_MAX 256

static enum err
open_ledger(struct runtime *r, struct errinfo *ei)
{
	size_t n_unknown = 0;
	enum err rc = ledger_open(&r->options.ledger, &r->ledger, ei);

	/* The sinks are the ledger's now, whatever came of it. */
	r->options.ledger.sinks = NULL;
	r->options.ledger.n_sinks = 0;
	if (rc == OK)
		rc = ledger_settle_unknown(r->ledger, &n_unknown, ei);
	if (rc == OK && n_unknown > 0)
		log_warn(NULL,
			"%zu actions of the last run have an unknown outcome; see `nomos audit "
			"query --class UNKNOWN`",
			n_unknown);
	if (rc == OK)
		rc = ledger_start(r->ledger, ei);
	return rc;
}

static enum err
make_workers(struct runtime *r, struct errinfo *ei)
{
	enum err rc = OK;

	r->workers = mem_zalloc(r->n_workers, sizeof(*r->workers));
	if (r->workers == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < r->n_workers && rc == OK; i++)
		rc = worker_init(&r->workers[i], r, ei);
	listeners_let_go(r);
	return rc;
}

static size_t
choose_n_workers(size_t wanted)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (wanted == 0)
		wanted = n > 0 ? (size_t)n : 1;
	return wanted < WORKERS_MAX ? wanted : WORKERS_MAX;
}

static enum err
build(struct runtime *r, struct errinfo *ei)
{
	enum err rc = listeners_find(r, ei);

	r->started_wall_ns = clock_wall_ns();
	if (rc == OK)
		rc = descriptors_share(r->options.http.max_connections, r->n_workers,
			&r->options.http.max_connections, ei);
	if (rc == OK)
		rc = loop_new(&r->loop, ei);
	if (rc == OK)
		rc = workq_new(POOL_THREADS, POOL_QUEUE, &r->pool, ei);
	if (rc == OK)
		rc = workq_new(READER_THREADS, READER_QUEUE, &r->readers, ei);
	if (rc == OK)
		rc = examined_new(&r->examined, ei);
	if (rc == OK)
		rc = drain_init(r, ei);
	if (rc == OK)
		rc = service_init(r, ei);
	if (rc == OK)
		rc = chores_init(r, ei);
	if (rc == OK)
		rc = certificates_init(r, ei);
	if (rc == OK)
		rc = observer_init(r, ei);
	if (rc == OK)
		rc = reload_init(r, ei);
	if (rc == OK)
		rc = open_ledger(r, ei);
	if (rc == OK)
		rc = pipeline_new(r->ledger, r->pool, r->n_workers, &r->pipeline, ei);
	if (rc == OK)
		pipeline_set_telemetry(r->pipeline, r->options.telemetry);
	if (rc == OK)
		rc = make_workers(r, ei);
	return rc;
}

enum err
runtime_new(const struct runtime_options *o, struct snapshot *own_snapshot, struct runtime **out,
	struct errinfo *ei)
{
	*out = NULL;
	struct runtime *r = mem_zalloc(1, sizeof(*r));
	if (r == NULL) {
		struct address_cap *cap = o->http.address_cap;
		struct tls_keeper *tls = o->tls;
		struct telemetry *telemetry = o->telemetry;
		tls_keeper_free(&tls);
		telemetry_free(&telemetry);
		snapshot_unref(&own_snapshot);
		address_cap_free(&cap);
		for (size_t i = 0; i < o->ledger.n_sinks; i++)
			o->ledger.sinks[i]->ops->free(o->ledger.sinks[i]);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	r->magic = RUNTIME_MAGIC;
	r->options = *o;
	r->options.http.trusted = &r->options.trusted;
	r->snapshot = own_snapshot;
	r->n_workers = choose_n_workers(o->n_workers);
	enum err rc = build(r, ei);
	if (rc != OK) {
		runtime_free(&r);
		return rc;
	}
	*out = r;
	return OK;
}

static void
on_start_recorded(void *arg, enum err result, const struct errinfo *ei)
{
	(void)arg;
	if (result != OK)
		log_error(NULL, "the record of the start: %s", ei->msg);
}

/*
 * No decision may be in the ledger before the record that names its policy. Entries are applied in order and this one is kept
 * until it is written, so there is nothing to wait for: a required sink that is down must not keep the gateway from
 * starting and saying so.
 */
static enum err
record_start(struct runtime *r, struct errinfo *ei)
{
	struct process_record p = {
		.event_type = "runtime.start",
		.outcome = "success",
		.snapshot = r->snapshot,
		.must_write = true,
		.done = on_start_recorded,
	};

	return process_record_submit(r, &p, ei);
}

static enum err
start_workers(struct runtime *r, struct errinfo *ei)
{
	enum err rc = OK;

	for (size_t i = 0; i < r->n_workers && rc == OK; i++)
		rc = worker_start(&r->workers[i], ei);
	return rc;
}

static void
join_workers(struct runtime *r)
{
	for (size_t i = 0; i < r->n_workers; i++)
		worker_join(&r->workers[i]);
}

static void
restore_signals(void)
{
	struct sigaction end = {.sa_handler = SIG_DFL};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGHUP, &ignore, NULL);
}

static void
say_ready(struct runtime *r)
{
	char address[LISTENER_TEXT_MAX];

	for (size_t i = 0; i < r->listenings.n && r->options.on_ready != NULL; i++) {
		listener_format(&r->listenings.v[i].addr, address);
		r->options.on_ready(r->options.on_ready_arg, &r->options.listeners.v[i], address);
	}
	service_say_ready(r, "serving");
}

bool
runtime_run(struct runtime *r)
{
	struct errinfo ei;
	enum err rc = record_start(r, &ei);
	if (rc == OK)
		rc = start_workers(r, &ei);
	if (rc != OK) {
		log_error(NULL, "%s", ei.msg);
		join_workers(r);
		return false;
	}
	chores_start(r);
	certificates_start(r);
	observer_start(r);
	plain_keys_warn(r->snapshot);
	say_ready(r);
	loop_run(r->loop);
	/* Nobody reads signals from here on; the next one must not wait for what closing waits for. */
	restore_signals();
	/* One that came just before is in the loop's pipe. */
	loop_turn(r->loop, false);
	listeners_remove(r);
	if (r->is_forced)
		return false;
	if (!r->grace_ran_out && !reload_finish(r)) {
		log_warn(NULL, "a reload does not end; leaving without it");
		r->grace_ran_out = true;
	}
	/* Before the ledger goes: a worker that still runs would hand a late request to it. */
	join_workers(r);
	/* While there is still a ledger to tell of. What is told goes out behind its end. */
	observer_tell(r);
	ledger_close(&r->ledger);
	telemetry_free(&r->options.telemetry);
	return !r->grace_ran_out;
}

void
runtime_free(struct runtime **rp)
{
	struct runtime *r = *rp;

	if (r == NULL)
		return;
	if (r->workers != NULL) {
		for (size_t i = 0; i < r->n_workers; i++)
			worker_fini(&r->workers[i]);
		mem_free(r->workers);
	}
	listeners_let_go(r);
	listeners_remove(r);
	address_cap_free(&r->options.http.address_cap);
	ledger_close(&r->ledger);
	for (size_t i = 0; i < r->options.ledger.n_sinks; i++)
		r->options.ledger.sinks[i]->ops->free(r->options.ledger.sinks[i]);
	workq_free(&r->pool);
	workq_free(&r->readers);
	examined_free(&r->examined);
	drain_fini(r);
	service_fini(r);
	chores_fini(r);
	certificates_stop(r);
	observer_fini(r);
	/* What is still posted to the main loop runs now, and may be for the reload. */
	loop_free(&r->loop);
	reload_fini(r);
	certificates_fini(r);
	tls_keeper_free(&r->options.tls);
	telemetry_free(&r->options.telemetry);
	pipeline_free(&r->pipeline);
	snapshot_unref(&r->snapshot);
	r->magic = 0;
	mem_free(r);
	*rp = NULL;
}

bool
runtime_is_draining(const struct runtime *r)
{
	return atomic_load(&r->stage) != DRAIN_NONE;
}

bool
runtime_check_ready(const struct worker *w, struct readiness_check out[READINESS_CHECKS])
{
	return runtime_view_readiness(worker_get_runtime(w), worker_get_snapshot(w), out);
}

bool
runtime_view_readiness(const struct runtime *r, const struct snapshot *s,
	struct readiness_check out[READINESS_CHECKS])
{
	bool is_ready = true;

	out[0] = (struct readiness_check){.name = "policy", .is_ok = true};
	snprintf(out[0].message, sizeof(out[0].message), "policy %s",
		policy_get_hash(snapshot_get_policy(s)));
	out[1] = (struct readiness_check){.name = "ledger"};
	out[1].is_ok = ledger_is_ready(r->ledger, out[1].message, sizeof(out[1].message));
	if (out[1].is_ok)
		snprintf(out[1].message, sizeof(out[1].message), "records are durable");
	out[2] = (struct readiness_check){.name = "serving", .is_ok = !runtime_is_draining(r)};
	snprintf(out[2].message, sizeof(out[2].message), "%s",
		out[2].is_ok ? "accepting requests" : "draining");
	for (size_t i = 0; i < READINESS_CHECKS; i++)
		is_ready = is_ready && out[i].is_ok;
	return is_ready;
}

bool
runtime_is_loopback(const struct runtime *r)
{
	for (size_t i = 0; i < r->listenings.n; i++) {
		if (!listener_is_loopback(&r->listenings.v[i].addr))
			return false;
	}
	return true;
}

const char *
runtime_get_ledger_path(const struct runtime *r)
{
	return r->options.ledger.store == LEDGER_STORE_SQLITE ? r->options.ledger.path : NULL;
}

struct workq *
runtime_get_readers(const struct runtime *r)
{
	return r->readers;
}

struct ledger *
runtime_get_ledger(const struct runtime *r)
{
	return r->ledger;
}

struct pipeline *
runtime_get_pipeline(const struct runtime *r)
{
	return r->pipeline;
}

struct telemetry *
runtime_get_telemetry(const struct runtime *r)
{
	return r->options.telemetry;
}

int64_t
runtime_get_started_ns(const struct runtime *r)
{
	return r->started_wall_ns;
}
