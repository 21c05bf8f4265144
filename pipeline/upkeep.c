/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The portions of upkeep. One is small, because decisions wait meanwhile; the next one follows a second later while there is
 * more to do. Own loop's thread but for the portion itself.
 */
#include "upkeep.h"

#include <stdio.h>

#include "action_ids_fill.h"
#include "audit/chain.h"
#include "audit/store.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "base/redact.h"
#include "claims.h"
#include "idempotency.h"
#include "pipeline/pipeline.h"
#include "req_state.h"

#define PAUSE_NS (30 * NS_PER_SEC)
#define UPKEEP_ARENA_BYTES ((size_t)256 * 1024)

struct upkeep {
	struct ledger_entry entry;
	struct arena *arena;
	int64_t window_ns;
	int64_t at_mono_ns; /* not before */
	bool is_busy;       /* the ledger has the entry */
	bool is_more;
};

/* ---- one portion ---- */

struct late {
	uint64_t seqs[UPKEEP_CLOSE_MAX];
	size_t n;
	int64_t before_wall_ns;
};

/* The rows come oldest first: the first that has time ends it. One whose time cannot be read is left to `audit verify`. */
static bool
keep_late(const struct store_row *row, void *arg)
{
	struct late *late = arg;
	struct chain_fields f;
	int64_t wall_ns = 0;

	if (!chain_read_fields(row->body, &f) || clock_parse(f.timestamp, &wall_ns, NULL) != OK ||
		wall_ns >= late->before_wall_ns)
		return false;
	late->seqs[late->n++] = row->seq;
	return late->n < ARRAY_LEN(late->seqs);
}

static enum err
append_unreported(
	struct ledger_tx *tx, const struct late *late, struct arena *a, struct errinfo *ei)
{
	struct record_text text;
	char metadata[128];
	uint64_t seq = 0;

	arena_reset(a);
	struct record *rec = record_new(a, "action.unreported");
	if (rec == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	int n = snprintf(metadata, sizeof(metadata),
		"{\"count\":%zu,\"first_seq\":%llu,\"last_seq\":%llu}", late->n,
		(unsigned long long)late->seqs[0], (unsigned long long)late->seqs[late->n - 1]);
	record_set_text(rec, RECORD_SCHEMA_VERSION, SPAN_LIT("v1"));
	record_set_text(rec, RECORD_OUTCOME, SPAN_LIT("unreported"));
	record_set_json(rec, RECORD_EXECUTOR_METADATA, span_of(metadata, (size_t)n));
	enum err rc = record_render(rec, redactor_default(), a, &text, ei);
	return rc == OK ? ledger_tx_append(tx, &text, LEDGER_COMPLETE, &seq, ei) : rc;
}

static enum err
close_unreported(struct ledger_tx *tx, int64_t before_wall_ns, struct arena *a, bool *is_more,
	struct errinfo *ei)
{
	struct late late = {.before_wall_ns = before_wall_ns};
	enum err rc = ledger_tx_each_of_state(tx, LEDGER_AUTHORIZED, keep_late, &late, ei);

	if (rc != OK || late.n == 0)
		return rc;
	rc = append_unreported(tx, &late, a, ei);
	for (size_t i = 0; rc == OK && i < late.n; i++)
		rc = ledger_tx_close(tx, late.seqs[i], ei);
	*is_more = *is_more || late.n == ARRAY_LEN(late.seqs);
	if (rc == OK)
		metric_add(METRIC_UNREPORTED, (int64_t)late.n);
	return rc;
}

enum err
upkeep_apply(struct ledger_tx *tx, int64_t now_wall_ns, int64_t report_before_wall_ns,
	struct arena *a, bool *is_more, struct errinfo *ei)
{
	size_t n_keys = 0;
	size_t n_settled = 0;
	enum err rc;

	arena_reset(a);
	rc = idempotency_purge(tx, now_wall_ns, UPKEEP_PURGE_MAX, a, &n_keys, ei);
	if (rc == OK)
		rc = ledger_tx_purge_claims(
			tx, CLAIM_SETTLEMENT, now_wall_ns, UPKEEP_PURGE_MAX, &n_settled, ei);
	*is_more = n_keys == UPKEEP_PURGE_MAX || n_settled == UPKEEP_PURGE_MAX;
	return rc == OK ? close_unreported(tx, report_before_wall_ns, a, is_more, ei) : rc;
}

/* ---- the chore ---- */

static enum err
apply(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct upkeep *u = CONTAINER_OF(e, struct upkeep, entry);
	int64_t now = clock_wall_ns();

	return upkeep_apply(tx, now, now - u->window_ns, u->arena, &u->is_more, ei);
}

static void
done(struct ledger_entry *e)
{
	struct upkeep *u = CONTAINER_OF(e, struct upkeep, entry);

	u->is_busy = false;
	u->at_mono_ns = clock_mono_ns() + (e->result == OK && u->is_more ? 0 : PAUSE_NS);
}

static struct upkeep *
new_upkeep(struct pipeline *p, size_t n_ids, struct loop *loop)
{
	struct upkeep *u = mem_zalloc(1, sizeof(*u));

	if (u != NULL)
		u->arena = arena_new(UPKEEP_ARENA_BYTES);
	if (u == NULL || u->arena == NULL) {
		mem_free(u);
		return NULL;
	}
	p->upkeep = u;
	action_ids_fill(p, n_ids, loop);
	return u;
}

void
pipeline_upkeep(struct pipeline *p, const struct snapshot *s, struct loop *loop)
{
	size_t n_ids = (size_t)s->idempotency.max_action_ids;
	struct upkeep *u = p->upkeep;
	struct errinfo ei;

	OBJ_CHECK(p, PIPELINE_MAGIC);
	if (s->is_stateless)
		return;
	if (u == NULL)
		u = new_upkeep(p, n_ids, loop);
	if (u == NULL || u->is_busy || clock_mono_ns() < u->at_mono_ns)
		return;
	u->window_ns = s->reports.window_seconds * NS_PER_SEC;
	u->entry = (struct ledger_entry){.loop = loop, .apply = apply, .done = done};
	u->is_busy = ledger_submit(p->ledger, &u->entry, &ei) == OK;
}

void
upkeep_free(struct upkeep **u)
{
	if (*u == NULL)
		return;
	MUST(!(*u)->is_busy);
	arena_free(&(*u)->arena);
	mem_free(*u);
	*u = NULL;
}
