/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that fails on command, laid over the real one of a ledger that is open but not started,
 * or idle. Faults are counted down atomically because the writer thread meets them.
 */
#ifndef TESTS_UNIT_AUDIT_FAULT_STORE_H
#define TESTS_UNIT_AUDIT_FAULT_STORE_H

#include <stdatomic.h>

#include "base/must.h"
#include "ledger_priv.h"

enum fault {
	FAULT_NONE = 0,
	FAULT_BEGIN,
	FAULT_APPEND,      /* as a full disk: an insert fails and SQLite has rolled back */
	FAULT_COMMIT_LOST, /* COMMIT fails and nothing was written */
	FAULT_COMMIT_KEPT, /* COMMIT says that it failed, and everything is there */
	FAULT_UNMARK,
	FAULT_TRUNCATE,
	FAULT_CLAIM,
	FAULT_PROBE,
	FAULT_FOLD,
	FAULT_COMMIT_UNKNOWN, /* as KEPT, and nobody can look: reopening fails as well */
	FAULT_CLOSED, /* as a rollback that failed: nothing works until the store is reopened */
};

struct fault_store {
	struct store base;
	struct store *real;
	_Atomic int fault;
	_Atomic int n_times;   /* how often it still strikes */
	_Atomic int n_skipped; /* how often it lets pass before */
	_Atomic int n_struck;
	void (*on_fold)(void *arg); /* the writer is about to fold the log; may be NULL */
	void *fold_arg;
};

static inline struct fault_store *
fault_of(struct store *s)
{
	return (struct fault_store *)(void *)s;
}

static inline bool
strikes(struct store *s, enum fault fault, struct errinfo *ei)
{
	struct fault_store *f = fault_of(s);

	if (atomic_load(&f->fault) != (int)fault || atomic_load(&f->n_times) <= 0)
		return false;
	if (atomic_load(&f->n_skipped) > 0) {
		atomic_fetch_sub(&f->n_skipped, 1);
		return false;
	}
	atomic_fetch_sub(&f->n_times, 1);
	atomic_fetch_add(&f->n_struck, 1);
	(void)ERR(ei, ERR_IO, "a fault made for the test");
	return true;
}

#define REAL(s) (fault_of(s)->real)

static inline enum err
fault_begin(struct store *s, struct errinfo *ei)
{
	if (strikes(s, FAULT_BEGIN, ei) || strikes(s, FAULT_CLOSED, ei))
		return ERR_IO;
	return REAL(s)->ops->begin(REAL(s), ei);
}

static inline enum err
fault_commit(struct store *s, struct errinfo *ei)
{
	if (strikes(s, FAULT_COMMIT_LOST, ei)) {
		REAL(s)->ops->rollback(REAL(s));
		return ERR_IO;
	}
	if (strikes(s, FAULT_COMMIT_KEPT, ei)) {
		MUST(REAL(s)->ops->commit(REAL(s), NULL) == OK);
		return ERR_IO;
	}
	if (strikes(s, FAULT_COMMIT_UNKNOWN, ei)) {
		MUST(REAL(s)->ops->commit(REAL(s), NULL) == OK);
		return ERR_IO;
	}
	return REAL(s)->ops->commit(REAL(s), ei);
}

static inline enum err
fault_fold_log(struct store *s, struct errinfo *ei)
{
	struct fault_store *f = fault_of(s);

	if (strikes(s, FAULT_FOLD, ei))
		return ERR_IO;
	if (f->on_fold != NULL)
		f->on_fold(f->fold_arg);
	return REAL(s)->ops->fold_log(REAL(s), ei);
}

static inline void
fault_rollback(struct store *s)
{
	REAL(s)->ops->rollback(REAL(s));
}

static inline enum err
fault_mark(struct store *s, struct errinfo *ei)
{
	return REAL(s)->ops->mark(REAL(s), ei);
}

static inline enum err
fault_unmark(struct store *s, bool keep, struct errinfo *ei)
{
	return strikes(s, FAULT_UNMARK, ei) ? ERR_IO : REAL(s)->ops->unmark(REAL(s), keep, ei);
}

static inline enum err
fault_append(struct store *s, const struct store_row *row, struct errinfo *ei)
{
	if (strikes(s, FAULT_APPEND, ei)) {
		REAL(s)->ops->rollback(REAL(s));
		return ERR_IO;
	}
	return REAL(s)->ops->append(REAL(s), row, ei);
}

static inline enum err
fault_truncate(struct store *s, const struct chain_head *to, struct errinfo *ei)
{
	return strikes(s, FAULT_TRUNCATE, ei) ? ERR_IO : REAL(s)->ops->truncate(REAL(s), to, ei);
}

static inline enum err
fault_set_state(struct store *s, uint64_t seq, int from, int to, struct errinfo *ei)
{
	return REAL(s)->ops->set_state(REAL(s), seq, from, to, ei);
}

static inline enum err
fault_get_state(struct store *s, uint64_t seq, int *out, struct errinfo *ei)
{
	return REAL(s)->ops->get_state(REAL(s), seq, out, ei);
}

static inline enum err
fault_find_claim(struct store *s, uint32_t kind, const uint8_t *key, struct ledger_claim *out,
	struct errinfo *ei)
{
	return REAL(s)->ops->find_claim(REAL(s), kind, key, out, ei);
}

static inline enum err
fault_put_claim(struct store *s, const struct ledger_claim *c, struct errinfo *ei)
{
	return strikes(s, FAULT_CLAIM, ei) ? ERR_IO : REAL(s)->ops->put_claim(REAL(s), c, ei);
}

static inline enum err
fault_set_claim_state(
	struct store *s, uint32_t kind, const uint8_t *key, int32_t state, struct errinfo *ei)
{
	return REAL(s)->ops->set_claim_state(REAL(s), kind, key, state, ei);
}

static inline enum err
fault_delete_claim(struct store *s, uint32_t kind, const uint8_t *key, struct errinfo *ei)
{
	return REAL(s)->ops->delete_claim(REAL(s), kind, key, ei);
}

static inline enum err
fault_update_claim(struct store *s, const struct ledger_claim *c, struct errinfo *ei)
{
	return strikes(s, FAULT_CLAIM, ei) ? ERR_IO : REAL(s)->ops->update_claim(REAL(s), c, ei);
}

static inline enum err
fault_purge_claims(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max, size_t *n,
	struct errinfo *ei)
{
	return REAL(s)->ops->purge_claims(REAL(s), kind, now_wall_ns, max, n, ei);
}

static inline enum err
fault_set_claim_body(
	struct store *s, uint32_t kind, const uint8_t *key, struct span body, struct errinfo *ei)
{
	return strikes(s, FAULT_CLAIM, ei)
		       ? ERR_IO
		       : REAL(s)->ops->set_claim_body(REAL(s), kind, key, body, ei);
}

static inline enum err
fault_get_claim_body(
	struct store *s, uint32_t kind, const uint8_t *key, struct buf *out, struct errinfo *ei)
{
	return REAL(s)->ops->get_claim_body(REAL(s), kind, key, out, ei);
}

static inline enum err
fault_count_claims(struct store *s, uint32_t kind, int32_t state, const uint8_t *owner, size_t max,
	size_t *n, struct errinfo *ei)
{
	return REAL(s)->ops->count_claims(REAL(s), kind, state, owner, max, n, ei);
}

static inline enum err
fault_each_claim(struct store *s, uint32_t kind, int32_t state, uint64_t before_seq, size_t max,
	ledger_claim_visit_fn visit, void *arg, struct errinfo *ei)
{
	return REAL(s)->ops->each_claim(REAL(s), kind, state, before_seq, max, visit, arg, ei);
}

static inline enum err
fault_each_expired(struct store *s, uint32_t kind, int64_t now_wall_ns, size_t max,
	ledger_claim_visit_fn visit, void *arg, struct errinfo *ei)
{
	return REAL(s)->ops->each_expired(REAL(s), kind, now_wall_ns, max, visit, arg, ei);
}

static inline enum err
fault_get_cursor(struct store *s, const char *sink, uint64_t *seq, struct errinfo *ei)
{
	return REAL(s)->ops->get_cursor(REAL(s), sink, seq, ei);
}

static inline enum err
fault_put_cursor(struct store *s, const char *sink, uint64_t seq, struct errinfo *ei)
{
	return REAL(s)->ops->put_cursor(REAL(s), sink, seq, ei);
}

static inline enum err
fault_get_meta(struct store *s, const char *key, struct buf *out, struct errinfo *ei)
{
	return REAL(s)->ops->get_meta(REAL(s), key, out, ei);
}

static inline enum err
fault_put_meta(struct store *s, const char *key, struct span value, struct errinfo *ei)
{
	return strikes(s, FAULT_PROBE, ei) ? ERR_IO
					   : REAL(s)->ops->put_meta(REAL(s), key, value, ei);
}

static inline enum err
fault_head(struct store *s, struct chain_head *out, struct errinfo *ei)
{
	return strikes(s, FAULT_CLOSED, ei) ? ERR_IO : REAL(s)->ops->head(REAL(s), out, ei);
}

static inline enum err
fault_page(struct store *s, uint64_t after, size_t max, store_visit_fn visit, void *arg,
	struct errinfo *ei)
{
	return REAL(s)->ops->page(REAL(s), after, max, visit, arg, ei);
}

static inline enum err
fault_page_state(struct store *s, int state, uint64_t after, store_visit_fn visit, void *arg,
	struct errinfo *ei)
{
	return REAL(s)->ops->page_state(REAL(s), state, after, visit, arg, ei);
}

static inline enum err
fault_check_file(struct store *s, struct errinfo *ei)
{
	return REAL(s)->ops->check_file(REAL(s), ei);
}

static inline enum err
fault_reopen(struct store *s, struct errinfo *ei)
{
	int closed = FAULT_CLOSED;

	if (strikes(s, FAULT_COMMIT_UNKNOWN, ei))
		return ERR_IO;
	(void)atomic_compare_exchange_strong(&fault_of(s)->fault, &closed, FAULT_NONE);
	return REAL(s)->ops->reopen(REAL(s), ei);
}

static inline void
fault_free(struct store *s)
{
	REAL(s)->ops->free(REAL(s)); /* the fault store itself is the test's */
}

static inline void
fault_install(struct fault_store *f, struct ledger *l)
{
	static const struct store_ops ops = {
		.begin = fault_begin,
		.commit = fault_commit,
		.fold_log = fault_fold_log,
		.rollback = fault_rollback,
		.mark = fault_mark,
		.unmark = fault_unmark,
		.append = fault_append,
		.truncate = fault_truncate,
		.set_state = fault_set_state,
		.get_state = fault_get_state,
		.find_claim = fault_find_claim,
		.put_claim = fault_put_claim,
		.set_claim_state = fault_set_claim_state,
		.delete_claim = fault_delete_claim,
		.update_claim = fault_update_claim,
		.purge_claims = fault_purge_claims,
		.set_claim_body = fault_set_claim_body,
		.get_claim_body = fault_get_claim_body,
		.count_claims = fault_count_claims,
		.each_claim = fault_each_claim,
		.each_expired = fault_each_expired,
		.get_cursor = fault_get_cursor,
		.put_cursor = fault_put_cursor,
		.get_meta = fault_get_meta,
		.put_meta = fault_put_meta,
		.head = fault_head,
		.page = fault_page,
		.page_state = fault_page_state,
		.check_file = fault_check_file,
		.reopen = fault_reopen,
		.free = fault_free,
	};

	f->base.ops = &ops;
	f->on_fold = NULL;
	f->real = l->store;
	atomic_store(&f->fault, FAULT_NONE);
	atomic_store(&f->n_times, 0);
	atomic_store(&f->n_skipped, 0);
	atomic_store(&f->n_struck, 0);
	l->store = &f->base;
}

static inline void
fault_set(struct fault_store *f, enum fault fault, int n_skipped, int n_times)
{
	atomic_store(&f->n_skipped, n_skipped);
	atomic_store(&f->n_times, n_times);
	atomic_store(&f->fault, (int)fault);
}

#endif
