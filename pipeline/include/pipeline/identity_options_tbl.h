/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The rows of `identity` and of its hashed keys (config/table.h says how rows work). Includers expand them. */
#ifndef PIPELINE_IDENTITY_OPTIONS_TBL_H
#define PIPELINE_IDENTITY_OPTIONS_TBL_H

#include <stddef.h>

/* The widest window of signatures, which nonces are remembered for. */
#define NONCE_WINDOW_MAX_S 3600

/* clang-format off */
#define IDENTITY_KEY_ROWS(ROW, T) \
	ROW(T, STRING, id, .min = 1, .max = 64, .flags = CONFIG_REQUIRED, \
		.prose = "The ID of a key nk_ID_SECRET: letters and digits.") \
	ROW(T, STRING, principal, .flags = CONFIG_REQUIRED, .max = 256, \
		.prose = "Who the bearer of the key is.") \
	ROW(T, STRING, hash, .flags = CONFIG_REQUIRED, .max = 128, \
		.prose = "sha256: and the lower-case hex SHA-256 of the whole key.") \
	ROW(T, STRING, owner, .max = 256, \
		.prose = "Whom to ask about the key; for people, nothing depends on it.") \
	ROW(T, STRINGS, roles, .max = 3, .words = "viewer|approver|operator", \
		.prose = "Of the principal's roles, those that this key may use; all, when none is named.") \
	ROW(T, STRING, expires, .max = 64, \
		.prose = "When the key becomes unknown, such as 2027-01-31T00:00:00Z; never, when not set.") \
	ROW(T, STRINGS, agents, .max = 1024, \
		.prose = "Of the principal's agents, those that this key may act through; all, when none is named.") \
	ROW(T, STRINGS, networks, .max = 64, \
		.prose = "Addresses and networks (10.0.0.0/8) that the key is known from; all, when none is named.")

#define IDENTITY_ROWS(ROW, T) \
	ROW(T, STRING, principal, .max = 256, .env = CONFIG_ENV, \
		.flags = CONFIG_REQUIRED | CONFIG_RELOAD, \
		.prose = "The principal that NOMOS_IDENTITY_API_KEY belongs to, and that tools act as.") \
	ROW(T, STRING, agent, .max = 256, .env = CONFIG_ENV, .flags = CONFIG_REQUIRED | CONFIG_RELOAD, \
		.prose = "The agent that NOMOS_IDENTITY_AGENT_SECRET belongs to, and that tools act as.") \
	ROW(T, STRING, environment, .max = 256, .env = CONFIG_ENV, \
		.flags = CONFIG_REQUIRED | CONFIG_RELOAD, \
		.prose = "The environment of every action, for policy and records.") \
	ROW(T, MAP, api_keys, .env = "NOMOS_IDENTITY_API_KEY", .env_with = "principal", \
		.flags = CONFIG_RELOAD | CONFIG_SECRET_KEYS | CONFIG_ENV_IS_NAME, \
		.prose = "API keys in clear and the principal of each; prefer hashed_keys.") \
	ROW(T, LIST(identity_key_section), hashed_keys, .flags = CONFIG_RELOAD, \
		.prose = "API keys of the form nk_ID_SECRET, of which only the hash is kept.") \
	ROW(T, MAP, service_secrets, \
		.flags = CONFIG_RELOAD | CONFIG_SECRET_VALUES | CONFIG_VALUE_LISTS, \
		.prose = "Services that sign their requests, and the secret of each; a list while it is being replaced.") \
	ROW(T, MAP, agent_secrets, .env = "NOMOS_IDENTITY_AGENT_SECRET", .env_with = "agent", \
		.flags = CONFIG_RELOAD | CONFIG_SECRET_VALUES | CONFIG_VALUE_LISTS, \
		.prose = "Agents and the secret that each signs its requests with; a list while it is being replaced.") \
	ROW(T, MAP, service_public_keys, .flags = CONFIG_RELOAD | CONFIG_VALUE_LISTS, \
		.prose = "Services that sign with Ed25519, and the public key of each (PEM).") \
	ROW(T, MAP, agent_public_keys, .flags = CONFIG_RELOAD | CONFIG_VALUE_LISTS, \
		.prose = "Agents that sign with Ed25519, and the public key of each (PEM).") \
	ROW(T, STRINGS, signature_versions, .def = "v1,v2", .words = "v1|v2", .max = 2, \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Request signatures that are taken; v1 covers the body alone, so what was seen can be sent again.") \
	ROW(T, INT, signature_window_seconds, .def = "300", .min = 1, .max = NONCE_WINDOW_MAX_S, \
		.unit = "seconds", .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "How far the timestamp of a v2 signature may be from now, either way.") \
	ROW(T, INT, max_nonces, .def = "4000000", .min = 1024, .max = 1000000000, .unit = "nonces", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Nonces of v2 signatures in memory; behind that requests signed so get 401.") \
	ROW(T, INT, max_nonces_per_signer, .def = "1000000", .min = 16, .max = 1000000000, \
		.unit = "nonces", .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Nonces of one agent or service, each kept for the window; behind that it gets 401.") \
	ROW(T, MAP_STRINGS, roles, .flags = CONFIG_RELOAD, \
		.prose = "Principals by role: viewer, approver, operator.") \
	ROW(T, MAP_STRINGS, principal_agents, .flags = CONFIG_RELOAD, \
		.prose = "The agents a principal may act through; any, for principals not listed.") \
	ROW(T, OBJECT(oidc_section), oidc, \
		.prose = "Principals from signed tokens of an identity provider.") \
	ROW(T, OBJECT(spiffe_section), spiffe, \
		.prose = "Principals from the SPIFFE IDs of client certificates.") \
	ROW(T, OBJECT(mtls_section), mtls, \
		.prose = "Principals from other names of client certificates.") \
	ROW(T, OBJECT(unix_section), unix, .prose = "Principals from processes of this host.")
/* clang-format on */

#endif
