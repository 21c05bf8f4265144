/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a ledger or an export is whole (decisions 13): every link of the chain, every
 * checkpoint's signature, the head file or the trailer. What a witness outside of this host remembers:
 * audit/witness.h. Names the first bad record and why. Blocking; the command line's thread, doctor's.
 */
#ifndef AUDIT_VERIFY_H
#define AUDIT_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"
#include "audit/trailer.h"
#include "base/attr.h"
#include "base/err.h"

struct checkpoint;
struct source;
struct sign_key;

struct verify_options {
	const struct sign_key
		*key; /* checkpoints must verify with it; NULL: signatures are not judged */
	const struct chain_head *expected; /* this link must be in the chain; NULL: none */
	/* What `<ledger>.head` holds, read before the source was opened: a gateway writes record
	 * first, head file second. */
	const struct checkpoint *head_file;
	/* Paths of exports that come before the source, in the order of the chain (audit/archive.h).
	 * The source has to go on where they end. */
	char *const *archives;
	size_t n_archives;
	/* Called every few thousand records; may be NULL. */
	void (*progress)(void *arg, uint64_t n_records);
	void *progress_arg;
};

struct verify_result {
	bool is_good;
	uint64_t n_records;
	/* The record before the first that was read, as the ledger's signed anchor says, or the signed
	 * checkpoint with which an export begins: what comes before it is in archives that were not
	 * given. seq 0: all was read. */
	struct chain_head anchor;
	size_t n_archives;      /* of those given, how many are good */
	bool is_archive_bad;    /* bad_seq and bad_line are of archive n_archives, from 0 */
	struct chain_head head; /* the last good record */
	char chain_id[CHAIN_ID_HEX + 1];
	uint64_t n_checkpoints;
	uint64_t last_checkpoint; /* seq of the newest good checkpoint record; 0: none */
	bool has_trailer;
	bool is_trailer_signed; /* it carries a signature, which verifies when there is a key */
	uint64_t bad_seq;       /* of the first bad record; 0 when it is not about one */
	uint64_t bad_line;      /* of an export */
	char reason[256]; /* why not, when !is_good: begins with edited, missing, reordered, cut
			     off, ... */
};

/* OK whatever the verdict is; ERR_BUSY: a running gateway archived records while they were read, so
 * there is none; ERR_IO, ERR_CORRUPT and the like when the source cannot be read to
 * its end: the result then says how far it was good. */
MUSTCHECK enum err verify_source(struct source *s, const struct verify_options *o,
	struct verify_result *out, struct errinfo *ei);

#endif
