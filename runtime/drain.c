/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out (decisions 37): announce, wait the configured delay while still accepting, close the listeners and the idle
 * connections, let what was accepted finish within the grace. Signals arrive on the main loop; a second one ends
 * the process at once, which is safe because everything acknowledged is durable.
 */
#include "runtime.h"

#include <signal.h>
#include <stddef.h>

#include "base/log.h"
#include "base/must.h"

static void
stop_loop(struct runtime *r)
{
	loop_timer_disarm(r->stage_timer);
	atomic_store(&r->stage, DRAIN_DONE);
	loop_stop(r->loop);
}

static void
on_stage_timer(void *arg)
{
	struct runtime *r;

	OBJ_CAST(r, arg, RUNTIME_MAGIC);
	if (atomic_load(&r->stage) == DRAIN_CLOSING) {
		log_warn(NULL, "the shutdown grace ran out with requests in flight");
		r->grace_ran_out = true;
		stop_loop(r);
		return;
	}
	atomic_store(&r->stage, DRAIN_CLOSING);
	/* Nobody new comes; who is in the queue is taken. */
	listeners_remove(r);
	for (size_t i = 0; i < r->n_workers; i++)
		worker_close(&r->workers[i]);
	loop_timer_arm(r->stage_timer, r->options.shutdown_grace_ns);
}

static void
drain_start(struct runtime *r)
{
	if (atomic_load(&r->stage) != DRAIN_NONE)
		return;
	log_info(NULL, "shutting down: draining");
	service_say_stopping(r);
	atomic_store(&r->stage, DRAIN_ANNOUNCED);
	for (size_t i = 0; i < r->n_workers; i++)
		worker_announce_drain(&r->workers[i]);
	loop_timer_arm(r->stage_timer, r->options.shutdown_delay_ns);
}

void
drain_worker_done(struct runtime *r)
{
	r->n_drained++;
	if (r->n_drained == r->n_workers)
		stop_loop(r);
}

static void
on_signal(int signo, void *arg)
{
	struct runtime *r;

	OBJ_CAST(r, arg, RUNTIME_MAGIC);
	if (atomic_load(&r->stage) != DRAIN_NONE) {
		log_warn(NULL, "second signal %d: ending now", signo);
		r->is_forced = true;
		stop_loop(r);
		return;
	}
	drain_start(r);
}

enum err
drain_init(struct runtime *r, struct errinfo *ei)
{
	r->stage_timer = loop_timer_new(r->loop, on_stage_timer, r);
	if (r->stage_timer == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = loop_on_signal(r->loop, SIGTERM, on_signal, r, ei);
	if (rc == OK)
		rc = loop_on_signal(r->loop, SIGINT, on_signal, r, ei);
	return rc;
}

void
drain_fini(struct runtime *r)
{
	loop_timer_free(&r->stage_timer);
}
