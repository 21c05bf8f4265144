/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger (design.md 4): one writer thread, one SQLite file, group commit. Entries come
 * through a bounded queue; an entry's apply function runs on the writer thread inside the
 * transaction, so that check-and-consume is atomic; its done function runs on the loop it names
 * once the group is durable and the required sinks have taken its records. While one group
 * commits the next one fills. The rules (approvals, idempotency, budgets) belong to pipeline/ as
 * apply functions; audit/ knows rows.
 */
#ifndef AUDIT_LEDGER_H
#define AUDIT_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/record.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/histogram.h"
#include "base/loop.h"
#include "base/span.h"

struct ledger;
struct ledger_tx;
/* audit/ledger_options.h: path, key, checkpoint interval, queue, sinks, what is required */
struct ledger_options;
struct redactor;
struct buf;

/* What stays to be done after a record. */
enum ledger_state {
	LEDGER_COMPLETE = 0, /* nothing */
	LEDGER_OPEN = 1,     /* an intent with an effect of ours: becomes `unknown` after a crash */
	LEDGER_AUTHORIZED = 2, /* external_authorized: may be reported once */
};

#define LEDGER_READS 4

struct ledger_entry {
	struct loop_msg msg; /* the ledger's while submitted */
	struct loop *loop;   /* where done runs; NULL: on the writer thread */
	/* What apply will read, of another thread's making: asked of the memory while the entry before is applied. May be
	 * empty; else it lives until done. */
	struct span reads[LEDGER_READS];
	/* Writer thread, inside the transaction; an error rolls this entry back alone and becomes
	 * its result. */
	enum err (*apply)(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei);
	/* Writer thread, in a transaction of its own, after a required sink missed its deadline:
	 * gives back what apply took and appends the outcome failed/not_executed (decisions 15).
	 * ERR_NOMEM: it is tried again, for a minute or so, and nothing else is written meanwhile.
	 * NULL: nothing to give back. */
	enum err (*undo)(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei);
	/* On loop; the entry is the caller's again. result: OK when durable and released;
	 * ERR_AUDIT otherwise, or what apply returned. */
	void (*done)(struct ledger_entry *e);
	enum err result;
	struct errinfo ei;
	/* Of the last record appended by apply; 0 when none. With ERR_AUDIT and no undo: the record is in the ledger and stands,
	 * though a required sink has not taken it in time, or the COMMIT that wrote it said that it failed. */
	uint64_t seq;
	/* With ERR_AUDIT: its COMMIT failed, and the store cannot be asked whether it is there. */
	bool is_doubtful;
	char event_hash[SHA256_HEX + 1];
	struct ledger_entry *next_waiting; /* the ledger's */
	int64_t queued_mono_ns;            /* the ledger's */
	int64_t deadline_mono_ns;          /* the ledger's */
	/*
	 * The outcome of an effect that ran (decisions 15 c): apply is tried again until it is
	 * written; ledger_submit takes it while the ledger fails and beyond queue_max. done is
	 * called late then, or with ERR_AUDIT when the ledger closes first.
	 */
	bool must_write;
	/* done is called once the record is durable, whoever else must take it: for who is a sink. */
	bool needs_no_sink;
	/* On loop, may be NULL: at most once, before done, when a must_write entry, or the undo
	 * of any entry, has to wait for the store to recover. The entry and what it refers to
	 * must live on until done. */
	void (*pending)(struct ledger_entry *e);
	struct loop_msg pending_msg; /* the ledger's */
	unsigned flags;              /* the ledger's; zero before the first submit */
	unsigned n_undo_tries;       /* the ledger's; likewise */
};

/* Any thread; never blocks. OK: done will be called exactly once. ERR_OVERLOAD (queue full),
 * ERR_AUDIT (the ledger or a required sink is failing; it is retried behind the scenes),
 * ERR_STOPPED: done will not be called. */
MUSTCHECK enum err ledger_submit(struct ledger *l, struct ledger_entry *e, struct errinfo *ei);

/*
 * Entries of one loop on their way to the ledger: what the callbacks of a turn put in is handed over
 * with one lock and at most one wake-up, at the end of the turn or when so many have come, in the order
 * they came. Own loop's thread.
 */
#define LEDGER_OUTBOX_MAX 16
struct ledger_outbox {
	struct loop_msg msg; /* first */
	struct ledger *ledger;
	struct loop *loop;
	struct ledger_entry *first;
	struct ledger_entry **tail;
	size_t n;
	struct ledger_entry *refused; /* given back at the end of the turn */
	struct ledger_entry **refused_tail;
	bool is_deferred; /* msg is with the loop */
};
void ledger_outbox_init(struct ledger_outbox *o, struct ledger *l, struct loop *loop);
/* done is called exactly once. What ledger_submit would have refused comes back at the end of the turn
 * with that error as its result. */
void ledger_outbox_put(struct ledger_outbox *o, struct ledger_entry *e);
/* Many at once, linked by next_waiting; any thread. Returns those that were not taken, linked and in
 * order, with result and ei set: done is not called for them. */
MUSTCHECK struct ledger_entry *ledger_submit_all(struct ledger *l, struct ledger_entry *first);

/*
 * For apply and undo only. Appends a record: chain id, sequence number, time and hashes are
 * spliced in. ERR_AUDIT; the entry must give up then.
 */
MUSTCHECK enum err ledger_tx_append(struct ledger_tx *tx, const struct record_text *text,
	enum ledger_state state, uint64_t *seq, struct errinfo *ei);
/* The record, open or authorized, has its outcome: state becomes LEDGER_COMPLETE. ERR_NOT_FOUND
 * when it was neither. */
MUSTCHECK enum err ledger_tx_close(struct ledger_tx *tx, uint64_t intent_seq, struct errinfo *ei);
/* What stays to be done after record seq. ERR_NOT_FOUND when there is no such record. In stateless mode only
 * open intents are known. */
MUSTCHECK enum err ledger_tx_get_state(
	struct ledger_tx *tx, uint64_t seq, enum ledger_state *out, struct errinfo *ei);

/* Visits rows of one state other than LEDGER_COMPLETE, oldest first, at most STORE_PAGE_MAX of them, by an index. The visit
 * must change no rows. */
struct store_row;
MUSTCHECK enum err ledger_tx_each_of_state(struct ledger_tx *tx, enum ledger_state state,
	bool (*visit)(const struct store_row *row, void *arg), void *arg, struct errinfo *ei);
/* Whether record seq is durable and the required sinks have it, so that its own entry was, or is about to be, called
 * done with OK: what it allows may be repeated to others. */
bool ledger_tx_is_released(const struct ledger_tx *tx, uint64_t seq);

/*
 * Claims: rows that the rules of pipeline/ use to be first, or once (idempotency keys, approvals,
 * reports, budgets). For apply and undo only. Not available in stateless mode (ERR_UNSUPPORTED).
 * ERR_AUDIT for the store; the entry must give up then.
 */
#define LEDGER_CLAIM_KEY 16
#define LEDGER_CLAIM_OWNER 16
#define LEDGER_CLAIM_BODY_MAX ((size_t)256 * 1024)
#define LEDGER_ANY_STATE INT32_MIN /* of a claim, where one is asked for */
struct ledger_claim {
	uint32_t kind;                     /* the rule's own number space */
	uint8_t key[LEDGER_CLAIM_KEY];     /* hash of identity and key */
	uint8_t owner[LEDGER_CLAIM_OWNER]; /* hash of the identity it counts for; zero: none */
	uint64_t seq;                      /* the record it belongs to */
	uint8_t binding_hash[SHA256_BYTES];
	int32_t state;           /* the rule's own */
	int64_t expires_wall_ns; /* 0: never */
};
/* ERR_NOT_FOUND when there is none. An expired one that was not purged yet is found; the rule
 * compares the time. */
MUSTCHECK enum err ledger_tx_find_claim(struct ledger_tx *tx, uint32_t kind,
	const uint8_t key[LEDGER_CLAIM_KEY], struct ledger_claim *out, struct errinfo *ei);
/* ERR_CONFLICT when kind and key are taken. */
MUSTCHECK enum err ledger_tx_put_claim(
	struct ledger_tx *tx, const struct ledger_claim *c, struct errinfo *ei);
/* ERR_NOT_FOUND. */
MUSTCHECK enum err ledger_tx_set_claim_state(struct ledger_tx *tx, uint32_t kind,
	const uint8_t key[LEDGER_CLAIM_KEY], int32_t state, struct errinfo *ei);
/* Gives seq, state and expiry of c to the claim of its kind and key; owner and binding stay. ERR_NOT_FOUND. */
MUSTCHECK enum err ledger_tx_update_claim(
	struct ledger_tx *tx, const struct ledger_claim *c, struct errinfo *ei);
/* Its body goes with it. OK also when there is none. */
MUSTCHECK enum err ledger_tx_delete_claim(struct ledger_tx *tx, uint32_t kind,
	const uint8_t key[LEDGER_CLAIM_KEY], struct errinfo *ei);
/* Deletes at most max claims of this kind that expired at or before now_wall_ns; *n: how many. A kind
 * whose expiry has to be recorded is not purged but visited. */
MUSTCHECK enum err ledger_tx_purge_claims(struct ledger_tx *tx, uint32_t kind, int64_t now_wall_ns,
	size_t max, size_t *n, struct errinfo *ei);

/* One text beside a claim, put or replaced. ERR_NOT_FOUND without the claim, ERR_INVALID beyond
 * LEDGER_CLAIM_BODY_MAX. */
MUSTCHECK enum err ledger_tx_set_claim_body(struct ledger_tx *tx, uint32_t kind,
	const uint8_t key[LEDGER_CLAIM_KEY], struct span body, struct errinfo *ei);
/* Appends it. ERR_NOT_FOUND when the claim has none, or there is no such claim. */
MUSTCHECK enum err ledger_tx_get_claim_body(struct ledger_tx *tx, uint32_t kind,
	const uint8_t key[LEDGER_CLAIM_KEY], struct buf *out, struct errinfo *ei);

/* How many there are, by an index; the counting ends at max. owner may be NULL: everybody's. */
MUSTCHECK enum err ledger_tx_count_claims(struct ledger_tx *tx, uint32_t kind, int32_t state,
	const uint8_t *owner, size_t max, size_t *n, struct errinfo *ei);
/* False ends the visit. It must change no rows; *c is valid during the call only. */
typedef bool (*ledger_claim_visit_fn)(const struct ledger_claim *c, void *arg);
/* At most max claims with a seq below before_seq (0: from the newest), the newest first. By an index unless
 * state is LEDGER_ANY_STATE, which reads the whole kind. */
MUSTCHECK enum err ledger_tx_each_claim(struct ledger_tx *tx, uint32_t kind, int32_t state,
	uint64_t before_seq, size_t max, ledger_claim_visit_fn visit, void *arg,
	struct errinfo *ei);
/* At most max claims that expired at or before now_wall_ns, the first to expire first, by an index. */
MUSTCHECK enum err ledger_tx_each_expired(struct ledger_tx *tx, uint32_t kind, int64_t now_wall_ns,
	size_t max, ledger_claim_visit_fn visit, void *arg, struct errinfo *ei);

/* Of the database, for readers beside the writer (store.h); NULL when the records lie in no file. Constant. */
const char *ledger_get_path(const struct ledger *l);

/* Whether the last commit worked and every required sink keeps up; *why (may be NULL) gets a text
 * for /readyz. Any thread. */
bool ledger_is_ready(struct ledger *l, char *why, size_t why_size);
/* How long the entry that came last into the newest group had waited for it; 0 while each group takes all that
 * has queued, however long a commit takes. Any thread. */
int64_t ledger_get_queue_wait(const struct ledger *l);
/* The last committed record. Any thread. */
uint64_t ledger_get_head_seq(const struct ledger *l);
/* Times of commits in nanoseconds and entries per group, since the ledger was opened. Any thread. */
void ledger_view_commits(
	const struct ledger *l, struct histogram_view *times, struct histogram_view *sizes);
struct ledger_sink_view {
	const char *name; /* lives as long as the ledger */
	bool is_required; /* by itself, or because all are */
	bool is_failing;  /* its last delivery did not work */
	uint64_t n_dead;  /* records that it refused for good */
	uint64_t taken_seq;
};
/* Fills at most max; returns how many. Any thread. */
size_t ledger_view_sinks(struct ledger *l, struct ledger_sink_view *out, size_t max);

#endif
