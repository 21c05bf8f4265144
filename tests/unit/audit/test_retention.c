/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention: old records move into verified archives, ledger and archives together are one whole
 * chain, whatever is still needed stays, whoever changes an archive or the anchor is found out, and a
 * crash at any step is repeated harmlessly.
 */
#define _GNU_SOURCE

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sys/wait.h>

#include "anchor.h"
#include "audit/archive.h"
#include "audit/sink_stream.h"
#include "audit/store.h"
#include "base/clock.h"
#include "base/mem.h"
#include "reader_fixture.h"
#include "retention_floor.h"

#define EVERY 4
#define SEGMENT 8
#define DAY_NS (INT64_C(86400) * NS_PER_SEC)

static struct ledger_options
options_keeping(const char *dir, uint64_t kept)
{
	struct ledger_options o = options_in(dir);

	o.checkpoint_every = EVERY;
	o.retention.records = kept;
	o.retention.segment_records = SEGMENT;
	o.retention.look_ms = 5;
	return o;
}

static void
append_some(struct ledger *l, int n)
{
	for (int i = 0; i < n; i++)
		CHECK_INT(append_one(l, "a"), OK);
}

static bool
keep_seq(const struct store_row *row, void *arg)
{
	*(uint64_t *)arg = row->seq;
	return false;
}

static uint64_t
first_of(const char *path, enum store_reader_mode mode)
{
	struct store_reader *r = NULL;
	uint64_t seq = 0;

	if (store_reader_open(path, mode, &r, NULL) != OK ||
		store_reader_page(r, 0, 1, keep_seq, &seq, NULL, NULL) != OK)
		seq = 0;
	store_reader_free(&r);
	return seq;
}

/* Until the ledger begins at or behind seq, or half a minute. */
static bool
wait_for_first(const char *path, uint64_t seq)
{
	const struct timespec pause = {.tv_nsec = 5 * NS_PER_MS};
	struct timespec now;
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 30;
	do {
		if (first_of(path, STORE_READ_LIVE) >= seq)
			return true;
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec);
	return false;
}

/* A closed ledger of n records that has archived all but about `kept` of them. */
static const char *
make_archived(int n, uint64_t kept)
{
	struct ledger_options o = options_keeping(test_ramdir(), kept);
	struct ledger *l = start_ledger(&o);

	append_some(l, n);
	CHECK(wait_for_first(o.path, (uint64_t)n - kept - SEGMENT - 2 * EVERY));
	ledger_close(&l);
	return o.path;
}

static struct verify_result
verify_with(const char *path, struct archive_list *archives)
{
	struct sign_key *key = load_public(path);
	struct verify_options o = {.key = key};
	struct verify_result result;

	if (archives != NULL) {
		o.archives = archives->paths;
		o.n_archives = archives->n;
	}
	CHECK_INT(verify_path(path, &o, &result), OK);
	sign_key_free(&key);
	return result;
}

static struct archive_list
list_of(const char *path)
{
	struct archive_list list;
	struct errinfo ei;

	if (archive_list_read(beside(path, ".archive"), "", &list, &ei) != OK)
		FAIL("%s", ei.msg);
	return list;
}

/* Ledger and archives are the chain from its first record on. */
static struct verify_result
check_whole(const char *path)
{
	struct archive_list list = list_of(path);
	struct verify_result result = verify_with(path, &list);

	if (!result.is_good)
		FAIL("record %u: %s", (unsigned)result.bad_seq, result.reason);
	CHECK_INT(result.anchor.seq, 0);
	CHECK_INT(result.n_records, result.head.seq);
	CHECK_INT(result.n_archives, list.n);
	archive_list_fini(&list);
	return result;
}

TEST(the_ledger_and_its_archives_are_one_chain)
{
	const char *path = make_archived(80, 20);
	uint64_t first = first_of(path, STORE_READ_COPY);
	struct verify_result alone = verify_with(path, NULL);
	struct chain_head head = check_whole(path).head;

	CHECK(alone.is_good);
	CHECK_INT(alone.anchor.seq, first - 1);
	CHECK_INT(alone.head.seq, head.seq);
	CHECK_STR(alone.head.hash, head.hash);
	CHECK(first > 40);

	/* It goes on, and so does the archive. */
	struct ledger_options o = options_keeping(test_ramdir(), 20);
	o.path = path;
	struct ledger *l = start_ledger(&o);
	append_some(l, 40);
	CHECK(wait_for_first(path, first + 20));
	ledger_close(&l);
	CHECK(check_whole(path).head.seq > head.seq + 40);
}

TEST(an_export_of_what_is_left_verifies)
{
	const char *path = make_archived(60, 20);
	struct sign_key *key = load_private(path);
	const char *name = export_ledger(path, key, OK);
	struct verify_options o = {.key = key};
	struct verify_result result;
	struct archive_list list = list_of(path);

	CHECK_INT(verify_path(name, &o, &result), OK);
	CHECK(result.is_good);
	CHECK_INT(result.anchor.seq, first_of(path, STORE_READ_COPY) - 1);
	o.archives = list.paths;
	o.n_archives = list.n;
	CHECK_INT(verify_path(name, &o, &result), OK);
	CHECK(result.is_good);
	CHECK_INT(result.n_records, result.head.seq);
	archive_list_fini(&list);
	sign_key_free(&key);
}

TEST(a_missing_archive_is_missed)
{
	const char *path = make_archived(80, 20);
	struct archive_list list = list_of(path);

	CHECK(list.n >= 3);
	for (size_t gone = 1; gone < list.n; gone++) {
		struct archive_list some = {.paths = mem_zalloc(list.n, sizeof(char *))};
		for (size_t i = 0; i < list.n; i++) {
			if (i != gone)
				some.paths[some.n++] = list.paths[i];
		}
		struct verify_result result = verify_with(path, &some);
		CHECK(!result.is_good);
		CHECK(begins(result.reason, "missing: record "));
		CHECK_INT(result.is_archive_bad, gone + 1 < list.n);
		mem_free(some.paths);
	}
	/* Without the first ones it says what it has not seen. */
	struct archive_list rest = {.paths = list.paths + 1, .n = list.n - 1};
	struct verify_result result = verify_with(path, &rest);
	CHECK(result.is_good);
	CHECK(result.anchor.seq >= SEGMENT);
	archive_list_fini(&list);
}

TEST(an_altered_archive_is_named)
{
	const char *path = make_archived(60, 20);
	struct archive_list list = list_of(path);
	struct buf text;

	CHECK(list.n >= 2);
	read_text(list.paths[1], &text);
	/* One character of each part of the file in turn; spaces stand nowhere in it. */
	for (size_t at = 3; at < text.n; at += text.n / 40 + 1) {
		char was = text.p[at];
		if (was == '\n')
			continue;
		text.p[at] = was == '1' ? '2' : '1';
		write_text(list.paths[1], buf_span(&text));
		struct verify_result result = verify_with(path, &list);
		if (result.is_good || !result.is_archive_bad || result.n_archives != 1)
			FAIL("byte %zu: %s", at, result.reason);
		text.p[at] = was;
	}
	write_text(list.paths[1], span_of(text.p, text.n / 2));
	struct verify_result result = verify_with(path, &list);
	CHECK(!result.is_good && result.is_archive_bad);
	buf_fini(&text);
	archive_list_fini(&list);
}

static const struct {
	const char *sql;
	const char *reason;
} tampered[] = {
	{"UPDATE meta SET value = 'x' WHERE key = 'anchor'", "edited: the anchor is damaged"},
	{"UPDATE meta SET value = replace(value, '\"seq\":', '\"seq\":1') WHERE key = 'anchor'",
		"edited: the anchor's signature"},
	{"DELETE FROM meta WHERE key = 'anchor'", "missing: record 1"},
	{"DELETE FROM records WHERE seq = (SELECT min(seq) FROM records)", "missing: record "},
	{"UPDATE records SET body = replace(CAST(body AS TEXT), 'checkpoint', 'checkpoinT')"
	 " WHERE seq = (SELECT min(seq) FROM records)",
		"edited: "},
};

TEST(a_tampered_anchor_is_found_by_verify_and_at_start)
{
	for (size_t i = 0; i < ARRAY_LEN(tampered); i++) {
		const char *path = make_archived(60, 20);
		struct ledger_options o = options_keeping(test_ramdir(), 0);
		struct ledger *l = NULL;
		struct errinfo ei;
		run_sql(path, tampered[i].sql);
		struct verify_result result = verify_with(path, NULL);
		if (result.is_good || !begins(result.reason, tampered[i].reason))
			FAIL("row %zu: %s", i, result.reason);
		o.path = path;
		/* An anchor that is gone shows to who reads from the beginning. */
		if (i != 2)
			CHECK_INT(ledger_open(&o, &l, &ei), ERR_CORRUPT);
		ledger_close(&l);
	}
}

TEST(what_was_expected_in_the_archive_is_asked_for)
{
	const char *path = make_archived(60, 20);
	struct archive_list list = list_of(path);
	const struct chain_head early = {.seq = 3};
	struct verify_options o = {.expected = &early};
	struct verify_result result;

	CHECK_INT(verify_path(path, &o, &result), OK);
	CHECK(!result.is_good && begins(result.reason, "not here: "));
	o.archives = list.paths;
	o.n_archives = list.n;
	CHECK_INT(verify_path(path, &o, &result), OK);
	CHECK(!result.is_good && begins(result.reason, "edited: it is not the record"));
	CHECK_INT(result.bad_seq, 3);
	archive_list_fini(&list);
}

/* ---- what is needed stays ---- */

struct needy {
	const char *path;
	struct retention_needs needs;
	struct ledger_retention_options rule;
};

static void
open_needy(struct needy *n, const char *path)
{
	*n = (struct needy){.path = path};
	n->rule = (struct ledger_retention_options){.records = 1, .segment_records = SEGMENT};
	n->needs = (struct retention_needs){.head_file = beside(path, ".head"),
		.indexed = UINT64_MAX,
		.now_wall_ns = clock_wall_ns(),
		.report_window_ns = DAY_NS};
	CHECK_INT(store_reader_open(path, STORE_READ_COPY, &n->needs.reader, NULL), OK);
}

/* The last record of the first segment; 0: it stays. */
static uint64_t
end_of(struct needy *n)
{
	const struct chain_head start = {0};
	struct checkpoint end;
	struct errinfo ei;
	uint64_t floor = 0;

	if (retention_find_floor(&n->needs, &floor, &ei) != OK ||
		retention_find_end(&n->needs, &n->rule, &start, floor, &end, &ei) != OK)
		FAIL("%s", ei.msg);
	return end.at.seq;
}

static uint64_t
end_after(const char *path, const char *sql)
{
	struct needy n;

	if (sql != NULL)
		run_sql(path, sql);
	open_needy(&n, path);
	uint64_t end = end_of(&n);
	store_reader_free(&n.needs.reader);
	return end;
}

TEST(a_segment_ends_at_a_checkpoint_and_not_before_it_is_needed_no_more)
{
	const char *path = make_ledger(40, EVERY);
	struct needy n;
	uint64_t end = end_after(path, NULL);

	CHECK(end >= SEGMENT && end <= SEGMENT + EVERY + 1);
	/* open intents */
	CHECK_INT(end_after(path, "UPDATE records SET state = 1 WHERE seq = 2"), 0);
	CHECK_INT(end_after(path, "UPDATE records SET state = 1 WHERE seq = 30;"
				  "UPDATE records SET state = 0 WHERE seq = 2"),
		end);
	/* decisions that may be reported */
	CHECK_INT(end_after(path, "UPDATE records SET state = 2 WHERE seq = 3"), 0);
	open_needy(&n, path);
	n.needs.now_wall_ns += DAY_NS;
	CHECK_INT(end_of(&n), end);
	store_reader_free(&n.needs.reader);
	CHECK_INT(end_after(path, "UPDATE records SET state = 0"), end);
	/* claims */
	CHECK_INT(end_after(path, "INSERT INTO claims VALUES(1, x'00', 5, x'00', 0, 0, x'00')"), 0);
	CHECK_INT(end_after(path, "UPDATE claims SET expires = 1"), end);
	CHECK_INT(end_after(path, "UPDATE claims SET expires = 9000000000000000000"), 0);
	CHECK_INT(end_after(path, "UPDATE claims SET seq = 40"), end);
	/* the head file */
	CHECK_INT(unlink(beside(path, ".head")), 0);
	CHECK_INT(end_after(path, NULL), 0);
}

TEST(a_sink_and_the_index_are_waited_for)
{
	static const char *const sinks[] = {"a", "b"};
	const char *path = make_ledger(40, EVERY);
	struct needy n;

	run_sql(path, "INSERT INTO cursors VALUES('a', 30), ('gone', 1)");
	open_needy(&n, path);
	uint64_t end = end_of(&n);
	CHECK(end > 0);
	n.needs.sinks = sinks;
	n.needs.n_sinks = 1;
	CHECK_INT(end_of(&n), end);
	n.needs.n_sinks = 2; /* one that has no cursor yet */
	CHECK_INT(end_of(&n), 0);
	n.needs.n_sinks = 1;
	n.needs.indexed = end;
	CHECK_INT(end_of(&n), 0);
	n.needs.indexed = end + 1;
	CHECK_INT(end_of(&n), end);
	store_reader_free(&n.needs.reader);
}

TEST(age_is_that_of_the_closing_checkpoint)
{
	const char *path = make_ledger(40, EVERY);
	struct needy n;

	open_needy(&n, path);
	n.rule = (struct ledger_retention_options){.days = 2, .segment_records = SEGMENT};
	CHECK_INT(end_of(&n), 0);
	n.needs.now_wall_ns += DAY_NS;
	CHECK_INT(end_of(&n), 0);
	n.needs.now_wall_ns += DAY_NS;
	CHECK(end_of(&n) > 0);
	n.rule = (struct ledger_retention_options){.records = 39, .segment_records = SEGMENT};
	CHECK(end_of(&n) > 0);
	n.rule.records = 60;
	CHECK_INT(end_of(&n), 0);
	store_reader_free(&n.needs.reader);
}

/* For any mixture of needs, nothing that is needed lies in the segment. */
TEST(no_segment_holds_what_is_needed)
{
	uint64_t dice = 1;
	size_t n_ended = 0;

	for (int round = 0; round < 20; round++) {
		const char *path = make_ledger(40, 1 + (uint32_t)round % 7);
		uint64_t needed = UINT64_MAX;
		struct needy n;
		for (int kind = 0; kind < 3; kind++) {
			char sql[160];
			dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
			uint64_t seq = 1 + (dice >> 33) % 44;
			if ((dice >> 20) % 3 == 0)
				continue;
			needed = seq < needed ? seq : needed;
			if (kind == 2)
				snprintf(sql, sizeof(sql),
					"INSERT INTO claims VALUES(1, x'00', %u, x'00', 0, 0, "
					"x'00')",
					(unsigned)seq);
			else
				snprintf(sql, sizeof(sql),
					"UPDATE records SET state = %d WHERE seq = %u", kind + 1,
					(unsigned)seq);
			run_sql(path, sql);
		}
		open_needy(&n, path);
		uint64_t end = end_of(&n);
		n_ended += end > 0;
		if (end >= needed)
			FAIL("round %d: record %u is needed, the segment ends at %u", round,
				(unsigned)needed, (unsigned)end);
		store_reader_free(&n.needs.reader);
	}
	CHECK(n_ended > 1 && n_ended < 20);
}

TEST(a_sink_that_was_away_goes_on_behind_the_archive)
{
	const char *path = make_archived(60, 20);
	struct ledger_options o = options_keeping(test_ramdir(), 20);
	struct sink *sink = NULL;
	struct errinfo ei;
	int to = open("/dev/null", O_WRONLY | O_CLOEXEC);

	run_sql(path, "INSERT INTO cursors VALUES('stdout', 3)");
	CHECK_INT(sink_stream_new("stdout", to, &sink, &ei), OK);
	o.path = path;
	o.sinks = &sink;
	o.n_sinks = 1;
	o.required = LEDGER_REQUIRED_ALL;
	struct ledger *l = start_ledger(&o);
	append_some(l, 3); /* each waits until the sink has taken it */
	ledger_close(&l);
	close(to);
	(void)check_whole(path);
}

/* ---- crashes ---- */

/* As a process leaves it that died before the first row went. */
TEST(rows_below_the_anchor_count_no_more_and_are_removed)
{
	const char *path = make_ledger(60, EVERY);
	struct ledger_options o = options_keeping(test_ramdir(), 20);
	struct archive_order order = {.chain_id = ""};
	char archive[ARCHIVE_PATH_MAX];
	struct checkpoint end;
	struct errinfo ei;
	struct checkpoint anchor;
	struct needy n;
	uint64_t floor = 0;

	open_needy(&n, path);
	CHECK_INT(retention_find_floor(&n.needs, &floor, &ei), OK);
	CHECK_INT(retention_find_end(&n.needs, &n.rule, &order.from, floor, &end, &ei), OK);
	struct sign_key *key = load_private(path);
	order = (struct archive_order){.reader = n.needs.reader,
		.folder = beside(path, ".archive"),
		.chain_id = end.chain_id,
		.to = end.at,
		.key = key};
	/* It is written twice, as by two runs of which the first died. */
	CHECK_INT(archive_write(&order, archive, &ei), OK);
	CHECK_INT(archive_write(&order, archive, &ei), OK);
	store_reader_free(&n.needs.reader);
	(void)check_whole(path); /* the archive and all the rows */

	CHECK_INT(anchor_sign(key, &end, &anchor, &ei), OK);
	put_anchor(path, &anchor);
	sign_key_free(&key);
	CHECK_INT(first_of(path, STORE_READ_COPY), 1);
	CHECK_INT(verify_with(path, NULL).anchor.seq, end.at.seq);
	(void)check_whole(path);

	o.path = path;
	struct ledger *l = start_ledger(&o);
	append_some(l, 1);
	CHECK(wait_for_first(path, end.at.seq + 1));
	ledger_close(&l);
	(void)check_whole(path);
}

static void
run_until_killed(const struct ledger_options *o)
{
	struct ledger *l = start_ledger(o);

	for (;;) {
		if (append_one(l, "a") != OK)
			_exit(1);
	}
}

TEST(a_kill_at_any_moment_loses_nothing)
{
	struct ledger_options o = options_keeping(test_ramdir(), 10);
	uint64_t head = 0;

	o.retention.look_ms = 1;
	for (int round = 0; round < 12; round++) {
		struct timespec run = {.tv_nsec = (20 + round * 7) * NS_PER_MS};
		int status = 0;
		pid_t pid = fork();
		MUST(pid >= 0);
		if (pid == 0)
			run_until_killed(&o);
		nanosleep(&run, NULL);
		MUST(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
		CHECK(WIFSIGNALED(status));
		if (access(beside(o.path, ".archive"), F_OK) != 0)
			continue;
		struct archive_list list = list_of(o.path);
		struct verify_result result = verify_with(o.path, &list);
		archive_list_fini(&list);
		if (!result.is_good || result.anchor.seq != 0 || result.head.seq < head)
			FAIL("round %d: record %u: %s", round, (unsigned)result.bad_seq,
				result.reason);
		head = result.head.seq;
	}
	struct ledger *l = start_ledger(&o);
	uint64_t first = first_of(o.path, STORE_READ_LIVE);
	append_some(l, 60);
	CHECK(wait_for_first(o.path, first + 1));
	ledger_close(&l);
	(void)check_whole(o.path);
}

TEST(an_archive_that_cannot_be_written_keeps_the_records)
{
	struct ledger_options o = options_keeping(test_ramdir(), 10);
	const struct timespec pause = {.tv_nsec = 50 * NS_PER_MS};

	write_text(beside(o.path, ".archive"), SPAN_LIT("a file where the folder should be"));
	struct ledger *l = start_ledger(&o);
	append_some(l, 60);
	nanosleep(&pause, NULL); /* ten looks: none may remove anything, however late they come */
	append_some(l, 10);
	CHECK(ledger_is_ready(l, NULL, 0));
	CHECK_INT(first_of(o.path, STORE_READ_LIVE), 1);
	ledger_close(&l);
	CHECK_INT(verify_with(o.path, NULL).anchor.seq, 0);
}

SUITE("retention", TEST_ROW(the_ledger_and_its_archives_are_one_chain),
	TEST_ROW(an_export_of_what_is_left_verifies), TEST_ROW(a_missing_archive_is_missed),
	TEST_ROW(an_altered_archive_is_named),
	TEST_ROW(a_tampered_anchor_is_found_by_verify_and_at_start),
	TEST_ROW(what_was_expected_in_the_archive_is_asked_for),
	TEST_ROW(a_segment_ends_at_a_checkpoint_and_not_before_it_is_needed_no_more),
	TEST_ROW(a_sink_and_the_index_are_waited_for),
	TEST_ROW(age_is_that_of_the_closing_checkpoint), TEST_ROW(no_segment_holds_what_is_needed),
	TEST_ROW(a_sink_that_was_away_goes_on_behind_the_archive),
	TEST_ROW(rows_below_the_anchor_count_no_more_and_are_removed),
	TEST_ROW(a_kill_at_any_moment_loses_nothing),
	TEST_ROW(an_archive_that_cannot_be_written_keeps_the_records))
