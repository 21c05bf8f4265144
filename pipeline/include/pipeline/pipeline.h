/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What all requests of the process share and no reload replaces: the ledger, the pool for disk work, rate buckets,
 * breakers, the count of actions in flight. Sharded or atomic inside; any thread.
 */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct board;
struct ledger;
struct loop;
struct pipeline;
struct snapshot;
struct session_table;
struct telemetry;
struct workq;

/* Borrows the ledger and the pool, which outlive it. Requests come from at most n_loops loops. ERR_NOMEM. */
MUSTCHECK enum err pipeline_new(struct ledger *ledger, struct workq *pool, size_t n_loops,
	struct pipeline **out, struct errinfo *ei);
/* Borrowed, outlives the last request; NULL: nothing is counted for it. Before the first request. */
void pipeline_set_telemetry(struct pipeline *p, struct telemetry *telemetry);
/* After the last request has ended. */
void pipeline_free(struct pipeline **p);
/* Now and then, on one loop: expired keys go, and what nobody reported in its time is closed, a little at each call. Cheap
 * while nothing is due. */
void pipeline_upkeep(struct pipeline *p, const struct snapshot *s, struct loop *loop);
/* A credential from this client address has failed: 0, or for how many seconds nobody there should try again. */
MUSTCHECK uint32_t pipeline_note_failed_auth(
	struct pipeline *p, const struct snapshot *s, struct span client_address);
/* Actions in flight now. */
size_t pipeline_count_in_flight(const struct pipeline *p);
/* How long the ledger's queue makes an entry wait, in nanoseconds (ledger_get_queue_wait). */
int64_t pipeline_get_queue_wait(const struct pipeline *p);
/* Who waits for news of an approval (board.h). */
struct board *pipeline_get_board(const struct pipeline *p);
/* Who is signed in on the operator page (session.h). */
struct session_table *pipeline_get_sessions(const struct pipeline *p);

#endif
