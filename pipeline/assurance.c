/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The assurance level (nomos-http.md 3.7): a label for records, explanations and doctor, derived from the configuration. It
 * changes no decision. Pure; any thread.
 */
#include "snapshot_parts.h"

static bool
is_isolated(const struct pipeline_options *o)
{
	const struct runtime_evidence_section *e = &o->runtime.evidence;

	return o->executor.sandbox_enabled &&
	       executor_profile_of(&o->executor) == PROFILE_CONTAINER &&
	       e->container_backend_ready && e->rootless_or_non_privileged && e->read_only_fs &&
	       e->no_new_privileges && e->network_default_deny;
}

static bool
has_workload_identity(const struct pipeline_options *o)
{
	return o->runtime.evidence.workload_identity_verified &&
	       (o->identity.oidc.enabled || o->identity.spiffe.enabled) &&
	       o->identity.api_keys.n == 0 && o->identity.hashed_keys.n == 0;
}

static bool
has_durable_audit(const struct pipeline_options *o)
{
	return o->runtime.evidence.durable_audit_verified && o->has_durable_sink;
}

const char *
assurance_level(const struct pipeline_options *o)
{
	bool has_evidence = is_isolated(o) && has_workload_identity(o) && has_durable_audit(o);

	switch (o->runtime.deployment_mode) {
	case DEPLOYMENT_CI:
	case DEPLOYMENT_K8S:
		return o->runtime.strong_guarantee && has_evidence ? "STRONG" : "GUARDED";
	case DEPLOYMENT_UNMANAGED:
	case DEPLOYMENT_REMOTE_DEV:
		return "BEST_EFFORT";
	}
	return "NONE";
}

enum executor_profile
executor_profile_of(const struct executor_section *o)
{
	if (o->sandbox_profile != PROFILE_DEFAULT)
		return o->sandbox_profile;
	return o->sandbox_enabled ? PROFILE_LOCAL : PROFILE_NONE;
}
