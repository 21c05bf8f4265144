/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A ledger as JSON lines (decisions 11, 13): each record as it was hashed with its event_hash, then
 * the trailer. A whole chain or nothing: part of one cannot be verified. Blocking; the command
 * line's thread.
 */
#ifndef AUDIT_EXPORT_H
#define AUDIT_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"
#include "base/attr.h"
#include "base/err.h"

struct sign_key;
struct source;

struct export_options {
	int fd;                     /* where the lines go; borrowed */
	const struct sign_key *key; /* of this ledger; NULL: the trailer stays unsigned */
	/* Called every few thousand records; may be NULL. */
	void (*progress)(void *arg, uint64_t n_records);
	void *progress_arg;
};

struct export_result {
	uint64_t n_records;
	struct chain_head head; /* as the trailer says */
	uint64_t bad_seq;       /* the first record that does not continue the chain; 0: none. Then
				   nothing was signed */
};

/*
 * Writes a ledger's records up to the head it was opened with. A broken chain is written as it is,
 * unsigned. ERR_INVALID (s is an export, there is no record, the key is not this chain's),
 * ERR_CORRUPT (a record cannot be written as a line: no trailer follows), ERR_IO (also when the
 * reader went away), ERR_NOMEM, ERR_CRYPTO.
 */
MUSTCHECK enum err export_write(struct source *s, const struct export_options *o,
	struct export_result *out, struct errinfo *ei);

#endif
