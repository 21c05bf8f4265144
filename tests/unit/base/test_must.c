/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Broken guarantees and start-up without memory end the process, with one line that says why. */
#include "base/must.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/test.h"

/* Runs fn in a child; its wait status, and what it wrote to stderr as a string. */
static int
status_of(void (*fn)(void), char said[256])
{
	int fds[2];
	int status = 0;

	CHECK_INT(pipe(fds), 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(fds[1]);
	ssize_t n = read(fds[0], said, 255);
	said[n > 0 ? n : 0] = '\0';
	close(fds[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

static void
break_guarantee(void)
{
	int one = 1;

	MUST(one == 2);
}

static void
use_a_wrong_object(void)
{
	struct {
		unsigned magic;
	} object = {7};

	OBJ_CHECK(&object, 8u);
}

static void
keep_guarantee(void)
{
	MUST(1 + 1 == 2);
}

TEST(broken_guarantee_aborts_and_names_itself)
{
	char said[256];
	int status = status_of(break_guarantee, said);

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	CHECK(strstr(said, "test_must.c:") != NULL);
	CHECK(strstr(said, "check failed: one == 2") != NULL);
	status = status_of(use_a_wrong_object, said);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST(kept_guarantee_goes_on)
{
	char said[256];

	CHECK_INT(status_of(keep_guarantee, said), 0);
	CHECK_STR(said, "");
}

static void
need_memory(void)
{
	mem_fail_at(1);
	mem_free(mem_need(1));
}

static void
need_text(void)
{
	mem_fail_at(1);
	mem_free(mem_need_cstr("x"));
}

TEST(start_up_without_memory_exits_with_1)
{
	char said[256];
	int status = status_of(need_memory, said);

	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	CHECK_STR(said, "nomos: out of memory\n");
	status = status_of(need_text, said);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

SUITE("must", TEST_ROW(broken_guarantee_aborts_and_names_itself), TEST_ROW(kept_guarantee_goes_on),
	TEST_ROW(start_up_without_memory_exits_with_1))
