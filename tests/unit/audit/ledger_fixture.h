/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the ledger share: a job is an entry that appends one record, with room for
 * what the rules of pipeline/ would do, and can be waited for. done runs on the writer thread, so
 * no loop is needed. The functions are static because each test program is one file.
 */
#ifndef TESTS_UNIT_AUDIT_LEDGER_FIXTURE_H
#define TESTS_UNIT_AUDIT_LEDGER_FIXTURE_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "audit/ledger.h"
#include "audit/ledger_options.h"
#include "audit/record.h"
#include "base/arena.h"
#include "base/hash.h"
#include "base/must.h"
#include "base/redact.h"
#include "support/test.h"

struct job {
	struct ledger_entry e; /* first */
	struct arena *arena;
	struct record_text text;
	enum ledger_state state;
	enum err own_error;        /* apply returns it after its writes */
	uint64_t closes;           /* intent to close; 0: none */
	struct ledger_claim claim; /* kind 0: none */
	bool undo_claim;           /* undo deletes the claim */
	int n_undo_no_memory;      /* so many undos end without memory, behind their writes */
	_Atomic int n_applied;
	_Atomic int n_undone;
	_Atomic int n_pending;
	_Atomic int n_done;
	int n_done_at_pending;
	sem_t done;
	sem_t pending;
};

static inline enum err
job_apply(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct job *j = (struct job *)(void *)e;
	uint64_t seq = 0;
	enum err rc = ledger_tx_append(tx, &j->text, j->state, &seq, ei);

	atomic_fetch_add(&j->n_applied, 1);
	if (rc == OK && j->closes != 0)
		rc = ledger_tx_close(tx, j->closes, ei);
	if (rc == OK && j->claim.kind != 0) {
		j->claim.seq = seq;
		rc = ledger_tx_put_claim(tx, &j->claim, ei);
	}
	if (rc == OK && j->own_error != OK)
		rc = ERR(ei, j->own_error, "refused by the rule");
	return rc;
}

static inline enum err
job_undo(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct job *j = (struct job *)(void *)e;
	uint64_t seq = 0;
	enum err rc = ledger_tx_append(tx, &j->text, LEDGER_COMPLETE, &seq, ei);

	if (rc == OK && j->state == LEDGER_OPEN)
		rc = ledger_tx_close(tx, e->seq, ei);
	if (rc == OK && j->undo_claim)
		rc = ledger_tx_delete_claim(tx, j->claim.kind, j->claim.key, ei);
	if (rc == OK && j->n_undo_no_memory > 0) {
		j->n_undo_no_memory--;
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	if (rc == OK)
		atomic_fetch_add(&j->n_undone, 1);
	return rc;
}

static inline void
job_done(struct ledger_entry *e)
{
	struct job *j = (struct job *)(void *)e;

	atomic_fetch_add(&j->n_done, 1);
	sem_post(&j->done);
}

static inline void
job_pending(struct ledger_entry *e)
{
	struct job *j = (struct job *)(void *)e;

	atomic_fetch_add(&j->n_pending, 1);
	j->n_done_at_pending = atomic_load(&j->n_done);
	sem_post(&j->pending);
}

static inline void
job_init(struct job *j, const char *action_id)
{
	struct errinfo ei;

	memset(j, 0, sizeof(*j));
	j->arena = arena_new(256 * 1024);
	struct record *r = record_new(j->arena, "action.decision");
	MUST(r != NULL);
	record_set_text(r, RECORD_ACTION_ID, span_cstr(action_id));
	record_set_text(r, RECORD_ACTION_TYPE, SPAN_LIT("fs.read"));
	record_set_text(r, RECORD_TRACE_ID, SPAN_LIT("trace-1"));
	record_set_text(r, RECORD_PRINCIPAL, SPAN_LIT("alice"));
	MUST(record_render(r, redactor_default(), j->arena, &j->text, &ei) == OK);
	j->e.apply = job_apply;
	j->e.done = job_done;
	sem_init(&j->done, 0, 0);
	sem_init(&j->pending, 0, 0);
}

static inline void
job_fini(struct job *j)
{
	sem_destroy(&j->done);
	sem_destroy(&j->pending);
	arena_free(&j->arena);
}

static inline void
job_wait(struct job *j)
{
	while (sem_wait(&j->done) != 0)
		;
}

/* Submits and waits; the result. */
static inline enum err
job_run(struct ledger *l, struct job *j)
{
	struct errinfo ei;
	enum err rc = ledger_submit(l, &j->e, &ei);

	if (rc != OK)
		return rc;
	job_wait(j);
	return j->e.result;
}

/* One record that does nothing else; its result. */
static inline enum err
append_one(struct ledger *l, const char *action_id)
{
	struct job j;

	job_init(&j, action_id);
	enum err rc = job_run(l, &j);
	job_fini(&j);
	return rc;
}

static inline const char *
ledger_path_in(const char *dir)
{
	static char paths[64][256];
	static size_t n;
	char *path = paths[n++ % ARRAY_LEN(paths)];

	snprintf(path, sizeof(paths[0]), "%s/ledger.db", dir);
	return path;
}

/* As by default; a power cut loses nothing. */
static inline struct ledger_options
durable_options_in(const char *dir)
{
	struct ledger_options o;

	ledger_options_init(&o);
	o.path = ledger_path_in(dir);
	return o;
}

/* For tests that cut no power. */
static inline struct ledger_options
options_in(const char *dir)
{
	struct ledger_options o = durable_options_in(dir);

	o.sync = LEDGER_SYNC_OFF;
	return o;
}

static inline struct ledger *
open_ledger(const struct ledger_options *o)
{
	struct ledger *l = NULL;
	struct errinfo ei;

	if (hash_init(&ei) != OK || ledger_open(o, &l, &ei) != OK)
		FAIL("ledger_open: %s", ei.msg);
	return l;
}

static inline struct ledger *
start_ledger(const struct ledger_options *o)
{
	struct ledger *l = open_ledger(o);
	struct errinfo ei;

	if (l != NULL && ledger_start(l, &ei) != OK) {
		FAIL("ledger_start: %s", ei.msg);
		ledger_close(&l);
	}
	return l;
}

#endif
