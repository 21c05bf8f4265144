/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out what was decided and recorded, on the pool. It is only reached from a commit that is durable; it never runs
 * twice. The executor has the request's arena until it comes back to the loop.
 */
#include "base/fault.h"
#include "base/log.h"
#include "base/must.h"
#include "base/workq.h"
#include "req_state.h"

static void
carry_out(struct workq_item *item)
{
	struct req *r = CONTAINER_OF(item, struct req, item);

	(void)FAULT_BEFORE(EFFECT);
	r->executor->run(&r->job);
	(void)FAULT_AFTER(EFFECT);
}

static void
carried_out(struct workq_item *item)
{
	struct req *r = CONTAINER_OF(item, struct req, item);
	struct log_subject about = {
		.request_id = r->input->request_id,
		.principal = r->identity.principal,
		.trace_id = r->action->trace_id,
		.step = "effect",
	};

	if (r->job.status == EXEC_FAULT || r->job.status == EXEC_UNCERTAIN)
		log_error(&about, "%.*s: %s", SPAN_ARG(r->action->action_type), r->job.ei.msg);
	req_resume(r, STEP_SETTLE);
}

enum req_step
step_effect(struct req *r)
{
	MUST(r->intent_seq > 0 && r->entry.result == OK && r->result.verdict == VERDICT_ALLOW);
	r->job = (struct exec_job){
		.settings = &r->snapshot->exec,
		.action = r->action,
		.obligations = &r->decision.obligations,
		.arena = r->arena,
		.status = EXEC_NOT_RUN,
	};
	r->item = (struct workq_item){.loop = r->loop, .process = carry_out, .done = carried_out};
	if (r->has_place) {
		r->has_place = false;
		workq_submit_reserved(r->pipeline->pool, &r->item);
		return STEP_WAIT;
	}
	MUST(!r->approval.is_used);
	if (workq_submit(r->pipeline->pool, &r->item) != OK)
		return STEP_SETTLE;
	return STEP_WAIT;
}
