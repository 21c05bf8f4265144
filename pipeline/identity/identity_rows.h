/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The inside of struct identity_table, shared by the files of this folder and by nobody else. */
#ifndef PIPELINE_IDENTITY_ROWS_H
#define PIPELINE_IDENTITY_ROWS_H

#include "identity/identity_table.h"

struct arena;
struct map;
struct secret;

#define IDENTITY_MAGIC 0x1de27a81u

/* An API key of which the hash is configured, found by its id. */
struct hashed_key {
	struct span principal;
	uint8_t hash[SHA256_BYTES];
};

/* A service or an agent that signs. */
struct signer {
	struct span id;
	struct secret *secret;
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
	struct map *services;    /* id -> struct signer */
	struct map *agents;      /* id -> struct signer */
	struct map *pairs;       /* principal -> struct name_list of agents */
	struct name_list roles[ROLE_OPERATOR + 1];
	bool has_roles;
	struct name_list approvers; /* approvals.approver_principals */
	struct span environment;
};

/* 64 lower-case hex digits; blanks around them do not count. */
bool signature_is_wellformed(struct span signature);
/*
 * Whether signature is the lower-case hex HMAC-SHA256 of body under the secret of that id. An unknown id costs the same
 * work. *found gets the row when true, and only then.
 */
bool signature_is_valid(const struct map *signers, struct span id, struct span signature,
	struct span body, const struct signer **found);

#endif
