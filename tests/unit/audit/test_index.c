/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The search index: filled in batches, goes on where it stood, made anew when it is missing,
 * damaged, of another chain or beyond the ledger; answers are complete whatever it is like, and a
 * running ledger keeps it up by itself.
 */
#include <time.h>
#include <unistd.h>

#include <sys/stat.h>

#include "base/clock.h"
#include "base/metric.h"
#include "index_fixture.h"
#include "index_scan.h"
#include "ledger_index.h"
#include "reader_fixture.h"

static const struct query_filter by_principal = {.principal = {"alice", 5}};
static const struct query_filter by_action = {.action_id = {"a7", 2}};

static size_t
count(const char *path, const char *index, const struct query_filter *f, uint64_t *index_head)
{
	struct found *found = search(path, index, f, true, 0, 0);
	size_t n = found->n;

	if (index_head != NULL)
		*index_head = found->result.index_head;
	mem_free(found);
	return n;
}

TEST(grows_in_batches_and_goes_on_where_it_stood)
{
	const char *path = make_ledger(50, 16);
	bool is_new = false;
	uint64_t index_head = 0;
	struct found *f = NULL;

	CHECK_INT(fill_index(path, SMALL_SHIFT, 7, 20, &is_new), 21);
	CHECK(is_new);
	CHECK_INT(count(path, path, &by_principal, &index_head), 50);
	CHECK_INT(index_head, 21);
	CHECK_INT(fill_index(path, SMALL_SHIFT, 7, UINT64_MAX, &is_new), 55);
	CHECK(!is_new);
	f = search(path, path, &by_action, false, 0, 0);
	CHECK_INT(f->n, 1);
	CHECK_INT(f->seqs[0], 8);
	CHECK_INT(f->result.index_head, 55);
	CHECK_INT(f->result.n_read, 1); /* nothing else was looked at */
	mem_free(f);
}

static void
spoil(const char *path, const char *sql)
{
	run_sql(beside(path, ".idx"), sql);
}

static void
write_garbage(const char *path)
{
	write_text(
		beside(path, ".idx"), SPAN_LIT("this is not an index, and long enough to be one"));
}

/* Each leaves an index that must not be believed. */
static const struct {
	const char *name;
	const char *sql; /* NULL: garbage */
} faults[] = {
	{"other chain", "UPDATE meta SET value = '00112233445566778899aabbccddeeff'"
			" WHERE key = 'chain_id'"},
	{"beyond the ledger", "UPDATE meta SET value = '900' WHERE key = 'seq'"},
	{"other record", "UPDATE meta SET value = printf('%064d', 0) WHERE key = 'hash'"},
	{"no place", "DELETE FROM meta WHERE key = 'seq'"},
	{"no hash", "DELETE FROM meta WHERE key = 'hash'"},
	{"other version", "PRAGMA user_version = 9"},
	{"other program", "PRAGMA application_id = 9"},
	{"no table", "DROP TABLE entries"},
	{"garbage", NULL},
};

TEST(an_index_that_does_not_fit_is_not_used_and_made_anew)
{
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		const char *path = make_ledger(20, 8);
		uint64_t index_head = 1;
		bool is_new = false;
		CHECK_INT(fill_index(path, SMALL_SHIFT, 100, UINT64_MAX, NULL), 24);
		if (faults[i].sql != NULL)
			spoil(path, faults[i].sql);
		else
			write_garbage(path);
		if (count(path, path, &by_principal, &index_head) != 20 || index_head != 0)
			FAIL("%s: it was used", faults[i].name);
		if (fill_index(path, SMALL_SHIFT, 100, UINT64_MAX, &is_new) != 24 || !is_new)
			FAIL("%s: it was not made anew", faults[i].name);
		if (count(path, path, &by_principal, &index_head) != 20 || index_head != 24)
			FAIL("%s: the new one is not used", faults[i].name);
	}
}

/* Pages in the middle of the file are overwritten: the header is sound, the search finds out. */
TEST(a_damaged_page_costs_time_and_no_answer)
{
	const char *path = make_ledger(400, 64);
	const char *index = beside(path, ".idx");
	struct buf file;

	(void)fill_index(path, SMALL_SHIFT, 100, UINT64_MAX, NULL);
	read_text(index, &file);
	size_t n_pages = file.n / 4096;
	CHECK(n_pages > 6);
	for (size_t page = 1; page < n_pages; page++) {
		struct buf copy;
		buf_init(&copy, BUF_CAP_FILE);
		buf_add_span(&copy, buf_span(&file));
		memset(copy.p + page * 4096, 0xa5, 4096);
		write_text(index, buf_span(&copy));
		if (count(path, path, &by_principal, NULL) != 400)
			FAIL("page %zu", page);
		buf_fini(&copy);
	}
	buf_fini(&file);
}

/* Entries that lead to the wrong records are found out by the records. */
TEST(what_the_index_says_is_checked_in_the_ledger)
{
	const char *path = make_ledger(20, 8);

	(void)fill_index(path, SMALL_SHIFT, 100, UINT64_MAX, NULL);
	spoil(path, "INSERT OR IGNORE INTO entries SELECT segment, field, CAST('a7' AS BLOB), seq,"
		    " more FROM entries WHERE field = 1");
	CHECK_INT(count(path, path, &by_action, NULL), 1);
}

TEST(a_log_that_was_not_folded_in_is_left_alone)
{
	const char *path = make_ledger(20, 8);
	uint64_t index_head = 1;

	(void)fill_index(path, SMALL_SHIFT, 100, UINT64_MAX, NULL);
	write_text(beside(path, ".idx-wal"), SPAN_LIT("a gateway died here"));
	CHECK_INT(count(path, path, &by_principal, &index_head), 20);
	CHECK_INT(index_head, 0);
	CHECK(access(beside(path, ".idx-shm"), F_OK) != 0);
}

TEST(reading_makes_no_file)
{
	const char *path = make_ledger(20, 8);
	struct stat before;
	struct stat after;

	(void)fill_index(path, SMALL_SHIFT, 100, UINT64_MAX, NULL);
	CHECK_INT(stat(beside(path, ".idx"), &before), 0);
	CHECK_INT(before.st_mode & 0777, 0600);
	CHECK_INT(count(path, path, &by_principal, NULL), 20);
	CHECK_INT(stat(beside(path, ".idx"), &after), 0);
	CHECK(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec && before.st_size == after.st_size);
	CHECK(access(beside(path, ".idx-wal"), F_OK) != 0);
	CHECK(access(beside(path, ".idx-shm"), F_OK) != 0);
}

/* All answers, by searches that each read a few records. */
static void
search_in_steps(const char *path, const char *index_path, bool is_newest_first, bool by_time,
	struct found *out)
{
	struct store_reader *r = open_reader(path);
	struct query *q = NULL;
	struct errinfo ei;
	size_t n_steps = 0;

	CHECK_INT(query_new(&by_principal, &q, &ei), OK);
	struct search_options o = {.query = q,
		.path = index_path,
		.is_newest_first = is_newest_first,
		.head = head_of(r),
		.max_read = by_time ? 0 : 7,
		.max_ns = by_time ? 1 : 0};
	do {
		CHECK_INT(search_run(r, &o, add_found, out, &out->result, &ei), OK);
		CHECK(out->result.n_read <= 7 + 32);
		o.from = out->result.next;
	} while (out->result.next != 0 && ++n_steps < 200);
	CHECK(n_steps > 1 && n_steps < 200);
	query_free(&q);
	store_reader_free(&r);
}

TEST(a_bounded_search_goes_on_where_it_ended)
{
	const char *path = make_ledger(100, 64);

	(void)fill_index(path, SMALL_SHIFT, 100, UINT64_MAX, NULL);
	for (int i = 0; i < 8; i++) {
		const char *index_path = i % 2 == 0 ? path : NULL;
		struct found *whole = search(path, index_path, &by_principal, i / 2 % 2 == 0, 0, 0);
		struct found *steps = mem_need(sizeof(*steps));
		*steps = (struct found){.limit = 0};
		search_in_steps(path, index_path, i / 2 % 2 == 0, i >= 4, steps);
		CHECK_INT(whole->n, 100);
		CHECK_INT(whole->result.next, 0);
		CHECK(is_same_answer(whole, steps));
		mem_free(whole);
		mem_free(steps);
	}
}

TEST(segments_before_the_first_record_are_forgotten)
{
	const char *path = make_ledger(100, 64);
	struct index_writer *w = NULL;
	struct errinfo ei;
	bool is_done = false;
	int64_t n = 0;

	(void)fill_index(path, SMALL_SHIFT, 100, UINT64_MAX, NULL);
	struct store_reader *r = open_reader(path);
	CHECK_INT(index_writer_open(path, r, SMALL_SHIFT, &w, NULL, &ei), OK);
	while (!is_done)
		CHECK_INT(index_writer_prune(w, 50, &is_done, &ei), OK);
	index_writer_free(&w);
	store_reader_free(&r);
	struct db *db = NULL;
	CHECK_INT(db_open(beside(path, ".idx"), DB_WRITE, 0, &db, &ei), OK);
	CHECK_INT(db_query_int(db, "SELECT min(seq) FROM entries", &n, &ei), OK);
	CHECK_INT(n, 48);
	CHECK_INT(db_query_int(db, "SELECT count(*) FROM times WHERE level = 1", &n, &ei), OK);
	CHECK_INT(n, 4);
	db_free(&db);
}

TEST(a_part_of_a_text_needs_a_time)
{
	const struct query_filter f = {.contained = {"x", 1}};
	struct query *q = NULL;
	struct errinfo ei;

	CHECK_INT(query_new(&f, &q, &ei), ERR_INVALID);
	CHECK(q == NULL);
}

/* Until the thread is there, or half a minute. */
static bool
wait_for_index(const char *path, uint64_t seq)
{
	const struct timespec pause = {.tv_nsec = 20 * NS_PER_MS};
	int64_t until = clock_mono_ns() + 30 * NS_PER_SEC;
	struct query *q = NULL;
	bool is_there = false;

	CHECK_INT(query_new(&by_principal, &q, NULL), OK);
	while (!is_there && clock_mono_ns() < until) {
		struct index_scan *s = NULL;
		is_there = index_scan_new(path, true, q, &s, NULL) == OK &&
			   index_scan_header(s)->at.seq >= seq;
		index_scan_free(&s);
		nanosleep(&pause, NULL);
	}
	query_free(&q);
	return is_there;
}

TEST(a_running_ledger_keeps_it_and_survives_its_loss)
{
	struct ledger_options o = options_in(test_tmpdir());
	int64_t before = metric_get(METRIC_INDEX_REBUILDS);

	o.has_index = true;
	struct ledger *l = start_ledger(&o);
	for (int i = 0; i < 10; i++)
		CHECK_INT(append_one(l, "a"), OK);
	CHECK(wait_for_index(o.path, 11));
	ledger_close(&l);
	CHECK_INT(metric_get(METRIC_INDEX_LAG), 0);
	CHECK_INT(metric_get(METRIC_INDEX_REBUILDS) - before, 1);
	CHECK_INT(unlink(beside(o.path, ".idx")), 0);

	l = start_ledger(&o);
	CHECK_INT(append_one(l, "b"), OK);
	CHECK(wait_for_index(o.path, 13));
	CHECK_INT(metric_get(METRIC_INDEX_REBUILDS) - before, 2);
	ledger_close(&l);
	CHECK_INT(count(o.path, o.path, &by_principal, NULL), 11);
}

TEST(its_thread_rests_the_longer_the_less_the_others_leave)
{
	const struct cpu_use idle = {.own_ns = 1000000, .others_percent = 0};
	const struct cpu_use half = {.own_ns = 1000000, .others_percent = 50};
	const struct cpu_use busy = {.own_ns = 1000000, .others_percent = 100};

	CHECK_INT(ledger_index_rest_ns(1000000, &idle), 3000000);
	CHECK_INT(ledger_index_rest_ns(1000000, &half), 15000000);
	CHECK_INT(ledger_index_rest_ns(1000000, &busy), 27000000);
	/* It waited for a processor meanwhile, and others do not. */
	CHECK_INT(ledger_index_rest_ns(8000000, &idle), 24000000);
	CHECK_INT(ledger_index_rest_ns(8000000, &busy), 27000000);
}

SUITE("index", TEST_ROW(its_thread_rests_the_longer_the_less_the_others_leave),
	TEST_ROW(grows_in_batches_and_goes_on_where_it_stood),
	TEST_ROW(an_index_that_does_not_fit_is_not_used_and_made_anew),
	TEST_ROW(a_damaged_page_costs_time_and_no_answer),
	TEST_ROW(what_the_index_says_is_checked_in_the_ledger),
	TEST_ROW(a_log_that_was_not_folded_in_is_left_alone), TEST_ROW(reading_makes_no_file),
	TEST_ROW(a_bounded_search_goes_on_where_it_ended),
	TEST_ROW(segments_before_the_first_record_are_forgotten),
	TEST_ROW(a_part_of_a_text_needs_a_time),
	TEST_ROW(a_running_ledger_keeps_it_and_survives_its_loss))
