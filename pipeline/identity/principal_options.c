/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The tables of those sections and the rules over their values. Start-up and reload code; never on a loop. */
#include "pipeline/principal_options.h"

#include "base/parse.h"
#include "config/load.h"
#include "identity/identity_table.h"
#include "identity/spiffe.h"
#include "pipeline/key_ring.h"

static bool
is_trimmed(struct span s)
{
	return s.n > 0 && span_trim(s).n == s.n;
}

/* Each has a name on either side that something presented could be equal to. */
static void
check_map(const struct config_map *map, const char *key, struct config_scope *scope)
{
	for (size_t i = 0; i < map->n; i++)
		if (!is_trimmed(map->v[i].key) || !is_trimmed(map->v[i].value))
			config_fail(scope, key,
				"entry %zu needs a name and a principal, without white space at "
				"either end",
				i + 1);
}

static void
check_place(const struct oidc_section *o, struct config_scope *scope)
{
	bool is_fetched = o->public_key_path.n == 0;

	if (!is_fetched && o->jwks_uri.n > 0)
		config_fail(scope, "jwks_uri",
			"identity.oidc.public_key_path and identity.oidc.jwks_uri are mutually "
			"exclusive");
	else if (o->jwks_uri.n > 0 && !key_source_is_safe_url(o->jwks_uri))
		config_fail(scope, "jwks_uri",
			"identity.oidc.jwks_uri is not https (http only to this host itself)");
	else if (is_fetched && o->jwks_uri.n == 0 && !key_source_is_safe_url(o->issuer))
		config_fail(scope, "issuer",
			"identity.oidc.issuer is not https (http only to this host itself); for "
			"other issuers give public_key_path or jwks_uri");
	if (is_fetched && o->refresh_seconds > o->max_stale_seconds)
		config_fail(scope, "refresh_seconds",
			"identity.oidc.refresh_seconds is over max_stale_seconds: keys would be "
			"too old before they are fetched again");
}

static void
check_oidc(void *options, struct config_scope *scope)
{
	const struct oidc_section *o = options;

	for (size_t i = 0; i < o->roles.n; i++)
		if (identity_role_parse(o->roles.v[i].key) == ROLE_NOBODY)
			config_fail(scope, "roles",
				"\"%.*s\" is no role; there are viewer, approver and operator",
				SPAN_ARG(o->roles.v[i].key));
	if (!o->enabled)
		return;
	if (!is_trimmed(o->issuer) || !is_trimmed(o->audience)) {
		config_fail(scope, !is_trimmed(o->issuer) ? "issuer" : "audience",
			"identity.oidc.issuer and identity.oidc.audience are required when "
			"oidc.enabled is true");
		return;
	}
	check_place(o, scope);
}

static void
check_spiffe(void *options, struct config_scope *scope)
{
	const struct spiffe_section *o = options;

	check_map(&o->principals, "principals", scope);
	for (size_t i = 0; i < o->principals.n; i++)
		if (!spiffe_path_is_valid(o->principals.v[i].key))
			config_fail(scope, "principals",
				"entry %zu is no path of a SPIFFE ID, such as /ns/ci/sa/runner",
				i + 1);
	if (o->enabled && o->trust_domain.n == 0)
		config_fail(scope, "trust_domain",
			"identity.spiffe.trust_domain is required when spiffe.enabled is true");
	else if (o->enabled && !spiffe_trust_domain_is_valid(o->trust_domain))
		config_fail(scope, "trust_domain",
			"identity.spiffe.trust_domain is lower-case letters, digits, \".\", \"-\" "
			"and \"_\", without spiffe://");
}

static void
check_mtls(void *options, struct config_scope *scope)
{
	const struct mtls_section *o = options;

	check_map(&o->dns_names, "dns_names", scope);
	check_map(&o->common_names, "common_names", scope);
	for (size_t i = 0; i < o->dns_names.n; i++) {
		struct span name = o->dns_names.v[i].key;

		for (size_t k = 0; k < name.n; k++)
			if (name.p[k] >= 'A' && name.p[k] <= 'Z') {
				config_fail(scope, "dns_names",
					"entry %zu is not in lower case, as names are compared",
					i + 1);
				break;
			}
	}
}

static void
check_unix(void *options, struct config_scope *scope)
{
	const struct unix_section *o = options;
	uint64_t uid;

	check_map(&o->users, "users", scope);
	for (size_t i = 0; i < o->users.n; i++)
		if (!parse_uint(o->users.v[i].key, UINT32_MAX, &uid))
			config_fail(scope, "users", "entry %zu is no user id, a number", i + 1);
}

static const config_check_fn oidc_checks[] = {check_oidc, NULL};
static const config_check_fn spiffe_checks[] = {check_spiffe, NULL};
static const config_check_fn mtls_checks[] = {check_mtls, NULL};
static const config_check_fn unix_checks[] = {check_unix, NULL};

CONFIG_OBJECT(oidc_section, OIDC_ROWS,
	.prose = "Principals from signed tokens of an identity provider.", .checks = oidc_checks);
CONFIG_OBJECT(spiffe_section, SPIFFE_ROWS,
	.prose = "Principals from the SPIFFE IDs of client certificates.", .checks = spiffe_checks);
CONFIG_OBJECT(mtls_section, MTLS_ROWS,
	.prose = "Principals from other names of client certificates.", .checks = mtls_checks);
CONFIG_OBJECT(unix_section, UNIX_ROWS, .prose = "Principals from processes of this host.",
	.checks = unix_checks);
