/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the requests of all loops share and no reload replaces. Made before the loops run, freed after the last request; in
 * between its members are sharded or atomic.
 */
#include "pipeline/pipeline.h"

#include "base/mem.h"
#include "base/must.h"
#include "limit/bucket_table.h"
#include "limit/failure_limit.h"
#include "pipeline/board.h"
#include "pipeline/session.h"
#include "req_state.h"
#include "upkeep.h"

enum { LOOPS_MAX = 1024 };

enum err
pipeline_new(struct ledger *ledger, struct workq *pool, size_t n_loops, struct pipeline **out,
	struct errinfo *ei)
{
	struct pipeline *p;

	*out = NULL;
	MUST(n_loops > 0 && n_loops <= LOOPS_MAX);
	p = mem_zalloc(1, sizeof(*p) + n_loops * sizeof(p->pools[0]));
	if (p == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	p->magic = PIPELINE_MAGIC;
	p->ledger = ledger;
	p->pool = pool;
	p->n_pools = n_loops;
	p->coarse_buckets = bucket_table_new();
	p->rule_buckets = bucket_table_new();
	p->breakers = breakers_new();
	p->sessions = session_table_new();
	p->nonces = nonce_table_new();
	p->failures = failure_limit_new();
	if (p->coarse_buckets == NULL || p->rule_buckets == NULL || p->breakers == NULL ||
		p->sessions == NULL || p->nonces == NULL || p->failures == NULL ||
		board_new(&p->board, ei) != OK || approval_desk_init(&p->desk, ei) != OK) {
		pipeline_free(&p);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	*out = p;
	return OK;
}

void
pipeline_free(struct pipeline **p)
{
	struct pipeline *old = *p;

	if (old == NULL)
		return;
	OBJ_CHECK(old, PIPELINE_MAGIC);
	*p = NULL;
	MUST(slots_count(&old->slots) == 0);
	for (size_t i = 0; i < old->n_pools; i++)
		req_pool_clear(&old->pools[i]);
	bucket_table_free(&old->coarse_buckets);
	bucket_table_free(&old->rule_buckets);
	breakers_free(&old->breakers);
	MUST(!old->is_filling);
	upkeep_free(&old->upkeep);
	action_ids_free(&old->action_ids);
	board_free(&old->board);
	session_table_free(&old->sessions);
	nonce_table_free(&old->nonces);
	failure_limit_free(&old->failures);
	approval_desk_fini(&old->desk);
	old->magic = 0;
	mem_free(old);
}

void
pipeline_set_telemetry(struct pipeline *p, struct telemetry *telemetry)
{
	p->telemetry = telemetry;
}

int64_t
pipeline_get_queue_wait(const struct pipeline *p)
{
	return ledger_get_queue_wait(p->ledger);
}

uint32_t
pipeline_note_failed_auth(struct pipeline *p, const struct snapshot *s, struct span client_address)
{
	int64_t per_minute = s->gateway.failed_auth_per_minute;

	return per_minute > 0 ? failure_limit_note(p->failures, per_minute, client_address) : 0;
}

size_t
pipeline_count_in_flight(const struct pipeline *p)
{
	return slots_count(&p->slots);
}

struct board *
pipeline_get_board(const struct pipeline *p)
{
	return p->board;
}

struct session_table *
pipeline_get_sessions(const struct pipeline *p)
{
	return p->sessions;
}
