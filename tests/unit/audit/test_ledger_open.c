/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a ledger refuses to open: files of others, changed, older or missing ones, foreign keys, options. */
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "ledger_file.h"
#include "ledger_fixture.h"
#include "ledger_priv.h"

static void
check_refused(const struct ledger_options *o, enum err want, const char *words)
{
	struct ledger *l = NULL;
	struct errinfo ei = {0};
	enum err rc = ledger_open(o, &l, &ei);

	CHECK_INT(rc, want);
	CHECK(l == NULL);
	if (strstr(ei.msg, words) == NULL)
		FAIL("\"%s\" does not say \"%s\"", ei.msg, words);
	ledger_close(&l);
}

static void
fill(const struct ledger_options *o, int n)
{
	struct ledger *l = start_ledger(o);

	for (int i = 0; i < n; i++)
		CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
}

TEST(a_second_process_is_named_the_first)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	char pid[32];

	snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	check_refused(&o, ERR_BUSY, pid);
	ledger_close(&l);
	fill(&o, 1);
}

TEST(a_newer_schema_is_left_alone)
{
	struct ledger_options o = options_in(test_tmpdir());

	fill(&o, 1);
	run_sql(o.path, "PRAGMA user_version = 99");
	check_refused(&o, ERR_UNSUPPORTED, "schema version 99");
}

TEST(a_ledger_with_a_second_name_is_refused)
{
	struct ledger_options o = options_in(test_tmpdir());
	char other[256];

	fill(&o, 1);
	snprintf(other, sizeof(other), "%s.hard", o.path);
	CHECK_INT(link(o.path, other), 0);
	check_refused(&o, ERR_INVALID, "second name");
	CHECK_INT(unlink(other), 0);
	snprintf(other, sizeof(other), "%s.soft", o.path);
	CHECK_INT(symlink(o.path, other), 0);
	o.path = other;
	check_refused(&o, ERR_INVALID, "symbolic link");
}

TEST(another_programs_database_is_left_alone)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct db *db = NULL;
	struct errinfo ei;

	CHECK_INT(db_open(o.path, DB_CREATE, 1000, &db, &ei), OK);
	CHECK_INT(db_exec(db, "CREATE TABLE t(x)", &ei), OK);
	db_free(&db);
	check_refused(&o, ERR_INVALID, "another program");
	CHECK_INT(db_open(o.path, DB_WRITE, 1000, &db, &ei), OK);
	int64_t n = 0;
	CHECK_INT(db_query_int(db, "SELECT count(*) FROM sqlite_schema", &n, &ei), OK);
	CHECK_INT(n, 1);
	db_free(&db);
}

TEST(a_file_that_is_no_database_is_left_alone)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct errinfo ei;
	static const char text[4096] = "not a database";

	CHECK_INT(fdio_write_file(o.path, span_of(text, sizeof(text)), 0600, &ei), OK);
	check_refused(&o, ERR_INVALID, "not a database");
}

/* Every way to change what lies behind the last checkpoint. */
TEST(tampering_is_found_at_open)
{
	static const struct {
		const char *sql;
		const char *words;
	} rows[] = {
		{"UPDATE records SET body = replace(CAST(body AS TEXT), 'alice', 'mallo') WHERE "
		 "seq = 12",
			"at record 12: the record was changed"},
		{"UPDATE records SET hash = zeroblob(32) WHERE seq = 12", "record 12"},
		{"DELETE FROM records WHERE seq = 12", "at record 13: a record is missing"},
		{"UPDATE records SET seq = 100 WHERE seq = 12", "missing"},
		{"DELETE FROM records WHERE seq = 12; UPDATE records SET seq = seq - 1 WHERE seq > "
		 "12",
			"record 12"},
		{"UPDATE records SET body = x'7b7d' WHERE seq = 12", "record 12"},
		{"UPDATE meta SET value = '00112233445566778899aabbccddeeff' WHERE key = "
		 "'chain_id'",
			"another chain"},
		{"DELETE FROM meta WHERE key = 'chain_id'", "chain id"},
		{"UPDATE meta SET value = '12' WHERE key = 'checkpoint'",
			"checkpoint at record 12"},
		{"UPDATE meta SET value = 'x' WHERE key = 'checkpoint'", "damaged"},
		{"DELETE FROM records WHERE seq > 8", "older copy"},
		{"DELETE FROM records WHERE seq > 10; DELETE FROM meta WHERE key = 'checkpoint'",
			"older copy"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ledger_options o = options_in(test_tmpdir());
		o.checkpoint_every = 10;
		struct ledger *l = start_ledger(&o);
		for (int k = 0; k < 15; k++)
			CHECK_INT(append_one(l, "a"), OK);
		l->checkpoint_seq = UINT64_MAX; /* as after a crash: no checkpoint at close */
		ledger_close(&l);
		run_sql(o.path, rows[i].sql);
		check_refused(&o, ERR_CORRUPT, rows[i].words);
	}
}

TEST(a_record_before_the_checkpoint_is_for_the_full_check)
{
	struct ledger_options o = options_in(test_tmpdir());

	fill(&o, 5);
	run_sql(o.path, "UPDATE records SET body = replace(CAST(body AS TEXT), 'alice', 'mallo') "
			"WHERE seq = 3");
	struct ledger *l = open_ledger(&o);
	CHECK(l != NULL);
	ledger_close(&l);
	CHECK_INT(dump_file(o.path).fault, CHAIN_FAULT_HASH);
}

TEST(a_head_file_without_its_ledger_is_refused)
{
	struct ledger_options o = options_in(test_tmpdir());

	fill(&o, 3);
	CHECK_INT(unlink(o.path), 0);
	check_refused(&o, ERR_CORRUPT, "nomos audit seal --reason");
	CHECK(access(o.path, F_OK) != 0);
}

TEST(an_older_ledger_is_refused)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct errinfo ei;
	struct buf old;

	fill(&o, 3);
	buf_init(&old, BUF_CAP_FILE);
	CHECK_INT(fdio_read_file(o.path, BUF_CAP_FILE, &old, &ei), OK);
	fill(&o, 3);
	CHECK_INT(fdio_write_file(o.path, buf_span(&old), 0600, &ei), OK);
	buf_fini(&old);
	check_refused(&o, ERR_CORRUPT, "nomos audit seal --reason");
}

TEST(the_key_is_private_and_not_replaced)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct stat st;
	char key[300];

	fill(&o, 3);
	snprintf(key, sizeof(key), "%s.key", o.path);
	CHECK_INT(stat(key, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	CHECK_INT(chmod(key, 0640), 0);
	check_refused(&o, ERR_FORBIDDEN, "chmod 600");
	CHECK_INT(unlink(key), 0);
	check_refused(&o, ERR_INVALID, "key that signs this ledger is missing");
	CHECK(access(key, F_OK) != 0);
}

TEST(another_key_is_refused)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger_options other = options_in(test_tmpdir());
	char key[300];

	fill(&o, 3);
	fill(&other, 3);
	snprintf(key, sizeof(key), "%s.key", other.path);
	o.key_path = key;
	check_refused(&o, ERR_CORRUPT, "was not signed with this ledger's key");
}

TEST(options_are_checked)
{
	struct ledger_options o = options_in(test_tmpdir());

	o.group_max = 0;
	check_refused(&o, ERR_INVALID, "out of range");
	o = options_in(test_tmpdir());
	o.path = "";
	check_refused(&o, ERR_INVALID, "path");
	o = options_in(test_tmpdir());
	o.required = LEDGER_REQUIRED_ANY;
	check_refused(&o, ERR_INVALID, "audit.required");
	o = options_in(test_tmpdir());
	o.store = LEDGER_STORE_NONE;
	check_refused(&o, ERR_INVALID, "sink");
}

SUITE("ledger/open", TEST_ROW(a_second_process_is_named_the_first),
	TEST_ROW(a_newer_schema_is_left_alone), TEST_ROW(a_ledger_with_a_second_name_is_refused),
	TEST_ROW(another_programs_database_is_left_alone),
	TEST_ROW(a_file_that_is_no_database_is_left_alone), TEST_ROW(tampering_is_found_at_open),
	TEST_ROW(a_record_before_the_checkpoint_is_for_the_full_check),
	TEST_ROW(a_head_file_without_its_ledger_is_refused), TEST_ROW(an_older_ledger_is_refused),
	TEST_ROW(the_key_is_private_and_not_replaced), TEST_ROW(another_key_is_refused),
	TEST_ROW(options_are_checked))
