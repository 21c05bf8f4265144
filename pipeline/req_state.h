/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of struct req and of struct pipeline, for the files that take a request through its steps. A request belongs to its
 * loop's thread, but for the stretch in which the pool or the ledger's thread has it.
 */
#ifndef PIPELINE_REQ_STATE_H
#define PIPELINE_REQ_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "action_ids.h"
#include "audit/ledger.h"
#include "audit/record.h"
#include "base/histogram.h"
#include "base/workq.h"
#include "decision_stats.h"
#include "approval/approval.h"
#include "approval/desk.h"
#include "exec/exec.h"
#include "idempotency.h"
#include "limit/breaker.h"
#include "limit/concurrency.h"
#include "limit/rate_limits.h"
#include "pipeline/pipeline.h"
#include "pipeline/req.h"
#include "snapshot_parts.h"

struct board;
struct failure_limit;
struct bucket_table;
struct upkeep;
struct session_table;
struct telemetry;

#define REQ_MAGIC 0x2e90e57au
#define PIPELINE_MAGIC 0x919e11e0u

/* Requests of a loop that wait for the ledger: enough for its groups to be large, and no more than it records in some milliseconds. */
#define REQ_AT_LEDGER_MAX 128

/* Reports of all loops whose decision is looked for: a burst of them, and an eighth of the places in the pool, which effects need. */
#define REQ_SEARCHES_MAX 128

/* What a step function says when something else will call req_resume. */
#define STEP_WAIT STEP__MAX

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* What the requests of one loop share: those kept for the next ones, and the way to the ledger. Only that loop's thread
 * touches it. */
struct req_pool {
	_Atomic(struct loop *) loop; /* claimed once */
	struct ledger_outbox outbox;
	size_t n_at_ledger; /* requests that wait for it */
	struct req *free;
	size_t n_free;
	size_t n_free_bytes; /* that their arenas hold */
	struct decision_stats stats;
	struct histogram step_times[STEP__MAX];
};

struct pipeline {
	unsigned magic;
	struct ledger *ledger;
	struct workq *pool;
	struct bucket_table *coarse_buckets;
	struct bucket_table *rule_buckets;
	struct breakers *breakers;
	struct session_table *sessions;
	struct nonce_table *nonces;
	struct failure_limit *failures;
	struct approval_desk desk;
	struct board *board;
	struct slots slots;
	struct telemetry *telemetry;   /* NULL: none */
	struct upkeep *upkeep;         /* NULL: not started */
	struct action_ids *action_ids; /* ledger's thread; NULL: none are kept */
	bool has_action_ids;           /* likewise: it was tried to make it */
	bool is_filling; /* of the loop that has the chores: the table gets what was before the start */
	struct key_rooms key_rooms; /* ledger's thread */
	_Atomic(size_t) n_searches; /* for decisions of reports */
	size_t n_pools;
	struct req_pool pools[];
};

/* The part of a request that waits for a person. */
struct req_approval {
	bool is_asked; /* the policy wants one, and there are approvals */
	/* From the request's loop. */
	struct span presented; /* the approval that the request names, or empty */
	struct span params;    /* canonical, numbers typed */
	struct span rule_ids;  /* canonical array */
	bool has_hidden;
	enum reason
		obstacle; /* why an ALLOW would come to nothing; REASON_ALLOW_BY_RULE: nothing */
	char fresh_id[APPROVAL_ID_BYTES + 1];
	/* From the ledger's thread. */
	char id[APPROVAL_ID_BYTES + 1]; /* the one that is used or asked for; empty: none */
	enum approval_status status;
	enum approval_state state;
	int64_t expires_wall_ns;
	bool is_used;
	bool has_news;
	char ended_id[APPROVAL_ID_BYTES +
		      1]; /* of an older policy, ended by this request; empty: none */
};

struct req {
	unsigned magic;
	struct req *next_free;
	struct pipeline *pipeline;
	struct req_pool *pool;
	struct snapshot *snapshot;
	struct loop *loop;
	struct arena *arena;
	size_t arena_bytes_max;
	struct arena
		*spare; /* for a record when the arena is full or the plane's; NULL until needed */
	req_done_fn done;
	void *arg;
	const struct req_input *input;
	enum req_step step;
	bool is_answered;   /* done was called */
	bool is_given_back; /* req_free was called */
	bool is_at_ledger;  /* counted by the pool as n_at_ledger */
	bool has_entry;     /* the ledger has the entry */
	int64_t started_ns;
	int64_t step_ns; /* when the step began */

	struct caller caller; /* what the identity's principal lives in */
	struct identity identity;
	const char *refused_why; /* static, for the log alone; NULL: nothing to add */
	struct span identity_key;
	bool has_slot;
	bool has_place; /* reserved in the pool for the effect */
	enum breaker_pass breaker_pass;
	enum breaker_outcome breaker_outcome;

	struct action *action;
	struct decision decision;
	const struct executor *executor; /* NULL: nothing to carry out */
	struct rate_refusal rate_refusal;
	struct report_work *report;    /* REQ_OP_REPORT, from its step on */
	struct req_key *key;           /* NULL: no Idempotency-Key */
	struct span normalize_problem; /* the resource has no normal form */

	struct ledger_entry entry;
	struct record_text record;
	enum ledger_state record_state;
	uint64_t intent_seq;
	struct action_id_key id_key;
	struct action_id_mark id_mark; /* of the use that this request put */

	struct workq_item item;
	struct exec_job job;

	struct req_approval approval;
	struct req_result result;
};

/* Frees the requests of the list. */
void req_pool_clear(struct req_pool *pool);

/* An arena for what does not depend on the request's own one; NULL when memory is out. The thread that has the request. */
struct arena *req_need_spare(struct req *r);
/* Goes on from a wait; own loop. The step must be one that the current one allows. */
void req_resume(struct req *r, enum req_step next);
/* The request waits for the ledger: so many at once are enough for a loop. leave: does not wait any more. */
void req_enter_ledger(struct req *r);
void req_leave_ledger(struct req *r);
/* Ends the request with an error: sets the result, returns STEP_RESPOND. message is static or of the arena. */
enum req_step req_fail(struct req *r, enum req_error error, struct span message);
/* The ledger gave the entry back after the answer; frees what the plane has given back already. */
void req_entry_returned(struct req *r);

/* The steps, one function each, on the request's loop: the next step, or STEP_WAIT. */
enum req_step step_authenticate(struct req *r);
enum req_step step_admit(struct req *r);
enum req_step step_parse(struct req *r);
enum req_step step_normalize(struct req *r);
enum req_step step_limit(struct req *r);
enum req_step step_decide(struct req *r);
enum req_step step_commit(struct req *r);
enum req_step step_effect(struct req *r);
enum req_step step_settle(struct req *r);
enum req_step step_report(struct req *r);

/* req_trace.c, only for a request that is traced: the step that ends now; what there is to tell, before the answer. */
void req_trace_step(struct req *r, enum req_step next, int64_t now_ns);
void req_trace_answer(struct req *r);
/* Only with telemetry: what became of an action; what the rate rules said (rc). */
void req_count_action(const struct req *r);
void req_count_limit(const struct req *r, enum err rc);

/* The stronger of what the policy asks for and the configured profile. */
enum sandbox_mode req_sandbox_mode(const struct req *r);

/* REQ_OP_EXPLAIN: the whole answer, or an error. */
enum req_step explain(struct req *r);

#endif
