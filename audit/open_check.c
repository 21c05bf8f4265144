/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What is looked at before a ledger is used (decisions 12, 17): is it the one the head file
 * knows, is its last checkpoint ours, does the chain hold from there to the end. Must never
 * repair anything: a ledger that fails stays as it is, for `nomos audit verify`; ledger_open
 * names the remedy. Runs on the thread that opens.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "anchor.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/rand.h"
#include "base/redact.h"
#include "intents.h"
#include "ledger_priv.h"

/* ---- rows ---- */

struct found_row {
	uint64_t seq; /* 0: none */
	char hash[SHA256_HEX + 1];
	struct checkpoint checkpoint; /* at.seq 0: the row is no checkpoint */
	bool is_short;                /* memory ran out while it was read */
};

static bool
keep_found(const struct store_row *row, void *arg)
{
	struct found_row *f = arg;

	f->seq = row->seq;
	memcpy(f->hash, row->hash, sizeof(f->hash));
	f->is_short = checkpoint_read_record(row->body, &f->checkpoint, NULL) == ERR_NOMEM;
	return false;
}

/* out->seq is 0 when there is no such record. */
static enum err
find_row(struct ledger *l, uint64_t seq, struct found_row *out, struct errinfo *ei)
{
	*out = (struct found_row){0};
	enum err rc = l->store->ops->page(l->store, seq - 1, 1, keep_found, out, ei);
	if (rc == OK && out->is_short)
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == OK && out->seq != seq)
		*out = (struct found_row){0};
	return rc;
}

/* ---- the chain ---- */

struct walk {
	const char *chain_id;
	struct chain_head head;
	struct intents *intents;
	uint64_t faulty_seq;
	enum chain_fault fault;
};

static bool
check_row(const struct store_row *row, void *arg)
{
	struct walk *w = arg;
	struct chain_fields f;

	w->faulty_seq = row->seq;
	w->fault = CHAIN_FAULT_MALFORMED;
	if (!chain_read_fields(row->body, &f))
		return false;
	w->fault = chain_check_fields(
		w->chain_id, &w->head, row->seq, row->body, &f, span_of(row->hash, SHA256_HEX));
	intents_see(w->intents, row->seq, row->state, &f);
	return w->fault == CHAIN_FAULT_NONE;
}

static enum err
check_states(const struct intents *in, struct errinfo *ei)
{
	const char *why = "";
	uint64_t seq = 0;

	if (intents_agree(in, &seq, &why))
		return OK;
	if (seq == 0)
		return ERR(ei, ERR_NOMEM, "%s", why);
	return ERR(ei, ERR_CORRUPT, "record %" PRIu64 " was changed: %s", seq, why);
}

static enum err
walk_pages(struct ledger *l, struct walk *w, struct errinfo *ei)
{
	uint64_t before = 0;
	enum err rc = OK;

	do {
		before = w->head.seq;
		rc = l->store->ops->page(l->store, before, STORE_PAGE_MAX, check_row, w, ei);
		if (rc == OK && w->fault != CHAIN_FAULT_NONE)
			return ERR(ei, ERR_CORRUPT, "the chain is broken at record %" PRIu64 ": %s",
				w->faulty_seq, chain_fault_text(w->fault));
	} while (rc == OK && w->head.seq > before);
	if (rc == OK && w->head.seq != l->head.seq)
		rc = ERR(
			ei, ERR_CORRUPT, "records are missing behind record %" PRIu64, w->head.seq);
	return rc;
}

/* Checks every record behind `from` to the end. */
static enum err
walk_chain(struct ledger *l, const struct chain_head *from, struct errinfo *ei)
{
	struct walk w = {.chain_id = l->chain_id, .head = *from, .intents = intents_new()};
	enum err rc = w.intents != NULL ? OK : ERR(ei, ERR_NOMEM, "out of memory");

	if (rc == OK)
		rc = walk_pages(l, &w, ei);
	if (rc == OK)
		rc = check_states(w.intents, ei);
	intents_free(&w.intents);
	return rc;
}

/* The meta value is only a hint: what it names must be a checkpoint that our key signed. */
static enum err
find_checkpoint(struct ledger *l, struct chain_head *from, struct errinfo *ei)
{
	struct found_row row;
	struct found_row covered;
	struct buf text;
	uint64_t seq = 0;

	*from = (struct chain_head){0};
	buf_init(&text, 64);
	enum err rc = l->store->ops->get_meta(l->store, META_CHECKPOINT, &text, ei);
	if (rc == OK && buf_failed(&text))
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	bool is_number = rc == OK && parse_uint(buf_span(&text), INT64_MAX, &seq);
	buf_fini(&text);
	if (rc == ERR_NOT_FOUND)
		return OK; /* none yet: from the first record on */
	if (rc != OK)
		return rc;
	if (!is_number || seq < 2)
		return ERR(ei, ERR_CORRUPT, "the mark of the last checkpoint is damaged");
	rc = find_row(l, seq, &row, ei);
	if (rc == OK)
		rc = find_row(l, seq - 1, &covered, ei);
	if (rc != OK)
		return rc;
	const struct checkpoint *cp = &row.checkpoint;
	if (cp->at.seq != seq - 1 || strcmp(cp->chain_id, l->chain_id) != 0 ||
		strcmp(cp->at.hash, covered.hash) != 0)
		return ERR(ei, ERR_CORRUPT,
			"the checkpoint at record %" PRIu64 " is missing or changed", seq);
	if (!checkpoint_is_signed_by(cp, l->key))
		return ERR(ei, ERR_CORRUPT,
			"the checkpoint at record %" PRIu64
			" was not signed with this ledger's key; restore the key",
			seq);
	*from = cp->at;
	l->checkpoint_seq = seq;
	return OK;
}

/* The head file was written after the record it names was durable, so that record must be there. */
static enum err
check_head_file(struct ledger *l, struct errinfo *ei)
{
	struct checkpoint cp;
	struct found_row row;
	enum err rc = checkpoint_read_head(l->names.head, &cp, ei);

	if (rc == ERR_NOT_FOUND)
		return OK;
	if (rc == ERR_NOMEM || rc == ERR_IO)
		return rc;
	if (rc != OK)
		return ERR_WRAP(ei, ERR_CORRUPT,
			"the head file cannot be read (remove it only if you know why)");
	if (!checkpoint_is_signed_by(&cp, l->key))
		return ERR(ei, ERR_CORRUPT,
			"%s was not signed with this ledger's key; restore the key", l->names.head);
	if (strcmp(cp.chain_id, l->chain_id) != 0)
		return ERR(ei, ERR_CORRUPT, "%s belongs to another chain", l->names.head);
	rc = find_row(l, cp.at.seq, &row, ei);
	/* The checkpoint record itself is the next one. */
	if (rc == OK && (row.seq == 0 || l->head.seq == cp.at.seq))
		return ERR(ei, ERR_CORRUPT,
			"the ledger ends at record %" PRIu64 ", its head file knows record %" PRIu64
			": it is an older copy, or was cut",
			l->head.seq, cp.at.seq);
	if (rc == OK && strcmp(row.hash, cp.at.hash) != 0)
		return ERR(ei, ERR_CORRUPT, "record %" PRIu64 " is not the one the head file knows",
			cp.at.seq);
	return rc;
}

/* What retention took away ended at a checkpoint, and the record that carries it is here. */
static enum err
check_anchor(struct ledger *l, struct errinfo *ei)
{
	struct checkpoint anchor;
	struct found_row row;
	enum err rc = anchor_load(l->store, &anchor, ei);

	if (rc == ERR_CORRUPT)
		return ERR(ei, rc, "the mark of what was archived is damaged");
	if (rc != OK || anchor.at.seq == 0)
		return rc;
	rc = find_row(l, anchor.at.seq + 1, &row, ei);
	if (rc != OK)
		return rc;
	if (row.checkpoint.at.seq != anchor.at.seq ||
		strcmp(row.checkpoint.at.hash, anchor.at.hash) != 0 ||
		strcmp(anchor.chain_id, l->chain_id) != 0 || !anchor_is_signed_by(&anchor, l->key))
		return ERR(ei, ERR_CORRUPT,
			"the records up to %" PRIu64 " are said to be archived, but record %" PRIu64
			" does not bear it out",
			anchor.at.seq, anchor.at.seq + 1);
	l->anchor_seq = anchor.at.seq;
	return OK;
}

/* ---- open intents ---- */

static bool
keep_open(const struct store_row *row, void *arg)
{
	struct ledger *l = arg;

	if (l->n_open < LEDGER_OPEN_SHOWN_MAX)
		l->open_seqs[l->n_open] = row->seq;
	l->n_open++;
	l->last_open_seq = row->seq;
	return true;
}

static enum err
list_open_intents(struct ledger *l, struct errinfo *ei)
{
	size_t before = 0;
	enum err rc = OK;

	l->n_open = 0;
	l->last_open_seq = 0;
	do {
		before = l->n_open;
		rc = l->store->ops->page_state(
			l->store, LEDGER_OPEN, l->last_open_seq, keep_open, l, ei);
	} while (rc == OK && l->n_open > before);
	return rc;
}

/* ---- a new chain ---- */

static enum err
start_chain(struct ledger *l, const struct checkpoint_seal *seal, struct errinfo *ei)
{
	struct ledger_tx tx;
	struct record_text text;
	struct buf previous;
	char now[CLOCK_TEXT_MAX];
	size_t n_now = clock_format(clock_wall_ns(), now);
	uint64_t seq = 0;

	arena_reset(l->arena);
	buf_init_arena(&previous, l->arena, 512);
	struct record *r = record_new(l->arena, "chain.start");
	if (r == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	record_set_text(r, RECORD_KEY_ID, span_cstr(sign_key_id(l->key)));
	/* Nobody can look for what came before: a chain of this kind ends with its process. */
	record_set_bool(r, RECORD_STATELESS, l->o.store == LEDGER_STORE_NONE);
	if (seal->reason[0] != '\0') {
		buf_printf(&previous, "{\"chain_id\":\"%s\",\"hash\":\"%s\",\"seq\":%" PRIu64 "}",
			seal->chain_id, seal->at.hash, seal->at.seq);
		record_set_json(r, RECORD_PREVIOUS_CHAIN, buf_span(&previous));
		record_set_text(r, RECORD_REASON, span_cstr(seal->reason));
	}
	enum err rc = record_render(r, redactor_default(), l->arena, &text, ei);
	if (rc == OK)
		rc = ledger_tx_begin(l, &tx, ei);
	if (rc != OK)
		return rc;
	rc = l->store->ops->put_meta(l->store, META_CHAIN_ID, span_cstr(l->chain_id), ei);
	if (rc == OK)
		rc = l->store->ops->put_meta(l->store, META_CREATED, span_of(now, n_now), ei);
	if (rc == OK)
		rc = ledger_tx_append(&tx, &text, LEDGER_COMPLETE, &seq, ei);
	if (rc == OK)
		rc = ledger_tx_commit(&tx, ei);
	if (rc != OK) {
		ledger_tx_abort(&tx);
		if (tx.has_failed)
			rc = ERR(ei, ERR_IO, "the first record cannot be written: %s",
				ledger_tx_reason(&tx));
	}
	return rc;
}

static enum err
make_chain(struct ledger *l, struct errinfo *ei)
{
	struct checkpoint_seal seal = {0};
	uint8_t id[CHAIN_ID_HEX / 2];
	bool has_file = l->o.store == LEDGER_STORE_SQLITE;
	enum err rc = has_file ? checkpoint_read_seal(l->names.seal, &seal, ei) : ERR_NOT_FOUND;

	if (rc != OK && rc != ERR_NOT_FOUND)
		return rc;
	bool has_seal = rc == OK;
	rc = rand_bytes(id, sizeof(id), ei);
	if (rc != OK)
		return rc;
	hash_hex(id, sizeof(id), l->chain_id);
	rc = start_chain(l, &seal, ei);
	if (rc == OK && has_seal && unlink(l->names.seal) != 0)
		log_warn(NULL, "ledger: %s could not be removed", l->names.seal);
	return rc;
}

static enum err
read_chain_id(struct ledger *l, struct errinfo *ei)
{
	struct buf text;
	uint8_t id[CHAIN_ID_HEX / 2];

	buf_init(&text, 64);
	enum err rc = l->store->ops->get_meta(l->store, META_CHAIN_ID, &text, ei);
	if (rc == OK && buf_failed(&text))
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == ERR_NOT_FOUND || (rc == OK && !hash_unhex(buf_span(&text), id, sizeof(id))))
		rc = ERR(ei, ERR_CORRUPT, "the chain id is missing or damaged");
	if (rc == OK)
		hash_hex(id, sizeof(id), l->chain_id);
	buf_fini(&text);
	return rc;
}

enum err
ledger_open_check(struct ledger *l, struct errinfo *ei)
{
	struct chain_head from = {0};
	enum err rc = l->store->ops->head(l->store, &l->head, ei);

	if (rc == OK && l->n_sinks > 0) {
		l->ring = ledger_ring_new(l->o.ring_bytes, l->head.seq);
		if (l->ring == NULL)
			rc = ERR(ei, ERR_NOMEM, "out of memory");
	}
	if (rc != OK)
		return rc;
	if (l->head.seq == 0)
		return make_chain(l, ei);
	rc = read_chain_id(l, ei);
	if (rc == OK)
		rc = check_head_file(l, ei);
	if (rc == OK)
		rc = check_anchor(l, ei);
	if (rc == OK)
		rc = find_checkpoint(l, &from, ei);
	if (rc == OK)
		rc = walk_chain(l, &from, ei);
	if (rc == OK)
		rc = list_open_intents(l, ei);
	return rc;
}
