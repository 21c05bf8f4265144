/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine offers the ledger: see audit/store.h. All calls come from the thread that owns
 * the store. Any error but those named means the transaction is lost: the caller rolls back and
 * fails all that was in it.
 */
#ifndef AUDIT_STORE_OPS_H
#define AUDIT_STORE_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/ledger.h"
#include "audit/ledger_options.h"
#include "audit/store.h"
#include "base/attr.h"
#include "base/err.h"

struct store_ops {
	enum err (*begin)(struct store *s, struct errinfo *ei);
	/* On failure it is unknown whether the rows are there: rollback, reopen, read the head. */
	enum err (*commit)(struct store *s, struct errinfo *ei);
	/* Moves what the log of commits holds into the database once it has become long. To be called where nobody waits for an
	 * answer, and outside of a transaction. After an error it is only longer, and the next call tries again. NULL: an engine
	 * without a log. */
	enum err (*fold_log)(struct store *s, struct errinfo *ei);
	/* Ends the transaction whatever its state; no effect when there is none. */
	void (*rollback)(struct store *s);
	/* One level: what follows can be taken back alone. */
	enum err (*mark)(struct store *s, struct errinfo *ei);
	enum err (*unmark)(struct store *s, bool keep, struct errinfo *ei);

	enum err (*append)(struct store *s, const struct store_row *row, struct errinfo *ei);
	/* Forgets the records behind `to`, which the open transaction appended. */
	enum err (*truncate)(struct store *s, const struct chain_head *to, struct errinfo *ei);
	/* Removes at most max_rows of the oldest records up to seq; *n: how many. NULL: an engine that
	 * keeps none. */
	enum err (*forget)(
		struct store *s, uint64_t upto, size_t max_rows, size_t *n, struct errinfo *ei);
	/* ERR_NOT_FOUND when the row is not in state from. */
	enum err (*set_state)(struct store *s, uint64_t seq, int from, int to, struct errinfo *ei);
	/* ERR_NOT_FOUND when there is no such row. */
	enum err (*get_state)(struct store *s, uint64_t seq, int *out, struct errinfo *ei);
	enum err (*find_claim)(struct store *s, uint32_t kind, const uint8_t *key,
		struct ledger_claim *out, struct errinfo *ei); /* ERR_NOT_FOUND, ERR_UNSUPPORTED */
	enum err (*put_claim)(struct store *s, const struct ledger_claim *c,
		struct errinfo *ei); /* ERR_CONFLICT */
	enum err (*set_claim_state)(struct store *s, uint32_t kind, const uint8_t *key,
		int32_t state, struct errinfo *ei); /* ERR_NOT_FOUND */
	enum err (*delete_claim)(
		struct store *s, uint32_t kind, const uint8_t *key, struct errinfo *ei);
	enum err (*update_claim)(struct store *s, const struct ledger_claim *c,
		struct errinfo *ei); /* seq, state, expiry; ERR_NOT_FOUND */
	enum err (*purge_claims)(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max,
		size_t *n, struct errinfo *ei);
	enum err (*set_claim_body)(struct store *s, uint32_t kind, const uint8_t *key,
		struct span body, struct errinfo *ei); /* ERR_NOT_FOUND */
	enum err (*get_claim_body)(struct store *s, uint32_t kind, const uint8_t *key,
		struct buf *out, struct errinfo *ei); /* ERR_NOT_FOUND */
	/* owner may be NULL, state LEDGER_ANY_STATE. */
	enum err (*count_claims)(struct store *s, uint32_t kind, int32_t state,
		const uint8_t *owner, size_t max, size_t *n, struct errinfo *ei);
	enum err (*each_claim)(struct store *s, uint32_t kind, int32_t state, uint64_t before_seq,
		size_t max, ledger_claim_visit_fn visit, void *arg, struct errinfo *ei);
	enum err (*each_expired)(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max,
		ledger_claim_visit_fn visit, void *arg, struct errinfo *ei);

	enum err (*get_cursor)(struct store *s, const char *sink, uint64_t *seq,
		struct errinfo *ei); /* ERR_NOT_FOUND */
	enum err (*put_cursor)(struct store *s, const char *sink, uint64_t seq, struct errinfo *ei);
	enum err (*get_meta)(struct store *s, const char *key, struct buf *out,
		struct errinfo *ei); /* ERR_NOT_FOUND */
	enum err (*put_meta)(
		struct store *s, const char *key, struct span value, struct errinfo *ei);

	enum err (*head)(struct store *s, struct chain_head *out, struct errinfo *ei);
	enum err (*page)(struct store *s, uint64_t after, size_t max, store_visit_fn visit,
		void *arg, struct errinfo *ei);
	/* At most STORE_PAGE_MAX rows. */
	enum err (*page_state)(struct store *s, int state, uint64_t after, store_visit_fn visit,
		void *arg, struct errinfo *ei);

	/* Whether the file that is open is still the one at its path. ERR_IO says what happened
	 * to it. */
	enum err (*check_file)(struct store *s, struct errinfo *ei);
	/* Closes and opens again; after a failure it may be tried again and every other call
	 * fails until it worked. */
	enum err (*reopen)(struct store *s, struct errinfo *ei);
	void (*free)(struct store *s);
};

struct store {
	const struct store_ops *ops;
};

MUSTCHECK enum err store_sqlite_new(
	const struct ledger_options *o, struct store **out, struct errinfo *ei);
/* with_claims: false for the stateless store. */
MUSTCHECK enum err store_memory_new(bool with_claims, struct store **out, struct errinfo *ei);

#endif
