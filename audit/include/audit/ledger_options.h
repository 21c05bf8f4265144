/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, starting and closing the ledger: cold calls of one thread (runtime/, the command
 * line). Order: ledger_open, ledger_settle_unknown, ledger_start, then submits from any thread,
 * ledger_close.
 */
#ifndef AUDIT_LEDGER_OPTIONS_H
#define AUDIT_LEDGER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/sink.h"
#include "base/attr.h"
#include "base/err.h"

struct ledger;

enum ledger_store {
	LEDGER_STORE_SQLITE = 0,
	LEDGER_STORE_MEMORY, /* tests and benches: rows and claims in memory, nothing durable */
	/* stateless mode: no claims; records live until the required sinks took them */
	LEDGER_STORE_NONE,
};

/* How durable a commit is. Only benches choose anything but FULL. */
enum ledger_sync { LEDGER_SYNC_FULL = 0, LEDGER_SYNC_NORMAL, LEDGER_SYNC_OFF };

/* Who must have taken a record before done is called. */
enum ledger_required {
	LEDGER_REQUIRED_LEDGER = 0, /* the store alone */
	LEDGER_REQUIRED_ANY,        /* and any one sink */
	LEDGER_REQUIRED_ALL,        /* and every sink */
	LEDGER_REQUIRED_NAMED,      /* and every sink with is_required */
};

/* What leaves the ledger for the archives. A segment leaves whole, once its last record is old
 * enough by either rule. */
struct ledger_retention_options {
	uint32_t days;            /* older than this; 0: no such rule */
	uint64_t records;         /* not among the newest so many; 0: no such rule */
	const char *folder;       /* of the archives; NULL: `<path>.archive` */
	uint32_t segment_records; /* at least, per archive */
	uint32_t look_ms;         /* between two looks */
	int64_t report_window_s;  /* how long an authorized decision may be reported */
};

struct ledger_options {
	const char *path; /* SQLITE: of the database; its folder exists */
	/* NULL or "": <path>.key; MEMORY and NONE: NULL makes a key for this process only */
	const char *key_path;
	enum ledger_store store;
	enum ledger_sync sync;
	uint32_t checkpoint_every; /* records between two checkpoints, 1 to 1,000,000 */
	/* entries waiting, 1 to 1,000,000; entries that must be written may pass it */
	uint32_t queue_max;
	uint32_t group_max;        /* entries per transaction, 1 to 4,096 */
	uint32_t busy_timeout_ms;  /* how long a foreign lock on the file is waited for */
	uint32_t sink_deadline_ms; /* within which required sinks take a committed record */
	uint32_t ring_bytes; /* memory for records that sinks have not read yet, 1 MiB to 1 GiB */
	struct ledger_retention_options retention; /* SQLITE; without days and records all stays */
	bool has_index; /* SQLITE: keeps the search index `<path>.idx` up to date */
	enum ledger_required required;
	struct sink *const
		*sinks; /* taken over by ledger_open, also when it fails; the array is copied */
	size_t n_sinks;
};

/* The defaults: SQLite, FULL, 1,024, 8,192, 256, 2,000 ms, 2,000 ms, 4 MiB, no index, no retention, the ledger
 * alone, no sinks. */
void ledger_options_init(struct ledger_options *o);

/*
 * Locks `<path>.lock`, opens or makes the database and the key, verifies the chain from the last
 * checkpoint to the head, compares with `<path>.head` (decisions 12, 17, 19). Blocking. Errors,
 * each with the remedy in the text: ERR_BUSY (another process, its pid named), ERR_UNSUPPORTED (a
 * newer schema), ERR_INVALID (not a ledger; an option), ERR_CORRUPT (broken chain; head file
 * without its ledger or ahead of it), ERR_FORBIDDEN (key file rights), ERR_IO, ERR_NOMEM.
 */
MUSTCHECK enum err ledger_open(
	const struct ledger_options *o, struct ledger **out, struct errinfo *ei);

/* Between open and start: intents left open by a crash, oldest first; returns how many there are,
 * fills at most max. */
size_t ledger_get_open_intents(const struct ledger *l, uint64_t *seqs, size_t max);
/*
 * Between open and start: one record action.completed, class UNKNOWN, not retryable, for each
 * open intent, and the intent closed, in transactions of 64 (decisions 16). *n (may be NULL): how
 * many. ERR_AUDIT.
 */
MUSTCHECK enum err ledger_settle_unknown(struct ledger *l, size_t *n, struct errinfo *ei);
/* Starts the writer and the sinks' threads; refuses (ERR_INVALID) while intents are open.
 * ERR_NOMEM, ERR_IO. */
MUSTCHECK enum err ledger_start(struct ledger *l, struct errinfo *ei);

/*
 * Takes no more entries, writes what is queued, gives every entry back, writes a last checkpoint,
 * lets the sinks finish within the deadline, writes their cursors, ends the threads and frees
 * all. Loops named in entries must still run or be freed later (loop_free runs what is posted).
 * Accepts NULL and a ledger that was never started.
 */
void ledger_close(struct ledger **l);

/* Lower-case hex, constant. */
const char *ledger_get_chain_id(const struct ledger *l);

#endif
