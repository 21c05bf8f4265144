/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The inside of struct identity_table, shared by the files of this folder and by nobody else. */
#ifndef PIPELINE_IDENTITY_ROWS_H
#define PIPELINE_IDENTITY_ROWS_H

#include "identity/identity_table.h"
#include "identity/signature.h"

struct arena;
struct map;

#define IDENTITY_MAGIC 0x1de27a81u

/* An API key of which the hash is configured, found by its id. */
struct hashed_key {
	struct span principal;
	uint8_t hash[SHA256_BYTES];
};

/* Services, or agents, that sign. */
struct signer_table {
	struct map *by_id;    /* struct signer */
	size_t n_secrets_max; /* of any of them: as many are tried of each */
	size_t n_keys_max;
	struct sign_key
		*decoy; /* in the place of keys that are not there; NULL: there are none at all */
};

struct name_list {
	const struct span *names;
	size_t n;
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
	bool has_roles;
	struct name_list approvers; /* approvals.approver_principals */
	struct span environment;
};

/* Both maps may name a signer. A key that is no Ed25519 public key is ERR_PARSE. */
MUSTCHECK enum err signer_table_fill(struct signer_table *t, const struct config_map *secrets,
	const struct config_map *keys, struct arena *a, struct errinfo *ei);
void signer_table_clear(struct signer_table *t);

#endif
