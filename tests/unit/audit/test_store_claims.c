/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Claims, their bodies and their lists: the same against both engines. */
#include <string.h>

#include "any_store.h"

static void
check_claims(struct store *s)
{
	struct ledger_claim c = claim_of(3, 1, 1000);
	struct ledger_claim found;
	struct errinfo ei;

	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(s->ops->find_claim(s, 3, c.key, &found, &ei), ERR_NOT_FOUND);
	CHECK_INT(s->ops->put_claim(s, &c, &ei), OK);
	CHECK_INT(s->ops->put_claim(s, &c, &ei), ERR_CONFLICT);
	CHECK_INT(s->ops->find_claim(s, 3, c.key, &found, &ei), OK);
	/* Member by member: what lies between them is nobody's. */
	CHECK(found.kind == c.kind && found.seq == c.seq && found.state == c.state);
	CHECK(found.expires_wall_ns == c.expires_wall_ns);
	CHECK(memcmp(found.key, c.key, sizeof(c.key)) == 0);
	CHECK(memcmp(found.binding_hash, c.binding_hash, sizeof(c.binding_hash)) == 0);
	CHECK_INT(s->ops->find_claim(s, 4, c.key, &found, &ei), ERR_NOT_FOUND);
	CHECK_INT(s->ops->set_claim_state(s, 3, c.key, -2, &ei), OK);
	CHECK_INT(s->ops->find_claim(s, 3, c.key, &found, &ei), OK);
	CHECK_INT(found.state, -2);
	CHECK_INT(s->ops->set_claim_state(s, 4, c.key, 1, &ei), ERR_NOT_FOUND);
	c.seq = 77;
	c.state = 9;
	c.expires_wall_ns = 2000;
	c.owner[0] = 5; /* stays what it was */
	CHECK_INT(s->ops->update_claim(s, &c, &ei), OK);
	CHECK_INT(s->ops->find_claim(s, 3, c.key, &found, &ei), OK);
	CHECK(found.seq == 77 && found.state == 9 && found.expires_wall_ns == 2000);
	CHECK(found.owner[0] == 0 && found.binding_hash[31] == 9);
	c.kind = 4;
	CHECK_INT(s->ops->update_claim(s, &c, &ei), ERR_NOT_FOUND);
	CHECK_INT(s->ops->delete_claim(s, 3, c.key, &ei), OK);
	CHECK_INT(s->ops->delete_claim(s, 3, c.key, &ei), OK);
	CHECK_INT(s->ops->find_claim(s, 3, c.key, &found, &ei), ERR_NOT_FOUND);
	CHECK_INT(s->ops->commit(s, &ei), OK);
}

TEST(claims)
{
	each_store(check_claims);
}

static void
check_body(struct store *s, const struct ledger_claim *c, const char *expected)
{
	struct errinfo ei;
	struct buf b;

	buf_init(&b, 1024 * 1024);
	enum err rc = s->ops->get_claim_body(s, c->kind, c->key, &b, &ei);
	CHECK_INT(rc, expected != NULL ? OK : ERR_NOT_FOUND);
	if (expected != NULL)
		CHECK(span_eq_cstr(buf_span(&b), expected));
	buf_fini(&b);
}

static void
check_bodies(struct store *s)
{
	struct ledger_claim a = claim_of(1, 1, 0);
	struct ledger_claim b = claim_of(1, 2, 5);
	struct errinfo ei;
	size_t n = 0;

	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(s->ops->set_claim_body(s, 1, a.key, SPAN_LIT("x"), &ei), ERR_NOT_FOUND);
	CHECK_INT(s->ops->put_claim(s, &a, &ei), OK);
	CHECK_INT(s->ops->put_claim(s, &b, &ei), OK);
	check_body(s, &a, NULL);
	CHECK_INT(s->ops->set_claim_body(s, 1, a.key, SPAN_LIT("first"), &ei), OK);
	CHECK_INT(s->ops->set_claim_body(s, 1, b.key, SPAN_NONE, &ei), OK);
	check_body(s, &a, "first");
	check_body(s, &b, "");
	/* It stays through changes of its claim, and comes back with a mark. */
	CHECK_INT(s->ops->set_claim_state(s, 1, a.key, 7, &ei), OK);
	CHECK_INT(s->ops->update_claim(s, &a, &ei), OK);
	CHECK_INT(s->ops->mark(s, &ei), OK);
	CHECK_INT(s->ops->set_claim_body(s, 1, a.key, SPAN_LIT("second"), &ei), OK);
	check_body(s, &a, "second");
	CHECK_INT(s->ops->delete_claim(s, 1, a.key, &ei), OK);
	check_body(s, &a, NULL);
	CHECK_INT(s->ops->unmark(s, false, &ei), OK);
	check_body(s, &a, "first");
	CHECK_INT(s->ops->commit(s, &ei), OK);

	/* Deleting and purging take it along: a claim put anew has none. */
	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(s->ops->delete_claim(s, 1, a.key, &ei), OK);
	CHECK_INT(s->ops->purge_claims(s, 1, 5, 10, &n, &ei), OK);
	CHECK_INT(n, 1);
	CHECK_INT(s->ops->put_claim(s, &a, &ei), OK);
	CHECK_INT(s->ops->put_claim(s, &b, &ei), OK);
	check_body(s, &a, NULL);
	check_body(s, &b, NULL);
	CHECK_INT(s->ops->commit(s, &ei), OK);
}

TEST(a_body_goes_with_its_claim)
{
	each_store(check_bodies);
}

/* 60 claims of kind 1: seq 100 + i, state i % 3, owner i % 2, expiring at 1000 - i; and one of kind 2. */
static void
put_many(struct store *s)
{
	struct errinfo ei;

	for (uint8_t i = 0; i < 60; i++) {
		struct ledger_claim c = claim_of(1, i, 1000 - i);
		c.seq = 100u + i;
		c.state = i % 3;
		c.owner[15] = i % 2;
		CHECK_INT(s->ops->put_claim(s, &c, &ei), OK);
	}
	struct ledger_claim other = claim_of(2, 1, 1);
	CHECK_INT(s->ops->put_claim(s, &other, &ei), OK);
}

static size_t
count_of(struct store *s, int32_t state, const uint8_t *owner, size_t max)
{
	struct errinfo ei;
	size_t n = 0;

	CHECK_INT(s->ops->count_claims(s, 1, state, owner, max, &n, &ei), OK);
	return n;
}

struct visited {
	struct ledger_claim claims[16];
	size_t n;
	size_t stop_after;
};

static bool
visit_claim(const struct ledger_claim *c, void *arg)
{
	struct visited *v = arg;

	v->claims[v->n++] = *c;
	return v->n < v->stop_after;
}

static void
check_lists(struct store *s)
{
	struct visited v = {.stop_after = 16};
	uint8_t odd[LEDGER_CLAIM_OWNER] = {[15] = 1};
	uint8_t nobody[LEDGER_CLAIM_OWNER] = {[15] = 9};
	struct errinfo ei;

	CHECK_INT(s->ops->begin(s, &ei), OK);
	put_many(s);
	CHECK_INT(count_of(s, LEDGER_ANY_STATE, NULL, 1000), 60);
	CHECK_INT(count_of(s, LEDGER_ANY_STATE, NULL, 7), 7);
	CHECK_INT(count_of(s, 2, NULL, 1000), 20);
	CHECK_INT(count_of(s, LEDGER_ANY_STATE, odd, 1000), 30);
	CHECK_INT(count_of(s, 0, odd, 1000), 10);
	CHECK_INT(count_of(s, 0, odd, 4), 4);
	CHECK_INT(count_of(s, 0, nobody, 4), 0);

	/* The newest first, from anywhere on, of one state or of all. */
	CHECK_INT(s->ops->each_claim(s, 1, 1, 0, 3, visit_claim, &v, &ei), OK);
	CHECK_INT(v.n, 3);
	CHECK(v.claims[0].seq == 158 && v.claims[1].seq == 155 && v.claims[2].seq == 152);
	CHECK(v.claims[0].kind == 1 && v.claims[0].state == 1 && v.claims[0].key[0] == 58);
	CHECK(v.claims[1].owner[15] == 1 && v.claims[1].expires_wall_ns == 945);
	CHECK_INT(v.claims[2].binding_hash[31], 9);
	v.n = 0;
	CHECK_INT(s->ops->each_claim(s, 1, LEDGER_ANY_STATE, 103, 10, visit_claim, &v, &ei), OK);
	CHECK_INT(v.n, 3);
	CHECK(v.claims[0].seq == 102 && v.claims[2].seq == 100);
	v = (struct visited){.stop_after = 2};
	CHECK_INT(s->ops->each_claim(s, 1, 0, 0, 10, visit_claim, &v, &ei), OK);
	CHECK_INT(v.n, 2);

	/* The first to expire first. */
	v = (struct visited){.stop_after = 16};
	CHECK_INT(s->ops->each_expired(s, 1, 943, 10, visit_claim, &v, &ei), OK);
	CHECK_INT(v.n, 3);
	CHECK(v.claims[0].expires_wall_ns == 941 && v.claims[2].expires_wall_ns == 943);
	v.n = 0;
	CHECK_INT(s->ops->each_expired(s, 1, 1000, 4, visit_claim, &v, &ei), OK);
	CHECK_INT(v.n, 4);
	CHECK_INT(s->ops->commit(s, &ei), OK);
}

TEST(claims_are_counted_and_listed)
{
	each_store(check_lists);
}

static size_t
count_claims(struct store *s, size_t n)
{
	size_t count = 0;
	struct ledger_claim found;
	struct errinfo ei;

	for (size_t i = 0; i < n; i++) {
		struct ledger_claim c = claim_of(1, (uint8_t)i, 0);
		count += s->ops->find_claim(s, 1, c.key, &found, &ei) == OK;
	}
	return count;
}

static void
check_purge(struct store *s)
{
	struct errinfo ei;

	CHECK_INT(s->ops->begin(s, &ei), OK);
	for (uint8_t i = 0; i < 200; i++) {
		struct ledger_claim c =
			claim_of(1, i, i < 150 ? i : 0); /* 0: never expires, the first included */
		CHECK_INT(s->ops->put_claim(s, &c, &ei), OK);
	}
	size_t n = 0;
	CHECK_INT(s->ops->purge_claims(s, 1, 100, 30, &n, &ei), OK);
	CHECK_INT(n, 30);
	CHECK_INT(count_claims(s, 200), 170);
	CHECK_INT(s->ops->purge_claims(s, 2, 100, 1000, &n, &ei), OK);
	CHECK_INT(n, 0); /* another kind */
	CHECK_INT(s->ops->purge_claims(s, 1, 100, 1000, &n, &ei), OK);
	CHECK_INT(n, 70);
	CHECK_INT(count_claims(s, 200), 100);
	CHECK_INT(s->ops->commit(s, &ei), OK);
}

TEST(purging_is_bounded_and_leaves_what_lives)
{
	each_store(check_purge);
}

TEST(stateless_has_no_claims)
{
	struct store *s = new_store(LEDGER_STORE_NONE);
	struct ledger_claim c = claim_of(1, 1, 0);
	struct errinfo ei;

	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(s->ops->put_claim(s, &c, &ei), ERR_UNSUPPORTED);
	CHECK_INT(s->ops->find_claim(s, 1, c.key, &c, &ei), ERR_UNSUPPORTED);
	CHECK_INT(s->ops->set_claim_body(s, 1, c.key, SPAN_LIT("x"), &ei), ERR_UNSUPPORTED);
	CHECK_INT(s->ops->update_claim(s, &c, &ei), ERR_UNSUPPORTED);
	size_t n = 0;
	CHECK_INT(s->ops->purge_claims(s, 1, 9, 1, &n, &ei), ERR_UNSUPPORTED);
	CHECK_INT(s->ops->count_claims(s, 1, 0, NULL, 1, &n, &ei), ERR_UNSUPPORTED);
	CHECK_INT(s->ops->each_claim(s, 1, 0, 0, 1, NULL, NULL, &ei), ERR_UNSUPPORTED);
	CHECK_INT(s->ops->each_expired(s, 1, 9, 1, NULL, NULL, &ei), ERR_UNSUPPORTED);
	CHECK_INT(s->ops->commit(s, &ei), OK);
	s->ops->free(s);
}

SUITE("store_claims", TEST_ROW(claims), TEST_ROW(a_body_goes_with_its_claim),
	TEST_ROW(claims_are_counted_and_listed), TEST_ROW(purging_is_bounded_and_leaves_what_lives),
	TEST_ROW(stateless_has_no_claims))
