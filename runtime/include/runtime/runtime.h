/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The running gateway: workers (a loop, an HTTP server and a snapshot reference each), the ledger, the pool, signals,
 * reload, drain. Planes answer requests; they see the process through a struct worker. Order:
 * runtime_new, runtime_run (until a signal ends it), runtime_free.
 */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/ledger_options.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/loop.h"
#include "base/span.h"
#include "net/address.h"
#include "net/http_server.h"
#include "runtime/listener_options.h"

struct admission;
struct buf;
struct doctor_report;
struct ledger;
struct metric_writer;
struct pipeline;
struct runtime;
struct snapshot;
struct telemetry;
struct tls_keeper;
struct worker;
struct workq;

struct runtime_options {
	struct runtime_listeners listeners;
	struct trusted_proxies trusted;
	/* Of the listeners that speak TLS; taken over by runtime_new. NULL: none does. */
	struct tls_keeper *tls;
	int64_t tls_look_ns; /* how often its files are looked at */
	size_t n_workers;    /* 0: one per processor */
	/* max_connections is for all workers; address_cap is taken over by runtime_new. */
	struct http_server_options http;
	int64_t shutdown_delay_ns; /* between "draining" and closing the listeners */
	int64_t shutdown_grace_ns; /* for what was accepted */
	struct ledger_options
		ledger; /* the strings in it outlive the runtime; its sinks are taken over by runtime_new */
	/* Taken over by runtime_new; NULL: nothing is told. Every so often write_metrics says all. */
	struct telemetry *telemetry;
	int64_t telemetry_interval_ns;
	void (*write_metrics)(
		const struct runtime *r, const struct snapshot *s, struct metric_writer *w);
	/* Answers each request of every worker; arg is the struct worker, also of http.look. */
	http_handler_fn handler;
	/* Reads configuration and policy anew and checks that only what may change did. Blocking; on a pool thread. */
	enum err (*load)(void *arg, struct snapshot **out, struct errinfo *ei);
	void *load_arg;
	/* The snapshot is the one in use from now on, and the ledger has it: what goes along with it. Main thread; gets load_arg;
	 * may be NULL. */
	void (*on_swap)(void *arg, const struct snapshot *now);
	/* What a load now would change against the snapshot in use, as JSON; nothing is changed. Blocking; on a reader thread. NULL:
	 * nobody can say. */
	enum err (*preview)(
		void *arg, const struct snapshot *running, struct buf *out, struct errinfo *ei);
	void *preview_arg;
	/* Doctor's checks of what the files say now. Blocking; on a reader thread. NULL: nobody can say. */
	enum err (*examine)(void *arg, struct doctor_report *out, struct errinfo *ei);
	void *examine_arg;
	/* For each listener once, when every worker accepts; address is "127.0.0.1:8080", "unix:/path". */
	void (*on_ready)(void *arg, const struct runtime_listener *listener, const char *address);
	void *on_ready_arg;
};

/*
 * Opens the ledger, settles what a crash left, binds the address, takes over own_snapshot (also on failure). Errors
 * name what to do; nothing listens then.
 */
MUSTCHECK enum err runtime_new(const struct runtime_options *o, struct snapshot *own_snapshot,
	struct runtime **out, struct errinfo *ei);
/* Serves until SIGTERM or SIGINT. True: everything accepted was answered; false: the grace ran out. The ledger is closed
 * when it returns. On a second signal the process ends at once with status 1. */
bool runtime_run(struct runtime *r);
/* Only after runtime_run returned true. */
void runtime_free(struct runtime **r);

/* Any thread. */
bool runtime_is_draining(const struct runtime *r);
/* Whether only this host can reach all of the listeners. */
bool runtime_is_loopback(const struct runtime *r);
/* The ledger's file, for reading beside its writer; NULL when there is none. */
const char *runtime_get_ledger_path(const struct runtime *r);
/* Few threads and a short queue for operators' questions, so that none of them holds up an action's work. */
struct workq *runtime_get_readers(const struct runtime *r);
struct ledger *runtime_get_ledger(const struct runtime *r);
struct pipeline *runtime_get_pipeline(const struct runtime *r);
/* NULL: nothing is told. */
struct telemetry *runtime_get_telemetry(const struct runtime *r);
/* Wall time of the start. */
int64_t runtime_get_started_ns(const struct runtime *r);
/*
 * Calls visit with doctor's report, at most some seconds old, or the last one while somebody else's look goes on; visit copies what it
 * needs. Reader threads. ERR_UNSUPPORTED, ERR_NOMEM, ERR_BUSY (the first look goes on).
 */
MUSTCHECK enum err runtime_examine(struct runtime *r,
	void (*visit)(const struct doctor_report *report, void *arg), void *arg,
	struct errinfo *ei);

/* Answers by a label of the plane's, below RUNTIME_LABELS_MAX. */
#define RUNTIME_LABELS_MAX 96
#define STATUS_CLASSES 6
struct answer_view {
	uint64_t n[STATUS_CLASSES]; /* [2]: of 200 to 299 */
	struct histogram_view
		times; /* nanoseconds from the first byte to the answer; of a stream to its beginning */
};
/* The worker's thread. */
void worker_count_answer(struct worker *w, unsigned label, unsigned status, int64_t took_ns);
/* Any thread. */
void runtime_view_answers(const struct runtime *r, unsigned label, struct answer_view *out);

/* One line of /readyz. */
struct readiness_check {
	const char *name; /* "policy", "ledger", "draining" */
	bool is_ok;
	char message[160]; /* never a path of the host or a secret */
};
#define READINESS_CHECKS 3
/* Fills the checks; true when all are fine. Any thread that has the snapshot. */
bool runtime_view_readiness(const struct runtime *r, const struct snapshot *s,
	struct readiness_check out[READINESS_CHECKS]);
/* The same of the worker's. Worker's thread. */
bool runtime_check_ready(const struct worker *w, struct readiness_check out[READINESS_CHECKS]);

/* The worker whose loop this is; its own thread only. The snapshot is borrowed for this turn of the loop. */
struct runtime *worker_get_runtime(const struct worker *w);
struct loop *worker_get_loop(const struct worker *w);
struct snapshot *worker_get_snapshot(const struct worker *w);
struct pipeline *worker_get_pipeline(const struct worker *w);
struct admission *worker_get_admission(struct worker *w);

/*
 * Asks for a reload; several at once share one run that begins after the last of them. The request is the caller's and
 * lives until done runs on its loop. The new snapshot is recorded in the ledger before any worker uses it; a
 * failed reload keeps the old one. Any thread.
 */
struct reload_request {
	struct loop_msg msg; /* the runtime's until done */
	struct loop *loop;
	struct span principal;                  /* who asked; empty for a signal */
	const char *trigger;                    /* "signal", "admin" */
	void (*done)(struct reload_request *q); /* loop's thread */
	enum err result;
	struct errinfo ei;
	char policy_hash[65];        /* of the snapshot in use afterwards */
	struct reload_request *next; /* the runtime's */
	struct runtime *runtime;     /* the runtime's */
};
void runtime_reload(struct runtime *r, struct reload_request *q);
/* Appends what a reload would change, as JSON without a line's end. Reader threads. ERR_UNSUPPORTED, ERR_NOMEM. */
MUSTCHECK enum err runtime_preview_reload(
	struct runtime *r, const struct snapshot *running, struct buf *out, struct errinfo *ei);

#endif
