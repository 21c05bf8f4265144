/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks behind runtime.strong_guarantee that the configuration decides, and those of what lies around this process. What the
 * operator asserts besides is doctor_evidence.c's matter. One thread.
 */
#include <string.h>

#include "doctor_checks.h"
#include "net/tls.h"
#include "pipeline/options.h"
#include "runtime/listener_options.h"
#include "runtime/options.h"

static const char *
root_of(const struct doctor *d)
{
	return d->in->root != NULL ? d->in->root : "";
}

enum finding
check_strong_sandbox(struct doctor *d)
{
	const struct executor_section *o = &d->in->pipeline->executor;

	return doctor_pass_if(o->sandbox_enabled && o->sandbox_profile == PROFILE_CONTAINER);
}

static bool
is_controlled(const struct doctor *d)
{
	enum deployment_mode mode = d->in->pipeline->runtime.deployment_mode;

	return mode == DEPLOYMENT_CI || mode == DEPLOYMENT_K8S;
}

enum finding
check_strong_mode(struct doctor *d)
{
	return doctor_pass_if(is_controlled(d));
}

/* Network policies bind the network of a pod. With hardware in it, it is the host's own, which they leave alone. */
enum finding
check_strong_network(struct doctor *d)
{
	if (!is_controlled(d))
		return doctor_say(d, FINDING_FAIL, "the deployment mode is neither ci nor k8s");
	if (d->in->pipeline->runtime.deployment_mode == DEPLOYMENT_K8S && d->host.device[0] != '\0')
		return doctor_say(d, FINDING_FAIL,
			"measured: %s has hardware behind it, so this is the host's own network, "
			"which "
			"network policies leave alone",
			d->host.device);
	return d->host.has_interfaces ? FINDING_PASS
				      : doctor_say(d, FINDING_PASS,
						"the mode says so; the interfaces cannot be seen");
}

static enum finding
judge_api_listener(struct doctor *d, const struct runtime_listener *l)
{
	const char *name = l->name.n > 0 ? l->name.p : "gateway.listen";

	if (l->addr.kind == LISTENER_UNIX)
		return doctor_say(d, FINDING_FAIL,
			"%s is a unix socket, where no certificate is asked for", name);
	if (!l->tls)
		return doctor_say(d, FINDING_FAIL, "%s is plain", name);
	return d->in->gateway->tls.require_mtls
		       ? FINDING_PASS
		       : doctor_say(d, FINDING_FAIL, "%s asks for no client certificate", name);
}

enum finding
check_strong_mtls(struct doctor *d)
{
	struct runtime_listeners listeners;
	struct tls_context *context = NULL;
	struct errinfo ei;
	size_t n = 0;

	if (runtime_listeners_build(d->in->gateway, &listeners, &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	for (size_t i = 0; i < listeners.n; i++) {
		const struct runtime_listener *l = &listeners.v[i];
		if (l->roles != 0 && (l->roles & LISTENER_API) == 0)
			continue;
		n++;
		if (judge_api_listener(d, l) != FINDING_PASS)
			return FINDING_FAIL;
	}
	if (n == 0)
		return doctor_say(d, FINDING_FAIL, "no listener has the role api");
	if (gateway_section_try_tls(d->in->gateway, &context, &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	tls_context_unref(&context);
	return doctor_say(d, FINDING_PASS,
		"listeners that take actions: %zu; each asks for a certificate, and the CA of "
		"clients loads",
		n);
}

enum finding
check_strong_identity(struct doctor *d)
{
	const struct identity_section *o = &d->in->pipeline->identity;

	return doctor_pass_if(o->oidc.enabled || o->spiffe.enabled);
}

enum finding
check_strong_keys(struct doctor *d)
{
	const struct identity_section *o = &d->in->pipeline->identity;
	size_t n = o->api_keys.n + o->hashed_keys.n;

	return n == 0 ? FINDING_PASS : doctor_say(d, FINDING_FAIL, "API keys: %zu", n);
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
	return doctor_pass_if(is_durable);
}

enum finding
check_strong_environment(struct doctor *d)
{
	struct span e = d->in->pipeline->identity.environment;

	return doctor_pass_if(span_eq_nocase(e, SPAN_LIT("ci")) ||
			      span_eq_nocase(e, SPAN_LIT("staging")) ||
			      span_eq_nocase(e, SPAN_LIT("prod")));
}

enum finding
check_strong_seccomp(struct doctor *d)
{
	switch (d->host.seccomp) {
	case 0:
		return doctor_say(d, FINDING_FAIL, "measured: no filter of system calls is on");
	case 1:
	case 2:
		return doctor_say(d, FINDING_PASS, "measured: a filter is on");
	default:
		return doctor_say(d, FINDING_FAIL, "/proc/self/status does not tell");
	}
}

enum finding
check_strong_mounts(struct doctor *d)
{
	if (!d->host.has_mounts)
		return doctor_say(d, FINDING_FAIL, "/proc/self/mountinfo does not tell");
	if (d->host.n_writable == 0)
		return doctor_say(d, FINDING_PASS,
			"measured: its own folders, temporary ones and / at most can be written");
	return doctor_say(d, FINDING_FAIL, "measured: %zu can be written besides, the first is %s",
		d->host.n_writable, d->host.writable);
}

enum finding
check_strong_tokens(struct doctor *d)
{
	char what[MEASURE_PATH_MAX];

	if (measure_find_token(root_of(d), what))
		return doctor_say(d, FINDING_FAIL, "measured: this process can use %s", what);
	return doctor_say(d, FINDING_PASS, "measured: none in the usual places");
}

/* The last of its kind: what was asserted counts as far as nothing measured speaks against it. */
enum finding
check_strong_assurance(struct doctor *d)
{
	const char *level = assurance_level(d->in->pipeline);

	if (strcmp(level, "STRONG") != 0)
		return doctor_say(d, FINDING_FAIL, "the level is %s", level);
	if (d->n_strong_open > 0)
		return doctor_say(d, FINDING_FAIL,
			"the configuration says STRONG, and %zu checks fail or are left out",
			d->n_strong_open);
	return doctor_say(d, FINDING_PASS, "the level is %s", level);
}
