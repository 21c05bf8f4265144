/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Files of older schemas: the gateway brings them up to date at its start and keeps all they hold; readers take them as
 * they are and change nothing. */
#include <stdio.h>

#include "audit/store.h"
#include "audit/backup.h"
#include "ledger_priv.h"
#include "reader_fixture.h"
#include "store_sqlite.h"

/* Turns the newest schema into the text of version 1: the other tables are those of its first step to this day. */
static const char back_to_1[] =
	"DROP TABLE claim_bodies; DROP TABLE claims;"
	"CREATE TABLE claims(kind INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL,"
	" binding_hash BLOB NOT NULL, state INTEGER NOT NULL, expires INTEGER NOT NULL,"
	" PRIMARY KEY(kind, key)) WITHOUT ROWID;"
	"CREATE INDEX claims_expires ON claims(expires) WHERE expires <> 0;"
	"INSERT INTO claims VALUES(3, x'01020304050607080910111213141516', 2, zeroblob(32), 7, "
	"1000),"
	" (3, x'02020304050607080910111213141516', 3, zeroblob(32), 8, 0);"
	"INSERT INTO cursors VALUES('file', 2);"
	"PRAGMA user_version = 1;";

static int64_t
ask(const char *path, const char *sql)
{
	struct db *db = NULL;
	struct errinfo ei;
	int64_t n = -1;

	CHECK_INT(db_open(path, DB_WRITE, 100, &db, &ei), OK);
	CHECK_INT(db_query_int(db, sql, &n, &ei), OK);
	db_free(&db);
	return n;
}

static void
read_schema(const char *path, struct buf *out)
{
	struct db *db = NULL;
	struct db_stmt *st = NULL;
	struct errinfo ei;
	bool has_row = false;

	buf_init(out, BUF_CAP_FILE);
	CHECK_INT(db_open(path, DB_WRITE, 100, &db, &ei), OK);
	CHECK_INT(db_prepare(db, "SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY name", &st,
			  &ei),
		OK);
	while (db_step(st, &has_row, &ei) == OK && has_row) {
		buf_add_span(out, db_column_bytes(st, 0));
		buf_add_char(out, '\n');
	}
	db_stmt_free(&st);
	db_free(&db);
}

static const char *
make_old_ledger(struct ledger_options *o)
{
	const char *path = make_ledger(6, 3);

	ledger_options_init(o);
	o->path = path;
	run_sql(path, back_to_1);
	CHECK_INT(ask(path, "PRAGMA user_version"), 1);
	return path;
}

static void
check_claim(struct ledger *l, uint8_t first, int32_t state, int64_t expires)
{
	uint8_t key[LEDGER_CLAIM_KEY] = {
		first, 2, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16};
	struct ledger_claim c;
	struct errinfo ei;

	CHECK_INT(l->store->ops->find_claim(l->store, 3, key, &c, &ei), OK);
	CHECK_INT(c.state, state);
	CHECK_INT(c.expires_wall_ns, expires);
	CHECK(memcmp(c.owner, (uint8_t[LEDGER_CLAIM_OWNER]){0}, sizeof(c.owner)) == 0);
}

TEST(an_older_ledger_is_brought_up_to_date_and_goes_on)
{
	struct ledger_options o;
	const char *path = make_old_ledger(&o);
	struct verify_result r;
	struct errinfo ei;
	int64_t n = ask(path, "SELECT count(*) FROM records");

	struct ledger *l = open_ledger(&o);
	check_claim(l, 1, 7, 1000);
	check_claim(l, 2, 8, 0);
	CHECK_INT(ledger_start(l, &ei), OK);
	CHECK_INT(append_one(l, "later"), OK);
	ledger_close(&l);
	CHECK_INT(ask(path, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
	CHECK(ask(path, "SELECT count(*) FROM records") > n);
	CHECK_INT(ask(path, "SELECT seq FROM cursors WHERE sink = 'file'"), 2);
	CHECK_INT(ask(path, "SELECT count(*) FROM claim_bodies"), 0);
	CHECK_INT(verify_path(path, NULL, &r), OK);
	CHECK(r.is_good);
	/* Nothing of the two ways to the newest version tells them apart. */
	struct buf old;
	struct buf made;
	read_schema(path, &old);
	o.path = beside(path, ".new");
	l = start_ledger(&o);
	ledger_close(&l);
	read_schema(o.path, &made);
	CHECK(old.n > 0 && span_eq(buf_span(&old), buf_span(&made)));
	buf_fini(&old);
	buf_fini(&made);
}

/* A step that does not go through leaves the file as it was, for the next start. */
TEST(a_step_that_fails_leaves_the_old_schema)
{
	struct ledger_options o;
	const char *path = make_old_ledger(&o);
	struct ledger *l = NULL;
	struct errinfo ei;

	run_sql(path, "CREATE TABLE claim_bodies(x)");
	CHECK(ledger_open(&o, &l, &ei) != OK);
	CHECK(l == NULL);
	CHECK_INT(ask(path, "PRAGMA user_version"), 1);
	CHECK_INT(ask(path, "SELECT count(*) FROM pragma_table_info('claims')"), 6);
	run_sql(path, "DROP TABLE claim_bodies");
	l = start_ledger(&o);
	ledger_close(&l);
	CHECK_INT(ask(path, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
}

/* A backup, or a ledger that its new gateway has not started on yet. */
TEST(readers_take_an_older_schema_as_it_is)
{
	struct ledger_options o;
	const char *path = make_old_ledger(&o);
	const char *dest = beside(test_tmpdir(), "/copy.db");
	const struct verify_options no_options = {0};
	struct store_reader *reader = NULL;
	struct verify_result r;
	struct errinfo ei;
	uint64_t seq = 0;

	CHECK_INT(verify_path(path, NULL, &r), OK);
	CHECK(r.is_good);
	CHECK_INT(backup_make(path, dest, &no_options, &r, &ei), OK);
	CHECK_INT(ask(dest, "PRAGMA user_version"), 1);
	CHECK_INT(store_reader_open(path, STORE_READ_COPY, &reader, &ei), OK);
	CHECK_INT(store_reader_min_claim(reader, 2000, &seq, &ei), OK);
	CHECK_INT(seq, 3);
	store_reader_free(&reader);
	CHECK_INT(ask(path, "PRAGMA user_version"), 1);
}

SUITE("schema", TEST_ROW(an_older_ledger_is_brought_up_to_date_and_goes_on),
	TEST_ROW(a_step_that_fails_leaves_the_old_schema),
	TEST_ROW(readers_take_an_older_schema_as_it_is))
