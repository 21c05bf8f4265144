/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ledger of so many records costs: it is filled through the ledger itself (a valid chain, no sync), indexed, and then
 * opened, written, searched and verified. Run with two sizes it shows what grows.
 *
 *     bench_growth FOLDER RECORDS MILLISECONDS
 */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sys/stat.h>

#include "audit/ledger.h"
#include "audit/ledger_options.h"
#include "audit/query.h"
#include "audit/record.h"
#include "audit/search.h"
#include "audit/source.h"
#include "audit/store.h"
#include "audit/verify.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/redact.h"
#include "bench.h"
#include "index_layout.h"
#include "index_writer.h"
#include "ledger_row.h"

#define RECORDS_LIMIT 100000000
#define WAITING 256
#define WAITING_MEASURED 64
#define PATH_BYTES 4096
#define ARENA_BYTES ((size_t)64 * 1024)
#define PAGE 50
#define QUERIES 200
#define SCANS 3
#define OPENS 5
#define RECORDS_PER_TRACE 3

struct job {
	struct row row; /* first */
	struct arena *arena;
};

static struct ledger *ledger;
static struct job jobs[WAITING];
static _Atomic uint64_t n_submitted;
static uint64_t n_wanted;
static _Atomic bool is_over;
static sem_t ended;

/* ---- records ---- */

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

static struct span
print_trace(uint64_t i, char out[40])
{
	int n = snprintf(out, 40, "%016llx%016llx", (unsigned long long)mix(i / RECORDS_PER_TRACE),
		(unsigned long long)mix(~i / RECORDS_PER_TRACE));

	return span_of(out, (size_t)n);
}

/* 1,000 principals, the lower numbers far more often. */
static struct span
print_principal(uint64_t i, char out[40])
{
	uint64_t dice = mix(i + 7);
	uint64_t number = dice % 2 == 0 ? dice / 2 % 10 : dice / 2 % 1000;
	int n = snprintf(out, 40, "service-%03u", (unsigned)number);

	return span_of(out, (size_t)n);
}

static void
build(struct job *j, uint64_t i)
{
	char trace[40];
	char principal[40];
	char action[40];
	char agent[40];
	struct errinfo ei;
	uint64_t dice = mix(i) % 100;

	arena_reset(j->arena);
	struct record *r = record_new(j->arena, "action.decision");
	if (r == NULL)
		bench_fail("record", "out of memory");
	snprintf(action, sizeof(action), "act-%llu", (unsigned long long)i);
	snprintf(agent, sizeof(agent), "agent-%u", (unsigned)(mix(i + 3) % 50));
	record_set_text(r, RECORD_ACTION_ID, span_cstr(action));
	record_set_text(r, RECORD_ACTION_TYPE,
		dice < 50 ? SPAN_LIT("payments.refund") : SPAN_LIT("fs.read"));
	record_set_text(r, RECORD_AGENT, span_cstr(agent));
	record_set_text(r, RECORD_DECISION, dice < 90 ? SPAN_LIT("ALLOW") : SPAN_LIT("DENY"));
	record_set_text(r, RECORD_PRINCIPAL, print_principal(i, principal));
	record_set_text(r, RECORD_RESOURCE, SPAN_LIT("file://workspace/README.md"));
	record_set_text(r, RECORD_RESULT_CLASSIFICATION,
		mix(i + 5) % 10000 == 0 ? SPAN_LIT("UNKNOWN") : SPAN_LIT("SUCCESS"));
	record_set_text(r, RECORD_TRACE_ID, print_trace(i, trace));
	if (record_render(r, redactor_default(), j->arena, &j->row.text, &ei) != OK)
		bench_fail("record", ei.msg);
}

/* ---- writing ---- */

/* Writer thread. */
static void
again(struct ledger_entry *e)
{
	struct job *j = (struct job *)(void *)e;
	struct errinfo ei;

	if (e->result != OK)
		bench_fail("ledger", e->ei.msg);
	uint64_t i = atomic_fetch_add(&n_submitted, 1);
	if (i >= n_wanted || atomic_load_explicit(&is_over, memory_order_relaxed)) {
		sem_post(&ended);
		return;
	}
	build(j, i);
	if (ledger_submit(ledger, e, &ei) != OK)
		bench_fail("ledger_submit", ei.msg);
}

static void
open_ledger(const char *path, enum ledger_sync sync, bool has_index)
{
	struct ledger_options o;
	struct errinfo ei;

	ledger_options_init(&o);
	o.path = path;
	o.sync = sync;
	o.has_index = has_index;
	if (ledger_open(&o, &ledger, &ei) != OK || ledger_start(ledger, &ei) != OK)
		bench_fail("ledger", ei.msg);
}

/* Writes until n_records are there, or for budget_ns when that is not 0; records per second. */
static double
write_records(uint64_t from, uint64_t n_records, size_t n_waiting, int64_t budget_ns)
{
	struct errinfo ei;
	int64_t begin = clock_mono_ns();

	n_wanted = from + n_records;
	atomic_store(&n_submitted, from);
	atomic_store(&is_over, false);
	sem_init(&ended, 0, 0);
	for (size_t k = 0; k < n_waiting; k++) {
		jobs[k].row.e = (struct ledger_entry){.apply = row_append, .done = again};
		build(&jobs[k], atomic_fetch_add(&n_submitted, 1));
		if (ledger_submit(ledger, &jobs[k].row.e, &ei) != OK)
			bench_fail("ledger_submit", ei.msg);
	}
	if (budget_ns > 0) {
		struct timespec budget = {
			.tv_sec = budget_ns / NS_PER_SEC, .tv_nsec = budget_ns % NS_PER_SEC};
		nanosleep(&budget, NULL);
		atomic_store(&is_over, true);
	}
	for (size_t k = 0; k < n_waiting; k++) {
		while (sem_wait(&ended) != 0)
			;
	}
	uint64_t n = atomic_load(&n_submitted) - from - n_waiting;
	return (double)n * (double)NS_PER_SEC / (double)(clock_mono_ns() - begin);
}

static void
fill(const char *path, uint64_t n_records)
{
	struct stat st;

	open_ledger(path, LEDGER_SYNC_OFF, false);
	bench_print("fill", write_records(0, n_records, WAITING, 0), "records/s");
	ledger_close(&ledger);
	if (stat(path, &st) == 0)
		bench_print("ledger_bytes_per_record", (double)st.st_size / (double)n_records, "B");
}

/* At full speed, as the thread of a gateway never runs. */
static void
fill_index(const char *path, uint64_t n_records)
{
	char name[PATH_BYTES + 8];
	struct index_writer *w = NULL;
	struct store_reader *r = NULL;
	struct errinfo ei;
	struct stat st;
	size_t n = 1;
	uint64_t last_from = n_records > 100000 ? n_records - 100000 : 0;
	int64_t begin = clock_mono_ns();
	int64_t last_begin = begin;

	if (store_reader_open(path, STORE_READ_COPY, &r, &ei) != OK ||
		index_writer_open(path, r, INDEX_SHIFT, &w, NULL, &ei) != OK)
		bench_fail("index", ei.msg);
	while (n > 0) {
		if (index_writer_add(w, r, STORE_PAGE_MAX, &n, &ei) != OK)
			bench_fail("index", ei.msg);
		if (index_writer_position(w).seq <= last_from)
			last_begin = clock_mono_ns();
	}
	double all = (double)(clock_mono_ns() - begin) / (double)NS_PER_SEC;
	double last = (double)(clock_mono_ns() - last_begin) / (double)NS_PER_SEC;
	bench_print("index", (double)n_records / all, "records/s");
	bench_print("index_last_100k", (double)(n_records - last_from) / last, "records/s");
	index_writer_free(&w);
	store_reader_free(&r);
	snprintf(name, sizeof(name), "%s" INDEX_SUFFIX, path);
	if (stat(name, &st) == 0)
		bench_print("index_bytes_per_record", (double)st.st_size / (double)n_records, "B");
}

static void
measure_start(const char *path)
{
	struct bench_series s = {.n = 0};

	for (int i = 0; i < OPENS; i++) {
		int64_t begin = clock_mono_ns();
		open_ledger(path, LEDGER_SYNC_FULL, true);
		bench_add(&s, clock_mono_ns() - begin);
		ledger_close(&ledger);
	}
	bench_print("start", (double)bench_quantile(&s, 0.5) / (double)NS_PER_MS, "ms");
}

/* ---- searching ---- */

static bool
count_row(const struct store_row *row, void *arg)
{
	size_t *n = arg;

	(void)row;
	return ++*n < PAGE;
}

static void
measure_query(const char *path, const char *name, struct query_filter (*make)(uint64_t i),
	bool has_index, int n_queries)
{
	struct bench_series s = {.n = 0};
	struct store_reader *r = NULL;
	struct errinfo ei;
	struct chain_head head;
	char figure[64];
	size_t n_found = 0;

	if (store_reader_open(path, STORE_READ_COPY, &r, &ei) != OK ||
		store_reader_head(r, &head, &ei) != OK)
		bench_fail("query", ei.msg);
	for (int i = 0; i < n_queries; i++) {
		const struct query_filter filter = make(mix((uint64_t)i) % head.seq);
		struct search_result result;
		struct query *q = NULL;
		size_t n = 0;
		if (query_new(&filter, &q, &ei) != OK)
			bench_fail("query", ei.msg);
		const struct search_options o = {.query = q,
			.path = has_index ? path : NULL,
			.is_newest_first = true,
			.head = head.seq};
		int64_t begin = clock_mono_ns();
		if (search_run(r, &o, count_row, &n, &result, &ei) != OK)
			bench_fail("query", ei.msg);
		bench_add(&s, clock_mono_ns() - begin);
		if (has_index && result.index_head == 0)
			bench_fail("query", "the index was not used");
		n_found += n;
		query_free(&q);
	}
	store_reader_free(&r);
	snprintf(figure, sizeof(figure), "query_%s_p50", name);
	bench_print(figure, (double)bench_quantile(&s, 0.5) / (double)NS_PER_MS, "ms");
	snprintf(figure, sizeof(figure), "query_%s_p99", name);
	bench_print(figure, (double)bench_quantile(&s, 0.99) / (double)NS_PER_MS, "ms");
	snprintf(figure, sizeof(figure), "query_%s_found", name);
	bench_print(figure, (double)n_found / n_queries, "records");
}

static int64_t first_wall_ns;
static int64_t last_wall_ns;
static char made_text[40];

static struct query_filter
by_trace(uint64_t i)
{
	return (struct query_filter){.trace_prefix = span_of(print_trace(i, made_text).p, 12)};
}

/* A hundredth of the time that the ledger spans. */
static struct query_filter
by_principal_and_time(uint64_t i)
{
	int64_t span = (last_wall_ns - first_wall_ns) / 100;
	int64_t since = first_wall_ns + (int64_t)(mix(i) % 99) * span;

	return (struct query_filter){.principal = print_principal(i, made_text),
		.has_since = true,
		.since_wall_ns = since,
		.has_until = true,
		.until_wall_ns = since + span};
}

static struct query_filter
by_rare_class(uint64_t i)
{
	(void)i;
	return (struct query_filter){
		.class_name = SPAN_LIT("UNKNOWN"), .decision = SPAN_LIT("DENY")};
}

static struct query_filter
by_nothing_there(uint64_t i)
{
	(void)i;
	return (struct query_filter){.action_id = SPAN_LIT("no such action")};
}

/* ---- verifying ---- */

static void
measure_verify(const char *path)
{
	const struct verify_options o = {.key = NULL};
	struct verify_result result;
	struct source *s = NULL;
	struct errinfo ei;
	int64_t begin = clock_mono_ns();

	if (source_open(path, SOURCE_PRIVATE, &s, &ei) != OK ||
		verify_source(s, &o, &result, &ei) != OK)
		bench_fail("verify", ei.msg);
	if (!result.is_good)
		bench_fail("verify", result.reason);
	source_free(&s);
	bench_print("verify",
		(double)result.n_records * (double)NS_PER_SEC / (double)(clock_mono_ns() - begin),
		"records/s");
}

int
main(int argc, char **argv)
{
	char path[PATH_BYTES];
	struct errinfo ei;

	if (argc != 4 || hash_init(&ei) != OK) {
		fprintf(stderr, "usage: bench_growth FOLDER RECORDS MILLISECONDS\n");
		return 2;
	}
	uint64_t n_records = (uint64_t)bench_read_number(argv[2], RECORDS_LIMIT);
	int64_t budget_ns = bench_read_number(argv[3], 60000) * NS_PER_MS;
	snprintf(path, sizeof(path), "%s/ledger.db", argv[1]);
	for (size_t k = 0; k < WAITING; k++)
		jobs[k].arena = arena_new(ARENA_BYTES);
	first_wall_ns = clock_wall_ns();
	fill(path, n_records);
	last_wall_ns = clock_wall_ns();
	fill_index(path, n_records);
	measure_query(path, "trace", by_trace, true, QUERIES);
	measure_query(path, "principal_time", by_principal_and_time, true, QUERIES);
	measure_query(path, "rare", by_rare_class, true, QUERIES);
	measure_query(path, "nothing", by_nothing_there, true, QUERIES);
	measure_query(path, "trace_scan", by_trace, false, SCANS);
	measure_start(path);
	open_ledger(path, LEDGER_SYNC_FULL, false);
	bench_print("insert", write_records(n_records, RECORDS_LIMIT, WAITING_MEASURED, budget_ns),
		"records/s");
	ledger_close(&ledger);
	open_ledger(path, LEDGER_SYNC_FULL, true);
	bench_print("insert_while_indexing",
		write_records(2 * n_records, RECORDS_LIMIT, WAITING_MEASURED, budget_ns),
		"records/s");
	ledger_close(&ledger);
	measure_verify(path);
	for (size_t k = 0; k < WAITING; k++)
		arena_free(&jobs[k].arena);
	return 0;
}
