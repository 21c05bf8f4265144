/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash chain (decisions 11, nomos-http.md 6.6): the body of a record is its canonical bytes
 * with chain_id, seq and prev_event_hash and without event_hash; event_hash = hex SHA-256(body ||
 * ASCII hex of the previous event_hash). Every reader and writer of a chain uses these functions
 * and no other. Pure; any thread.
 */
#ifndef AUDIT_CHAIN_H
#define AUDIT_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/record.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/span.h"

struct buf;

#define CHAIN_ID_HEX 32 /* 16 random bytes as lower-case hex */

/* Where a chain stands: zero is the empty chain. */
struct chain_head {
	uint64_t seq;
	char hash[SHA256_HEX + 1]; /* lower-case hex; "" when seq is 0 */
};

/* What is wrong with a link. */
enum chain_fault {
	CHAIN_FAULT_NONE = 0,
	CHAIN_FAULT_MALFORMED, /* the body is not a record */
	CHAIN_FAULT_CHAIN_ID,  /* it belongs to another chain */
	CHAIN_FAULT_SEQ,       /* a record is missing, doubled or out of order */
	CHAIN_FAULT_PREVIOUS,  /* it does not continue the record before it */
	CHAIN_FAULT_HASH,      /* its bytes were changed */
};

/* The chain's own members of a body, and what tells intents from outcomes; spans into it. An absent member is
 * the empty span, or 0. */
struct chain_fields {
	struct span chain_id;
	struct span event_type;
	struct span prev_event_hash;
	struct span timestamp;
	uint64_t seq;
	/* raw, the first of its name */
	struct span decision;
	struct span intent_seq;
	struct span result_classification;
};

/* event_hash of a body; prev_hash is 64 hex digits or empty. */
void chain_hash(struct span body, struct span prev_hash, char out[SHA256_HEX + 1]);

/* Appends the body of the record that follows head: text with chain_id, prev_event_hash, seq and
 * timestamp (RFC 3339 text) spliced in. The buffer's failure mark says whether it fitted. */
void chain_build_body(const struct record_text *text, const char *chain_id,
	const struct chain_head *head, struct span timestamp, struct buf *out);

/* Reads the members above in one pass without building a tree; false when the frame of the
 * top-level object (names, strings, separators, its end) is not whole. Values are skipped, not
 * judged: that is the hash's part. */
MUSTCHECK bool chain_read_fields(struct span body, struct chain_fields *out);
/* The raw value of the top-level member `name` (with its quotes when it is a string); empty when
 * absent or malformed. */
struct span chain_find_member(struct span body, struct span name);
/* The same for n of them in one pass. */
void chain_find_members(struct span body, const struct span *names, size_t n, struct span *values);

/*
 * Checks that (seq, body, hash) is the next link behind *head and moves *head to it. chain_id:
 * CHAIN_ID_HEX digits, or NULL to take any. hash: 64 hex digits. On a fault *head is unchanged.
 */
MUSTCHECK enum chain_fault chain_check(const char *chain_id, struct chain_head *head, uint64_t seq,
	struct span body, struct span hash);
/* The same, of a body whose members chain_read_fields has read already. */
MUSTCHECK enum chain_fault chain_check_fields(const char *chain_id, struct chain_head *head,
	uint64_t seq, struct span body, const struct chain_fields *f, struct span hash);
/* A clause such as "the record was changed". Static. */
const char *chain_fault_text(enum chain_fault fault);

/* Appends the export line (no newline): the body with event_hash at its sorted place. False when
 * body is malformed. */
MUSTCHECK bool chain_build_line(struct span body, struct span hash, struct buf *out);
/* The inverse: appends the body to out; *hash becomes a span into line, empty when the line has
 * no event_hash. */
MUSTCHECK bool chain_parse_line(struct span line, struct buf *out, struct span *hash);

#endif
