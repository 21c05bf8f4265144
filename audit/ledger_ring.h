/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest committed records in memory, so that sinks that keep up never read the database. The
 * writer pushes, each sink copies out what it has not seen; old records give way. A mutex inside
 * guards all; it is held for copies only.
 */
#ifndef AUDIT_LEDGER_RING_H
#define AUDIT_LEDGER_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/chain.h"
#include "audit/sink.h"
#include "base/attr.h"
#include "base/buf.h"

struct ledger_ring;

/* What a sink copied out; its own. */
struct ledger_batch {
	struct sink_record records[SINK_BATCH_MAX];
	char hashes[SINK_BATCH_MAX][SHA256_HEX + 1];
	size_t offsets[SINK_BATCH_MAX];
	size_t n;
	struct buf bytes;
};

#define LEDGER_BATCH_BYTES ((size_t)1024 * 1024) /* a batch ends once it is over this */

void ledger_batch_init(struct ledger_batch *b);
void ledger_batch_fini(struct ledger_batch *b);
void ledger_batch_reset(struct ledger_batch *b);
/* False when memory is out; the batch keeps what it had. */
MUSTCHECK bool ledger_batch_add(
	struct ledger_batch *b, uint64_t seq, const char *hash, struct span body);
/* Once all are added: sets the spans of records. */
void ledger_batch_finish(struct ledger_batch *b);

enum ring_result {
	RING_NOTHING = 0, /* nothing behind `after` yet */
	RING_TAKEN,       /* the batch has at least one record */
	RING_GONE,        /* the record behind `after` has given way */
	RING_NOMEM,       /* there is one, but no memory for a copy */
};

/* head: the last record already committed. NULL when memory is out. */
MUSTCHECK struct ledger_ring *ledger_ring_new(size_t n_bytes, uint64_t head);
void ledger_ring_free(struct ledger_ring **r);
/* Writer: after a commit, in order. A gap forgets all before it. */
void ledger_ring_push(struct ledger_ring *r, uint64_t seq, const char *hash, struct span body);
/* Writer: wakes the sinks after a group. */
void ledger_ring_wake(struct ledger_ring *r);
/* Writer: the store was written without a push; what is in the ring is out of date. */
void ledger_ring_reset(struct ledger_ring *r, uint64_t head);
/* Writer: whether n_records of n_bytes in all fit without a record behind `kept_after` giving
 * way. */
bool ledger_ring_has_room(
	struct ledger_ring *r, size_t n_records, size_t n_bytes, uint64_t kept_after);
/* The oldest record still there; head + 1 when empty. */
uint64_t ledger_ring_first(struct ledger_ring *r);

/* Sinks: at most max records behind `after`. */
enum ring_result ledger_ring_read(
	struct ledger_ring *r, uint64_t after, size_t max, struct ledger_batch *out);
/* Sinks: until there is a record behind `after`. False after ledger_ring_stop. */
bool ledger_ring_wait(struct ledger_ring *r, uint64_t after);
/* Sinks: for ns nanoseconds. False after ledger_ring_stop. */
bool ledger_ring_pause(struct ledger_ring *r, int64_t ns);
/* All waits return now and from now on. */
void ledger_ring_stop(struct ledger_ring *r);

#endif
