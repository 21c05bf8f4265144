/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the main thread does once a second: approvals that have run out end, keys that have expired go. Each chore is cheap while nothing is due. */
#include "base/clock.h"
#include "base/loop.h"
#include "base/must.h"
#include "pipeline/approvals.h"
#include "pipeline/pipeline.h"
#include "runtime.h"

#define CHORES_NS NS_PER_SEC

static void
on_timer(void *arg)
{
	struct runtime *r;

	OBJ_CAST(r, arg, RUNTIME_MAGIC);
	approvals_sweep(r->pipeline, r->snapshot, r->loop);
	pipeline_upkeep(r->pipeline, r->snapshot, r->loop);
	loop_timer_arm(r->chores_timer, CHORES_NS);
}

enum err
chores_init(struct runtime *r, struct errinfo *ei)
{
	r->chores_timer = loop_timer_new(r->loop, on_timer, r);
	if (r->chores_timer == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	return OK;
}

void
chores_start(struct runtime *r)
{
	loop_timer_arm(r->chores_timer, 0);
}

void
chores_fini(struct runtime *r)
{
	loop_timer_free(&r->chores_timer);
}
