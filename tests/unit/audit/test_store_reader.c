/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reading a ledger file beside its writer, or one that is damaged or none. */
#include <unistd.h>

#include "any_store.h"
#include "audit/store.h"

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

TEST(a_live_reader_pages_beside_the_writer)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	struct store_reader *r = NULL;
	struct chain_head head;
	struct errinfo ei;
	struct seen seen = {0};
	size_t n = 0;

	fill(s, 2500);
	CHECK_INT(store_reader_open(store_path, STORE_READ_LIVE, &r, &ei), OK);
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

TEST(a_reader_cannot_write)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	struct db *db = NULL;
	struct errinfo ei;

	fill(s, 1);
	CHECK_INT(db_open(store_path, DB_READ, 100, &db, &ei), OK);
	CHECK_INT(db_exec(db, "DELETE FROM records", &ei), ERR_IO);
	db_free(&db);
	s->ops->free(s);
}

TEST(readers_refuse_what_is_no_ledger)
{
	struct store_reader *r = NULL;
	struct db *db = NULL;
	struct errinfo ei;

	snprintf(store_path, sizeof(store_path), "%s/none.db", test_tmpdir());
	CHECK(store_reader_open(store_path, STORE_READ_LIVE, &r, &ei) != OK);
	CHECK(r == NULL);
	CHECK(access(store_path, F_OK) != 0);
	CHECK_INT(db_open(store_path, DB_CREATE, 100, &db, &ei), OK);
	CHECK_INT(db_exec(db, "CREATE TABLE t(x)", &ei), OK);
	db_free(&db);
	CHECK_INT(store_reader_open(store_path, STORE_READ_LIVE, &r, &ei), ERR_INVALID);
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
	CHECK_INT(db_open(store_path, DB_WRITE, 100, &db, &ei), OK);
	CHECK_INT(db_exec(db,
			  "DROP TABLE records; CREATE VIEW records AS SELECT 1 AS seq, 0 AS state,"
			  " zeroblob(32) AS hash, x'7b7d' AS body",
			  &ei),
		OK);
	db_free(&db);
	CHECK_INT(store_reader_open(store_path, STORE_READ_LIVE, &r, &ei), ERR_INVALID);
	CHECK(r == NULL);
	ledger_options_init(&o);
	o.path = store_path;
	CHECK_INT(store_sqlite_new(&o, &s, &ei), ERR_INVALID);
	CHECK(s == NULL);
}

TEST(a_damaged_row_is_an_error)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	struct db *db = NULL;
	struct errinfo ei;
	struct seen seen = {0};

	fill(s, 3);
	s->ops->free(s);
	CHECK_INT(db_open(store_path, DB_WRITE, 100, &db, &ei), OK);
	CHECK_INT(db_exec(db, "UPDATE records SET hash = x'00' WHERE seq = 2", &ei), OK);
	db_free(&db);
	struct store_reader *r = NULL;
	CHECK_INT(store_reader_open(store_path, STORE_READ_COPY, &r, &ei), OK);
	CHECK_INT(store_reader_page(r, 0, 10, see, &seen, NULL, &ei), ERR_CORRUPT);
	CHECK_INT(seen.n, 1);
	store_reader_free(&r);
}

SUITE("store_reader", TEST_ROW(a_live_reader_pages_beside_the_writer),
	TEST_ROW(a_reader_cannot_write), TEST_ROW(readers_refuse_what_is_no_ledger),
	TEST_ROW(a_ledger_with_a_view_is_refused), TEST_ROW(a_damaged_row_is_an_error))
