/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Intents that a crash left open: each gets a record that says its outcome is unknown, and is
 * closed (decisions 16). It must never say more than the intent itself said: identity and object
 * are copied from it byte by byte. Runs between open and start.
 */
#include <inttypes.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "base/redact.h"
#include "ledger_priv.h"

#define PER_TRANSACTION 64

static const enum record_member copied[] = {
	RECORD_ACTION_FINGERPRINT,
	RECORD_ACTION_ID,
	RECORD_ACTION_SUMMARY,
	RECORD_ACTION_TYPE,
	RECORD_AGENT,
	RECORD_APPROVAL_ID,
	RECORD_ASSURANCE_LEVEL,
	RECORD_BINDING_HASH,
	RECORD_DECISION,
	RECORD_ENGINE_VERSION,
	RECORD_ENVIRONMENT,
	RECORD_PARAMS_HASH,
	RECORD_POLICY_BUNDLE_HASH,
	RECORD_PRINCIPAL,
	RECORD_REQUEST_ID,
	RECORD_RESOURCE,
	RECORD_RESOURCE_NORMALIZED,
	RECORD_RISK_LEVEL,
	RECORD_TRACE_ID,
};

struct open_intents {
	struct ledger_batch *batch;
	bool is_short; /* memory ran out */
};

static bool
keep_intent(const struct store_row *row, void *arg)
{
	struct open_intents *o = arg;

	o->is_short = !ledger_batch_add(o->batch, row->seq, row->hash, row->body);
	return !o->is_short && o->batch->n < PER_TRANSACTION &&
	       o->batch->bytes.n <= LEDGER_BATCH_BYTES;
}

static enum err
append_unknown(struct ledger_tx *tx, const struct sink_record *intent, struct errinfo *ei)
{
	struct arena *a = tx->l->arena;
	struct record_text text;
	uint64_t seq = 0;

	arena_reset(a);
	struct record *r = record_new(a, "action.completed");
	if (r == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_LEN(copied); i++) {
		struct span name = span_cstr(record_member_name(copied[i]));
		record_set_json(r, copied[i], chain_find_member(intent->body, name));
	}
	record_set_text(r, RECORD_SCHEMA_VERSION, SPAN_LIT("v1"));
	record_set_text(r, RECORD_RESULT_CLASSIFICATION, SPAN_LIT("UNKNOWN"));
	record_set_text(r, RECORD_OUTCOME, SPAN_LIT("unknown"));
	record_set_int(r, RECORD_INTENT_SEQ, (int64_t)intent->seq);
	enum err rc = record_render(r, redactor_default(), a, &text, ei);
	if (rc == OK)
		rc = ledger_tx_append(tx, &text, LEDGER_COMPLETE, &seq, ei);
	if (rc == OK)
		rc = ledger_tx_close(tx, intent->seq, ei);
	return rc;
}

/* One transaction. */
static enum err
settle_batch(struct ledger *l, const struct ledger_batch *batch, struct errinfo *ei)
{
	struct ledger_tx tx;
	(void)FAULT_BEFORE(LEDGER_SETTLE);
	enum err rc = ledger_tx_begin(l, &tx, ei);

	for (size_t i = 0; rc == OK && i < batch->n; i++)
		rc = append_unknown(&tx, &batch->records[i], ei);
	if (rc == OK)
		rc = ledger_tx_commit(&tx, ei);
	(void)FAULT_AFTER(LEDGER_SETTLE);
	if (rc != OK) {
		log_error(NULL, "ledger: open intents could not be settled: %s",
			ledger_tx_reason(&tx));
		ledger_tx_abort(&tx);
		return ERR(ei, ERR_AUDIT, LEDGER_REFUSAL);
	}
	log_warn(NULL,
		"ledger: the process ended while actions ran: the outcome of %zu intents, records "
		"%" PRIu64 " to %" PRIu64 ", is unknown",
		batch->n, batch->records[0].seq, batch->records[batch->n - 1].seq);
	metric_add(METRIC_UNKNOWN_OUTCOMES, (int64_t)batch->n);
	return OK;
}

enum err
ledger_settle_unknown(struct ledger *l, size_t *n, struct errinfo *ei)
{
	struct open_intents open = {0};
	struct ledger_batch batch;
	size_t n_settled = 0;
	enum err rc = OK;

	OBJ_CHECK(l, LEDGER_MAGIC);
	MUST(!l->has_thread);
	ledger_batch_init(&batch);
	open.batch = &batch;
	while (rc == OK && l->n_open > 0) {
		ledger_batch_reset(&batch);
		rc = l->store->ops->page_state(l->store, LEDGER_OPEN, 0, keep_intent, &open, ei);
		if (rc == OK && (open.is_short || batch.n == 0 || batch.n > l->n_open))
			rc = ERR(ei, ERR_AUDIT, "the open intents cannot be read");
		ledger_batch_finish(&batch);
		if (rc == OK)
			rc = settle_batch(l, &batch, ei);
		if (rc == OK) {
			n_settled += batch.n;
			l->n_open -= batch.n;
			ledger_fold_log(l);
		}
	}
	ledger_batch_fini(&batch);
	if (n != NULL)
		*n = n_settled;
	return rc == OK ? OK : ERR_AUDIT;
}
