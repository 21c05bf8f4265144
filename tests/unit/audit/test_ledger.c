/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The ledger at work: order, rollback of one entry, claims, reopening, checkpoints, locks, and
 * what it refuses to open. */
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "audit/checkpoint.h"
#include "audit/store.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "base/mem.h"
#include "base/loop.h"
#include "ledger_fixture.h"
#include "ledger_priv.h"
#include "store_sqlite.h"

static struct ledger_options
options_in(const char *dir)
{
	struct ledger_options o;

	ledger_options_init(&o);
	o.path = ledger_path_in(dir);
	o.sync = LEDGER_SYNC_OFF;
	return o;
}

/* ---- what is in the file ---- */

struct dump {
	size_t n;
	struct chain_head head;
	enum chain_fault fault;
	size_t n_open;
	size_t n_checkpoints;
	char last_type[64];
};

static bool
dump_row(const struct store_row *row, void *arg)
{
	struct dump *d = arg;
	struct chain_fields f;

	d->n++;
	d->n_open += row->state == LEDGER_OPEN;
	if (d->fault == CHAIN_FAULT_NONE)
		d->fault = chain_check(
			NULL, &d->head, row->seq, row->body, span_of(row->hash, SHA256_HEX));
	if (chain_read_fields(row->body, &f)) {
		snprintf(d->last_type, sizeof(d->last_type), "%.*s", SPAN_ARG(f.event_type));
		d->n_checkpoints += span_eq_cstr(f.event_type, CHECKPOINT_EVENT);
	}
	return true;
}

static struct dump
dump_file(const char *path)
{
	struct dump d = {0};
	struct store_reader *r = NULL;
	struct errinfo ei;
	size_t n = 0;

	if (store_reader_open(path, STORE_READ_COPY, &r, &ei) != OK) {
		FAIL("reader: %s", ei.msg);
		return d;
	}
	do {
		if (store_reader_page(r, d.head.seq, STORE_PAGE_MAX, dump_row, &d, &n, &ei) != OK)
			FAIL("page: %s", ei.msg);
	} while (n == STORE_PAGE_MAX);
	store_reader_free(&r);
	return d;
}

static void
run_sql(const char *path, const char *sql)
{
	struct db *db = NULL;
	struct errinfo ei;

	if (db_open(path, DB_WRITE, 1000, &db, &ei) != OK || db_exec(db, sql, &ei) != OK)
		FAIL("%s: %s", sql, ei.msg);
	db_free(&db);
}

/* ---- tests ---- */

TEST(a_new_ledger_begins_with_chain_start)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);

	CHECK_INT(append_one(l, "a1"), OK);
	ledger_close(&l);
	CHECK(l == NULL);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 3); /* chain.start, the record, the checkpoint at close */
	CHECK_STR(d.last_type, CHECKPOINT_EVENT);
}

TEST(done_tells_sequence_and_hash)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	struct job j;

	job_init(&j, "a1");
	CHECK_INT(job_run(l, &j), OK);
	CHECK_INT(j.e.seq, 2);
	CHECK_INT(strlen(j.e.event_hash), SHA256_HEX);
	CHECK_STR(l->head.hash, j.e.event_hash);
	job_fini(&j);
	ledger_close(&l);
}

#define MANY 500

TEST(entries_keep_their_order)
{
	struct ledger_options o = options_in(test_tmpdir());
	static struct job jobs[MANY];
	struct errinfo ei;

	o.group_max = 64;
	struct ledger *l = start_ledger(&o);
	for (size_t i = 0; i < MANY; i++) {
		job_init(&jobs[i], "a");
		CHECK_INT(ledger_submit(l, &jobs[i].e, &ei), OK);
	}
	for (size_t i = 0; i < MANY; i++) {
		job_wait(&jobs[i]);
		CHECK_INT(jobs[i].e.result, OK);
		CHECK_INT(jobs[i].e.seq, i + 2);
		CHECK_INT(jobs[i].n_done, 1);
		job_fini(&jobs[i]);
	}
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, MANY + 2);
}

static void
check_rollback(const struct ledger_options *o, bool has_claim)
{
	struct ledger *l = start_ledger(o);
	struct job jobs[3];
	struct errinfo ei;

	for (size_t i = 0; i < 3; i++)
		job_init(&jobs[i], "a");
	jobs[1].own_error = ERR_CONFLICT;
	jobs[1].state = LEDGER_OPEN;
	jobs[1].claim.kind = has_claim ? 7 : 0;
	for (size_t i = 0; i < 3; i++)
		CHECK_INT(ledger_submit(l, &jobs[i].e, &ei), OK);
	for (size_t i = 0; i < 3; i++)
		job_wait(&jobs[i]);
	CHECK_INT(jobs[0].e.result, OK);
	CHECK_INT(jobs[1].e.result, ERR_CONFLICT);
	CHECK_STR(jobs[1].e.ei.msg, "refused by the rule");
	CHECK_INT(jobs[1].e.seq, 0);
	CHECK_INT(jobs[2].e.result, OK);
	CHECK_INT(jobs[2].e.seq, 3);
	/* The claim went with the entry. */
	jobs[1].own_error = OK;
	CHECK_INT(job_run(l, &jobs[1]), OK);
	CHECK_INT(jobs[1].e.seq, 4);
	CHECK(ledger_is_ready(l, NULL, 0));
	/* So did the state of its record: only the second try is open. */
	jobs[2].closes = 3;
	CHECK_INT(job_run(l, &jobs[2]), ERR_NOT_FOUND);
	jobs[2].closes = 4;
	CHECK_INT(job_run(l, &jobs[2]), OK);
	for (size_t i = 0; i < 3; i++)
		job_fini(&jobs[i]);
	ledger_close(&l);
	if (o->store != LEDGER_STORE_SQLITE)
		return;
	struct dump d = dump_file(o->path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 6);
	CHECK_INT(d.n_open, 0);
}

TEST(an_entry_rolls_back_alone)
{
	struct ledger_options o = options_in(test_tmpdir());

	check_rollback(&o, true);
	o = options_in(test_tmpdir());
	check_rollback(&o, false);
	o.store = LEDGER_STORE_MEMORY;
	check_rollback(&o, true);
	check_rollback(&o, false);
}

TEST(an_entry_may_take_all_back_without_writing)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	struct job j;

	job_init(&j, "a");
	j.closes = 1; /* chain.start was never open */
	CHECK_INT(job_run(l, &j), ERR_NOT_FOUND);
	job_fini(&j);
	CHECK_INT(l->head.seq, 1);
	ledger_close(&l);
}

static void
check_claims(const struct ledger_options *o)
{
	struct ledger *l = start_ledger(o);
	struct job a;
	struct job b;

	job_init(&a, "a");
	job_init(&b, "b");
	a.claim.kind = 3;
	memset(a.claim.key, 1, sizeof(a.claim.key));
	b.claim = a.claim;
	CHECK_INT(job_run(l, &a), OK);
	CHECK_INT(job_run(l, &b), ERR_CONFLICT);
	b.claim.kind = 4;
	CHECK_INT(job_run(l, &b), OK);
	job_fini(&a);
	job_fini(&b);
	ledger_close(&l);
}

TEST(a_claim_is_taken_once)
{
	struct ledger_options o = options_in(test_tmpdir());

	check_claims(&o);
	o.store = LEDGER_STORE_MEMORY;
	check_claims(&o);
}

TEST(an_intent_is_closed_once)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	struct job intent;
	struct job outcome;

	job_init(&intent, "a");
	job_init(&outcome, "a");
	intent.state = LEDGER_OPEN;
	CHECK_INT(job_run(l, &intent), OK);
	outcome.closes = intent.e.seq;
	CHECK_INT(job_run(l, &outcome), OK);
	CHECK_INT(job_run(l, &outcome), ERR_NOT_FOUND);
	job_fini(&intent);
	job_fini(&outcome);
	ledger_close(&l);
	CHECK_INT(dump_file(o.path).n_open, 0);
}

TEST(the_chain_goes_on_after_reopening)
{
	struct ledger_options o = options_in(test_tmpdir());
	char chain_id[CHAIN_ID_HEX + 1];

	struct ledger *l = start_ledger(&o);
	snprintf(chain_id, sizeof(chain_id), "%s", ledger_get_chain_id(l));
	CHECK_INT(append_one(l, "a1"), OK);
	ledger_close(&l);
	l = start_ledger(&o);
	CHECK_STR(ledger_get_chain_id(l), chain_id);
	CHECK_INT(l->head.seq, 3);
	CHECK_INT(append_one(l, "a2"), OK);
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK_INT(d.fault, CHAIN_FAULT_NONE);
	CHECK_INT(d.n, 5);
}

TEST(a_run_without_records_adds_no_checkpoint)
{
	struct ledger_options o = options_in(test_tmpdir());

	for (int i = 0; i < 3; i++) {
		struct ledger *l = start_ledger(&o);
		ledger_close(&l);
	}
	CHECK_INT(dump_file(o.path).n, 2);
}

TEST(checkpoints_come_every_n_records_and_fill_the_head_file)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct checkpoint cp;
	struct sign_key *pub = NULL;
	struct errinfo ei;
	char head[300];
	char pub_path[300];

	o.checkpoint_every = 10;
	struct ledger *l = start_ledger(&o);
	for (int i = 0; i < 35; i++)
		CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK(d.n_checkpoints >= 4);
	snprintf(head, sizeof(head), "%s.head", o.path);
	snprintf(pub_path, sizeof(pub_path), "%s.pub", o.path);
	CHECK_INT(checkpoint_read_head(head, &cp, &ei), OK);
	CHECK_INT(cp.at.seq, d.n - 1);
	CHECK_INT(checkpoint_load_public_key(pub_path, &pub, &ei), OK);
	CHECK(pub != NULL && checkpoint_is_signed_by(&cp, pub));
	cp.at.seq++;
	CHECK(pub != NULL && !checkpoint_is_signed_by(&cp, pub));
	sign_key_free(&pub);
}

/* ---- what is refused ---- */

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

static bool
keep_body(const struct store_row *row, void *arg)
{
	buf_add_span(arg, row->body);
	return false;
}

TEST(a_seal_names_the_chain_before)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct checkpoint_seal seal = {
		.chain_id = "00112233445566778899aabbccddeeff", .at = {.seq = 7}};
	struct checkpoint_seal back;
	struct errinfo ei;
	char path[300];

	snprintf(path, sizeof(path), "%s.seal", o.path);
	memset(seal.at.hash, 'a', SHA256_HEX);
	snprintf(seal.reason, sizeof(seal.reason), "%s", "disk \"lost\"");
	CHECK_INT(checkpoint_write_seal(path, &seal, &ei), OK);
	CHECK_INT(checkpoint_read_seal(path, &back, &ei), OK);
	CHECK_STR(back.reason, seal.reason);
	CHECK_INT(back.at.seq, 7);
	struct ledger *l = start_ledger(&o);
	CHECK(access(path, F_OK) != 0);
	ledger_close(&l);

	struct store_reader *r = NULL;
	struct buf first;
	buf_init(&first, BUF_CAP_RECORD);
	CHECK_INT(store_reader_open(o.path, STORE_READ_COPY, &r, &ei), OK);
	CHECK_INT(store_reader_page(r, 0, 1, keep_body, &first, NULL, &ei), OK);
	store_reader_free(&r);
	struct span previous = chain_find_member(buf_span(&first), SPAN_LIT("previous_chain"));
	CHECK(span_starts(previous,
		SPAN_LIT("{\"chain_id\":\"00112233445566778899aabbccddeeff\",\"hash\":\"aaaa")));
	CHECK(span_ends(previous, SPAN_LIT("\"seq\":7}")));
	CHECK_SPAN(
		chain_find_member(buf_span(&first), SPAN_LIT("reason")), "\"disk \\\"lost\\\"\"");
	buf_fini(&first);
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

TEST(nothing_is_taken_before_start_or_after_close)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = open_ledger(&o);
	struct job j;
	struct errinfo ei;
	char why[64];

	job_init(&j, "a");
	CHECK_INT(ledger_submit(l, &j.e, &ei), ERR_STOPPED);
	CHECK(!ledger_is_ready(l, why, sizeof(why)));
	CHECK_STR(why, "the ledger is closed");
	job_fini(&j);
	ledger_close(&l);
}

TEST(what_is_queued_at_close_is_written)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	static struct job jobs[MANY];
	struct errinfo ei;

	for (size_t i = 0; i < MANY; i++) {
		job_init(&jobs[i], "a");
		CHECK_INT(ledger_submit(l, &jobs[i].e, &ei), OK);
	}
	ledger_close(&l);
	for (size_t i = 0; i < MANY; i++) {
		CHECK_INT(jobs[i].n_done, 1);
		CHECK_INT(jobs[i].e.result, OK);
		job_fini(&jobs[i]);
	}
	CHECK_INT(dump_file(o.path).n, MANY + 2);
}

static enum err
block_apply(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct job *j = (struct job *)(void *)e;

	sem_post(&j->pending);
	while (sem_wait(&j->done) != 0)
		;
	return job_apply(tx, e, ei);
}

TEST(a_full_queue_refuses)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct job first;
	struct job jobs[4];
	struct errinfo ei;

	o.queue_max = 2;
	struct ledger *l = start_ledger(&o);
	job_init(&first, "a");
	first.e.apply = block_apply;
	CHECK_INT(ledger_submit(l, &first.e, &ei), OK);
	while (sem_wait(&first.pending) != 0)
		;
	for (size_t i = 0; i < 4; i++)
		job_init(&jobs[i], "b");
	CHECK_INT(ledger_submit(l, &jobs[0].e, &ei), OK);
	CHECK_INT(ledger_submit(l, &jobs[1].e, &ei), OK);
	CHECK_INT(ledger_submit(l, &jobs[2].e, &ei), ERR_OVERLOAD);
	jobs[3].e.must_write = true; /* an effect has already happened */
	CHECK_INT(ledger_submit(l, &jobs[3].e, &ei), OK);
	sem_post(&first.done);
	ledger_close(&l);
	CHECK_INT(first.e.result, OK);
	CHECK_INT(jobs[0].e.result, OK);
	CHECK_INT(jobs[1].e.result, OK);
	CHECK_INT(jobs[3].e.result, OK);
	CHECK_INT(jobs[2].n_done, 0);
	for (size_t i = 0; i < 4; i++)
		job_fini(&jobs[i]);
	job_fini(&first);
}

/* Another program holds the database: refused within the time-out, and taken again afterwards. */
TEST(a_locked_database_refuses_and_recovers)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct db *other = NULL;
	struct errinfo ei;
	char why[160];

	o.busy_timeout_ms = 1;
	struct ledger *l = start_ledger(&o);
	CHECK_INT(append_one(l, "a"), OK);
	CHECK_INT(db_open(o.path, DB_WRITE, 1000, &other, &ei), OK);
	CHECK_INT(db_exec(other, "BEGIN IMMEDIATE", &ei), OK);
	CHECK_INT(append_one(l, "a"), ERR_AUDIT);
	CHECK(!ledger_is_ready(l, why, sizeof(why)));
	CHECK_STR(why, "database is locked");
	CHECK_INT(db_exec(other, "ROLLBACK", &ei), OK);
	db_free(&other);
	while (!ledger_is_ready(l, NULL, 0))
		sched_yield();
	CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	CHECK_INT(dump_file(o.path).fault, CHAIN_FAULT_NONE);
}

struct loop_job {
	struct job job;
	struct loop *loop;
	int *n_left;
};

static void
loop_done(struct ledger_entry *e)
{
	struct loop_job *j = (struct loop_job *)(void *)e;

	atomic_fetch_add(&j->job.n_done, 1);
	if (--*j->n_left == 0)
		loop_stop(j->loop);
}

TEST(done_runs_on_the_loop_that_was_named)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	static struct loop_job jobs[100];
	struct loop *loop = NULL;
	struct errinfo ei;
	int n_left = 100;

	CHECK_INT(loop_new(&loop, &ei), OK);
	for (size_t i = 0; i < 100; i++) {
		job_init(&jobs[i].job, "a");
		jobs[i].loop = loop;
		jobs[i].n_left = &n_left;
		jobs[i].job.e.loop = loop;
		jobs[i].job.e.done = loop_done;
		CHECK_INT(ledger_submit(l, &jobs[i].job.e, &ei), OK);
	}
	loop_run(loop);
	CHECK_INT(n_left, 0);
	ledger_close(&l);
	for (size_t i = 0; i < 100; i++) {
		CHECK_INT(jobs[i].job.n_done, 1);
		job_fini(&jobs[i].job);
	}
	loop_free(&loop);
}

/* What a loop's turn puts in an outbox. */
struct turn {
	struct ledger_outbox outbox;
	struct loop *loop;
	struct loop_job jobs[LEDGER_OUTBOX_MAX + 5];
	int n_left;
};

static void
turn_init(struct turn *t, struct ledger *l)
{
	struct errinfo ei;

	*t = (struct turn){.n_left = ARRAY_LEN(t->jobs)};
	CHECK_INT(loop_new(&t->loop, &ei), OK);
	ledger_outbox_init(&t->outbox, l, t->loop);
	for (size_t i = 0; i < ARRAY_LEN(t->jobs); i++) {
		job_init(&t->jobs[i].job, "a");
		t->jobs[i].loop = t->loop;
		t->jobs[i].n_left = &t->n_left;
		t->jobs[i].job.e.loop = t->loop;
		t->jobs[i].job.e.done = loop_done;
	}
}

static void
turn_put_all(struct turn *t)
{
	for (size_t i = 0; i < ARRAY_LEN(t->jobs); i++)
		ledger_outbox_put(&t->outbox, &t->jobs[i].job.e);
}

static void
turn_fini(struct turn *t)
{
	for (size_t i = 0; i < ARRAY_LEN(t->jobs); i++)
		job_fini(&t->jobs[i].job);
	loop_free(&t->loop);
}

TEST(a_turn_is_handed_over_at_its_end_in_order)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	struct turn t;

	turn_init(&t, l);
	turn_put_all(&t);
	CHECK_INT(t.jobs[LEDGER_OUTBOX_MAX].job.n_applied, 0); /* not before the turn ends */
	loop_run(t.loop);
	CHECK_INT(t.n_left, 0);
	for (size_t i = 0; i < ARRAY_LEN(t.jobs); i++) {
		CHECK_INT(t.jobs[i].job.e.result, OK);
		CHECK_INT(t.jobs[i].job.e.seq, i + 2);
		CHECK_INT(t.jobs[i].job.n_done, 1);
	}
	/* The outbox serves the next turn. */
	t.n_left = 1;
	ledger_outbox_put(&t.outbox, &t.jobs[0].job.e);
	loop_run(t.loop);
	CHECK_INT(t.jobs[0].job.e.seq, ARRAY_LEN(t.jobs) + 2);
	ledger_close(&l);
	turn_fini(&t);
}

TEST(a_turn_that_the_queue_has_no_room_for_is_refused_in_part)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct job first;
	struct errinfo ei;
	struct turn t;

	o.queue_max = 2;
	struct ledger *l = start_ledger(&o);
	job_init(&first, "a");
	first.e.apply = block_apply;
	CHECK_INT(ledger_submit(l, &first.e, &ei), OK);
	while (sem_wait(&first.pending) != 0)
		;
	turn_init(&t, l);
	t.jobs[3].job.e.must_write = true; /* an effect has already happened */
	turn_put_all(&t);
	loop_turn(t.loop, false);
	/* Refused: at the end of the turn, and done is called once. */
	for (size_t i = 2; i < ARRAY_LEN(t.jobs); i++) {
		CHECK_INT(t.jobs[i].job.n_done, i == 3 ? 0 : 1);
		CHECK(i == 3 || t.jobs[i].job.e.result == ERR_OVERLOAD);
		CHECK(i == 3 || t.jobs[i].job.e.ei.msg[0] != '\0');
	}
	CHECK_INT(t.n_left, 3);
	sem_post(&first.done);
	loop_run(t.loop);
	CHECK_INT(t.jobs[0].job.e.seq, 3);
	CHECK_INT(t.jobs[1].job.e.seq, 4);
	CHECK_INT(t.jobs[3].job.e.seq, 5);
	for (size_t i = 0; i < ARRAY_LEN(t.jobs); i++)
		CHECK_INT(t.jobs[i].job.n_done, 1);
	ledger_close(&l);
	turn_fini(&t);
	job_fini(&first);
}

TEST(a_turn_that_ends_while_the_ledger_is_closed_is_refused)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = open_ledger(&o);
	struct turn t;

	turn_init(&t, l);
	turn_put_all(&t);
	loop_turn(t.loop, false);
	CHECK_INT(t.n_left, 0);
	for (size_t i = 0; i < ARRAY_LEN(t.jobs); i++) {
		CHECK_INT(t.jobs[i].job.e.result, ERR_STOPPED);
		CHECK_INT(t.jobs[i].job.n_applied, 0);
	}
	ledger_close(&l);
	turn_fini(&t);
}

SUITE("ledger", TEST_ROW(a_new_ledger_begins_with_chain_start),
	TEST_ROW(done_tells_sequence_and_hash), TEST_ROW(entries_keep_their_order),
	TEST_ROW(an_entry_rolls_back_alone), TEST_ROW(an_entry_may_take_all_back_without_writing),
	TEST_ROW(a_claim_is_taken_once), TEST_ROW(an_intent_is_closed_once),
	TEST_ROW(the_chain_goes_on_after_reopening),
	TEST_ROW(a_run_without_records_adds_no_checkpoint),
	TEST_ROW(checkpoints_come_every_n_records_and_fill_the_head_file),
	TEST_ROW(a_second_process_is_named_the_first), TEST_ROW(a_newer_schema_is_left_alone),
	TEST_ROW(a_ledger_with_a_second_name_is_refused),
	TEST_ROW(another_programs_database_is_left_alone),
	TEST_ROW(a_file_that_is_no_database_is_left_alone), TEST_ROW(tampering_is_found_at_open),
	TEST_ROW(a_record_before_the_checkpoint_is_for_the_full_check),
	TEST_ROW(a_head_file_without_its_ledger_is_refused), TEST_ROW(an_older_ledger_is_refused),
	TEST_ROW(a_seal_names_the_chain_before), TEST_ROW(the_key_is_private_and_not_replaced),
	TEST_ROW(another_key_is_refused), TEST_ROW(options_are_checked),
	TEST_ROW(nothing_is_taken_before_start_or_after_close),
	TEST_ROW(what_is_queued_at_close_is_written), TEST_ROW(a_full_queue_refuses),
	TEST_ROW(a_locked_database_refuses_and_recovers),
	TEST_ROW(done_runs_on_the_loop_that_was_named),
	TEST_ROW(a_turn_is_handed_over_at_its_end_in_order),
	TEST_ROW(a_turn_that_the_queue_has_no_room_for_is_refused_in_part),
	TEST_ROW(a_turn_that_ends_while_the_ledger_is_closed_is_refused))
