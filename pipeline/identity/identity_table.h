/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may ask and who acts: API keys, signing services and agents, pairs and roles of one snapshot (nomos-http.md 2). Built
 * once, immutable from then on; any thread. Keys in clear are kept only as SHA-256, shared secrets in struct secret.
 */
#ifndef PIPELINE_IDENTITY_TABLE_H
#define PIPELINE_IDENTITY_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/span.h"
#include "identity/nonce_table.h"
#include "pipeline/options.h"
#include "pipeline/req.h"
#include "policy/identity.h"

struct config_strings;
struct identity_table;
struct key_ring;
struct key_source_state;

/* Copies what it needs from the options. approvers (may be NULL) hold the role approver as well. ERR_NOMEM. */
MUSTCHECK enum err identity_table_new(const struct identity_section *options,
	const struct config_strings *approvers, struct identity_table **out, struct errinfo *ei);
/* Wipes the secrets; accepts NULL. */
void identity_table_free(struct identity_table **t);

/*
 * The triple behind a request: principal by API key, certificate, token, service signature or process; agent by signature; the
 * configured environment. Nonces are used up when all is good. The spans of *out live as long as the table and *by, which is to be
 * dropped (it is nobody on failure). ERR_AUTH with the text for the
 * client, the same for an unknown name and a wrong secret, after the same work; *why is for the log, static, "" when there is
 * nothing to say.
 */
MUSTCHECK enum err identity_authenticate(const struct identity_table *t, struct nonce_table *nonces,
	const struct req_credentials *credentials, struct span body, struct identity *out,
	struct caller *by, const char **why, struct errinfo *ei);

/*
 * The triple behind a request without a body: what stands for a principal, and an agent that its principal may act through, by its name, or by a
 * signature of version 2 when there is one; or service and agent, both by such a signature. Those of version 1 would
 * never change over an empty body and do not count. ERR_AUTH.
 */
MUSTCHECK enum err identity_find_reader(const struct identity_table *t, struct nonce_table *nonces,
	const struct req_credentials *credentials, struct identity *out, struct caller *by);

/* Whether something stands for a principal, be it a service's signature of this body; no nonce is used up, and the agent is not looked at. */
bool identity_is_known(const struct identity_table *t, const struct req_credentials *credentials,
	struct span body);

/*
 * Before the body is here: the text of the answer when no body could make these credentials valid, because nothing
 * stands for a principal and no service may have signed, or a signature is missing or not of its form; else empty. Static.
 */
struct span identity_find_flaw(
	const struct identity_table *t, const struct req_credentials *credentials);

/*
 * The tokens of identity.oidc, with keys of a file or of the ring (NULL: none are fetched). Before the table is used by others. ERR_*
 * as oidc_new.
 */
MUSTCHECK enum err identity_open_tokens(struct identity_table *t,
	const struct oidc_section *options, struct key_ring *ring, struct errinfo *ei);
/* How the fetched keys are; false: none are fetched. */
bool identity_get_key_state(const struct identity_table *t, struct key_source_state *out);

/* Who asks: API key, SPIFFE ID, other names of the certificate, token, process on a unix socket; the first that holds. Never by a
 * service's signature. ERR_AUTH, and *out is nobody; else the caller drops it. */
MUSTCHECK enum err identity_find_caller(const struct identity_table *t,
	const struct req_credentials *credentials, struct caller *out);
/* The process alone. */
MUSTCHECK enum err identity_find_process(const struct identity_table *t,
	const struct req_credentials *credentials, struct caller *out);
/* By a token's text; and again, by whom it named, who may not be accepted any more. */
MUSTCHECK enum err identity_find_token(
	const struct identity_table *t, struct span token, struct caller *out);
MUSTCHECK enum err identity_find_holder(
	const struct identity_table *t, struct token_holder *holder, struct caller *out);

/* The part behind "Bearer ", trimmed; empty when the scheme is another. */
struct span identity_read_bearer(struct span authorization);

/* What is kept of an API key to find it again, in the tables of later snapshots too: never its text. A plain value. */
#define KEY_ID_BYTES_MAX 64
struct key_mark {
	uint8_t hash[SHA256_BYTES];
	char id[KEY_ID_BYTES_MAX + 1]; /* "" of a key that is configured in clear */
};
/* Takes the mark of any text; whether there is such a key is for identity_find_mark to say. */
void identity_mark_key(struct span key, struct key_mark *out);
/* The caller by the key with that mark, from that numeric address. ERR_AUTH: there is none, or not any more, or not from there, and
 * *out is nobody. */
MUSTCHECK enum err identity_find_mark(const struct identity_table *t, const struct key_mark *mark,
	struct span client_address, struct caller *out);
/* API keys that are configured in clear. */
size_t identity_count_plain_keys(const struct identity_table *t);
/* Whether the principal holds the role; operators and approvers may view. */
bool identity_has_role(const struct identity_table *t, struct span principal, enum role role);
/* All that it holds: bits 1 << enum role. */
unsigned identity_get_roles(const struct identity_table *t, struct span principal);
/* What the groups of a token hold beside that (identity.oidc.roles). */
unsigned identity_get_group_roles(
	const struct identity_table *t, const struct span *groups, size_t n_groups);

/* "viewer", "approver", "operator"; ROLE_NOBODY otherwise. */
enum role identity_role_parse(struct span name);
/* Letters and digits, 1 to 64. */
bool identity_key_id_is_valid(struct span id);
/* "sha256:" and 64 lower-case hex digits. */
bool identity_key_hash_parse(struct span text, uint8_t hash[SHA256_BYTES]);

#endif
