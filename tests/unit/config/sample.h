/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A small set of tables with every kind of row and every flag, and a fake environment. Included by
 * one file per test program; nothing here is part of nomos.
 */
#ifndef TESTS_CONFIG_SAMPLE_H
#define TESTS_CONFIG_SAMPLE_H

#include "config/load.h"

enum sample_transport { SAMPLE_HTTP = 0, SAMPLE_UNIX };

#define SAMPLE_TLS(ROW, T)                                                                         \
	ROW(T, BOOL, enabled, .unbuilt = CONFIG_UNBUILT_REFUSED, .reason = "TLS comes later",      \
		.env = CONFIG_ENV, .prose = "Serve TLS.")                                          \
	ROW(T, PATH, cert_file, .prose = "Certificate chain, PEM.")                                \
	ROW(T, PATH, key_file, .prose = "Private key, PEM.")
struct sample_tls {
	SAMPLE_TLS(CONFIG_MEMBER, sample_tls)
};

#define SAMPLE_GATEWAY(ROW, T)                                                                     \
	ROW(T, STRING, listen, .def = ":8080", .flags = CONFIG_REQUIRED, .env = CONFIG_ENV,        \
		.max = 64, .prose = "Address and port to listen on.")                              \
	ROW(T, ENUM(sample_transport), transport, .def = "http", .words = "http|unix",             \
		.env = CONFIG_ENV, .prose = "Protocol below the API.")                             \
	ROW(T, INT, concurrency_limit, .def = "32", .min = 1, .max = 1000000,                      \
		.flags = CONFIG_RELOAD, .env = CONFIG_ENV, .prose = "Actions in flight.")          \
	ROW(T, INT, cooldown_seconds, .def = "60", .min = 1, .max = 86400, .unit = "seconds",      \
		.prose = "How long the breaker stays open.")                                       \
	ROW(T, STRING, mode, .flags = CONFIG_DEPRECATED, .reason = "use gateway.transport",        \
		.prose = "Old name of the transport.")                                             \
	ROW(T, OBJECT(sample_tls), tls, .prose = "TLS.")
struct sample_gateway {
	SAMPLE_GATEWAY(CONFIG_MEMBER, sample_gateway)
};

#define SAMPLE_POLICY(ROW, T)                                                                      \
	ROW(T, PATH, policy_bundle_path, .env = "NOMOS_POLICY_BUNDLE_PATH",                        \
		.clears = "policy_bundle_paths", .flags = CONFIG_RELOAD, .prose = "One bundle.")   \
	ROW(T, PATHS, policy_bundle_paths, .env = "NOMOS_POLICY_BUNDLE_PATHS",                     \
		.clears = "policy_bundle_path", .flags = CONFIG_RELOAD, .prose = "Layers.")        \
	ROW(T, STRINGS, policy_bundle_roles, .words = "baseline|org|local_override", .max = 4,     \
		.flags = CONFIG_FOLD, .env = "NOMOS_POLICY_BUNDLE_ROLES",                          \
		.prose = "What each layer is.")                                                    \
	ROW(T, BOOL, verify_signatures, .env = CONFIG_ENV, .prose = "Check signatures.")
struct sample_policy {
	SAMPLE_POLICY(CONFIG_MEMBER, sample_policy)
};

#define SAMPLE_ROLES(ROW, T)                                                                       \
	ROW(T, STRINGS, viewer, .prose = "May look.")                                              \
	ROW(T, STRINGS, operator, .prose = "May operate.")
struct sample_roles {
	SAMPLE_ROLES(CONFIG_MEMBER, sample_roles)
};

#define SAMPLE_IDENTITY(ROW, T)                                                                    \
	ROW(T, STRING, principal, .flags = CONFIG_REQUIRED, .env = CONFIG_ENV, .prose = "Who.")    \
	ROW(T, STRING, agent, .flags = CONFIG_REQUIRED, .env = CONFIG_ENV, .prose = "Which.")      \
	ROW(T, MAP, api_keys, .env = "NOMOS_IDENTITY_API_KEY", .env_with = "principal",            \
		.flags = CONFIG_SECRET_KEYS | CONFIG_ENV_IS_NAME, .prose = "Key to principal.")    \
	ROW(T, MAP, agent_secrets, .env = "NOMOS_IDENTITY_AGENT_SECRET", .env_with = "agent",      \
		.flags = CONFIG_SECRET_VALUES | CONFIG_REQUIRED, .prose = "Agent to secret.")      \
	ROW(T, MAP, peer_secrets, .env = "NOMOS_PEER_SECRET", .env_with = "agent",                 \
		.flags = CONFIG_SECRET_VALUES | CONFIG_VALUE_LISTS, .prose = "Peer to secrets.")   \
	ROW(T, OBJECT(sample_roles), roles, .prose = "Who may do what.")                           \
	ROW(T, MAP_STRINGS, principal_agents, .prose = "Agents of a principal.")                   \
	ROW(T, LATER, oidc, .gate = "enabled", .env = CONFIG_ENV,                                  \
		.unbuilt = CONFIG_UNBUILT_REFUSED, .reason = "OIDC comes later",                   \
		.prose = "OIDC tokens.")
struct sample_identity {
	SAMPLE_IDENTITY(CONFIG_MEMBER, sample_identity)
};

#define SAMPLE_LIMIT(ROW, T)                                                                       \
	ROW(T, STRING, id, .flags = CONFIG_REQUIRED, .prose = "Name of the bucket.")               \
	ROW(T, INT, burst, .def = "1", .min = 1, .max = 1000, .prose = "Size of the bucket.")      \
	ROW(T, STRINGS, tags, .def = "a, b", .prose = "Free words.")
struct sample_limit {
	SAMPLE_LIMIT(CONFIG_MEMBER, sample_limit)
};

#define SAMPLE_RATE(ROW, T)                                                                        \
	ROW(T, LIST(sample_limit), principal_action, .max = 3, .prose = "Buckets by principal.")   \
	ROW(T, PATH, state_path, .def = "rates.db", .prose = "Where buckets are kept.")
struct sample_rate {
	SAMPLE_RATE(CONFIG_MEMBER, sample_rate)
};

#define SAMPLE_UPSTREAM(ROW, T)                                                                    \
	ROW(T, LATER, routes, .env = CONFIG_ENV, .unbuilt = CONFIG_UNBUILT_REFUSED,                \
		.reason = "routes come later", .prose = "Where requests may go.")                  \
	ROW(T, SECRET, token, .min = 8, .prose = "Sent upstream.")
struct sample_upstream {
	SAMPLE_UPSTREAM(CONFIG_MEMBER, sample_upstream)
};

#define SAMPLE_SANDBOX(ROW, T)                                                                     \
	ROW(T, LATER, image, .unbuilt = CONFIG_UNBUILT_WARN, .reason = "no containers",            \
		.prose = "The image.")
struct sample_sandbox {
	SAMPLE_SANDBOX(CONFIG_MEMBER, sample_sandbox)
};

#define SAMPLE(ROW, T)                                                                             \
	ROW(T, OBJECT(sample_gateway), gateway, .prose = "The HTTP plane.")                        \
	ROW(T, OBJECT(sample_policy), policy, .prose = "What is allowed.")                         \
	ROW(T, OBJECT(sample_identity), identity, .prose = "Who calls.")                           \
	ROW(T, OBJECT(sample_rate), rate_limits, .prose = "How often.")                            \
	ROW(T, OBJECT(sample_upstream), upstream, .prose = "Servers behind.")                      \
	ROW(T, OBJECT(sample_sandbox), sandbox, .prose = "Nothing that is built.")                 \
	ROW(T, LATER, mcp, .unbuilt = CONFIG_UNBUILT_INFO, .reason = "read by nomos mcp",          \
		.prose = "The MCP plane.")                                                         \
	ROW(T, LATER, telemetry, .gate = "enabled", .unbuilt = CONFIG_UNBUILT_WARN,                \
		.env = "NOMOS_TELEMETRY_ENABLED", .reason = "no exporter", .prose = "Traces.")
struct sample {
	SAMPLE(CONFIG_MEMBER, sample)
};

static void
check_one_form(void *options, struct config_scope *scope)
{
	const struct sample_policy *p = options;

	if (p->policy_bundle_path.n > 0 && p->policy_bundle_paths.n > 0)
		config_fail(
			scope, "policy_bundle_paths", "and policy_bundle_path exclude each other");
	if (p->policy_bundle_roles.n > 0 && p->policy_bundle_roles.n != p->policy_bundle_paths.n)
		config_fail(scope, "policy_bundle_roles", "needs one role per bundle");
}

static void
check_ids(void *options, struct config_scope *scope)
{
	const struct sample_rate *r = options;

	for (size_t i = 1; i < r->principal_action.n; i++)
		if (span_eq(r->principal_action.v[i].id, r->principal_action.v[i - 1].id))
			config_fail(scope,
				i == 1 ? "principal_action[1].id" : "principal_action[2].id",
				"stands twice");
}

static const config_check_fn policy_checks[] = {check_one_form, NULL};
static const config_check_fn rate_checks[] = {check_ids, NULL};

CONFIG_OBJECT(sample_tls, SAMPLE_TLS, .prose = "TLS of the listener.");
CONFIG_OBJECT(sample_gateway, SAMPLE_GATEWAY, .prose = "The HTTP plane.");
CONFIG_OBJECT(sample_policy, SAMPLE_POLICY, .prose = "Bundles.", .checks = policy_checks);
CONFIG_OBJECT(sample_roles, SAMPLE_ROLES, .prose = "Roles of principals.");
CONFIG_OBJECT(sample_identity, SAMPLE_IDENTITY, .prose = "Who calls and how it is shown.");
CONFIG_OBJECT(sample_limit, SAMPLE_LIMIT, .prose = "One bucket.");
CONFIG_OBJECT(sample_rate, SAMPLE_RATE, .prose = "Token buckets.", .checks = rate_checks);
CONFIG_OBJECT(sample_upstream, SAMPLE_UPSTREAM, .prose = "Servers behind the gateway.");
CONFIG_OBJECT(sample_sandbox, SAMPLE_SANDBOX, .prose = "Containers.");
CONFIG_OBJECT(sample, SAMPLE, .prose = "A sample configuration.");

/* The environment of a test: "NAME=value" texts, each with a NUL behind it. */
static inline const char *
sample_getenv(const char *name, void *arg)
{
	struct span rest = *(const struct span *)arg;
	size_t n = strlen(name);

	while (rest.n > 0) {
		size_t end = span_find(rest, '\0');
		if (end > n && memcmp(rest.p, name, n) == 0 && rest.p[n] == '=')
			return rest.p + n + 1;
		rest = span_from(rest, end < rest.n ? end + 1 : end);
	}
	return NULL;
}

#endif
