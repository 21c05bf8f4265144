/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of Idempotency-Key. It must never let two requests with one key both have an effect, nor repeat an answer that
 * has not been released. Claims belong to the ledger's thread; what comes before and after, to the request's loop.
 */
#include "idempotency.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/metric.h"
#include "base/must.h"
#include "req_state.h"

enum { KEY_BYTES_MAX = 255 };
/* A key that has expired while its action runs is looked at again after this. */
#define LOOK_AGAIN_NS (60 * NS_PER_SEC)

/* States of a claim; part of the ledger's format. */
enum key_state {
	KEY_STATE_OPEN = 1,     /* claim.seq is the intent's */
	KEY_STATE_ANSWERED = 2, /* claim.seq is of the record that the answer waits for */
};

static bool
is_visible_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return s.n > 0;
}

enum req_step
idempotency_prepare(struct req *r)
{
	struct span key = r->input->idempotency_key;
	const struct span parts[] = {
		r->identity.principal, r->identity.agent, r->identity.environment, key};

	/* A caller who sends one will retry and trust that nothing happens twice (decisions 21). */
	if (r->snapshot->is_stateless)
		return req_fail(r, REQ_ERROR_NOT_ENABLED,
			SPAN_LIT("Idempotency-Key needs a ledger, and there is none in "
				 "runtime.stateless_mode; nothing was done"));
	if (key.n > KEY_BYTES_MAX || !is_visible_ascii(key))
		return req_fail(r, REQ_ERROR_VALIDATION,
			SPAN_LIT("Idempotency-Key must be 1 to 255 visible ASCII characters"));
	r->key = ARENA_NEW(r->arena, struct req_key);
	if (r->key == NULL)
		return req_fail(
			r, REQ_ERROR_OVERLOADED, SPAN_LIT("out of memory for this request"));
	*r->key = (struct req_key){.answer = KEY_NOT_ASKED};
	claim_key(CLAIM_IDEMPOTENCY, parts, ARRAY_LEN(parts), r->key->key);
	claim_owner(parts, r->key->owner);
	return STEP__MAX;
}

/* ---- room ---- */

static enum err
look_for_room(struct ledger_tx *tx, struct key_room *room, const uint8_t *owner, int64_t max,
	bool *has_room, struct errinfo *ei)
{
	int64_t now = clock_mono_ns();
	size_t n = 0;
	enum err rc = OK;

	*has_room = room->left > 0 && room->max == max;
	if (*has_room || (room->max == max && now < room->look_mono_ns))
		return OK;
	rc = ledger_tx_count_claims(
		tx, CLAIM_IDEMPOTENCY, LEDGER_ANY_STATE, owner, (size_t)max, &n, ei);
	if (rc != OK)
		return rc;
	room->max = max;
	room->left = max - (int64_t)n;
	room->look_mono_ns = now + NS_PER_SEC;
	*has_room = room->left > 0;
	return OK;
}

static struct key_room *
room_of(struct req *r)
{
	const uint8_t *owner = r->key->owner;
	/* Two that share a place only make each other count again. */
	size_t at = ((size_t)owner[0] << 8 | owner[1]) % KEY_ROOMS;
	struct key_room *room = &r->pipeline->key_rooms.owners[at];

	if (memcmp(room->owner, r->key->owner, sizeof(room->owner)) != 0) {
		*room = (struct key_room){.left = 0};
		memcpy(room->owner, r->key->owner, sizeof(room->owner));
	}
	return room;
}

static enum err
answer_new(struct ledger_tx *tx, struct req *r, struct errinfo *ei)
{
	const struct idempotency_section *o = &r->snapshot->idempotency;
	bool has_room = false;
	enum err rc =
		look_for_room(tx, &r->pipeline->key_rooms.all, NULL, o->max_keys, &has_room, ei);

	if (rc == OK && has_room)
		rc = look_for_room(
			tx, room_of(r), r->key->owner, o->max_keys_per_identity, &has_room, ei);
	r->key->answer = has_room ? KEY_NEW : KEY_FULL;
	return rc;
}

/* ---- looking ---- */

static enum err
read_stored(struct ledger_tx *tx, struct req *r, struct errinfo *ei)
{
	struct arena *a = req_need_spare(r);
	struct buf b;

	if (a == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	buf_init_arena(&b, a, LEDGER_CLAIM_BODY_MAX + 1);
	enum err rc = ledger_tx_get_claim_body(tx, CLAIM_IDEMPOTENCY, r->key->key, &b, ei);
	if (rc == OK && buf_failed(&b))
		return ERR(ei, ERR_NOMEM, "out of memory");
	r->key->stored = rc == OK ? buf_span(&b) : SPAN_NONE;
	return rc == ERR_NOT_FOUND ? OK : rc;
}

/* A claim that is open belongs to an intent that is; when the intent was closed without an answer, a crash was why. */
static enum err
answer_open(struct ledger_tx *tx, struct req *r, const struct ledger_claim *c, struct errinfo *ei)
{
	enum ledger_state state = LEDGER_COMPLETE;
	enum err rc = ledger_tx_get_state(tx, c->seq, &state, ei);

	if (rc != OK && rc != ERR_NOT_FOUND)
		return rc;
	r->key->answer = state == LEDGER_OPEN ? KEY_IN_PROGRESS : KEY_UNKNOWN;
	return OK;
}

static enum err
answer_found(struct ledger_tx *tx, struct req *r, const struct ledger_claim *c, struct errinfo *ei)
{
	enum err rc = OK;

	r->key->answer = KEY_REPLAY;
	if (c->state != KEY_STATE_ANSWERED)
		rc = answer_open(tx, r, c, ei);
	else if (!ledger_tx_is_released(tx, c->seq))
		r->key->answer = KEY_IN_PROGRESS;
	/* Only what still runs outlives its time. */
	if (rc == OK && c->expires_wall_ns <= clock_wall_ns() &&
		r->key->answer != KEY_IN_PROGRESS) {
		r->key->answer = KEY_NEW; /* in its own place */
		return ledger_tx_delete_claim(tx, CLAIM_IDEMPOTENCY, r->key->key, ei);
	}
	if (rc == OK && memcmp(c->binding_hash, r->key->binding, sizeof(r->key->binding)) != 0)
		r->key->answer = KEY_MISMATCH;
	if (rc == OK && (r->key->answer == KEY_REPLAY || r->key->answer == KEY_UNKNOWN))
		rc = read_stored(tx, r, ei);
	return rc;
}

enum err
idempotency_look(struct ledger_tx *tx, struct req *r, bool *is_answered, struct errinfo *ei)
{
	struct ledger_claim c;

	*is_answered = false;
	r->key->answer = KEY_NOT_ASKED;
	/* What is denied now is denied, whatever was answered before; and it never takes a key. */
	if (r->result.verdict == VERDICT_DENY)
		return OK;
	MUST(hash_unhex(span_cstr(r->action->binding_hash), r->key->binding, SHA256_BYTES));
	enum err rc = ledger_tx_find_claim(tx, CLAIM_IDEMPOTENCY, r->key->key, &c, ei);
	if (rc == ERR_NOT_FOUND)
		rc = answer_new(tx, r, ei);
	else if (rc == OK)
		rc = answer_found(tx, r, &c, ei);
	*is_answered = rc == OK && r->key->answer != KEY_NEW;
	return rc;
}

/* ---- taking and giving back ---- */

static int64_t
expires_at(const struct req *r)
{
	return clock_wall_ns() + r->snapshot->idempotency.ttl_seconds * NS_PER_SEC;
}

enum err
idempotency_claim(struct ledger_tx *tx, struct req *r, struct errinfo *ei)
{
	bool is_open = r->record_state == LEDGER_OPEN;
	struct arena *a = req_need_spare(r);
	struct ledger_claim c = {
		.kind = CLAIM_IDEMPOTENCY,
		/* The use of an approval is recorded behind the decision, and they are released together. */
		.seq = is_open ? r->intent_seq : r->entry.seq,
		.state = is_open ? KEY_STATE_OPEN : KEY_STATE_ANSWERED,
		.expires_wall_ns = expires_at(r),
	};

	if (r->key->answer != KEY_NEW || r->record_state == LEDGER_COMPLETE)
		return OK;
	r->key->stored = a != NULL ? stored_answer_build(r, is_open, a) : SPAN_NONE;
	if (r->key->stored.p == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	memcpy(c.key, r->key->key, sizeof(c.key));
	memcpy(c.owner, r->key->owner, sizeof(c.owner));
	memcpy(c.binding_hash, r->key->binding, sizeof(c.binding_hash));
	enum err rc = ledger_tx_put_claim(tx, &c, ei);
	if (rc == OK)
		rc = ledger_tx_set_claim_body(tx, c.kind, c.key, r->key->stored, ei);
	if (rc == OK) {
		r->pipeline->key_rooms.all.left--;
		room_of(r)->left--;
	}
	return rc;
}

enum err
idempotency_give_back(struct ledger_tx *tx, struct req *r, struct errinfo *ei)
{
	if (r->key->answer != KEY_NEW)
		return OK;
	return ledger_tx_delete_claim(tx, CLAIM_IDEMPOTENCY, r->key->key, ei);
}

/* Whether the executor has touched anything: what was refused before that may be tried again. */
static bool
keeps_key(const struct req *r)
{
	switch (r->job.status) {
	case EXEC_DONE:
	case EXEC_FAULT:
	case EXEC_UNCERTAIN:
		return true;
	case EXEC_NOT_RUN:
	case EXEC_BAD_RESOURCE:
	case EXEC_ESCAPE:
	case EXEC_NO_MEMORY:
		break;
	}
	return false;
}

void
idempotency_build_outcome(struct req *r)
{
	r->key->stored = SPAN_NONE;
	if (!keeps_key(r))
		return;
	r->key->stored = stored_answer_build(r, false, r->arena);
	if (r->key->stored.p == NULL && req_need_spare(r) != NULL)
		r->key->stored = stored_answer_build(r, false, r->spare);
}

enum err
idempotency_settle(struct ledger_tx *tx, struct req *r, uint64_t outcome_seq, struct errinfo *ei)
{
	struct ledger_claim c = {
		.kind = CLAIM_IDEMPOTENCY,
		.seq = outcome_seq,
		.state = KEY_STATE_ANSWERED,
		.expires_wall_ns = expires_at(r),
	};

	struct ledger_claim mine;
	enum err rc = ledger_tx_find_claim(tx, c.kind, r->key->key, &mine, ei);

	/* Gone, or another's since: the outcome stands all the same. */
	if (rc == ERR_NOT_FOUND || (rc == OK && mine.seq != r->intent_seq))
		return OK;
	if (rc != OK)
		return rc;
	memcpy(c.key, r->key->key, sizeof(c.key));
	if (!keeps_key(r))
		return ledger_tx_delete_claim(tx, c.kind, c.key, ei);
	rc = ledger_tx_update_claim(tx, &c, ei);
	if (rc == OK && r->key->stored.p != NULL)
		rc = ledger_tx_set_claim_body(tx, c.kind, c.key, r->key->stored, ei);
	return rc;
}

/* ---- keys that have expired ---- */

struct expired {
	struct ledger_claim *claims;
	size_t n;
	size_t max;
};

static bool
take_expired(const struct ledger_claim *c, void *arg)
{
	struct expired *e = arg;

	e->claims[e->n++] = *c;
	return e->n < e->max;
}

/* What still runs keeps its key, or a retry would run beside it. */
static enum err
purge_one(struct ledger_tx *tx, struct ledger_claim *c, int64_t now_wall_ns, struct errinfo *ei)
{
	enum ledger_state state = LEDGER_COMPLETE;
	enum err rc = OK;

	if (c->state == KEY_STATE_OPEN)
		rc = ledger_tx_get_state(tx, c->seq, &state, ei);
	if (rc != OK && rc != ERR_NOT_FOUND)
		return rc;
	if (state != LEDGER_OPEN)
		return ledger_tx_delete_claim(tx, c->kind, c->key, ei);
	c->expires_wall_ns = now_wall_ns + LOOK_AGAIN_NS;
	return ledger_tx_update_claim(tx, c, ei);
}

enum err
idempotency_purge(struct ledger_tx *tx, int64_t now_wall_ns, size_t max, struct arena *a, size_t *n,
	struct errinfo *ei)
{
	struct expired e = {.claims = ARENA_ARRAY(a, struct ledger_claim, max), .max = max};
	enum err rc;

	*n = 0;
	if (e.claims == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	rc = ledger_tx_each_expired(tx, CLAIM_IDEMPOTENCY, now_wall_ns, max, take_expired, &e, ei);
	for (size_t i = 0; rc == OK && i < e.n; i++)
		rc = purge_one(tx, &e.claims[i], now_wall_ns, ei);
	*n = e.n;
	return rc;
}

/* ---- the answer ---- */

static enum req_step
fail_unknown(struct req *r, struct span action_id)
{
	struct span text = arena_printf(r->arena,
		"whether action %.*s took effect is not known; it is not carried out again",
		SPAN_ARG(action_id));

	return req_fail(r, REQ_ERROR_OUTCOME_UNKNOWN,
		text.p != NULL && action_id.n > 0
			? text
			: SPAN_LIT("whether the action took effect is not known; it is not carried "
				   "out again"));
}

enum req_step
idempotency_respond(struct req *r)
{
	struct span action_id = SPAN_NONE;

	switch (r->key->answer) {
	case KEY_REPLAY:
		if (stored_answer_read(r, r->key->stored, &action_id)) {
			metric_add(METRIC_REPLAYS, 1);
			r->result.is_replayed = true;
			return STEP_RESPOND;
		}
		return fail_unknown(r, action_id);
	case KEY_UNKNOWN:
		if (stored_answer_read(r, r->key->stored, &action_id))
			action_id = r->action->action_id;
		return fail_unknown(r, action_id);
	case KEY_IN_PROGRESS:
		return req_fail(r, REQ_ERROR_KEY_IN_PROGRESS,
			SPAN_LIT("the first request with this Idempotency-Key has not ended yet"));
	case KEY_MISMATCH:
		return req_fail(r, REQ_ERROR_KEY_MISMATCH,
			SPAN_LIT("this Idempotency-Key was used for another action; nothing was "
				 "done"));
	case KEY_FULL:
		return req_fail(r, REQ_ERROR_KEY_LIMIT,
			SPAN_LIT("too many Idempotency-Keys are kept; nothing was done"));
	case KEY_NOT_ASKED:
	case KEY_NEW:
		break;
	}
	UNREACHABLE("a key that did not answer");
}
