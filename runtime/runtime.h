/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The inside of the running gateway, shared by the files of this folder only. */
#ifndef RUNTIME_PRIVATE_H
#define RUNTIME_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/loop.h"
#include "base/workq.h"
#include "listeners.h"
#include "pipeline/admission.h"
#include "runtime/runtime.h"
#include "service.h"

#define RUNTIME_MAGIC 0x52554e31u
#define WORKER_MAGIC 0x574f524bu

struct answer_counts {
	_Atomic uint64_t n[STATUS_CLASSES];
	struct histogram times;
};

struct worker {
	unsigned magic;
	struct runtime *runtime;
	struct loop *loop;
	struct http_server *server;
	struct snapshot *snapshot; /* own thread; replaced by a posted message */
	struct admission admission;
	struct loop_timer *drain_timer;
	pthread_t thread;
	bool has_thread;
	struct loop_msg announce_msg; /* main thread posts each once */
	struct loop_msg close_msg;
	struct loop_msg drained_msg; /* back to the main loop, once */
	struct loop_msg swap_msg;    /* main thread posts it; free when the swap was acknowledged */
	struct loop_msg swapped_msg;
	struct loop_msg alive_msg; /* main thread posts it; free when it was answered */
	struct loop_msg lives_msg;
	struct snapshot *next_snapshot; /* travels with swap_msg */
	struct answer_counts answers[RUNTIME_LABELS_MAX];
};

enum drain_stage {
	DRAIN_NONE = 0,  /* serving */
	DRAIN_ANNOUNCED, /* replies say close, readiness fails, still accepting */
	DRAIN_CLOSING,   /* listeners closing, idle connections closed, what is left finishes */
	DRAIN_DONE,
};

struct runtime {
	unsigned magic;
	struct loop *loop; /* main thread: signals, drain, reload */
	struct ledger *ledger;
	struct workq *pool;
	int64_t started_wall_ns;
	struct examined *examined; /* examine.c */
	struct workq *readers;     /* answers operators' questions */
	struct pipeline *pipeline;
	struct snapshot
		*snapshot; /* main thread: the one that new workers and reloads start from */
	struct worker *workers;
	size_t n_workers;
	struct listenings listenings;
	struct runtime_options options;
	_Atomic int stage; /* enum drain_stage; written by the main thread */
	size_t n_drained;
	bool grace_ran_out;
	bool is_forced; /* second signal: end without a word */
	struct loop_timer *stage_timer;
	struct loop_timer *chores_timer;
	struct loop_timer *observer_timer; /* observer.c; NULL: nobody is told */
	struct certificates *certificates; /* certificates.c; NULL: no TLS */
	struct service service;
	/* reload.c, main thread */
	struct reload *reload;
};

/* examine.c: what doctor found lately. ERR_NOMEM. */
MUSTCHECK enum err examined_new(struct examined **out, struct errinfo *ei);
void examined_free(struct examined **x);

/* worker.c */
MUSTCHECK enum err worker_init(struct worker *w, struct runtime *r, struct errinfo *ei);
MUSTCHECK enum err worker_start(struct worker *w, struct errinfo *ei);
/* Main thread, once each: replies say "close" from now on; listeners and idle connections close, the rest finishes. */
void worker_announce_drain(struct worker *w);
void worker_close(struct worker *w);
/* Main thread, not again before the answer: service_worker_lives is called once its loop has turned. */
void worker_ask_alive(struct worker *w);
/* Main thread: stops the loop and joins the thread. */
void worker_join(struct worker *w);
void worker_fini(struct worker *w);

/* drain.c, main thread */
MUSTCHECK enum err drain_init(struct runtime *r, struct errinfo *ei);
void drain_fini(struct runtime *r);
/* A worker has nothing left. */
void drain_worker_done(struct runtime *r);

/* reload.c, main thread */
MUSTCHECK enum err reload_init(struct runtime *r, struct errinfo *ei);
void reload_fini(struct runtime *r);
/* After the main loop has stopped and before the workers do: lets a reload that is under way
 * end, for the shutdown grace at most; false when it has not. */
MUSTCHECK bool reload_finish(struct runtime *r);
/* chores.c, main thread */
MUSTCHECK enum err chores_init(struct runtime *r, struct errinfo *ei);
void chores_start(struct runtime *r);
void chores_fini(struct runtime *r);
/* observer.c, main thread: telemetry is told all metrics every so often. */
MUSTCHECK enum err observer_init(struct runtime *r, struct errinfo *ei);
void observer_start(struct runtime *r);
/* Now, once. While there is a ledger. */
void observer_tell(struct runtime *r);
/* Before the loop goes. */
void observer_fini(struct runtime *r);
/* certificates.c, main thread: the files of TLS certificates are looked at on the pool, one look at a time. */
MUSTCHECK enum err certificates_init(struct runtime *r, struct errinfo *ei);
void certificates_start(struct runtime *r);
/* Looks now, whether the files seem to have changed or not. */
void certificates_look(struct runtime *r);
/* Before the loop goes. */
void certificates_stop(struct runtime *r);
/* After the pool and the loop. */
void certificates_fini(struct runtime *r);
/* A worker uses the new snapshot. */
void reload_worker_swapped(struct runtime *r);

/* process_record.c, main thread: a record of the process itself. Text members are borrowed until done. */
struct process_record {
	const char *event_type; /* "runtime.start", "runtime.reload" */
	const char *trigger;    /* NULL: none */
	const char *outcome;    /* "success", "failure" */
	struct span principal;
	struct span reason;
	const struct snapshot *snapshot; /* whose policy it is about; NULL: none */
	bool must_write; /* tried until it is written, before anything that comes later */
	/* Called once on the main loop with what became of it: durable (OK) or not. */
	void (*done)(void *arg, enum err result, const struct errinfo *ei);
	void *arg;
};
/* Copies *p. An error here means that done is not called. */
MUSTCHECK enum err process_record_submit(
	struct runtime *r, const struct process_record *p, struct errinfo *ei);

#endif
