/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The inside of struct identity_table, shared by the files of this folder and by nobody else. */
#ifndef PIPELINE_IDENTITY_ROWS_H
#define PIPELINE_IDENTITY_ROWS_H

#include "identity/identity_table.h"
#include "identity/signature.h"

struct address_network;
struct arena;
struct map;
struct oidc;
struct peer_names;

#define IDENTITY_MAGIC 0x1de27a81u

struct name_list {
	const struct span *names;
	size_t n;
};

/* An API key of which the hash is configured, found by its id. */
struct hashed_key {
	struct span principal;
	uint8_t hash[SHA256_BYTES];
	unsigned roles;          /* bits that it may use of those its principal holds */
	int64_t expires_wall_ns; /* 0: never */
	struct name_list agents; /* none: any */
	const struct address_network *networks;
	size_t n_networks; /* 0: from anywhere */
};

/* Fills *key but its hash and principal from the row. ERR_NOMEM, and ERR_INVALID for what options.c refuses. */
MUSTCHECK enum err hashed_key_fill(struct hashed_key *key, const struct identity_key_section *row,
	struct arena *a, struct errinfo *ei);
MUSTCHECK bool name_list_copy(
	struct arena *a, const struct config_strings *from, struct name_list *to);
bool name_list_has(const struct name_list *list, struct span name);

/* What an API key gives its bearer. */
struct grant {
	struct caller caller;
	const struct name_list *agents; /* NULL: any that its principal may act through */
};
/* The key in the Authorization line, if it is one and good from here and now. */
MUSTCHECK bool identity_find_grant(const struct identity_table *t,
	const struct req_credentials *credentials, struct grant *out);

/* Who asks by that, or by certificate or token: all that identity_find_caller knows but the process. The caller in *out is to be
 * dropped. */
MUSTCHECK bool identity_find_shown(const struct identity_table *t,
	const struct req_credentials *credentials, struct grant *out);

/* Services, or agents, that sign. */
struct signer_table {
	struct map *by_id;    /* struct signer */
	size_t n_secrets_max; /* of any of them: as many are tried of each */
	size_t n_keys_max;
	struct sign_key
		*decoy; /* in the place of keys that are not there; NULL: there are none at all */
};

struct identity_table {
	unsigned magic;
	struct arena *arena;     /* names, rows */
	struct map *plain_keys;  /* SHA-256 of the key -> struct span, the principal */
	struct map *hashed_keys; /* id -> struct hashed_key */
	struct signer_table services;
	struct signer_table agents;
	unsigned versions; /* bits of enum signature_version */
	struct nonce_limits nonces;
	struct map *pairs; /* principal -> struct name_list of agents */
	struct name_list roles[ROLE_OPERATOR + 1];
	struct name_list group_roles[ROLE_OPERATOR + 1]; /* groups of tokens by role */
	bool has_roles;
	struct name_list approvers; /* approvals.approver_principals */
	struct span environment;
	struct peer_names *peer_names;
	struct oidc *oidc; /* NULL: tokens are not accepted */
};

/* Both maps may name a signer. A key that is no Ed25519 public key is ERR_PARSE. */
MUSTCHECK enum err signer_table_fill(struct signer_table *t, const struct config_map *secrets,
	const struct config_map *keys, struct arena *a, struct errinfo *ei);
void signer_table_clear(struct signer_table *t);

#endif
