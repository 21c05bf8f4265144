/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Checks of what leaves the process: whether a trail without a ledger can be verified by anybody later. */
#include "doctor_checks.h"
#include "pipeline/options.h"
#include "runtime/options.h"

static bool
has_webhook(const struct audit_plan *plan)
{
	for (size_t i = 0; i < plan->n_sinks; i++) {
		if (plan->sinks[i].kind == AUDIT_SINK_WEBHOOK)
			return true;
	}
	return false;
}

enum finding
check_stateless(struct doctor *d)
{
	struct audit_plan plan;
	struct errinfo ei;

	if (!d->in->pipeline->runtime.stateless_mode)
		return doctor_say(d, FINDING_PASS, "there is a ledger");
	if (audit_plan_parse(d->in->ledger, d->in->audit, true, &plan, &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	if (plan.key_path.n == 0)
		return doctor_say(d, FINDING_ADVICE,
			"without audit.checkpoint_key_path each start signs with a key that nobody "
			"can check later");
	if (!has_webhook(&plan))
		return doctor_say(d, FINDING_ADVICE,
			"the trail goes to stdout or stderr alone: whether it leaves this host is "
			"up "
			"to who reads it");
	return FINDING_PASS;
}
