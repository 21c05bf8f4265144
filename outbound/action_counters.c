/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The families and what of an action adds to which; result_class.h says which results are more than decisions. */
#include "action_counters.h"

#include "base/span.h"
#include "outbound/telemetry.h"
#include "result_class.h"
#include "series.h"

enum family { DECISIONS = 0, APPROVALS, FAILURES, RETRIES, RATE_LIMITS, FAMILY__MAX };

static const struct {
	const char *name;
	const char *help;
} families[FAMILY__MAX] = {
	[DECISIONS] = {"nomos.decisions", "actions by decision and result"},
	[APPROVALS] = {"nomos.approvals", "actions that wait for a person"},
	[FAILURES] = {"nomos.failures", "actions that ended in a fault"},
	[RETRIES] = {"nomos.retries", "actions that may be tried again"},
	[RATE_LIMITS] = {"nomos.rate_limits", "actions by what the rate limits said"},
};

bool
action_counters_init(struct action_counters *c)
{
	c->own = series_new();
	c->limits = series_new();
	return c->own != NULL && c->limits != NULL;
}

void
action_counters_fini(struct action_counters *c)
{
	series_free(&c->own);
	series_free(&c->limits);
}

static void
add_own(struct action_counters *c, enum family f, const struct metric_label *labels, size_t n)
{
	series_add(c->own, SPAN_NONE, NULL, families[f].name, labels, n);
}

void
action_counters_add(struct action_counters *c, const char *decision, const char *result)
{
	struct span r = span_cstr(result);
	const struct metric_label labels[] = {{"result", r}, {"decision", span_cstr(decision)}};

	add_own(c, DECISIONS, labels, decision != NULL ? 2 : 1);
	if (result_is_approval(r))
		add_own(c, APPROVALS, labels, 1);
	if (result_is_failure(r))
		add_own(c, FAILURES, labels, 1);
	if (result_is_retried(r))
		add_own(c, RETRIES, labels, 1);
}

void
action_counters_add_limit(struct action_counters *c, const struct redactor *redactor,
	const struct telemetry_limit *limit)
{
	const struct metric_label labels[] = {
		{"result", span_cstr(limit->result)},
		{"action_type", limit->action_type},
		{"principal", limit->principal},
		{"rule_id", limit->rule_id},
		{"scope", span_cstr(limit->scope)},
	};

	series_add(c->limits, limit->principal, redactor, families[RATE_LIMITS].name, labels,
		limit->scope != NULL ? 5 : 3);
}

void
action_counters_write(struct action_counters *c, struct metric_writer *w)
{
	for (size_t f = 0; f < FAMILY__MAX; f++)
		series_write(f == RATE_LIMITS ? c->limits : c->own, families[f].name,
			families[f].help, w);
}
