/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One proposed action: parsed from the wire form (nomos-http.md 1.4), normalised (nomos-policy.md 4), typed.
 * The resource, path, argv and content that are made here are what the rules judge and what the executor touches;
 * nobody parses the request a second time. Everything lives in the caller's arena and borrows from the
 * body. Pure; any thread, one arena per call.
 */
#ifndef POLICY_ACTION_H
#define POLICY_ACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/span.h"
#include "policy/identity.h"

struct arena;

#define ACTION_BODY_BYTES_MAX 65536
#define ACTION_PARAMS_BYTES_MAX 32768
#define ACTION_CONTEXT_BYTES_MAX 8192
/* No cap in the reference. A resource stands three times in a record, where a byte can take six, and is the key of rate limits. */
#define ACTION_RESOURCE_BYTES_MAX 8192

enum action_kind {
	ACTION_CUSTOM = 0, /* decided here, carried out by the caller */
	ACTION_FS_READ,
	ACTION_FS_WRITE,
	ACTION_REPO_APPLY_PATCH,
	ACTION_PROCESS_EXEC,
	ACTION_NET_HTTP_REQUEST,
	ACTION_SECRETS_CHECKOUT,
	ACTION_KIND__MAX
};

/* Risk flags as bits; names "risk.exec" ... by action_risk_name. */
enum action_risk {
	RISK_EXEC = 1u << 0,
	RISK_NET = 1u << 1,
	RISK_WRITE = 1u << 2,
	RISK_SECRETS = 1u << 3,
	RISK_LARGE_IO = 1u << 4,
	RISK_HIGH_FANOUT = 1u << 5,
};

enum resource_scheme {
	RESOURCE_CUSTOM = 0,
	RESOURCE_FILE,
	RESOURCE_REPO,
	RESOURCE_URL,
	RESOURCE_SECRET,
};

/* The one resolved object. */
struct resource {
	enum resource_scheme scheme;
	struct span text; /* the normal form, e.g. file://workspace/a/b */
	struct span host; /* of text */
	/* Of text, with its leading "/"; for RESOURCE_FILE what follows it is relative to the workspace root. */
	struct span path;
};

/*
 * Typed parameters of the built-in kinds. Members not of the kind are empty; all are while params_err is not OK. Paths are
 * plain text relative to the workspace root, cleaned: no "..", no leading slash, no backslash, no control byte.
 */
struct action_params {
	struct span content;     /* fs.write, repo.apply_patch: decoded text; may be empty */
	struct span path;        /* repo.apply_patch */
	const struct span *argv; /* process.exec: at least one token, none holds NUL */
	size_t n_argv;
	struct span cwd; /* empty: the workspace root */
	const struct span *env_keys;
	size_t n_env_keys;
	const struct span *lease_ids;
	size_t n_lease_ids;
	struct span method; /* net.http_request: a token, default GET */
	struct span body;
	/* net.http_request: object of strings, no two names alike, or NULL */
	const struct json *headers;
	struct span secret_id; /* secrets.checkout */
};

struct action {
	/* From action_parse. */
	struct span schema_version;
	struct span action_id;
	struct span trace_id;
	struct span action_type;
	struct span resource_raw; /* trimmed, as the client wrote it */
	const struct json *params_json;
	const struct json *extensions; /* context.extensions object, or NULL */
	struct span params_raw;        /* the params value as written */
	enum action_kind kind;
	/* From action_normalize. */
	struct identity identity;
	struct resource resource;
	struct action_params params;
	/* OK, or why the typed parameters are unusable (decisions 2): an ALLOW becomes DENY invalid_params. */
	enum err params_err;
	struct span params_problem;
	struct span params_canonical;
	char params_hash[SHA256_HEX + 1];
	char fingerprint[SHA256_HEX + 1];  /* approval_fingerprint on the wire */
	char binding_hash[SHA256_HEX + 1]; /* numbers typed apart from strings (decisions 9) */
	uint32_t risk;                     /* enum action_risk bits */
};

/*
 * Reads a request body. Field problems are collected in the reference's order and joined with "; ". ERR_PARSE (JSON
 * level), ERR_INVALID (fields), both 400 validation_error with ei->msg as the text; ERR_TOO_LARGE when body is over
 * ACTION_BODY_BYTES_MAX (413) or the arena is full.
 */
MUSTCHECK enum err action_parse(
	struct span body, struct arena *a, struct action **out, struct errinfo *ei);
/* The file form of `policy test` and /api/ui/explain: the same members plus principal, agent, environment (all
 * required), which go to *identity. The limits of the wire form hold here too. */
MUSTCHECK enum err action_parse_file(struct span text, struct arena *a, struct action **out,
	struct identity *identity, struct errinfo *ei);
/*
 * Gives the action its normal form, typed parameters, hashes and risk. ERR_NORMALIZE with the reference's text
 * ("file path traversal detected"), ERR_INVALID ("verified identity is required"), ERR_TOO_LARGE for the arena.
 * Unusable typed parameters are not an error here: they are kept in params_err.
 */
MUSTCHECK enum err action_normalize(struct action *action, const struct identity *identity,
	struct arena *a, struct errinfo *ei);

/*
 * The normal form alone, for tools, corpora and reports. custom: whether the type is not built in. Escapes are decoded once:
 * the text is no URI any more and must not be read as one again. Its scheme follows from the text.
 */
MUSTCHECK enum err resource_normalize(
	struct span raw, bool custom, struct arena *a, struct resource *out, struct errinfo *ei);

/* ACTION_CUSTOM for a type that is not built in. */
enum action_kind action_kind_of(struct span action_type);
/* "fs.read"; "" for ACTION_CUSTOM. */
const char *action_kind_name(enum action_kind kind);
/* "risk.exec" for RISK_EXEC. */
const char *action_risk_name(enum action_risk flag);
/* "high", "medium", "low" (nomos-policy.md 2.4). */
const char *action_risk_level(uint32_t risk);
/* Bits for a flag name in any case; 0 when unknown. */
uint32_t action_risk_parse(struct span name);

#endif
