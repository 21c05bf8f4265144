/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Checks of what leaves the process: whether the sinks can take records, and whether a trail without a ledger can be verified by anybody later. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/sink_report.h"
#include "audit/source.h"
#include "base/clock.h"
#include "doctor_checks.h"
#include "pipeline/key_ring.h"
#include "pipeline/options.h"
#include "runtime/options.h"

#define PATH_BYTES 4200

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

/* Whether records can be appended: to the file, or to a new one in its folder. */
static bool
can_append(const char *path, char *out, size_t size)
{
	struct stat st;

	snprintf(out, size, "%s", path);
	if (stat(path, &st) == 0)
		return S_ISREG(st.st_mode) && access(path, W_OK) == 0;
	char *slash = strrchr(out, '/');
	if (slash == NULL)
		snprintf(out, size, ".");
	else
		slash[slash == out ? 1 : 0] = '\0';
	return access(out, W_OK | X_OK) == 0;
}

static enum finding
judge_file(struct doctor *d, struct span path)
{
	char where[PATH_BYTES];

	if (can_append(path.p, where, sizeof(where)))
		return FINDING_PASS;
	return doctor_say(d, FINDING_FAIL, "%s cannot be written", where);
}

/* Its URL may hold a token, so none is named. */
static enum finding
judge_webhook(struct doctor *d, struct span url)
{
	if (!key_source_is_safe_url(url))
		return doctor_say(d, FINDING_ADVICE,
			"a webhook of audit.sink is http: records cross the network in clear");
	if (d->in->audit->webhook.secret.n == 0)
		return doctor_say(d, FINDING_ADVICE,
			"audit.webhook.secret is not set: a receiver cannot tell who sends");
	return FINDING_PASS;
}

static enum finding
judge_sink(struct doctor *d, const struct audit_plan *plan, size_t i)
{
	switch (plan->sinks[i].kind) {
	case AUDIT_SINK_FILE:
		return judge_file(d, plan->sinks[i].url);
	case AUDIT_SINK_WEBHOOK:
		return judge_webhook(d, plan->sinks[i].url);
	case AUDIT_SINK_STDOUT:
	case AUDIT_SINK_STDERR:
		return FINDING_PASS;
	}
	return FINDING_FAIL;
}

static bool
find_trouble(const struct sink_report *r, void *arg)
{
	struct doctor *d = arg;

	if (r->error[0] != '\0')
		(void)doctor_say(
			d, FINDING_ADVICE, "%s fails since %s: %s", r->name, r->since, r->error);
	else if (r->n_dead > 0)
		(void)doctor_say(d, FINDING_ADVICE, "%s refused %" PRIu64 " records for good",
			r->name, r->n_dead);
	return d->detail.n == 0;
}

/* What the sinks came to so far, as the ledger tells; one that cannot be read is ledger.chain's matter. */
static enum finding
judge_deliveries(struct doctor *d)
{
	struct source *source = NULL;

	if (!d->in->is_deep || d->in->is_running || !doctor_has_ledger(d))
		return FINDING_PASS;
	enum err rc = source_open(d->in->ledger->path.p, SOURCE_SHARED, &source, NULL);
	if (rc == OK)
		rc = sink_report_each(source, clock_wall_ns(), find_trouble, d, NULL);
	source_free(&source);
	return rc == OK && d->detail.n > 0 ? FINDING_ADVICE : FINDING_PASS;
}

enum finding
check_sinks(struct doctor *d)
{
	struct audit_plan plan;
	struct errinfo ei;
	enum finding worst = FINDING_PASS;

	if (audit_plan_parse(d->in->ledger, d->in->audit, d->in->pipeline->runtime.stateless_mode,
		    &plan, &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	for (size_t i = 0; i < plan.n_sinks && worst != FINDING_FAIL; i++) {
		enum finding finding = judge_sink(d, &plan, i);
		worst = finding != FINDING_PASS ? finding : worst;
	}
	if (worst == FINDING_PASS)
		worst = judge_deliveries(d);
	return worst == FINDING_PASS ? doctor_say(d, worst, "%zu beside the ledger", plan.n_sinks)
				     : worst;
}
