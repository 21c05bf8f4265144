/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a request of ours comes from: the API key of a principal, and the agent that signs
 * (nomos-http.md 2). The key is looked for in --key-file, NOMOS_API_KEY, keys/agent beside the
 * configuration, the configuration's own api_keys; the agent's secret in --agent-secret-file, then
 * in the configuration. Secrets are wiped by credentials_wipe. One thread.
 */
#ifndef CLI_CREDENTIALS_H
#define CLI_CREDENTIALS_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/sign.h"
#include "net/http.h"

struct gateway_section;
struct loaded_config;

#define CREDENTIALS_NONCE_BYTES 16

#define CREDENTIALS_HEADERS 7

/* The rows for the flags of a command. */
#define CREDENTIALS_FLAGS(where)                                                                   \
	{"config", "c", FLAG_TEXT, &(where).config, "FILE", "NOMOS_CONFIG",                        \
		"configuration, JSON or YAML"},                                                    \
		{"key-file", "k", FLAG_TEXT, &(where).key_file, "FILE", NULL,                      \
			"file with the API key; or NOMOS_API_KEY, or keys/agent beside FILE"},     \
		{"agent", "a", FLAG_TEXT, &(where).agent, "ID", NULL,                              \
			"agent that signs; default: identity.agent"},                              \
		{"agent-secret-file", NULL, FLAG_TEXT, &(where).secret_file, "FILE", NULL,         \
			"file with the agent's secret; default: identity.agent_secrets"},          \
		{"agent-key-file", NULL, FLAG_TEXT, &(where).agent_key_file, "FILE", NULL,         \
			"file with the agent's private Ed25519 key (PEM), instead of a secret"},   \
	{                                                                                          \
		"signature", NULL, FLAG_TEXT, &(where).version, "VERSION", NULL,                   \
			"v1 or v2; default: v2 where the configuration takes it"                   \
	}

/* Those of a command that acts as a person. */
#define CREDENTIALS_OPERATOR_FLAGS(where)                                                          \
	{"config", "c", FLAG_TEXT, &(where).config, "FILE", "NOMOS_CONFIG",                        \
		"configuration, JSON or YAML"},                                                    \
	{                                                                                          \
		"key-file", "k", FLAG_TEXT, &(where).key_file, "FILE", NULL,                       \
			"file with the API key; or NOMOS_API_KEY, or keys/operator beside FILE"    \
	}

/* What the command line says; each may be NULL. */
struct credentials_flags {
	const char *config;
	const char *key_file;
	const char *secret_file;
	const char *agent_key_file;
	const char *agent;
	const char *version;
};

struct credentials {
	struct loaded_config *config; /* NULL without a configuration */
	struct span agent;
	struct buf authorization; /* "Bearer KEY" */
	struct buf secret;
	struct sign_key *agent_key; /* NULL: the secret is used */
	bool is_v1;
	/* Of the request that headers were built for. */
	char signature[8 + 2 * SIGN_ED25519_BYTES];
	char timestamp[24];
	char nonce[2 * CREDENTIALS_NONCE_BYTES + 1];
};

/* A request to be signed. */
struct credentials_request {
	const char *method;
	struct span target; /* path with query */
	struct span idempotency_key;
	struct span body;
};

/*
 * Errors say which of the places above to fill: ERR_INVALID, ERR_NOT_FOUND, and those of the
 * configuration, whose issues have been printed then. *out is to be wiped in any case.
 */
MUSTCHECK enum err credentials_load(
	const struct credentials_flags *flags, struct credentials *out, struct errinfo *ei);
/* The key alone, of a person: the last place to look is keys/operator beside the configuration. */
MUSTCHECK enum err credentials_load_operator(
	const struct credentials_flags *flags, struct credentials *out, struct errinfo *ei);
void credentials_wipe(struct credentials *c);
/* NULL without a configuration. */
const struct gateway_section *credentials_view_gateway(const struct credentials *c);
/* The headers of that request, each time with a nonce of its own; borrowed from c and request until the next call. ERR_CRYPTO,
 * ERR_TOO_LARGE. */
MUSTCHECK enum err credentials_sign(struct credentials *c,
	const struct credentials_request *request, struct http_header headers[CREDENTIALS_HEADERS],
	size_t *n_headers, struct errinfo *ei);

#endif
