/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks behind runtime.strong_guarantee. What this process can see of the host is measured as
 * well as asserted; what it cannot see is said to be asserted. One thread.
 */
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fdio.h"
#include "doctor_checks.h"
#include "pipeline/options.h"
#include "runtime/options.h"

#define STATUS_BYTES_MAX 65536

static enum finding
pass_if(bool is_ok)
{
	return is_ok ? FINDING_PASS : FINDING_FAIL;
}

static enum finding
judge_asserted(struct doctor *d, bool is_asserted)
{
	if (!is_asserted)
		return doctor_say(d, FINDING_FAIL, "not asserted");
	return doctor_say(d, FINDING_PASS, "asserted, not measured");
}

static enum finding
judge_measured(struct doctor *d, bool is_asserted, bool is_measured)
{
	if (!is_measured)
		return doctor_say(d, FINDING_FAIL,
			is_asserted ? "asserted, but measured otherwise" : "measured otherwise");
	return is_asserted ? doctor_say(d, FINDING_PASS, "measured")
			   : doctor_say(d, FINDING_FAIL, "measured, but not asserted");
}

static const struct runtime_evidence_section *
evidence(const struct doctor *d)
{
	return &d->in->pipeline->runtime.evidence;
}

static bool
is_controlled(const struct doctor *d)
{
	enum deployment_mode mode = d->in->pipeline->runtime.deployment_mode;

	return mode == DEPLOYMENT_CI || mode == DEPLOYMENT_K8S;
}

static bool
has_no_new_privileges(void)
{
	static const char mark[] = "\nNoNewPrivs:\t1\n";
	struct buf text;
	bool is_set = false;

	buf_init(&text, STATUS_BYTES_MAX);
	/* A file of /proc has no size, but is regular. */
	if (fdio_read_file("/proc/self/status", STATUS_BYTES_MAX - 1, &text, NULL) == OK)
		is_set = strstr(text.p, mark) != NULL;
	buf_fini(&text);
	return is_set;
}

enum finding
check_evidence_no_new_privileges(struct doctor *d)
{
	return judge_measured(d, evidence(d)->no_new_privileges, has_no_new_privileges());
}

enum finding
check_evidence_read_only(struct doctor *d)
{
	struct statvfs st;
	bool is_read_only = statvfs("/", &st) == 0 && (st.f_flag & ST_RDONLY) != 0;

	return judge_measured(d, evidence(d)->read_only_fs, is_read_only);
}

enum finding
check_evidence_rootless(struct doctor *d)
{
	return judge_measured(d, evidence(d)->rootless_or_non_privileged, geteuid() != 0);
}

enum finding
check_evidence_container(struct doctor *d)
{
	return judge_asserted(d, evidence(d)->container_backend_ready);
}

enum finding
check_evidence_network(struct doctor *d)
{
	return judge_asserted(d, evidence(d)->network_default_deny);
}

enum finding
check_evidence_identity(struct doctor *d)
{
	return judge_asserted(d, evidence(d)->workload_identity_verified);
}

enum finding
check_evidence_audit(struct doctor *d)
{
	return judge_asserted(d, evidence(d)->durable_audit_verified);
}

enum finding
check_strong_sandbox(struct doctor *d)
{
	const struct executor_section *o = &d->in->pipeline->executor;

	return pass_if(o->sandbox_enabled && o->sandbox_profile == PROFILE_CONTAINER);
}

enum finding
check_strong_mode(struct doctor *d)
{
	return pass_if(is_controlled(d));
}

enum finding
check_strong_mtls(struct doctor *d)
{
	return doctor_say(d, FINDING_FAIL, "the listener is plain");
}

enum finding
check_strong_identity(struct doctor *d)
{
	const struct identity_section *o = &d->in->pipeline->identity;

	return pass_if(o->oidc.enabled || o->spiffe.enabled);
}

enum finding
check_strong_keys(struct doctor *d)
{
	const struct identity_section *o = &d->in->pipeline->identity;

	return pass_if(o->api_keys.n + o->hashed_keys.n == 0);
}

enum finding
check_strong_audit(struct doctor *d)
{
	struct audit_plan plan;
	struct errinfo ei;
	bool is_stateless = d->in->pipeline->runtime.stateless_mode;

	if (audit_plan_parse(d->in->ledger, d->in->audit, is_stateless, &plan, &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	bool is_durable = !is_stateless;
	for (size_t i = 0; i < plan.n_sinks; i++)
		is_durable = is_durable || plan.sinks[i].kind == AUDIT_SINK_WEBHOOK;
	return pass_if(is_durable);
}

enum finding
check_strong_environment(struct doctor *d)
{
	struct span e = d->in->pipeline->identity.environment;

	return pass_if(span_eq_nocase(e, SPAN_LIT("ci")) ||
		       span_eq_nocase(e, SPAN_LIT("staging")) ||
		       span_eq_nocase(e, SPAN_LIT("prod")));
}

enum finding
check_strong_assurance(struct doctor *d)
{
	const char *level = assurance_level(d->in->pipeline);

	return doctor_say(d, pass_if(strcmp(level, "STRONG") == 0), "the level is %s", level);
}
