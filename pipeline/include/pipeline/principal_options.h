/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Sections of `identity` that say who somebody is by a token, a certificate or a process (config/table.h says how rows work; decisions 40). */
#ifndef PIPELINE_PRINCIPAL_OPTIONS_H
#define PIPELINE_PRINCIPAL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "config/table.h"

/* clang-format off */
#define OIDC_ROWS(ROW, T) \
	ROW(T, BOOL, enabled, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Whether a signed token in the Authorization line names a principal.") \
	ROW(T, STRING, issuer, .max = 2048, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "What the claim iss has to be, exactly; https, and its keys are found there.") \
	ROW(T, STRING, audience, .max = 2048, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "What the claim aud has to be, or to have among others.") \
	ROW(T, PATH, public_key_path, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "The issuer's keys in a file, PEM (public key or certificate) or a JWK set; nothing is fetched then.") \
	ROW(T, STRING, jwks_uri, .max = 2048, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Where the JWK set is, for issuers without a discovery document.") \
	ROW(T, PATH, ca_file, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "CA certificates (PEM) of the issuer's server; the system's when not set.") \
	ROW(T, STRING, principal_claim, .def = "sub", .min = 1, .max = 256, .env = CONFIG_ENV, \
		.flags = CONFIG_RELOAD, \
		.prose = "The claim that is the principal; a.b is the member b of a. email counts only with email_verified.") \
	ROW(T, STRING, principal_prefix, .max = 64, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Put in front of it, so that no token names a principal of another kind.") \
	ROW(T, STRING, groups_claim, .def = "groups", .max = 256, .env = CONFIG_ENV, \
		.flags = CONFIG_RELOAD, \
		.prose = "The claim with the groups, a list or one text; for approvers.groups and roles below. Empty: none.") \
	ROW(T, MAP_STRINGS, roles, .flags = CONFIG_RELOAD, \
		.prose = "Groups by role: viewer, approver, operator; beside identity.roles.") \
	ROW(T, INT, leeway_seconds, .def = "30", .min = 0, .max = 300, .unit = "seconds", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "How far the issuer's clock and ours may be apart.") \
	ROW(T, INT, max_lifetime_seconds, .def = "86400", .min = 60, .max = 31536000, \
		.unit = "seconds", .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "From iat to exp; a token for longer is refused.") \
	ROW(T, INT, refresh_seconds, .def = "300", .min = 1, .max = 86400, .unit = "seconds", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "How often the keys are fetched again; one that was withdrawn counts for so long.") \
	ROW(T, INT, refresh_floor_seconds, .def = "10", .min = 1, .max = 3600, .unit = "seconds", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Between two fetches at least, however many tokens name a key that is not known.") \
	ROW(T, INT, max_stale_seconds, .def = "86400", .min = 1, .max = 86400, .unit = "seconds", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "How long keys are used that cannot be fetched again; behind that every token is refused.")

#define SPIFFE_ROWS(ROW, T) \
	ROW(T, BOOL, enabled, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Whether the SPIFFE ID of a client certificate names a principal.") \
	ROW(T, STRING, trust_domain, .max = 255, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "The trust domain whose IDs count, e.g. example.org.") \
	ROW(T, MAP, principals, .flags = CONFIG_RELOAD, \
		.prose = "Paths of IDs (/ns/ci/sa/runner) and the principal of each; the whole ID is the principal of others.") \
	ROW(T, BOOL, only_listed, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "IDs whose path is not among principals are nobody's.")

#define MTLS_ROWS(ROW, T) \
	ROW(T, MAP, dns_names, .flags = CONFIG_RELOAD, \
		.prose = "DNS names in client certificates and the principal of each.") \
	ROW(T, MAP, common_names, .flags = CONFIG_RELOAD, \
		.prose = "Common names of client certificates and the principal of each, where no DNS name counts.")

#define UNIX_ROWS(ROW, T) \
	ROW(T, MAP, users, .flags = CONFIG_RELOAD, \
		.prose = "User ids (numbers) of processes on a unix socket and the principal of each.")
/* clang-format on */

struct oidc_section {
	OIDC_ROWS(CONFIG_MEMBER, oidc_section)
};

struct spiffe_section {
	SPIFFE_ROWS(CONFIG_MEMBER, spiffe_section)
};

struct mtls_section {
	MTLS_ROWS(CONFIG_MEMBER, mtls_section)
};

struct unix_section {
	UNIX_ROWS(CONFIG_MEMBER, unix_section)
};

extern const struct config_object oidc_section_config;
extern const struct config_object spiffe_section_config;
extern const struct config_object mtls_section_config;
extern const struct config_object unix_section_config;

#endif
