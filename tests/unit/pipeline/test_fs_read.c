/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* fs.read on real folders: what is refused and how, limits, secrets at the limit, swaps between two calls. */
#define _GNU_SOURCE /* memmem */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/redact.h"
#include "exec/exec.h"
#include "exec/output.h"
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
	snprintf(g->root, sizeof(g->root), "%s", test_tmpdir());
	g->settings.max_output_bytes = 1000;
	g->settings.max_output_lines = 10;
	g->settings.redactor = redactor_default();
	MUST(workspace_open(span_cstr(g->root), &g->settings.workspace, NULL) == OK);
	g->arena = arena_new(4 * 1024 * 1024);
	MUST(g->arena != NULL);
}

static void
ground_fini(struct ground *g)
{
	workspace_close(&g->settings.workspace);
	arena_free(&g->arena);
}

/* path within the ground, static. */
static const char *
at(const struct ground *g, const char *name)
{
	static char path[2][512];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", g->root, name);
	return path[turn];
}

static void
put(const struct ground *g, const char *name, const char *text, size_t n)
{
	FILE *f = fopen(at(g, name), "wb");

	MUST(f != NULL && fwrite(text, 1, n, f) == n && fclose(f) == 0);
}

/* The normal form's path: "/" and the name. */
static const struct exec_job *
read_file(struct ground *g, const char *path)
{
	static char text[4096];

	snprintf(text, sizeof(text), "file://workspace%s", path);
	arena_reset(g->arena);
	g->action.resource = (struct resource){.scheme = RESOURCE_FILE,
		.text = span_cstr(text),
		.path = span_from(span_cstr(text), strlen("file://workspace"))};
	g->job = (struct exec_job){.settings = &g->settings,
		.action = &g->action,
		.obligations = &g->obligations,
		.arena = g->arena};
	fs_read_executor.run(&g->job);
	/* Nobody outside learns where the workspace is. */
	if (g->job.message.n > 0)
		CHECK(memmem(g->job.message.p, g->job.message.n, g->root, strlen(g->root)) == NULL);
	return &g->job;
}

static void
check_refused(struct ground *g, const char *path, enum exec_status status, const char *reason)
{
	const struct exec_job *job = read_file(g, path);
	char want[512];

	snprintf(want, sizeof(want), "file://workspace%s: %s", path, reason);
	CHECK_INT(job->status, status);
	CHECK_SPAN(job->message, want);
	CHECK(!job->has_output && job->output.n == 0);
}

TEST(reads_regular_files_only)
{
	struct ground g;

	ground_init(&g);
	put(&g, "a", "text\n", 5);
	CHECK_INT(read_file(&g, "/a")->status, EXEC_DONE);
	CHECK_SPAN(g.job.output, "text\n");
	CHECK_INT(g.job.bytes_read, 5);
	CHECK_INT(g.job.lines_read, 1);
	put(&g, "empty", "", 0);
	CHECK_INT(read_file(&g, "/empty")->status, EXEC_DONE);
	CHECK(g.job.has_output && g.job.output.n == 0 && !g.job.truncated);
	mkdir(at(&g, "dir"), 0755);
	check_refused(&g, "/dir", EXEC_BAD_RESOURCE, "not a regular file");
	/* 9.D.31 of the reference's policy page: a FIFO blocked the call for ever. */
	CHECK_INT(mkfifo(at(&g, "fifo"), 0644), 0);
	check_refused(&g, "/fifo", EXEC_BAD_RESOURCE, "not a regular file");
	check_refused(&g, "/none", EXEC_BAD_RESOURCE, "not found");
	check_refused(&g, "/none/below", EXEC_BAD_RESOURCE, "not found");
	check_refused(&g, "/a/below", EXEC_BAD_RESOURCE, "part of the path is not a folder");
	check_refused(&g, "/", EXEC_BAD_RESOURCE, "not a regular file");
	ground_fini(&g);
}

TEST(follows_no_link)
{
	struct ground g;

	ground_init(&g);
	put(&g, "secret", "s", 1);
	mkdir(at(&g, "dir"), 0755);
	put(&g, "dir/in", "i", 1);
	CHECK_INT(symlink("secret", at(&g, "inside")), 0);
	CHECK_INT(symlink("/etc/hostname", at(&g, "absolute")), 0);
	CHECK_INT(symlink("../..", at(&g, "up")), 0);
	CHECK_INT(symlink("dir", at(&g, "folder")), 0);
	CHECK_INT(symlink("nowhere", at(&g, "dangling")), 0);
	check_refused(&g, "/inside", EXEC_ESCAPE, "path escape detected");
	check_refused(&g, "/absolute", EXEC_ESCAPE, "path escape detected");
	check_refused(&g, "/up/etc/hostname", EXEC_ESCAPE, "path escape detected");
	check_refused(&g, "/folder/in", EXEC_ESCAPE, "path escape detected");
	check_refused(&g, "/dangling", EXEC_ESCAPE, "path escape detected");
	/* What normalisation never lets through is refused by the kernel as well. */
	check_refused(&g, "/../x", EXEC_ESCAPE, "path escape detected");
	check_refused(&g, "/dir/../../x", EXEC_ESCAPE, "path escape detected");
	ground_fini(&g);
}

/* 9.A.4: a file that the policy denies, read under another name. */
TEST(refuses_files_with_several_names)
{
	struct ground g;

	ground_init(&g);
	put(&g, "denied", "s", 1);
	CHECK_INT(link(at(&g, "denied"), at(&g, "allowed")), 0);
	check_refused(&g, "/allowed", EXEC_BAD_RESOURCE, "resource has several names");
	CHECK_INT(unlink(at(&g, "denied")), 0);
	CHECK_INT(read_file(&g, "/allowed")->status, EXEC_DONE);
	ground_fini(&g);
}

TEST(sees_what_was_swapped_in_between)
{
	struct ground g;

	ground_init(&g);
	mkdir(at(&g, "d"), 0755);
	put(&g, "d/f", "1", 1);
	CHECK_INT(read_file(&g, "/d/f")->status, EXEC_DONE);
	CHECK_INT(unlink(at(&g, "d/f")), 0);
	CHECK_INT(symlink("/etc/hostname", at(&g, "d/f")), 0);
	check_refused(&g, "/d/f", EXEC_ESCAPE, "path escape detected");
	CHECK_INT(rename(at(&g, "d"), at(&g, "moved")), 0);
	CHECK_INT(symlink("/etc", at(&g, "d")), 0);
	check_refused(&g, "/d/hostname", EXEC_ESCAPE, "path escape detected");
	ground_fini(&g);
}

/* A folder that moves while the gateway runs stays the same folder; one put in its place is not looked at. */
TEST(the_root_is_the_folder_that_was_opened)
{
	struct ground g;
	char moved[160];

	ground_init(&g);
	put(&g, "a", "old", 3);
	snprintf(moved, sizeof(moved), "%s.moved", g.root);
	CHECK_INT(rename(g.root, moved), 0);
	CHECK_INT(mkdir(g.root, 0755), 0);
	put(&g, "a", "new", 3);
	CHECK_INT(read_file(&g, "/a")->status, EXEC_DONE);
	CHECK_SPAN(g.job.output, "old");
	snprintf(moved, sizeof(moved), "%s.moved/a", g.root);
	CHECK_INT(unlink(moved), 0);
	snprintf(moved, sizeof(moved), "%s.moved", g.root);
	CHECK_INT(rmdir(moved), 0);
	ground_fini(&g);
}

TEST(limits_bytes_and_lines)
{
	struct ground g;
	char text[3000];

	ground_init(&g);
	memset(text, 'x', sizeof(text));
	put(&g, "exact", text, 1000);
	CHECK_INT(read_file(&g, "/exact")->output.n, 1000);
	CHECK(!g.job.truncated);
	put(&g, "over", text, 1001);
	CHECK_INT(read_file(&g, "/over")->output.n, 1000);
	CHECK(g.job.truncated);
	CHECK_INT(g.job.bytes_read, 1000);
	put(&g, "ten", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n", 21);
	CHECK_INT(read_file(&g, "/ten")->output.n, 21);
	CHECK(!g.job.truncated);
	CHECK_INT(g.job.lines_read, 10);
	put(&g, "eleven", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11", 23);
	CHECK_INT(read_file(&g, "/eleven")->output.n, 21);
	CHECK(g.job.truncated);
	g.obligations = (struct obligations){.has_output_max_bytes = true, .output_max_bytes = 3};
	CHECK_SPAN(read_file(&g, "/ten")->output, "1\n2");
	CHECK(g.job.truncated);
	ground_fini(&g);
}

TEST(a_big_file_costs_no_more_than_the_look_ahead)
{
	struct ground g;
	int fd;

	ground_init(&g);
	fd = open(at(&g, "big"), O_CREAT | O_WRONLY, 0644);
	CHECK_INT(ftruncate(fd, (off_t)1 << 32), 0);
	close(fd);
	CHECK_INT(read_file(&g, "/big")->status, EXEC_DONE);
	CHECK_INT(g.job.output.n, 1000);
	CHECK(g.job.truncated);
	CHECK(arena_used(g.arena) < 4 * (1000 + OUTPUT_LOOK_AHEAD_BYTES));
	ground_fini(&g);
}

TEST(a_secret_over_the_limit_does_not_leak)
{
	static const char key[] = "-----BEGIN RSA PRIVATE KEY-----\n"
				  "MIIEpAIBAAKCAQEA7bq0123456789abcdefghijklmnopqrstuvwx\n"
				  "-----END RSA PRIVATE KEY-----\n";
	struct ground g;
	char text[4000];

	ground_init(&g);
	g.settings.max_output_lines = 1000;
	memset(text, 'x', sizeof(text));
	/* The limit goes through the block at every place. */
	for (size_t from = 1000 - sizeof(key); from <= 1000; from++) {
		memset(text, 'x', sizeof(text));
		text[from] = '\n';
		memcpy(text + from + 1, key, sizeof(key) - 1);
		put(&g, "k", text, sizeof(text));
		read_file(&g, "/k");
		CHECK_INT(g.job.status, EXEC_DONE);
		CHECK(g.job.truncated);
		if (memmem(g.job.output.p, g.job.output.n, "MII", 3) != NULL)
			FAIL("from %zu", from);
	}
	ground_fini(&g);
}

TEST(memory_that_runs_out_is_said)
{
	struct ground g;

	ground_init(&g);
	put(&g, "a", "text\n", 5);
	for (size_t cap = 8; cap <= 16; cap += 8) {
		arena_free(&g.arena);
		g.arena = arena_new(cap);
		CHECK_INT(read_file(&g, "/a")->status, EXEC_NO_MEMORY);
	}
	ground_fini(&g);
}

TEST(a_workspace_must_be_a_folder)
{
	struct workspace w;
	struct ground g;
	struct errinfo ei;

	ground_init(&g);
	put(&g, "file", "", 0);
	CHECK_INT(workspace_open(span_cstr(at(&g, "none")), &w, &ei), ERR_NOT_FOUND);
	CHECK_INT(w.root_fd, -1);
	CHECK_INT(workspace_open(span_cstr(at(&g, "file")), &w, &ei), ERR_INVALID);
	ground_fini(&g);
}

SUITE("fs_read", TEST_ROW(reads_regular_files_only), TEST_ROW(follows_no_link),
	TEST_ROW(refuses_files_with_several_names), TEST_ROW(sees_what_was_swapped_in_between),
	TEST_ROW(the_root_is_the_folder_that_was_opened), TEST_ROW(limits_bytes_and_lines),
	TEST_ROW(a_big_file_costs_no_more_than_the_look_ahead),
	TEST_ROW(a_secret_over_the_limit_does_not_leak), TEST_ROW(memory_that_runs_out_is_said),
	TEST_ROW(a_workspace_must_be_a_folder))
