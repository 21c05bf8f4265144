/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reload: build a new snapshot beside the running one (on the pool), record it in the ledger, then hand it to each
 * worker. Any failure keeps the old one and says why. Requests that arrive while one runs share the next run. Main
 * thread, but for the building itself.
 */
#include "runtime.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "pipeline/approvals.h"
#include "pipeline/snapshot.h"
#include "plain_keys.h"
#include "policy/policy.h"

#define RELOAD_MAGIC 0x524c4f44u

struct reload {
	unsigned magic;
	struct runtime *runtime;
	bool is_running;
	bool is_closing;                /* the process ends: no further run */
	struct reload_request *running; /* answered when this run ends */
	struct reload_request *waiting; /* for the next run */
	struct workq_item item;
	struct snapshot *built;
	enum err result;
	struct errinfo ei;
	size_t n_to_swap;
	struct reload_request by_signal;
	bool signal_is_queued;
	bool signal_again; /* another signal came while one was being served */
};

static void start_run(struct reload *rl);

static void
answer_all(struct reload *rl)
{
	struct reload_request *q = rl->running;

	rl->running = NULL;
	rl->is_running = false;
	service_say_ready(
		rl->runtime, rl->result == OK ? "serving" : "serving; the last reload was refused");
	while (q != NULL) {
		struct reload_request *next = q->next;
		const char *hash = policy_get_hash(snapshot_get_policy(rl->runtime->snapshot));

		q->result = rl->result;
		q->ei = rl->ei;
		memcpy(q->policy_hash, hash, strlen(hash) + 1);
		loop_post(q->loop, &q->msg);
		q = next;
	}
	if (rl->waiting != NULL)
		start_run(rl);
}

static void
on_patience_over(void *arg)
{
	bool *is_over = arg;

	*is_over = true;
}

bool
reload_finish(struct runtime *r)
{
	bool is_over = false;
	struct loop_timer *patience = loop_timer_new(r->loop, on_patience_over, &is_over);

	r->reload->is_closing = true;
	if (patience != NULL)
		loop_timer_arm(patience, r->options.shutdown_grace_ns);
	while (r->reload->is_running && patience != NULL && !is_over)
		loop_turn(r->loop, true);
	loop_timer_free(&patience);
	return !r->reload->is_running;
}

static void
on_failure_recorded(void *arg, enum err result, const struct errinfo *ei)
{
	struct reload *rl;

	OBJ_CAST(rl, arg, RELOAD_MAGIC);
	if (result != OK)
		log_warn(NULL, "the refused reload is not in the ledger: %s", ei->msg);
	answer_all(rl);
}

static void
refuse(struct reload *rl)
{
	metric_add(METRIC_RELOADS_FAILED, 1);
	log_error(NULL, "reload refused, the running configuration stays: %s", rl->ei.msg);
	snapshot_unref(&rl->built);
	struct process_record p = {
		.event_type = "runtime.reload",
		.trigger = rl->running->trigger,
		.outcome = "failure",
		.principal = rl->running->principal,
		.reason = span_cstr(rl->ei.msg),
		.snapshot = rl->runtime->snapshot,
		.done = on_failure_recorded,
		.arg = rl,
	};
	struct errinfo ei;
	enum err rc = process_record_submit(rl->runtime, &p, &ei);
	if (rc != OK)
		on_failure_recorded(rl, rc, &ei);
}

void
reload_worker_swapped(struct runtime *r)
{
	struct reload *rl = r->reload;

	OBJ_CHECK(rl, RELOAD_MAGIC);
	rl->n_to_swap--;
	if (rl->n_to_swap > 0)
		return;
	metric_add(METRIC_RELOADS, 1);
	log_info(NULL, "reloaded: policy %s", policy_get_hash(snapshot_get_policy(r->snapshot)));
	plain_keys_warn(r->snapshot);
	answer_all(rl);
}

static void
on_success_recorded(void *arg, enum err result, const struct errinfo *ei)
{
	struct reload *rl;

	OBJ_CAST(rl, arg, RELOAD_MAGIC);
	struct runtime *r = rl->runtime;
	if (result != OK) {
		rl->result = result;
		rl->ei = *ei;
		err_wrap(&rl->ei, result, "the ledger did not take the record of the reload");
		refuse(rl);
		return;
	}
	(void)FAULT_BEFORE(RELOAD_SWAP);
	snapshot_unref(&r->snapshot);
	r->snapshot = rl->built;
	rl->built = NULL;
	if (r->options.on_swap != NULL)
		r->options.on_swap(r->options.load_arg, r->snapshot);
	approvals_set_in_force(r->pipeline, r->snapshot);
	rl->n_to_swap = r->n_workers;
	for (size_t i = 0; i < r->n_workers; i++) {
		r->workers[i].next_snapshot = snapshot_ref(r->snapshot);
		loop_post(r->workers[i].loop, &r->workers[i].swap_msg);
	}
	(void)FAULT_AFTER(RELOAD_SWAP);
}

static struct reload *
reload_of(struct workq_item *item)
{
	struct reload *rl = (struct reload *)(void *)((char *)item - offsetof(struct reload, item));

	OBJ_CHECK(rl, RELOAD_MAGIC);
	return rl;
}

static void
build(struct workq_item *item)
{
	struct reload *rl = reload_of(item);

	rl->result = rl->runtime->options.load(rl->runtime->options.load_arg, &rl->built, &rl->ei);
}

static void
on_built(struct workq_item *item)
{
	struct reload *rl = reload_of(item);

	if (rl->result != OK) {
		refuse(rl);
		return;
	}
	struct process_record p = {
		.event_type = "runtime.reload",
		.trigger = rl->running->trigger,
		.outcome = "success",
		.principal = rl->running->principal,
		.snapshot = rl->built,
		.done = on_success_recorded,
		.arg = rl,
	};
	struct errinfo ei;
	enum err rc = process_record_submit(rl->runtime, &p, &ei);
	if (rc != OK)
		on_success_recorded(rl, rc, &ei);
}

static void
start_run(struct reload *rl)
{
	rl->is_running = true;
	service_say_reloading(rl->runtime);
	rl->running = rl->waiting;
	rl->waiting = NULL;
	rl->result = OK;
	rl->ei = (struct errinfo){0};
	if (rl->is_closing) {
		rl->result = ERR(&rl->ei, ERR_STOPPED, "the gateway is shutting down");
		answer_all(rl);
		return;
	}
	rl->item =
		(struct workq_item){.loop = rl->runtime->loop, .process = build, .done = on_built};
	/* Once it is submitted the item is the pool's: the result must not be written here any more. */
	enum err rc = workq_submit(rl->runtime->pool, &rl->item);
	if (rc != OK) {
		rl->result = ERR(&rl->ei, rc, "the pool for disk work is full; try again");
		refuse(rl);
	}
}

static void
enqueue(struct reload *rl, struct reload_request *q)
{
	/* The first to wait is the one the record names. */
	struct reload_request **at = &rl->waiting;
	while (*at != NULL)
		at = &(*at)->next;
	q->next = NULL;
	*at = q;
	if (!rl->is_running)
		start_run(rl);
}

static void
on_answer(struct loop_msg *msg)
{
	struct reload_request *q = (struct reload_request *)(void *)msg;

	q->done(q);
}

static void
on_request(struct loop_msg *msg)
{
	struct reload_request *q = (struct reload_request *)(void *)msg;
	struct runtime *r = q->runtime;

	q->msg.run = on_answer;
	enqueue(r->reload, q);
}

void
runtime_reload(struct runtime *r, struct reload_request *q)
{
	q->runtime = r;
	q->msg.run = on_request;
	loop_post(r->loop, &q->msg);
}

enum err
runtime_preview_reload(
	struct runtime *r, const struct snapshot *running, struct buf *out, struct errinfo *ei)
{
	if (r->options.preview == NULL)
		return ERR(ei, ERR_UNSUPPORTED, "there is nobody to ask");
	return r->options.preview(r->options.preview_arg, running, out, ei);
}

static void on_signal_done(struct reload_request *q);

static void
reload_by_signal(struct reload *rl)
{
	rl->signal_is_queued = true;
	rl->by_signal = (struct reload_request){
		.loop = rl->runtime->loop, .trigger = "signal", .done = on_signal_done};
	runtime_reload(rl->runtime, &rl->by_signal);
}

static void
on_signal_done(struct reload_request *q)
{
	struct reload *rl =
		(struct reload *)(void *)((char *)q - offsetof(struct reload, by_signal));

	OBJ_CHECK(rl, RELOAD_MAGIC);
	rl->signal_is_queued = false;
	if (rl->signal_again) {
		rl->signal_again = false;
		reload_by_signal(rl);
	}
}

static void
on_hangup(int signo, void *arg)
{
	struct runtime *r;

	(void)signo;
	OBJ_CAST(r, arg, RUNTIME_MAGIC);
	certificates_look(r);
	/* A signal during a run must lead to another run: the files may have changed since it read them. */
	if (r->reload->signal_is_queued)
		r->reload->signal_again = true;
	else
		reload_by_signal(r->reload);
}

enum err
reload_init(struct runtime *r, struct errinfo *ei)
{
	r->reload = mem_zalloc(1, sizeof(*r->reload));
	if (r->reload == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	r->reload->magic = RELOAD_MAGIC;
	r->reload->runtime = r;
	return loop_on_signal(r->loop, SIGHUP, on_hangup, r, ei);
}

void
reload_fini(struct runtime *r)
{
	if (r->reload == NULL)
		return;
	snapshot_unref(&r->reload->built);
	mem_free(r->reload);
	r->reload = NULL;
}
