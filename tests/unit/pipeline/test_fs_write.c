/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* fs.write on real folders: whole or not at all, modes, parents, what is refused, nothing left behind. */
#define _GNU_SOURCE /* syscall(2), in the disk that fails */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "base/must.h"
#include "base/redact.h"
#include "exec/exec.h"
#include "fsync_fault.h"
#include "support/test.h"

struct ground {
	char root[128];
	struct exec_settings settings;
	struct action action;
	struct obligations obligations;
	struct arena *arena;
	struct exec_job job;
};

static void
ground_init(struct ground *g)
{
	memset(g, 0, sizeof(*g));
	umask(022);
	snprintf(g->root, sizeof(g->root), "%s", test_tmpdir());
	g->settings.max_output_bytes = 1000;
	g->settings.max_output_lines = 10;
	g->settings.redactor = redactor_default();
	MUST(workspace_open(span_cstr(g->root), &g->settings.workspace, NULL) == OK);
	g->arena = arena_new(1024 * 1024);
	MUST(g->arena != NULL);
}

static void
ground_fini(struct ground *g)
{
	workspace_close(&g->settings.workspace);
	arena_free(&g->arena);
}

static const char *
at(const struct ground *g, const char *name)
{
	static char path[2][512];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", g->root, name);
	return path[turn];
}

static const struct exec_job *
write_file(struct ground *g, const char *path, struct span content)
{
	static char text[4096];

	snprintf(text, sizeof(text), "file://workspace%s", path);
	arena_reset(g->arena);
	g->action.params.content = content;
	g->action.resource = (struct resource){.scheme = RESOURCE_FILE,
		.text = span_cstr(text),
		.path = span_from(span_cstr(text), strlen("file://workspace"))};
	g->job = (struct exec_job){.settings = &g->settings,
		.action = &g->action,
		.obligations = &g->obligations,
		.arena = g->arena};
	fs_write_executor.run(&g->job);
	return &g->job;
}

static void
check_refused(struct ground *g, const char *path, enum exec_status status, const char *reason)
{
	const struct exec_job *job = write_file(g, path, SPAN_LIT("new"));
	char want[512];

	snprintf(want, sizeof(want), "file://workspace%s: %s", path, reason);
	CHECK_INT(job->status, status);
	CHECK_SPAN(job->message, want);
	CHECK(!job->has_bytes_written);
}

static void
check_content(const struct ground *g, const char *name, const char *want)
{
	struct buf b;

	buf_init(&b, 10000);
	CHECK_INT(fdio_read_file(at(g, name), 9000, &b, NULL), OK);
	CHECK_SPAN(buf_span(&b), want);
	buf_fini(&b);
}

static unsigned
mode_of(const struct ground *g, const char *name)
{
	struct stat st;

	MUST(lstat(at(g, name), &st) == 0);
	return st.st_mode & 07777;
}

/* Entries of a folder, "." and ".." not counted. */
static int
count_entries(const struct ground *g, const char *name)
{
	DIR *d = opendir(at(g, name));
	int n = -2;

	MUST(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

TEST(makes_and_replaces)
{
	struct ground g;

	ground_init(&g);
	CHECK_INT(write_file(&g, "/new", SPAN_LIT("one"))->status, EXEC_DONE);
	CHECK_INT(g.job.bytes_written, 3);
	check_content(&g, "new", "one");
	CHECK_INT(mode_of(&g, "new"), 0600);
	CHECK_INT(chmod(at(&g, "new"), 0755), 0);
	CHECK_INT(write_file(&g, "/new", SPAN_LIT(""))->status, EXEC_DONE);
	CHECK(g.job.has_bytes_written);
	CHECK_INT(g.job.bytes_written, 0);
	check_content(&g, "new", "");
	CHECK_INT(mode_of(&g, "new"), 0755);
	CHECK_INT(chmod(at(&g, "new"), 04755), 0);
	CHECK_INT(write_file(&g, "/new", SPAN_LIT("x"))->status, EXEC_DONE);
	CHECK_INT(mode_of(&g, "new"), 0755);
	CHECK_INT(count_entries(&g, ""), 1);
	ground_fini(&g);
}

TEST(makes_the_folders_it_needs)
{
	struct ground g;

	ground_init(&g);
	CHECK_INT(write_file(&g, "/a/b/c/f", SPAN_LIT("x"))->status, EXEC_DONE);
	check_content(&g, "a/b/c/f", "x");
	CHECK_INT(mode_of(&g, "a"), 0755);
	CHECK_INT(mode_of(&g, "a/b/c"), 0755);
	CHECK_INT(write_file(&g, "/a/b/d/f", SPAN_LIT("y"))->status, EXEC_DONE);
	check_content(&g, "a/b/d/f", "y");
	check_refused(&g, "/a/b/c/f/g", EXEC_BAD_RESOURCE, "part of the path is not a folder");
	ground_fini(&g);
}

TEST(a_path_of_too_many_folders_is_refused)
{
	struct ground g;
	char path[2000];
	size_t n = 0;

	ground_init(&g);
	for (int i = 0; i < 300; i++)
		n += (size_t)snprintf(path + n, sizeof(path) - n, "/d");
	CHECK_INT(write_file(&g, path, SPAN_LIT("x"))->status, EXEC_BAD_RESOURCE);
	memset(path, 'n', 300);
	path[0] = '/';
	path[300] = '\0';
	CHECK_INT(write_file(&g, path, SPAN_LIT("x"))->status, EXEC_BAD_RESOURCE);
	ground_fini(&g);
}

TEST(replaces_nothing_but_regular_files)
{
	struct ground g;
	char outside[160];

	ground_init(&g);
	snprintf(outside, sizeof(outside), "%s.outside", g.root);
	mkdir(at(&g, "dir"), 0755);
	CHECK_INT(mkfifo(at(&g, "fifo"), 0644), 0);
	CHECK_INT(symlink(outside, at(&g, "link")), 0);
	CHECK_INT(symlink("..", at(&g, "up")), 0);
	CHECK_INT(symlink("dir", at(&g, "folder")), 0);
	check_refused(&g, "/dir", EXEC_BAD_RESOURCE, "not a regular file");
	check_refused(&g, "/fifo", EXEC_BAD_RESOURCE, "not a regular file");
	check_refused(&g, "/", EXEC_BAD_RESOURCE, "not a regular file");
	check_refused(&g, "/link", EXEC_ESCAPE, "path escape detected");
	check_refused(&g, "/up/x", EXEC_ESCAPE, "path escape detected");
	check_refused(&g, "/folder/x", EXEC_ESCAPE, "path escape detected");
	check_refused(&g, "/folder/new/x", EXEC_ESCAPE, "path escape detected");
	check_refused(&g, "/../x", EXEC_ESCAPE, "path escape detected");
	CHECK(access(outside, F_OK) != 0);
	CHECK_INT(count_entries(&g, "dir"), 0);
	CHECK_INT(count_entries(&g, ""), 5);
	ground_fini(&g);
}

/* The other names of a file keep its old content: only the name that the policy judged is replaced. */
TEST(a_hard_link_is_parted)
{
	struct ground g;

	ground_init(&g);
	CHECK_INT(write_file(&g, "/one", SPAN_LIT("old"))->status, EXEC_DONE);
	CHECK_INT(link(at(&g, "one"), at(&g, "two")), 0);
	CHECK_INT(write_file(&g, "/two", SPAN_LIT("new"))->status, EXEC_DONE);
	check_content(&g, "one", "old");
	check_content(&g, "two", "new");
	ground_fini(&g);
}

TEST(content_is_limited)
{
	static char content[1001];
	struct ground g;

	ground_init(&g);
	memset(content, 'x', sizeof(content));
	CHECK_INT(write_file(&g, "/f", span_of(content, 1000))->status, EXEC_DONE);
	CHECK_INT(write_file(&g, "/f", span_of(content, 1001))->status, EXEC_BAD_RESOURCE);
	CHECK_SPAN(g.job.message, "file://workspace/f: content exceeds max bytes");
	ground_fini(&g);
}

TEST(a_fault_leaves_the_old_content_and_no_rest)
{
	struct ground g;
	struct rlimit limit;

	ground_init(&g);
	CHECK_INT(write_file(&g, "/f", SPAN_LIT("old"))->status, EXEC_DONE);
	/* The signal would end the program; the write says EFBIG without it. */
	sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 2;
	setrlimit(RLIMIT_FSIZE, &limit);
	CHECK_INT(write_file(&g, "/f", SPAN_LIT("newer"))->status, EXEC_FAULT);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
	CHECK_SPAN(g.job.message, "file://workspace/f: input or output failed");
	CHECK(strstr(g.job.ei.msg, g.root) == NULL);
	CHECK(g.job.ei.msg[0] != '\0');
	check_content(&g, "f", "old");
	CHECK_INT(count_entries(&g, ""), 1);
	ground_fini(&g);
}

/* The rename was seen by everybody; only a power cut may take it back. */
TEST(a_folder_that_does_not_sync_leaves_it_open)
{
	struct ground g;

	ground_init(&g);
	CHECK_INT(write_file(&g, "/f", SPAN_LIT("old"))->status, EXEC_DONE);
	atomic_store(&folders_fail, true);
	CHECK_INT(write_file(&g, "/f", SPAN_LIT("newer"))->status, EXEC_UNCERTAIN);
	atomic_store(&folders_fail, false);
	CHECK_SPAN(g.job.message,
		"file://workspace/f: the file was replaced but may not survive a power cut");
	CHECK(strstr(g.job.ei.msg, "fsync of the folder") != NULL);
	CHECK_INT(g.job.bytes_written, 5);
	check_content(&g, "f", "newer");
	CHECK_INT(count_entries(&g, ""), 1);
	ground_fini(&g);
}

SUITE("fs_write", TEST_ROW(a_folder_that_does_not_sync_leaves_it_open),
	TEST_ROW(makes_and_replaces), TEST_ROW(makes_the_folders_it_needs),
	TEST_ROW(a_path_of_too_many_folders_is_refused),
	TEST_ROW(replaces_nothing_but_regular_files), TEST_ROW(a_hard_link_is_parted),
	TEST_ROW(content_is_limited), TEST_ROW(a_fault_leaves_the_old_content_and_no_rest))
