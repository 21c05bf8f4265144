/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The chore: approvals that have run out end on record, what was over for a while is removed; so do those that wait under a policy
 * which is not in force any more, because nobody can grant them and they would count against the caps. Rows are looked at by
 * their expiry, and all that wait once for each policy, so a sweep costs nothing while none is due. An approval that has run out
 * allows nothing before it is swept.
 */
#include "approval/approval_records.h"
#include "approval/approval_store.h"
#include "approval/desk.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "claims.h"
#include "pipeline/approvals.h"
#include "pipeline/board.h"
#include "policy/policy.h"
#include "req_state.h"

enum { SWEEP_MAX = 100 };

struct sweep {
	struct ledger_entry entry; /* first */
	struct pipeline *pipeline;
	struct snapshot *snapshot;
	struct approval_key keys[SWEEP_MAX];
	size_t n_keys;
	char ended[2 * SWEEP_MAX][APPROVAL_ID_BYTES + 1];
	size_t n_ended;
	int64_t next_wall_ns;
	bool ends_outdated;
	uint64_t
		before_seq; /* of the page of those that wait; then of the next one, 0: that was the last */
};

static bool
take_key(const struct ledger_claim *c, void *arg)
{
	struct sweep *s = arg;

	memcpy(s->keys[s->n_keys++].bytes, c->key, sizeof(c->key));
	return s->n_keys < SWEEP_MAX;
}

static bool
take_time(const struct ledger_claim *c, void *arg)
{
	struct sweep *s = arg;

	s->next_wall_ns = c->expires_wall_ns;
	return false;
}

static enum err
expire(struct ledger_tx *tx, struct sweep *s, struct approval *a, const char *why,
	int64_t now_wall_ns, struct errinfo *ei)
{
	struct arena *arena = s->pipeline->desk.arena;
	struct approval_event event = {
		.type = "approval.expired",
		.reason = why,
		.approval = a,
		.redactor = s->snapshot->redactor,
	};
	uint64_t seq;
	enum err rc;

	a->state = APPROVAL_EXPIRED;
	rc = approval_append(tx, &event, arena, &seq, ei);
	if (rc == OK)
		rc = approval_store_change(tx, a, now_wall_ns, arena, ei);
	memcpy(s->ended[s->n_ended++], a->id, sizeof(a->id));
	return rc;
}

static enum err
look_at(struct ledger_tx *tx, struct sweep *s, struct approval_key key, int64_t now_wall_ns,
	struct errinfo *ei)
{
	struct approval a;
	enum err rc;

	arena_reset(s->pipeline->desk.arena);
	rc = approval_store_find(tx, key, s->pipeline->desk.arena, &a, ei);
	if (rc == ERR_CORRUPT || rc == ERR_NOT_FOUND) {
		log_error(NULL, "a stored approval is damaged and was removed: %s", ei->msg);
		return approval_store_remove(tx, key, ei);
	}
	if (rc != OK)
		return rc;
	if (a.state == APPROVAL_PENDING || a.state == APPROVAL_APPROVED)
		return expire(tx, s, &a,
			a.state == APPROVAL_PENDING ? "not_decided_in_time" : "not_used_in_time",
			now_wall_ns, ei);
	return approval_store_remove(tx, key, ei);
}

/* ---- of a policy that is not in force ---- */

static bool
take_place(const struct ledger_claim *c, void *arg)
{
	struct sweep *s = arg;

	s->before_seq = c->seq;
	return take_key(c, s);
}

static enum err
end_outdated(struct ledger_tx *tx, struct sweep *s, struct approval_key key, int64_t now_wall_ns,
	struct errinfo *ei)
{
	const char *in_force = policy_get_hash(s->snapshot->policy);
	struct approval a;
	enum err rc;

	arena_reset(s->pipeline->desk.arena);
	rc = approval_store_find(tx, key, s->pipeline->desk.arena, &a, ei);
	if (rc == ERR_CORRUPT || rc == ERR_NOT_FOUND)
		return OK; /* its expiry comes */
	if (rc != OK || strcmp(a.policy_hash, in_force) == 0)
		return rc;
	return expire(tx, s, &a, "policy_changed", now_wall_ns, ei);
}

static enum err
end_outdated_page(struct ledger_tx *tx, struct sweep *s, int64_t now_wall_ns, struct errinfo *ei)
{
	enum err rc;

	s->n_keys = 0;
	rc = ledger_tx_each_claim(
		tx, CLAIM_APPROVAL, APPROVAL_PENDING, s->before_seq, SWEEP_MAX, take_place, s, ei);
	for (size_t i = 0; rc == OK && i < s->n_keys; i++)
		rc = end_outdated(tx, s, s->keys[i], now_wall_ns, ei);
	if (s->n_keys < SWEEP_MAX)
		s->before_seq = 0;
	memcpy(s->pipeline->desk.swept_hash, policy_get_hash(s->snapshot->policy), SHA256_HEX + 1);
	return rc;
}

static enum err
apply_sweep(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct sweep *s = (struct sweep *)(void *)e;
	int64_t now = clock_wall_ns();
	size_t n;
	enum err rc;

	s->n_keys = s->n_ended = 0;
	s->next_wall_ns = INT64_MAX;
	s->before_seq = s->pipeline->desk.outdated_before_seq;
	rc = ledger_tx_each_expired(tx, CLAIM_APPROVAL, now - 1, SWEEP_MAX, take_key, s, ei);
	for (size_t i = 0; rc == OK && i < s->n_keys; i++)
		rc = look_at(tx, s, s->keys[i], now, ei);
	if (rc == OK && s->ends_outdated)
		rc = end_outdated_page(tx, s, now, ei);
	if (rc == OK)
		rc = ledger_tx_purge_claims(tx, CLAIM_APPROVAL_OPEN, now, SWEEP_MAX, &n, ei);
	if (rc == OK)
		rc = ledger_tx_purge_claims(tx, CLAIM_APPROVAL_DENIED, now, SWEEP_MAX, &n, ei);
	if (rc == OK)
		rc = ledger_tx_each_expired(tx, CLAIM_APPROVAL, INT64_MAX, 1, take_time, s, ei);
	/* Before others ask for more, whose times then count. */
	if (rc == OK)
		atomic_store(&s->pipeline->desk.due_wall_ns, s->next_wall_ns);
	return rc;
}

static void
free_sweep(struct sweep *s)
{
	s->pipeline->desk.is_sweeping = false;
	snapshot_unref(&s->snapshot);
	mem_free(s);
}

/* What was looked for stays looked for until all of it is found. */
static void
keep_place(struct sweep *s, enum err result)
{
	struct approval_desk *d = &s->pipeline->desk;

	if (!s->ends_outdated || result == ERR_UNSUPPORTED)
		return;
	if (result == OK)
		d->outdated_before_seq = s->before_seq;
	if (result != OK || s->before_seq != 0)
		atomic_store(&d->has_outdated, true);
}

static void
sweep_done(struct ledger_entry *e)
{
	struct sweep *s = (struct sweep *)(void *)e;

	keep_place(s, e->result);

	/* It is tried again with the next call. Without a ledger there is nothing to end. */
	if (e->result != OK)
		atomic_store(&s->pipeline->desk.due_wall_ns,
			e->result == ERR_UNSUPPORTED ? INT64_MAX : 0);
	for (size_t i = 0; e->result == OK && i < s->n_ended; i++)
		board_publish(pipeline_get_board(s->pipeline), span_cstr(s->ended[i]), "expired");
	free_sweep(s);
}

/* With another policy all that wait are looked at, from the newest on. */
static void
note_policy(struct approval_desk *d, const char *hash)
{
	if (strcmp(d->policy_hash, hash) == 0)
		return;
	memcpy(d->policy_hash, hash, sizeof(d->policy_hash));
	d->outdated_before_seq = 0;
	atomic_store(&d->has_outdated, true);
}

void
approvals_set_in_force(struct pipeline *p, const struct snapshot *s)
{
	atomic_store(&p->desk.in_force, s);
}

void
approvals_sweep(struct pipeline *p, struct snapshot *snapshot, struct loop *loop)
{
	struct errinfo ei;
	struct sweep *s;

	if (p->desk.is_sweeping)
		return;
	note_policy(&p->desk, policy_get_hash(snapshot->policy));
	if (clock_wall_ns() <= atomic_load(&p->desk.due_wall_ns) &&
		!atomic_load(&p->desk.has_outdated))
		return;
	s = mem_zalloc(1, sizeof(*s));
	if (s == NULL)
		return;
	s->pipeline = p;
	s->snapshot = snapshot_ref(snapshot);
	s->entry.loop = loop;
	s->entry.apply = apply_sweep;
	s->entry.done = sweep_done;
	s->ends_outdated = atomic_exchange(&p->desk.has_outdated, false);
	if (atomic_exchange(&p->desk.has_newer_outdated, false))
		p->desk.outdated_before_seq = 0;
	p->desk.is_sweeping = true;
	if (ledger_submit(p->ledger, &s->entry, &ei) == OK)
		return;
	keep_place(s, ERR_AUDIT);
	free_sweep(s);
}
