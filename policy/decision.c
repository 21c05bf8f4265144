/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Names of verdicts and reasons as they go on the wire. Pure; any thread. */
#include "policy/decision.h"

#include "base/must.h"

const char *
verdict_name(enum verdict v)
{
	static const char *const names[VERDICT__MAX] = {
		[VERDICT_DENY] = "DENY",
		[VERDICT_REQUIRE_APPROVAL] = "REQUIRE_APPROVAL",
		[VERDICT_ALLOW] = "ALLOW",
	};
	MUST((unsigned)v < VERDICT__MAX);
	return names[v];
}

const char *
reason_name(enum reason r)
{
	static const char *const names[REASON__MAX] = {
#define X(id, text) [id] = text,
#include "policy/reason_tbl.h"
#undef X
	};
	MUST((unsigned)r < REASON__MAX);
	return names[r];
}

void
decision_deny(struct decision *d, enum reason r)
{
	d->verdict = VERDICT_DENY;
	d->reason = r;
	d->obligations = (struct obligations){.canonical = SPAN_LIT("{}")};
}
