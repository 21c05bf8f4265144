/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger alone: WAITING entries are always in flight, each with a record of BYTES, durable before it counts. Beside it the
 * yardstick: a bare SQLite loop that inserts rows of the same size in transactions of the same number, and nothing else.
 *
 *     bench_ledger FOLDER WAITING BYTES MILLISECONDS full|normal
 */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "audit/ledger.h"
#include "audit/ledger_options.h"
#include "audit/record.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/redact.h"
#include "bench.h"
#include "ledger_row.h"

#define WAITING_MAX 4096
#define RECORD_FIXED_BYTES 300 /* of the members that every record here has */
#define RECORD_BYTES_MAX 32768
#define PATH_BYTES 4096

static struct ledger *ledger;
static struct row jobs[WAITING_MAX];
static _Atomic long n_written;
static _Atomic bool is_over;
static sem_t ended;

/* Writer thread. */
static void
again(struct ledger_entry *e)
{
	struct errinfo ei;

	if (e->result != OK)
		bench_fail("ledger", e->ei.msg);
	atomic_fetch_add_explicit(&n_written, 1, memory_order_relaxed);
	if (atomic_load_explicit(&is_over, memory_order_relaxed)) {
		sem_post(&ended);
		return;
	}
	if (ledger_submit(ledger, e, &ei) != OK)
		bench_fail("ledger_submit", ei.msg);
}

static struct record_text
build_record(struct arena *a, size_t n_bytes)
{
	static char filler[RECORD_BYTES_MAX];
	struct record_text text;
	struct errinfo ei;
	struct record *r = record_new(a, "action.decision");

	memset(filler, 'x', sizeof(filler));
	if (r == NULL)
		bench_fail("record", "out of memory");
	record_set_text(r, RECORD_ACTION_ID, SPAN_LIT("act-1"));
	record_set_text(r, RECORD_PRINCIPAL, SPAN_LIT("alice"));
	record_set_text(r, RECORD_RESULT_REDACTED_SUMMARY,
		span_of(filler, n_bytes > RECORD_FIXED_BYTES ? n_bytes - RECORD_FIXED_BYTES : 1));
	if (record_render(r, redactor_default(), a, &text, &ei) != OK)
		bench_fail("record", ei.msg);
	return text;
}

static double
measure_ledger(
	const char *path, long n_waiting, size_t n_bytes, int64_t budget_ns, enum ledger_sync sync)
{
	struct arena *a = arena_new((size_t)1024 * 1024);
	struct ledger_options o;
	struct errinfo ei;

	ledger_options_init(&o);
	o.path = path;
	o.sync = sync;
	if (ledger_open(&o, &ledger, &ei) != OK || ledger_start(ledger, &ei) != OK)
		bench_fail("ledger", ei.msg);
	const struct record_text text = build_record(a, n_bytes);
	sem_init(&ended, 0, 0);
	int64_t begin = clock_mono_ns();
	for (long i = 0; i < n_waiting; i++) {
		jobs[i] = (struct row){.e = {.apply = row_append, .done = again}, .text = text};
		if (ledger_submit(ledger, &jobs[i].e, &ei) != OK)
			bench_fail("ledger_submit", ei.msg);
	}
	struct timespec budget = {
		.tv_sec = budget_ns / NS_PER_SEC, .tv_nsec = budget_ns % NS_PER_SEC};
	nanosleep(&budget, NULL);
	double rate = (double)atomic_load(&n_written) * (double)NS_PER_SEC /
		      (double)(clock_mono_ns() - begin);
	atomic_store(&is_over, true);
	for (long i = 0; i < n_waiting; i++) {
		while (sem_wait(&ended) != 0)
			;
	}
	ledger_close(&ledger);
	arena_free(&a);
	return rate;
}

static void
run_sql(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		bench_fail(sql, sqlite3_errmsg(db));
}

/* The same table and settings as the ledger's (audit/schema.c, audit/store_file.c). */
static sqlite3_stmt *
prepare_bare(const char *path, enum ledger_sync sync, sqlite3 **db)
{
	sqlite3_stmt *insert = NULL;

	if (sqlite3_open(path, db) != SQLITE_OK)
		bench_fail(path, "cannot be opened");
	run_sql(*db, "PRAGMA page_size = 8192");
	run_sql(*db, "PRAGMA journal_mode = WAL");
	run_sql(*db, "PRAGMA wal_autocheckpoint = 250");
	run_sql(*db, sync == LEDGER_SYNC_FULL ? "PRAGMA synchronous = FULL"
					      : "PRAGMA synchronous = NORMAL");
	run_sql(*db, "CREATE TABLE records(seq INTEGER PRIMARY KEY, state INTEGER NOT NULL, hash "
		     "BLOB NOT NULL, body BLOB NOT NULL)");
	run_sql(*db, "CREATE INDEX records_open ON records(state, seq) WHERE state <> 0");
	if (sqlite3_prepare_v2(*db, "INSERT INTO records VALUES(?1, 0, ?2, ?3)", -1, &insert,
		    NULL) != SQLITE_OK)
		bench_fail(path, sqlite3_errmsg(*db));
	return insert;
}

static double
measure_bare(
	const char *path, long n_batch, size_t n_bytes, int64_t budget_ns, enum ledger_sync sync)
{
	static char body[RECORD_BYTES_MAX];
	static char hash[32];
	sqlite3 *db = NULL;
	sqlite3_stmt *insert = prepare_bare(path, sync, &db);
	sqlite3_int64 seq = 0;
	int64_t begin = clock_mono_ns();
	int64_t took = 0;

	memset(body, 'x', sizeof(body));
	while (took < budget_ns) {
		run_sql(db, "BEGIN IMMEDIATE");
		for (long i = 0; i < n_batch; i++) {
			sqlite3_bind_int64(insert, 1, ++seq);
			sqlite3_bind_blob(insert, 2, hash, sizeof(hash), SQLITE_STATIC);
			sqlite3_bind_blob(insert, 3, body, (int)n_bytes, SQLITE_STATIC);
			if (sqlite3_step(insert) != SQLITE_DONE ||
				sqlite3_reset(insert) != SQLITE_OK)
				bench_fail(path, sqlite3_errmsg(db));
		}
		run_sql(db, "COMMIT");
		took = clock_mono_ns() - begin;
	}
	sqlite3_finalize(insert);
	sqlite3_close(db);
	return (double)seq * (double)NS_PER_SEC / (double)took;
}

int
main(int argc, char **argv)
{
	char path[PATH_BYTES];

	if (argc != 6) {
		fprintf(stderr,
			"usage: bench_ledger FOLDER WAITING BYTES MILLISECONDS full|normal\n");
		return 2;
	}
	long n_waiting = bench_read_number(argv[2], WAITING_MAX);
	size_t n_bytes = (size_t)bench_read_number(argv[3], RECORD_BYTES_MAX);
	int64_t budget_ns = bench_read_number(argv[4], 60000) * NS_PER_MS;
	enum ledger_sync sync =
		strcmp(argv[5], "normal") == 0 ? LEDGER_SYNC_NORMAL : LEDGER_SYNC_FULL;
	snprintf(path, sizeof(path), "%s/bare.db", argv[1]);
	double bare = measure_bare(path, n_waiting, n_bytes, budget_ns, sync);
	snprintf(path, sizeof(path), "%s/bare-one.db", argv[1]);
	double one = measure_bare(path, 1, n_bytes, budget_ns, sync);
	snprintf(path, sizeof(path), "%s/ledger.db", argv[1]);
	double ours = measure_ledger(path, n_waiting, n_bytes, budget_ns, sync);
	bench_print("ledger", ours, "records/s");
	bench_print("bare_sqlite", bare, "rows/s");
	bench_print("bare_sqlite_one_per_commit", one, "rows/s");
	bench_print("ledger_ratio", ours / bare, "x");
	return 0;
}
