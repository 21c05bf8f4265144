/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/ui/readiness (nomos-http.md 7): what /readyz measures, and doctor's checks with their remedies, as they are for the files
 * that lie there now. Worker's thread up to ui_job_start, a reader's in what it runs.
 */
#include <string.h>

#include "base/arena.h"
#include "base/version.h"
#include "pipeline/snapshot.h"
#include "policy/policy.h"
#include "runtime/doctor.h"
#include "ui_job.h"

/* In the order of runtime_check_ready. */
static const char *const live_ids[READINESS_CHECKS] = {
	"live.policy", "live.ledger", "live.serving"};

struct live {
	struct readiness_check checks[READINESS_CHECKS];
	bool is_ready;
	bool sees_paths; /* of the host: operators */
	struct span principal;
};

static bool
begins_path(const char *text, size_t i)
{
	static const char before[] = " \t\n\"'`(=,";

	if (text[i] != '/' || i == 0)
		return text[i] == '/';
	/* unix:/run, and no URL. */
	return strchr(before, text[i - 1]) != NULL || (text[i - 1] == ':' && text[i + 1] != '/');
}

/* Where the host keeps its files is the operators' business. */
static void
add_text(const struct live *live, const char *text, struct buf *out)
{
	struct buf shown;

	buf_init(&shown, BUF_CAP_RECORD);
	for (size_t i = 0; text[i] != '\0';) {
		if (live->sees_paths || !begins_path(text, i)) {
			buf_add_char(&shown, text[i++]);
			continue;
		}
		BUF_ADD_LIT(&shown, "[path]");
		/* It may have blanks in it. */
		i += strcspn(text + i, "\n\"'`),:;");
	}
	json_quote(out, buf_failed(&shown) ? SPAN_LIT("[path]") : buf_span(&shown));
	buf_fini(&shown);
}

static void
add_check(const struct live *live, struct buf *b, const char *id, const char *status,
	const char *message, const char *hint)
{
	BUF_ADD_LIT(b, "{\"id\":");
	json_quote(b, span_cstr(id));
	buf_printf(b, ",\"status\":\"%s\",\"message\":", status);
	add_text(live, message, b);
	BUF_ADD_LIT(b, ",\"hint\":");
	if (hint != NULL)
		add_text(live, hint, b);
	else
		BUF_ADD_LIT(b, "null");
	buf_add_char(b, '}');
}

static void
add_report(const struct doctor_report *r, void *arg)
{
	struct ui_job *job = arg;
	const struct live *live = job->input;
	struct buf *b = &job->body;
	bool is_ready = r->is_ready && live->is_ready;

	buf_printf(b, "{\"overall_status\":\"%s\",\"checks\":[", is_ready ? "READY" : "NOT_READY");
	for (size_t i = 0; i < READINESS_CHECKS; i++) {
		const struct readiness_check *c = &live->checks[i];
		buf_add_cstr(b, i > 0 ? ",\n" : "\n");
		add_check(live, b, live_ids[i], c->is_ok ? "PASS" : "FAIL", c->message, NULL);
	}
	for (size_t i = 0; i < r->n_checks; i++) {
		const struct doctor_check *c = &r->checks[i];
		BUF_ADD_LIT(b, ",\n");
		add_check(live, b, c->id, !c->is_ok ? "FAIL" : (c->is_advice ? "WARN" : "PASS"),
			c->message, c->hint);
	}
	BUF_ADD_LIT(b, "],\"policy_bundle_hash\":");
	json_quote(b, span_cstr(policy_get_hash(snapshot_get_policy(job->snapshot))));
	BUF_ADD_LIT(b, ",\"policy_bundle_hash_on_disk\":");
	json_quote(b, span_cstr(r->policy_hash));
	buf_printf(b, ",\"assurance_level\":\"%s\",\"engine_version\":",
		snapshot_get_assurance(job->snapshot));
	json_quote(b, span_cstr(version_get()->version));
	buf_printf(b,
		",\"deployment_mode\":\"%s\",\"approvals_enabled\":%s,\"operator_principal\":",
		snapshot_get_deployment_mode(job->snapshot),
		snapshot_has_approvals(job->snapshot) ? "true" : "false");
	json_quote(b, live->principal);
	BUF_ADD_LIT(b, "}\n");
}

static void
examine(struct ui_job *job)
{
	struct runtime *r = worker_get_runtime(job->worker);
	struct errinfo ei;
	enum err rc = runtime_examine(r, add_report, job, &ei);

	if (rc == ERR_UNSUPPORTED)
		ui_job_fail(job, 404, "not_enabled", ei.msg);
	else if (rc != OK)
		ui_job_fail(job, 503, "overloaded", ei.msg);
}

void
api_ui_readiness(const struct exchange *x)
{
	struct ui_job *job = ui_job_new_without_ledger(x, examine);

	if (job == NULL)
		return;
	struct live *live = ARENA_NEW(job->arena, struct live);
	if (live != NULL) {
		live->is_ready = runtime_check_ready(x->worker, live->checks);
		live->sees_paths = caller_has_role(&x->caller, ROLE_OPERATOR);
		live->principal = arena_dup(job->arena, x->caller.principal);
	}
	job->input = live;
	ui_job_start(job);
}
