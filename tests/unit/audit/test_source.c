/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers leave no trace: not in the ledger, not beside it, not in the folder for copies; and they
 * read beside a writer, which runs in a process of its own, as in life.
 */
#define _GNU_SOURCE /* setenv, flock */

#include "reader_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <sys/file.h>
#include <sys/wait.h>

#include "lock.h"

/* Names, sizes and bytes of a folder as one hash. */
static void
hash_folder(const char *dir, char out[SHA256_HEX + 1])
{
	struct dirent **names = NULL;
	struct buf all;
	int n = scandir(dir, &names, NULL, alphasort);

	buf_init(&all, 4 * BUF_CAP_FILE);
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			struct buf text;
			char path[600];
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
			read_text(path, &text);
			buf_printf(&all, "%s %zu\n", names[i]->d_name, text.n);
			buf_add_span(&all, buf_span(&text));
			buf_fini(&text);
		}
		free(names[i]);
	}
	free(names);
	CHECK(n > 0 && !buf_failed(&all));
	hash_sha256_hex(buf_span(&all), out);
	buf_fini(&all);
}

static unsigned
count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static const char *
folder_of(const char *path)
{
	static char dir[300];

	snprintf(dir, sizeof(dir), "%.*s", (int)(strlen(path) - strlen("/ledger.db")), path);
	return dir;
}

static bool
count_record(const struct source_record *r, void *arg)
{
	uint64_t *n = arg;

	CHECK(!r->is_malformed);
	CHECK_INT(r->seq, *n + 1);
	CHECK_INT(r->hash.n, SHA256_HEX);
	(*n)++;
	return true;
}

/* ---- a writer in another process ---- */

struct writer {
	pid_t pid;
	int to;   /* a byte: append a record; its end: close the ledger and exit */
	int from; /* a byte per thing done; the first: started */
};

static void
write_records(const char *path, int commands, int answers)
{
	struct ledger_options o;
	char c = 0;

	ledger_options_init(&o);
	o.path = path;
	struct ledger *l = start_ledger(&o);
	MUST(write(answers, "s", 1) == 1);
	while (read(commands, &c, 1) == 1) {
		MUST(append_one(l, "live") == OK);
		MUST(write(answers, "a", 1) == 1);
	}
	ledger_close(&l);
}

static void
writer_wait(struct writer *w)
{
	char c = 0;

	CHECK_INT(read(w->from, &c, 1), 1);
}

static void
writer_start(struct writer *w, const char *path)
{
	int to[2];
	int from[2];

	CHECK(pipe(to) == 0 && pipe(from) == 0);
	w->pid = fork();
	if (w->pid == 0) {
		close(to[1]);
		close(from[0]);
		write_records(path, to[0], from[1]);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	w->to = to[1];
	w->from = from[0];
	writer_wait(w);
}

static void
writer_append(struct writer *w)
{
	CHECK_INT(write(w->to, "a", 1), 1);
	writer_wait(w);
}

static void
writer_end(struct writer *w, int signal_number)
{
	int status = 0;

	if (signal_number != 0)
		kill(w->pid, signal_number);
	close(w->to);
	CHECK(waitpid(w->pid, &status, 0) == w->pid);
	close(w->from);
}

/* ---- tests ---- */

TEST(a_ledger_at_rest_is_read_without_a_trace)
{
	const char *path = make_ledger(5, 3);
	const char *copies = test_tmpdir();
	char before[SHA256_HEX + 1];
	char after[SHA256_HEX + 1];
	struct source *s = NULL;
	struct errinfo ei;
	uint64_t n = 0;

	setenv("TMPDIR", copies, 1);
	hash_folder(folder_of(path), before);
	CHECK_INT(source_open(path, SOURCE_SHARED, &s, &ei), OK);
	CHECK(!source_is_live(s));
	CHECK_INT(count_entries(copies), 0); /* gone as soon as it is open */
	CHECK_INT(source_each(s, 0, count_record, &n, &ei), OK);
	CHECK_INT(n, source_get_head(s).seq);
	CHECK_INT(source_refresh(s, &ei), OK);
	source_free(&s);
	hash_folder(folder_of(path), after);
	CHECK_STR(after, before);
	CHECK_INT(count_entries(copies), 0);
	unsetenv("TMPDIR");
}

TEST(a_killed_writer_leaves_a_log_that_is_read_and_left_alone)
{
	const char *path = ledger_path_in(test_tmpdir());
	struct writer w;
	char before[SHA256_HEX + 1];
	char after[SHA256_HEX + 1];
	struct source *s = NULL;
	struct verify_result r;
	struct errinfo ei;
	uint64_t n = 0;

	writer_start(&w, path);
	for (unsigned i = 0; i < 5; i++)
		writer_append(&w);
	writer_end(&w, SIGKILL);
	CHECK(access(beside(path, "-wal"), F_OK) == 0);
	hash_folder(folder_of(path), before);
	CHECK_INT(source_open(path, SOURCE_SHARED, &s, &ei), OK);
	CHECK(!source_is_live(s));
	CHECK_INT(source_each(s, 0, count_record, &n, &ei), OK);
	CHECK_INT(n, 6);
	source_free(&s);
	CHECK_INT(verify_path(path, NULL, &r), OK);
	CHECK(r.is_good);
	hash_folder(folder_of(path), after);
	CHECK_STR(after, before);
}

TEST(beside_a_writer_new_records_show_after_a_refresh)
{
	const char *path = ledger_path_in(test_tmpdir());
	struct writer w;
	struct source *s = NULL;
	struct verify_result r;
	struct errinfo ei;
	bool is_live = false;
	uint64_t n = 0;

	writer_start(&w, path);
	CHECK_INT(source_find_writer(path, &is_live, &ei), OK);
	CHECK(is_live);
	writer_append(&w);
	CHECK_INT(source_open(path, SOURCE_SHARED, &s, &ei), OK);
	CHECK(source_is_live(s));
	writer_append(&w);
	CHECK_INT(source_each(s, 0, count_record, &n, &ei), OK);
	CHECK_INT(n, 2); /* what was there when it was opened */
	CHECK_INT(source_refresh(s, &ei), OK);
	CHECK_INT(source_each(s, n, count_record, &n, &ei), OK);
	CHECK_INT(n, 3);
	CHECK_INT(verify_path(path, NULL, &r), OK);
	CHECK(r.is_good);
	writer_end(&w, 0);
	/* The writer closed; this reader was on the file meanwhile. */
	CHECK_INT(source_refresh(s, &ei), OK);
	CHECK_INT(source_each(s, n, count_record, &n, &ei), OK);
	CHECK_INT(n, 4);
	source_free(&s);
	CHECK_INT(source_find_writer(path, &is_live, &ei), OK);
	CHECK(!is_live);
	/* And the next one starts and ends as if nothing had been. */
	writer_start(&w, path);
	writer_append(&w);
	writer_end(&w, 0);
	CHECK_INT(verify_path(path, NULL, &r), OK);
	CHECK(r.is_good);
}

/* A reader that asks whether somebody writes has the lock for an instant; a start must outlast
 * that. */
TEST(a_question_about_the_lock_keeps_nobody_from_starting)
{
	const char *path = beside(test_tmpdir(), "/lock");
	struct errinfo ei;
	int to[2];
	char c = 0;
	int fd = -1;

	write_text(path, SPAN_LIT("1\n"));
	CHECK(pipe(to) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		int own = open(path, O_RDONLY | O_CLOEXEC);
		MUST(own >= 0 && flock(own, LOCK_SH) == 0 && write(to[1], "x", 1) == 1);
		const struct timespec pause = {.tv_nsec = 30 * 1000 * 1000};
		nanosleep(&pause, NULL);
		_exit(0);
	}
	CHECK_INT(read(to[0], &c, 1), 1);
	CHECK_INT(lock_take(path, &fd, &ei), OK);
	lock_drop(&fd);
	CHECK(waitpid(pid, NULL, 0) == pid);
	close(to[0]);
	close(to[1]);
}

static bool
stop_at_two(const struct source_record *r, void *arg)
{
	(void)arg;
	return r->seq < 2;
}

TEST(a_visit_can_start_behind_a_record_and_stop_early)
{
	const char *path = make_ledger(5, 100);
	struct source *s = NULL;
	struct errinfo ei;
	uint64_t n = 4;

	CHECK_INT(source_open(path, SOURCE_SHARED, &s, &ei), OK);
	CHECK_INT(source_each(s, 4, count_record, &n, &ei), OK);
	CHECK_INT(n, source_get_head(s).seq);
	CHECK_INT(source_each(s, 0, stop_at_two, NULL, &ei), OK);
	CHECK_INT(source_each(s, UINT64_MAX, count_record, &n, &ei), OK);
	source_free(&s);
}

/* More rows than a page has, and more bytes. */
TEST(pages_join_without_a_seam)
{
	const char *path = make_ledger(1, 100);
	struct source *s = NULL;
	struct errinfo ei;
	uint64_t n = 0;

	run_sql(path,
		"WITH RECURSIVE c(i) AS (VALUES(100) UNION ALL SELECT i + 1 FROM c WHERE i < 3000)"
		" INSERT INTO records SELECT i, 0, zeroblob(32), zeroblob(iif(i % 100 = 0, 200000, "
		"10)) FROM c;"
		"DELETE FROM records WHERE seq < 100; UPDATE records SET seq = seq - 99");
	CHECK_INT(source_open(path, SOURCE_SHARED, &s, &ei), OK);
	CHECK_INT(source_each(s, 0, count_record, &n, &ei), OK);
	CHECK_INT(n, 2901);
	source_free(&s);
}

TEST(what_is_no_ledger_is_refused)
{
	const char *dir = test_tmpdir();
	const char *path = beside(dir, "/x");
	struct source *s = NULL;
	struct errinfo ei;

	CHECK_INT(source_open(path, SOURCE_SHARED, &s, &ei), ERR_NOT_FOUND);
	CHECK(s == NULL);
	CHECK_INT(source_open(dir, SOURCE_SHARED, &s, &ei), ERR_INVALID);
	struct db *db = NULL;
	CHECK_INT(db_open(path, DB_CREATE, 0, &db, &ei), OK);
	CHECK_INT(db_exec(db, "CREATE TABLE t(a)", &ei), OK);
	db_free(&db);
	CHECK_INT(source_open(path, SOURCE_SHARED, &s, &ei), ERR_INVALID);
	CHECK(s == NULL);
	const char *newer = make_ledger(1, 100);
	run_sql(newer, "PRAGMA user_version = 99");
	CHECK_INT(source_open(newer, SOURCE_SHARED, &s, &ei), ERR_UNSUPPORTED);
	const char *damaged = make_ledger(1, 100);
	int fd = open(damaged, O_WRONLY | O_CLOEXEC);
	CHECK(pwrite(fd, "damage damage damage", 20, 100) == 20);
	close(fd);
	CHECK(source_open(damaged, SOURCE_SHARED, &s, &ei) != OK);
	CHECK(s == NULL);
}

SUITE("source", TEST_ROW(a_ledger_at_rest_is_read_without_a_trace),
	TEST_ROW(a_killed_writer_leaves_a_log_that_is_read_and_left_alone),
	TEST_ROW(beside_a_writer_new_records_show_after_a_refresh),
	TEST_ROW(a_question_about_the_lock_keeps_nobody_from_starting),
	TEST_ROW(a_visit_can_start_behind_a_record_and_stop_early),
	TEST_ROW(pages_join_without_a_seam), TEST_ROW(what_is_no_ledger_is_refused))
