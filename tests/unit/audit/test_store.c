/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The engines behind store_ops, the same rows against both; then what only the file has. */
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "any_store.h"
#include "audit/store.h"

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

static off_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

static void
append_long(struct store *s, uint64_t seq)
{
	static char text[6000];
	struct store_row row = {.seq = seq, .body = span_of(text, sizeof(text))};
	struct errinfo ei;

	memset(text, 'x', sizeof(text));
	snprintf(row.hash, sizeof(row.hash), "%064x", (unsigned)seq);
	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(s->ops->append(s, &row, &ei), OK);
	CHECK_INT(s->ops->commit(s, &ei), OK);
}

TEST(commits_leave_the_log_until_it_is_folded)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	struct errinfo ei;
	off_t before = size_of(store_path);

	append_long(s, 1);
	CHECK_INT(s->ops->fold_log(s, &ei), OK);
	CHECK_INT(size_of(store_path), before); /* not for so little */
	/* Three pages each. */
	for (uint64_t seq = 2; seq < 500; seq++)
		append_long(s, seq);
	CHECK_INT(size_of(store_path), before);
	CHECK_INT(s->ops->fold_log(s, &ei), OK);
	off_t folded = size_of(store_path);
	CHECK(folded > 400 * 6000);
	/* It has begun anew: the next one has a short way to go. */
	append_long(s, 500);
	CHECK_INT(s->ops->fold_log(s, &ei), OK);
	CHECK_INT(size_of(store_path), folded);
	s->ops->free(s);
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

	snprintf(wal, sizeof(wal), "%s-wal", store_path);
	CHECK_INT(s->ops->begin(s, &ei), OK);
	CHECK_INT(append(s, 1, 0), OK);
	CHECK_INT(s->ops->commit(s, &ei), OK);
	CHECK_INT(store_reader_open(store_path, STORE_READ_LIVE, &r, &ei), OK);
	CHECK_INT(store_reader_head(r, &head, &ei), OK);
	CHECK(stat(wal, &st) == 0 && st.st_size > 0);
	CHECK_INT(s->ops->reopen(s, &ei), OK);
	CHECK(stat(wal, &st) == 0 && st.st_size == 0);
	CHECK_INT(head_of(s), 1);
	store_reader_free(&r);
	s->ops->free(s);
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
	CHECK_INT(store_reader_open(store_path, STORE_READ_LIVE, &r, &ei), OK);
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

TEST(the_files_are_private)
{
	struct store *s = new_store(LEDGER_STORE_SQLITE);
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	fill(s, 1);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		struct stat st;
		char name[300];
		snprintf(name, sizeof(name), "%s%s", store_path, suffixes[i]);
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

	CHECK_INT(db_open(store_path, DB_READ, 100, &db, &ei), OK);
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

SUITE("store", TEST_ROW(transactions), TEST_ROW(commits_leave_the_log_until_it_is_folded),
	TEST_ROW(marks), TEST_ROW(the_state_of_a_record),
	TEST_ROW(stateless_keeps_no_authorised_rows), TEST_ROW(a_reopened_store_begins_a_new_log),
	TEST_ROW(meta_and_cursors), TEST_ROW(the_files_are_private),
	TEST_ROW(a_file_without_a_write_ahead_log_is_refused), TEST_ROW(open_intents_have_an_index))
