/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of the sections that pipeline/ reads and the rules over several of their values (nomos-http.md 3.3, 4.6).
 * A check never prints a secret. Start-up and reload code; never on a loop.
 */
#include "pipeline/options.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "config/load.h"
#include "base/sign.h"
#include "identity/identity_table.h"
#include "net/address.h"

static void
check_bundle_paths(void *options, struct config_scope *scope)
{
	const struct policy_section *o = options;

	if (o->policy_bundle_path.n > 0 && o->policy_bundle_paths.n > 0)
		config_fail(scope, "policy_bundle_paths",
			"policy.policy_bundle_path and policy.policy_bundle_paths are mutually "
			"exclusive");
	if (o->policy_bundle_path.n == 0 && o->policy_bundle_paths.n == 0)
		config_fail(scope, "policy_bundle_path",
			"policy.policy_bundle_path or policy.policy_bundle_paths is required");
}

static void
check_bundle_roles(void *options, struct config_scope *scope)
{
	const struct policy_section *o = options;
	size_t n = o->policy_bundle_paths.n > 0 ? o->policy_bundle_paths.n : 1;

	if (o->policy_bundle_roles.n > 0 && o->policy_bundle_roles.n != n)
		config_fail(scope, "policy_bundle_roles",
			"policy.policy_bundle_roles must have one role for each bundle: %zu for "
			"%zu",
			o->policy_bundle_roles.n, n);
}

static void
check_signatures(void *options, struct config_scope *scope)
{
	const struct policy_section *o = options;
	size_t n = o->policy_bundle_paths.n;

	if (!o->verify_signatures)
		return;
	if (o->public_key_path.n == 0)
		config_fail(scope, "public_key_path",
			"policy.public_key_path is required when verify_signatures is true");
	if (n > 1 && o->signature_paths.n != n)
		config_fail(scope, "signature_paths",
			"policy.signature_paths must match policy.policy_bundle_paths: %zu for %zu",
			o->signature_paths.n, n);
	if (n <= 1 && o->signature_path.n == 0 && o->signature_paths.n != 1)
		config_fail(scope, "signature_path",
			"policy.signature_path is required when verify_signatures is true");
	if (o->signature_path.n > 0 && o->signature_paths.n > 0)
		config_fail(scope, "signature_paths",
			"policy.signature_path and policy.signature_paths are mutually exclusive");
}

static void
check_profile(void *options, struct config_scope *scope)
{
	const struct executor_section *o = options;

	if (o->sandbox_profile == PROFILE_CONTAINER)
		config_note(scope, CONFIG_WARN, "sandbox_profile",
			"container sandboxes are not built yet; every action that nomos would "
			"carry out is denied");
}

static void
check_identity_keys(void *options, struct config_scope *scope)
{
	const struct identity_section *o = options;

	bool has_secret =
		o->api_keys.n + o->hashed_keys.n + o->service_secrets.n + o->service_public_keys.n >
		0;
	bool has_peer = o->mtls.dns_names.n + o->mtls.common_names.n + o->unix.users.n > 0;

	if (!has_secret && !has_peer && !o->oidc.enabled && !o->spiffe.enabled)
		config_fail(scope, "api_keys",
			"identity.api_keys or identity.service_secrets or identity.oidc.enabled or "
			"identity.spiffe.enabled is required");
	if (o->agent_secrets.n == 0 && o->agent_public_keys.n == 0)
		config_fail(scope, "agent_secrets", "identity.agent_secrets is required");
}

/* What narrows a key and cannot be read must not be left out. */
static void
check_key_bounds(const struct identity_key_section *key, struct config_scope *scope)
{
	struct address_network network;
	struct errinfo ei;
	int64_t expires;

	if (key->expires.n > 0 && clock_parse(key->expires, &expires, &ei) != OK)
		config_fail(scope, "hashed_keys",
			"the key %.*s expires at no date and time such as 2027-01-31T00:00:00Z",
			SPAN_ARG(key->id));
	for (size_t i = 0; i < key->networks.n; i++)
		if (address_network_parse(key->networks.v[i], &network, &ei) != OK)
			config_fail(scope, "hashed_keys", "the key %.*s: %s", SPAN_ARG(key->id),
				ei.msg);
}

static void
check_hashed_keys(void *options, struct config_scope *scope)
{
	const struct identity_section *o = options;
	uint8_t hash[SHA256_BYTES];

	for (size_t i = 0; i < o->hashed_keys.n; i++) {
		const struct identity_key_section *key = &o->hashed_keys.v[i];

		if (!identity_key_id_is_valid(key->id))
			config_fail(scope, "hashed_keys", "the id of a key is letters and digits");
		check_key_bounds(key, scope);
		if (!identity_key_hash_parse(key->hash, hash))
			config_fail(scope, "hashed_keys",
				"the hash of key %.*s is not sha256: and 64 lower-case hex digits",
				SPAN_ARG(key->id));
		for (size_t k = 0; k < i; k++)
			if (span_eq(o->hashed_keys.v[k].id, key->id))
				config_fail(scope, "hashed_keys", "the key id %.*s stands twice",
					SPAN_ARG(key->id));
	}
}

static bool
is_blank(struct span s)
{
	return span_trim(s).n == 0;
}

/* What is presented is trimmed and what a policy names is not, so neither would ever be equal to it. */
static bool
has_blank_end(struct span s)
{
	return span_trim(s).n != s.n;
}

/* missing says what each pair consists of. */
static void
check_pairs(const struct config_map *pairs, const char *key, const char *missing,
	struct config_scope *scope)
{
	for (size_t i = 0; i < pairs->n; i++) {
		const struct config_pair *pair = &pairs->v[i];

		if (is_blank(pair->key) || is_blank(pair->value))
			config_fail(scope, key, "%s", missing);
		else if (has_blank_end(pair->key) || has_blank_end(pair->value))
			config_fail(scope, key, "%s, without white space at either end (entry %zu)",
				missing, i + 1);
	}
}

static void
check_secrets(void *options, struct config_scope *scope)
{
	const struct identity_section *o = options;

	check_pairs(&o->service_secrets, "service_secrets", "a service needs an id and a secret",
		scope);
	check_pairs(&o->agent_secrets, "agent_secrets", "an agent needs an id and a secret", scope);
	check_pairs(&o->api_keys, "api_keys", "an API key needs a key and a principal", scope);
}

static void
check_ids(const struct config_map *keys, const char *name, struct config_scope *scope)
{
	for (size_t i = 0; i < keys->n; i++)
		if (is_blank(keys->v[i].key) || has_blank_end(keys->v[i].key))
			config_fail(scope, name,
				"the id of entry %zu is blank, or begins or ends with white space",
				i + 1);
}

static void
check_public_keys(const struct config_map *keys, const char *name, struct config_scope *scope)
{
	for (size_t i = 0; i < keys->n; i++) {
		struct sign_key *key = NULL;
		struct errinfo ei;

		if (sign_key_parse_public(keys->v[i].value, &key, &ei) != OK)
			config_fail(scope, name, "the key of \"%.*s\" is %s",
				SPAN_ARG(keys->v[i].key), ei.msg);
		sign_key_free(&key);
	}
}

static void
check_request_signatures(void *options, struct config_scope *scope)
{
	const struct identity_section *o = options;
	bool has_keys = o->agent_public_keys.n + o->service_public_keys.n > 0;

	check_ids(&o->service_public_keys, "service_public_keys", scope);
	check_ids(&o->agent_public_keys, "agent_public_keys", scope);
	check_public_keys(&o->service_public_keys, "service_public_keys", scope);
	check_public_keys(&o->agent_public_keys, "agent_public_keys", scope);
	if (o->signature_versions.n == 0)
		config_fail(scope, "signature_versions",
			"identity.signature_versions needs v1 or v2, or nobody could ask");
	else if (has_keys && !config_strings_has(&o->signature_versions, SPAN_LIT("v2")))
		config_fail(scope, "signature_versions",
			"public keys are of no use without v2 in identity.signature_versions");
	if (o->max_nonces_per_signer > o->max_nonces)
		config_note(scope, CONFIG_WARN, "max_nonces_per_signer",
			"identity.max_nonces_per_signer is over identity.max_nonces");
}

/* An absent one is reported by its row. */
static void
check_names(void *options, struct config_scope *scope)
{
	const struct identity_section *o = options;
	const struct {
		const char *key;
		struct span name;
	} names[] = {
		{"principal", o->principal},
		{"agent", o->agent},
		{"environment", o->environment},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!has_blank_end(names[i].name))
			continue;
		config_fail(scope, names[i].key, "identity.%s %s", names[i].key,
			is_blank(names[i].name) ? "is blank" : "begins or ends with white space");
	}
	for (size_t i = 0; i < o->hashed_keys.n; i++)
		if (is_blank(o->hashed_keys.v[i].principal) ||
			has_blank_end(o->hashed_keys.v[i].principal))
			config_fail(scope, "hashed_keys",
				"the principal of key %.*s is blank, or begins or ends with white "
				"space",
				SPAN_ARG(o->hashed_keys.v[i].id));
}

/* A principal that is spelled another way here would go without its list. */
static void
check_principal_agents(void *options, struct config_scope *scope)
{
	const struct identity_section *o = options;

	for (size_t i = 0; i < o->principal_agents.n; i++)
		if (is_blank(o->principal_agents.v[i].key) ||
			has_blank_end(o->principal_agents.v[i].key))
			config_fail(scope, "principal_agents",
				"the principal of entry %zu is blank, or begins or ends with white "
				"space",
				i + 1);
}

static void
check_roles(void *options, struct config_scope *scope)
{
	const struct identity_section *o = options;

	for (size_t i = 0; i < o->roles.n; i++)
		if (identity_role_parse(o->roles.v[i].key) == ROLE_NOBODY)
			config_fail(scope, "roles",
				"\"%.*s\" is no role; there are viewer, approver and operator",
				SPAN_ARG(o->roles.v[i].key));
}

struct rate_list {
	const char *key;
	const struct rate_rule_section *v;
	size_t n;
	bool needs_resource;
};

static void
check_rate_rule(const struct rate_list *list, const struct rate_rule_section *rule,
	struct config_scope *scope)
{
	if (span_trim(rule->id).n == 0)
		config_fail(scope, list->key, "rate limit rule id is required");
	if (!list->needs_resource && rule->action_type.n == 0)
		config_fail(scope, list->key, "%s rate limit rules require action_type", list->key);
	if (list->needs_resource && rule->resource.n == 0)
		config_fail(scope, list->key, "%s rate limit rules require resource", list->key);
	if (rule->burst <= 0)
		config_fail(scope, list->key, "rate limit rule burst must be > 0");
	if (rule->refill_per_minute <= 0)
		config_fail(scope, list->key, "rate limit rule refill_per_minute must be > 0");
}

static bool
has_id_before(const struct rate_list *lists, size_t list, size_t row)
{
	struct span id = span_trim(lists[list].v[row].id);

	for (size_t l = 0; l <= list; l++) {
		size_t n = l == list ? row : lists[l].n;

		for (size_t i = 0; i < n; i++)
			if (span_eq(span_trim(lists[l].v[i].id), id))
				return true;
	}
	return false;
}

static void
check_rate_rules(void *options, struct config_scope *scope)
{
	struct rate_limits_section *o = options;
	const struct rate_list lists[] = {
		{"principal_action", o->principal_action.v, o->principal_action.n, false},
		{"principal_resource", o->principal_resource.v, o->principal_resource.n, true},
		{"global_tool", o->global_tool.v, o->global_tool.n, false},
	};

	for (size_t l = 0; l < ARRAY_LEN(lists); l++)
		for (size_t i = 0; i < lists[l].n; i++) {
			check_rate_rule(&lists[l], &lists[l].v[i], scope);
			if (has_id_before(lists, l, i))
				config_fail(
					scope, lists[l].key, "rate limit rule ids must be unique");
			o->enabled = true;
		}
	if (o->enabled && o->evict_after_seconds <= 0)
		config_fail(scope, "evict_after_seconds",
			"rate_limits.evict_after_seconds must be > 0 when rate limits are enabled");
	if (o->max_buckets_per_principal > o->max_buckets)
		config_fail(scope, "max_buckets_per_principal",
			"rate_limits.max_buckets_per_principal is over rate_limits.max_buckets");
}

void
pipeline_check_options(const struct pipeline_options *options, struct config_scope *scope)
{
	struct span environment = options->identity.environment;
	bool is_development =
		span_eq_cstr(environment, "dev") || span_eq_cstr(environment, "local");

	if (options->idempotency.max_keys_per_identity > options->idempotency.max_keys)
		config_note(scope, CONFIG_WARN, "idempotency",
			"idempotency.max_keys_per_identity is over idempotency.max_keys");
	if (options->approvals.enabled && options->runtime.stateless_mode)
		config_fail(
			scope, "approvals", "approvals must be disabled in runtime.stateless_mode");
	if (!config_strings_has(&options->policy.policy_bundle_roles, SPAN_LIT("local_override")))
		return;
	if (!is_development)
		config_fail(scope, "policy.policy_bundle_roles",
			"local_override is only allowed when identity.environment is dev or local");
	if (options->runtime.deployment_mode != DEPLOYMENT_UNMANAGED)
		config_fail(scope, "policy.policy_bundle_roles",
			"local_override is only allowed when runtime.deployment_mode is unmanaged");
}

static const config_check_fn policy_checks[] = {
	check_bundle_paths, check_bundle_roles, check_signatures, NULL};
static const config_check_fn executor_checks[] = {check_profile, NULL};
static const config_check_fn identity_checks[] = {check_identity_keys, check_hashed_keys,
	check_secrets, check_request_signatures, check_names, check_principal_agents, check_roles,
	NULL};
static const config_check_fn rate_limits_checks[] = {check_rate_rules, NULL};

CONFIG_OBJECT(runtime_evidence_section, RUNTIME_EVIDENCE_ROWS,
	.prose = "What the operator asserts of the host; only labels depend on it.");
CONFIG_OBJECT(runtime_section, RUNTIME_ROWS, .prose = "How and where the gateway runs.");
CONFIG_OBJECT(policy_section, POLICY_ROWS, .prose = "The policy bundles.", .checks = policy_checks);
CONFIG_OBJECT(executor_section, EXECUTOR_ROWS, .prose = "What carries actions out.",
	.checks = executor_checks);
CONFIG_OBJECT(identity_key_section, IDENTITY_KEY_ROWS, .prose = "A hashed API key.");
CONFIG_OBJECT(identity_section, IDENTITY_ROWS, .prose = "Who may ask, and who acts.",
	.checks = identity_checks);
CONFIG_OBJECT(rate_rule_section, RATE_RULE_ROWS, .prose = "One rate limit.");
CONFIG_OBJECT(rate_limits_section, RATE_LIMITS_ROWS, .prose = "Token buckets by rule.",
	.checks = rate_limits_checks);
CONFIG_OBJECT(redaction_section, REDACTION_ROWS, .prose = "Secrets that are taken out of text.");
CONFIG_OBJECT(idempotency_section, IDEMPOTENCY_ROWS, .prose = "What retries get.");
CONFIG_OBJECT(reports_section, REPORTS_ROWS, .prose = "Outcomes that callers report.");
CONFIG_OBJECT(upstream_section, UPSTREAM_ROWS, .prose = "Where requests go out to.");
