/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The search index `<ledger>.idx` as a file (decisions 18): what it holds and how places in it are
 * reckoned. It is derived: whatever is wrong with it, it is thrown away and filled anew, and what it
 * finds is read again from the ledger. Private to index_*.c and search.c.
 *
 * Records are indexed in segments of 2^shift sequence numbers, and the segment leads every key: an
 * insert touches the pages of the newest segment only, however large the file has become, and a
 * search goes from segment to segment in the order of its answers.
 *
 *   entries(segment, field, value, seq, more)  WITHOUT ROWID; value: the first INDEX_VALUE_MAX bytes of the
 *       member's text as it stands in the record, without its quotes; seq and more: the records of one
 *       batch that have it, as index_postings.h says. Rows of one value do not overlap
 *   times(level, block, low, high)       the times of 2^INDEX_BLOCK_SHIFT records (level 0) and of a
 *       segment (level 1), nanoseconds
 *   meta(key, value)                     chain_id, shift, seq and hash of the last record indexed
 */
#ifndef AUDIT_INDEX_LAYOUT_H
#define AUDIT_INDEX_LAYOUT_H

#include <stdint.h>

#include "audit/chain.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct db;
struct db_stmt;
struct postings;
struct store_reader;

#define INDEX_APPLICATION_ID 0x6e6f6d69 /* "nomi" */
#define INDEX_VERSION 2
#define INDEX_SHIFT 17 /* of a segment: 131,072 records */
#define INDEX_BLOCK_SHIFT 10
#define INDEX_VALUE_MAX 64
#define INDEX_PATH_MAX 4096
#define INDEX_SUFFIX ".idx"

/* X(ID, number in the file, member of the record) */
#define INDEX_FIELDS(X)                                                                            \
	X(INDEX_ACTION_ID, 1, "action_id")                                                         \
	X(INDEX_TRACE_ID, 2, "trace_id")                                                           \
	X(INDEX_PRINCIPAL, 3, "principal")                                                         \
	X(INDEX_AGENT, 4, "agent")                                                                 \
	X(INDEX_ACTION_TYPE, 5, "action_type")                                                     \
	X(INDEX_DECISION, 6, "decision")                                                           \
	X(INDEX_CLASS, 7, "result_classification")                                                 \
	X(INDEX_EVENT_TYPE, 8, "event_type")

enum index_field {
	INDEX_NONE = 0,
#define X(id, number, member) id = (number),
	INDEX_FIELDS(X)
#undef X
		INDEX_FIELDS_END
};
#define INDEX_N_FIELDS (INDEX_FIELDS_END - 1)

enum index_level { INDEX_LEVEL_BLOCK = 0, INDEX_LEVEL_SEGMENT };

/* What the file says about itself. */
struct index_header {
	char chain_id[CHAIN_ID_HEX + 1];
	unsigned shift;
	struct chain_head at; /* the last record that is indexed; seq 0: none */
};

/* NULL for a number that is no field. */
const char *index_field_member(int field);
/* The bytes that stand for a member's value, given raw with its quotes; empty when it is no text. */
struct span index_field_value(struct span raw);

/* ERR_INVALID (not an index), ERR_UNSUPPORTED (another version), and those of db_prepare. */
MUSTCHECK enum err index_read_header(struct db *db, struct index_header *out, struct errinfo *ei);
/* The row of entries that a statement stands on, whose columns are seq and more. ERR_CORRUPT. */
MUSTCHECK enum err index_read_row(struct db_stmt *st, struct postings *p, struct errinfo *ei);
/* Whether the index is of that chain and ends at a record of its ledger: ERR_INVALID when not, and those of
 * store_reader_page. */
MUSTCHECK enum err index_check_ledger(const struct index_header *h, struct span chain_id,
	struct store_reader *ledger, struct errinfo *ei);

#endif
