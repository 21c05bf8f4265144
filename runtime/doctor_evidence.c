/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator asserts (runtime.evidence), held against what this process can measure. Something asserted that is measured
 * otherwise fails, as does something measured that nobody asserts; what cannot be measured is said to be only asserted. One thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include "audit/sink_report.h"
#include "audit/source.h"
#include "base/clock.h"
#include "base/jose.h"
#include "doctor_checks.h"
#include "net/tls.h"
#include "pipeline/key_ring.h"
#include "pipeline/options.h"
#include "runtime/options.h"

/* What a measurement came to, and in which words. */
struct measurement {
	enum measured is_so;
	char text[600];
};

static struct measurement say(enum measured is_so, const char *fmt, ...) PRINTF_LIKE(2, 3);

static struct measurement
say(enum measured is_so, const char *fmt, ...)
{
	struct measurement m = {.is_so = is_so};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m.text, sizeof(m.text), fmt, ap);
	va_end(ap);
	return m;
}

static enum finding
judge(struct doctor *d, bool is_asserted, const struct measurement *m)
{
	switch (m->is_so) {
	case MEASURED_YES:
		return is_asserted ? doctor_say(d, FINDING_PASS, "measured: %s", m->text)
				   : doctor_say(d, FINDING_FAIL, "measured, but not asserted: %s",
					     m->text);
	case MEASURED_NO:
		return doctor_say(d, FINDING_FAIL, "%s: %s",
			is_asserted ? "asserted, but measured otherwise" : "measured otherwise",
			m->text);
	case MEASURED_NOT:
		break;
	}
	return is_asserted
		       ? doctor_say(d, FINDING_PASS, "asserted, cannot be measured: %s", m->text)
		       : doctor_say(
				 d, FINDING_FAIL, "not asserted, cannot be measured: %s", m->text);
}

static const struct runtime_evidence_section *
evidence(const struct doctor *d)
{
	return &d->in->pipeline->runtime.evidence;
}

enum finding
check_evidence_no_new_privileges(struct doctor *d)
{
	enum measured is_set = d->host.no_new_privileges;
	struct measurement m =
		is_set == MEASURED_NOT
			? say(is_set, "/proc/self/status does not tell")
			: say(is_set, "no_new_privs is %s", is_set == MEASURED_YES ? "on" : "off");

	return judge(d, evidence(d)->no_new_privileges, &m);
}

enum finding
check_evidence_read_only(struct doctor *d)
{
	enum measured is_so = d->host.has_read_only_root;
	struct measurement m =
		is_so == MEASURED_NOT
			? say(is_so, "/proc/self/mountinfo does not tell")
			: say(is_so, "/ is mounted %s",
				  is_so == MEASURED_YES ? "read-only" : "to be written");

	return judge(d, evidence(d)->read_only_fs, &m);
}

static struct measurement
measure_rootless(const struct measured_host *h)
{
	uint64_t beyond = h->capabilities & ~MEASURE_CAP_NET_BIND;

	if (!h->has_status && h->uid != 0)
		return say(MEASURED_NOT, "/proc/self/status does not tell of capabilities");
	if (h->has_user_namespace && h->outside_uid != 0)
		return say(MEASURED_YES,
			"user %" PRIu64 " of a user namespace, %" PRIu64 " outside of it", h->uid,
			h->outside_uid);
	if (h->uid == 0)
		return say(MEASURED_NO, "it runs as root");
	if (beyond != 0)
		return say(
			MEASURED_NO, "user %" PRIu64 " with capabilities %" PRIx64, h->uid, beyond);
	return say(MEASURED_YES, "user %" PRIu64 " without capabilities (bounding set %" PRIx64 ")",
		h->uid, h->bounding);
}

enum finding
check_evidence_rootless(struct doctor *d)
{
	struct measurement m = measure_rootless(&d->host);

	return judge(d, evidence(d)->rootless_or_non_privileged, &m);
}

enum finding
check_evidence_container(struct doctor *d)
{
	enum measured is_so = d->host.has_own_processes;
	struct measurement m =
		is_so == MEASURED_NOT ? say(is_so, "/proc/self/ns does not tell")
		: is_so == MEASURED_NO
			? say(is_so, "this process shares the processes of its host")
			: say(is_so, "this process has a process namespace of its own");

	return judge(d, evidence(d)->container_backend_ready, &m);
}

enum finding
check_evidence_network(struct doctor *d)
{
	const struct measured_host *h = &d->host;
	struct measurement m =
		h->is_closed == MEASURED_YES ? say(MEASURED_YES, "no route leaves this host")
		: h->way_out[0] != '\0'      ? say(MEASURED_NOT,
						       "%s by %s; whether something closes it is not "
							    "seen without sending",
                                                  h->has_default_route ? "there is a default route"
									    : "networks are reached",
						       h->way_out)
					     : say(MEASURED_NOT, "the routes are not all seen");

	return judge(d, evidence(d)->network_default_deny, &m);
}

/* The keys of tokens: there, or not, or somewhere else. */
static struct measurement
measure_tokens(const struct doctor *d)
{
	const struct oidc_section *o = &d->in->pipeline->identity.oidc;
	const struct key_source_options options = key_source_options_of(o);
	struct jose_keys *keys = NULL;
	struct errinfo ei;
	enum err rc = OK;

	if (o->public_key_path.n > 0)
		rc = doctor_load_keys(o->public_key_path, &keys, &ei);
	else if (!d->in->is_deep || d->in->is_running)
		return say(MEASURED_NOT, "the issuer is asked for its keys by doctor --deep alone");
	else
		rc = key_source_try(&options, &keys, &ei);
	if (rc != OK)
		return say(MEASURED_NO, "%s", ei.msg);
	struct measurement m =
		say(MEASURED_YES, "%zu keys of the token issuer", jose_keys_count(keys));
	jose_keys_unref(&keys);
	return m;
}

static struct measurement
measure_identity(const struct doctor *d)
{
	const struct identity_section *o = &d->in->pipeline->identity;
	struct tls_context *context = NULL;
	struct errinfo ei;

	if (!o->oidc.enabled && !o->spiffe.enabled)
		return say(MEASURED_NO, "neither tokens nor SPIFFE IDs name anybody");
	if (o->api_keys.n + o->hashed_keys.n > 0)
		return say(MEASURED_NO, "API keys name principals too");
	if (o->spiffe.enabled && gateway_section_try_tls(d->in->gateway, &context, &ei) != OK)
		return say(MEASURED_NO, "%s", ei.msg);
	if (o->spiffe.enabled && context == NULL)
		return say(MEASURED_NO,
			"no listener asks for the certificates that SPIFFE IDs are in");
	tls_context_unref(&context);
	if (o->oidc.enabled)
		return measure_tokens(d);
	return say(MEASURED_YES, "the bundle of the trust domain loads");
}

enum finding
check_evidence_identity(struct doctor *d)
{
	struct measurement m = measure_identity(d);

	return judge(d, evidence(d)->workload_identity_verified, &m);
}

/* A receiver on another host has a record before the answer goes out. */
static bool
waits_for_webhook(const struct audit_plan *plan)
{
	size_t n = 0;
	size_t n_required = 0;

	for (size_t i = 0; i < plan->n_sinks; i++) {
		if (plan->sinks[i].kind != AUDIT_SINK_WEBHOOK)
			continue;
		n++;
		n_required += plan->sinks[i].is_required ? 1 : 0;
	}
	switch (plan->required) {
	case LEDGER_REQUIRED_LEDGER:
		return false;
	case LEDGER_REQUIRED_ANY:
		return n > 0 && n == plan->n_sinks;
	case LEDGER_REQUIRED_ALL:
		return n > 0;
	case LEDGER_REQUIRED_NAMED:
		return n_required > 0;
	}
	return false;
}

static bool
keep_worst(const struct sink_report *r, void *arg)
{
	struct measurement *m = arg;

	if (!r->is_required || !span_starts(span_cstr(r->name), SPAN_LIT("webhook")))
		return true;
	*m = r->error[0] != '\0'
		     ? say(MEASURED_NO, "%s fails since %s: %s", r->name, r->since, r->error)
		     : say(MEASURED_YES, "%s acknowledged record %" PRIu64 ", %" PRIu64 " behind",
			       r->name, r->taken, r->n_behind);
	return m->is_so != MEASURED_NO;
}

/* What the required receivers acknowledged last, as the ledger tells; m stays when there is none. */
static void
measure_deliveries(const struct doctor *d, struct measurement *m)
{
	struct source *source = NULL;
	struct errinfo ei;

	if (d->in->is_running || !doctor_has_ledger(d))
		return;
	enum err rc = source_open(d->in->ledger->path.p, SOURCE_SHARED, &source, &ei);
	if (rc == OK)
		rc = sink_report_each(source, clock_wall_ns(), keep_worst, m, &ei);
	source_free(&source);
	if (rc != OK)
		*m = say(MEASURED_NO, "%s", ei.msg);
}

static struct measurement
measure_audit(const struct doctor *d)
{
	bool is_stateless = d->in->pipeline->runtime.stateless_mode;
	enum doctor_disk disk = DOCTOR_DISK_LOCAL;
	const char *name = NULL;
	struct audit_plan plan;
	struct errinfo ei;

	if (audit_plan_parse(d->in->ledger, d->in->audit, is_stateless, &plan, &ei) != OK)
		return say(MEASURED_NO, "%s", ei.msg);
	if (is_stateless && !waits_for_webhook(&plan))
		return say(MEASURED_NO, "an answer may go out before another host has its record: "
					"name webhook in audit.required");
	if (is_stateless)
		return say(MEASURED_NOT, "whether the receiver keeps what it took");
	if (!doctor_find_disk(d, &disk, &name))
		return say(MEASURED_NO, "the folder of the ledger cannot be looked at");
	if (disk != DOCTOR_DISK_LOCAL)
		return say(MEASURED_NO, "the ledger lies on %s", name);
	struct measurement m =
		say(MEASURED_YES, "a ledger on a local disk, synced before each answer");
	measure_deliveries(d, &m);
	return m;
}

enum finding
check_evidence_audit(struct doctor *d)
{
	struct measurement m = measure_audit(d);

	return judge(d, evidence(d)->durable_audit_verified, &m);
}
