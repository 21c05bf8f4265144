/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Whole files: what may be read, how a file is replaced, how paths are joined. */
#define _XOPEN_SOURCE 700 /* mkfifo, symlink */

#include "base/fdio.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "support/test.h"

static char path[256];

static const char *
path_in(const char *dir, const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int
count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 ? 1 : 0;
	closedir(d);
	return n;
}

static void
write_file(const char *at, struct span text)
{
	struct errinfo ei = {0};

	if (fdio_write_file(at, text, 0600, &ei) != OK)
		FAIL("%s", ei.msg);
}

TEST(read_appends_the_file)
{
	const char *dir = test_tmpdir();
	struct buf b;

	write_file(path_in(dir, "f"), span_of("a\0b", 3));
	buf_init(&b, 100);
	BUF_ADD_LIT(&b, ">");
	CHECK_INT(fdio_read_file(path, 3, &b, NULL), OK);
	CHECK(span_eq(buf_span(&b), span_of(">a\0b", 4)));
	buf_fini(&b);
}

TEST(read_of_an_empty_file)
{
	struct buf b;

	write_file(path_in(test_tmpdir(), "f"), SPAN_NONE);
	buf_init(&b, 100);
	CHECK_INT(fdio_read_file(path, 0, &b, NULL), OK);
	CHECK_INT(b.n, 0);
	buf_fini(&b);
}

TEST(read_keeps_to_both_bounds)
{
	struct buf b;
	struct errinfo ei = {0};

	write_file(path_in(test_tmpdir(), "f"), SPAN_LIT("12345"));
	buf_init(&b, 6);
	BUF_ADD_LIT(&b, "old");
	CHECK_INT(fdio_read_file(path, 4, &b, &ei), ERR_TOO_LARGE);
	CHECK_INT(fdio_read_file(path, 5, &b, &ei), ERR_TOO_LARGE);
	CHECK_SPAN(buf_span(&b), "old");
	CHECK(!buf_failed(&b));
	buf_fini(&b);
}

/* Its size is 0 for fstat. */
TEST(read_of_a_file_without_a_size)
{
	struct buf b;

	buf_init(&b, 100000);
	CHECK_INT(fdio_read_file("/proc/self/status", 100000, &b, NULL), OK);
	CHECK(b.n > 0);
	buf_reset(&b);
	CHECK_INT(fdio_read_file("/proc/self/status", 10, &b, NULL), ERR_TOO_LARGE);
	CHECK_INT(b.n, 0);
	buf_fini(&b);
}

TEST(read_refuses_what_is_not_a_regular_file)
{
	const char *dir = test_tmpdir();
	struct errinfo ei = {0};
	struct buf b;

	buf_init(&b, 100);
	CHECK_INT(fdio_read_file(dir, 100, &b, &ei), ERR_INVALID);
	CHECK_INT(fdio_read_file("/dev/zero", 100, &b, &ei), ERR_INVALID);
	/* Must come back although nobody writes into it. */
	CHECK_INT(mkfifo(path_in(dir, "fifo"), 0600), 0);
	CHECK_INT(fdio_read_file(path, 100, &b, &ei), ERR_INVALID);
	CHECK_INT(b.n, 0);
	buf_fini(&b);
}

TEST(read_names_the_missing_file)
{
	struct errinfo ei = {0};
	struct buf b;
	char words[600];

	buf_init(&b, 100);
	snprintf(words, sizeof(words), "%s: No such file or directory",
		path_in(test_tmpdir(), "missing/x"));
	CHECK_INT(fdio_read_file(path, 100, &b, &ei), ERR_NOT_FOUND);
	CHECK_STR(ei.msg, words);
	CHECK_INT(fdio_read_file("/dev/null/x", 100, &b, &ei), ERR_NOT_FOUND);
	buf_fini(&b);
}

TEST(write_replaces_and_leaves_nothing_else)
{
	const char *dir = test_tmpdir();
	struct buf b;
	struct stat st;

	write_file(path_in(dir, "f"), SPAN_LIT("first, long"));
	write_file(path, SPAN_LIT("second"));
	CHECK_INT(count_entries(dir), 1);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	buf_init(&b, 100);
	CHECK_INT(fdio_read_file(path, 100, &b, NULL), OK);
	CHECK_SPAN(buf_span(&b), "second");
	buf_fini(&b);
}

TEST(write_replaces_a_link_and_not_its_target)
{
	const char *dir = test_tmpdir();
	char target[256];
	struct stat st;

	snprintf(target, sizeof(target), "%s/target", dir);
	write_file(target, SPAN_LIT("untouched"));
	CHECK_INT(symlink(target, path_in(dir, "link")), 0);
	write_file(path, SPAN_LIT("new"));
	CHECK_INT(lstat(path, &st), 0);
	CHECK(S_ISREG(st.st_mode));
	CHECK_INT(stat(target, &st), 0);
	CHECK_INT(st.st_size, 9);
}

TEST(failed_write_leaves_nothing)
{
	const char *dir = test_tmpdir();
	struct errinfo ei = {0};

	/* A rename onto a folder that is not empty fails as the last step. */
	CHECK_INT(mkdir(path_in(dir, "sub"), 0700), 0);
	CHECK_INT(fdio_write_file(path, SPAN_LIT("x"), 0600, &ei), ERR_IO);
	CHECK_INT(count_entries(dir), 1);
	CHECK_INT(fdio_write_file(path_in(dir, "no/such"), SPAN_LIT("x"), 0600, &ei), ERR_IO);
	CHECK_INT(fdio_write_file(path_in(dir, ""), SPAN_LIT("x"), 0600, &ei), ERR_IO);
	CHECK_INT(fdio_write_file("", SPAN_LIT("x"), 0600, &ei), ERR_IO);
	CHECK_INT(count_entries(dir), 1);
}

TEST(a_new_file_never_takes_the_place_of_one_that_is_there)
{
	const char *dir = test_tmpdir();
	struct errinfo ei;
	struct buf b;

	CHECK_INT(fdio_write_new_file(path_in(dir, "f"), SPAN_LIT("one"), 0600, &ei), OK);
	CHECK_INT(fdio_write_new_file(path, SPAN_LIT("two"), 0600, &ei), ERR_CONFLICT);
	CHECK_INT(symlink("nowhere", path_in(dir, "link")), 0);
	CHECK_INT(fdio_write_new_file(path, SPAN_LIT("two"), 0600, &ei), ERR_CONFLICT);
	CHECK_INT(count_entries(dir), 2);
	buf_init(&b, 100);
	CHECK_INT(fdio_read_file(path_in(dir, "f"), 3, &b, NULL), OK);
	CHECK(span_eq(buf_span(&b), SPAN_LIT("one")));
	buf_fini(&b);
}

TEST(write_takes_a_name_of_full_length)
{
	const char *dir = test_tmpdir();
	char long_path[400];
	size_t n = (size_t)snprintf(long_path, sizeof(long_path), "%s/", dir);

	memset(long_path + n, 'x', 255);
	long_path[n + 255] = '\0';
	write_file(long_path, SPAN_LIT("x"));
	CHECK_INT(count_entries(dir), 1);
}

TEST(write_all_reports_a_full_device)
{
	struct errinfo ei = {0};
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_INT(fdio_write_all(fd, SPAN_LIT("x"), &ei), ERR_IO);
	CHECK_INT(fdio_write_all(fd, SPAN_NONE, &ei), OK);
	close(fd);
}

TEST(join_cleans)
{
	static const struct {
		const char *dir;
		const char *path;
		const char *want;
	} rows[] = {
		{"/etc", "a/b", "/etc/a/b"},
		{"/etc", "/abs//x/./y/", "/abs/x/y"},
		{"/etc", "../../../y", "/y"},
		{"/etc", "", "/etc"},
		{"/", "x", "/x"},
		{"", "", "."},
		{"", "a/..", "."},
		{"", "../a/../../b", "../../b"},
		{"rel/d", "..\\..\\..\\q", "../q"},
		{"/etc", "\\abs\\x", "/abs/x"},
		{"x/../..", "..", "../.."},
		{"a", "..b/...//c", "a/..b/.../c"},
		{"", "/..", "/"},
	};
	struct arena *a = arena_new(10000);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_STR(fdio_join(a, rows[i].dir, span_cstr(rows[i].path)), rows[i].want);
	CHECK_STR(fdio_join(a, NULL, SPAN_LIT("x")), "x");
	CHECK(fdio_join(a, "/etc", span_of("a\0b", 3)) == NULL);
	arena_free(&a);
	a = arena_new(4);
	CHECK(fdio_join(a, "/etc", SPAN_LIT("abc")) == NULL);
	arena_free(&a);
}

SUITE("fdio", TEST_ROW(read_appends_the_file), TEST_ROW(read_of_an_empty_file),
	TEST_ROW(read_keeps_to_both_bounds), TEST_ROW(read_of_a_file_without_a_size),
	TEST_ROW(read_refuses_what_is_not_a_regular_file), TEST_ROW(read_names_the_missing_file),
	TEST_ROW(write_replaces_and_leaves_nothing_else),
	TEST_ROW(write_replaces_a_link_and_not_its_target), TEST_ROW(failed_write_leaves_nothing),
	TEST_ROW(a_new_file_never_takes_the_place_of_one_that_is_there),
	TEST_ROW(write_takes_a_name_of_full_length), TEST_ROW(write_all_reports_a_full_device),
	TEST_ROW(join_cleans))
