/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker: a thread with a loop, an HTTP server on a SO_REUSEPORT socket of its own and a reference to the current
 * snapshot. It shares nothing mutable with other workers; the main thread reaches it by posted messages.
 */
#include "runtime.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/must.h"
#include "pipeline/board.h"
#include "pipeline/pipeline.h"
#include "pipeline/snapshot.h"

/* How often a draining worker looks whether it is done. */
#define DRAIN_POLL_NS (5 * NS_PER_MS)

/* The worker that an embedded message belongs to. */
#define WORKER_OF(msg, member)                                                                     \
	((struct worker *)(void *)((char *)(msg)-offsetof(struct worker, member)))

static void
say_drained(struct worker *w)
{
	loop_post(w->runtime->loop, &w->drained_msg);
}

static void
on_drained(struct loop_msg *msg)
{
	struct worker *w = WORKER_OF(msg, drained_msg);

	OBJ_CHECK(w, WORKER_MAGIC);
	drain_worker_done(w->runtime);
}

static void
poll_drained(void *arg)
{
	struct worker *w;

	OBJ_CAST(w, arg, WORKER_MAGIC);
	http_server_close_idle(w->server);
	if (!http_server_is_accepting(w->server) && http_server_count_requests(w->server) == 0 &&
		http_server_count_connections(w->server) == 0) {
		say_drained(w);
		return;
	}
	loop_timer_arm(w->drain_timer, DRAIN_POLL_NS);
}

static void
on_announce(struct loop_msg *msg)
{
	struct worker *w = WORKER_OF(msg, announce_msg);

	OBJ_CHECK(w, WORKER_MAGIC);
	http_server_start_draining(w->server);
}

void
worker_announce_drain(struct worker *w)
{
	loop_post(w->loop, &w->announce_msg);
}

static void
on_close(struct loop_msg *msg)
{
	struct worker *w = WORKER_OF(msg, close_msg);

	OBJ_CHECK(w, WORKER_MAGIC);
	http_server_start_draining(w->server);
	http_server_stop_accepting(w->server);
	loop_timer_arm(w->drain_timer, 0);
}

void
worker_close(struct worker *w)
{
	loop_post(w->loop, &w->close_msg);
}

static void
on_swap(struct loop_msg *msg)
{
	struct worker *w = WORKER_OF(msg, swap_msg);

	OBJ_CHECK(w, WORKER_MAGIC);
	bool is_new_policy = strcmp(snapshot_get_policy_hash(w->next_snapshot),
				     snapshot_get_policy_hash(w->snapshot)) != 0;
	snapshot_unref(&w->snapshot);
	w->snapshot = w->next_snapshot;
	w->next_snapshot = NULL;
	/* Those who wait begin anew (decisions 23). */
	if (is_new_policy)
		board_renew(pipeline_get_board(w->runtime->pipeline), w->loop);
	loop_post(w->runtime->loop, &w->swapped_msg);
}

static void
on_swapped(struct loop_msg *msg)
{
	struct worker *w = WORKER_OF(msg, swapped_msg);

	OBJ_CHECK(w, WORKER_MAGIC);
	reload_worker_swapped(w->runtime);
}

static void
on_alive(struct loop_msg *msg)
{
	struct worker *w = WORKER_OF(msg, alive_msg);

	OBJ_CHECK(w, WORKER_MAGIC);
	loop_post(w->runtime->loop, &w->lives_msg);
}

static void
on_lives(struct loop_msg *msg)
{
	struct worker *w = WORKER_OF(msg, lives_msg);

	OBJ_CHECK(w, WORKER_MAGIC);
	service_worker_lives(w->runtime);
}

void
worker_ask_alive(struct worker *w)
{
	loop_post(w->loop, &w->alive_msg);
}

enum err
worker_init(struct worker *w, struct runtime *r, struct errinfo *ei)
{
	*w = (struct worker){.magic = WORKER_MAGIC, .runtime = r};
	w->announce_msg.run = on_announce;
	w->close_msg.run = on_close;
	w->drained_msg.run = on_drained;
	w->swap_msg.run = on_swap;
	w->swapped_msg.run = on_swapped;
	w->alive_msg.run = on_alive;
	w->lives_msg.run = on_lives;
	enum err rc = loop_new(&w->loop, ei);
	if (rc != OK)
		return rc;
	w->drain_timer = loop_timer_new(w->loop, poll_drained, w);
	if (w->drain_timer == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	rc = http_server_new(w->loop, &r->options.http, r->options.handler, w, &w->server, ei);
	if (rc != OK)
		return rc;
	w->snapshot = snapshot_ref(r->snapshot);
	return listeners_attach(r, w->server, ei);
}

static void *
run_thread(void *arg)
{
	struct worker *w;

	OBJ_CAST(w, arg, WORKER_MAGIC);
	loop_run(w->loop);
	return NULL;
}

enum err
worker_start(struct worker *w, struct errinfo *ei)
{
	if (pthread_create(&w->thread, NULL, run_thread, w) != 0)
		return ERR(ei, ERR_NOMEM, "cannot start a worker thread");
	w->has_thread = true;
	return OK;
}

void
worker_join(struct worker *w)
{
	if (!w->has_thread)
		return;
	loop_stop(w->loop);
	pthread_join(w->thread, NULL);
	w->has_thread = false;
}

void
worker_fini(struct worker *w)
{
	if (w->magic != WORKER_MAGIC)
		return;
	http_server_free(&w->server);
	loop_timer_free(&w->drain_timer);
	snapshot_unref(&w->snapshot);
	snapshot_unref(&w->next_snapshot);
	loop_free(&w->loop);
	w->magic = 0;
}

struct runtime *
worker_get_runtime(const struct worker *w)
{
	return w->runtime;
}

struct loop *
worker_get_loop(const struct worker *w)
{
	return w->loop;
}

struct snapshot *
worker_get_snapshot(const struct worker *w)
{
	return w->snapshot;
}

struct pipeline *
worker_get_pipeline(const struct worker *w)
{
	return w->runtime->pipeline;
}

struct admission *
worker_get_admission(struct worker *w)
{
	return &w->admission;
}
