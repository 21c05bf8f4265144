/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The engines behind store_ops, the same rows against both; then what only the file has: paging,
 * readers, damaged rows. */
#include <stdio.h>
#include <unistd.h>

#include <sys/stat.h>

#include "audit/store.h"
#include "base/buf.h"
#include "store_ops.h"
#include "store_sqlite.h"
#include "support/test.h"

static char path[256];

static struct store *
new_store(enum ledger_store kind)
{
	struct ledger_options o;
	struct store *s = NULL;
	struct errinfo ei;

	ledger_options_init(&o);
	snprintf(path, sizeof(path), "%s/ledger.db", test_tmpdir());
	o.path = path;
	o.sync = LEDGER_SYNC_OFF;
	enum err rc = kind == LEDGER_STORE_SQLITE
			      ? store_sqlite_new(&o, &s, &ei)
			      : store_memory_new(kind == LEDGER_STORE_MEMORY, &s, &ei);
	if (rc != OK)
		FAIL("%s", ei.msg);
	return s;
}

static enum err
append(struct store *s, uint64_t seq, int state)
{
	struct store_row row = {.seq = seq, .state = state, .body = SPAN_LIT("{}")};
	struct errinfo ei;

	snprintf(row.hash, sizeof(row.hash), "%064x", (unsigned)seq);
	return s->ops->append(s, &row, &ei);
}

static uint64_t
head_of(struct store *s)
{
	struct chain_head head;
	struct errinfo ei;

	CHECK_INT(s->ops->head(s, &head, &ei), OK);
	return head.seq;
}

static struct ledger_claim
claim_of(uint32_t kind, uint8_t first, int64_t expires)
{
	struct ledger_claim c = {.kind = kind, .seq = 5, .state = 1, .expires_wall_ns = expires};

	c.key[0] = first;
	c.binding_hash[31] = 9;
	return c;
}

static void
each_store(void (*fn)(struct store *s))
{
	static const enum ledger_store kinds[] = {LEDGER_STORE_SQLITE, LEDGER_STORE_MEMORY};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct store *s = new_store(kinds[i]);
		if (s == NULL)
			continue;
		fn(s);
		s->ops->free(s);
	}
}

static void
check_transactions(struct store *s)
{
	struct errinfo ei;
	struct chain_head to = {.seq = 2};

	CHECK_INT(head_of(s), 0);
	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(append(s, 1, LEDGER_COMPLETE), OK);
	CHECK_INT(append(s, 2, LEDGER_OPEN), OK);
	CHECK_INT(s->ops->commit(s, &ei), OK);
	CHECK_INT(head_of(s), 2);
	s->ops->rollback(s); /* nothing is open */
	CHECK_INT(head_of(s), 2);

	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(append(s, 3, LEDGER_OPEN), OK);
	CHECK_INT(s->ops->set_state(s, 2, LEDGER_OPEN, LEDGER_COMPLETE, &ei), OK);
	s->ops->rollback(s);
	CHECK_INT(head_of(s), 2);

	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(s->ops->set_state(s, 3, LEDGER_OPEN, LEDGER_COMPLETE, &ei), ERR_NOT_FOUND);
	CHECK_INT(append(s, 3, LEDGER_OPEN), OK);
	to.hash[0] = '\0';
	CHECK_INT(s->ops->truncate(s, &to, &ei), OK);
	CHECK_INT(s->ops->set_state(s, 3, LEDGER_OPEN, LEDGER_COMPLETE, &ei), ERR_NOT_FOUND);
	CHECK_INT(append(s, 3, LEDGER_AUTHORIZED), OK);
	CHECK_INT(s->ops->set_state(s, 2, LEDGER_OPEN, LEDGER_COMPLETE, &ei), OK);
	CHECK_INT(s->ops->set_state(s, 2, LEDGER_OPEN, LEDGER_COMPLETE, &ei), ERR_NOT_FOUND);
	CHECK_INT(s->ops->commit(s, &ei), OK);
	CHECK_INT(head_of(s), 3);
}

TEST(transactions)
{
	each_store(check_transactions);
}

static void
check_marks(struct store *s)
{
	struct ledger_claim a = claim_of(1, 1, 0);
	struct ledger_claim b = claim_of(1, 2, 0);
	struct ledger_claim found;
	struct errinfo ei;

	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(s->ops->put_claim(s, &a, &ei), OK);
	CHECK_INT(s->ops->mark(s, &ei), OK);
	CHECK_INT(s->ops->put_claim(s, &b, &ei), OK);
	CHECK_INT(s->ops->set_claim_state(s, 1, a.key, 7, &ei), OK);
	CHECK_INT(s->ops->delete_claim(s, 1, a.key, &ei), OK);
	CHECK_INT(s->ops->unmark(s, false, &ei), OK);
	CHECK_INT(s->ops->find_claim(s, 1, a.key, &found, &ei), OK);
	CHECK_INT(found.state, 1);
	CHECK_INT(s->ops->find_claim(s, 1, b.key, &found, &ei), ERR_NOT_FOUND);
	CHECK_INT(s->ops->mark(s, &ei), OK);
	CHECK_INT(s->ops->put_claim(s, &b, &ei), OK);
	CHECK_INT(s->ops->unmark(s, true, &ei), OK);
	CHECK_INT(s->ops->commit(s, &ei), OK);
	CHECK_INT(s->ops->find_claim(s, 1, b.key, &found, &ei), OK);
}

TEST(marks)
{
	each_store(check_marks);
}

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

static void
check_states(struct store *s)
{
	struct errinfo ei;
	int state = -1;

	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(s->ops->get_state(s, 1, &state, &ei), ERR_NOT_FOUND);
	CHECK_INT(append(s, 1, LEDGER_COMPLETE), OK);
	CHECK_INT(append(s, 2, LEDGER_AUTHORIZED), OK);
	CHECK_INT(s->ops->get_state(s, 1, &state, &ei), OK);
	CHECK_INT(state, LEDGER_COMPLETE);
	CHECK_INT(s->ops->get_state(s, 2, &state, &ei), OK);
	CHECK_INT(state, LEDGER_AUTHORIZED);
	CHECK_INT(s->ops->set_state(s, 2, LEDGER_AUTHORIZED, LEDGER_COMPLETE, &ei), OK);
	CHECK_INT(s->ops->get_state(s, 2, &state, &ei), OK);
	CHECK_INT(state, LEDGER_COMPLETE);
	CHECK_INT(s->ops->get_state(s, 0, &state, &ei), ERR_NOT_FOUND);
	CHECK_INT(s->ops->get_state(s, 3, &state, &ei), ERR_NOT_FOUND);
	CHECK_INT(s->ops->commit(s, &ei), OK);
}

TEST(the_state_of_a_record)
{
	each_store(check_states);
}

/* Nothing closes them there, so none may stay: a gateway without a ledger would end when its table is full. */
TEST(stateless_keeps_no_authorised_rows)
{
	struct store *s = new_store(LEDGER_STORE_NONE);
	struct errinfo ei;
	int state = -1;

	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(append(s, 1, LEDGER_AUTHORIZED), OK);
	CHECK_INT(append(s, 2, LEDGER_OPEN), OK);
	CHECK_INT(s->ops->commit(s, &ei), OK);
	CHECK_INT(s->ops->get_state(s, 1, &state, &ei), OK);
	CHECK_INT(state, LEDGER_COMPLETE);
	CHECK_INT(s->ops->get_state(s, 2, &state, &ei), OK);
	CHECK_INT(state, LEDGER_OPEN);
	s->ops->free(s);
}

TEST(claims)
{
	each_store(check_claims);
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

/* ---- the file ---- */

struct seen {
	size_t n;
	uint64_t last;
	size_t stop_after;
};

static bool
see(const struct store_row *row, void *arg)
{
	struct seen *s = arg;

	s->n++;
	s->last = row->seq;
	return s->stop_after == 0 || s->n < s->stop_after;
}

static void
fill(struct store *s, uint64_t n)
{
	struct errinfo ei;

	CHECK_INT(s->ops->begin(s, &ei), OK);
	for (uint64_t i = 1; i <= n; i++)
		CHECK_INT(append(s, i, i % 10 == 0 ? LEDGER_OPEN : LEDGER_COMPLETE), OK);
	CHECK_INT(s->ops->commit(s, &ei), OK);
}

TEST(a_live_reader_pages_beside_the_writer)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	struct store_reader *r = NULL;
	struct chain_head head;
	struct errinfo ei;
	struct seen seen = {0};
	size_t n = 0;

	fill(s, 2500);
	CHECK_INT(store_reader_open(path, STORE_READ_LIVE, &r, &ei), OK);
	CHECK_INT(store_reader_head(r, &head, &ei), OK);
	CHECK_INT(head.seq, 2500);
	CHECK_INT(store_reader_page(r, 0, STORE_PAGE_MAX, see, &seen, &n, &ei), OK);
	CHECK_INT(n, 1000);
	CHECK_INT(seen.last, 1000);
	CHECK_INT(s->ops->begin(s, &ei), OK); /* no snapshot stays open between pages */
	CHECK_INT(append(s, 2501, LEDGER_COMPLETE), OK);
	CHECK_INT(s->ops->commit(s, &ei), OK);
	CHECK_INT(store_reader_page(r, 2000, STORE_PAGE_MAX, see, &seen, &n, &ei), OK);
	CHECK_INT(n, 501);
	seen = (struct seen){.stop_after = 3};
	CHECK_INT(store_reader_page(r, 0, STORE_PAGE_MAX, see, &seen, &n, &ei), OK);
	CHECK_INT(seen.n, 3);
	seen = (struct seen){0};
	CHECK_INT(
		store_reader_page_state(r, LEDGER_OPEN, 2400, STORE_PAGE_MAX, see, &seen, &ei), OK);
	CHECK_INT(seen.n, 10);
	store_reader_free(&r);
	s->ops->free(s);
}

/* What a reader keeps from being tidied away at close must not stay in a log whose last sync may
 * have failed. */
TEST(a_reopened_store_begins_a_new_log)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	struct store_reader *r = NULL;
	struct chain_head head;
	struct errinfo ei;
	struct stat st;
	char wal[300];

	snprintf(wal, sizeof(wal), "%s-wal", path);
	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(append(s, 1, 0), OK);
	CHECK_INT(s->ops->commit(s, &ei), OK);
	CHECK_INT(store_reader_open(path, STORE_READ_LIVE, &r, &ei), OK);
	CHECK_INT(store_reader_head(r, &head, &ei), OK);
	CHECK(stat(wal, &st) == 0 && st.st_size > 0);
	CHECK_INT(s->ops->reopen(s, &ei), OK);
	CHECK(stat(wal, &st) == 0 && st.st_size == 0);
	CHECK_INT(head_of(s), 1);
	store_reader_free(&r);
	s->ops->free(s);
}

TEST(a_reader_cannot_write)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	struct db *db = NULL;
	struct errinfo ei;

	fill(s, 1);
	CHECK_INT(db_open(path, DB_READ, 100, &db, &ei), OK);
	CHECK_INT(db_exec(db, "DELETE FROM records", &ei), ERR_IO);
	db_free(&db);
	s->ops->free(s);
}

TEST(readers_refuse_what_is_no_ledger)
{
	struct store_reader *r = NULL;
	struct db *db = NULL;
	struct errinfo ei;

	snprintf(path, sizeof(path), "%s/none.db", test_tmpdir());
	CHECK(store_reader_open(path, STORE_READ_LIVE, &r, &ei) != OK);
	CHECK(r == NULL);
	CHECK(access(path, F_OK) != 0);
	CHECK_INT(db_open(path, DB_CREATE, 100, &db, &ei), OK);
	CHECK_INT(db_exec(db, "CREATE TABLE t(x)", &ei), OK);
	db_free(&db);
	CHECK_INT(store_reader_open(path, STORE_READ_LIVE, &r, &ei), ERR_INVALID);
	CHECK(r == NULL);
}

/* A view could have rows without end; nothing of it may be read. */
TEST(a_ledger_with_a_view_is_refused)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	struct store_reader *r = NULL;
	struct ledger_options o;
	struct db *db = NULL;
	struct errinfo ei;

	s->ops->free(s);
	CHECK_INT(db_open(path, DB_WRITE, 100, &db, &ei), OK);
	CHECK_INT(db_exec(db,
			  "DROP TABLE records; CREATE VIEW records AS SELECT 1 AS seq, 0 AS state,"
			  " zeroblob(32) AS hash, x'7b7d' AS body",
			  &ei),
		OK);
	db_free(&db);
	CHECK_INT(store_reader_open(path, STORE_READ_LIVE, &r, &ei), ERR_INVALID);
	CHECK(r == NULL);
	ledger_options_init(&o);
	o.path = path;
	CHECK_INT(store_sqlite_new(&o, &s, &ei), ERR_INVALID);
	CHECK(s == NULL);
}

TEST(meta_and_cursors)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	struct store_reader *r = NULL;
	struct errinfo ei;
	uint64_t seq = 0;
	struct buf b;

	buf_init(&b, 256);
	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(s->ops->get_meta(s, "k", &b, &ei), ERR_NOT_FOUND);
	CHECK_INT(s->ops->put_meta(s, "k", SPAN_LIT("one"), &ei), OK);
	CHECK_INT(s->ops->put_meta(s, "k", SPAN_LIT("two"), &ei), OK);
	CHECK_INT(s->ops->get_cursor(s, "a", &seq, &ei), ERR_NOT_FOUND);
	CHECK_INT(s->ops->put_cursor(s, "a", 7, &ei), OK);
	CHECK_INT(s->ops->put_cursor(s, "a", 9, &ei), OK);
	CHECK_INT(s->ops->put_cursor(s, "b", 8, &ei), OK);
	CHECK_INT(s->ops->commit(s, &ei), OK);
	CHECK_INT(s->ops->get_meta(s, "k", &b, &ei), OK);
	CHECK_SPAN(buf_span(&b), "two");
	CHECK_INT(s->ops->get_cursor(s, "a", &seq, &ei), OK);
	CHECK_INT(seq, 9);
	CHECK_INT(store_reader_open(path, STORE_READ_LIVE, &r, &ei), OK);
	CHECK_INT(store_reader_cursor(r, "b", &seq, &ei), OK);
	CHECK_INT(seq, 8);
	buf_reset(&b);
	CHECK_INT(store_reader_meta(r, "k", &b, &ei), OK);
	CHECK_SPAN(buf_span(&b), "two");
	CHECK_INT(store_reader_meta(r, "none", &b, &ei), ERR_NOT_FOUND);
	store_reader_free(&r);
	buf_fini(&b);
	s->ops->free(s);
}

TEST(a_damaged_row_is_an_error)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	struct db *db = NULL;
	struct errinfo ei;
	struct seen seen = {0};

	fill(s, 3);
	s->ops->free(s);
	CHECK_INT(db_open(path, DB_WRITE, 100, &db, &ei), OK);
	CHECK_INT(db_exec(db, "UPDATE records SET hash = x'00' WHERE seq = 2", &ei), OK);
	db_free(&db);
	struct store_reader *r = NULL;
	CHECK_INT(store_reader_open(path, STORE_READ_COPY, &r, &ei), OK);
	CHECK_INT(store_reader_page(r, 0, 10, see, &seen, NULL, &ei), ERR_CORRUPT);
	CHECK_INT(seen.n, 1);
	store_reader_free(&r);
}

TEST(the_files_are_private)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	fill(s, 1);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		struct stat st;
		char name[300];
		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		CHECK_INT(stat(name, &st), 0);
		CHECK_INT(st.st_mode & 077, 0);
	}
	s->ops->free(s);
}

/* SQLite leaves a database that cannot have one in another mode and calls that a success. */
TEST(a_file_without_a_write_ahead_log_is_refused)
{
	struct ledger_options o;
	struct store *s = NULL;
	struct errinfo ei;

	ledger_options_init(&o);
	CHECK_INT(chdir(test_tmpdir()), 0);
	o.path = ":memory:";
	CHECK_INT(store_sqlite_new(&o, &s, &ei), ERR_IO);
	CHECK(s == NULL);
	CHECK_STR(ei.msg, "the file system cannot keep a write-ahead log");
}

TEST(open_intents_have_an_index)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	struct db *db = NULL;
	struct errinfo ei;
	int64_t n = 0;

	CHECK_INT(db_open(path, DB_READ, 100, &db, &ei), OK);
	struct db_stmt *st = NULL;
	bool has_row = false;
	CHECK_INT(db_prepare(db,
			  "EXPLAIN QUERY PLAN SELECT seq, state, hash, body FROM records WHERE "
			  "state = 1 AND state <> 0"
			  " AND seq > 0 ORDER BY seq LIMIT 10",
			  &st, &ei),
		OK);
	while (db_step(st, &has_row, &ei) == OK && has_row) {
		char plan[256];
		snprintf(plan, sizeof(plan), "%.*s", SPAN_ARG(db_column_bytes(st, 3)));
		if (strstr(plan, "records_open") == NULL)
			FAIL("plan: %s", plan);
		n++;
	}
	CHECK_INT(n, 1);
	db_stmt_free(&st);
	db_free(&db);
	s->ops->free(s);
}

SUITE("store", TEST_ROW(transactions), TEST_ROW(marks), TEST_ROW(claims),
	TEST_ROW(a_body_goes_with_its_claim), TEST_ROW(claims_are_counted_and_listed),
	TEST_ROW(the_state_of_a_record), TEST_ROW(stateless_keeps_no_authorised_rows),
	TEST_ROW(purging_is_bounded_and_leaves_what_lives), TEST_ROW(stateless_has_no_claims),
	TEST_ROW(a_live_reader_pages_beside_the_writer),
	TEST_ROW(a_reopened_store_begins_a_new_log), TEST_ROW(a_reader_cannot_write),
	TEST_ROW(readers_refuse_what_is_no_ledger), TEST_ROW(a_ledger_with_a_view_is_refused),
	TEST_ROW(meta_and_cursors), TEST_ROW(a_damaged_row_is_an_error),
	TEST_ROW(the_files_are_private), TEST_ROW(a_file_without_a_write_ahead_log_is_refused),
	TEST_ROW(open_intents_have_an_index))
