/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of the configuration, the policy and who may ask. They name keys, ids and principals,
 * never a key or a secret. One thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "config/values.h"
#include "doctor_checks.h"
#include "pipeline/options.h"
#include "pipeline/snapshot.h"
#include "policy/policy.h"

#define PROBE_ARENA_BYTES (1024 * 1024)

enum finding
check_config_path(struct doctor *d)
{
	const char *path = d->in->config_path;

	if (path == NULL || path[0] == '\0')
		return doctor_say(d, FINDING_FAIL, "no configuration is named");
	return doctor_say(d, FINDING_PASS, "%s", path);
}

enum finding
check_config_load(struct doctor *d)
{
	if (d->in->config_error != NULL)
		return doctor_say(d, FINDING_FAIL, "%s", d->in->config_error);
	return FINDING_PASS;
}

enum finding
check_environment(struct doctor *d)
{
	static const char *const known[] = {"ci", "dev", "local", "prod", "staging", "test"};
	struct span environment = d->in->pipeline->identity.environment;

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (span_eq_nocase(environment, span_cstr(known[i])))
			return doctor_say(d, FINDING_PASS, "%s", known[i]);
	}
	return doctor_say(d, FINDING_FAIL, "the environment is \"%.*s\"", SPAN_ARG(environment));
}

/* The bundles of the configuration, one or many. */
static size_t
list_bundles(const struct policy_section *o, const struct span **paths)
{
	if (o->policy_bundle_paths.n > 0) {
		*paths = o->policy_bundle_paths.v;
		return o->policy_bundle_paths.n;
	}
	*paths = &o->policy_bundle_path;
	return o->policy_bundle_path.n > 0 ? 1 : 0;
}

enum finding
check_bundle_path(struct doctor *d)
{
	const struct span *paths = NULL;
	size_t n = list_bundles(&d->in->pipeline->policy, &paths);

	if (n == 0)
		return doctor_say(d, FINDING_FAIL, "no bundle is named");
	return doctor_say(d, FINDING_PASS, "%zu named", n);
}

enum finding
check_bundle_exists(struct doctor *d)
{
	const struct span *paths = NULL;
	size_t n = list_bundles(&d->in->pipeline->policy, &paths);
	struct stat st;

	for (size_t i = 0; i < n; i++) {
		if (stat(paths[i].p, &st) != 0)
			return doctor_say(d, FINDING_FAIL, "%s: %s", paths[i].p, strerror(errno));
	}
	return n > 0 ? FINDING_PASS : doctor_say(d, FINDING_FAIL, "no bundle is named");
}

enum finding
check_bundle_parses(struct doctor *d)
{
	size_t n_warnings = 0;

	if (d->policy == NULL)
		return doctor_say(d, FINDING_FAIL, "%s", d->policy_error.msg);
	const struct policy_warning *w = policy_get_warnings(d->policy, &n_warnings);
	if (n_warnings > 0)
		return doctor_say(d, FINDING_PASS, "%zu warnings, the first at %.*s: %.*s",
			n_warnings, SPAN_ARG(w[0].place), SPAN_ARG(w[0].message));
	return doctor_say(d, FINDING_PASS, "%zu rules", policy_count_rules(d->policy));
}

enum finding
check_bundle_hash(struct doctor *d)
{
	if (d->policy == NULL || policy_get_hash(d->policy)[0] == '\0')
		return doctor_say(d, FINDING_FAIL, "there is no policy");
	return doctor_say(d, FINDING_PASS, "%s", policy_get_hash(d->policy));
}

static enum err
probe(const struct doctor *d, struct arena *a, struct decision *out, struct errinfo *ei)
{
	static const char body[] =
		"{\"schema_version\":\"v1\",\"action_id\":\"doctor\",\"trace_id\":\"doctor\","
		"\"action_type\":\"doctor.unmatched\",\"resource\":\"file://workspace/"
		"__doctor_probe__\","
		"\"params\":{},\"context\":{}}";
	const struct identity_section *o = &d->in->pipeline->identity;
	const struct identity who = {o->principal, o->agent, o->environment};
	struct action *action = NULL;
	enum err rc = action_parse(span_of(body, sizeof(body) - 1), a, &action, ei);

	if (rc == OK)
		rc = action_normalize(action, &who, a, ei);
	if (rc == OK && policy_eval(d->policy, action, a, out) != OK)
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	return rc;
}

enum finding
check_deny_by_default(struct doctor *d)
{
	struct decision decision = {.verdict = VERDICT_DENY};
	struct errinfo ei;

	if (d->policy == NULL)
		return doctor_say(d, FINDING_FAIL, "there is no policy");
	struct arena *a = arena_new(PROBE_ARENA_BYTES);
	enum err rc =
		a != NULL ? probe(d, a, &decision, &ei) : ERR(&ei, ERR_NOMEM, "out of memory");
	enum finding finding = FINDING_PASS;
	if (rc != OK)
		finding = doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	else if (decision.verdict != VERDICT_DENY)
		finding = doctor_say(d, FINDING_FAIL, "an action that nobody thought of gets %s",
			verdict_name(decision.verdict));
	arena_free(&a);
	return finding;
}

/* With a policy that does not load this would only say the same again; one that is stuck may be the only thing that was asked for. */
enum finding
check_snapshot(struct doctor *d)
{
	struct snapshot *snapshot = NULL;
	struct errinfo ei;

	if (d->policy == NULL && d->policy_error.code == ERR_TIMEOUT)
		return doctor_say(d, FINDING_FAIL, "%s", d->policy_error.msg);
	if (d->policy == NULL)
		return FINDING_ABSENT;
	if (snapshot_new(d->in->pipeline, &snapshot, &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	snapshot_unref(&snapshot);
	return FINDING_PASS;
}

enum finding
check_auth_mode(struct doctor *d)
{
	const struct identity_section *o = &d->in->pipeline->identity;

	size_t n_services = o->service_secrets.n + o->service_public_keys.n;
	size_t n_peers = o->mtls.dns_names.n + o->mtls.common_names.n + o->unix.users.n;

	if (o->api_keys.n + o->hashed_keys.n + n_services + n_peers == 0 && !o->oidc.enabled &&
		!o->spiffe.enabled)
		return doctor_say(d, FINDING_FAIL, "no principal can authenticate");
	return doctor_say(d, FINDING_PASS,
		"API keys: %zu hashed, %zu in clear; services: %zu; tokens: %s; SPIFFE IDs: %s; "
		"names of certificates and users: %zu",
		o->hashed_keys.n, o->api_keys.n, n_services, o->oidc.enabled ? "yes" : "no",
		o->spiffe.enabled ? "yes" : "no", n_peers);
}

enum finding
check_required_secrets(struct doctor *d)
{
	const struct identity_section *o = &d->in->pipeline->identity;

	if (config_map_find(&o->agent_secrets, o->agent).n == 0 &&
		config_map_find(&o->agent_public_keys, o->agent).n == 0)
		return doctor_say(
			d, FINDING_FAIL, "the agent \"%.*s\" has no secret", SPAN_ARG(o->agent));
	return FINDING_PASS;
}

enum finding
check_request_signatures(struct doctor *d)
{
	const struct identity_section *o = &d->in->pipeline->identity;

	if (config_strings_has(&o->signature_versions, SPAN_LIT("v1")))
		return doctor_say(d, FINDING_ADVICE,
			"v1 is taken: it covers the body alone, so what was seen can be sent "
			"again");
	return FINDING_PASS;
}

enum finding
check_roles(struct doctor *d)
{
	if (d->in->pipeline->identity.roles.n == 0)
		return doctor_say(d, FINDING_ADVICE,
			"no roles: every principal may view, nobody can reload or approve");
	return FINDING_PASS;
}

enum finding
check_principal_agents(struct doctor *d)
{
	if (d->in->pipeline->identity.principal_agents.n == 0)
		return doctor_say(d, FINDING_ADVICE, "every principal may act through every agent");
	return FINDING_PASS;
}

enum finding
check_mcp(struct doctor *d)
{
	return doctor_say(d, FINDING_PASS, "not configured");
}
