/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The rows of approvals. What the rows say beside the body (state, expiry, owner) is there to be counted and listed; decisions rest
 * on the body alone. Ledger's thread. */
#include "approval/approval_store.h"

#include "base/arena.h"
#include "base/buf.h"
#include "claims.h"

struct approval_key
approval_key_of(struct span id)
{
	struct approval_key key;

	claim_key(CLAIM_APPROVAL, &id, 1, key.bytes);
	return key;
}

static struct span
bytes_of(const uint8_t *p, size_t n)
{
	return span_of((const char *)p, n);
}

static void
owner_of(const struct identity *i, uint8_t out[CLAIM_KEY_BYTES])
{
	struct span parts[3] = {i->principal, i->agent, i->environment};

	claim_owner(parts, out);
}

/* What the approval covers: these parameters, or a class. */
static void
scope_of(const struct approval *a, bool is_class, uint8_t out[CLAIM_KEY_BYTES])
{
	struct span parts[3] = {SPAN_LIT("fingerprint"), span_cstr(a->binding_hash), SPAN_NONE};

	if (is_class) {
		parts[0] = SPAN_LIT("class");
		parts[1] = a->action_type;
		parts[2] = a->resource;
	}
	claim_key(CLAIM_APPROVAL_OPEN, parts, 3, out);
}

static void
open_key_of(const struct approval *a, uint8_t out[CLAIM_KEY_BYTES])
{
	uint8_t owner[CLAIM_KEY_BYTES];
	uint8_t scope[CLAIM_KEY_BYTES];

	owner_of(&a->identity, owner);
	scope_of(a, a->is_class, scope);
	struct span parts[4] = {bytes_of(owner, sizeof(owner)), bytes_of(scope, sizeof(scope)),
		span_cstr(a->policy_hash), a->obligations};
	claim_key(CLAIM_APPROVAL_OPEN, parts, 4, out);
}

static void
denied_key_of(const struct approval *a, bool is_class, uint8_t out[CLAIM_KEY_BYTES])
{
	uint8_t owner[CLAIM_KEY_BYTES];
	uint8_t scope[CLAIM_KEY_BYTES];

	owner_of(&a->identity, owner);
	scope_of(a, is_class, scope);
	struct span parts[2] = {bytes_of(owner, sizeof(owner)), bytes_of(scope, sizeof(scope))};
	claim_key(CLAIM_APPROVAL_DENIED, parts, 2, out);
}

/* ---- one approval ---- */

static enum err
get_body(struct ledger_tx *tx, enum claim_kind kind, struct approval_key key, struct arena *arena,
	struct span *out, struct errinfo *ei)
{
	struct buf b;
	enum err rc;

	*out = SPAN_NONE;
	buf_init_arena(&b, arena, LEDGER_CLAIM_BODY_MAX + 1);
	rc = ledger_tx_get_claim_body(tx, (uint32_t)kind, key.bytes, &b, ei);
	if (rc != OK)
		return rc;
	if (buf_failed(&b))
		return ERR(ei, ERR_NOMEM, "out of memory for an approval");
	*out = buf_span(&b);
	return OK;
}

enum err
approval_store_find(struct ledger_tx *tx, struct approval_key key, struct arena *arena,
	struct approval *out, struct errinfo *ei)
{
	struct span text;
	enum err rc = get_body(tx, CLAIM_APPROVAL, key, arena, &text, ei);

	*out = (struct approval){0};
	return rc == OK ? approval_parse(text, arena, out, ei) : rc;
}

enum err
approval_store_get_params(struct ledger_tx *tx, struct approval_key key, struct arena *arena,
	struct span *out, struct errinfo *ei)
{
	return get_body(tx, CLAIM_APPROVAL_PARAMS, key, arena, out, ei);
}

static enum err
set_body(struct ledger_tx *tx, const struct approval *a, struct approval_key key,
	struct arena *arena, struct errinfo *ei)
{
	struct buf b;

	buf_init_arena(&b, arena, BUF_CAP_REPLY);
	approval_build(a, &b);
	if (buf_failed(&b))
		return ERR(ei, ERR_NOMEM, "out of memory for an approval");
	if (b.n > LEDGER_CLAIM_BODY_MAX)
		return ERR(ei, ERR_TOO_LARGE, "the approval has become too large");
	return ledger_tx_set_claim_body(tx, CLAIM_APPROVAL, key.bytes, buf_span(&b), ei);
}

static struct ledger_claim
claim_of(const struct approval *a, enum claim_kind kind, const uint8_t key[CLAIM_KEY_BYTES],
	uint64_t seq)
{
	struct ledger_claim c = {
		.kind = (uint32_t)kind,
		.seq = seq,
		.state = (int32_t)a->state,
		.expires_wall_ns = a->expires_wall_ns,
	};

	memcpy(c.key, key, sizeof(c.key));
	owner_of(&a->identity, c.owner);
	if (!hash_unhex(span_cstr(a->binding_hash), c.binding_hash, sizeof(c.binding_hash)))
		memset(c.binding_hash, 0, sizeof(c.binding_hash));
	return c;
}

/* The way from what is asked for to the approval's own key, which stands where others have a binding hash. */
static enum err
put_open(struct ledger_tx *tx, const struct approval *a, struct approval_key key, uint64_t seq,
	struct errinfo *ei)
{
	uint8_t open_key[CLAIM_KEY_BYTES];
	struct ledger_claim c;
	enum err rc;

	open_key_of(a, open_key);
	c = claim_of(a, CLAIM_APPROVAL_OPEN, open_key, seq);
	memset(c.binding_hash, 0, sizeof(c.binding_hash));
	memcpy(c.binding_hash, key.bytes, sizeof(key.bytes));
	rc = ledger_tx_delete_claim(tx, CLAIM_APPROVAL_OPEN, open_key, ei);
	return rc == OK ? ledger_tx_put_claim(tx, &c, ei) : rc;
}

enum err
approval_store_add(struct ledger_tx *tx, const struct approval *a, struct span params, uint64_t seq,
	struct arena *arena, struct errinfo *ei)
{
	struct approval_key key = approval_key_of(span_cstr(a->id));
	struct ledger_claim c = claim_of(a, CLAIM_APPROVAL, key.bytes, seq);
	enum err rc = ledger_tx_put_claim(tx, &c, ei);

	if (rc == OK)
		rc = set_body(tx, a, key, arena, ei);
	c.kind = CLAIM_APPROVAL_PARAMS;
	c.expires_wall_ns = 0; /* goes with the approval */
	if (rc == OK)
		rc = ledger_tx_put_claim(tx, &c, ei);
	if (rc == OK)
		rc = ledger_tx_set_claim_body(tx, CLAIM_APPROVAL_PARAMS, key.bytes, params, ei);
	return rc == OK ? put_open(tx, a, key, seq, ei) : rc;
}

/* Only while it leads to this approval: another one may have been asked for since. */
static enum err
drop_open(
	struct ledger_tx *tx, const struct approval *a, struct approval_key key, struct errinfo *ei)
{
	uint8_t open_key[CLAIM_KEY_BYTES];
	struct ledger_claim c;
	enum err rc;

	open_key_of(a, open_key);
	rc = ledger_tx_find_claim(tx, CLAIM_APPROVAL_OPEN, open_key, &c, ei);
	if (rc == ERR_NOT_FOUND)
		return OK;
	if (rc != OK || memcmp(c.binding_hash, key.bytes, sizeof(key.bytes)) != 0)
		return rc;
	return ledger_tx_delete_claim(tx, CLAIM_APPROVAL_OPEN, open_key, ei);
}

enum err
approval_store_change(struct ledger_tx *tx, const struct approval *a, int64_t now_wall_ns,
	struct arena *arena, struct errinfo *ei)
{
	struct approval_key key = approval_key_of(span_cstr(a->id));
	struct ledger_claim c;
	enum err rc = ledger_tx_find_claim(tx, CLAIM_APPROVAL, key.bytes, &c, ei);

	if (rc != OK)
		return rc;
	c.state = (int32_t)a->state;
	c.expires_wall_ns = a->expires_wall_ns;
	if (a->state != APPROVAL_PENDING && a->state != APPROVAL_APPROVED)
		c.expires_wall_ns = now_wall_ns + APPROVAL_KEPT_NS;
	rc = ledger_tx_update_claim(tx, &c, ei);
	if (rc == OK)
		rc = set_body(tx, a, key, arena, ei);
	if (rc == OK && a->state != APPROVAL_PENDING)
		rc = drop_open(tx, a, key, ei);
	return rc;
}

enum err
approval_store_remove(struct ledger_tx *tx, struct approval_key key, struct errinfo *ei)
{
	enum err rc = ledger_tx_delete_claim(tx, CLAIM_APPROVAL_PARAMS, key.bytes, ei);

	return rc == OK ? ledger_tx_delete_claim(tx, CLAIM_APPROVAL, key.bytes, ei) : rc;
}

enum err
approval_store_find_like(struct ledger_tx *tx, const struct approval *a, struct arena *arena,
	struct approval *out, struct errinfo *ei)
{
	struct approval_key key;
	struct ledger_claim c;
	enum err rc;

	*out = (struct approval){0};
	open_key_of(a, key.bytes);
	rc = ledger_tx_find_claim(tx, CLAIM_APPROVAL_OPEN, key.bytes, &c, ei);
	if (rc != OK)
		return rc;
	memcpy(key.bytes, c.binding_hash, sizeof(key.bytes));
	return approval_store_find(tx, key, arena, out, ei);
}

enum err
approval_store_count(struct ledger_tx *tx, const struct identity *identity, size_t max, size_t *n,
	struct errinfo *ei)
{
	uint8_t owner[CLAIM_KEY_BYTES];

	if (identity != NULL)
		owner_of(identity, owner);
	return ledger_tx_count_claims(
		tx, CLAIM_APPROVAL, APPROVAL_PENDING, identity != NULL ? owner : NULL, max, n, ei);
}

/* ---- denials ---- */

enum err
approval_store_deny(struct ledger_tx *tx, const struct approval *a, uint64_t seq,
	int64_t until_wall_ns, struct errinfo *ei)
{
	uint8_t key[CLAIM_KEY_BYTES];
	struct ledger_claim c;
	enum err rc;

	denied_key_of(a, a->is_class, key);
	c = claim_of(a, CLAIM_APPROVAL_DENIED, key, seq);
	c.expires_wall_ns = until_wall_ns;
	rc = ledger_tx_delete_claim(tx, CLAIM_APPROVAL_DENIED, key, ei);
	return rc == OK ? ledger_tx_put_claim(tx, &c, ei) : rc;
}

static enum err
is_denied_as(struct ledger_tx *tx, const struct approval *a, bool is_class, int64_t now_wall_ns,
	bool *out, struct errinfo *ei)
{
	uint8_t key[CLAIM_KEY_BYTES];
	struct ledger_claim c;
	enum err rc;

	*out = false;
	denied_key_of(a, is_class, key);
	rc = ledger_tx_find_claim(tx, CLAIM_APPROVAL_DENIED, key, &c, ei);
	if (rc == ERR_NOT_FOUND)
		return OK;
	*out = rc == OK && now_wall_ns < c.expires_wall_ns;
	return rc;
}

enum err
approval_store_is_denied(struct ledger_tx *tx, const struct approval *a, int64_t now_wall_ns,
	bool *out, struct errinfo *ei)
{
	enum err rc = is_denied_as(tx, a, false, now_wall_ns, out, ei);

	if (rc == OK && !*out && a->is_class)
		rc = is_denied_as(tx, a, true, now_wall_ns, out, ei);
	return rc;
}
