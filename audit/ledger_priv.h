/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's object and the parts in ledger*.c and open_check.c. Who may touch a field stands
 * beside it: "const" after ledger_open, "writer" (the writer thread, or the caller of open,
 * settle and close while it does not run), "mutex".
 */
#ifndef AUDIT_LEDGER_PRIV_H
#define AUDIT_LEDGER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"
#include "audit/checkpoint.h"
#include "audit/ledger.h"
#include "audit/ledger_options.h"
#include "audit/sink.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "ledger_head.h"
#include "ledger_index.h"
#include "ledger_retention.h"
#include "ledger_ring.h"
#include "sink_status.h"
#include "store_ops.h"

struct arena;

#define LEDGER_MAGIC 0x1ed6e201u
#define LEDGER_OPEN_SHOWN_MAX 1000 /* open intents named to the caller of ledger_get_open_intents */
#define LEDGER_GROUP_BYTES ((size_t)4 * 1024 * 1024) /* a group ends once it is over this */
#define LEDGER_TX_BYTES_MAX (LEDGER_GROUP_BYTES + (size_t)16 * 1024 * 1024)
#define LEDGER_WHY_MAX 160

/* Keys of the table meta. */
#define META_CHAIN_ID "chain_id"
#define META_CREATED "created"
/* seq of the newest checkpoint record: a hint where to start checking */
#define META_CHECKPOINT "checkpoint"
/* written to see whether the store works again */
#define META_PROBE "probe"

/* What callers of the ledger are told; the store's own words go to the log and to
 * ledger_is_ready. */
#define LEDGER_REFUSAL "the ledger cannot take the record"

/* ledger_entry.flags */
enum {
	ENTRY_UNDO = 1u,  /* undo is to run instead of apply */
	ENTRY_TOLD = 2u,  /* pending was called */
	ENTRY_DOUBT = 4u, /* its COMMIT failed: look whether it is there */
};

/* A singly linked queue of entries through next_waiting. */
struct entry_list {
	struct ledger_entry *first;
	struct ledger_entry **tail; /* NULL means empty and untouched */
	size_t n;
};

/* Everything beside the database has its name from it. */
struct ledger_names {
	char *key;
	char *pub;
	char *lock;
	char *head;
	char *seal;
	char *archive; /* of retention.folder; NULL: beside the database */
};

/* A record of the transaction that is open; its body lies in tx_bytes. */
struct tx_record {
	uint64_t seq;
	size_t at;
	size_t n;
	char hash[SHA256_HEX + 1];
};

struct ledger_tx {
	struct ledger *l;
	struct chain_head head;       /* with what this transaction appended */
	struct checkpoint checkpoint; /* the one it appended; seq 0: none */
	struct ledger_entry *entry;   /* the one being applied; NULL: the ledger itself */
	bool is_marked;               /* the entry has changed rows: there is a savepoint */
	bool has_failed;              /* a store error: the whole transaction is lost */
};

struct ledger_sink {
	struct ledger *l;
	struct sink *sink;
	pthread_t thread;
	bool is_running;           /* const after start */
	_Atomic uint64_t taken;    /* the sink's thread writes, all read */
	uint64_t cursor;           /* writer: what the store has, or LEDGER_NO_CURSOR */
	struct sink_status status; /* mutex */
	_Atomic bool has_news;     /* status is to be written */
};

/* The store has none, or it is uncertain which. */
#define LEDGER_NO_CURSOR UINT64_MAX

struct ledger {
	unsigned magic;
	struct ledger_options o;   /* const; path and key_path point to copies */
	struct ledger_names names; /* const */
	char *path;
	char chain_id[CHAIN_ID_HEX + 1]; /* const */
	struct sign_key *key;            /* const */
	int lock_fd;                     /* of `<ledger>.lock` */
	int file_lock_fd; /* of the ledger itself: holds also when somebody removes the lock file */
	struct store *store;                /* writer */
	struct ledger_ring *ring;           /* locks itself; NULL without sinks */
	struct ledger_head *head_file;      /* locks itself; NULL without a file */
	struct ledger_retention *retention; /* NULL: all records stay */
	uint64_t anchor_seq;        /* const after open: the records up to it are archived */
	struct ledger_index *index; /* locks itself; NULL: none is kept */
	struct ledger_sink *sinks;  /* n_sinks of them */
	size_t n_sinks;             /* const */

	/* const after open */
	uint64_t open_seqs[LEDGER_OPEN_SHOWN_MAX];
	size_t n_open; /* until settled */
	uint64_t last_open_seq;

	pthread_t thread;
	bool has_thread;
	pthread_mutex_t mutex; /* guards the next block */
	pthread_cond_t wake;
	struct entry_list queue;
	bool is_idle;    /* the writer waits on `wake` */
	bool wants_acks; /* it waits for sinks */
	bool has_acks;   /* a sink has taken something since the writer looked */
	bool is_started;
	bool is_stopping;
	/* Only the writer changes these two, and reads them without the mutex: atomic, so that no
	 * wider load touches their neighbours. */
	_Atomic bool is_failing;       /* the store */
	_Atomic bool is_behind;        /* a required sink */
	_Atomic int64_t queue_wait_ns; /* ledger_get_queue_wait */
	_Atomic uint64_t head_seq;     /* of head, for all to read */
	struct histogram commit_times; /* the writer's */
	struct histogram group_sizes;
	char why[LEDGER_WHY_MAX]; /* why is_failing; no path in it */

	/* writer */
	struct chain_head head;       /* last committed */
	struct chain_head doubt_head; /* head of a transaction whose COMMIT failed; seq 0: none */
	uint64_t checkpoint_seq;      /* seq of the last checkpoint record; 0: none */
	struct errinfo tx_failure;    /* the store's words for why a transaction was lost */
	struct buf tx_bytes;
	struct tx_record *tx_records;
	size_t n_tx_records;
	size_t n_tx_records_max;
	struct arena *arena;          /* for the ledger's own records */
	struct entry_list batch;      /* taken from the queue */
	struct entry_list held;       /* to be written when the store works again */
	struct entry_list waiting;    /* committed; for required sinks, deadlines ascending */
	_Atomic uint64_t waiting_seq; /* of waiting's first, for the sinks; 0: nobody waits */
	struct entry_list owed;       /* the same without a deadline: must_write, told */
	struct entry_list done;       /* to be given back at the end of the turn */
	bool needs_reopen;
	bool is_dead; /* the file's chain is not what was written: no recovery */
	int64_t probe_at_mono_ns;
	int64_t probe_delay_ns;
	/* A probe is small: only a group that went through says that the store takes what has to be
	 * written. Until then pauses go on growing and nothing more is said. */
	bool is_unproven;
	bool has_log_mark; /* the lock file says that there is a log; writer, and open and close */
	bool has_given_up; /* closing, and a group failed: what is held is refused */
	int64_t cursors_at_mono_ns; /* when cursors were last written */
	int64_t close_by_mono_ns;   /* 0 until stopping */
};

void entry_list_add(struct entry_list *list, struct ledger_entry *e);
struct ledger_entry *entry_list_take(struct entry_list *list);
/* Moves all of src behind dst. */
void entry_list_move(struct entry_list *dst, struct entry_list *src);

/* ledger_options.c: ERR_INVALID. */
MUSTCHECK enum err ledger_check_options(const struct ledger_options *o, struct errinfo *ei);
/* ledger_files.c: names, lock, store and key of a ledger with a file, and of one without; what was made stays in l when it
 * fails. */
MUSTCHECK enum err ledger_open_file(struct ledger *l, struct errinfo *ei);
MUSTCHECK enum err ledger_open_memory(struct ledger *l, struct errinfo *ei);
/* Whether the -wal file is gone. */
bool ledger_lacks_log(const struct ledger *l);

/* ledger_tx.c: one transaction at a time, writer. Errors: ERR_AUDIT; ei carries the store's
 * reason. */
MUSTCHECK enum err ledger_tx_begin(struct ledger *l, struct ledger_tx *tx, struct errinfo *ei);
void ledger_tx_abort(struct ledger_tx *tx);
/* Commits, moves the head, feeds the ring and the head file. On failure it is unknown whether the
 * rows are there. */
MUSTCHECK enum err ledger_tx_commit(struct ledger_tx *tx, struct errinfo *ei);
/* Between transactions, behind the answers of the last one: commits leave the store's log to it. */
void ledger_fold_log(struct ledger *l);
/* Runs apply or undo of an entry; takes its writes back alone when it returned an error of its
 * own. */
enum err ledger_tx_run_entry(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei);
MUSTCHECK enum err ledger_tx_append_checkpoint(struct ledger_tx *tx, struct errinfo *ei);
/* Writes the cursors of all sinks that moved. */
MUSTCHECK enum err ledger_tx_put_cursors(struct ledger_tx *tx, struct errinfo *ei);
/* To be called before each write that is not an append: sets the savepoint of the entry at its
 * first one. The ledger's own writes need none, they fail as a whole. ERR_AUDIT. */
MUSTCHECK enum err ledger_tx_mark(struct ledger_tx *tx, struct errinfo *ei);
/* The transaction is lost. Returns ERR_AUDIT. */
enum err ledger_tx_store_failed(
	struct ledger_tx *tx, const struct errinfo *detail, struct errinfo *ei);
/* The reason of the store error that made has_failed true. */
const char *ledger_tx_reason(const struct ledger_tx *tx);

/* ledger_group.c: writer. */
/* One transaction over at most group_max entries of the batch; what is done goes to done, waiting
 * or held. */
void ledger_group_run(struct ledger *l);
/* Cursors are written once a sink is 256 records, or 100 ms, ahead of its cursor. */
#define LEDGER_CURSOR_NS (100 * NS_PER_MS)
bool ledger_cursors_are_due(const struct ledger *l);
/* Gives the entries of the batch back unwritten, but for those that must be written. */
void ledger_group_refuse(struct ledger *l);
/* Holds what is left of the batch. */
void ledger_group_hold(struct ledger *l);
/* Gives one back unwritten. */
void ledger_refuse(struct ledger *l, struct ledger_entry *e);

/* ledger_recover.c: writer. */
void ledger_set_failing(struct ledger *l, const char *why);
/* What had to be written went through: the store works again, and a next fault is a new one. */
void ledger_set_proven(struct ledger *l);
/* While failing: reopens when needed, settles doubts, makes a small real write. True when the
 * store works. */
bool ledger_group_recover(struct ledger *l);
void ledger_complete(struct ledger *l, struct ledger_entry *e, enum err result);
/* Calls pending, once. */
void ledger_tell_pending(struct ledger_entry *e);
/* Holds an entry until the store works, telling its owner once. */
void ledger_hold(struct ledger *l, struct ledger_entry *e);
/* Posts what is in done, one message per loop. */
void ledger_give_back(struct ledger *l);

/* ledger_wait.c: writer; entries that wait for required sinks. */
/* The record that every required sink has taken; UINT64_MAX when none is required. */
uint64_t ledger_required_taken(const struct ledger *l);
void ledger_wait_for_sinks(struct ledger *l, struct ledger_entry *e);
/* Releases what was taken, turns back what is late. */
void ledger_wait_check(struct ledger *l);

/* ledger_writer.c */
MUSTCHECK enum err ledger_writer_start(struct ledger *l, struct errinfo *ei);
/* A sink has taken records. Sinks' threads. */
void ledger_wake_for_acks(struct ledger *l);

/* Whether decisions wait for this sink; any thread. */
bool ledger_sink_is_counted(const struct ledger_sink *s);

/* ledger_sink.c */
MUSTCHECK enum err ledger_sinks_load(struct ledger *l, struct errinfo *ei);
MUSTCHECK enum err ledger_sinks_start(struct ledger *l, struct errinfo *ei);
/* Lets them catch up within the deadline, then ends them. */
void ledger_sinks_stop(struct ledger *l);
void ledger_sinks_free(struct ledger *l);
bool ledger_sinks_moved(const struct ledger *l, uint64_t by);

/* ledger_sink_state.c: what is known of a sink beside its cursor. */
/* At open: what the store remembers; a status that cannot be read begins anew. */
void ledger_sink_load_status(struct ledger *l, struct ledger_sink *s);
/* The sink's thread: a delivery failed, or (NULL) worked. */
void ledger_sink_set_error(struct ledger_sink *s, const char *why);
/* The sink's thread: the record is refused for good. Records that in the ledger and waits for it; false when
 * it cannot be recorded: the record is to be offered again. */
MUSTCHECK bool ledger_sink_drop(
	struct ledger_sink *s, const struct sink_record *r, const char *why);
/* Writer: writes the statuses that changed. Errors as ledger_tx_put_cursors. */
MUSTCHECK enum err ledger_tx_put_statuses(struct ledger_tx *tx, struct errinfo *ei);

/* open_check.c: fills chain_id, head, checkpoint_seq, open_seqs; makes a new chain in an empty
 * store. */
MUSTCHECK enum err ledger_open_check(struct ledger *l, struct errinfo *ei);

#endif
