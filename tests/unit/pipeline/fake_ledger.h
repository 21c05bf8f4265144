/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A ledger for tests of pipeline/, in place of the real one: it keeps the rendered records, and a test says what happens to
 * each entry. Defining the ledger's functions here keeps the real ones out of the program. Everything runs on the test's own
 * thread; completions go through the loop like the real ones.
 */
#ifndef TESTS_FAKE_LEDGER_H
#define TESTS_FAKE_LEDGER_H

#include <stdio.h>
#include <string.h>

#include "audit/ledger.h"
#include "base/buf.h"
#include "base/must.h"

enum { FAKE_RECORDS_MAX = 64, FAKE_RECORD_BYTES = BUF_CAP_RECORD + 256 };

/* Of the one ledger that a test has at a time; too much for its stack. */
static char fake_texts[FAKE_RECORDS_MAX][FAKE_RECORD_BYTES];

enum fake_fault {
	FAKE_OK = 0,
	FAKE_REFUSE,  /* ledger_submit answers `refusal` */
	FAKE_UNDO,    /* applied, then undone: a required sink missed its deadline */
	FAKE_DOUBT,   /* applied; whether it stands nobody knows */
	FAKE_PENDING, /* pending now; done when fake_ledger_recover is called */
};

struct fake_record {
	const char *text;
	enum ledger_state state;
};

struct ledger {
	struct fake_record records[FAKE_RECORDS_MAX];
	size_t n_records;
	size_t n_submits;
	enum fake_fault faults[8]; /* of the submits, in order; then FAKE_OK */
	enum err refusal;
	struct ledger_entry *waiting;
	uint64_t closed[FAKE_RECORDS_MAX];
	size_t n_closed;
	struct fake_claim {
		bool is_there;
		struct ledger_claim claim;
		char body[4096];
		size_t n_body;
	} claims[256];
	bool may_fail;       /* apply may; what it did is undone then */
	uint64_t unreleased; /* records from this one on are not released; 0: all are */
};

struct ledger_tx {
	struct ledger *l;
	struct ledger_entry *entry; /* that is applied; NULL: undone */
};

static inline void
fake_done(struct loop_msg *msg)
{
	struct ledger_entry *e = (struct ledger_entry *)(void *)msg;

	e->done(e);
}

static inline void
fake_pending(struct loop_msg *msg)
{
	struct ledger_entry *e =
		(struct ledger_entry *)(void *)((char *)msg -
						offsetof(struct ledger_entry, pending_msg));

	e->pending(e);
}

static inline void
fake_finish(struct ledger_entry *e, enum err result)
{
	e->result = result;
	e->msg.run = fake_done;
	loop_post(e->loop, &e->msg);
}

/* An apply that fails takes nothing with it; the copy that needs is made for tests that ask for it. */
static inline enum err
fake_apply(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	static struct fake_claim before[ARRAY_LEN(tx->l->claims)];
	size_t n_records = tx->l->n_records;
	enum err rc;

	if (tx->l->may_fail)
		memcpy(before, tx->l->claims, sizeof(before));
	rc = e->apply(tx, e, ei);
	MUST(rc == OK || tx->l->may_fail);
	if (rc != OK) {
		memcpy(tx->l->claims, before, sizeof(before));
		tx->l->n_records = n_records;
	}
	return rc;
}

enum err
ledger_submit(struct ledger *l, struct ledger_entry *e, struct errinfo *ei)
{
	struct ledger_tx tx = {l, e};
	enum fake_fault fault =
		l->n_submits < ARRAY_LEN(l->faults) ? l->faults[l->n_submits] : FAKE_OK;

	l->n_submits++;
	switch (fault) {
	case FAKE_OK:
		fake_finish(e, fake_apply(&tx, e, ei));
		return OK;
	case FAKE_REFUSE:
		return ERR(ei, l->refusal, "refused by the test");
	case FAKE_UNDO:
		MUST(e->apply(&tx, e, ei) == OK);
		tx.entry = NULL;
		if (e->undo != NULL)
			MUST(e->undo(&tx, e, ei) == OK);
		fake_finish(e, ERR_AUDIT);
		return OK;
	case FAKE_DOUBT:
		MUST(e->apply(&tx, e, ei) == OK);
		e->seq = 0; /* it may not be there */
		e->is_doubtful = true;
		fake_finish(e, ERR_AUDIT);
		return OK;
	case FAKE_PENDING:
		MUST(l->waiting == NULL);
		l->waiting = e;
		e->pending_msg.run = fake_pending;
		loop_post(e->loop, &e->pending_msg);
		return OK;
	}
	return ERR_AUDIT;
}

struct ledger_entry *
ledger_submit_all(struct ledger *l, struct ledger_entry *first)
{
	struct ledger_entry *refused = NULL;
	struct ledger_entry **tail = &refused;

	while (first != NULL) {
		struct ledger_entry *e = first;
		enum err rc;

		first = e->next_waiting;
		e->next_waiting = NULL;
		rc = ledger_submit(l, e, &e->ei);
		if (rc == OK)
			continue;
		e->result = rc;
		*tail = e;
		tail = &e->next_waiting;
	}
	return refused;
}

/* The waiting entry is written after all. */
static inline void
fake_ledger_recover(struct ledger *l)
{
	struct ledger_entry *e = l->waiting;
	struct ledger_tx tx = {l, e};

	l->waiting = NULL;
	MUST(e->apply(&tx, e, NULL) == OK);
	fake_finish(e, OK);
}

enum err
ledger_tx_append(struct ledger_tx *tx, const struct record_text *text, enum ledger_state state,
	uint64_t *seq, struct errinfo *ei)
{
	static const char *const gaps[RECORD_PARTS - 1] = {
		"\"chain_id\":C,", "\"prev_event_hash\":P,", "\"seq\":S,", "\"timestamp\":T"};
	struct fake_record *r = &tx->l->records[tx->l->n_records];
	char *to = fake_texts[tx->l->n_records];
	size_t n = 0;

	(void)ei;
	MUST(tx->l->n_records < FAKE_RECORDS_MAX);
	for (size_t i = 0; i < RECORD_PARTS; i++) {
		struct span gap = span_cstr(i + 1 < RECORD_PARTS ? gaps[i] : NULL);

		MUST(n + text->parts[i].n + gap.n < FAKE_RECORD_BYTES);
		memcpy(to + n, text->parts[i].p, text->parts[i].n);
		n += text->parts[i].n;
		if (gap.n > 0)
			memcpy(to + n, gap.p, gap.n);
		n += gap.n;
	}
	to[n] = '\0';
	r->text = to;
	r->state = state;
	*seq = ++tx->l->n_records;
	if (tx->entry != NULL)
		tx->entry->seq = *seq;
	return OK;
}

static inline struct fake_claim *
fake_find_claim(struct ledger *l, uint32_t kind, const uint8_t *key)
{
	for (size_t i = 0; i < ARRAY_LEN(l->claims); i++) {
		struct fake_claim *c = &l->claims[i];

		if (c->is_there && c->claim.kind == kind &&
			memcmp(c->claim.key, key, LEDGER_CLAIM_KEY) == 0)
			return c;
	}
	return NULL;
}

enum err
ledger_tx_find_claim(struct ledger_tx *tx, uint32_t kind, const uint8_t key[LEDGER_CLAIM_KEY],
	struct ledger_claim *out, struct errinfo *ei)
{
	struct fake_claim *c = fake_find_claim(tx->l, kind, key);

	if (c == NULL)
		return ERR(ei, ERR_NOT_FOUND, "no such claim");
	*out = c->claim;
	return OK;
}

enum err
ledger_tx_put_claim(struct ledger_tx *tx, const struct ledger_claim *c, struct errinfo *ei)
{
	if (fake_find_claim(tx->l, c->kind, c->key) != NULL)
		return ERR(ei, ERR_CONFLICT, "already claimed");
	for (size_t i = 0; i < ARRAY_LEN(tx->l->claims); i++)
		if (!tx->l->claims[i].is_there) {
			tx->l->claims[i] = (struct fake_claim){.is_there = true, .claim = *c};
			return OK;
		}
	UNREACHABLE("more claims than a test may have");
}

enum err
ledger_tx_update_claim(struct ledger_tx *tx, const struct ledger_claim *c, struct errinfo *ei)
{
	struct fake_claim *found = fake_find_claim(tx->l, c->kind, c->key);

	if (found == NULL)
		return ERR(ei, ERR_NOT_FOUND, "no such claim");
	found->claim.seq = c->seq;
	found->claim.state = c->state;
	found->claim.expires_wall_ns = c->expires_wall_ns;
	return OK;
}

enum err
ledger_tx_delete_claim(struct ledger_tx *tx, uint32_t kind, const uint8_t key[LEDGER_CLAIM_KEY],
	struct errinfo *ei)
{
	struct fake_claim *c = fake_find_claim(tx->l, kind, key);

	(void)ei;
	if (c != NULL)
		c->is_there = false;
	return OK;
}

enum err
ledger_tx_set_claim_body(struct ledger_tx *tx, uint32_t kind, const uint8_t key[LEDGER_CLAIM_KEY],
	struct span body, struct errinfo *ei)
{
	struct fake_claim *c = fake_find_claim(tx->l, kind, key);

	if (c == NULL)
		return ERR(ei, ERR_NOT_FOUND, "no such claim");
	MUST(body.n <= sizeof(c->body));
	memcpy(c->body, body.p, body.n);
	c->n_body = body.n;
	return OK;
}

enum err
ledger_tx_get_claim_body(struct ledger_tx *tx, uint32_t kind, const uint8_t key[LEDGER_CLAIM_KEY],
	struct buf *out, struct errinfo *ei)
{
	struct fake_claim *c = fake_find_claim(tx->l, kind, key);

	if (c == NULL || c->n_body == 0)
		return ERR(ei, ERR_NOT_FOUND, "the claim has no body");
	buf_add_span(out, span_of(c->body, c->n_body));
	return OK;
}

enum err
ledger_tx_count_claims(struct ledger_tx *tx, uint32_t kind, int32_t state, const uint8_t *owner,
	size_t max, size_t *n, struct errinfo *ei)
{
	(void)ei;
	*n = 0;
	for (size_t i = 0; i < ARRAY_LEN(tx->l->claims); i++) {
		const struct fake_claim *c = &tx->l->claims[i];

		if (c->is_there && c->claim.kind == kind &&
			(state == LEDGER_ANY_STATE || c->claim.state == state) &&
			(owner == NULL ||
				memcmp(owner, c->claim.owner, sizeof(c->claim.owner)) == 0))
			*n += *n < max ? 1 : 0;
	}
	return OK;
}

/* The first to expire first. */
enum err
ledger_tx_each_expired(struct ledger_tx *tx, uint32_t kind, int64_t now_wall_ns, size_t max,
	ledger_claim_visit_fn visit, void *arg, struct errinfo *ei)
{
	const struct ledger_claim *last = NULL;

	(void)ei;
	for (size_t n = 0; n < max; n++) {
		const struct ledger_claim *next = NULL;

		for (size_t i = 0; i < ARRAY_LEN(tx->l->claims); i++) {
			const struct fake_claim *c = &tx->l->claims[i];
			bool is_behind = last == NULL ||
					 c->claim.expires_wall_ns > last->expires_wall_ns ||
					 (c->claim.expires_wall_ns == last->expires_wall_ns &&
						 &c->claim > last);

			if (c->is_there && c->claim.kind == kind && is_behind &&
				c->claim.expires_wall_ns != 0 &&
				c->claim.expires_wall_ns <= now_wall_ns &&
				(next == NULL || c->claim.expires_wall_ns < next->expires_wall_ns))
				next = &c->claim;
		}
		if (next == NULL || !visit(next, arg))
			break;
		last = next;
	}
	return OK;
}

/* In no order: there are never more than one page of them. */
enum err
ledger_tx_each_claim(struct ledger_tx *tx, uint32_t kind, int32_t state, uint64_t before_seq,
	size_t max, ledger_claim_visit_fn visit, void *arg, struct errinfo *ei)
{
	size_t n = 0;

	(void)ei;
	for (size_t i = 0; i < ARRAY_LEN(tx->l->claims) && n < max; i++) {
		const struct fake_claim *c = &tx->l->claims[i];

		if (!c->is_there || c->claim.kind != kind ||
			(state != LEDGER_ANY_STATE && c->claim.state != state) ||
			(before_seq != 0 && c->claim.seq >= before_seq))
			continue;
		n++;
		if (!visit(&c->claim, arg))
			break;
	}
	return OK;
}

enum err
ledger_tx_purge_claims(struct ledger_tx *tx, uint32_t kind, int64_t now_wall_ns, size_t max,
	size_t *n, struct errinfo *ei)
{
	(void)ei;
	*n = 0;
	for (size_t i = 0; i < ARRAY_LEN(tx->l->claims); i++) {
		struct fake_claim *c = &tx->l->claims[i];

		if (c->is_there && c->claim.kind == kind && *n < max &&
			c->claim.expires_wall_ns <= now_wall_ns) {
			c->is_there = false;
			(*n)++;
		}
	}
	return OK;
}

enum err
ledger_tx_get_state(struct ledger_tx *tx, uint64_t seq, enum ledger_state *out, struct errinfo *ei)
{
	if (seq == 0 || seq > tx->l->n_records)
		return ERR(ei, ERR_NOT_FOUND, "there is no such record");
	*out = tx->l->records[seq - 1].state;
	for (size_t i = 0; i < tx->l->n_closed; i++)
		if (tx->l->closed[i] == seq)
			*out = LEDGER_COMPLETE;
	return OK;
}

/* It keeps no rows to visit. */
enum err
ledger_tx_each_of_state(struct ledger_tx *tx, enum ledger_state state,
	bool (*visit)(const struct store_row *row, void *arg), void *arg, struct errinfo *ei)
{
	(void)tx;
	(void)state;
	(void)visit;
	(void)arg;
	(void)ei;
	return OK;
}

bool
ledger_tx_is_released(const struct ledger_tx *tx, uint64_t seq)
{
	return tx->l->unreleased == 0 || seq < tx->l->unreleased;
}

const char *
ledger_get_path(const struct ledger *l)
{
	(void)l;
	return NULL;
}

int64_t
ledger_get_queue_wait(const struct ledger *l)
{
	(void)l;
	return 0;
}

enum err
ledger_tx_close(struct ledger_tx *tx, uint64_t intent_seq, struct errinfo *ei)
{
	(void)ei;
	tx->l->closed[tx->l->n_closed++] = intent_seq;
	return OK;
}

#endif
