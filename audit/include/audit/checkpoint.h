/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed statements about where a chain stands (decisions 12, 13): Ed25519 over the fixed text of
 * checkpoint_build_text. They are records of type "checkpoint" in the chain and go to every sink;
 * the newest is also the head file `<ledger>.head` beside the database. Private keys live in
 * files only their owner may read. Any thread.
 */
#ifndef AUDIT_CHECKPOINT_H
#define AUDIT_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/sign.h"
#include "base/span.h"

struct buf;

/* event_type of the record. */
#define CHECKPOINT_EVENT "checkpoint"
/* First line of the signed text. */
#define CHECKPOINT_DOMAIN "nomos.checkpoint.v1"

struct checkpoint {
	char chain_id[CHAIN_ID_HEX + 1];
	struct chain_head at; /* the last record it covers: in a record, the one before it */
	char key_id[SIGN_KEY_ID_HEX + 1];
	uint8_t signature[SIGN_ED25519_BYTES];
};

/* Appends "nomos.checkpoint.v1\n<chain_id>\n<seq>\n<hash>" (no newline at the end). */
void checkpoint_build_text(const struct checkpoint *cp, struct buf *out);
/* Fills key_id and signature from chain_id and at. ERR_CRYPTO. */
MUSTCHECK enum err checkpoint_sign(
	const struct sign_key *key, struct checkpoint *cp, struct errinfo *ei);
bool checkpoint_is_signed_by(const struct checkpoint *cp, const struct sign_key *public_key);
/* The same for other statements about a place, each with a first line (under 64 bytes) of its own: a
 * signature for one never counts for another. */
MUSTCHECK enum err checkpoint_sign_as(
	const char *domain, const struct sign_key *key, struct checkpoint *cp, struct errinfo *ei);
bool checkpoint_is_signed_as(
	const char *domain, const struct checkpoint *cp, const struct sign_key *public_key);

/* Reads a checkpoint record's body. False when it is another type of record or malformed; the
 * signature is not checked. */
MUSTCHECK bool checkpoint_parse_record(struct span body, struct checkpoint *out);
/* The same for who must tell them apart: ERR_PARSE, ERR_NOMEM. */
MUSTCHECK enum err checkpoint_read_record(
	struct span body, struct checkpoint *out, struct errinfo *ei);

/* Head file: canonical JSON {chain_id, hash, key_id, seq, signature}, signature in base64. */
void checkpoint_build_head(const struct checkpoint *cp, struct buf *out);
/* ERR_PARSE. */
MUSTCHECK enum err checkpoint_parse_head(
	struct span text, struct checkpoint *out, struct errinfo *ei);
/* Blocking. ERR_NOT_FOUND, ERR_PARSE, ERR_IO. */
MUSTCHECK enum err checkpoint_read_head(
	const char *path, struct checkpoint *out, struct errinfo *ei);
/* Blocking; replaces the file atomically. ERR_IO. */
MUSTCHECK enum err checkpoint_write_head(
	const char *path, const struct checkpoint *cp, struct errinfo *ei);

/*
 * What a new chain says about the one it replaces (decisions 12). `nomos audit seal --reason`
 * moves the damaged ledger and its head file away and writes `<ledger>.seal`, canonical JSON
 * {chain_id, hash, reason, seq}; the next ledger_open makes a new ledger, copies it into the
 * record chain.start (previous_chain, reason) and removes the file.
 */
#define CHECKPOINT_REASON_MAX 512
struct checkpoint_seal {
	char chain_id[CHAIN_ID_HEX + 1]; /* of the old chain, "" when unknown */
	struct chain_head at;            /* the last of it that is known, seq 0 when unknown */
	char reason[CHECKPOINT_REASON_MAX + 1];
};
/* Blocking. ERR_NOT_FOUND, ERR_PARSE, ERR_IO. */
MUSTCHECK enum err checkpoint_read_seal(
	const char *path, struct checkpoint_seal *out, struct errinfo *ei);
MUSTCHECK enum err checkpoint_write_seal(
	const char *path, const struct checkpoint_seal *seal, struct errinfo *ei);

/*
 * Loads the private key in PEM at key_path. When there is none and create is true, makes one
 * (mode 0600) and its public half at pub_path. ERR_NOT_FOUND; ERR_FORBIDDEN when group or others
 * have any right to the file, or it is not ours; ERR_PARSE, ERR_IO, ERR_CRYPTO. Blocking.
 */
MUSTCHECK enum err checkpoint_load_key(const char *key_path, const char *pub_path, bool create,
	struct sign_key **out, struct errinfo *ei);
/* Loads a public key in PEM. ERR_NOT_FOUND, ERR_PARSE, ERR_IO. Blocking. */
MUSTCHECK enum err checkpoint_load_public_key(
	const char *path, struct sign_key **out, struct errinfo *ei);

#endif
