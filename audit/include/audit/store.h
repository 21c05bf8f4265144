/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The store behind the ledger: rows, no rules. A store belongs to the ledger's writer thread;
 * readers (verify, export, query, sinks that lag) use a store_reader, which never writes to the
 * file and pages with short transactions. An engine is a const table of functions (store_ops), so
 * that another one can take SQLite's place.
 *
 * Schema of the SQLite file (application_id STORE_APPLICATION_ID, user_version
 * STORE_SCHEMA_VERSION):
 *   records(seq INTEGER PRIMARY KEY, state INTEGER, hash BLOB, body BLOB)
 *       hash: the 32 raw bytes of event_hash; body: see chain.h;
 *       partial index records_open(state, seq) where state <> 0
 *   claims(kind INTEGER, key BLOB, seq INTEGER, binding_hash BLOB, state INTEGER,
 *       expires INTEGER, owner BLOB, PRIMARY KEY(kind, key))
 *       kind and key: see LEDGER_CLAIM_KEY; owner: 16 bytes, since version 2;
 *       claims_due(kind, expires), claims_owned(kind, owner, state), claims_listed(kind, state, seq)
 *   claim_bodies(kind INTEGER, key BLOB, body BLOB, PRIMARY KEY(kind, key))   goes with its claim;
 *       since version 2
 *   cursors(sink TEXT PRIMARY KEY, seq INTEGER)      last record the sink has taken
 *   meta(key TEXT PRIMARY KEY, value TEXT)           chain_id, created, checkpoint, probe, anchor
 */
#ifndef AUDIT_STORE_H
#define AUDIT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/chain.h"
#include "audit/ledger.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/span.h"

struct buf;
struct store;
struct store_reader;

#define STORE_APPLICATION_ID 0x6e6f6d73 /* "noms" */
#define STORE_SCHEMA_VERSION 2
#define STORE_PAGE_MAX 1000 /* rows per transaction of a reader (decisions 19) */

struct store_row {
	uint64_t seq;
	int state;                 /* enum ledger_state */
	char hash[SHA256_HEX + 1]; /* hex */
	struct span body;
};

/* False stops the visit. Spans are valid during the call only. */
typedef bool (*store_visit_fn)(const struct store_row *row, void *arg);

enum store_reader_mode {
	STORE_READ_LIVE = 0, /* beside a running writer: read-only, needs its -shm file */
	STORE_READ_COPY,     /* a private copy of db and wal: may recover the wal inside the copy */
};

/* ERR_NOT_FOUND, ERR_INVALID (not a ledger), ERR_UNSUPPORTED (newer schema), ERR_BUSY, ERR_IO,
 * ERR_CORRUPT. One thread at a time. */
MUSTCHECK enum err store_reader_open(const char *path, enum store_reader_mode mode,
	struct store_reader **out, struct errinfo *ei);
void store_reader_free(struct store_reader **r);
/* Rows with seq > after, in order, at most max (<= STORE_PAGE_MAX), in one read transaction. *n:
 * rows visited. */
MUSTCHECK enum err store_reader_page(struct store_reader *r, uint64_t after, size_t max,
	store_visit_fn visit, void *arg, size_t *n, struct errinfo *ei);
/* The same over rows of one state, by the partial index. */
MUSTCHECK enum err store_reader_page_state(struct store_reader *r, int state, uint64_t after,
	size_t max, store_visit_fn visit, void *arg, struct errinfo *ei);
/* The last record; seq 0 when there is none. */
MUSTCHECK enum err store_reader_head(
	struct store_reader *r, struct chain_head *out, struct errinfo *ei);
/* Appends the value. ERR_NOT_FOUND. */
MUSTCHECK enum err store_reader_meta(
	struct store_reader *r, const char *key, struct buf *out, struct errinfo *ei);
/* The cursor of one sink. ERR_NOT_FOUND (*seq is 0). */
MUSTCHECK enum err store_reader_cursor(
	struct store_reader *r, const char *sink, uint64_t *seq, struct errinfo *ei);
/* The cursors of all sinks the ledger has ever fed, by name. False from visit ends it; name is valid during the call. */
typedef bool (*store_cursor_fn)(struct span name, uint64_t seq, void *arg);
MUSTCHECK enum err store_reader_each_cursor(
	struct store_reader *r, store_cursor_fn visit, void *arg, struct errinfo *ei);
/* The oldest record that a claim which has not expired refers to; UINT64_MAX: none does. */
MUSTCHECK enum err store_reader_min_claim(
	struct store_reader *r, int64_t now_wall_ns, uint64_t *seq, struct errinfo *ei);

/* As ledger_tx_each_claim and ledger_tx_get_claim_body, of the rows as they are committed; at most STORE_PAGE_MAX claims, in
 * one read transaction during which visit runs. */
MUSTCHECK enum err store_reader_each_claim(struct store_reader *r, uint32_t kind, int32_t state,
	uint64_t before_seq, size_t max, ledger_claim_visit_fn visit, void *arg,
	struct errinfo *ei);
MUSTCHECK enum err store_reader_claim_body(struct store_reader *r, uint32_t kind,
	const uint8_t key[LEDGER_CLAIM_KEY], struct buf *out, struct errinfo *ei);

/* The number of the first row, which may be none that a record can have; 1 when there is none. */
MUSTCHECK enum err store_reader_first(struct store_reader *r, int64_t *out, struct errinfo *ei);
/* How many rows behind `after` the partial index has in a state other than 0. */
MUSTCHECK enum err store_reader_count_state(
	struct store_reader *r, int state, uint64_t after, uint64_t *out, struct errinfo *ei);

/* Copies all of it as of one moment into the empty file at path, which nobody else uses.
 * ERR_BUSY, ERR_IO, ERR_CORRUPT. */
MUSTCHECK enum err store_reader_backup(
	struct store_reader *r, const char *path, struct errinfo *ei);

#endif
